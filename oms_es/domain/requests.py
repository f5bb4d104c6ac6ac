"""
Cancels and replaces that a venue was asked for, and the states that a venue reports.

A request changes nothing until the venue answers: the order counts as open, with the larger of its old and new
quantity.
"""

from msgspec.structs import replace

from oms_es.domain.commands import (
    OrderCommand,
    RejectCancel,
    RejectReplace,
    ReplaceOrder,
    ReportState,
    RequestCancel,
    RequestReplace,
)
from oms_es.domain.decision_context import DecisionContext, state_changed
from oms_es.domain.events import (
    AmendRefused,
    CancelRejected,
    CancelRequested,
    Event,
    OrderAmended,
    ReplaceRejected,
    ReplaceRequested,
    StateChanged,
)
from oms_es.domain.order import Order, replaced_ids
from oms_es.errors import InvalidTransition
from oms_es.identifiers import shown
from oms_es.vocabulary import OrderState

S = OrderState


def decide_request(command: OrderCommand, order: Order, context: DecisionContext) -> list[Event]:
    """Return the events of a request to the venue, of its answer, or of a reported state; [] when nothing changes."""
    match command:
        case ReportState():
            return _report_state(command, order)
        case RequestCancel():
            return _request_cancel(command, order)
        case RejectCancel():
            return _reject_cancel(command, order)
        case RequestReplace():
            return _request_replace(command, order, context)
        case RejectReplace():
            return _reject_replace(command, order)
        case ReplaceOrder():
            return _replace_order(command, order)
        case _:
            raise AssertionError(f"no rule for {type(command).__name__}")


def _request_cancel(command: RequestCancel, order: Order) -> list[Event]:
    """Return the event of a requested cancel; [] when it is requested already, or the order is CANCELLED."""
    if order.pending_cancel or order.state is S.CANCELLED or (command.reported and not order.is_open):
        return []
    _check_open(order, "cancelled")
    requested = CancelRequested(
        account=order.account,
        order_id=order.order_id,
        reason=command.reason,
        reported=command.reported,
        actor=command.actor,
    )
    return [requested]


def _reject_cancel(command: RejectCancel, order: Order) -> list[Event]:
    """Return the event of a rejected cancel; [] when none is requested."""
    if not order.pending_cancel:
        return []
    return [
        CancelRejected(
            account=order.account, order_id=order.order_id, reason=command.reason, actor=command.actor
        )
    ]  # fmt: skip


def _request_replace(command: RequestReplace, order: Order, context: DecisionContext) -> list[Event]:
    """Return the event of a requested replace, or of its refusal by a limit; [] when it is requested already."""
    asked = (command.quantity, command.price, command.new_order_id)
    pending = order.replacement
    if pending is not None and asked == (pending.quantity, pending.price, pending.new_order_id):
        return []
    if command.reported and (not order.is_open or pending is not None):
        return []
    _check_open(order, "replaced")
    if context.violations:
        refused = AmendRefused(
            account=order.account,
            order_id=order.order_id,
            violations=context.violations,
            asked_quantity=command.quantity,
            asked_price=command.price,
            asked_order_id=command.new_order_id,
            replaces=True,
            actor=command.actor,
        )
        return [refused]
    requested = ReplaceRequested(
        account=order.account,
        order_id=order.order_id,
        quantity=command.quantity,
        price=command.price,
        new_order_id=command.new_order_id,
        reported=command.reported,
        actor=command.actor,
    )
    return [requested]


def _reject_replace(command: RejectReplace, order: Order) -> list[Event]:
    """Return the event of a rejected replace; [] when none is requested."""
    if order.replacement is None:
        return []
    return [
        ReplaceRejected(
            account=order.account, order_id=order.order_id, reason=command.reason, actor=command.actor
        )
    ]  # fmt: skip


def _check_open(order: Order, what: str) -> None:
    if not order.is_open:
        state = "another session's" if order.is_external else order.state.value
        raise InvalidTransition(
            f"order {shown(order.order_id)} is {state} and cannot be {what} (only pending, working)"
        )


def _replace_order(command: ReplaceOrder, order: Order) -> list[Event]:
    """
    Return the events of a replace at the venue; [] when it is known.

    Its ids are those of the order from now on. A cancel that was reported for the id before was a part of it.
    """
    new_id, external_id = command.new_order_id, command.external_order_id
    quantity = order.quantity if command.quantity is None else command.quantity
    price = order.price if command.price is None or order.price is None else command.price
    if order.replacement is not None:  # what the venue does not repeat is what it was asked for
        quantity = quantity if command.quantity is not None else order.replacement.quantity or quantity
        price = price if command.price is not None else order.replacement.price or price
    quantity = max(quantity, order.filled_quantity)
    if new_id in order.replaced_ids or external_id in order.replaced_ids or order.is_external:
        return []  # an older replace of the chain
    same = order.replacement is None and (quantity, price) == (order.quantity, order.price)
    if same and replaced_ids(order, new_id, external_id) == order.replaced_ids:
        return []
    amended = OrderAmended(
        account=order.account,
        order_id=order.order_id,
        quantity=quantity,
        price=price,
        asked_quantity=command.quantity,
        asked_price=command.price,
        reported=True,
        new_order_id=command.new_order_id,
        external_order_id=command.external_order_id,
        actor=command.actor,
    )
    return [amended, *_after_replace(command, order, amended)]


def _after_replace(command: ReplaceOrder, order: Order, amended: OrderAmended) -> list[Event]:
    """Return the state change of a replace: complete, open again, or alive although the old id was cancelled."""
    left = amended.quantity > order.filled_quantity
    gone = replaced_ids(order, command.new_order_id, command.external_order_id)
    was_its_end = order.state is S.CANCELLED and order.cancelled_id in gone
    if order.state in (S.PENDING, S.WORKING) and not left:
        done = S.FILLED if order.filled_quantity else S.CANCELLED
        return [state_changed(command, order.state, done, reason="replaced by what is filled")]
    if order.state is S.PENDING:
        return [state_changed(command, S.PENDING, S.WORKING, reason="the venue replaced it")]
    if left and (order.state in (S.FILLED, S.FAILED) or was_its_end):
        changed = state_changed(command, order.state, S.WORKING, reason="the venue replaced it")
        return [replace(changed, revived=order.state is not S.FILLED)]
    return []


def _report_state(command: ReportState, order: Order) -> list[Event]:
    """Return the events of a reported state; [] when the order has it, or when it does not fit."""
    new = _fitting(command, order)
    if new is None:
        return []
    changed = StateChanged(
        account=order.account,
        order_id=order.order_id,
        old=order.state,
        new=new,
        reason=command.reason,
        reported=True,
        external_order_id=command.external_order_id,
        error_message=command.error_message,
        revived=order.state is S.FAILED,
        from_report=True,
        asked_state=None if new is command.new else command.new,
        actor=command.actor,
    )
    return [changed]


def _fitting(command: ReportState, order: Order) -> OrderState | None:
    """Return the state that the order changes to; None: it does not change."""
    new, old = command.new, order.state
    if order.is_external or new is old:
        return None
    if new is S.WORKING:
        return new if old in (S.PENDING, S.FAILED) else None
    if old not in (S.PENDING, S.WORKING, S.FAILED) or command.external_order_id in order.replaced_ids:
        return None
    return S.CANCELLED if new is S.REJECTED and order.filled_quantity else new
