"""Lots, realized P&L, marks and daily P&L per account, symbol and currency."""

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from oms_es.decimals import ONE, ZERO, added, canonical, minus, negate, plus
from oms_es.domain.accounting import Lot, lot, match, summed, without_fee
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillAdded, FillBusted, FillCorrected, InstrumentDefined, MarkRecorded
from oms_es.projections.position_state import (
    BookedFill,
    DailyPnl,
    DayKey,
    FoldPoint,
    Instrument,
    Key,
    Mark,
    PositionDay,
    PositionKey,
    PositionState,
    last_place,
    refolded,
    restated,
)
from oms_es.projections.projection import Projection, canonical_json, on
from oms_es.projections.rows import DAY, BookedDay, digest_row, position_row
from oms_es.projections.undo import UndoDict, UndoLists, UndoLog
from oms_es.vocabulary import CostMethod

POINT = 100  # fills between two fold points
POINTS = 8  # fold points of a book that a correction leaves
_UNDEFINED = Instrument()
_NO_DAY = PositionDay()
_NO_PNL = DailyPnl()


class Positions(Projection):
    """
    Positions, booked in the order in which events are applied.

    A symbol whose instrument was redefined in another currency has one book per currency: a fill closes lots of its own
    book only, and amounts of two currencies are never added.

    Args:
        method: which lots a closing fill closes first.
        earlier: returns the fills of a book before this state; called only when one of them is restated.
    """

    def __init__(
        self,
        method: CostMethod = CostMethod.FIFO,
        earlier: Callable[[PositionKey], list[BookedFill]] | None = None,
        undo: UndoLog | None = None,
    ) -> None:
        super().__init__(undo)
        undo = self.undo
        self.method = method
        self.held: UndoDict[PositionKey, PositionState] = UndoDict(undo)
        self.books: UndoDict[Key, tuple[PositionKey, ...]] = UndoDict(undo)  # of an account and symbol, oldest first
        self.marks: UndoDict[str, Mark] = UndoDict(undo)
        self.instruments: UndoDict[str, Instrument] = UndoDict(undo)
        self.days: UndoDict[DayKey, PositionDay] = UndoDict(undo)
        self.brought: UndoDict[tuple[str, str, str], DailyPnl] = UndoDict(undo)  # by day, account and currency
        self.holders: UndoDict[str, tuple[str, ...]] = UndoDict(undo)  # symbol → accounts
        self.symbols: UndoDict[str, tuple[str, ...]] = UndoDict(undo)  # account → symbols
        self.touched: PositionState | None = None  # after the last fill, bust or correction
        self._booked: UndoLists[PositionKey, BookedFill] = UndoLists(undo)
        self._points: UndoLists[PositionKey, FoldPoint] = UndoLists(undo)  # a correction folds from one of them
        self._earlier = earlier
        self._loaded: set[PositionKey] = set()

    # --- handlers ---

    @on(FillAdded)
    def _fill(self, event: FillAdded, at: Recorded) -> None:
        if event.fill_quantity <= 0 or event.multiplier <= 0:
            raise ValueError("a quantity and a multiplier are above 0")
        key = (event.account, event.symbol, event.currency)
        held, level = self._held(key), self.unrealized(key)
        opened = lot(event.side, event.fill_quantity, event.fill_price, event.multiplier, at.seq)
        fee = event.fee
        if event.fee_currency:
            held, opened, fee = _other_fee(held, opened, event)
        self._booked.append(key, BookedFill((event.order_id, event.trade_id), opened, fee, event.multiplier))
        lots, matches = match(held.lots, opened, self.method)
        realized, closed = ZERO, ZERO
        for each in matches:
            realized, closed = plus(realized, each.realized), plus(closed, each.units)
        # The fee is subtracted here and not in the matches: a fee belongs to no lot.
        after = replace(
            held,
            lots=lots,
            quantity=added(held.quantity, opened.quantity),
            # The cost of the open lots is the cost before, plus that of the fill, plus the realized P&L.
            cost_basis=added(held.cost_basis, plus(opened.cost, realized)),
            units=added(held.units, minus(opened.units, closed)),
            gross=added(held.gross, realized),
            fees=added(held.fees, fee),
            fills=held.fills + 1,
            multiplier=event.multiplier,
            updated_at=max(held.updated_at, at.effective_at),
        )
        self.held[key] = self.touched = after
        if not after.fills % POINT:
            if len(self._points.get(key)) >= 2 * POINTS:
                self._points.replace(key, self._points.get(key)[-POINTS:])
            self._points.append(key, FoldPoint(after.fills, lots, after.gross, after.fees))
        self._count(key, at.trading_day, level, PositionDay(realized, fee, 1))

    @on(FillBusted)
    def _bust(self, event: FillBusted, at: Recorded) -> None:
        self._restate(event, None, at)

    @on(FillCorrected)
    def _correct(self, event: FillCorrected, at: Recorded) -> None:
        new = lot(event.side, event.fill_quantity, event.fill_price, event.multiplier)
        if event.fee_in_base:
            new = without_fee(new, event.fee, event.multiplier)
        self._restate(event, new, at)

    def _restate(self, event: FillBusted | FillCorrected, new: Lot | None, at: Recorded) -> None:
        """Book the fill restated, and those after it again; the difference of P&L belongs to the day of this event."""
        key = self._book_of(event)
        trail, held, level = self.trail(key), self._held(key), self.unrealized(key)
        trade = (event.booked_as or event.order_id, event.trade_id)
        place = last_place(trail, trade)
        if place is None:
            raise LookupError(f"no fill {trade} is booked")
        is_own = event.fee_currency in ("", key[2])
        fee = ZERO if new is None or not is_own else event.fee
        old = trail[place]
        if not is_own:
            held = _with_other_fee(held, event)
        if new is not None and (new.quantity, new.cost, new.units) == (old.lot.quantity, old.lot.cost, old.lot.units):
            self._booked.assign(key, place, replace(old, fee=fee))
            fees, updated_at = added(held.fees, minus(fee, old.fee)), max(held.updated_at, at.effective_at)
            self._put(self._held(key), replace(held, fees=fees, updated_at=updated_at), level, at.trading_day)
            self._points.replace(key, [each for each in self._points.get(key) if each.fills <= place])
            return
        trail = restated(trail, place, new, fee)
        self._booked.replace(key, trail)
        points = [each for each in self._points.get(key) if each.fills <= place]
        after = refolded(held, trail, self.method, at.effective_at, points)
        self._points.replace(key, points[-POINTS:])
        self._put(self._held(key), after, level, at.trading_day)

    def _book_of(self, event: FillBusted | FillCorrected) -> PositionKey:
        """Return the book that has the trade; of several, the one in which it was booked last."""
        books = self.books.get((event.account, event.symbol)) or ()
        trade = (event.booked_as or event.order_id, event.trade_id)
        if len(books) == 1:
            return books[0]
        found = [(trail[place].lot.source, book) for book in books
                 if (place := last_place(trail := self.trail(book), trade)) is not None]  # fmt: skip
        if not found:
            raise LookupError(f"no fill {trade} is booked")
        return max(found)[1]

    @on(MarkRecorded)
    def _mark(self, event: MarkRecorded, at: Recorded) -> None:
        last = self.marks.get(event.symbol)
        if last is not None and at.effective_at < last.at:
            return
        books = [
            book
            for account in self.holders.get(event.symbol) or ()
            for book in self.books.get((account, event.symbol)) or ()
        ]
        levels = {book: self.unrealized(book) for book in books if (held := self.held.get(book)) and held.quantity}
        self.marks[event.symbol] = Mark(event.price, at.effective_at, at.seq)
        for book, level in levels.items():
            self._count(book, at.trading_day, level, PositionDay())

    @on(InstrumentDefined)
    def _define(self, event: InstrumentDefined, _: Recorded) -> None:
        if event.multiplier <= 0:
            raise ValueError("a multiplier is above 0")
        self.instruments[event.symbol] = Instrument(
            event.multiplier,
            event.currency,
            event.base,
            event.quote,
            event.quantity_step,
            event.price_step,
            event.min_quantity,
        )

    def follow(self, method: CostMethod, at: Recorded) -> None:
        """Change the cost method: every book is folded again; the difference of P&L belongs to the day of `at`."""
        self.set("method", method)
        for key, _ in sorted(self._booked.items()):
            held, level = self._held(key), self.unrealized(key)
            self._points.replace(key, [])
            again = refolded(held, self.trail(key), method, held.updated_at)
            self._put(held, again, level, at.trading_day)

    def _held(self, key: PositionKey) -> PositionState:
        held = self.held.get(key)
        if held is not None:
            return held
        account, symbol, currency = key
        self.register(key)
        return PositionState(account=account, symbol=symbol, currency=currency)

    def register(self, key: PositionKey) -> None:
        """Add a book to the indexes by account and by symbol."""
        account, symbol, _ = key
        books = self.books.get((account, symbol)) or ()
        self.books[(account, symbol)] = (*books, key)
        if not books:
            self.holders[symbol] = (*(self.holders.get(symbol) or ()), account)
            self.symbols[account] = (*(self.symbols.get(account) or ()), symbol)

    def _put(self, before: PositionState, after: PositionState, level: Decimal | None, trading_day: str) -> None:
        self.held[after.book] = after
        self.touched = after
        gained = PositionDay(
            minus(after.gross, before.gross), minus(after.fees, before.fees), after.fills - before.fills
        )
        self._count(after.book, trading_day, level, gained)

    def _count(self, key: PositionKey, trading_day: str, level: Decimal | None, gained: PositionDay) -> None:
        """Add to the P&L of a trading day; `level` is unrealized P&L before the event."""
        account, symbol, currency = key
        day_key = (trading_day, account, symbol, currency)
        day, after = self.days.get(day_key) or _NO_DAY, self.unrealized(key)
        moved = minus(after or ZERO, level or ZERO)
        self.days[day_key] = PositionDay(
            added(day.gross, gained.gross),
            added(day.fees, gained.fees),
            day.fills + gained.fills,
            added(day.moved, moved),
            after,
        )
        was = self.brought.get((trading_day, account, currency)) or _NO_PNL
        self.brought[trading_day, account, currency] = was.after(minus(gained.gross, gained.fees), moved)

    # --- answers ---

    def trail(self, key: PositionKey) -> list[BookedFill]:
        """Return every fill of a book, in the order of booking."""
        if self._earlier is not None and key not in self._loaded:
            self._loaded.add(key)
            self._booked.replace(key, [*self._earlier(key), *self._booked.get(key)])
        return self._booked.get(key)

    def instrument(self, symbol: str) -> Instrument:
        """Return the instrument of the symbol now; the default one if it was never defined."""
        return self.instruments.get(symbol) or _UNDEFINED

    def multiplier(self, symbol: str) -> Decimal:
        """Return the multiplier of the symbol now: quote units per price unit and base unit."""
        instrument = self.instruments.get(symbol)
        return ONE if instrument is None else instrument.multiplier

    def currency(self, symbol: str) -> str:
        """Return the currency of the symbol now."""
        instrument = self.instruments.get(symbol)
        return "USD" if instrument is None else instrument.currency

    def base(self, symbol: str) -> str:
        """Return the base asset of the symbol; "" if it is not stated."""
        instrument = self.instruments.get(symbol)
        return "" if instrument is None else instrument.base

    def currencies(self, account: str) -> list[str]:
        """Return the currencies of the account's books."""
        symbols = self.symbols.get(account) or ()
        return sorted({book[2] for symbol in symbols for book in self.books.get((account, symbol)) or ()})

    def unrealized(self, key: PositionKey) -> Decimal | None:
        """Return unrealized P&L at the last mark; 0 when flat, None without a mark."""
        held, mark = self.held.get(key), self.marks.get(key[1])
        return ZERO if held is None else held.unrealized(None if mark is None else mark.price)

    def position(self, account: str, symbol: str) -> Decimal:
        """Return the signed position over all books, base units."""
        books = self.books.get((account, symbol)) or ()
        if len(books) == 1:
            held = self.held.get(books[0])
            return ZERO if held is None else held.quantity
        return canonical(summed(each.quantity for each in self.held_in(account, symbol)))

    def held_in(self, account: str, symbol: str) -> list[PositionState]:
        """Return the positions of an account in a symbol, one per book, flat ones included."""
        found = (self.held.get(book) for book in self.books.get((account, symbol)) or ())
        return [held for held in found if held is not None]

    def daily_pnl(self, account: str, trading_day: str, currency: str, basis: str = "realized") -> Decimal:
        """Return the account's P&L of a trading day in one currency, net of fees; `total` adds unrealized's change."""
        found = self.brought.get((trading_day, account, currency)) or DailyPnl()
        return canonical(plus(found.realized, found.moved)) if basis == "total" else found.realized

    def sorted(self) -> list[tuple[PositionKey, PositionState]]:
        """Return all positions, flat ones included, by account, symbol and currency."""
        return sorted(self.held.items())

    def rows(self) -> list[dict[str, Any]]:
        """Return all positions as plain rows, flat ones included."""
        return [self.row(held) for _, held in self.sorted()]

    def row(self, held: PositionState) -> dict[str, Any]:
        """Return a position as its row in `oms positions --json`."""
        return position_row(held, self.marks.get(held.symbol))

    def lots(self) -> list[list[Any]]:
        """Return the open lots of every book as plain rows, for digests."""
        return [
            [*key[:2], *([each.quantity, each.cost, each.source] for each in held.lots)] for key, held in self.sorted()
        ]

    def day_rows(self) -> list[dict[str, Any]]:
        """Return the P&L of each trading day as rows, by day, account, symbol and currency."""
        levels: dict[PositionKey, Decimal] = {}
        rows = []
        for key, day in sorted(self.days.items()):
            book = key[1:]
            level = levels[book] = plus(levels.get(book, ZERO), day.moved)
            unknown = (day.unrealized is None and not level) or self.unrealized(book) is None
            rows.append({**self.day_row(key, day), "unrealized_pnl": None if unknown else canonical(level)})
        return rows

    def day_row(self, key: DayKey, day: PositionDay) -> dict[str, Any]:
        """Return the P&L of a trading day as its row in `oms pnl --json`."""
        return DAY.row(BookedDay(key, day))

    def digest(self) -> str:
        """Return one digest over positions, lots and daily P&L."""
        content = {
            "method": self.method.value,
            "held": [digest_row(row) for row in self.rows()],
            "lots": self.lots(),
            "days": self.day_rows(),
        }
        return hashlib.sha256(canonical_json(content)).hexdigest()


def _other_fee(held: PositionState, opened: Lot, event: FillAdded) -> tuple[PositionState, Lot, Decimal]:
    """Return the position, the lot and the fee in the instrument's currency of a fill that names its fee's currency."""
    if event.fee_currency == event.currency:
        return held, opened, event.fee
    if event.fee_in_base:
        opened = without_fee(opened, event.fee, event.multiplier)
    return replace(held, other_fees=_sums(held, event.fee_currency, event.fee)), opened, ZERO


def _with_other_fee(held: PositionState, event: FillBusted | FillCorrected) -> PositionState:
    """Return the position after a restated fill whose fee is in another currency."""
    change = minus(event.fee, event.old_fee) if isinstance(event, FillCorrected) else negate(event.fee)
    return replace(held, other_fees=_sums(held, event.fee_currency, change))


def _sums(held: PositionState, currency: str, change: Decimal) -> tuple[tuple[str, Decimal], ...]:
    fees = dict(held.other_fees)
    fees[currency] = canonical(plus(fees.get(currency, ZERO), change))
    return tuple(sorted((name, fee) for name, fee in fees.items() if fee))
