"""
The order management of the public DeltaDeFi bot, on an event log: replaces its module `bot.oms`.

The bot expects that a call about an unknown or done order is logged and returns, that limits come from its own
settings, that a quantity is rounded as the bot rounds it before it sends it, and that its table `orders` has a row of
each order: its cleanup cancels every other order at the venue.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

from oms_es.api.oms import OrderManagementSystem as ExactOrderManagementSystem
from oms_es.api.risk_manager import RiskManager
from oms_es.engine.settings import Settings
from oms_es.errors import (
    AmbiguousOrder,
    FillQuarantinedError,
    InvalidTransition,
    OmsError,
    OrderRejected,
    UnknownOrder,
)
from oms_es.identifiers import shown
from oms_es.projections.views import OMSOrder, Position
from oms_es.venues.rounding import nearest
from oms_es.vocabulary import OrderSide, OrderState, OrderType

if TYPE_CHECKING:
    from oms_es.venues.deltadefi import DeltaDefi

__all__ = [
    "DeltaDeFiClient",
    "OMSOrder",
    "OrderManagementSystem",
    "OrderSide",
    "OrderState",
    "OrderType",
    "Position",
    "RiskManager",
]
_log = logging.getLogger("oms_es")
_LIMITS = {
    "risk": ("max_position_size", "max_daily_loss", "max_open_orders", "emergency_stop"),
    "trading": ("min_quote_size", "max_skew"),
}
_STATUS = {  # of a row in the bot's table
    OrderState.PENDING: "pending",
    OrderState.WORKING: "submitted",
    OrderState.FILLED: "filled",
    OrderState.CANCELLED: "canceled",
    OrderState.REJECTED: "rejected",
    OrderState.FAILED: "failed",
}
_KNOWN = (UnknownOrder, InvalidTransition, AmbiguousOrder)  # errors that the bot expects to be logged only


class OrderManagementSystem(ExactOrderManagementSystem):
    """
    The OMS with the habits that the bot relies on.

    Args:
        settings: as in `oms_es.OrderManagementSystem`; None: the limits in the bot's `bot.config.settings`.
        quantity_step: the bot sends quantities rounded to it; None: as they are.
        options: the other arguments of `oms_es.OrderManagementSystem`.
    """

    def __init__(self, settings: Any = None, *, quantity_step: Decimal | int | str | None = 1, **options: Any) -> None:
        super().__init__(_bot_settings() if settings is None else settings, **options)
        self._step = None if quantity_step is None else Decimal(quantity_step)
        self._rows = _bot_attribute("bot.db.repo", "order_repo")

    async def submit_order(
        self,
        symbol: str,
        side: OrderSide | str,
        order_type: OrderType | str,
        quantity: Any,
        price: Any = None,
        order_id: str | None = None,
        **options: Any,
    ) -> OMSOrder:
        """Submit an order with the quantity that the bot will send."""
        quantity = nearest(_exact(quantity), self._step, "quantity", ROUND_HALF_EVEN)
        try:
            order = await super().submit_order(symbol, side, order_type, quantity, _exact(price), order_id, **options)
        except OrderRejected as error:
            await self._write_row(error.order, is_new=True)
            raise
        await self._write_row(order, is_new=True)
        return order

    async def update_order_state(  # type: ignore[override]
        self, order_id: str, new_state: OrderState | str, **options: Any
    ) -> OMSOrder | None:
        """Record a state; one that cannot be is logged."""
        if options.get("external_order_id") in ("None", ""):  # the text of a missing id
            options["external_order_id"] = None
        try:
            order = await super().update_order_state(order_id, new_state, **options)
        except _KNOWN as error:
            return self._logged(order_id, error)
        await self._write_row(order)
        return order

    async def cancel_order(  # type: ignore[override]
        self, order_id: str, reason: str = "User requested", **options: Any
    ) -> OMSOrder | None:
        """Cancel an order; a done one is returned as it is."""
        try:
            order = await super().cancel_order(order_id, reason, **options)
        except _KNOWN as error:
            return self._logged(order_id, error)
        await self._write_row(order)
        return order

    async def add_fill(  # type: ignore[override]
        self,
        order_id: str,
        fill_quantity: Any,
        fill_price: Any,
        trade_id: str | None = None,
        fee: Any = Decimal(0),
        symbol: str | None = None,
        side: OrderSide | str | None = None,
        **options: Any,
    ) -> OMSOrder | None:
        """Record a fill under our order id or the venue's; one in quarantine is logged."""
        try:
            order = await super().add_fill(
                order_id,
                _exact(fill_quantity),
                _exact(fill_price),
                trade_id,
                _exact(fee),
                symbol=symbol,
                side=side,
                **options,
            )
        except (FillQuarantinedError, *_KNOWN) as error:
            return self._logged(order_id, error)
        await self._write_row(order)
        return order

    def sync_open_order_count(self) -> int:
        """Return the number of open orders."""
        return self.risk_manager.open_order_count

    def get_portfolio_summary(self, *, account: str | None = None) -> dict[str, Any]:
        """Return the summary; `daily_pnl` is NaN where there are several currencies, so that `float` accepts it."""
        summary = super().get_portfolio_summary(account=account)
        return {key: Decimal("NaN") if value is None else value for key, value in summary.items()}

    def _logged(self, order_id: str, error: OmsError) -> OMSOrder | None:
        _log.warning("order %s: %s", shown(order_id), error)
        with suppress(AmbiguousOrder):
            return self.get_order(order_id)
        return None

    async def _write_row(self, order: OMSOrder | None, *, is_new: bool = False) -> None:
        """Write an order into the bot's own table; the log is right without it, so an error there is only logged."""
        if self._rows is None or order is None:
            return
        try:
            if is_new and await self._rows.get_order(order.order_id) is None:
                await self._rows.create_order(_row(order))
            status = "partially_filled" if order.filled_quantity and order.state.is_open else _STATUS[order.state]
            await self._rows.update_order_status(
                order.order_id,
                status,
                deltadefi_order_id=order.external_order_id,
                error_message=order.error_message or "; ".join(order.violations) or None,
            )
            if order.filled_quantity:
                average = float(order.avg_fill_price)
                await self._rows.update_order_fill(order.order_id, float(order.filled_quantity), average)
        except Exception:
            _log.exception("the bot's table of orders could not be written")


def _row(order: OMSOrder) -> dict[str, Any]:
    """Return an order as the bot's table has it, with floats."""
    return {
        "order_id": order.order_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "order_type": order.order_type.value,
        "price": None if order.price is None else float(order.price),
        "quantity": float(order.quantity),
        "status": "pending",
    }


def _exact(value: Any) -> Any:
    """Return a float as the Decimal of its shortest text; anything else as it is."""
    return Decimal(repr(value)) if isinstance(value, float) else value


def _bot_attribute(module: str, name: str) -> Any:
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


def _bot_settings() -> Settings | None:
    """Return the limits of the bot's settings; None: the bot's module cannot be imported."""
    source = _bot_attribute("bot.config", "settings")
    if source is None:
        return None
    found: dict[str, Mapping[str, Any]] = {}
    for section, names in _LIMITS.items():
        part = getattr(source, section, None)
        values = {name: getattr(part, name) for name in names if getattr(part, name, None) is not None}
        found[section] = {name: _exact(value) for name, value in values.items()}
    return Settings.from_mapping(found)


class DeltaDeFiClient:
    """
    The calls of the bot's client of the venue that its pipeline uses.

    Args:
        venue: the adapter that carries them out.
    """

    def __init__(self, venue: "DeltaDefi") -> None:
        self.venue = venue

    async def submit_order(
        self,
        symbol: str,
        side: OrderSide | str,
        order_type: OrderType | str,
        quantity: Any,
        price: Any = None,
        **_: Any,
    ) -> dict[str, Any]:
        """
        Place an order; return its id at the venue and its status.

        Raises:
            Refused: the venue did nothing.
            Unsure: the venue may have done it.
        """
        order = OMSOrder(
            order_id="",
            symbol=symbol,
            side=OrderSide(side),
            order_type=OrderType(order_type),
            quantity=Decimal(_exact(quantity)),
            price=None if price is None else Decimal(_exact(price)),
        )
        external = await self.venue.prepare(order)
        report = await self.venue.place(replace(order, external_order_id=external))
        return {"order_id": external, "status": str(getattr(report.status, "value", report.status))}

    async def cancel_order(self, order_id: str, **_: Any) -> dict[str, Any]:
        """Ask for the cancel of an order by its id at the venue."""
        await self.venue.cancel_by_id(order_id)
        return {"order_id": order_id}

    async def get_open_orders(self, symbol: str | None = None, **_: Any) -> list[dict[str, Any]]:
        """Return the open orders at the venue."""
        reports = await self.venue.open_orders()
        return [
            {"order_id": each.external_order_id, "symbol": each.symbol, "side": each.side, "quantity": each.quantity}
            for each in reports
            if symbol in (None, each.symbol)
        ]
