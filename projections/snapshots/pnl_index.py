"""
What the trading days brought, kept in rows of the cache: a row whenever a checkpoint finds that a day has changed.

So keeping costs what has changed, and a question reads the last row of each day up to its checkpoint. The state of
that checkpoint says how many days there are and what the marks of their rows add up to: none can be missing or another.
"""

import sqlite3
from collections.abc import Callable

import msgspec

from oms_es.projections.position_state import DailyPnl, DayKey, PositionDay
from oms_es.projections.positions import Positions
from oms_es.projections.snapshots.integrity import END, Place, check, checksum
from oms_es.projections.staging import StagedDict
from oms_es.vocabulary import CostMethod

TABLES = """
CREATE TABLE days(series TEXT, key BLOB, effective_at INTEGER, seq INTEGER, day BLOB, mark INTEGER,
                  PRIMARY KEY (series, key, effective_at, seq)) WITHOUT ROWID;
CREATE INDEX days_place ON days(series, effective_at);
"""
KNOWN, AS_OF = "known", "as of"  # clocks
Sums = tuple[int, int]  # how many days, and the marks of their last rows added up
NO_DAYS: Sums = (0, 0)

_LAST = (
    "SELECT effective_at, seq, day, mark FROM days WHERE (series, key) = (?, ?) AND (effective_at, seq) <= (?, ?) "
    "ORDER BY effective_at DESC, seq DESC LIMIT 1"
)
_KEYS = (
    "WITH RECURSIVE keys(key) AS (SELECT min(key) FROM days WHERE series = ?1 UNION ALL "
    "SELECT (SELECT min(key) FROM days WHERE series = ?1 AND key > keys.key) FROM keys WHERE key IS NOT NULL) "
    "SELECT key FROM keys WHERE key IS NOT NULL"
)
_encode = msgspec.msgpack.Encoder(order="sorted").encode
_key = msgspec.msgpack.Decoder(DayKey).decode
_day = msgspec.msgpack.Decoder(PositionDay).decode


class StagedDays(StagedDict[DayKey, PositionDay]):
    """Days that are fetched when they are asked for; what is committed is what has changed since it was taken last."""

    __slots__ = ("_fetch",)

    def __init__(self, fetch: Callable[[DayKey], PositionDay | None]) -> None:
        super().__init__()
        self._fetch = fetch

    def get(self, key: DayKey) -> PositionDay | None:
        """Return the latest value: pending, committed, or kept before."""
        found = super().get(key)
        return self._fetch(key) if found is None else found

    def taken(self) -> dict[DayKey, PositionDay]:
        """Return what has changed, and begin anew."""
        changed, self.committed = self.committed, {}
        return changed


class DayRows:
    """
    The rows of one clock and one cost method.

    Args:
        cache: where they stand.
        clock: KNOWN or AS_OF.
        method: by which cost method.
        sums: what they come to, by the state that they belong to.
    """

    def __init__(self, cache: sqlite3.Connection, clock: str, method: CostMethod, sums: Sums = NO_DAYS) -> None:
        self._cache = cache
        self._series = f"{clock} {method.value}"
        self.sums = sums

    def fetch(self, key: DayKey) -> PositionDay | None:
        """Return a day as its last row has it; None without one."""
        found = self._last(_encode(key), END)
        return None if found is None else found[0]

    def keep(self, place: Place, changed: dict[DayKey, PositionDay]) -> None:
        """Add rows for what has changed since the last place."""
        count, total = self.sums
        for day_key, day in sorted(changed.items()):
            key, value = _encode(day_key), _encode(day)
            before, mark = self._last(key, END), checksum(self._series, key, *place, value)
            self._cache.execute("INSERT INTO days VALUES (?, ?, ?, ?, ?, ?)", (self._series, key, *place, value, mark))
            count += before is None
            total += mark - (0 if before is None else before[1])
        self.sums = (count, total)

    def forget(self, changed_from: int) -> None:
        """Delete the rows of places at or after a moment that a late event has reached back to."""
        self._cache.execute("DELETE FROM days WHERE series = ? AND effective_at >= ?", (self._series, changed_from))

    def up_to(self, place: Place) -> dict[DayKey, PositionDay]:
        """Return every day as it stood at the place of the state that the sums are of."""
        days, total = dict[DayKey, PositionDay](), 0
        for (key,) in self._cache.execute(_KEYS, (self._series,)).fetchall():
            found = self._last(key, place)
            if found is not None:
                days[_key(key)] = found[0]
                total += found[1]
        check((len(days), total) == self.sums)
        return days

    def _last(self, key: bytes, place: Place) -> tuple[PositionDay, int] | None:
        row = self._cache.execute(_LAST, (self._series, key, *place)).fetchone()
        if row is None:
            return None
        effective_at, seq, value, mark = row
        check(mark == checksum(self._series, key, effective_at, seq, value))
        return _day(value), mark


def begin_with(positions: Positions, days: dict[DayKey, PositionDay]) -> None:
    """Let positions go on from what the days have brought so far."""
    for key, day in days.items():
        positions.days[key] = day
        trading_day, account, _, currency = key
        was = positions.brought.get((trading_day, account, currency)) or DailyPnl()
        positions.brought[trading_day, account, currency] = was.after(day.realized, day.moved)
    positions.commit()
