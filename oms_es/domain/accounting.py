"""
Lots: open quantity, cost basis and realized P&L; pure and exact.

A lot stores its cost, not its price, so that no division rounds. Quantities and costs are signed:
positive for a long lot, negative for a short lot.
"""

from collections.abc import Iterable
from decimal import Decimal, Inexact

from msgspec import Struct

from oms_es.decimals import ZERO, canonical, divide, minus, negate, plus, quotient, times
from oms_es.vocabulary import CostMethod, OrderSide


class Lot(Struct, frozen=True, array_like=True):
    """An open quantity from one fill (by average cost: from all fills)."""

    quantity: Decimal  # base units; + long, - short; never 0 while open
    cost: Decimal  # quote units; same sign as the quantity for positive prices
    units: Decimal  # quote units per price unit: quantity times multiplier; adds up over several multipliers
    source: int = 0  # seq of the fill that opened it; by average cost: of the first fill


class Match(Struct, frozen=True):
    """A part of an open lot that a fill closed."""

    opened_by: int  # seq of the fill that opened the lot
    closed_by: int  # seq of the fill that closed it
    quantity: Decimal  # signed as the lot
    cost: Decimal  # of this part
    proceeds: Decimal  # signed as the cost
    realized: Decimal  # proceeds - cost
    units: Decimal = ZERO  # sum of the lot's and the fill's units; 0 where both have the same multiplier


Lots = tuple[Lot, ...]


class MixedLots(AssertionError):
    """Long and short lots in one position: an error in our own code."""


def lot(side: OrderSide, quantity: Decimal, price: Decimal, multiplier: Decimal, source: int = 0) -> Lot:
    """Return a fill as a lot: signed quantity, and cost in quote units."""
    signed = quantity if side is OrderSide.BUY else negate(quantity)
    units = times(signed, multiplier)
    return Lot(signed, times(units, price), units, source)


def without_fee(fill: Lot, fee: Decimal, multiplier: Decimal) -> Lot:
    """Return a fill less a fee in the base asset; its cost is that of the whole fill."""
    quantity = minus(fill.quantity, fee)
    return Lot(quantity, fill.cost, times(quantity, multiplier), fill.source)


def book(lots: Lots, fill: Lot, method: CostMethod) -> tuple[Lots, Decimal]:
    """
    Book `fill` against the open `lots`.

    Args:
        lots: oldest first, all long or all short; () when flat.
        fill: signed quantity in base units, and its cost in quote units.
        method: which lots a fill closes first.

    Returns:
        The lots that stay open, and the realized P&L in quote units, before fees.
        Realized P&L minus the cost of the open lots equals the cash received, to the last digit.

    Raises:
        MixedLots: `lots` contains long and short lots.

    Source: spec, "Position Tracking"; worked figures in tests/tables/lots.txt.
    """
    left, matches = match(lots, fill, method)
    return left, canonical(summed(each.realized for each in matches))


def summed(figures: Iterable[Decimal]) -> Decimal:
    """Return the exact sum."""
    sum_so_far = ZERO
    for figure in figures:
        sum_so_far = plus(sum_so_far, figure)
    return sum_so_far


def match(lots: Lots, fill: Lot, method: CostMethod) -> tuple[Lots, list[Match]]:
    """Return the open lots after `fill`, and which parts of which lots it closed."""
    if not fill.quantity:
        return lots, []
    if not lots or (lots[0].quantity > 0) == (fill.quantity > 0):
        return _opened(lots, fill, method), []
    _check_one_sided(lots)
    matches: list[Match] = []
    open_lots, rest = list(lots), fill
    next_lot = -1 if method is CostMethod.LIFO else 0
    while open_lots and rest.quantity:
        closed, rest, remainder = _close(open_lots[next_lot], rest, method)
        matches.append(closed)
        if remainder is None:
            open_lots.pop(next_lot)
        else:
            open_lots[next_lot] = remainder
    if rest.quantity:
        return (rest,), matches
    return tuple(open_lots), matches


def _opened(lots: Lots, fill: Lot, method: CostMethod) -> Lots:
    if method is not CostMethod.AVERAGE or not lots:
        return lots + (fill,)  # noqa: RUF005 - of thousands of lots, half of the time
    (held,) = lots
    quantity, cost, units = (plus(*each) for each in zip(_sizes(held), _sizes(fill), strict=True))
    return (Lot(quantity, cost, units, held.source),)


def _close(held: Lot, fill: Lot, method: CostMethod) -> tuple[Match, Lot, Lot | None]:
    """Return the match, the rest of the fill, and the rest of the lot (None: fully closed)."""
    size, wanted = held.quantity.copy_abs(), fill.quantity.copy_abs()
    if wanted >= size:
        # The whole lot is closed with its whole cost; a fill has one price, so its cost nearly always divides exactly.
        quantity, cost, remainder = held.quantity, held.cost, None
        proceeds, units = (_share(times(each, size), wanted) for each in (fill.cost, fill.units))
        closed = held.units
    else:
        # By average cost a lot has several prices, so its share is rounded; the difference stays in the open part.
        share = divide if method is CostMethod.AVERAGE else _share
        quantity, proceeds, units = negate(fill.quantity), fill.cost, fill.units
        cost = share(times(held.cost, wanted), size)
        same = times(held.units, fill.quantity) == times(fill.units, held.quantity)  # the same multiplier: exact
        closed = negate(fill.units) if same else share(times(held.units, wanted), size)
        remainder = Lot(minus(held.quantity, quantity), minus(held.cost, cost), minus(held.units, closed), held.source)
    rest = Lot(plus(fill.quantity, quantity), minus(fill.cost, proceeds), minus(fill.units, units), fill.source)
    proceeds = negate(proceeds)
    both = plus(closed, units)
    return Match(held.source, fill.source, quantity, cost, proceeds, minus(proceeds, cost), both), rest, remainder


def _share(product: Decimal, whole: Decimal) -> Decimal:
    """Return the quotient; rounded only where a fee in the base asset has left no exact price."""
    try:
        return quotient(product, whole)
    except Inexact:
        return divide(product, whole)


def _check_one_sided(lots: Lots) -> None:
    # The two ends are enough: a fill of the other side closes all lots before it opens one.
    if (lots[-1].quantity > 0) != (lots[0].quantity > 0):
        raise MixedLots(f"long and short lots in one position: {lots}")


def _sizes(each: Lot) -> tuple[Decimal, Decimal, Decimal]:
    return each.quantity, each.cost, each.units


def total(lots: Iterable[Lot]) -> tuple[Decimal, Decimal, Decimal]:
    """Return the total quantity, cost basis and units of the lots."""
    quantity = cost = units = ZERO
    for each in lots:
        quantity, cost, units = plus(quantity, each.quantity), plus(cost, each.cost), plus(units, each.units)
    return canonical(quantity), canonical(cost), canonical(units)
