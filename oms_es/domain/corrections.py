"""Busts and corrections of fills (FIX ExecType H, TradeCancel, and G, TradeCorrect)."""

from decimal import Decimal

from msgspec.structs import replace

from oms_es.decimals import minus, plus
from oms_es.domain.commands import AddFill, BustFill, CorrectFill
from oms_es.domain.decision_context import DecisionContext
from oms_es.domain.events import Event, FillBusted, FillCorrected, FillQuarantined
from oms_es.domain.executions import completed, quarantine, symbol_and_side
from oms_es.domain.order import Fill, Order, find_fill
from oms_es.errors import UnknownFill
from oms_es.identifiers import shown
from oms_es.vocabulary import QuarantineReason


def bust(command: BustFill, order: Order, context: DecisionContext) -> list[Event]:
    """Return the events of a bust; [] when the fill is already busted."""
    if context.rules >= 3 and find_fill(order, command.trade_id) is None and was_busted(order, command.trade_id):
        return []
    fill = booked_fill(order, command.trade_id)
    busted = FillBusted(
        account=order.account,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        trade_id=command.trade_id,
        fill_quantity=fill.quantity,
        fill_price=fill.price,
        fee=fill.fee,
        reason=command.reason,
        booked_as=fill.booked_as,
        actor=command.actor,
    )
    return [busted, *completed(command, order, order.state, minus(order.filled_quantity, fill.quantity))]


def correct(command: CorrectFill, order: Order, context: DecisionContext) -> list[Event]:
    """Return the events of a correction, or of its quarantine; [] when it changes nothing."""
    fill = booked_fill(order, command.trade_id)
    quantity = fill.quantity if command.fill_quantity is None else command.fill_quantity
    price = fill.price if command.fill_price is None else command.fill_price
    fee = fill.fee if command.fee is None else command.fee
    if (quantity, price, fee) == (fill.quantity, fill.price, fill.fee):
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


def _quarantined_correction(fill: FillQuarantined, command: CorrectFill) -> FillQuarantined:
    asked = (command.fill_quantity, command.fill_price, command.fee)
    return replace(
        fill,
        correction=True,
        reason=command.reason,
        asked_quantity=asked[0],
        asked_price=asked[1],
        asked_fee=asked[2],
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
        trade_id=command.trade_id,
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
    return any(fill.trade_id == trade_id and fill.busted for fill in order.fills)


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


def complete_with_fee(command: AddFill, order: Order, fill: Fill) -> list[Event]:
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
    return [replace(first, completes=True), *others]
