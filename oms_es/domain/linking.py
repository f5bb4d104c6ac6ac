"""
Link a venue's id (FIX OrderID 37) to an order, with the fills that were reported earlier under this id.

If these fills opened an external order, it is merged into the order; the position is unchanged.
Fills in quarantine under the id are booked, unless they break a rule.
"""

from oms_es.decimals import ZERO, minus, plus
from oms_es.domain.commands import ChangeState, CorrectFill, LinkOrder, OrderCommand
from oms_es.domain.contents import Content
from oms_es.domain.corrections import corrected, restated_by_waiting
from oms_es.domain.decision_context import DecisionContext, state_changed
from oms_es.domain.events import Event, ExternalIdAssigned, FillBusted, OrdersMerged
from oms_es.domain.executions import completed
from oms_es.domain.inferred import without_inferred
from oms_es.domain.order import Order, after, find_fill
from oms_es.domain.order_fills import Fill, merged_fill
from oms_es.domain.quarantine import book_waiting
from oms_es.vocabulary import OrderState

S = OrderState


def link(command: LinkOrder | ChangeState, order: Order, context: DecisionContext) -> list[Event]:
    """Return the events of linking a venue's id; [] when the order already has it."""
    name = command.external_order_id
    is_client_id = isinstance(command, LinkOrder) and command.is_client_id
    known = (order.order_id, *order.aliases) if is_client_id else order.external_order_ids
    if name is None or (name in known and (context.rules < 4 or context.external_order is None)):
        return []
    assigned = ExternalIdAssigned(
        account=order.account,
        order_id=order.order_id,
        external_order_id=name,
        is_client_id=is_client_id,
        is_replaced=isinstance(command, LinkOrder) and command.is_replaced,
        client_id=command.client_id if isinstance(command, LinkOrder) else None,
        reported=command.new if isinstance(command, ChangeState) else None,
        error_message=command.error_message if isinstance(command, ChangeState) else None,
        actor=command.actor,
    )
    joined = join(command, after(order, [assigned]), context)
    return [assigned, *joined] if joined or name not in known else []  # joined: there was no room for it before


def join(command: OrderCommand, order: Order, context: DecisionContext) -> list[Event]:
    """Return the events that assign earlier fills under the venue's id to the order."""
    events = _merge(command, order, context)
    for waiting in context.unknown_waiting:
        events += book_waiting(waiting, after(order, events), context, command.actor)
    if context.unknown_waiting or order.waiting:
        events += restated_by_waiting(after(order, events), context, command.actor)
    return events


# --- merging ---


def _merge(command: OrderCommand, order: Order, context: DecisionContext) -> list[Event]:
    """Return the events of merging the venue's external order into the order; [] if they cannot be the same."""
    other = context.external_order
    if other is None or (other.symbol, other.side) != (order.symbol, order.side):
        return []
    duplicates = [fill for fill in other.fills if _is_duplicate(fill, other, order)]
    events: list[Event] = [_bust(other, fill, command.actor) for fill in duplicates]
    for fill in duplicates:
        events += _restate(fill, after(order, events), command.actor)
    order, other = after(order, events), after(other, events)
    if order.inferred_quantity or other.inferred_quantity:
        explained = _explained(command, order, other)
        events += explained
        order, other = after(order, explained), after(other, explained)
    filled = order.filled_quantity
    for fill in other.fills:
        filled = filled if fill.busted else plus(filled, fill.quantity)
    if not order.is_external and filled > order.quantity:
        return []  # an overfill: the venue reused the id of another order
    return [*events, *_merged(command, order, other)]


def _explained(command: OrderCommand, order: Order, other: Order) -> list[Event]:
    """Return the events that take off the inferred fills of both orders what the executions of the other explain."""
    real = [minus(each.filled_quantity, each.inferred_quantity) for each in (order, other)]
    cumulative = max(order.filled_quantity, other.filled_quantity)
    wanted = max(ZERO, minus(cumulative, plus(*real)))
    too_much = minus(plus(order.inferred_quantity, other.inferred_quantity), wanted)
    theirs = min(too_much, other.inferred_quantity)
    events, _ = without_inferred(command, other, theirs)
    return [*events, *without_inferred(command, order, minus(too_much, theirs))[0]]


def _merged(command: OrderCommand, order: Order, other: Order) -> list[Event]:
    acknowledged = order.state is S.PENDING and any(not fill.busted for fill in other.fills)
    state = S.WORKING if acknowledged else order.state
    merged = OrdersMerged(
        account=order.account,
        order_id=order.order_id,
        merged=other.order_id,
        fills=tuple(merged_fill(fill, other.order_id) for fill in other.fills),
        external_order_ids=other.external_order_ids,
        actor=command.actor,
    )
    merged_into = OrdersMerged(account=other.account, order_id=other.order_id, into=order.order_id, actor=command.actor)
    acknowledgement = (
        [state_changed(command, S.PENDING, S.WORKING, reason="filled before it was acknowledged")]
        if acknowledged
        else []
    )
    filled = after(order, [merged]).filled_quantity
    return [*acknowledgement, merged_into, merged, *completed(command, order, state, filled)]


def _is_duplicate(fill: Fill, other: Order, order: Order) -> bool:
    """Return whether the trade was reported under both ids; it may be busted in our order."""
    if fill.trade_id is None or fill.busted:
        return False
    theirs, ours = other.contents.of(fill.trade_id), order.contents.of(fill.trade_id)
    return any(_is_same(one, another) for one in ours for another in theirs)


def _is_same(one: Content, other: Content) -> bool:
    same = (one.quantity, one.price) == (other.quantity, other.price) and one.is_of(other.symbol, other.side)
    return same and (one.fee == other.fee or ZERO in (one.fee, other.fee))  # a fee may be reported later


def _restate(duplicate: Fill, order: Order, actor: str) -> list[Event]:
    """Return the correction of the order's fill by its duplicate, which may have the fee or a correction."""
    own = find_fill(order, duplicate.trade_id or "")
    if own is None or duplicate.trade_id is None:
        return []
    new = (own.quantity, own.price, own.fee or duplicate.fee)
    if duplicate.corrected and not own.corrected:
        new = (duplicate.quantity, duplicate.price, duplicate.fee)
    if new == (own.quantity, own.price, own.fee):
        return []
    asked = CorrectFill(
        account=order.account,
        order_id=order.order_id,
        trade_id=duplicate.trade_id,
        fill_quantity=new[0],
        fill_price=new[1],
        fee=new[2],
        reason="reported under both ids of the order",
        actor=actor,
    )
    return corrected(asked, order, own, new, forced=False)


def _bust(order: Order, fill: Fill, actor: str) -> FillBusted:
    assert fill.trade_id is not None, "a duplicate is recognised by its trade id"
    return FillBusted(
        account=order.account,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        trade_id=fill.booked_trade_id or fill.trade_id,
        fill_quantity=fill.quantity,
        fill_price=fill.price,
        fee=fill.fee,
        reason="reported under both ids of the order",
        booked_as=fill.booked_as,
        fee_currency=fill.fee_currency,
        fee_in_base=fill.fee_in_base,
        actor=actor,
    )
