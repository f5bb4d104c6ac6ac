"""
What a command makes of an order: the events, or an error and nothing.

Everything a decision rests on comes in: the command, the order, and what is `DecisionContext` around it.
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
from oms_es.domain.corrections import bust, correct
from oms_es.domain.decision_context import DecisionContext, state_changed
from oms_es.domain.events import AmendRefused, Event, ExternalIdAssigned, OrderAmended, OrderSubmitted
from oms_es.domain.fill_rules import add_fill, fill_unknown
from oms_es.domain.linking import after, join, link
from oms_es.domain.order import Order, describe
from oms_es.domain.quarantine import resolve
from oms_es.errors import CommandConflict, InvalidInput, InvalidTransition, UnknownOrder
from oms_es.identifiers import shown
from oms_es.vocabulary import TRANSITIONS, OrderState, OrderType, Origin

S = OrderState


def decide(command: OrderCommand, order: Order | None, context: DecisionContext) -> list[Event]:
    """
    Return the events that carrying out `command` gives; [] when it was carried out before.

    A refusal that is worth remembering is an event as well (REJECTED, `AmendRefused`, `FillQuarantined`).

    Raises:
        UnknownOrder, UnknownFill, UnknownQuarantine: it names what is not there.
        InvalidTransition: the order's state does not allow it.
        CommandConflict: the order id was submitted before, with other content.
    """
    match command:
        case SubmitOrder():
            return _submit(command, context) if order is None else _resubmit(command, order)
        case AddFill():
            return fill_unknown(command, context) if order is None else add_fill(command, order, context)
        case ResolveQuarantined():
            return resolve(command, order, context)
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
            return bust(command, order, context)
        case CorrectFill():
            return correct(command, order, context)
        case _:
            raise AssertionError(f"no rule for {type(command).__name__}")


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
        actor=command.actor,
    )
    if context.violations:
        return [submitted, state_changed(command, S.IDLE, S.REJECTED, violations=context.violations)]
    events: list[Event] = [submitted, state_changed(command, S.IDLE, S.PENDING)]
    if context.origin is Origin.IMPORT:  # a fact's order exists and works from here
        events.append(state_changed(command, S.PENDING, S.WORKING))
    return events


def _resubmit(command: SubmitOrder, order: Order) -> list[Event]:
    was = order.submitted
    asked = (command.symbol, command.side, command.order_type, command.quantity, command.price)
    same = asked == (was.symbol, was.side, was.order_type, was.quantity, was.price)
    if (
        same
        and not was.external
        and (command.reduce_only, command.time_in_force) == (was.reduce_only, was.time_in_force)
    ):
        return []
    raise CommandConflict(
        f"order {shown(order.order_id)} exists in account {order.account} with other content: {describe(order)}; "
        "an order id is used once per account"
    )


# --- states ---


def _change_state(command: ChangeState, order: Order, context: DecisionContext) -> list[Event]:
    if context.rules < 3:
        return _move(command, order)
    name = command.external_order_id
    if command.new is S.WORKING and order.state is S.PENDING:
        events = _move(command, order)
        return events if name is None else [*events, *join(command, after(order, events), context)]
    linked = link(command, order, context)  # first: a fill that has waited for this id comes before the state
    order = after(order, linked)
    if command.new is order.state:
        return linked
    try:
        moves = _move(command, order)
    except InvalidTransition:
        if not linked:
            raise
        return [_refused(linked[0], command, order), *linked[1:]]
    return [*linked, *moves] if len(linked) > 1 else moves


def _refused(assigned: Event, command: ChangeState, order: Order) -> Event:
    """Return the venue's id with the state that it cannot bring along; an acknowledgement that is late is no error."""
    assert isinstance(assigned, ExternalIdAssigned), "the id comes first"
    is_late = command.new is S.WORKING and order.state in (S.FILLED, S.CANCELLED)
    return assigned if is_late else replace(assigned, refused_in=order.state)


def _move(command: ChangeState, order: Order) -> list[Event]:
    if command.new not in TRANSITIONS[order.state]:
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
    """Return why an order cannot go from one state to another, and where it could go."""
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
            f"{text(command.quantity)} cannot be taken off"
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
