"""
Read models: the columns of orders, fills, positions, daily P&L and quarantine.

JSON, SQL tables, CSV, Parquet and the command line all have their columns from here. Decimals and times of positions
are exact; `timed` makes text of those times.
"""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from oms_es.decimals import canonical, plus, times
from oms_es.domain.order import Order
from oms_es.domain.order_fills import Fill, QuarantinedFill
from oms_es.projections.position_state import DayKey, Mark, PositionDay, PositionState
from oms_es.timestamps import iso

T = TypeVar("T")
_NAMES = {
    "flag": (
        "reduce_only external late forced busted corrected order_known correction adds_up agrees inferred "
        "pending_cancel pending_replace bust"
    ),
    "count": "seq originator_version fills waiting age_ns mark_age_ns limits_seq",
    "decimal": (
        "quantity price filled_quantity remaining_quantity open_quantity avg_fill_price fees fee notional avg_price "
        "cost_basis realized_pnl gross_realized_pnl mark_price unrealized_pnl unrealized_change total_pnl multiplier "
        "fill_quantity fill_price change total_realized_pnl cost proceeds stop_price"
    ),
    "date": "trading_day",
}
_KINDS = {name: kind for kind, names in _NAMES.items() for name in names.split()}


def kind(name: str) -> str:
    """Return the kind of a column: flag, count, decimal, time, date or text. All but flags and counts are text here."""
    return _KINDS.get(name) or ("time" if name == "at" or name.endswith("_at") else "text")


class ReadModel(Generic[T]):
    """The columns of a read model, in order."""

    def __init__(self, **values: Callable[[T], Any]) -> None:
        self.columns = tuple(values)
        self._values = tuple(values.items())

    def row(self, source: T) -> dict[str, Any]:
        """Return a row with exact values; None where there is none."""
        return {name: value(source) for name, value in self._values}


class OrderFill(NamedTuple):
    """A fill and its order."""

    order: Order
    fill: Fill


class MarkedPosition(NamedTuple):
    """A position and the last mark of its symbol."""

    state: PositionState
    mark: Mark | None


class BookedDay(NamedTuple):
    """A trading day of a position."""

    key: DayKey
    day: PositionDay


class WaitingFill(NamedTuple):
    """A fill in quarantine, and the moment that its age is counted to (ns UTC)."""

    quarantined: QuarantinedFill
    now: int


ORDER = ReadModel[Order](
    order_id=lambda order: order.order_id,
    account=lambda order: order.account,
    symbol=lambda order: order.symbol,
    side=lambda order: order.side.value,
    order_type=lambda order: order.submitted.order_type.value,
    quantity=lambda order: order.quantity,
    price=lambda order: order.price,
    state=lambda order: order.state.value,
    filled_quantity=lambda order: order.filled_quantity,
    remaining_quantity=lambda order: order.remaining_quantity,
    open_quantity=lambda order: order.open_quantity,
    avg_fill_price=lambda order: order.avg_fill_price if order.filled_quantity else None,
    fees=lambda order: canonical(order.fees),
    time_in_force=lambda order: order.submitted.time_in_force.value,
    reduce_only=lambda order: order.submitted.reduce_only,
    external=lambda order: order.submitted.external,
    external_order_id=lambda order: order.external_order_ids[-1] if order.external_order_ids else None,
    error_message=lambda order: order.error_message,
    reason=lambda order: order.reason or None,
    violations=lambda order: list(order.violations),
    fills=lambda order: sum(not fill.busted for fill in order.fills),
    waiting=lambda order: len(order.waiting),
    pending_cancel=lambda order: order.pending_cancel,
    pending_replace=lambda order: order.replacement is not None,
    stop_price=lambda order: order.submitted.stop_price,
    oco_group=lambda order: order.submitted.oco_group,
    tags=lambda order: order.submitted.tags or None,
    other_fees=lambda order: dict(order.other_fees) or None,
)

FILL = ReadModel[OrderFill](
    seq=lambda each: each.fill.seq,
    occurred_at=lambda each: iso(each.fill.occurred_at),
    account=lambda each: each.order.account,
    order_id=lambda each: each.order.order_id,
    symbol=lambda each: each.order.symbol,
    side=lambda each: each.order.side.value,
    quantity=lambda each: each.fill.quantity,
    price=lambda each: each.fill.price,
    fee=lambda each: each.fill.fee,
    notional=lambda each: canonical(times(times(each.fill.quantity, each.fill.price), each.fill.multiplier)),
    currency=lambda each: each.fill.currency,
    trade_id=lambda each: each.fill.trade_id,
    late=lambda each: each.fill.late,
    forced=lambda each: each.fill.forced,
    busted=lambda each: each.fill.busted,
    corrected=lambda each: each.fill.corrected,
    inferred=lambda each: each.fill.inferred,
    fee_currency=lambda each: each.fill.fee_currency or each.fill.currency,
    liquidity=lambda each: each.fill.liquidity,
    tags=lambda each: each.order.submitted.tags or None,
)

POSITION = ReadModel[MarkedPosition](
    account=lambda each: each.state.account,
    symbol=lambda each: each.state.symbol,
    quantity=lambda each: each.state.quantity,
    avg_price=lambda each: each.state.avg_price,
    cost_basis=lambda each: each.state.cost_basis,
    realized_pnl=lambda each: each.state.realized,
    gross_realized_pnl=lambda each: each.state.gross,
    fees=lambda each: each.state.fees,
    mark_price=lambda each: None if each.mark is None else each.mark.price,
    mark_at=lambda each: None if each.mark is None else each.mark.at,
    unrealized_pnl=lambda each: None if each.mark is None else each.state.unrealized(each.mark.price),
    currency=lambda each: each.state.currency,
    multiplier=lambda each: each.state.multiplier,
    fills=lambda each: each.state.fills,
    updated_at=lambda each: each.state.updated_at,
    other_fees=lambda each: dict(each.state.other_fees) or None,
)

DAY = ReadModel[BookedDay](
    trading_day=lambda each: each.key[0],
    account=lambda each: each.key[1],
    symbol=lambda each: each.key[2],
    currency=lambda each: each.key[3],
    realized_pnl=lambda each: each.day.realized,
    gross_realized_pnl=lambda each: each.day.gross,
    fees=lambda each: each.day.fees,
    unrealized_pnl=lambda each: each.day.unrealized,
    unrealized_change=lambda each: each.day.moved,
    total_pnl=lambda each: canonical(plus(each.day.realized, each.day.moved)),
    fills=lambda each: each.day.fills,
)

QUARANTINE = ReadModel[WaitingFill](
    quarantine_id=lambda each: each.quarantined.fill.quarantine_id,
    account=lambda each: each.quarantined.fill.account,
    order_id=lambda each: each.quarantined.fill.order_id,
    order_known=lambda each: each.quarantined.fill.order_known,
    why=lambda each: each.quarantined.fill.why.value,
    symbol=lambda each: each.quarantined.fill.symbol,
    side=lambda each: None if each.quarantined.fill.side is None else each.quarantined.fill.side.value,
    quantity=lambda each: each.quarantined.fill.fill_quantity,
    price=lambda each: each.quarantined.fill.fill_price,
    fee=lambda each: each.quarantined.fill.fee,
    trade_id=lambda each: each.quarantined.fill.trade_id,
    correction=lambda each: each.quarantined.fill.correction,
    bust=lambda each: each.quarantined.fill.bust,
    occurred_at=lambda each: iso(each.quarantined.occurred_at),
    recorded_at=lambda each: iso(each.quarantined.recorded_at),
    age_ns=lambda each: max(0, each.now - each.quarantined.occurred_at),
    seq=lambda each: each.quarantined.seq,
)

order_row = ORDER.row


_LATER = {"pending_cancel", "pending_replace", "stop_price", "oco_group", "tags", "other_fees"}


def digest_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as digests have it: without columns that early releases did not have, if they are empty."""
    return {name: value for name, value in row.items() if value or name not in _LATER}


def position_row(state: PositionState, mark: Mark | None) -> dict[str, Any]:
    """Return a position as its row, at a mark."""
    return POSITION.row(MarkedPosition(state, mark))


def quarantine_row(quarantined: QuarantinedFill, now: int) -> dict[str, Any]:
    """Return a fill in quarantine as its row; its age is counted to `now`, ns UTC."""
    return QUARANTINE.row(WaitingFill(quarantined, now))


def timed(position: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a position with its times as ISO text."""
    marked_at = position["mark_at"]
    texts = {"mark_at": None if marked_at is None else iso(marked_at), "updated_at": iso(position["updated_at"])}
    return {**position, **texts}
