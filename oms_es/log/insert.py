"""Writing rows inside a transaction: the keys behind the names, the chain, the insert. One way in for everybody."""

import sqlite3
from collections.abc import Sequence

from oms_es.errors import LogWriteFailed
from oms_es.log.hash_chain import Head, StoredRow, sealed

_INSERT = "INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"
_NOTHING = "nothing was written"
_FACT = "fact:"  # ids of imported facts are kept as bytes: they are many
MOST_STREAMS = 200_000  # to remember at once


class Keys:
    """What is known of the integer keys and stream versions, as of the last head seen under the write lock."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._streams: dict[str, int] = {}
        self._versions: dict[str, int] = {}

    def name(self, cursor: sqlite3.Connection, name: str) -> int:
        """Return the key of a name, adding it when it is new."""
        key = self._names.get(name)
        if key is None:
            found = cursor.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
            key = found[0] if found else _added(cursor, "INSERT INTO names(name) VALUES (?)", (name,))
            self._names[name] = key
        return key

    def stream(self, cursor: sqlite3.Connection, originator_id: str) -> int:
        """Return the key of a stream, adding it when it is new."""
        key = self._streams.get(originator_id)
        if key is None:
            prefix, name = self.split(originator_id)
            values = (self.name(cursor, prefix), name)
            found = cursor.execute("SELECT id FROM streams WHERE prefix = ? AND name = ?", values).fetchone()
            key = found[0] if found else _added(cursor, "INSERT INTO streams(prefix, name) VALUES (?, ?)", values)
            self._streams[originator_id] = key
        return key

    def next_version(self, cursor: sqlite3.Connection, originator_id: str) -> int:
        """Return the next version of a stream, and count it as taken."""
        last = self._versions.get(originator_id)
        if last is None:
            (last,) = cursor.execute(
                "SELECT coalesce(max(originator_version), 0) FROM events WHERE originator_id = ?",
                (self.stream(cursor, originator_id),),
            ).fetchone()
            assert last is not None
        self._versions[originator_id] = last + 1
        return last + 1

    @property
    def is_full(self) -> bool:
        """Return whether so much is known that it is better to begin anew; only between two transactions."""
        return len(self._streams) > MOST_STREAMS

    @staticmethod
    def split(originator_id: str) -> tuple[str, str]:
        """Return the beginning that many streams share (`order/<account>/`), and the rest."""
        kind, slash, rest = originator_id.partition("/")
        if kind == "order":
            account, second, order_id = rest.partition("/")
            return kind + slash + account + second, order_id
        return kind + slash if slash else "", rest if slash else kind

    @staticmethod
    def command(command_id: str | None) -> str | bytes | None:
        """Return a command id as it is stored."""
        if command_id is None or not command_id.startswith(_FACT):
            return command_id
        try:
            raw = bytes.fromhex(command_id[len(_FACT) :])
        except ValueError:
            return command_id
        return raw if raw and Keys.command_text(raw) == command_id else command_id

    @staticmethod
    def command_text(stored: str | bytes) -> str:
        """Return a stored command id as text."""
        return stored if isinstance(stored, str) else _FACT + stored.hex()


def write(
    cursor: sqlite3.Connection, keys: Keys, rows: Sequence[StoredRow], head: Head, secret: bytes
) -> list[StoredRow]:
    """
    Insert the rows after `head`, sealed into the chain; return them as they stand.

    Raises:
        LogWriteFailed: a trigger that is not ours has dropped a row; to be rolled back.
    """
    chain, written, values = head.chain, [], []
    for row in rows:
        done = sealed(row, chain, secret)
        chain = done.chain
        written.append(done)
        values.append(_values(cursor, keys, done))
    count = cursor.executemany(_INSERT, values).rowcount if values else 0
    if count != len(values):
        raise LogWriteFailed(f"{count} of {len(values)} events were inserted (a trigger that is not ours?); {_NOTHING}")
    return written


def _added(cursor: sqlite3.Connection, insert: str, values: tuple[object, ...]) -> int:
    """Insert a row and return its key."""
    done = cursor.execute(insert, values)
    if done.rowcount != 1 or done.lastrowid is None:
        raise LogWriteFailed(f"a name was not inserted (a trigger that is not ours?); {_NOTHING}")
    return done.lastrowid


def _values(cursor: sqlite3.Connection, keys: Keys, row: StoredRow) -> tuple[object, ...]:
    return (
        row.seq,
        keys.stream(cursor, row.originator_id),
        row.originator_version,
        keys.name(cursor, row.topic),
        row.state,
        keys.name(cursor, row.account),
        keys.name(cursor, row.origin),
        row.occurred_at,
        None if row.effective_at == row.occurred_at else row.effective_at,
        row.recorded_at,
        keys.name(cursor, row.trading_day),
        keys.command(row.command_id),
        row.chain,
    )
