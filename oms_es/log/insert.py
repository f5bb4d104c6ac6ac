"""
Insert rows inside a transaction: keys of names and streams, hash chain, INSERT. Every writer of a file uses it.

This is part of the hot path: `hash_chain.sealed` defines the chain value, and the loop in `write` computes the same
with cached lookups, in less than half of the time.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from hashlib import sha256

from oms_es.errors import LogWriteFailed
from oms_es.log.hash_chain import Head, prefixed

# originator_id, version (NEXT: one more than the last), topic, state, account, origin, occurred_at, effective_at,
# recorded_at, trading_day, command_id
NewRow = tuple[str, int, str, bytes, str, str, int, int, int, str, str | None]

NEXT = -1  # a version: one more than the last of the stream
MOST_STREAMS = 200_000  # to cache
_NOTHING = "nothing was written"
_FACT = "fact:"  # ids of imported facts are stored as bytes, to save space
_CHUNKS = (64, *range(16, 0, -1))  # rows of one INSERT statement; the events of a lone command fit into one
_NULL = prefixed(None)
_VERSIONS = tuple(prefixed(number) for number in range(100))


class _Name:
    """A name with its key: a topic, an account, an origin, a day, a prefix of stream names."""

    __slots__ = ("key", "prefixed")

    def __init__(self, key: int, name: str) -> None:
        self.key = key
        self.prefixed = prefixed(name)


class _Stream:
    """A stream with its key and its last version."""

    __slots__ = ("key", "prefixed", "version")

    def __init__(self, key: int, name: str, version: int) -> None:
        self.key = key
        self.prefixed = prefixed(name)
        self.version = version


class Keys:
    """A cache of keys and stream versions, as of the last head seen under the write lock."""

    def __init__(self) -> None:
        self.names: dict[str, _Name] = {}
        self.streams: dict[str, _Stream] = {}
        self._last_stream = -1  # the highest key of a stream; -1: not read yet

    def name(self, cursor: sqlite3.Connection, name: str) -> _Name:
        """Return a name with its key; insert a new name."""
        found = self.names.get(name)
        if found is None:
            row = cursor.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
            key = row[0] if row else _added(cursor, "INSERT INTO names(name) VALUES (?)", (name,))
            found = self.names[name] = _Name(key, name)
        return found

    def load_streams(self, cursor: sqlite3.Connection, names: Iterable[str]) -> None:
        """Read the keys and versions of streams that are not cached; insert new streams."""
        unknown = [name for name in dict.fromkeys(names) if name not in self.streams]
        for start in range(0, len(unknown), 300):
            self._load(cursor, unknown[start : start + 300])

    def _load(self, cursor: sqlite3.Connection, names: Sequence[str]) -> None:
        wanted = {}
        for full_name in names:
            prefix, name = self.split(full_name)
            wanted[name, self.name(cursor, prefix).key] = full_name
        values = [value for pair in wanted for value in pair]
        marks = ",".join(["(?,?)"] * len(wanted))
        query = f"SELECT name, prefix, id FROM streams WHERE (name, prefix) IN (VALUES {marks})"  # noqa: S608
        found = {(name, prefix): key for name, prefix, key in cursor.execute(query, values)}
        versions = dict[int, int]()
        if found:
            query = (
                "SELECT originator_id, max(originator_version) FROM events "  # noqa: S608
                f"WHERE originator_id IN ({','.join('?' * len(found))}) GROUP BY originator_id"
            )
            versions = dict(cursor.execute(query, list(found.values())).fetchall())
        new = [pair for pair in wanted if pair not in found]
        if new:
            found |= self._add(cursor, new)
        for pair, full_name in wanted.items():
            key = found[pair]
            self.streams[full_name] = _Stream(key, full_name, versions.get(key, 0))

    def _add(self, cursor: sqlite3.Connection, pairs: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        if self._last_stream < 0:
            (self._last_stream,) = cursor.execute("SELECT coalesce(max(id), 0) FROM streams").fetchone()
        keys = {pair: self._last_stream + number for number, pair in enumerate(pairs, 1)}
        values = [value for (name, prefix), key in keys.items() for value in (key, prefix, name)]
        _insert(cursor, "streams", 3, values, "a stream")
        self._last_stream += len(pairs)
        return keys

    @property
    def is_full(self) -> bool:
        """Return whether the cache should be emptied, between two transactions."""
        return len(self.streams) > MOST_STREAMS

    @staticmethod
    def split(originator_id: str) -> tuple[str, str]:
        """Return the common prefix (`order/<account>/`) and the rest of a stream name."""
        kind, slash, rest = originator_id.partition("/")
        if kind == "order":
            account, second, order_id = rest.partition("/")
            return kind + slash + account + second, order_id
        return kind + slash if slash else "", rest if slash else kind

    @staticmethod
    def command(command_id: str | None) -> str | bytes | None:
        """Return a command id as it is stored."""
        if not command_id or not command_id.startswith(_FACT):
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
    cursor: sqlite3.Connection,
    keys: Keys,
    rows: Sequence[NewRow],
    head: Head,
    secret: bytes,
    leaves: list[bytes] | None = None,
) -> Head:
    """
    Insert the rows after `head`, with their chain values; return the new head, and add the leaves to `leaves`.

    Raises:
        LogWriteFailed: a foreign trigger dropped a row; the caller must roll back.
    """
    if not rows:
        return head
    keys.load_streams(cursor, (row[0] for row in rows))
    streams, names, values = keys.streams, keys.names, list[object]()
    seq, chain = head.seq, head.chain
    times, moments = list[int](), b""
    for name, asked, topic_name, state, account_name, origin_name, *at, day_name, command_id in rows:
        seq += 1
        stream = streams[name]
        topic = names.get(topic_name) or keys.name(cursor, topic_name)
        account = names.get(account_name) or keys.name(cursor, account_name)
        origin = names.get(origin_name) or keys.name(cursor, origin_name)
        day = names.get(day_name) or keys.name(cursor, day_name)
        version = stream.version = stream.version + 1 if asked == NEXT else asked
        if at != times:
            times = at
            moments = b"".join(map(prefixed, at))
        number = b"%d" % seq
        hashed = (
            b"\0\0\0\0",
            bytes((len(number),)),
            number,
            stream.prefixed,
            _VERSIONS[version] if 0 <= version < 100 else prefixed(version),
            topic.prefixed,
            account.prefixed,
            origin.prefixed,
            moments,
            day.prefixed,
            _NULL if command_id is None else prefixed(command_id),
            sha256(sha256(secret + number).digest()[:16] + state).digest(),
        )
        leaf = sha256(b"".join(hashed)).digest()
        chain = sha256(chain + leaf).digest()
        if leaves is not None:
            leaves.append(leaf)
        occurred_at, effective_at, recorded_at = at
        values += (
            seq,
            stream.key,
            version,
            topic.key,
            state,
            account.key,
            origin.key,
            occurred_at,
            None if effective_at == occurred_at else effective_at,
            recorded_at,
            day.key,
            Keys.command(command_id) if command_id else command_id,
            chain,
        )
    _insert(cursor, "events", 13, values, "an event")
    return Head(seq, chain, rows[-1][8])


def _insert(cursor: sqlite3.Connection, table: str, width: int, values: Sequence[object], row_name: str) -> None:
    """Insert rows of `width` columns from one flat sequence, many per statement."""
    start = 0
    for size in _CHUNKS:
        step = size * width
        while len(values) - start >= step:
            done = cursor.execute(_INSERTS[table, size], values[start : start + step])
            if done.rowcount != size:
                raise LogWriteFailed(f"{row_name} was not inserted (a foreign trigger?); {_NOTHING}")
            start += step


_INSERTS = {
    (table, size): f"INSERT INTO {table} VALUES {','.join([row] * size)}"  # noqa: S608
    for table, row in (("events", f"({','.join('?' * 13)})"), ("streams", "(?,?,?)"))
    for size in _CHUNKS
}


def _added(cursor: sqlite3.Connection, insert: str, values: tuple[object, ...]) -> int:
    """Insert a row and return its key."""
    done = cursor.execute(insert, values)
    if done.rowcount != 1 or done.lastrowid is None:
        raise LogWriteFailed(f"a name was not inserted (a foreign trigger?); {_NOTHING}")
    return done.lastrowid
