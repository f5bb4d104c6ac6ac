"""
Lots: what is open, what it cost, and what closing it earned; pure and exact.

A lot keeps its cost, never its price, so that nothing is lost in a division. Everything here is signed:
a long lot has positive quantity and cost, a short lot negative ones.
"""

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from oms_es.decimals import ZERO, canonical, divide, minus, negate, plus, quotient, times
from oms_es.vocabulary import CostMethod, OrderSide


class Lot(Struct, frozen=True, array_like=True):
    """A quantity that came from one fill (or, by average cost, from all of them)."""

    quantity: Decimal  # base units; + long, - short; never 0 while open
    cost: Decimal  # quote units; same sign as the quantity for positive prices
    units: Decimal  # quote units per price unit: quantity times multiplier, so that lots of several add up
    source: int = 0  # the seq of the fill that opened it; by average cost, of the first one


class Match(Struct, frozen=True):
    """A part of an open lot that a fill closed."""

    opened_by: int  # seq of the fill that opened the lot
    closed_by: int  # seq of the fill that closed it
    quantity: Decimal  # signed as the lot was
    cost: Decimal  # what that part had cost
    proceeds: Decimal  # what closing it brought, signed as the cost
    realized: Decimal  # proceeds - cost
    units: Decimal = ZERO  # of the lot's part and the fill's together; 0 where both have one multiplier


Lots = tuple[Lot, ...]


class MixedLots(AssertionError):
    """Long and short lots at once: our own mistake, never the caller's."""


def lot(side: OrderSide, quantity: Decimal, price: Decimal, multiplier: Decimal, source: int = 0) -> Lot:
    """Return the fill as a lot: signed quantity, and its cost in quote units."""
    signed = quantity if side is OrderSide.BUY else negate(quantity)
    units = times(signed, multiplier)
    return Lot(signed, times(units, price), units, source)


def book(lots: Lots, fill: Lot, method: CostMethod) -> tuple[Lots, Decimal]:
    """
    Book `fill` against the open `lots`.

    Args:
        lots: oldest first, all long or all short; () when flat.
        fill: signed quantity in base units, and its cost in quote units.
        method: which lots a closing fill takes first.

    Returns:
        The lots left open, and the P&L realized in quote units, before fees.
        Realized P&L minus cost left open is the cash that came in, to the last digit.

    Raises:
        MixedLots: `lots` holds long and short at once.

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
    """Book `fill` as `book` does, and tell which parts of which lots it closed."""
    if not fill.quantity:
        return lots, []
    if not lots or (lots[0].quantity > 0) == (fill.quantity > 0):
        return _opened(lots, fill, method), []
    _check_one_sided(lots)
    matches: list[Match] = []
    open_lots, rest = list(lots), fill
    next_lot = -1 if method is CostMethod.LIFO else 0
    while open_lots and rest.quantity:
        taken, rest, kept = _close(open_lots[next_lot], rest, method)
        matches.append(taken)
        if kept is None:
            open_lots.pop(next_lot)
        else:
            open_lots[next_lot] = kept
    if rest.quantity:
        return (rest,), matches
    return tuple(open_lots), matches


def _opened(lots: Lots, fill: Lot, method: CostMethod) -> Lots:
    if method is not CostMethod.AVERAGE or not lots:
        return (*lots, fill)
    (held,) = lots
    quantity, cost, units = (plus(*each) for each in zip(_sizes(held), _sizes(fill), strict=True))
    return (Lot(quantity, cost, units, held.source),)


def _close(held: Lot, fill: Lot, method: CostMethod) -> tuple[Match, Lot, Lot | None]:
    """Return the match, what is left of the fill, and what is left of the lot (None: nothing)."""
    size, wanted = held.quantity.copy_abs(), fill.quantity.copy_abs()
    if wanted >= size:
        # The whole lot goes, and its cost with it; a fill has one price, so its cost divides exactly.
        quantity, cost, kept = held.quantity, held.cost, None
        proceeds, units = (quotient(times(each, size), wanted) for each in (fill.cost, fill.units))
        closed = held.units
    else:
        # By average cost a lot has no one price: what is rounded off its share stays with the rest.
        share = divide if method is CostMethod.AVERAGE else quotient
        quantity, proceeds, units = negate(fill.quantity), fill.cost, fill.units
        cost = share(times(held.cost, wanted), size)
        same = times(held.units, fill.quantity) == times(fill.units, held.quantity)  # one multiplier: nothing to round
        closed = negate(fill.units) if same else share(times(held.units, wanted), size)
        kept = Lot(minus(held.quantity, quantity), minus(held.cost, cost), minus(held.units, closed), held.source)
    rest = Lot(plus(fill.quantity, quantity), minus(fill.cost, proceeds), minus(fill.units, units), fill.source)
    brought = negate(proceeds)
    both = plus(closed, units)
    return Match(held.source, fill.source, quantity, cost, brought, minus(brought, cost), both), rest, kept


def _check_one_sided(lots: Lots) -> None:
    # Between the two ends nothing can differ: a fill of the other side closes before it opens.
    if (lots[-1].quantity > 0) != (lots[0].quantity > 0):
        raise MixedLots(f"lots are long and short at once: {lots}")


def _sizes(each: Lot) -> tuple[Decimal, Decimal, Decimal]:
    return each.quantity, each.cost, each.units


def total(lots: Iterable[Lot]) -> tuple[Decimal, Decimal, Decimal]:
    """Return the quantity, the cost basis and the units of all lots together."""
    quantity = cost = units = ZERO
    for each in lots:
        quantity, cost, units = plus(quantity, each.quantity), plus(cost, each.cost), plus(units, each.units)
    return canonical(quantity), canonical(cost), canonical(units)
