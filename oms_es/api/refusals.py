"""Raise the error of a recorded refusal: a rejection, or a fill in quarantine."""

from collections.abc import Sequence
from typing import NoReturn

from oms_es.decimals import text
from oms_es.domain.commands import AddFill, ApplyReport, Command, SubmitOrder
from oms_es.domain.events import AmendRefused, Event, ExternalIdAssigned, FillQuarantined, StateChanged
from oms_es.domain.order import Order
from oms_es.domain.order_rules import impossible
from oms_es.errors import FillQuarantinedError, InvalidTransition, OrderRejected, UnknownFill, UnknownOrder
from oms_es.identifiers import shown
from oms_es.projections.state import State
from oms_es.projections.views import order_view
from oms_es.vocabulary import OrderState, QuarantineReason


def raise_refusal(command: Command, events: Sequence[Event], order: Order | None) -> None:
    """
    Raise the error of a refused command; do nothing for any other outcome.

    Args:
        command: the command.
        events: of the command; [] for an order id that was submitted before.
        order: the order after the command; the error carries a view of it.

    Raises:
        OrderRejected: a limit refused the order or its amendment.
        FillQuarantinedError: the fill is in quarantine.
        InvalidTransition: the reported state is refused; the venue's id reported with it is recorded.
        UnknownFill: a bust or a correction that waits for its fill.
    """
    if isinstance(command, ApplyReport):
        return
    if isinstance(command, SubmitOrder) and not events and order is not None and order.violations:
        raise OrderRejected(order.violations, order_view(order))
    for event in events:
        if isinstance(event, StateChanged) and event.violations and event.new is OrderState.REJECTED:
            raise OrderRejected(event.violations, order and order_view(order))
        if isinstance(event, AmendRefused):
            raise OrderRejected(event.violations, order and order_view(order))
        if isinstance(event, FillQuarantined) and event.why is QuarantineReason.UNKNOWN_FILL:
            raise unknown_fill_error(event, order)
        if isinstance(event, FillQuarantined):
            raise quarantine_error(event)
        if isinstance(event, ExternalIdAssigned) and event.refused_in is not None and event.reported is not None:
            raise InvalidTransition(impossible(event.order_id, event.refused_in, event.reported))


def quarantine_error(fill: FillQuarantined) -> FillQuarantinedError:
    """Return the error of a fill in quarantine."""
    trade = "a fill" if fill.trade_id is None else f"trade {shown(fill.trade_id)}"
    return FillQuarantinedError(
        f"{trade} of {text(fill.fill_quantity)} @ {text(fill.fill_price)} for order {shown(fill.order_id)} is in "
        f"quarantine as {fill.quarantine_id}: {fill.why.value}; accept or reject it with resolve_quarantined",
        fill.quarantine_id,
        fill.why.value,
    )


def unknown_fill_error(fill: FillQuarantined, order: Order | None) -> UnknownFill:
    """Return the error of a bust or correction that waits for its fill."""
    trades = () if order is None else [each.trade_id for each in order.fills if each.trade_id and not each.busted]
    known = ", ".join(sorted(trades)[:5]) or "none"
    return UnknownFill(
        f"trade {shown(fill.trade_id)} of order {shown(fill.order_id)} is not among its fills (booked: {known}); the "
        f"{'bust' if fill.bust else 'correction'} waits for it in quarantine as {fill.quarantine_id}"
    )


def raise_known_fill(state: State, fill: AddFill) -> NoReturn:
    """Raise the error of a repeated fill of an unknown order: in quarantine, or rejected from it."""
    content = (fill.trade_id, fill.fill_quantity, fill.fill_price)
    for each in state.orders.waiting_of((fill.account, fill.order_id)):
        if (each.fill.trade_id, each.fill.fill_quantity, each.fill.fill_price) == content:
            raise quarantine_error(each.fill)
    raise UnknownOrder(
        f"no order {shown(fill.order_id)} in account {fill.account}; this fill of it was rejected from quarantine"
    )
