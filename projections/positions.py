"""Lots, realized P&L, marks and what each trading day came to: per account and symbol."""

from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oms_es.accounting import Lot, Lots, book, lot, total
from oms_es.decimals import ONE, ZERO, canonical, divide, minus, negate, plus, times
from oms_es.envelope import Recorded
from oms_es.events import FillAdded, FillBusted, FillCorrected, InstrumentDefined, MarkRecorded
from oms_es.projections.projection import Cells, Projection, Trails, on
from oms_es.vocabulary import CostMethod

Key = tuple[str, str]  # account, symbol
DayKey = tuple[str, str, str]  # trading day, account, symbol


class Held(Struct, frozen=True, kw_only=True):
    """What an account holds of a symbol, and what it earned with it so far."""

    account: str
    symbol: str
    lots: Lots = ()
    quantity: Decimal = ZERO  # + long, - short
    cost_basis: Decimal = ZERO  # signed like the quantity
    gross: Decimal = ZERO  # realized P&L before fees
    fees: Decimal = ZERO
    fills: int = 0
    updated_at: int = 0  # occurred_at of the last fill, ns UTC

    @property
    def realized(self) -> Decimal:
        """Return realized P&L net of fees."""
        return canonical(minus(self.gross, self.fees))


class Mark(Struct, frozen=True):
    """What one unit was worth, and when."""

    price: Decimal
    at: int  # ns UTC
    seq: int


class Instrument(Struct, frozen=True):
    """What one unit of a symbol stands for."""

    multiplier: Decimal = ONE
    currency: str = "USD"


class Day(Struct, frozen=True):
    """What a trading day brought in one symbol."""

    gross: Decimal = ZERO
    fees: Decimal = ZERO


class Booked(Struct, frozen=True):
    """A fill as it is booked now."""

    trade: tuple[str, str | None]  # order id, trade id
    lot: Lot
    fee: Decimal


class Opening(Struct, frozen=True):
    """Unrealized P&L as it stood when a trading day began."""

    trading_day: str
    unrealized: Decimal


class Positions(Projection):
    """
    What is held, booked in the order in which events are applied.

    Args:
        method: which lots a closing fill takes first.
    """

    def __init__(self, method: CostMethod = CostMethod.FIFO) -> None:
        self.method = method
        self.held: Cells[Key, Held] = Cells()
        self.booked: Trails[Key, Booked] = Trails()
        self.marks: Cells[str, Mark] = Cells()
        self.instruments: Cells[str, Instrument] = Cells()
        self.days: Cells[DayKey, Day] = Cells()
        self.openings: Cells[Key, Opening] = Cells()
        self.holders: Cells[str, tuple[str, ...]] = Cells()  # symbol → accounts
        self.symbols: Cells[str, tuple[str, ...]] = Cells()  # account → symbols

    @on(FillAdded)
    def _fill(self, event: FillAdded, at: Recorded) -> None:
        key = (event.account, event.symbol)
        held = self._held(key)
        opened = lot(event.side, event.fill_quantity, event.fill_price, self.multiplier(event.symbol), at.seq)
        self.booked.append(key, Booked((event.order_id, event.trade_id), opened, event.fee))
        lots, realized = book(held.lots, opened, self.method)
        self._open_day(key, at.trading_day)
        # The fee comes off here and not in book(): a fee belongs to no lot.
        self._add_to_day(at.trading_day, key, realized, event.fee)
        self._put(key, held, lots, plus(held.gross, realized), plus(held.fees, event.fee), at)

    @on(FillBusted)
    def _bust(self, event: FillBusted, at: Recorded) -> None:
        self._restate(event, None, ZERO, at)

    @on(FillCorrected)
    def _correct(self, event: FillCorrected, at: Recorded) -> None:
        multiplier = self.multiplier(event.symbol)
        self._restate(event, lot(event.side, event.fill_quantity, event.fill_price, multiplier), event.fee, at)

    def _restate(self, event: FillBusted | FillCorrected, new: Lot | None, fee: Decimal, at: Recorded) -> None:
        """Fold the lots again as if the fill had been right from the start; the difference belongs to this day."""
        key = (event.account, event.symbol)
        trail = _restated(self.booked.get(key), (event.order_id, event.trade_id), new, fee)
        self.booked.replace(key, trail)
        held = self._held(key)
        lots, gross, fees = fold(trail, self.method)
        self._open_day(key, at.trading_day)
        self._add_to_day(at.trading_day, key, minus(gross, held.gross), minus(fees, held.fees))
        self._put(key, held, lots, gross, fees, at)

    @on(MarkRecorded)
    def _mark(self, event: MarkRecorded, at: Recorded) -> None:
        last = self.marks.get(event.symbol)
        if last is not None and at.effective_at < last.at:
            return
        for account in self.holders.get(event.symbol) or ():
            self._open_day((account, event.symbol), at.trading_day)
        self.marks[event.symbol] = Mark(event.price, at.effective_at, at.seq)

    @on(InstrumentDefined)
    def _define(self, event: InstrumentDefined, _: Recorded) -> None:
        self.instruments[event.symbol] = Instrument(event.multiplier, event.currency)

    def _held(self, key: Key) -> Held:
        held = self.held.get(key)
        if held is not None:
            return held
        account, symbol = key
        self.holders[symbol] = (*(self.holders.get(symbol) or ()), account)
        self.symbols[account] = (*(self.symbols.get(account) or ()), symbol)
        return Held(account=account, symbol=symbol)

    def _put(self, key: Key, held: Held, lots: Lots, gross: Decimal, fees: Decimal, at: Recorded) -> None:
        quantity, cost = total(lots)
        self.held[key] = replace(
            held,
            lots=lots,
            quantity=quantity,
            cost_basis=cost,
            gross=canonical(gross),
            fees=canonical(fees),
            fills=len(self.booked.get(key)),
            updated_at=max(held.updated_at, at.effective_at),
        )

    def _add_to_day(self, trading_day: str, key: Key, gross: Decimal, fees: Decimal) -> None:
        day = self.days.get((trading_day, *key)) or Day()
        self.days[(trading_day, *key)] = Day(canonical(plus(day.gross, gross)), canonical(plus(day.fees, fees)))

    def _open_day(self, key: Key, trading_day: str) -> None:
        """Remember unrealized P&L as it stood before the first event of a trading day."""
        opening = self.openings.get(key)
        if opening is None or opening.trading_day < trading_day:
            self.openings[key] = Opening(trading_day, self.unrealized(key) or ZERO)

    # --- answers; they see staged state, so that the sequencer can ask too ---

    def multiplier(self, symbol: str) -> Decimal:
        """Return quote units per price unit and base unit."""
        instrument = self.instruments.get(symbol)
        return ONE if instrument is None else instrument.multiplier

    def currency(self, symbol: str) -> str:
        """Return what the symbol's money is counted in."""
        instrument = self.instruments.get(symbol)
        return "USD" if instrument is None else instrument.currency

    def currencies(self, account: str) -> list[str]:
        """Return what the account's money is counted in."""
        return sorted({self.currency(symbol) for symbol in self.symbols.get(account) or ()})

    def unrealized(self, key: Key) -> Decimal | None:
        """Return what closing at the last mark would realize; 0 when flat, None without a mark."""
        held, mark = self.held.get(key), self.marks.get(key[1])
        if held is None or not held.quantity:
            return ZERO
        if mark is None:
            return None
        return canonical(minus(times(times(held.quantity, mark.price), self.multiplier(key[1])), held.cost_basis))

    def avg_price(self, held: Held) -> Decimal | None:
        """Return the average price of what is open, per base unit; None when flat."""
        if not held.quantity:
            return None
        return divide(held.cost_basis, times(held.quantity, self.multiplier(held.symbol)))

    def position(self, account: str, symbol: str) -> Decimal:
        """Return the signed quantity held."""
        held = self.held.get((account, symbol))
        return ZERO if held is None else held.quantity

    def daily_pnl(self, account: str, trading_day: str, currency: str, basis: str = "realized") -> Decimal:
        """Return the account's P&L of a trading day in one currency, net of fees; `total` adds unrealized's change."""
        pnl = ZERO
        for symbol in self.symbols.get(account) or ():
            if self.currency(symbol) != currency:
                continue
            day = self.days.get((trading_day, account, symbol)) or Day()
            pnl = plus(pnl, minus(day.gross, day.fees))
            if basis == "total":
                pnl = plus(pnl, self.unrealized_change((account, symbol), trading_day))
        return canonical(pnl)

    def unrealized_change(self, key: Key, trading_day: str) -> Decimal:
        """Return how far unrealized P&L has moved since the trading day began."""
        opening = self.openings.get(key)
        if opening is None or opening.trading_day != trading_day:
            return ZERO
        return minus(self.unrealized(key) or ZERO, opening.unrealized)

    def rows(self) -> list[dict[str, Any]]:
        """Return what is held, flat positions included, by account and symbol."""
        return [self.row(held) for _, held in sorted(self.held.settled.items())]

    def row(self, held: Held) -> dict[str, Any]:
        """Return a position as its row in `oms positions --json`."""
        mark = self.marks.get(held.symbol)
        return {
            "account": held.account,
            "symbol": held.symbol,
            "quantity": held.quantity,
            "avg_price": self.avg_price(held),
            "cost_basis": held.cost_basis,
            "realized_pnl": held.realized,
            "gross_realized_pnl": held.gross,
            "fees": held.fees,
            "mark_price": None if mark is None else mark.price,
            "mark_at": None if mark is None else mark.at,
            "unrealized_pnl": None if mark is None else self.unrealized((held.account, held.symbol)),
            "currency": self.currency(held.symbol),
            "fills": held.fills,
            "updated_at": held.updated_at,
        }


def _restated(trail: list[Booked], trade: tuple[str, str | None], new: Lot | None, fee: Decimal) -> list[Booked]:
    """Return the trail with the last fill of `trade` taken out, or put right."""
    for place in range(len(trail) - 1, -1, -1):
        if trail[place].trade == trade:
            old = trail[place]
            kept = [] if new is None else [Booked(trade, Lot(new.quantity, new.cost, old.lot.source), fee)]
            return [*trail[:place], *kept, *trail[place + 1 :]]
    raise LookupError(f"no fill {trade} is booked")


def fold(trail: list[Booked], method: CostMethod) -> tuple[Lots, Decimal, Decimal]:
    """Return the lots, gross realized P&L and fees that a trail of fills comes to."""
    lots: Lots = ()
    gross = fees = ZERO
    for booked in trail:
        lots, realized = book(lots, booked.lot, method)
        gross, fees = plus(gross, realized), plus(fees, booked.fee)
    return lots, gross, fees


def cash(trail: list[Booked]) -> Decimal:
    """Return what was received minus what was paid, fees apart."""
    paid = ZERO
    for booked in trail:
        paid = plus(paid, booked.lot.cost)
    return negate(paid)
