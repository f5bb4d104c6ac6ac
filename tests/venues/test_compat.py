"""The public DeltaDeFi bot with only the import of its order management changed, and the spec's integrations."""

import re
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oms_es.compat.deltadefi import DeltaDeFiClient, OrderManagementSystem, OrderSide, OrderState, OrderType
from oms_es.venues.deltadefi import DeltaDefi
from tests.desk import D
from tests.venues.bot import ADA, OrderRepo, Pipeline, account_manager, cleanup, importable, settings
from tests.venues.fake_deltadefi import KEY, FakeDeltaDefi, Faults, sign


@asynccontextmanager
async def running(
    tmp_path: Path, **limits: Any
) -> AsyncIterator[tuple[OrderManagementSystem, FakeDeltaDefi, DeltaDeFiClient, OrderRepo]]:
    repo = OrderRepo()
    async with FakeDeltaDefi() as server:
        venue = DeltaDefi(KEY, rest_url=server.rest_url, stream_url=server.stream_url, sign=sign, calls_per_second=999)
        with importable(repo, settings(**limits)):
            oms = OrderManagementSystem(log=tmp_path / "bot.db")
        async with oms:
            yield oms, server, DeltaDeFiClient(venue), repo
        await venue.close()


async def test_the_bot_quotes_is_filled_and_quotes_again(tmp_path: Path) -> None:
    async with running(tmp_path) as (oms, server, client, repo):
        pipeline = Pipeline(oms, client, room=4)
        await pipeline.quote(D("0.64"), D("0.66"), D("384.89"))
        buy, sell = (server.orders[each] for each in server.open_ids())
        record = server.fill(buy.id, "100")
        assert record is not None
        for _ in range(2):  # told by the stream and by the trades
            await account_manager(oms, record, "buy")
        await pipeline.quote(D("0.63"), D("0.65"), D("384.89"))

        assert buy.quantity == sell.quantity == 385
        order = oms.get_order(buy.id)
        assert order is not None
        assert (order.quantity, order.filled_quantity, order.state) == (D(385), D(100), OrderState.CANCELLED)
        position = oms.get_position(ADA)
        assert position is not None
        assert position.quantity == 100
        summary = oms.get_portfolio_summary()
        assert (summary["open_orders"], summary["total_positions"]) == (2, 1)
        assert float(summary["daily_pnl"]) == pytest.approx(-0.1)
        assert pipeline.failed == 0
        assert [row["status"] for row in repo.rows.values()] == ["canceled", "canceled", "submitted", "submitted"]
        assert await cleanup(repo, client) == 2  # those of the first quote, which the bot cancels only here
        assert len(server.open_ids()) == 2


async def test_a_venue_that_does_not_answer_makes_failed_orders_and_no_exception(tmp_path: Path) -> None:
    async with running(tmp_path) as (oms, server, client, repo):
        server.faults = Faults(internal=1.0)
        pipeline = Pipeline(oms, client, room=4)
        await pipeline.quote(D("0.64"), D("0.66"), D(100))

        assert pipeline.failed == 2
        assert [each.state for each in oms.get_all_orders()] == [OrderState.FAILED] * 2
        assert oms.sync_open_order_count() == 0
        assert [row["status"] for row in repo.rows.values()] == ["failed"] * 2


async def test_the_limits_are_those_of_the_bots_settings(tmp_path: Path) -> None:
    async with running(tmp_path, max_position_size=50.0) as (oms, _, __, repo):
        with pytest.raises(ValueError, match=r"Order rejected: POSITION_SIZE: 100 .* limit of 50 "):
            await oms.submit_order(ADA, OrderSide.BUY, OrderType.LIMIT, D(100), D("0.65"))

        assert [row["status"] for row in repo.rows.values()] == ["rejected"]
        assert "risk.max_daily_loss" in oms.settings.named


async def test_calls_about_unknown_and_done_orders_are_logged_and_return(tmp_path: Path) -> None:
    async with running(tmp_path) as (oms, _, __, ___):
        order = await oms.submit_order(ADA, OrderSide.BUY, OrderType.LIMIT, D(100), D("0.65"))
        await oms.update_order_state(order.order_id, OrderState.REJECTED, error_message="x" * 5_000)

        assert await oms.update_order_state("nobody", OrderState.WORKING) is None
        done = await oms.update_order_state(order.order_id, OrderState.WORKING, external_order_id="None")
        assert done is not None
        assert (done.state, done.external_order_id) == (OrderState.REJECTED, None)
        assert await oms.cancel_order(order.order_id) == oms.get_order(order.order_id)
        assert await oms.cancel_order("nobody") is None
        assert await oms.add_fill("nobody", D(1), D(1), "t") is None
        filled = await oms.add_fill("V-1", 12.5, 0.65, "t-1", 0.01, symbol=ADA, side=OrderSide.BUY)
        assert filled is not None
        assert (filled.external, filled.filled_quantity, filled.fees) == (True, D("12.5"), D("0.01"))


async def test_without_the_bots_modules_the_shim_has_the_settings_of_the_project(tmp_path: Path) -> None:
    async with OrderManagementSystem(log=tmp_path / "a.db", quantity_step=None) as oms:
        order = await oms.submit_order(ADA, "buy", "limit", 384.89, 0.65)

    assert (order.quantity, order.price) == (D("384.89"), D("0.65"))


# --- the spec's integrations, as printed ---


def integrations(spec: str) -> list[str]:
    part = spec.partition("## Integration Points")[2].partition("## Performance")[0]
    return re.findall(r"```python\n(.+?)```", part, re.DOTALL)


async def carried_out(code: str, **names: Any) -> dict[str, Any]:
    scope: dict[str, Any] = {"Decimal": Decimal, "OrderType": OrderType, **names}
    body = textwrap.indent(code, "    ")
    exec(compile(f"async def example():\n{body}\n    return locals()\n", "the spec", "exec"), scope)
    found: dict[str, Any] = await scope["example"]()
    return found


async def test_the_specs_three_integrations_run_as_printed(tmp_path: Path, shared_path: Path) -> None:
    spec = (shared_path / "spec/order-management-system.md").read_text(encoding="utf-8")
    pipeline, manager, client_code = integrations(spec)
    async with running(tmp_path) as (oms, server, client, _):
        me = SimpleNamespace(oms=oms)
        quote = SimpleNamespace(symbol=ADA, bid_qty=384.89, bid_price=0.65)
        order = (await carried_out(pipeline, self=me, quote=quote, side=OrderSide.BUY))["order"]
        result = (await carried_out(client_code, order=order, deltadefi_client=client))["result"]
        await oms.update_order_state(order.order_id, OrderState.WORKING, external_order_id=result["order_id"])
        record = server.fill(result["order_id"], "85")
        assert record is not None
        fill = SimpleNamespace(
            order_id=record["order_id"],
            quantity=D(record["filled_base_qty"]),
            price=D(record["execution_price"]),
            trade_id=record["id"],
            commission=D(record["commission"]),
        )
        await carried_out(manager, self=me, fill=fill)

        after = oms.get_order(order.order_id)
        assert after is not None
        assert (after.state, after.quantity, after.filled_quantity) == (OrderState.WORKING, D(385), D(85))
        assert server.orders[result["order_id"]].quantity == 385
