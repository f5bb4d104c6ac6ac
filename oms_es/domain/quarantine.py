"""Resolve fills in quarantine: by a person's decision, or because their order became known."""

from decimal import Decimal

from msgspec.structs import replace

from oms_es.decimals import ZERO
from oms_es.domain.commands import AddFill, CorrectFill, ResolveQuarantined
from oms_es.domain.contents import Content
from oms_es.domain.corrections import (
    booked_fill,
    complete_with_fee,
    corrected,
    fill_without_fee,
    restated_by_waiting,
)
from oms_es.domain.decision_context import DecisionContext
from oms_es.domain.events import Event, FillAdded, FillQuarantined, QuarantineResolved
from oms_es.domain.executions import (
    execute,
    is_out_of_band,
    is_repetition,
    open_external,
    reports,
    symbol_and_side,
)
from oms_es.domain.inferred import execute_for_inferred
from oms_es.domain.order import Order, after, find_fill
from oms_es.domain.order_fills import QuarantinedFill
from oms_es.errors import InvalidInput, UnknownQuarantine
from oms_es.identifiers import shown
from oms_es.vocabulary import QuarantineReason

Q = QuarantineReason
_WAITS_FOR_ORDER = (Q.UNKNOWN_ORDER, Q.AMBIGUOUS_ORDER)


def resolve(command: ResolveQuarantined, order: Order | None, context: DecisionContext) -> list[Event]:
    """Return the events of accepting or rejecting a fill in quarantine."""
    candidates = (*(order.waiting if order else ()), *context.unknown_waiting)
    waiting = next((w for w in candidates if w.fill.quarantine_id == command.quarantine_id), None)
    if waiting is None:
        raise UnknownQuarantine(f"no fill in quarantine has the id {shown(command.quarantine_id)}")
    fill = waiting.fill
    if command.accept and fill.why is Q.UNKNOWN_FILL:
        kind = "bust" if fill.bust else "correction"
        raise InvalidInput(f"{shown(fill.quarantine_id)} is a {kind} that waits for its fill; it can only be rejected")
    symbol, side = command.symbol or fill.symbol, command.side or fill.side
    resolved = QuarantineResolved(
        account=fill.account,
        order_id=fill.order_id,
        quarantine_id=fill.quarantine_id,
        order_known=fill.order_known,
        accepted=command.accept,
        symbol=command.symbol,
        side=command.side,
        reason=command.reason,
        actor=command.actor,
    )
    if not command.accept:
        return [resolved]
    if fill.correction:
        assert order is not None, "a quarantined correction is in its order's stream"
        return [resolved, *_accept_correction(command, order, fill)]
    add = as_fill(fill, order, command.actor)
    if order is not None:
        _check_fits(fill, command, order)
        if context.rules >= 3 and fill.trade_id is not None and find_fill(order, fill.trade_id) is not None:
            return [resolved, *_replace_fill(command, order, fill)]
        booked = [resolved, *execute(add, order, context, forced=True, quarantine_id=fill.quarantine_id)]
        return booked + restated_by_waiting(after(order, booked), context, command.actor)
    if symbol is None or side is None:
        msg = f"accepting {shown(command.quarantine_id)} opens order {shown(fill.order_id)}: name its symbol and side"
        raise InvalidInput(msg)
    return [resolved, *open_external(add, (symbol, side), context, forced=True, quarantine_id=fill.quarantine_id)]


def _check_fits(fill: FillQuarantined, command: ResolveQuarantined, order: Order) -> None:
    """Refuse a fill whose symbol or side differs from the order's, unless the command overrides them."""
    symbol, side = command.symbol or fill.symbol, command.side or fill.side
    if symbol in (None, order.symbol) and side in (None, order.side):
        return
    reported = f"{side.value if side else ''} {symbol or ''}".strip()
    raise InvalidInput(
        f"{fill.quarantine_id} was reported as {reported}, but order {shown(order.order_id)} is {order.side.value} "
        f"{order.symbol}: reject it, or name --symbol and --side of the order if it is a fill of this order"
    )


def as_fill(fill: FillQuarantined, order: Order | None, actor: str) -> AddFill:
    """Return the command that books a quarantined fill."""
    return AddFill(
        account=fill.account,
        order_id=fill.order_id if order is None else order.order_id,
        fill_quantity=fill.fill_quantity,
        fill_price=fill.fill_price,
        trade_id=fill.trade_id,
        fee=fill.fee,
        fee_currency=fill.fee_currency,
        liquidity=fill.liquidity,
        inferred=fill.inferred,
        actor=actor,
    )


def _replace_fill(command: ResolveQuarantined, order: Order, waiting: FillQuarantined) -> list[Event]:
    """Return the events of accepting another report of a booked trade: a correction of the fill."""
    assert waiting.trade_id is not None, "a booked trade is recognised by its trade id"
    new = (waiting.fill_quantity, waiting.fill_price, waiting.fee)
    fill = booked_fill(order, waiting.trade_id)
    if new == (fill.quantity, fill.price, fill.fee):
        return []
    asked = CorrectFill(
        account=order.account,
        order_id=order.order_id,
        trade_id=waiting.trade_id,
        fill_quantity=waiting.fill_quantity,
        fill_price=waiting.fill_price,
        fee=waiting.fee,
        reason=command.reason,
        actor=command.actor,
    )
    return corrected(asked, order, fill, new, forced=True, quarantine_id=waiting.quarantine_id)


def _accept_correction(command: ResolveQuarantined, order: Order, waiting: FillQuarantined) -> list[Event]:
    assert waiting.trade_id is not None, "a correction names its trade"
    fill = booked_fill(order, waiting.trade_id)
    asked = CorrectFill(
        account=order.account,
        order_id=order.order_id,
        trade_id=waiting.trade_id,
        fill_quantity=waiting.asked_quantity,
        fill_price=waiting.asked_price,
        fee=waiting.asked_fee,
        reason=waiting.reason,
        actor=command.actor,
    )
    # Fields that the correction does not change have their current value: another correction may have changed them.
    new = (
        fill.quantity if waiting.asked_quantity is None else waiting.asked_quantity,
        fill.price if waiting.asked_price is None else waiting.asked_price,
        fill.fee if waiting.asked_fee is None else waiting.asked_fee,
    )
    return corrected(asked, order, fill, new, forced=True, quarantine_id=waiting.quarantine_id)


# --- fills whose order became known ---


def waiting_for(command: AddFill, order: Order | None, context: DecisionContext) -> QuarantinedFill | None:
    """Return the same trade in quarantine, if it is there only because its order was unknown."""
    for each in context.unknown_waiting if context.rules >= 3 and command.trade_id is not None else ():
        fill = each.fill
        same = (fill.trade_id, fill.fill_quantity, fill.fill_price) == (
            command.trade_id, command.fill_quantity, command.fill_price
        )  # fmt: skip
        same = same and (fill.fee == command.fee or ZERO in (fill.fee, command.fee))
        if same and fill.why in _WAITS_FOR_ORDER and _reported(fill).is_of(*symbol_and_side(command, order)):
            return each
    return None


def _reported(fill: FillQuarantined) -> Content:
    side = "" if fill.side is None else fill.side.value
    return Content(fill.trade_id or "", fill.fill_quantity, fill.fill_price, fill.fee, fill.symbol or "", side)


def book_waiting(
    waiting: QuarantinedFill, order: Order, context: DecisionContext, actor: str, fee: Decimal | None = None
) -> list[Event]:
    """
    Return the events of booking a quarantined fill whose order became known.

    Args:
        waiting: the fill in quarantine.
        order: its order.
        context: the context of the decision.
        actor: the sender of the report.
        fee: of a later report of the same trade; None if there is none.

    Returns:
        [] if the fill contradicts the order or breaks a rule; then it stays in quarantine.
    """
    fill = waiting.fill
    if fill.why not in (*_WAITS_FOR_ORDER, Q.PRICE_BAND) or not _reported(fill).is_of(order.symbol, order.side.value):
        return []
    add = replace(as_fill(fill, order, actor), fee=fill.fee or fee or ZERO)
    known = reports(add, order, DecisionContext())
    if known:
        booked = any(is_repetition(add, each, order, context) for each in known)
        if not booked and (without_fee := fill_without_fee(add, order, context)) is not None:
            return [_linked(fill, actor, accepted=True), *complete_with_fee(add, order, without_fee, context)]
        return [_linked(fill, actor, accepted=False, reason="booked under another id of the order")] if booked else []
    why, booking = execute_for_inferred(add, order, context, fill.quarantine_id)
    if why is not None and not context.accept_exceptions:
        return []
    return [_linked(fill, actor, accepted=True), *_with_reported_fee(booking, fee)]


def retry(order: Order, events: list[Event], context: DecisionContext, actor: str) -> list[Event]:
    """
    Return events with those of booking the order's quarantined fills that fit now.

    Args:
        order: the order before the events.
        events: a bust, a correction or a replace, which may make room.
        context: the context of the decision.
        actor: the sender of the command.
    """
    changed = after(order, events)
    if context.rules < 4 or not events or not order.waiting or changed.quarantined != order.quarantined:
        return events
    found = list(events)
    for waiting in changed.waiting:
        fill = waiting.fill
        if fill.why not in (Q.OVERFILL, Q.ORDER_DONE) or fill.correction or fill.inferred:
            continue
        add = as_fill(fill, changed, actor)
        why, booking = execute_for_inferred(add, changed, context, fill.quarantine_id)
        if why is not None or _is_booked(fill, changed):
            continue
        more: list[Event] = [_linked(fill, actor, accepted=True), *booking]
        more += restated_by_waiting(after(changed, more), context, actor)
        changed, found = after(changed, more), found + more
    return found


def _is_booked(fill: FillQuarantined, order: Order) -> bool:
    return fill.trade_id is not None and find_fill(order, fill.trade_id) is not None


def busted_in_quarantine(order: Order, events: list[Event], actor: str) -> list[Event]:
    """Return events with the end of quarantined fills whose busts are in quarantine too."""
    changed = after(order, events)
    busts = {each.fill.trade_id: each.fill for each in changed.waiting if each.fill.bust}
    found = list(events)
    for each in changed.waiting if busts else ():
        fill = each.fill
        if fill.bust or fill.correction or fill.trade_id not in busts:
            continue
        found.append(_linked(fill, actor, accepted=False, reason="busted by the venue"))
        if (bust := busts.pop(fill.trade_id)) is not None:
            found.append(_linked(bust, actor, accepted=True, reason="its fill was in quarantine"))
    return found


def open_for_waiting(waiting: QuarantinedFill, command: AddFill, context: DecisionContext) -> list[Event]:
    """Return the events of a repeated fill that now names symbol and side: they open an external order."""
    if context.is_ambiguous or command.symbol is None or command.side is None:
        return []
    fill = waiting.fill
    add = replace(as_fill(fill, None, command.actor), fee=fill.fee or command.fee)
    if is_out_of_band(add, None, command.side, context) and not context.accept_exceptions:
        return []
    opened = open_external(add, (command.symbol, command.side), context, quarantine_id=fill.quarantine_id)
    return [_linked(fill, command.actor, accepted=True), *_with_reported_fee(opened, command.fee)]


def _with_reported_fee(events: list[Event], fee: Decimal | None) -> list[Event]:
    """Return the events with the last reported fee as `asked_fee`, where the fill has another fee."""
    if fee is None:
        return events
    return [
        replace(event, asked_fee=fee) if isinstance(event, FillAdded) and event.fee != fee else event
        for event in events
    ]


def _linked(fill: FillQuarantined, actor: str, *, accepted: bool, reason: str = "") -> QuarantineResolved:
    return QuarantineResolved(
        account=fill.account,
        order_id=fill.order_id,
        quarantine_id=fill.quarantine_id,
        order_known=fill.order_known,
        accepted=accepted,
        reason=reason,
        linked=True,
        actor=actor,
    )
