"""
Inferred fills: the part of a venue's cumulative quantity (FIX CumQty 14) that its executions do not explain.

An execution that is reported later replaces inferred fills; it never adds to them.
"""

from decimal import Decimal

from msgspec.structs import replace

from oms_es.decimals import ZERO, divide, minus, plus, times
from oms_es.domain.commands import AddFill, OrderCommand
from oms_es.domain.decision_context import DecisionContext
from oms_es.domain.events import Event, FillBusted, FillCorrected, QuarantineResolved, StateChanged
from oms_es.domain.executions import broken_rule, execute
from oms_es.domain.order import Order, after
from oms_es.domain.order_fills import Fill
from oms_es.vocabulary import OrderState, QuarantineReason

S = OrderState


def missing_fill(
    order: Order, name: str, cumulative: Decimal, average: Decimal | None, *, at: int | None = None
) -> tuple[str, Decimal, Decimal] | None:
    """
    Return trade id, quantity and price of what a cumulative quantity has beyond the known fills; None: nothing.

    Args:
        order: the order with its known fills.
        name: the id under which the order was reported.
        cumulative: the reported filled quantity.
        average: the reported average price; None: not reported.
        at: time of the report at the venue, ns UTC. In one older than the last event of the order, busted fills count
            as well; one older than the report of an inferred fill is ignored. None: now.
    """
    known = order.filled_quantity
    if at is not None and any(fill.inferred and fill.occurred_at > at for fill in order.fills):
        return None
    if at is not None and at < order.updated_at:
        for fill in order.fills:
            known = plus(known, fill.quantity) if fill.busted and not fill.inferred else known
    quantity = minus(cumulative, known)
    price = _price(order, cumulative, average, quantity)
    if quantity <= 0 or price is None:
        return None
    trade_id = inferred_id(name, cumulative)
    return None if order.contents.of(trade_id) else (trade_id, quantity, price)


def inferred_id(name: str, cumulative: Decimal) -> str:
    """Return the trade id of an inferred fill."""
    return f"inferred:{name}:{cumulative:f}"


def _price(order: Order, cumulative: Decimal, average: Decimal | None, quantity: Decimal) -> Decimal | None:
    """Return the price at which the average agrees; the average itself if that price would have another sign."""
    if average is None or quantity <= 0:
        return order.price
    if quantity == cumulative:
        return average
    price = divide(minus(times(cumulative, average), order.filled_cost), quantity)
    return price if (price > 0) is (average > 0) else average


def execute_for_inferred(
    command: AddFill, order: Order, context: DecisionContext, quarantine_id: str | None = None
) -> tuple[QuarantineReason | None, list[Event]]:
    """Return the rule that a fill breaks, and the events of booking it in place of inferred fills."""
    replaced: list[Event] = []
    reduced = order
    if context.rules >= 4 and order.inferred_quantity and not command.inferred:
        replaced, reduced = without_inferred(command, order, command.fill_quantity)
    why = broken_rule(command, reduced, context)
    booked = execute(command, reduced, context, forced=why is not None, quarantine_id=quarantine_id)
    if order.state is S.FILLED and reduced.state is not order.state:
        booked = [each for each in booked if not isinstance(each, StateChanged)]  # complete before and after
    return why, [*replaced, *booked]


def without_inferred(command: OrderCommand, order: Order, quantity: Decimal) -> tuple[list[Event], Order]:
    """
    Return the events that take `quantity` off the inferred fills, oldest first, and the order after them.

    The order counts as WORKING there if only inferred fills had completed it.
    """
    events: list[Event] = []
    for fill in [each for each in order.fills if each.inferred and not each.busted]:
        if not quantity:
            break
        taken = min(quantity, fill.quantity)
        price = command.fill_price if isinstance(command, AddFill) else fill.price
        events.append(_reduced(command, order, fill, taken, price))
        quantity = minus(quantity, taken)
    order = after(order, events)
    if events and order.state is S.FILLED and order.filled_quantity < order.quantity:
        order = replace(order, state=S.WORKING)
    return events, order


def _reduced(command: OrderCommand, order: Order, fill: Fill, taken: Decimal, price: Decimal) -> Event:
    """Return the event that takes a quantity off an inferred fill at the price of the real one."""
    assert fill.trade_id is not None, "an inferred fill has a trade id"
    left = minus(fill.quantity, taken)
    if not left:
        return FillBusted(
            account=order.account,
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            trade_id=fill.trade_id,
            fill_quantity=fill.quantity,
            fill_price=fill.price,
            fee=fill.fee,
            reason="replaced by its executions",
            booked_as=fill.booked_as,
            inferred=True,
            actor=command.actor,
        )
    rest = divide(minus(times(fill.quantity, fill.price), times(taken, price)), left)
    return FillCorrected(
        account=order.account,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        trade_id=fill.trade_id,
        fill_quantity=left,
        fill_price=rest if (rest > 0) is (fill.price > 0) else fill.price,
        fee=fill.fee,
        old_quantity=fill.quantity,
        old_price=fill.price,
        old_fee=fill.fee,
        multiplier=fill.multiplier,
        reason="replaced by its executions",
        booked_as=fill.booked_as,
        inferred=True,
        actor=command.actor,
    )


def no_longer_needed(command: OrderCommand, order: Order) -> list[Event]:
    """Return the events that reject quarantined inferred fills whose quantity the known fills explain by now."""
    return [
        QuarantineResolved(
            account=each.fill.account,
            order_id=each.fill.order_id,
            quarantine_id=each.fill.quarantine_id,
            accepted=False,
            reason="replaced by its executions",
            linked=True,
            actor=command.actor,
        )
        for each in order.waiting
        if each.fill.inferred and _cumulative(each.fill.trade_id) <= order.filled_quantity
    ]


def _cumulative(trade_id: str | None) -> Decimal:
    number = (trade_id or "").rpartition(":")[2]
    return Decimal(number) if number else ZERO
