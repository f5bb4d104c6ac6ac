"""Lots, realized P&L, marks and what each trading day came to: per account and symbol."""

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oms_es.accounting import Lot, Lots, book, lot, total
from oms_es.decimals import ONE, ZERO, canonical, divide, minus, negate, plus, times
from oms_es.envelope import Recorded
from oms_es.events import FillAdded, FillBusted, FillCorrected, InstrumentDefined, MarkRecorded
from oms_es.projections.projection import Cells, Projection, Trails, canonical_json, on
from oms_es.vocabulary import CostMethod

Key = tuple[str, str]  # account, symbol
DayKey = tuple[str, str, str]  # trading day, account, symbol
Trade = tuple[str, str | None]  # order id, trade id


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
    multiplier: Decimal = ONE  # quote units per price unit and base unit
    currency: str = "USD"
    updated_at: int = 0  # effective_at of the last fill, ns UTC

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

    gross: Decimal = ZERO  # realized P&L before fees
    fees: Decimal = ZERO
    fills: int = 0
    moved: Decimal = ZERO  # how far the day's events moved unrealized P&L; without a mark it counts as 0
    unrealized: Decimal | None = ZERO  # as it stands at the day's end; None without a mark
    currency: str = "USD"

    @property
    def realized(self) -> Decimal:
        """Return realized P&L net of fees."""
        return canonical(minus(self.gross, self.fees))

    @property
    def unrealized_change(self) -> Decimal:
        """Return how far unrealized P&L has moved during the day; over all days it adds up to the level."""
        return self.moved


class Booked(Struct, frozen=True):
    """A fill as it is booked now."""

    trade: Trade
    lot: Lot
    fee: Decimal
    multiplier: Decimal = ONE
    currency: str = "USD"


class Positions(Projection):
    """
    What is held, booked in the order in which events are applied.

    Args:
        method: which lots a closing fill takes first.
        earlier: the fills booked before this state began, by key; asked for only when one of them is restated.
    """

    def __init__(
        self, method: CostMethod = CostMethod.FIFO, earlier: Callable[[Key], list[Booked]] | None = None
    ) -> None:
        self.method = method
        self.held: Cells[Key, Held] = Cells()
        self.marks: Cells[str, Mark] = Cells()
        self.instruments: Cells[str, Instrument] = Cells()
        self.days: Cells[DayKey, Day] = Cells()
        self.holders: Cells[str, tuple[str, ...]] = Cells()  # symbol → accounts
        self.symbols: Cells[str, tuple[str, ...]] = Cells()  # account → symbols
        self._booked: Trails[Key, Booked] = Trails()
        self._earlier = earlier
        self._loaded: set[Key] = set()

    # --- handlers ---

    @on(FillAdded)
    def _fill(self, event: FillAdded, at: Recorded) -> None:
        key = (event.account, event.symbol)
        held, level = self._held(key), self.unrealized(key)
        opened = lot(event.side, event.fill_quantity, event.fill_price, event.multiplier, at.seq)
        trade = (event.order_id, event.trade_id)
        booked = Booked(trade, opened, event.fee, event.multiplier, event.currency)
        self._booked.append(key, booked)
        lots, realized = book(held.lots, opened, self.method)
        # The fee comes off here and not in book(): a fee belongs to no lot.
        after = replace(
            held,
            lots=lots,
            quantity=canonical(plus(held.quantity, opened.quantity)),
            # What is left open cost what was open before, and the fill, and what closing realized.
            cost_basis=canonical(plus(plus(held.cost_basis, opened.cost), realized)),
            gross=canonical(plus(held.gross, realized)),
            fees=canonical(plus(held.fees, event.fee)),
            fills=held.fills + 1,
            multiplier=event.multiplier,
            currency=event.currency,
            updated_at=max(held.updated_at, at.effective_at),
        )
        self._put(held, after, level, at.trading_day)

    @on(FillBusted)
    def _bust(self, event: FillBusted, at: Recorded) -> None:
        self._restate(event, None, ZERO, at)

    @on(FillCorrected)
    def _correct(self, event: FillCorrected, at: Recorded) -> None:
        new = lot(event.side, event.fill_quantity, event.fill_price, event.multiplier)
        self._restate(event, new, event.fee, at)

    def _restate(self, event: FillBusted | FillCorrected, new: Lot | None, fee: Decimal, at: Recorded) -> None:
        """Fold the lots again as if the fill had been right from the start; the difference belongs to this day."""
        key = (event.account, event.symbol)
        trail = restated(self.trail(key), (event.order_id, event.trade_id), new, fee)
        self._booked.replace(key, trail)
        held, level = self._held(key), self.unrealized(key)
        lots, gross, fees = fold(trail, self.method)
        after = replace(_after(held, lots, gross, fees, at), fills=len(trail))
        if lots:  # what is open stands for what its own fills stood for, however the symbol is defined by now
            (opener,) = (each for each in trail if each.lot.source == lots[-1].source)
            after = replace(after, multiplier=opener.multiplier, currency=opener.currency)
        self._put(held, after, level, at.trading_day)

    @on(MarkRecorded)
    def _mark(self, event: MarkRecorded, at: Recorded) -> None:
        last = self.marks.get(event.symbol)
        if last is not None and at.effective_at < last.at:
            return
        keys = [(account, event.symbol) for account in self.holders.get(event.symbol) or ()]
        levels = {key: self.unrealized(key) for key in keys if self.position(*key)}
        self.marks[event.symbol] = Mark(event.price, at.effective_at, at.seq)
        for key, level in levels.items():
            self._count(key, at.trading_day, level, Day())

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

    def _put(self, before: Held, after: Held, level: Decimal | None, trading_day: str) -> None:
        key = (after.account, after.symbol)
        self.held[key] = after
        gained = Day(minus(after.gross, before.gross), minus(after.fees, before.fees), after.fills - before.fills)
        self._count(key, trading_day, level, gained)

    def _count(self, key: Key, trading_day: str, level: Decimal | None, gained: Day) -> None:
        """Add to a trading day; `level` is unrealized P&L as it stood before the event."""
        day, after = self.days.get((trading_day, *key)), self.unrealized(key)
        day = day or Day(currency=self.currency_of(*key))
        self.days[(trading_day, *key)] = Day(
            canonical(plus(day.gross, gained.gross)),
            canonical(plus(day.fees, gained.fees)),
            day.fills + gained.fills,
            canonical(minus(plus(day.moved, after or ZERO), level or ZERO)),
            after,
            day.currency,
        )

    # --- answers; they see staged state, so that the sequencer can ask too ---

    def trail(self, key: Key) -> list[Booked]:
        """Return every fill that is booked for `key`, in the order of booking."""
        if self._earlier is not None and key not in self._loaded:
            self._loaded.add(key)
            self._booked.replace(key, [*self._earlier(key), *self._booked.get(key)])
        return self._booked.get(key)

    def multiplier(self, symbol: str) -> Decimal:
        """Return quote units per price unit and base unit, as the symbol is defined now."""
        instrument = self.instruments.get(symbol)
        return ONE if instrument is None else instrument.multiplier

    def currency(self, symbol: str) -> str:
        """Return what the symbol's money is counted in, as the symbol is defined now."""
        instrument = self.instruments.get(symbol)
        return "USD" if instrument is None else instrument.currency

    def currencies(self, account: str) -> list[str]:
        """Return what the account's money is counted in."""
        own = {self.currency_of(account, symbol) for symbol in self.symbols.get(account) or ()}
        return sorted(own | {day.currency for key, day in self.days.settled.items() if key[1] == account})

    def currency_of(self, account: str, symbol: str) -> str:
        """Return what the account's money in a symbol is counted in."""
        held = self.held.get((account, symbol))
        return self.currency(symbol) if held is None else held.currency

    def unrealized(self, key: Key) -> Decimal | None:
        """Return what closing at the last mark would realize; 0 when flat, None without a mark."""
        held, mark = self.held.get(key), self.marks.get(key[1])
        if held is None or not held.quantity:
            return ZERO
        if mark is None:
            return None
        return canonical(minus(times(times(held.quantity, mark.price), held.multiplier), held.cost_basis))

    def avg_price(self, held: Held) -> Decimal | None:
        """Return the average price of what is open, per base unit; None when flat."""
        if not held.quantity:
            return None
        return divide(held.cost_basis, times(held.quantity, held.multiplier))

    def position(self, account: str, symbol: str) -> Decimal:
        """Return the signed quantity held."""
        held = self.held.get((account, symbol))
        return ZERO if held is None else held.quantity

    def daily_pnl(self, account: str, trading_day: str, currency: str, basis: str = "realized") -> Decimal:
        """Return the account's P&L of a trading day in one currency, net of fees; `total` adds unrealized's change."""
        pnl = ZERO
        for symbol in self.symbols.get(account) or ():
            day = self.days.get((trading_day, account, symbol))
            if day is None or day.currency != currency:
                continue
            pnl = plus(pnl, day.realized)
            if basis == "total":
                pnl = plus(pnl, day.unrealized_change)
        return canonical(pnl)

    def sorted(self) -> list[tuple[Key, Held]]:
        """Return what is held, flat positions included, by account and symbol."""
        return sorted(self.held.settled.items())

    def rows(self) -> list[dict[str, Any]]:
        """Return what is held as plain rows, flat positions included."""
        return [self.row(held) for _, held in self.sorted()]

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
            "currency": held.currency,
            "multiplier": held.multiplier,
            "fills": held.fills,
            "updated_at": held.updated_at,
        }

    def day_rows(self) -> list[dict[str, Any]]:
        """Return what each trading day brought, by day, account and symbol."""
        levels: dict[Key, Decimal] = {}
        rows = []
        for key, day in sorted(self.days.settled.items()):
            level = levels[key[1:]] = plus(levels.get(key[1:], ZERO), day.moved)
            unknown = (day.unrealized is None and not level) or self.unrealized(key[1:]) is None
            rows.append({**self.day_row(key, day), "unrealized_pnl": None if unknown else canonical(level)})
        return rows

    def day_row(self, key: DayKey, day: Day) -> dict[str, Any]:
        """Return what a trading day brought as its row in `oms pnl --json`."""
        trading_day, account, symbol = key
        return {
            "trading_day": trading_day,
            "account": account,
            "symbol": symbol,
            "currency": day.currency,
            "realized_pnl": day.realized,
            "gross_realized_pnl": day.gross,
            "fees": day.fees,
            "unrealized_pnl": day.unrealized,
            "unrealized_change": day.unrealized_change,
            "total_pnl": canonical(plus(day.realized, day.unrealized_change)),
            "fills": day.fills,
        }

    def digest(self) -> str:
        """Return one digest over what is held, the lots it consists of, and what each day brought."""
        lots = [[*key, *([each.quantity, each.cost, each.source] for each in held.lots)] for key, held in self.sorted()]
        content = {"method": self.method.value, "held": self.rows(), "lots": lots, "days": self.day_rows()}
        return hashlib.sha256(canonical_json(content)).hexdigest()


def _after(held: Held, lots: Lots, gross: Decimal, fees: Decimal, at: Recorded) -> Held:
    quantity, cost = total(lots)
    return replace(
        held,
        lots=lots,
        quantity=quantity,
        cost_basis=cost,
        gross=canonical(gross),
        fees=canonical(fees),
        updated_at=max(held.updated_at, at.effective_at),
    )


def restated(trail: list[Booked], trade: Trade, new: Lot | None, fee: Decimal) -> list[Booked]:
    """Return the trail with the last fill of `trade` taken out, or put right."""
    for place in range(len(trail) - 1, -1, -1):
        if trail[place].trade == trade:
            old = trail[place]
            right = None if new is None else Lot(new.quantity, new.cost, old.lot.source)
            kept = [] if right is None else [replace(old, lot=right, fee=fee)]
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
    return canonical(negate(paid))
