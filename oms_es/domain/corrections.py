"""Busts and corrections of fills (FIX ExecType H, TradeCancel, and G, TradeCorrect)."""

from decimal import Decimal

from msgspec.structs import replace

from oms_es.decimals import ZERO, minus, plus
from oms_es.domain.commands import AddFill, BustFill, CorrectFill
from oms_es.domain.decision_context import DecisionContext
from oms_es.domain.events import Event, FillBusted, FillCorrected, FillQuarantined, QuarantineResolved
from oms_es.domain.executions import completed, is_in_base, quarantine, symbol_and_side
from oms_es.domain.order import Order, after, find_fill
from oms_es.domain.order_fills import Fill
from oms_es.errors import UnknownFill
from oms_es.identifiers import shown
from oms_es.vocabulary import QuarantineReason


def bust(command: BustFill, order: Order, context: DecisionContext) -> list[Event]:
    """Return the events of a bust; [] when the fill is already busted."""
    if context.rules >= 3 and find_fill(order, command.trade_id) is None and was_busted(order, command.trade_id):
        return []
    if context.rules >= 4 and find_fill(order, command.trade_id) is None:
        return restatement_waits(command, order, context)
    fill = booked_fill(order, command.trade_id)
    busted = FillBusted(
        account=order.account,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        trade_id=fill.booked_trade_id or command.trade_id,
        fill_quantity=fill.quantity,
        fill_price=fill.price,
        fee=fill.fee,
        reason=command.reason,
        booked_as=fill.booked_as,
        fee_currency=fill.fee_currency,
        fee_in_base=fill.fee_in_base,
        asked_trade_id=None if command.trade_id == fill.booked_trade_id else command.trade_id,
        actor=command.actor,
    )
    return [busted, *completed(command, order, order.state, minus(order.filled_quantity, fill.quantity))]


def correct(command: CorrectFill, order: Order, context: DecisionContext) -> list[Event]:
    """Return the events of a correction, or of its quarantine; [] when it changes nothing."""
    if context.rules >= 4 and is_known_restatement(command, order):
        return []
    if context.rules >= 4 and command.correction_id is not None and was_busted(order, command.trade_id):
        return []  # its result is busted, or was replaced
    if context.rules >= 4 and (result := _fill_of_correction(command, order)) is not None:
        return _joined(command, order, result)
    if context.rules >= 4 and find_fill(order, command.trade_id) is None and not was_busted(order, command.trade_id):
        return restatement_waits(command, order, context)
    fill = booked_fill(order, command.trade_id)
    quantity = fill.quantity if command.fill_quantity is None else command.fill_quantity
    price = fill.price if command.fill_price is None else command.fill_price
    fee = fill.fee if command.fee is None else command.fee
    renamed = command.correction_id not in (None, fill.trade_id)
    if (quantity, price, fee) == (fill.quantity, fill.price, fill.fee) and not renamed:
        return []
    if any(_asks_the_same(each.fill, command) for each in order.waiting):
        return []  # the same correction is already in quarantine
    over = plus(minus(order.filled_quantity, fill.quantity), quantity) > order.quantity and quantity > fill.quantity
    if over and not order.is_external and not context.accept_exceptions:
        reported = AddFill(
            account=order.account,
            order_id=order.order_id,
            fill_quantity=quantity,
            fill_price=price,
            trade_id=command.trade_id,
            fee=fee,
            actor=command.actor,
        )
        overfill = quarantine(reported, QuarantineReason.OVERFILL, order.quarantined, order)
        return [_quarantined_correction(overfill, command)]
    return corrected(command, order, fill, (quantity, price, fee), forced=over and not order.is_external)


def _asks_the_same(waiting: FillQuarantined, command: CorrectFill) -> bool:
    asked = (waiting.trade_id, waiting.asked_quantity, waiting.asked_price, waiting.asked_fee)
    return waiting.correction and asked == (
        command.trade_id, command.fill_quantity, command.fill_price, command.fee
    )  # fmt: skip


def _fill_of_correction(command: CorrectFill, order: Order) -> Fill | None:
    """Return the fill that the correction's own id has, if it was reported as a trade before."""
    if command.correction_id is None or command.correction_id == command.trade_id:
        return None
    fill = find_fill(order, command.correction_id)
    return None if fill is None or command.trade_id in fill.trade_ids else fill


def _joined(command: CorrectFill, order: Order, result: Fill) -> list[Event]:
    """Return the events of a correction whose result is booked as a trade: its fill, if booked, is busted."""
    figures = (command.fill_quantity, command.fill_price, command.fee)
    booked = (result.quantity, result.price, result.fee)
    quantity, price, fee = (own if new is None else new for new, own in zip(figures, booked, strict=True))
    events = corrected(command, order, result, (quantity, price, fee), forced=False)
    fill = find_fill(order, command.trade_id)
    if fill is None or fill is result:
        return events
    events = events[:1]  # the state is decided after the bust
    busted = FillBusted(
        account=order.account,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        trade_id=fill.booked_trade_id or command.trade_id,
        fill_quantity=fill.quantity,
        fill_price=fill.price,
        fee=fill.fee,
        reason=f"corrected as {command.correction_id}",
        booked_as=fill.booked_as,
        fee_currency=fill.fee_currency,
        fee_in_base=fill.fee_in_base,
        actor=command.actor,
    )
    filled = after(order, [*events, busted]).filled_quantity
    return [*events, busted, *completed(command, order, order.state, filled)]


def is_known_restatement(command: CorrectFill, order: Order) -> bool:
    """Return whether a fill had the correction's own id before: it is an older correction of the fill."""
    return command.correction_id is not None and any(
        command.correction_id in fill.trade_ids for fill in order.fills if fill.trade_ids
    )


def restatement_waits(command: BustFill | CorrectFill, order: Order | None, context: DecisionContext) -> list[Event]:
    """Return the event of a bust or correction that waits in quarantine for its fill; [] when it waits already."""
    waiting = (*(() if order is None else order.waiting), *context.unknown_waiting)
    if any(_is_same_restatement(each.fill, command) for each in waiting):
        return []
    fills = (each.fill.trade_id for each in waiting if each.fill.why is not QuarantineReason.UNKNOWN_FILL)
    if order is not None and order.contents.of(command.trade_id) and command.trade_id not in fills:
        return []  # its fill was in quarantine and was rejected
    figures = (ZERO, ZERO, ZERO)
    if isinstance(command, CorrectFill):
        figures = (command.fill_quantity or ZERO, command.fill_price or ZERO, command.fee or ZERO)
    pending = AddFill(
        account=command.account,
        order_id=command.order_id,
        fill_quantity=figures[0],
        fill_price=figures[1],
        trade_id=command.trade_id,
        fee=figures[2],
        actor=command.actor,
    )
    ordinal = context.unknown_count if order is None else order.quarantined
    event = quarantine(pending, QuarantineReason.UNKNOWN_FILL, ordinal, order)
    if isinstance(command, BustFill):
        return [replace(event, bust=True, reason=command.reason)]
    return [_quarantined_correction(event, command)]


def _is_same_restatement(waiting: FillQuarantined, command: BustFill | CorrectFill) -> bool:
    if waiting.why is not QuarantineReason.UNKNOWN_FILL or waiting.trade_id != command.trade_id:
        return False
    return waiting.bust if isinstance(command, BustFill) else _asks_the_same(waiting, command)


def restated_by_waiting(order: Order, context: DecisionContext, actor: str) -> list[Event]:
    """Return the events of the busts and corrections that waited for a fill which the order has by now."""
    events: list[Event] = []
    for each in (*order.waiting, *context.unknown_waiting) if context.rules >= 4 else ():
        waiting = each.fill
        if waiting.why is not QuarantineReason.UNKNOWN_FILL or find_fill(order, waiting.trade_id or "") is None:
            continue
        command = _restatement(waiting, order, actor)
        resolved = _resolved(waiting, actor, "its fill was reported")
        order = after(order, [resolved])
        restated = bust(command, order, context) if isinstance(command, BustFill) else correct(command, order, context)
        order = after(order, restated)
        events += [resolved, *restated]
    own = DecisionContext(rules=context.rules)  # without the fills of unknown orders, which were looked at
    return events + restated_by_waiting(order, own, actor) if events and order.waiting else events


def fulfilled_correction(command: AddFill, order: Order, context: DecisionContext) -> tuple[str, Event] | None:
    """Return the reference of a waiting correction whose own id the reported trade has, and the end of its waiting."""
    for each in (*order.waiting, *context.unknown_waiting):
        waiting = each.fill
        if waiting.correction_id is not None and waiting.correction_id == command.trade_id:
            assert waiting.trade_id is not None, "a correction has the id of its fill"
            return waiting.trade_id, _resolved(waiting, command.actor, "the corrected fill was reported")
    return None


def _resolved(waiting: FillQuarantined, actor: str, reason: str) -> QuarantineResolved:
    return QuarantineResolved(
        account=waiting.account,
        order_id=waiting.order_id,
        quarantine_id=waiting.quarantine_id,
        order_known=waiting.order_known,
        accepted=True,
        reason=reason,
        linked=True,
        actor=actor,
    )


def _restatement(waiting: FillQuarantined, order: Order, actor: str) -> BustFill | CorrectFill:
    """Return the command of a bust or correction in quarantine."""
    assert waiting.trade_id is not None, "a fill without a trade id is never busted or corrected"
    names = {"account": order.account, "order_id": order.order_id, "trade_id": waiting.trade_id, "actor": actor}
    if waiting.bust:
        return BustFill(**names, reason=waiting.reason)
    return CorrectFill(
        **names,
        fill_quantity=waiting.asked_quantity,
        fill_price=waiting.asked_price,
        fee=waiting.asked_fee,
        correction_id=waiting.correction_id,
        reason=waiting.reason,
    )


def _quarantined_correction(fill: FillQuarantined, command: CorrectFill) -> FillQuarantined:
    asked = (command.fill_quantity, command.fill_price, command.fee)
    return replace(
        fill,
        correction=True,
        reason=command.reason,
        asked_quantity=asked[0],
        asked_price=asked[1],
        asked_fee=asked[2],
        correction_id=command.correction_id,
    )


def corrected(
    command: CorrectFill,
    order: Order,
    old: Fill,
    new: tuple[Decimal, Decimal, Decimal],
    *,
    forced: bool,
    quarantine_id: str | None = None,
) -> list[Event]:
    """
    Return the events of a correction.

    Args:
        command: the correction; fields that it does not change are None.
        order: the order of the fill.
        old: the fill as it is booked.
        new: the corrected quantity, price and fee.
        forced: whether it breaks a rule and was accepted anyway.
        quarantine_id: of the correction, if it was in quarantine.
    """
    quantity, price, fee = new
    corrected = FillCorrected(
        account=order.account,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        trade_id=old.booked_trade_id or command.trade_id,
        fill_quantity=quantity,
        fill_price=price,
        fee=fee,
        old_quantity=old.quantity,
        old_price=old.price,
        old_fee=old.fee,
        multiplier=old.multiplier,
        reason=command.reason,
        forced=forced,
        quarantine_id=quarantine_id,
        asked_quantity=command.fill_quantity,
        asked_price=command.fill_price,
        asked_fee=command.fee,
        booked_as=old.booked_as,
        correction_id=command.correction_id,
        asked_trade_id=None if command.trade_id == old.booked_trade_id else command.trade_id,
        fee_currency=old.fee_currency,
        fee_in_base=old.fee_in_base,
        actor=command.actor,
    )
    filled = plus(minus(order.filled_quantity, old.quantity), quantity)
    return [corrected, *completed(command, order, order.state, filled)]


def booked_fill(order: Order, trade_id: str) -> Fill:
    """
    Return the fill with this trade id that is not busted.

    Raises:
        UnknownFill: the order has no such fill.
    """
    fill = find_fill(order, trade_id)
    if fill is not None:
        return fill
    was = "is busted already" if was_busted(order, trade_id) else "is not among its fills"
    known = ", ".join(sorted(f.trade_id for f in order.fills if f.trade_id and not f.busted)[:5]) or "none"
    raise UnknownFill(f"trade {shown(trade_id)} of order {shown(order.order_id)} {was} (booked: {known})")


def was_busted(order: Order, trade_id: str) -> bool:
    """Return whether a fill with this trade id was busted."""
    return any(fill.busted and trade_id in (fill.trade_id, *fill.trade_ids) for fill in order.fills)


def fill_without_fee(command: AddFill, order: Order, context: DecisionContext) -> Fill | None:
    """Return the booked fill of the same trade, if it has no fee and nothing else differs."""
    if context.rules < 3 or command.trade_id is None or symbol_and_side(command, order) != (
        order.symbol, order.side.value
    ):  # fmt: skip
        return None
    fill = find_fill(order, command.trade_id)
    if fill is None or fill.fee or (fill.quantity, fill.price) != (command.fill_quantity, command.fill_price):
        return None
    return fill


def complete_with_fee(command: AddFill, order: Order, fill: Fill, context: DecisionContext) -> list[Event]:
    """Return the events of a trade that is reported again with its fee."""
    assert command.trade_id is not None, "a fill without a trade id is never recognised"
    asked = CorrectFill(
        account=order.account,
        order_id=order.order_id,
        trade_id=command.trade_id,
        fee=command.fee,
        reason="the fee was reported later",
        actor=command.actor,
    )
    first, *others = corrected(asked, order, fill, (fill.quantity, fill.price, command.fee), forced=False)
    assert isinstance(first, FillCorrected), "a correction comes first"
    in_base = is_in_base(command.fee_currency, command.fee, fill.quantity, context)
    return [replace(first, completes=True, fee_currency=command.fee_currency, fee_in_base=in_base), *others]
