"""
The positions and the P&L of a day after each change, by one clock.

A row of a track is valid from its `seq` on, until the next row of the same book. By recording time `seq` is the event
itself; by event time it is the first event of the day by which the log had heard of that moment.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from oms_es.decimals import ZERO, canonical, minus, plus, short
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillAdded, FillBusted, FillCorrected, MarkRecorded, PolicyChanged
from oms_es.projections.position_state import PositionDay, PositionKey
from oms_es.projections.positions import Positions
from oms_es.projections.rows import timed

Row = dict[str, Any]
_FILLS = (FillAdded, FillBusted, FillCorrected)
_NO_DAY = PositionDay()


class Track:
    """
    Rows of positions, and sums of the trading day per currency, each with the `seq` from which it is valid.

    Args:
        trading_day: the day whose P&L is added up.
        account: only the books of this account; None: all.
    """

    def __init__(self, trading_day: str, account: str | None) -> None:
        self.rows: list[Row] = []
        self.sums: list[Row] = []
        self._day, self._account = trading_day, account
        self._last: dict[PositionKey, Row] = {}
        self._days: dict[PositionKey, PositionDay] = {}
        self._totals: dict[str, list[Decimal]] = {}

    def begin(self, positions: Positions, seq: int) -> None:
        """Add the state before the first event of the day."""
        self._add(positions, seq, [key for key, _ in positions.sorted()])

    def after(self, positions: Positions, seq: int, recorded: Recorded) -> None:
        """Add what an event has changed."""
        event = recorded.event
        if isinstance(event, _FILLS):
            self._add(positions, seq, [held.book for held in positions.held_in(event.account, event.symbol)])
        elif isinstance(event, MarkRecorded):
            holders = positions.holders.get(event.symbol) or ()
            self._add(
                positions, seq, [key for name in holders for key in positions.books.get((name, event.symbol)) or ()]
            )
        elif isinstance(event, PolicyChanged):  # another cost method changes every book
            self._add(positions, seq, [key for key, _ in positions.sorted()])

    def _add(self, positions: Positions, seq: int, books: Iterable[PositionKey]) -> None:
        changed = set[str]()
        for key in books:
            held = positions.held.get(key)
            if held is None or self._account not in (None, key[0]):
                continue
            row = track_row(positions.row(held))
            if row != self._last.get(key):
                self._last[key] = row
                self.rows.append({"seq": seq, **row})
            if self._count(positions, key):
                changed.add(key[2])
        for currency in sorted(changed):
            total, realized, gross, fees = map(canonical, self._totals[currency])
            figures = {"total_pnl": total, "realized_pnl": realized, "gross_realized_pnl": gross, "fees": fees}
            self.sums.append({"seq": seq, "currency": currency, **figures})

    def _count(self, positions: Positions, key: PositionKey) -> bool:
        """Add the change of a book's day to the sums of its currency; return whether there is one."""
        old, new = self._days.get(key, _NO_DAY), positions.days.get((self._day, *key)) or _NO_DAY
        if new == old:
            return False
        self._days[key] = new
        totals = self._totals.setdefault(key[2], [ZERO, ZERO, ZERO, ZERO])
        for place, (was, now) in enumerate(zip(_figures(old), _figures(new), strict=True)):
            totals[place] = plus(totals[place], minus(now, was))
        return True


def _figures(day: PositionDay) -> tuple[Decimal, ...]:
    return plus(day.realized, day.moved), day.realized, day.gross, day.fees


def track_row(position: Row) -> Row:
    """Return a row of `oms positions --json` with its P&L in all, and its average price at ten digits to be read."""
    unrealized, average = position["unrealized_pnl"], position["avg_price"]
    return {
        **timed(position),
        "total_pnl": None if unrealized is None else canonical(plus(position["realized_pnl"], unrealized)),
        "avg_price_short": None if average is None else short(average),
    }


def chunked(rows: list[Row], size: int) -> list[list[Row]]:
    """Return the rows of a track in chunks that each begin with the state before them, so that one chunk answers."""
    found: list[list[Row]] = []
    last: dict[tuple[str, ...], Row] = {}
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        found.append([*({**row, "seq": part[0]["seq"] - 1} for row in last.values()), *part])
        last |= {book_of(row): row for row in part}
    return found


def book_of(row: Row) -> tuple[str, ...]:
    """Return the book of a row: account, symbol and currency; of a sum its currency."""
    return tuple(row[name] for name in ("account", "symbol", "currency") if name in row)


Place = Callable[[int], int | None]


def event_time_track(
    positions: Positions, facts: Iterable[Recorded], track: Track, place: Place, first_seq: int
) -> Track:
    """
    Fold facts in the order of event time.

    Args:
        positions: the state before the facts.
        facts: fills as last corrected, marks and instruments, by (`effective_at`, seq).
        track: gets the rows.
        place: the seq from which a moment counts; None: not on this day.
        first_seq: the first event of the day.
    """
    begun = False
    for fact in facts:
        seq = place(fact.effective_at)
        if seq is None:
            break
        if seq >= first_seq and not begun:
            track.begin(positions, first_seq - 1)
            begun = True
        positions.replay((fact,))
        if begun:
            track.after(positions, seq, fact)
    if not begun:
        track.begin(positions, first_seq - 1)
    return track


PIXELS = 2_000  # columns of a chart; more than a screen shows


def reduced(rows: list[Row], first_seq: int, last_seq: int) -> list[Row]:
    """Return the rows that a chart of many changes needs: per book and pixel the extremes and the last one."""
    width = max(1, (last_seq - first_seq) // PIXELS + 1)
    cells: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        cells.setdefault((*book_of(row), row["seq"] // width), []).append(row)
    found: dict[int, Row] = {}
    for cell in cells.values():
        for name in ("quantity", "total_pnl"):
            known = [row for row in cell if row[name] is not None]
            if known:
                ends = min(known, key=lambda row: row[name]), max(known, key=lambda row: row[name])
                found |= {id(row): row for row in ends}
        found[id(cell[-1])] = cell[-1]
    names = ("seq", "account", "symbol", "currency", "quantity", "total_pnl", "mark_price")
    return [{name: row[name] for name in names} for row in rows if id(row) in found]
