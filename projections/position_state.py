"""The parts of a position: books of fills, marks, daily P&L; and how a book is folded."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from oms_es.decimals import ONE, ZERO, added, canonical, divide, minus, plus, times
from oms_es.domain.accounting import Lot, Lots, book, total
from oms_es.vocabulary import CostMethod

Key = tuple[str, str]  # account, symbol
PositionKey = tuple[str, str, str]  # account, symbol, currency: money of two currencies is never added up
DayKey = tuple[str, str, str, str]  # trading day, account, symbol, currency
Trade = tuple[str, str | None]  # order id, trade id


class PositionState(Struct, frozen=True, kw_only=True):
    """The position of an account in a symbol and currency, with its realized P&L."""

    account: str
    symbol: str
    currency: str = "USD"
    lots: Lots = ()
    quantity: Decimal = ZERO  # + long, - short
    cost_basis: Decimal = ZERO  # signed like the quantity
    units: Decimal = ZERO  # quote units per price unit: quantity times multiplier, over all lots
    gross: Decimal = ZERO  # realized P&L before fees
    fees: Decimal = ZERO
    fills: int = 0
    multiplier: Decimal = ONE  # of the last fill: quote units per price unit and base unit
    updated_at: int = 0  # effective_at of the last fill, ns UTC
    other_fees: tuple[tuple[str, Decimal], ...] = ()  # fees in other currencies, by currency

    @property
    def book(self) -> PositionKey:
        """Return the key of its book."""
        return self.account, self.symbol, self.currency

    @property
    def avg_price(self) -> Decimal | None:
        """Return the average price of the open lots, per base unit; None when flat."""
        return divide(self.cost_basis, self.units) if self.quantity else None

    def unrealized(self, mark: Decimal | None) -> Decimal | None:
        """Return unrealized P&L at `mark`; 0 when flat, None without a mark."""
        if not self.quantity:
            return ZERO
        return None if mark is None else canonical(minus(times(self.units, mark), self.cost_basis))

    @property
    def realized(self) -> Decimal:
        """Return realized P&L net of fees."""
        return canonical(minus(self.gross, self.fees))


class Mark(Struct, frozen=True):
    """A market price and its time."""

    price: Decimal
    at: int  # ns UTC
    seq: int


class Instrument(Struct, frozen=True):
    """The multiplier, currency, assets and steps of a symbol; "" and None: not stated."""

    multiplier: Decimal = ONE
    currency: str = "USD"
    base: str = ""
    quote: str = ""
    quantity_step: Decimal | None = None
    price_step: Decimal | None = None
    min_quantity: Decimal | None = None


class PositionDay(Struct, frozen=True):
    """The P&L of one book on a trading day."""

    gross: Decimal = ZERO  # realized P&L before fees
    fees: Decimal = ZERO
    fills: int = 0
    # Change of unrealized P&L by the day's events; without a mark it counts as 0. The changes of all days add up to it.
    moved: Decimal = ZERO
    unrealized: Decimal | None = ZERO  # unrealized P&L at the day's end; None without a mark

    @property
    def realized(self) -> Decimal:
        """Return realized P&L net of fees."""
        return canonical(minus(self.gross, self.fees))


class DailyPnl(Struct, frozen=True):
    """The P&L of an account on a trading day, in one currency."""

    realized: Decimal = ZERO  # net of fees
    moved: Decimal = ZERO  # change of unrealized P&L

    def after(self, realized: Decimal, moved: Decimal) -> "DailyPnl":
        """Return the P&L after an event."""
        return DailyPnl(added(self.realized, realized), added(self.moved, moved))


class BookedFill(Struct, frozen=True):
    """A fill as it is booked, corrections included."""

    trade: Trade
    lot: Lot
    fee: Decimal
    multiplier: Decimal = ONE


class FoldPoint(Struct, frozen=True):
    """A book after its first fills."""

    fills: int
    lots: Lots
    gross: Decimal
    fees: Decimal


def refolded(
    held: PositionState, trail: list[BookedFill], method: CostMethod, at: int, points: Sequence[FoldPoint] = ()
) -> PositionState:
    """
    Return the position folded again from the fills of its book, restated at `at` (ns UTC).

    Args:
        held: the position before.
        trail: the fills of its book.
        method: the cost method.
        at: of the restatement.
        points: the book after some of its first fills, which are unchanged; the last one is where the fold begins.
    """
    lots, gross, fees = fold(trail, method, points[-1] if points else None)
    quantity, cost, units = total(lots)
    return replace(
        held,
        lots=lots,
        quantity=quantity,
        cost_basis=cost,
        units=units,
        gross=canonical(gross),
        fees=canonical(fees),
        fills=len(trail),
        multiplier=trail[-1].multiplier if trail else held.multiplier,
        updated_at=max(held.updated_at, at),
    )


def restated(trail: list[BookedFill], place: int, new: Lot | None, fee: Decimal) -> list[BookedFill]:
    """Return the fills of a book with the one at `place` removed (`new` is None) or corrected."""
    old = trail[place]
    right = None if new is None else Lot(new.quantity, new.cost, new.units, old.lot.source)
    kept = [] if right is None else [replace(old, lot=right, fee=fee)]
    return [*trail[:place], *kept, *trail[place + 1 :]]


def last_place(trail: list[BookedFill], trade: Trade) -> int | None:
    """Return the index of the last fill of `trade`; None when there is none."""
    return next((place for place in range(len(trail) - 1, -1, -1) if trail[place].trade == trade), None)


def fold(trail: list[BookedFill], method: CostMethod, point: FoldPoint | None = None) -> tuple[Lots, Decimal, Decimal]:
    """Return the open lots, gross realized P&L and fees after the fills of a book; a fold may begin at a point."""
    begun = FoldPoint(0, (), ZERO, ZERO) if point is None else point
    lots, gross, fees = begun.lots, begun.gross, begun.fees
    for booked in trail[begun.fills :]:
        lots, realized = book(lots, booked.lot, method)
        gross, fees = plus(gross, realized), plus(fees, booked.fee)
    return lots, gross, fees
