"""
What a fill makes of an order: fills are facts, and none is ever lost or counted twice.

A fill that breaks a rule waits in quarantine until somebody decides; a repeated one gives nothing.
"""

import hashlib
from decimal import Decimal

from msgspec.structs import replace

from oms_es.commands import AddFill, BustFill, CorrectFill, OrderCommand, ResolveQuarantined
from oms_es.decimals import ZERO, minus, plus, text, times
from oms_es.errors import InvalidInput, UnknownFill, UnknownQuarantine
from oms_es.events import (
    Event,
    FillAdded,
    FillBusted,
    FillCorrected,
    FillQuarantined,
    OrderSubmitted,
    QuarantineResolved,
)
from oms_es.given import Given, moved
from oms_es.identifiers import shown
from oms_es.order import Content, Fill, Order, find_fill
from oms_es.vocabulary import OrderSide, OrderState, OrderType, Origin, QuarantineReason

S = OrderState
Q = QuarantineReason


def add_fill(command: AddFill, order: Order, given: Given) -> list[Event]:
    """Return what a fill of a known order gives."""
    if _is_repeated(command, order.contents | given.unknown_contents):
        return []
    why = _exception(command, order, given)
    if why is not None and not (given.accept_exceptions and why is not Q.CONFLICT):
        return [_quarantine(command, why, order.quarantined, order)]
    return _execute(command, order, given, forced=why is not None)


def fill_unknown(command: AddFill, given: Given) -> list[Event]:
    """Return what a fill gives whose order nobody submitted here."""
    if _is_repeated(command, given.unknown_contents):
        return []
    if command.symbol is None or command.side is None:
        return [_quarantine(command, Q.UNKNOWN_ORDER, given.unknown_count)]
    if _is_known(command, given.unknown_contents):
        return [_quarantine(command, Q.CONFLICT, given.unknown_count)]
    wild = _is_out_of_band(command, None, given)
    if wild and not given.accept_exceptions:
        return [_quarantine(command, Q.PRICE_BAND, given.unknown_count)]
    return _open_external(command, (command.symbol, command.side), given, forced=wild)


def _exception(command: AddFill, order: Order, given: Given) -> QuarantineReason | None:
    """Return the first rule that the fill breaks."""
    other = command.symbol not in (None, order.symbol) or command.side not in (None, order.side)
    if other or _is_known(command, order.contents | given.unknown_contents):
        return Q.CONFLICT
    if order.state in (S.REJECTED, S.FILLED, S.IDLE):
        return Q.ORDER_DONE
    if order.is_external:
        return Q.PRICE_BAND if _is_out_of_band(command, None, given) else None
    if plus(order.filled_quantity, command.fill_quantity) > order.quantity:
        return Q.OVERFILL
    return Q.PRICE_BAND if _is_out_of_band(command, order.price, given) else None


def _is_repeated(command: AddFill, contents: frozenset[Content]) -> bool:
    if command.trade_id is None:
        return False
    return (command.trade_id, command.fill_quantity, command.fill_price, command.fee) in contents


def _is_known(command: AddFill, contents: frozenset[Content]) -> bool:
    return command.trade_id is not None and any(known[0] == command.trade_id for known in contents)


def _is_out_of_band(command: AddFill, limit_price: Decimal | None, given: Given) -> bool:
    reference = given.mark if limit_price is None else limit_price
    if given.origin is Origin.IMPORT or given.price_band is None or reference is None:
        return False
    distance = minus(command.fill_price, reference).copy_abs()
    return distance > times(given.price_band, reference.copy_abs())


def _execute(
    command: AddFill, order: Order, given: Given, *, forced: bool, quarantine_id: str | None = None
) -> list[Event]:
    events: list[Event] = []
    state = order.state
    if state is S.PENDING:
        events.append(moved(command, S.PENDING, S.WORKING, reason="filled before it was acknowledged"))
        state = S.WORKING
    events.append(
        FillAdded(
            account=order.account,
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            fill_quantity=command.fill_quantity,
            fill_price=command.fill_price,
            trade_id=command.trade_id,
            fee=command.fee,
            multiplier=given.multiplier,
            currency=given.currency,
            late=state in (S.CANCELLED, S.FAILED),
            forced=forced,
            quarantine_id=quarantine_id,
            actor=command.actor,
        )
    )
    filled = plus(order.filled_quantity, command.fill_quantity)
    return events + _completed(command, order, state, filled)


def _completed(command: OrderCommand, order: Order, state: OrderState, filled: Decimal) -> list[Event]:
    """Return the move that the new filled quantity asks for, if any."""
    if order.is_external:
        return []
    if state is S.WORKING and filled >= order.quantity:
        return [moved(command, S.WORKING, S.FILLED)]
    if state is S.FILLED and filled < order.quantity:
        return [moved(command, S.FILLED, S.WORKING, reason="a fill was taken back or corrected")]
    return []


def _open_external(
    command: AddFill,
    what: tuple[str, OrderSide],
    given: Given,
    *,
    forced: bool = False,
    quarantine_id: str | None = None,
) -> list[Event]:
    symbol, side = what
    submitted = OrderSubmitted(
        account=command.account,
        order_id=command.order_id,
        symbol=symbol,
        side=side,
        quantity=command.fill_quantity,
        order_type=OrderType.MARKET,
        external=True,
        actor=command.actor,
    )
    order = Order(submitted=submitted, quantity=ZERO, price=None, state=S.WORKING)
    moves: list[Event] = [moved(command, S.IDLE, S.PENDING), moved(command, S.PENDING, S.WORKING)]
    return [submitted, *moves, *_execute(command, order, given, forced=forced, quarantine_id=quarantine_id)]


# --- quarantine ---


def _quarantine(command: AddFill, why: QuarantineReason, ordinal: int, order: Order | None = None) -> FillQuarantined:
    return FillQuarantined(
        account=command.account,
        order_id=command.order_id,
        quarantine_id=_quarantine_id(command, ordinal, order),
        order_known=order is not None,
        why=why,
        fill_quantity=command.fill_quantity,
        fill_price=command.fill_price,
        trade_id=command.trade_id,
        fee=command.fee,
        symbol=command.symbol or (order.symbol if order else None),
        side=command.side or (order.side if order else None),
        actor=command.actor,
    )


def _quarantine_id(command: AddFill, ordinal: int, order: Order | None) -> str:
    """Return an id that a replay works out again: a digest of the fill and of its place in the queue."""
    known = "order" if order else "unknown"
    figures = (text(command.fill_quantity), text(command.fill_price), text(command.fee))
    parts = (known, command.account, command.order_id, command.trade_id or "", *figures, str(ordinal))
    return "q-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def resolve(command: ResolveQuarantined, order: Order | None, given: Given) -> list[Event]:
    """Return what a decision about a fill in quarantine gives."""
    candidates = (*(order.waiting if order else ()), *given.unknown_waiting)
    waiting = next((w for w in candidates if w.fill.quarantine_id == command.quarantine_id), None)
    if waiting is None:
        raise UnknownQuarantine(f"nothing waits in quarantine under {shown(command.quarantine_id)}")
    fill = waiting.fill
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
        assert order is not None, "a correction waits in its order's stream"
        return [resolved, *_accept_correction(command, order, fill)]
    told = _told(fill, command, order)
    if order is not None:
        _check_fits(fill, command, order)
        return [resolved, *_execute(told, order, given, forced=True, quarantine_id=fill.quarantine_id)]
    if symbol is None or side is None:
        msg = f"accepting {shown(command.quarantine_id)} opens order {shown(fill.order_id)}: give its symbol and side"
        raise InvalidInput(msg)
    return [resolved, *_open_external(told, (symbol, side), given, forced=True, quarantine_id=fill.quarantine_id)]


def _check_fits(fill: FillQuarantined, command: ResolveQuarantined, order: Order) -> None:
    """Refuse to book a fill into an order that it was not told of, unless whoever decides says so."""
    symbol, side = command.symbol or fill.symbol, command.side or fill.side
    if symbol in (None, order.symbol) and side in (None, order.side):
        return
    what = f"{side.value if side else ''} {symbol or ''}".strip()
    raise InvalidInput(
        f"{fill.quarantine_id} was told as {what}, but order {shown(order.order_id)} is {order.side.value} "
        f"{order.symbol}: reject it, or give --symbol and --side of the order if it is the order's after all"
    )


def _told(fill: FillQuarantined, command: ResolveQuarantined, order: Order | None) -> AddFill:
    return AddFill(
        account=fill.account,
        order_id=fill.order_id if order is None else order.order_id,
        fill_quantity=fill.fill_quantity,
        fill_price=fill.fill_price,
        trade_id=fill.trade_id,
        fee=fill.fee,
        actor=command.actor,
    )


# --- busts and corrections ---


def bust(command: BustFill, order: Order) -> list[Event]:
    """Return what taking a fill back gives."""
    fill = _standing(order, command.trade_id)
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
        actor=command.actor,
    )
    return [busted, *_completed(command, order, order.state, minus(order.filled_quantity, fill.quantity))]


def correct(command: CorrectFill, order: Order, given: Given) -> list[Event]:
    """Return what changing a fill gives."""
    fill = _standing(order, command.trade_id)
    quantity = fill.quantity if command.fill_quantity is None else command.fill_quantity
    price = fill.price if command.fill_price is None else command.fill_price
    fee = fill.fee if command.fee is None else command.fee
    if (quantity, price, fee) == (fill.quantity, fill.price, fill.fee):
        return []
    if any(_asks_the_same(each.fill, command) for each in order.waiting):
        return []  # it waits already
    over = plus(minus(order.filled_quantity, fill.quantity), quantity) > order.quantity and quantity > fill.quantity
    if over and not order.is_external and not given.accept_exceptions:
        told = AddFill(
            account=order.account,
            order_id=order.order_id,
            fill_quantity=quantity,
            fill_price=price,
            trade_id=command.trade_id,
            fee=fee,
            actor=command.actor,
        )
        return [_quarantined_correction(_quarantine(told, Q.OVERFILL, order.quarantined, order), command)]
    return _corrected(command, order, fill, (quantity, price, fee), forced=over and not order.is_external)


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


def _accept_correction(command: ResolveQuarantined, order: Order, waiting: FillQuarantined) -> list[Event]:
    assert waiting.trade_id is not None, "a correction names its trade"
    fill = _standing(order, waiting.trade_id)
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
    # What was not asked for stays as it is by now: another correction may have come in between.
    new = (
        fill.quantity if waiting.asked_quantity is None else waiting.asked_quantity,
        fill.price if waiting.asked_price is None else waiting.asked_price,
        fill.fee if waiting.asked_fee is None else waiting.asked_fee,
    )
    return _corrected(asked, order, fill, new, forced=True, quarantine_id=waiting.quarantine_id)


def _corrected(
    command: CorrectFill,
    order: Order,
    old: Fill,
    new: tuple[Decimal, Decimal, Decimal],
    *,
    forced: bool,
    quarantine_id: str | None = None,
) -> list[Event]:
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
        actor=command.actor,
    )
    filled = plus(minus(order.filled_quantity, old.quantity), quantity)
    return [corrected, *_completed(command, order, order.state, filled)]


def _standing(order: Order, trade_id: str) -> Fill:
    fill = find_fill(order, trade_id)
    if fill is not None:
        return fill
    was = "is busted already" if any(f.trade_id == trade_id for f in order.fills) else "is not among its fills"
    known = ", ".join(sorted(f.trade_id for f in order.fills if f.trade_id and not f.busted)[:5]) or "none"
    raise UnknownFill(f"trade {shown(trade_id)} of order {shown(order.order_id)} {was} (standing: {known})")
