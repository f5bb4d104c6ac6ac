"""
Book fills: the rules that a fill can break, its events, and when it completes its order.

A repeated report of a trade is recognised by its content: account, order, symbol, side, trade id, quantity, price
and fee.
"""

import hashlib
from decimal import Decimal

from msgspec.structs import replace

from oms_es.decimals import ZERO, minus, plus, text, times
from oms_es.domain.commands import AddFill, OrderCommand
from oms_es.domain.contents import Content
from oms_es.domain.decision_context import DecisionContext, state_changed
from oms_es.domain.events import Event, FillAdded, FillQuarantined, OrderAmended, OrderSubmitted
from oms_es.domain.order import Order
from oms_es.vocabulary import OrderSide, OrderState, OrderType, Origin, QuarantineReason

S = OrderState
Q = QuarantineReason


def reports(command: AddFill, order: Order | None, context: DecisionContext) -> list[Content]:
    """Return the earlier reports with the fill's trade id, for this order or for fills without an order."""
    if command.trade_id is None:
        return []
    own = [] if order is None else order.contents.of(command.trade_id)
    return [*own, *(each for each in context.unknown_contents if each.trade_id == command.trade_id)]


def is_repetition(command: AddFill, known: Content, order: Order | None, context: DecisionContext) -> bool:
    """Return whether a report of the same trade id adds nothing new; its fee may be missing."""
    if (command.fill_quantity, command.fill_price) != (known.quantity, known.price):
        return False
    if context.rules < 3:
        return command.fee == known.fee
    return known.is_of(*symbol_and_side(command, order)) and command.fee in (known.fee, ZERO)


def symbol_and_side(command: AddFill, order: Order | None) -> tuple[str, str]:
    """Return the symbol and side of a fill, or else of its order; "" if unknown."""
    symbol = command.symbol or (order.symbol if order else "")
    side = command.side or (order.side if order else None)
    return symbol, "" if side is None else side.value


def broken_rule(command: AddFill, order: Order, context: DecisionContext) -> QuarantineReason | None:
    """Return the first rule that the fill breaks; None if it breaks none."""
    if command.symbol not in (None, order.symbol) or command.side not in (None, order.side):
        return Q.CONFLICT
    if order.state in (S.REJECTED, S.FILLED, S.IDLE):
        return Q.ORDER_DONE
    if order.is_external:
        return Q.PRICE_BAND if is_out_of_band(command, None, order.side, context) else None
    if plus(order.filled_quantity, command.fill_quantity) > largest_quantity(order):
        return Q.OVERFILL
    return Q.PRICE_BAND if is_out_of_band(command, order.price, order.side, context) else None


def largest_quantity(order: Order) -> Decimal:
    """Return the total quantity, or that of a requested replace if it is larger."""
    wanted = None if order.replacement is None else order.replacement.quantity
    return order.quantity if wanted is None else max(order.quantity, wanted)


def is_out_of_band(command: AddFill, limit_price: Decimal | None, side: OrderSide, context: DecisionContext) -> bool:
    """Return whether the price is too far from the limit price or the mark; better than the limit never is."""
    reference = context.mark if limit_price is None else limit_price
    if context.origin is Origin.IMPORT or context.price_band is None or reference is None:
        return False
    distance = minus(command.fill_price, reference)
    if context.rules < 3:
        return distance.copy_abs() > times(context.price_band, reference.copy_abs())
    if limit_price is not None and side.sign * distance <= 0:
        return False
    size = max(reference.copy_abs(), ZERO if context.mark is None else context.mark.copy_abs())
    floor = context.price_band_floor if size <= context.price_band_floor else ZERO  # for prices near 0
    return distance.copy_abs() > max(times(context.price_band, size), floor)


def execute(
    command: AddFill, order: Order, context: DecisionContext, *, forced: bool, quarantine_id: str | None = None
) -> list[Event]:
    """Return the events of booking a fill into its order."""
    events: list[Event] = []
    state = order.state
    if state is S.PENDING:
        events.append(state_changed(command, S.PENDING, S.WORKING, reason="filled before it was acknowledged"))
        state = S.WORKING
    if state is S.FAILED and context.rules >= 4:
        events.append(state_changed(command, S.FAILED, S.WORKING, reason="the venue reports a fill", revived=True))
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
            multiplier=context.multiplier,
            currency=context.currency,
            late=state in (S.CANCELLED, S.FAILED),
            forced=forced,
            quarantine_id=quarantine_id,
            fee_currency=command.fee_currency,
            fee_in_base=is_in_base(command.fee_currency, command.fee, command.fill_quantity, context),
            liquidity=command.liquidity,
            inferred=command.inferred,
            actor=command.actor,
        )
    )
    filled = plus(order.filled_quantity, command.fill_quantity)
    if order.replacement is not None and order.quantity < filled <= largest_quantity(order):
        amended = _replaced(command, order)
        return [*events, amended, *completed(command, replace(order, quantity=amended.quantity), state, filled)]
    return events + completed(command, order, state, filled)


def is_in_base(currency: str, fee: Decimal, quantity: Decimal, context: DecisionContext) -> bool:
    """Return whether a fee is in the base asset and changes the quantity held; never more than the fill itself."""
    return currency != "" and currency == context.base and fee.copy_abs() < quantity


def _replaced(command: AddFill, order: Order) -> OrderAmended:
    """Return the event of a requested replace that the venue must have carried out, for it filled more."""
    assert order.replacement is not None, "a larger order was requested"
    assert order.replacement.quantity is not None, "a larger order was requested"
    return OrderAmended(
        account=order.account,
        order_id=order.order_id,
        quantity=order.replacement.quantity,
        price=order.price if order.replacement.price is None else order.replacement.price,
        reported=True,
        new_order_id=order.replacement.new_order_id,
        actor=command.actor,
    )


def completed(command: OrderCommand, order: Order, state: OrderState, filled: Decimal) -> list[Event]:
    """Return the state change that follows from the new filled quantity; [] if none."""
    if order.is_external:
        return []
    if state is S.WORKING and filled >= order.quantity:
        return [state_changed(command, S.WORKING, S.FILLED)]
    if state is S.FILLED and filled < order.quantity:
        return [state_changed(command, S.FILLED, S.WORKING, reason="a fill was taken back or corrected")]
    return []


def open_external(
    command: AddFill,
    instrument: tuple[str, OrderSide],
    context: DecisionContext,
    *,
    forced: bool = False,
    quarantine_id: str | None = None,
) -> list[Event]:
    """Return the events of a fill that opens an external order."""
    symbol, side = instrument
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
    states: list[Event] = [state_changed(command, S.IDLE, S.PENDING), state_changed(command, S.PENDING, S.WORKING)]
    return [submitted, *states, *execute(command, order, context, forced=forced, quarantine_id=quarantine_id)]


def quarantine(command: AddFill, why: QuarantineReason, ordinal: int, order: Order | None = None) -> FillQuarantined:
    """Return the event that puts a fill in quarantine; `ordinal` counts the fills quarantined before."""
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
        fee_currency=command.fee_currency,
        liquidity=command.liquidity,
        inferred=command.inferred,
        actor=command.actor,
    )


def _quarantine_id(command: AddFill, ordinal: int, order: Order | None) -> str:
    """Return a deterministic id, which a replay reproduces: a digest of the fill and its ordinal."""
    known = "order" if order else "unknown"
    figures = (text(command.fill_quantity), text(command.fill_price), text(command.fee))
    parts = (known, command.account, command.order_id, command.trade_id or "", *figures, str(ordinal))
    return "q-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
