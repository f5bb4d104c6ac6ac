"""
P&L of the trading days, in rows of the cache: each checkpoint adds a row for every day that has changed.

The cost of a checkpoint is that of the changed days, and a query reads the last row of each day up to its checkpoint.
The state of that checkpoint holds the number of days and the sum of the checksums of their rows: no row can be missing
or changed.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from oms_es.projections.position_state import DailyPnl, DayKey, PositionDay
from oms_es.projections.positions import Positions
from oms_es.projections.snapshots.integrity import END, Cache, Place, check
from oms_es.projections.undo import UndoDict, UndoLog
from oms_es.vocabulary import CostMethod

TABLES = """
CREATE TABLE days(series TEXT, key BLOB, effective_at INTEGER, seq INTEGER, day BLOB, checksum INTEGER,
                  PRIMARY KEY (series, key, effective_at, seq)) WITHOUT ROWID;
CREATE INDEX days_place ON days(series, effective_at);
"""
KNOWN, AS_OF = "known", "as of"  # clocks
Sums = tuple[int, int]  # number of days, sum of the checksums of their last rows
NO_DAYS: Sums = (0, 0)

_LAST = (
    "SELECT effective_at, seq, day, checksum FROM days WHERE (series, key) = (?, ?) AND (effective_at, seq) <= (?, ?) "
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


class ChangedDays(UndoDict[DayKey, PositionDay]):
    """Days that are fetched on demand; the dict itself holds those that have changed since `taken`."""

    __slots__ = ("_fetch",)

    def __init__(self, undo: UndoLog, fetch: Callable[[DayKey], PositionDay | None]) -> None:
        super().__init__(undo)
        self._fetch = fetch

    def get(self, key: DayKey, default: Any = None) -> Any:
        """Return the latest value, changed or from the cache."""
        found = super().get(key)
        found = self._fetch(key) if found is None else found
        return default if found is None else found

    def taken(self) -> dict[DayKey, PositionDay]:
        """Return the days that have changed, and forget them."""
        changed = dict(self)
        self.clear()
        return changed


class DayRows:
    """
    The rows of one clock and one cost method.

    Args:
        cache: the cache that holds them.
        clock: KNOWN or AS_OF.
        method: the cost method.
        sums: number and checksums of the rows, from the state that they belong to.
    """

    def __init__(self, cache: Cache, clock: str, method: CostMethod, sums: Sums = NO_DAYS) -> None:
        self._cache = cache
        self._series = f"{clock} {method.value}"
        self.sums = sums

    def fetch(self, key: DayKey) -> PositionDay | None:
        """Return a day from its last row; None without one."""
        found = self._last(_encode(key), END)
        return None if found is None else found[0]

    def keep(self, place: Place, changed: dict[DayKey, PositionDay]) -> None:
        """Add a row for each day that has changed since the last place."""
        count, total = self.sums
        for day_key, day in sorted(changed.items()):
            key, value = _encode(day_key), _encode(day)
            before, row = self._last(key, END), self._cache.checksum(self._series, key, *place, value)
            self._cache.execute("INSERT INTO days VALUES (?, ?, ?, ?, ?, ?)", (self._series, key, *place, value, row))
            count += before is None
            total += row - (0 if before is None else before[1])
        self.sums = (count, total)

    def forget(self, changed_from: int) -> None:
        """Delete the rows from an effective time on, because a late event has changed them."""
        self._cache.execute("DELETE FROM days WHERE series = ? AND effective_at >= ?", (self._series, changed_from))

    def up_to(self, place: Place) -> dict[DayKey, PositionDay]:
        """Return every day as it was at the place of the state that the sums belong to."""
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
        effective_at, seq, value, stored = row
        check(stored == self._cache.checksum(self._series, key, effective_at, seq, value))
        return _day(value), stored


def begin_with(positions: Positions, days: dict[DayKey, PositionDay]) -> None:
    """Set the P&L of the trading days so far in positions."""
    for key, day in days.items():
        positions.days[key] = day
        trading_day, account, _, currency = key
        was = positions.brought.get((trading_day, account, currency)) or DailyPnl()
        positions.brought[trading_day, account, currency] = was.after(day.realized, day.moved)
    positions.commit()
