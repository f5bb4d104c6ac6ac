"""
Decide a command for an order: return its events, or raise an error.

A decision depends only on its arguments: the command, the order and the `DecisionContext`.
"""

from decimal import Decimal

from msgspec.structs import replace

from oms_es.decimals import canonical, minus, text
from oms_es.domain.commands import (
    AddFill,
    AmendOrder,
    BustFill,
    CancelOrder,
    ChangeState,
    CorrectFill,
    LinkOrder,
    OrderCommand,
    ReduceOrder,
    ResolveQuarantined,
    SubmitOrder,
)
from oms_es.domain.corrections import bust, correct, restated_by_waiting, restatement_waits
from oms_es.domain.decision_context import DecisionContext, state_changed
from oms_es.domain.events import AmendRefused, Event, ExternalIdAssigned, OrderAmended, OrderSubmitted
from oms_es.domain.fill_rules import add_fill, fill_unknown
from oms_es.domain.linking import join, link
from oms_es.domain.order import Order, after, describe
from oms_es.domain.quarantine import busted_in_quarantine, resolve, retry
from oms_es.domain.requests import decide_request
from oms_es.errors import CommandConflict, InvalidInput, InvalidTransition, UnknownOrder
from oms_es.identifiers import shown
from oms_es.vocabulary import TRANSITIONS, OrderState, OrderType, Origin

S = OrderState


def decide(command: OrderCommand, order: Order | None, context: DecisionContext) -> list[Event]:
    """
    Return the events of carrying out `command`; [] when it was carried out before.

    A refusal by a limit or a fill rule is an event as well (REJECTED, `AmendRefused`, `FillQuarantined`).

    Raises:
        UnknownOrder, UnknownFill, UnknownQuarantine: the command refers to nothing that exists.
        InvalidTransition: the order's state does not allow the command.
        CommandConflict: the order id was submitted before, with other content.
    """
    match command:
        case SubmitOrder():
            return _submit(command, context) if order is None else _resubmit(command, order)
        case AddFill():
            return fill_unknown(command, context) if order is None else add_fill(command, order, context)
        case ResolveQuarantined():
            return resolve(command, order, context)
        case BustFill() | CorrectFill() if order is None and context.rules >= 4:
            return restatement_waits(command, None, context)
        case _:
            if order is None:
                raise UnknownOrder(f"no order {shown(command.order_id)} in account {command.account}")
            return _decide_known(command, order, context)


def _decide_known(command: OrderCommand, order: Order, context: DecisionContext) -> list[Event]:
    match command:
        case ChangeState():
            return _change_state(command, order, context)
        case LinkOrder():
            return link(command, order, context)
        case CancelOrder():
            return _cancel(command, order, context)
        case AmendOrder():
            return _amend(command, order, context)
        case ReduceOrder():
            return _reduce(command, order)
        case BustFill():
            busted = busted_in_quarantine(order, bust(command, order, context), command.actor)
            return retry(order, busted, context, command.actor)
        case CorrectFill():
            corrected = correct(command, order, context)
            if order.waiting and corrected:  # a correction of the correction may have come before it
                corrected += restated_by_waiting(after(order, corrected), context, command.actor)
            return retry(order, corrected, context, command.actor)
        case _:
            return retry(order, decide_request(command, order, context), context, command.actor)


# --- submit ---


def _submit(command: SubmitOrder, context: DecisionContext) -> list[Event]:
    submitted = OrderSubmitted(
        account=command.account,
        order_id=command.order_id,
        symbol=command.symbol,
        side=command.side,
        quantity=command.quantity,
        price=command.price,
        order_type=command.order_type,
        time_in_force=command.time_in_force,
        reduce_only=command.reduce_only,
        stop_price=command.stop_price,
        oco_group=command.oco_group,
        tags=command.tags,
        actor=command.actor,
    )
    if context.violations:
        return [submitted, state_changed(command, S.IDLE, S.REJECTED, violations=context.violations)]
    events: list[Event] = [submitted, state_changed(command, S.IDLE, S.PENDING)]
    if context.origin is Origin.IMPORT:  # an imported order is already working at the venue
        events.append(state_changed(command, S.PENDING, S.WORKING))
    return events


def _resubmit(command: SubmitOrder, order: Order) -> list[Event]:
    first = order.submitted
    asked = (command.symbol, command.side, command.order_type, command.quantity, command.price)
    same = asked == (first.symbol, first.side, first.order_type, first.quantity, first.price)
    if (
        same
        and not first.external
        and (command.reduce_only, command.time_in_force) == (first.reduce_only, first.time_in_force)
        and (command.stop_price, command.oco_group) == (first.stop_price, first.oco_group)
        and command.tags == first.tags
    ):
        return []
    raise CommandConflict(
        f"order {shown(order.order_id)} exists in account {order.account} with other content: {describe(order)}; "
        "an order id is used once per account"
    )


# --- states ---


def _change_state(command: ChangeState, order: Order, context: DecisionContext) -> list[Event]:
    if context.rules < 3:
        return _transition(command, order, context)
    name = command.external_order_id
    if command.new is S.WORKING and order.state is S.PENDING:
        events = _transition(command, order, context)
        return events if name is None else [*events, *join(command, after(order, events), context)]
    linked = link(command, order, context)  # before the state: fills in quarantine under this id are booked first
    order = after(order, linked)
    if command.new is order.state:
        return linked
    try:
        changes = _transition(command, order, context)
    except InvalidTransition:
        if not linked:
            raise
        return [_refused(linked[0], command, order), *linked[1:]]
    return [*linked, *changes] if len(linked) > 1 else changes


def _refused(assigned: Event, command: ChangeState, order: Order) -> Event:
    """Return the event of the venue's id with the refused state; a late acknowledgement is not an error."""
    assert isinstance(assigned, ExternalIdAssigned), "the id comes first"
    is_late = command.new is S.WORKING and order.state in (S.FILLED, S.CANCELLED)
    return assigned if is_late else replace(assigned, refused_in=order.state)


def _transition(command: ChangeState, order: Order, context: DecisionContext) -> list[Event]:
    revives = (order.state, command.new) == (S.FAILED, S.WORKING) and context.rules >= 4
    if command.new not in TRANSITIONS[order.state] and not revives:
        raise InvalidTransition(_impossible(order, command.new))
    if command.new is S.FILLED and order.filled_quantity < order.quantity:
        msg = f"{_impossible(order, S.FILLED)}: only {text(order.filled_quantity)} of {text(order.quantity)} is filled"
        raise InvalidTransition(msg)
    change = state_changed(
        command,
        order.state,
        command.new,
        reported=True,
        external_order_id=command.external_order_id,
        error_message=command.error_message,
        revived=revives,
    )
    return [change]


def _cancel(command: CancelOrder, order: Order, context: DecisionContext) -> list[Event]:
    if context.rules >= 3 and order.state is S.CANCELLED:
        return []
    if not order.state.is_open:
        raise InvalidTransition(_impossible(order, S.CANCELLED))
    return [state_changed(command, order.state, S.CANCELLED, reason=command.reason)]


def _impossible(order: Order, new: OrderState) -> str:
    return impossible(order.order_id, order.state, new)


def impossible(order_id: str, old: OrderState, new: OrderState) -> str:
    """Return the message of an invalid transition, with the possible ones."""
    possible = ", ".join(sorted(state.value for state in TRANSITIONS[old])) or "nothing, it is done"
    return f"order {shown(order_id)} cannot go from {old.value} to {new.value} (from {old.value}: {possible})"


# --- amend ---


def _amend(command: AmendOrder, order: Order, context: DecisionContext) -> list[Event]:
    _check_amendable(order)
    if command.price is not None and order.submitted.order_type is OrderType.MARKET:
        raise InvalidInput(f"price: order {shown(order.order_id)} is a market order and has no limit price to amend")
    if context.violations:
        refused = AmendRefused(
            account=order.account,
            order_id=order.order_id,
            violations=context.violations,
            asked_quantity=command.quantity,
            asked_price=command.price,
            actor=command.actor,
        )
        return [refused]
    wanted = order.quantity if command.quantity is None else command.quantity
    price = order.price if command.price is None else command.price
    return _amended(command, order, wanted, price, asked_quantity=command.quantity, asked_price=command.price)


def _reduce(command: ReduceOrder, order: Order) -> list[Event]:
    _check_amendable(order)
    if command.quantity > order.open_quantity:
        msg = (
            f"order {shown(order.order_id)} has {text(order.open_quantity)} open; "
            f"it cannot be reduced by {text(command.quantity)}"
        )
        raise InvalidInput(msg)
    wanted = canonical(minus(order.quantity, command.quantity))
    return _amended(command, order, wanted, order.price, asked_reduction=command.quantity)


def _check_amendable(order: Order) -> None:
    if not order.is_open:
        what = "another session's" if order.is_external else f"{order.state.value}"
        raise InvalidTransition(
            f"order {shown(order.order_id)} is {what} and cannot be amended (only pending, working)"
        )


def _amended(
    command: OrderCommand,
    order: Order,
    wanted: Decimal,
    price: Decimal | None,
    *,
    asked_quantity: Decimal | None = None,
    asked_price: Decimal | None = None,
    asked_reduction: Decimal | None = None,
) -> list[Event]:
    amended = OrderAmended(
        account=order.account,
        order_id=order.order_id,
        quantity=max(wanted, order.filled_quantity),
        price=price,
        asked_quantity=asked_quantity,
        asked_price=asked_price,
        asked_reduction=asked_reduction,
        actor=command.actor,
    )
    if wanted > order.filled_quantity:
        return [amended]
    done = S.FILLED if order.filled_quantity else S.CANCELLED
    return [amended, state_changed(command, order.state, done, reason="amended to what is filled")]
