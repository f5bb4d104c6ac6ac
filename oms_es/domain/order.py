"""
The state of one order (`Order`) and how events change it (`evolve`).

`decide` in `order_rules` may refuse a command; `evolve` may not refuse an event, because it has already happened.
The rules are those of FIX's order state changes (FIX 4.4 volume 4, appendix D) over the spec's seven states.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from oms_es.decimals import ZERO, canonical, divide, minus, plus, text, times
from oms_es.domain.contents import Content, Contents
from oms_es.domain.events import (
    AmendRefused,
    CancelRejected,
    CancelRequested,
    Event,
    ExternalIdAssigned,
    FillAdded,
    FillBusted,
    FillCorrected,
    FillQuarantined,
    OrderAmended,
    OrderEvent,
    OrdersMerged,
    OrderSubmitted,
    QuarantineEvent,
    QuarantineResolved,
    ReplaceRejected,
    ReplaceRequested,
    StateChanged,
)
from oms_es.domain.order_fills import ZERO_FILL, Fill, QuarantinedFill, any_content, content, content_of, fill_of
from oms_es.vocabulary import OrderSide, OrderState

S = OrderState
_WORKING, _PENDING = S.WORKING, S.PENDING  # a member is found faster under a name of its own


NO_CONTENTS = Contents()


class Replacement(Struct, frozen=True, kw_only=True):
    """What the venue was asked to replace an order by; None: unchanged."""

    quantity: Decimal | None = None  # the new total
    price: Decimal | None = None
    new_order_id: str | None = None


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
    aliases: tuple[str, ...] = ()  # further client ids: those of a chain of replaces
    linked_as: tuple[tuple[str, str], ...] = ()  # venue's ids with the client ids that they were reported with
    replaced_ids: tuple[str, ...] = ()  # ids of it that a replace has put out of use at the venue
    cancelled_id: str | None = None  # the id under which the venue reported it as cancelled
    pending_cancel: bool = False  # the venue was asked to cancel it and has not answered
    replacement: Replacement | None = None  # the venue was asked for it and has not answered
    amended_at: int = 0  # time of the last amendment, ns UTC
    inferred_quantity: Decimal = ZERO  # of the inferred fills among `fills`
    other_fees: tuple[tuple[str, Decimal], ...] = ()  # fees in other currencies, by currency

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
    def exposed_quantity(self) -> Decimal:
        """Return the quantity that can still be filled, also after a replace that is requested."""
        replacement = self.replacement
        if replacement is None or replacement.quantity is None:
            return self.open_quantity
        return max(self.open_quantity, minus(replacement.quantity, self.filled_quantity)) if self.is_open else ZERO

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
    ends = event.new.is_terminal and (order.pending_cancel or order.replacement is not None)
    if not ends and not (event.reason or event.violations or event.external_order_id or event.error_message):
        return replace(order, state=event.new)
    names = () if event.external_order_id is None else (event.external_order_id,)
    cancelled_id = event.external_order_id if event.new is S.CANCELLED and event.from_report else None
    return replace(
        order,
        state=event.new,
        reason=event.reason or order.reason,
        violations=event.violations or order.violations,
        error_message=order.error_message if event.error_message is None else event.error_message,
        external_order_ids=_with_names(order, names),
        cancelled_id=cancelled_id,
        pending_cancel=order.pending_cancel and not ends,
        replacement=None if ends else order.replacement,
    )


def _with_names(order: Order, names: tuple[str, ...]) -> tuple[str, ...]:
    return _joined(order.external_order_ids, names)


def _joined(known: tuple[str, ...], names: tuple[str | None, ...]) -> tuple[str, ...]:
    return (*known, *(name for name in names if name is not None and name not in known)) if names else known


def _id_assigned(order: Order, event: ExternalIdAssigned, *_: int) -> Order:
    message = order.error_message if event.error_message is None else event.error_message
    if event.client_id is not None:
        order = replace(order, linked_as=(*order.linked_as, (event.external_order_id, event.client_id)))
    if event.is_replaced:
        order = replace(order, replaced_ids=_joined(order.replaced_ids, (event.external_order_id,)))
    if event.is_client_id:
        return replace(order, aliases=_joined(order.aliases, (event.external_order_id,)), error_message=message)
    return replace(order, external_order_ids=_with_names(order, (event.external_order_id,)), error_message=message)


def _merged(order: Order, event: OrdersMerged, *_: int) -> Order:
    if event.into is not None:
        return replace(order, merged_into=event.into)
    order = replace(order, external_order_ids=_with_names(order, event.external_order_ids))
    for each in event.fills:
        fill = fill_of(each)
        counted = ZERO_FILL if each.busted else fill
        known = content_of(fill, order.symbol, order.side)
        order = _with_fills(order, (*order.fills, fill), counted, ZERO_FILL, known)
    return order


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
        inferred=event.inferred,
        fee_currency=event.fee_currency,
        fee_in_base=event.fee_in_base,
        liquidity=event.liquidity,
        trade_ids=() if event.corrects is None or event.trade_id is None else (event.trade_id, event.corrects),
    )
    waiting = _no_longer_waiting(order, event.quarantine_id)
    fills = order.fills + (fill,)  # noqa: RUF005 - of thousands of fills, half of the time
    if event.corrects is not None:
        waiting = replace(waiting, contents=waiting.contents.added(any_content(event.corrects)))
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
    fills = (fill for fill in reversed(order.fills) if fill.booked_trade_id == event.trade_id and not fill.busted)
    return next((fill for fill in fills if fill.booked_as == booked_as), None)


def _fill_corrected(order: Order, event: FillCorrected, *_: int) -> Order:
    old, order = _restated_fill(order, event), _no_longer_waiting(order, event.quarantine_id)
    if old is None:
        return order
    new = replace(
        old,
        quantity=event.fill_quantity,
        price=event.fill_price,
        fee=event.fee,
        corrected=not event.inferred,
        fee_currency=event.fee_currency,
        fee_in_base=event.fee_in_base,
    )
    if event.correction_id is not None and event.correction_id != old.trade_id:
        assert old.trade_id is not None, "a fill without a trade id is never corrected"
        new = replace(new, trade_id=event.correction_id, trade_ids=(*old.trade_ids, old.trade_id))
    elif event.asked_trade_id is not None and event.asked_trade_id not in (old.trade_id, *old.trade_ids):
        new = replace(new, trade_ids=(*(old.trade_ids or (event.trade_id,)), event.asked_trade_id))
        order = replace(order, contents=order.contents.added(any_content(event.asked_trade_id)))
    fills = tuple(new if f is old else f for f in order.fills)
    known = None if event.inferred else content_of(new, order.symbol, order.side)
    changed = _with_fills(order, fills, new, old, None if event.inferred else content(event))
    return replace(changed, contents=changed.contents.added(known)) if new.trade_ids else changed


def _with_fills(order: Order, fills: tuple[Fill, ...], new: Fill, old: Fill, known: Content | None) -> Order:
    filled = canonical(minus(plus(order.filled_quantity, new.quantity), old.quantity))
    cost = minus(plus(order.filled_cost, times(new.quantity, new.price)), times(old.quantity, old.price))
    changed = replace(
        order,
        fills=fills,
        filled_quantity=filled,
        filled_cost=cost,
        fees=minus(plus(order.fees, new.own_fee), old.own_fee),
        quantity=filled if order.is_external else order.quantity,
        contents=order.contents.added(known),
    )
    return _with_extras(changed, new, old) if _is_special(new) or _is_special(old) else changed


def _is_special(fill: Fill) -> bool:
    return fill.inferred or fill.fee_currency != ""


def _with_extras(order: Order, new: Fill, old: Fill) -> Order:
    """Return the order with its inferred quantity and its fees in other currencies after a change of a fill."""
    inferred, fees = order.inferred_quantity, dict(order.other_fees)
    for fill, change in ((new, plus), (old, minus)):
        if fill.inferred:
            inferred = change(inferred, fill.quantity)
        if fill.fee and fill.own_fee is ZERO:
            fees[fill.fee_currency] = change(fees.get(fill.fee_currency, ZERO), fill.fee)
    other = tuple(sorted((currency, canonical(fee)) for currency, fee in fees.items() if fee))
    return replace(order, inferred_quantity=canonical(inferred), other_fees=other)


def _amended(order: Order, event: OrderAmended, occurred_at: int, *_: int) -> Order:
    if event.quantity < 0:
        raise ValueError("a quantity is 0 or more")
    amended = replace(order, quantity=event.quantity, price=event.price, replacement=None, amended_at=occurred_at)
    if not event.reported:
        return amended
    return replace(
        amended,
        aliases=_joined(order.aliases, (event.new_order_id,)),
        external_order_ids=_joined(order.external_order_ids, (event.external_order_id,)),
        replaced_ids=replaced_ids(order, event.new_order_id, event.external_order_id),
    )


def replaced_ids(order: Order, new_order_id: str | None, external_order_id: str | None) -> tuple[str, ...]:
    """Return the ids that are out of use at the venue after a replace with these ids; None: it gave none."""
    replaced, clients = list(order.replaced_ids), (order.order_id, *order.aliases)
    later: tuple[str, ...] = ()  # client ids of the replaces after this one
    if new_order_id in clients:
        place = clients.index(new_order_id)
        clients, later = clients[:place], clients[place + 1 :]
    linked_later = {name for name, client in order.linked_as if client in later}
    replaced += () if external_order_id is None else (n for n in order.external_order_ids if n not in linked_later)
    replaced += () if new_order_id is None else clients
    return tuple(name for name in dict.fromkeys(replaced) if name not in (new_order_id, external_order_id))


def _cancel_requested(order: Order, _event: CancelRequested, *_: int) -> Order:
    return replace(order, pending_cancel=True)


def _cancel_rejected(order: Order, event: CancelRejected, *_: int) -> Order:
    return replace(order, pending_cancel=False, reason=event.reason or order.reason)


def _replace_requested(order: Order, event: ReplaceRequested, *_: int) -> Order:
    wanted = Replacement(quantity=event.quantity, price=event.price, new_order_id=event.new_order_id)
    return replace(order, replacement=wanted, aliases=_joined(order.aliases, (event.new_order_id,)))


def _replace_rejected(order: Order, event: ReplaceRejected, *_: int) -> Order:
    return replace(order, replacement=None, reason=event.reason or order.reason)


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
    CancelRequested: _cancel_requested,
    CancelRejected: _cancel_rejected,
    ReplaceRequested: _replace_requested,
    ReplaceRejected: _replace_rejected,
    FillBusted: _fill_busted,
    FillCorrected: _fill_corrected,
    FillQuarantined: _quarantined,
    QuarantineResolved: _resolved,
    OrderSubmitted: _submitted_again,
}


def find_fill(order: Order, trade_id: str) -> Fill | None:
    """Return the order's last fill with this trade id that is not busted; None if there is none."""
    if not order.contents.of(trade_id):  # nearly always, and of thousands of fills much sooner
        return None
    found = (
        fill
        for fill in reversed(order.fills)
        if not fill.busted and (fill.trade_id == trade_id or (fill.trade_ids and trade_id in fill.trade_ids))
    )
    return next(found, None)


def after(order: Order, events: Iterable[Event]) -> Order:
    """Return the order after events that are not recorded yet; their times are ignored."""
    for event in events:
        if event.originator_id == f"order/{order.account}/{order.order_id}":
            order = evolve(order, event, order.updated_at, order.recorded_at, order.last_seq)
    return order


def is_order_event(event: Event) -> bool:
    """Return whether the event is in the stream of an order."""
    return isinstance(event, OrderEvent) or (isinstance(event, QuarantineEvent) and event.order_known)


def describe(order: Order) -> str:
    """Return a short description of the order, for messages."""
    kind = "market" if order.price is None else text(order.price)
    return f"{order.side.value} {text(order.quantity)} {order.symbol} @ {kind} ({order.state.value})"
