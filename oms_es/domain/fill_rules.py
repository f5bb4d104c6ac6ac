"""
Decide about a reported fill: book it, put it in quarantine, or recognise it as a repetition.

A fill is a fact: none is ever lost or counted twice.
"""

from oms_es.domain.commands import AddFill
from oms_es.domain.corrections import complete_with_fee, fill_without_fee
from oms_es.domain.decision_context import DecisionContext
from oms_es.domain.events import Event
from oms_es.domain.executions import (
    broken_rule,
    execute,
    is_out_of_band,
    is_repetition,
    open_external,
    quarantine,
    reports,
)
from oms_es.domain.order import Order
from oms_es.domain.quarantine import book_waiting, open_for_waiting, waiting_for
from oms_es.vocabulary import QuarantineReason

Q = QuarantineReason


def add_fill(command: AddFill, order: Order, context: DecisionContext) -> list[Event]:
    """Return the events of a fill of a known order; [] for a repetition."""
    known = reports(command, order, context)
    waiting = waiting_for(command, order, context)
    if waiting is not None and not reports(command, order, DecisionContext()):  # the trade is only in quarantine
        return book_waiting(waiting, order, context, command.actor, command.fee)
    if any(is_repetition(command, each, order, context) for each in known):
        return []
    if (fill := fill_without_fee(command, order, context)) is not None:
        return complete_with_fee(command, order, fill)
    why = Q.CONFLICT if known else broken_rule(command, order, context)
    if why is not None and not (context.accept_exceptions and why is not Q.CONFLICT):
        return [quarantine(command, why, order.quarantined, order)]
    return execute(command, order, context, forced=why is not None)


def fill_unknown(command: AddFill, context: DecisionContext) -> list[Event]:
    """Return the events of a fill of an unknown order; [] for a repetition."""
    known = reports(command, None, context)
    if (waiting := waiting_for(command, None, context)) is not None:
        return open_for_waiting(waiting, command, context)
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
    return open_external(command, (command.symbol, command.side), context, forced=out_of_band)
