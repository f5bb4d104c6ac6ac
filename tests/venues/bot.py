"""
A bot that uses its order management as the public DeltaDeFi bot does: a pipeline, an account manager, and a cleanup.

Its modules `bot.config` and `bot.db.repo` are made here; it imports its order management from `oms_es.compat.deltadefi`
instead of `bot.oms`, and nothing else in it knows of this project.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from oms_es.compat.deltadefi import DeltaDeFiClient, OMSOrder, OrderManagementSystem, OrderSide, OrderState, OrderType

ADA = "ADAUSDM"


@dataclass
class OrderRepo:
    """The bot's table of orders."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def get_order(self, order_id: str) -> dict[str, Any] | None:
        return self.rows.get(order_id)

    async def create_order(self, row: dict[str, Any]) -> int:
        assert row["order_id"] not in self.rows
        self.rows[row["order_id"]] = dict(row)
        return len(self.rows)

    async def update_order_status(self, order_id: str, status: str, **more: Any) -> None:
        assert status in {"pending", "submitted", "filled", "partially_filled", "canceled", "rejected", "failed"}
        self.rows.setdefault(order_id, {}).update(status=status, **{k: v for k, v in more.items() if v})

    async def update_order_fill(self, order_id: str, filled_quantity: float, avg_fill_price: float) -> None:
        self.rows[order_id].update(filled_quantity=filled_quantity, avg_fill_price=avg_fill_price)

    async def get_active_orders(self, symbol: str) -> list[dict[str, Any]]:
        active = {"pending", "submitted", "partially_filled"}
        return [row for row in self.rows.values() if row["status"] in active and row["symbol"] == symbol]


def settings(**changes: Any) -> SimpleNamespace:
    risk = {"max_position_size": 10000.0, "max_daily_loss": 1000.5, "max_open_orders": 4, "emergency_stop": False}
    trading = {"min_quote_size": 10.0, "max_skew": 5000.0}
    both = {**risk, **trading, **changes}
    return SimpleNamespace(
        risk=SimpleNamespace(**{name: both[name] for name in risk}),
        trading=SimpleNamespace(**{name: both[name] for name in trading}),
    )


@contextmanager
def importable(repo: OrderRepo, config: SimpleNamespace) -> Iterator[None]:
    """Make the bot's modules importable."""
    modules = {name: ModuleType(name) for name in ("bot", "bot.config", "bot.db", "bot.db.repo")}
    vars(modules["bot.config"])["settings"] = config
    vars(modules["bot.db.repo"])["order_repo"] = repo
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        yield


class Pipeline:
    """Makes an order of each side of a quote; cancels those of the quote before."""

    def __init__(self, oms: OrderManagementSystem, client: DeltaDeFiClient, room: int) -> None:
        self.oms = oms
        self.client = client
        self.room = room
        self.resting: list[str] = []
        self.seen: list[tuple[str, str]] = []
        self.failed = 0
        oms.add_order_callback(self.on_order)

    async def on_order(self, order: OMSOrder) -> None:
        self.seen.append((order.order_id, order.state.value))

    async def quote(self, bid: Decimal, ask: Decimal, quantity: Decimal) -> None:
        for order_id in self.resting:
            await self.oms.cancel_order(order_id, "Quote cancelled")
        self.resting.clear()
        if self.oms.sync_open_order_count() + 2 > self.room:
            raise ValueError("too many open orders")
        for side, price in ((OrderSide.BUY, bid), (OrderSide.SELL, ask)):
            order = await self.oms.submit_order(
                symbol=ADA, side=side, order_type=OrderType.LIMIT, quantity=quantity, price=price
            )
            self.resting.append(order.order_id)
            try:
                result = await self.client.submit_order(
                    symbol=order.symbol,
                    side=order.side.value,
                    order_type=order.order_type.value,
                    quantity=round(float(order.quantity)),
                    price=float(order.price or 0),
                )
                await self.oms.update_order_state(
                    order.order_id, OrderState.WORKING, external_order_id=str(result.get("order_id"))
                )
            except Exception as error:
                self.failed += 1
                await self.oms.update_order_state(order.order_id, OrderState.FAILED, error_message=str(error))


async def account_manager(oms: OrderManagementSystem, record: dict[str, Any], side: str) -> None:
    """Feed an execution of the venue into the order management, under the venue's id."""
    await oms.add_fill(
        order_id=record["order_id"],
        fill_quantity=Decimal(record["filled_base_qty"]),
        fill_price=Decimal(record["execution_price"]),
        trade_id=record["id"],
        fee=Decimal(record["commission"]),
        symbol=ADA,
        side=OrderSide(side),
    )


async def cleanup(repo: OrderRepo, client: DeltaDeFiClient) -> int:
    """Cancel at the venue every order that is not in the bot's table."""
    known = {row.get("deltadefi_order_id") for row in await repo.get_active_orders(ADA)}
    strangers = [each["order_id"] for each in await client.get_open_orders(ADA) if each["order_id"] not in known]
    for each in strangers:
        await client.cancel_order(order_id=each)
    return len(strangers)
