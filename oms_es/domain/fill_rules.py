"""
Decide about a reported fill: book it, put it in quarantine, or recognise it as a repetition.

A fill is a fact: none is ever lost or counted twice.
"""

from msgspec.structs import replace

from oms_es.domain.commands import AddFill
from oms_es.domain.corrections import complete_with_fee, fill_without_fee, fulfilled_correction, restated_by_waiting
from oms_es.domain.decision_context import DecisionContext
from oms_es.domain.events import Event, FillAdded
from oms_es.domain.executions import (
    broken_rule,
    execute,
    is_out_of_band,
    is_repetition,
    open_external,
    quarantine,
    reports,
)
from oms_es.domain.inferred import execute_for_inferred, no_longer_needed
from oms_es.domain.order import Order, after, evolve, is_order_event
from oms_es.domain.quarantine import book_waiting, busted_in_quarantine, open_for_waiting, waiting_for
from oms_es.vocabulary import QuarantineReason

Q = QuarantineReason


def add_fill(command: AddFill, order: Order, context: DecisionContext) -> list[Event]:
    """Return the events of a fill of a known order; [] for a repetition."""
    known = reports(command, order, context)
    waiting = waiting_for(command, order, context)
    if waiting is not None and not reports(command, order, DecisionContext()):  # the trade is only in quarantine
        booked = book_waiting(waiting, order, context, command.actor, command.fee)
        return booked + restated_by_waiting(after(order, booked), context, command.actor)
    if any(is_repetition(command, each, order, context) for each in known):
        return []
    if (fill := fill_without_fee(command, order, context)) is not None:
        return complete_with_fee(command, order, fill, context)
    if context.rules >= 4:
        return _booked(command, order, context, is_conflict=bool(known))
    why = Q.CONFLICT if known else broken_rule(command, order, context)
    if why is not None and not (context.accept_exceptions and why is not Q.CONFLICT):
        return [quarantine(command, why, order.quarantined, order)]
    return execute(command, order, context, forced=why is not None)


def _booked(command: AddFill, order: Order, context: DecisionContext, *, is_conflict: bool) -> list[Event]:
    """Return the events of a new fill; it replaces inferred fills, and what waited for it follows."""
    if any(not each.quantity for each in order.contents.of(command.trade_id)):
        return []  # its correction is booked already
    why, booked = (Q.CONFLICT, []) if is_conflict else execute_for_inferred(command, order, context)
    if why is not None and not (context.accept_exceptions and why is not Q.CONFLICT):
        return busted_in_quarantine(order, [quarantine(command, why, order.quarantined, order)], command.actor)
    if (corrected := fulfilled_correction(command, order, context)) is not None:
        reference = corrected[0]
        booked = [replace(each, corrects=reference) if isinstance(each, FillAdded) else each for each in booked]
        booked.append(corrected[1])
    events = booked
    if order.waiting or context.unknown_waiting:
        events += restated_by_waiting(after(order, events), context, command.actor)
        events += no_longer_needed(command, after(order, events))
    return events


def fill_unknown(command: AddFill, context: DecisionContext) -> list[Event]:
    """Return the events of a fill of an unknown order; [] for a repetition."""
    known = reports(command, None, context)
    if (waiting := waiting_for(command, None, context)) is not None:
        return _with_restatements(open_for_waiting(waiting, command, context), context, command.actor)
    if any(is_repetition(command, each, None, context) for each in known):
        return []
    if context.is_ambiguous:
        return [quarantine(command, Q.AMBIGUOUS_ORDER, context.unknown_count)]
    if command.symbol is None or command.side is None:
        return [quarantine(command, Q.UNKNOWN_ORDER, context.unknown_count)]
    if known:
        return [quarantine(command, Q.CONFLICT, context.unknown_count)]
    out_of_band = is_out_of_band(command, None, command.side, context)
    if out_of_band and not context.accept_exceptions:
        return [quarantine(command, Q.PRICE_BAND, context.unknown_count)]
    opened = open_external(command, (command.symbol, command.side), context, forced=out_of_band)
    return _with_restatements(opened, context, command.actor)


def _with_restatements(opened: list[Event], context: DecisionContext, actor: str) -> list[Event]:
    """Return the events that open an external order, with the busts and corrections that waited for its fill."""
    order: Order | None = None
    for event in opened if context.unknown_waiting else ():
        if is_order_event(event):
            order = evolve(order, event, 0, 0, 0)
    return opened if order is None else opened + restated_by_waiting(order, context, actor)
