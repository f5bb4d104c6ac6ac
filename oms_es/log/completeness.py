"""Check that no row of a log is missing, by counting."""

import sqlite3
from pathlib import Path

from oms_es.errors import DamagedLog

_COUNTS = """
SELECT (SELECT count(*) FROM events), (SELECT coalesce(min(seq), 1) FROM events),
       (SELECT coalesce(max(seq), 0) FROM events), (SELECT count(*) FROM streams),
       (SELECT coalesce(max(id), 0) FROM streams), (SELECT coalesce(max(originator_id), 0) FROM events)
"""
_GAP = "SELECT min(seq) + 1 FROM events e WHERE NOT EXISTS (SELECT 1 FROM events n WHERE n.seq = e.seq + 1)"


class Completeness:
    """
    The row count of a whole log, updated incrementally.

    All rows are counted when a connection reads for the first time (SQLite counts the smallest index, page by page: a
    few milliseconds for a million events). Later only appended rows are counted, unless the file was changed without
    an append.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: int | None = None  # SQLite's data version when the rows were counted
        self._counted = 0

    def forget(self) -> None:
        """Count all rows next time."""
        self._version, self._counted = None, 0

    def check(self, connection: sqlite3.Connection, *, whole: bool = False) -> None:
        """
        Check that no row is missing; with `whole` count all rows if the file was changed.

        Raises:
            DamagedLog: a row is missing; names its seq.
        """
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return
        (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        if whole or self._version is None or last <= self._counted:
            self._count(connection)
        else:
            count_between(connection, self._counted, last, self._path)
            self._counted = last
        self._version = version

    def _count(self, connection: sqlite3.Connection) -> None:
        events, first, last, streams, last_stream, used_stream = connection.execute(_COUNTS).fetchone()
        if last < self._counted:
            raise DamagedLog(f"{self._path}: seq {last + 1} is missing (the log ended at {self._counted} before)")
        if first != 1:
            raise DamagedLog(f"{self._path}: seq 1 is missing (the first one found is {first})")
        if events != last:
            (gap,) = connection.execute(_GAP).fetchone()
            raise DamagedLog(f"{self._path}: seq {gap} is missing (the log has {events} events of {last})")
        if not streams == last_stream >= used_stream:  # a stream without an event is allowed
            raise DamagedLog(f"{self._path}: the table streams has {streams} rows, its events refer to {used_stream}")
        self._counted = last


def count_between(connection: sqlite3.Connection, after: int, until: int, path: Path) -> None:
    """
    Check that every seq after `after` up to `until` exists.

    Raises:
        DamagedLog: one is missing; names the range.
    """
    query = "SELECT count(*) FROM events WHERE seq > ? AND seq <= ?"
    (count,) = connection.execute(query, (after, until)).fetchone()
    if count != until - after:
        query = "SELECT seq FROM events WHERE seq > ? AND seq <= ? ORDER BY seq"
        rows = (seq for (seq,) in connection.execute(query, (after, until)))
        missing = next((due for due, seq in enumerate(rows, after + 1) if due != seq), after + count + 1)
        raise DamagedLog(f"{path}: seq {missing} is missing (there are {count} events from {after + 1} to {until})")
