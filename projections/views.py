"""Read-only views with the spec's fields, as the API returns them; a view never changes after that."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from oms_es.decimals import ZERO, canonical, divide, minus
from oms_es.domain.events import FillQuarantined, QuarantineResolved
from oms_es.domain.order import Order
from oms_es.domain.order_fills import Fill
from oms_es.projections.position_state import PositionState
from oms_es.projections.positions import Positions
from oms_es.timestamps import SECOND
from oms_es.vocabulary import DEFAULT_ACCOUNT, OrderSide, OrderState, OrderType, TimeInForce

MANY = 50  # fills


@dataclass(frozen=True, kw_only=True)
class OMSOrder:
    """An order at one moment. Quantities in base units, prices in quote units, fees in quote units."""

    order_id: str
    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    state: OrderState = OrderState.IDLE
    filled_quantity: Decimal = ZERO
    avg_fill_price: Decimal = ZERO
    external_order_id: str | None = None
    fills: list[dict[str, Any]] = field(default_factory=list)
    account: str = DEFAULT_ACCOUNT
    error_message: str | None = None
    reason: str = ""
    violations: tuple[str, ...] = ()
    fees: Decimal = ZERO
    open_quantity: Decimal = ZERO
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    external: bool = False
    pending_cancel: bool = False  # the venue was asked to cancel it and has not answered
    pending_replace: bool = False
    order_ids: tuple[str, ...] = ()  # all client ids of a chain of replaces, ours first
    external_order_ids: tuple[str, ...] = ()
    stop_price: Decimal | None = None
    oco_group: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    other_fees: dict[str, Decimal] = field(default_factory=dict)  # in other currencies, by currency
    created_at: float = 0.0  # seconds since 1970, UTC
    updated_at: float = 0.0

    if not TYPE_CHECKING:  # of more than `MANY` fills, the views are made when they are read

        def __getattr__(self, name: str) -> Any:
            if name != "fills" or "_fills" not in self.__dict__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            found = self.__dict__["fills"] = _fill_views(self.__dict__.pop("_fills"))
            return found

    @property
    def remaining_quantity(self) -> Decimal:
        """Return quantity minus filled quantity."""
        return canonical(minus(self.quantity, self.filled_quantity))

    @property
    def is_complete(self) -> bool:
        """Return whether the order is in a terminal state."""
        return self.state.is_terminal

    @property
    def fill_ratio(self) -> float:
        """Return the filled part of the quantity, 0.0 to 1.0."""
        return float(divide(self.filled_quantity, self.quantity)) if self.quantity else 0.0


@dataclass(frozen=True, kw_only=True)
class Position:
    """A position at one moment; + long, - short."""

    symbol: str
    quantity: Decimal = ZERO
    avg_price: Decimal = ZERO  # 0 when flat
    realized_pnl: Decimal = ZERO  # net of fees
    unrealized_pnl: Decimal | None = None  # at the last mark; None without one
    last_update: float = 0.0  # seconds since 1970, UTC
    account: str = DEFAULT_ACCOUNT
    cost_basis: Decimal = ZERO
    gross_realized_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    mark_price: Decimal | None = None
    currency: str = "USD"  # of its prices, fees and P&L
    other_fees: dict[str, Decimal] = field(default_factory=dict)  # in other currencies, by currency
    tag: str | None = None  # of a query by tag: the value of the tag


@dataclass(frozen=True, kw_only=True)
class QuarantineChange:
    """A fill that was put in quarantine, accepted or rejected; the figures are None of one that was decided."""

    quarantine_id: str
    account: str
    order_id: str
    state: str  # waiting, accepted or rejected
    waiting: int  # fills in quarantine after the change
    why: str | None = None
    symbol: str | None = None
    side: OrderSide | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    fee: Decimal | None = None
    trade_id: str | None = None
    reason: str = ""
    actor: str = ""


def quarantine_change(event: FillQuarantined | QuarantineResolved, waiting: int) -> QuarantineChange:
    """Return an event of quarantine as the API shows it."""
    if isinstance(event, QuarantineResolved):
        return QuarantineChange(
            quarantine_id=event.quarantine_id,
            account=event.account,
            order_id=event.order_id,
            state="accepted" if event.accepted else "rejected",
            waiting=waiting,
            reason=event.reason,
            actor=event.actor,
        )
    return QuarantineChange(
        quarantine_id=event.quarantine_id,
        account=event.account,
        order_id=event.order_id,
        state="waiting",
        waiting=waiting,
        why=event.why.value,
        symbol=event.symbol,
        side=event.side,
        quantity=event.fill_quantity,
        price=event.fill_price,
        fee=event.fee,
        trade_id=event.trade_id,
        reason=event.reason,
        actor=event.actor,
    )


def order_view(order: Order) -> OMSOrder:
    """Return the order as the API shows it."""
    submitted = order.submitted
    view = object.__new__(OMSOrder)
    view.__dict__.update(  # a frozen dataclass sets its fields one by one, which takes six times as long
        order_id=submitted.order_id,
        symbol=submitted.symbol,
        side=submitted.side,
        order_type=submitted.order_type,
        quantity=order.quantity,
        price=order.price,
        state=order.state,
        filled_quantity=order.filled_quantity,
        avg_fill_price=order.avg_fill_price,
        external_order_id=order.external_order_ids[-1] if order.external_order_ids else None,
        account=submitted.account,
        error_message=order.error_message,
        reason=order.reason,
        violations=order.violations,
        fees=canonical(order.fees),
        open_quantity=order.open_quantity,
        time_in_force=submitted.time_in_force,
        reduce_only=submitted.reduce_only,
        external=submitted.external,
        pending_cancel=order.pending_cancel,
        pending_replace=order.replacement is not None,
        order_ids=(submitted.order_id, *order.aliases) if order.aliases else (submitted.order_id,),
        external_order_ids=order.external_order_ids,
        stop_price=submitted.stop_price,
        oco_group=submitted.oco_group,
        tags=submitted.tags,
        other_fees=dict(order.other_fees) if order.other_fees else {},
        created_at=order.submitted_at / SECOND,
        updated_at=order.updated_at / SECOND,
    )
    if len(order.fills) > MANY:
        view.__dict__["_fills"] = order.fills
    else:
        view.__dict__["fills"] = _fill_views(order.fills)
    return view


def _fill_views(fills: tuple[Fill, ...]) -> list[dict[str, Any]]:
    return [_fill_view(fill) for fill in fills if not fill.busted]


def _fill_view(fill: Fill) -> dict[str, Any]:
    return {
        "quantity": fill.quantity,
        "price": fill.price,
        "fee": fill.fee,
        "trade_id": fill.trade_id,
        "timestamp": fill.occurred_at / SECOND,
        "occurred_at": fill.occurred_at,
        "seq": fill.seq,
        "late": fill.late,
        "forced": fill.forced,
        "corrected": fill.corrected,
        "inferred": fill.inferred,
        "fee_currency": fill.fee_currency or fill.currency,
        "liquidity": fill.liquidity,
    }


def position_view(positions: Positions, held: PositionState) -> Position:
    """Return the position as the API shows it."""
    row = positions.row(held)
    return Position(
        symbol=held.symbol,
        quantity=held.quantity,
        avg_price=row["avg_price"] or ZERO,
        realized_pnl=row["realized_pnl"],
        unrealized_pnl=row["unrealized_pnl"],
        last_update=held.updated_at / SECOND,
        account=held.account,
        cost_basis=held.cost_basis,
        gross_realized_pnl=held.gross,
        fees=held.fees,
        mark_price=row["mark_price"],
        currency=held.currency,
        other_fees=dict(held.other_fees),
    )
