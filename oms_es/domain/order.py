"""
The state of one order (`Order`) and how events change it (`evolve`).

`decide` in `order_rules` may refuse a command; `evolve` may not refuse an event, because it has already happened.
The rules are those of FIX's order state changes (FIX 4.4 volume 4, appendix D) over the spec's seven states.
"""

from collections.abc import Callable
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from oms_es.decimals import ONE, ZERO, canonical, divide, minus, plus, text, times
from oms_es.domain.contents import Content, Contents
from oms_es.domain.events import (
    AmendRefused,
    Event,
    ExternalIdAssigned,
    FillAdded,
    FillBusted,
    FillCorrected,
    FillQuarantined,
    MergedFill,
    OrderAmended,
    OrderEvent,
    OrdersMerged,
    OrderSubmitted,
    QuarantineEvent,
    QuarantineResolved,
    StateChanged,
)
from oms_es.vocabulary import OrderSide, OrderState, OrderType

S = OrderState
_WORKING, _PENDING = S.WORKING, S.PENDING  # a member is found faster under a name of its own


NO_CONTENTS = Contents()


class Fill(Struct, frozen=True, kw_only=True):
    """One execution, with all corrections so far."""

    quantity: Decimal
    price: Decimal
    fee: Decimal
    trade_id: str | None
    occurred_at: int  # ns UTC, at the venue
    seq: int  # of the event that added it
    multiplier: Decimal = ONE
    currency: str = "USD"
    late: bool = False
    forced: bool = False
    busted: bool = False
    corrected: bool = False
    booked_as: str | None = None  # the order id of its event, if that order was merged into this one


class QuarantinedFill(Struct, frozen=True, kw_only=True):
    """A fill in quarantine, with its times."""

    fill: FillQuarantined
    occurred_at: int
    recorded_at: int
    seq: int


class Order(Struct, frozen=True, kw_only=True):
    """An order after its events so far; immutable, so a reader never sees a partial change."""

    submitted: OrderSubmitted
    quantity: Decimal
    price: Decimal | None
    state: OrderState = S.IDLE
    filled_quantity: Decimal = ZERO
    filled_cost: Decimal = ZERO  # sum of quantity times price; exact, unlike an average
    fees: Decimal = ZERO
    fills: tuple[Fill, ...] = ()
    contents: Contents = NO_CONTENTS  # of every reported trade, with busted and quarantined ones
    external_order_ids: tuple[str, ...] = ()
    error_message: str | None = None
    reason: str = ""
    violations: tuple[str, ...] = ()
    waiting: tuple[QuarantinedFill, ...] = ()  # fills in quarantine
    quarantined: int = 0  # number of fills that ever were in quarantine
    submitted_at: int = 0
    updated_at: int = 0
    version: int = 0
    last_seq: int = 0  # of its last event
    recorded_at: int = 0  # of its last event
    known_at: int = 0  # when its submission was recorded
    merged_into: str | None = None  # the id of our order that this external order was merged into

    @property
    def account(self) -> str:
        """Return the account of the order."""
        return self.submitted.account

    @property
    def order_id(self) -> str:
        """Return our id of the order (FIX ClOrdID 11)."""
        return self.submitted.order_id

    @property
    def symbol(self) -> str:
        """Return the symbol of the order."""
        return self.submitted.symbol

    @property
    def side(self) -> OrderSide:
        """Return the side of the order."""
        return self.submitted.side

    @property
    def is_external(self) -> bool:
        """Return whether another session placed the order."""
        return self.submitted.external

    @property
    def is_open(self) -> bool:
        """Return whether the order counts as an open order."""
        state = self.state
        return (state is _WORKING or state is _PENDING) and not self.submitted.external

    @property
    def open_quantity(self) -> Decimal:
        """Return the quantity that can still be filled (FIX LeavesQty 151); 0 when the order is done."""
        state = self.state
        if (state is not _WORKING and state is not _PENDING) or self.submitted.external:
            return ZERO
        return max(ZERO, minus(self.quantity, self.filled_quantity)) if self.filled_quantity else self.quantity

    @property
    def remaining_quantity(self) -> Decimal:
        """Return quantity minus filled quantity."""
        return canonical(minus(self.quantity, self.filled_quantity))

    @property
    def avg_fill_price(self) -> Decimal:
        """Return the average fill price (FIX AvgPx 6); 0 without fills."""
        if not self.filled_quantity:
            return ZERO
        if len(self.fills) == 1 and not self.fills[0].busted:
            return canonical(self.fills[0].price)
        return divide(self.filled_cost, self.filled_quantity)


def evolve(order: Order | None, event: Event, occurred_at: int, recorded_at: int, seq: int) -> Order:
    """
    Return the order after `event`.

    Args:
        order: None before the first event of its stream.
        event: one of the order's stream.
        occurred_at: time at the venue, ns UTC.
        recorded_at: time of the append, ns UTC.
        seq: position of the event in the log.
    """
    if order is None:
        assert isinstance(event, OrderSubmitted), f"a stream begins with OrderSubmitted, not {type(event).__name__}"
        return Order(
            submitted=event,
            quantity=ZERO if event.external else event.quantity,
            price=event.price,
            submitted_at=occurred_at,
            updated_at=occurred_at,
            version=1,
            last_seq=seq,
            recorded_at=recorded_at,
            known_at=recorded_at,
        )
    changed = _EVOLVE[type(event)](order, event, occurred_at, recorded_at, seq)
    return replace(
        changed,
        version=order.version + 1,
        updated_at=max(order.updated_at, occurred_at),
        last_seq=seq,
        recorded_at=recorded_at,
    )


def _state_changed(order: Order, event: StateChanged, *_: int) -> Order:
    if not event.reason and not event.violations and event.external_order_id is None and event.error_message is None:
        return replace(order, state=event.new)
    names = () if event.external_order_id is None else (event.external_order_id,)
    return replace(
        order,
        state=event.new,
        reason=event.reason or order.reason,
        violations=event.violations or order.violations,
        error_message=order.error_message if event.error_message is None else event.error_message,
        external_order_ids=_with_names(order, names),
    )


def _with_names(order: Order, names: tuple[str, ...]) -> tuple[str, ...]:
    known = order.external_order_ids
    return (*known, *(name for name in names if name not in known)) if names else known


def _id_assigned(order: Order, event: ExternalIdAssigned, *_: int) -> Order:
    message = order.error_message if event.error_message is None else event.error_message
    return replace(order, external_order_ids=_with_names(order, (event.external_order_id,)), error_message=message)


def _merged(order: Order, event: OrdersMerged, *_: int) -> Order:
    if event.into is not None:
        return replace(order, merged_into=event.into)
    order = replace(order, external_order_ids=_with_names(order, event.external_order_ids))
    for each in event.fills:
        fill = _fill_of(each)
        counted = ZERO_FILL if each.busted else fill
        order = _with_fills(order, (*order.fills, fill), counted, ZERO_FILL, _content_of(order, fill))
    return order


def _fill_of(merged: MergedFill) -> Fill:
    return Fill(
        quantity=merged.fill_quantity,
        price=merged.fill_price,
        fee=merged.fee,
        trade_id=merged.trade_id,
        occurred_at=merged.occurred_at,
        seq=merged.seq,
        multiplier=merged.multiplier,
        currency=merged.currency,
        late=merged.late,
        forced=merged.forced,
        busted=merged.busted,
        corrected=merged.corrected,
        booked_as=merged.booked_as,
    )


def merged_fill(fill: Fill, order_id: str) -> MergedFill:
    """Return a fill of the order `order_id` as a part of `OrdersMerged`."""
    return MergedFill(
        seq=fill.seq,
        booked_as=fill.booked_as or order_id,
        fill_quantity=fill.quantity,
        fill_price=fill.price,
        occurred_at=fill.occurred_at,
        trade_id=fill.trade_id,
        fee=fill.fee,
        multiplier=fill.multiplier,
        currency=fill.currency,
        late=fill.late,
        forced=fill.forced,
        busted=fill.busted,
        corrected=fill.corrected,
    )


def _content_of(order: Order, fill: Fill) -> Content | None:
    if fill.trade_id is None:
        return None
    return Content(fill.trade_id, fill.quantity, fill.price, fill.fee, order.symbol, order.side.value)


def _fill_added(order: Order, event: FillAdded, occurred_at: int, _: int, seq: int) -> Order:
    fill = Fill(
        quantity=event.fill_quantity,
        price=event.fill_price,
        fee=event.fee,
        trade_id=event.trade_id,
        occurred_at=occurred_at,
        seq=seq,
        multiplier=event.multiplier,
        currency=event.currency,
        late=event.late,
        forced=event.forced,
    )
    waiting = _no_longer_waiting(order, event.quarantine_id)
    fills = order.fills + (fill,)  # noqa: RUF005 - of thousands of fills, half of the time
    return _with_fills(waiting, fills, fill, ZERO_FILL, content(event))


def _fill_busted(order: Order, event: FillBusted, *_: int) -> Order:
    old = _restated_fill(order, event)
    if old is None:  # as of a time before the fill was known
        return order
    fills = tuple(replace(f, busted=True) if f is old else f for f in order.fills)
    return _with_fills(order, fills, ZERO_FILL, old, None)


def _restated_fill(order: Order, event: FillBusted | FillCorrected) -> Fill | None:
    """Return the last fill of the trade under the event's order id that is not busted."""
    booked_as = None if event.booked_as == order.order_id else event.booked_as
    fills = (fill for fill in reversed(order.fills) if fill.trade_id == event.trade_id and not fill.busted)
    return next((fill for fill in fills if fill.booked_as == booked_as), None)


def _fill_corrected(order: Order, event: FillCorrected, *_: int) -> Order:
    old, order = _restated_fill(order, event), _no_longer_waiting(order, event.quarantine_id)
    if old is None:
        return order
    new = replace(old, quantity=event.fill_quantity, price=event.fill_price, fee=event.fee, corrected=True)
    fills = tuple(new if f is old else f for f in order.fills)
    return _with_fills(order, fills, new, old, content(event))


ZERO_FILL = Fill(quantity=ZERO, price=ZERO, fee=ZERO, trade_id=None, occurred_at=0, seq=0)


def _with_fills(order: Order, fills: tuple[Fill, ...], new: Fill, old: Fill, known: Content | None) -> Order:
    filled = canonical(minus(plus(order.filled_quantity, new.quantity), old.quantity))
    cost = minus(plus(order.filled_cost, times(new.quantity, new.price)), times(old.quantity, old.price))
    return replace(
        order,
        fills=fills,
        filled_quantity=filled,
        filled_cost=cost,
        fees=minus(plus(order.fees, new.fee), old.fee),
        quantity=filled if order.is_external else order.quantity,
        contents=order.contents.added(known),
    )


def _amended(order: Order, event: OrderAmended, *_: int) -> Order:
    if event.quantity < 0:
        raise ValueError("a quantity is 0 or more")
    return replace(order, quantity=event.quantity, price=event.price)


def _unchanged(order: Order, _event: Event, *_: int) -> Order:
    return order


def _submitted_again(order: Order, event: OrderSubmitted, *_: int) -> Order:
    raise ValueError(f"order {event.order_id!a} was submitted before, by an event before seq {order.last_seq + 1}")


def _quarantined(order: Order, event: FillQuarantined, occurred_at: int, recorded_at: int, seq: int) -> Order:
    waiting = QuarantinedFill(fill=event, occurred_at=occurred_at, recorded_at=recorded_at, seq=seq)
    return replace(
        order,
        waiting=(*order.waiting, waiting),
        quarantined=order.quarantined + 1,
        contents=order.contents.added(content(event)),
    )


def _resolved(order: Order, event: QuarantineResolved, *_: int) -> Order:
    return _no_longer_waiting(order, event.quarantine_id)


def _no_longer_waiting(order: Order, quarantine_id: str | None) -> Order:
    if quarantine_id is None:
        return order
    return replace(order, waiting=tuple(w for w in order.waiting if w.fill.quarantine_id != quarantine_id))


_EVOLVE: dict[type[Event], Callable[..., Order]] = {
    StateChanged: _state_changed,
    ExternalIdAssigned: _id_assigned,
    OrdersMerged: _merged,
    FillAdded: _fill_added,
    OrderAmended: _amended,
    AmendRefused: _unchanged,
    FillBusted: _fill_busted,
    FillCorrected: _fill_corrected,
    FillQuarantined: _quarantined,
    QuarantineResolved: _resolved,
    OrderSubmitted: _submitted_again,
}


def content(event: FillAdded | FillCorrected | FillQuarantined) -> Content | None:
    """Return the content by which a repetition of this trade is recognised; None without a trade id."""
    if event.trade_id is None:
        return None
    side = "" if event.side is None else "buy" if event.side is OrderSide.BUY else "sell"  # faster than `.value`
    figures = (event.fill_quantity, event.fill_price, event.fee)
    return Content(event.trade_id, *figures, event.symbol or "", side)


def find_fill(order: Order, trade_id: str) -> Fill | None:
    """Return the order's last fill with this trade id that is not busted; None if there is none."""
    if not order.contents.of(trade_id):  # nearly always, and of thousands of fills much sooner
        return None
    found = (f for f in reversed(order.fills) if f.trade_id == trade_id and not f.busted)
    return next(found, None)


def is_order_event(event: Event) -> bool:
    """Return whether the event is in the stream of an order."""
    return isinstance(event, OrderEvent) or (isinstance(event, QuarantineEvent) and event.order_known)


def describe(order: Order) -> str:
    """Return a short description of the order, for messages."""
    kind = "market" if order.submitted.order_type is OrderType.MARKET else text(order.price or ZERO)
    return f"{order.side.value} {text(order.quantity)} {order.symbol} @ {kind} ({order.state.value})"
