"""The log in an SQLite file: one table, one writer at a time, durable before the answer."""

import sqlite3
import weakref
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from oms_es.codec import CODEC
from oms_es.envelope import Draft, Recorded
from oms_es.errors import DamagedLog, HeadMoved, LogMissing, NotALog
from oms_es.log import schema
from oms_es.log.contract import to_recorded, to_row
from oms_es.log.files import open_reader, open_writer, told_apart
from oms_es.log.rows import Head, Row, genesis
from oms_es.log.writing import Keys, write

_SELECT = """
SELECT e.seq, s.prefix, s.name, e.originator_version, e.topic, e.state, e.account, e.origin, e.occurred_at,
       coalesce(e.effective_at, e.occurred_at), e.recorded_at, e.trading_day, e.command_id, e.chain
FROM events e LEFT JOIN streams s ON s.id = e.originator_id
"""
EMPTY = Head(0, b"", 0)
PAGE = 2000  # rows read at once


class SqliteLog:
    """
    A log file. Nothing is opened before it is needed, and nothing is written before the first append.

    Args:
        path: the file; made by the first append.
        durability: "full" (an fsync before every answer) or "normal" (a power cut may take the last moments).
    """

    def __init__(self, path: str | Path, *, durability: str = "full") -> None:
        self.path = Path(path)
        self._durability = durability
        self._reading: sqlite3.Connection | None = None
        self._writing: sqlite3.Connection | None = None
        self._names: dict[int, str] = {}
        self._keys = Keys()
        self._known: Head | None = None
        self._last: object = None
        self._closing: list[weakref.finalize[..., SqliteLog]] = []

    # --- reading ---

    @classmethod
    def existing(cls, path: str | Path, **options: str) -> "SqliteLog":
        """
        Return the log at `path`.

        Raises:
            LogMissing, NotALog, NewerLog, DamagedLog: what stands there instead.
        """
        log = cls(path, **options)
        if log._reader() is None:
            empty = " (the file is empty)" if log.path.exists() else ""
            raise LogMissing(f"there is no log at {path}{empty}")
        return log

    def meta(self) -> schema.Meta | None:
        """Return what identifies the log; None before the first append."""
        reader = self._reader()
        return None if reader is None else schema.read_meta(reader, str(self.path))

    def head(self) -> Head:
        """Return the end of the log; seq 0 when it is empty or not there yet."""
        reader = self._reader()
        if reader is None:
            return EMPTY
        with told_apart(self.path):
            return _head(reader) or EMPTY  # a damaged end is a DamagedLog

    def read(
        self, after: int = 0, until: int | None = None, topics: Collection[str] | None = None
    ) -> Iterator[Recorded]:
        """Return the events with `after` < seq <= `until`, in order."""
        return map(to_recorded, self.rows(after, until, topics))

    def rows(self, after: int = 0, until: int | None = None, topics: Collection[str] | None = None) -> Iterator[Row]:
        """Return the stored rows, as `read` returns the events."""
        last = self.head().seq if until is None else until
        reader = self._reader()
        unwanted: list[int] = []
        if topics is not None and reader is not None:  # topics that nobody knows are not passed over
            names = self._load_names(reader).items()
            unwanted = [key for key, name in names if name in CODEC.topics and name not in topics]
        found = self._pages(after, last, unwanted)
        return self._contiguous(found, after) if topics is None else found

    def _pages(self, after: int, last: int, unwanted: list[int]) -> Iterator[Row]:
        """Return the rows page by page: no cursor stays open between two of them, so no reader holds a snapshot."""
        more = f" AND e.topic NOT IN ({','.join('?' * len(unwanted))})" if unwanted else ""
        while after < last:
            values = [after, last, *unwanted]
            page = self._select(f"e.seq > ? AND e.seq <= ?{more}", values, limit=PAGE)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].seq

    def stream(self, originator_id: str) -> list[Recorded]:
        """Return the events of one stream, in order."""
        return [to_recorded(row) for row in self.stream_rows(originator_id)]

    def stream_rows(self, originator_id: str) -> list[Row]:
        """Return the rows of one stream, in order."""
        return self._select(
            "e.originator_id = (SELECT s.id FROM streams s JOIN names n ON n.id = s.prefix "
            "WHERE s.name = ? AND n.name = ?)",
            list(reversed(Keys.split(originator_id))),
            order="e.originator_version",
        )

    def order_streams(self, order_id: str) -> list[str]:
        """Return the names of the streams of orders with this id."""
        reader = self._reader()
        query = (
            "SELECT n.name || s.name FROM streams s JOIN names n ON n.id = s.prefix "
            "WHERE s.name = ? AND n.name GLOB 'order/*/' ORDER BY 1"
        )
        with told_apart(self.path):
            return [] if reader is None else [name for (name,) in reader.execute(query, (order_id,))]

    def pick(self, seqs: Sequence[int]) -> list[Recorded]:
        """Return the events with these seqs, in order of seq."""
        found: list[Recorded] = []
        for start in range(0, len(seqs), 500):
            some = list(seqs[start : start + 500])
            found += map(to_recorded, self._select(f"e.seq IN ({','.join('?' * len(some))})", some))
        return sorted(found, key=lambda recorded: recorded.seq)

    def chain_at(self, seq: int) -> str | None:
        """Return the chain after the event `seq`, as hex; None when there is no such event."""
        reader = self._reader()
        found = None if reader is None else reader.execute("SELECT chain FROM events WHERE seq = ?", (seq,)).fetchone()
        return None if found is None else bytes(found[0]).hex()

    def holds_name(self, name: str) -> bool:
        """Return whether a topic, an account or a day of this name stands anywhere in the log."""
        reader = self._reader()
        return reader is not None and name in self._load_names(reader).values()

    def recorded_by(self, moment: int) -> int:
        """Return the seq of the last event recorded up to a moment; 0 for none."""
        reader, low, high = self._reader(), 0, self.head().seq
        while reader is not None and low < high:
            middle = (low + high + 1) // 2
            with told_apart(self.path):
                found = reader.execute("SELECT recorded_at FROM events WHERE seq = ?", (middle,)).fetchone()
            if found is None or type(found[0]) is not int:
                raise DamagedLog(f"{self.path}: seq {middle} is missing, or does not hold what we write")
            low, high = (middle, high) if found[0] <= moment else (low, middle - 1)
        return low

    def first_of_day(self, trading_day: str) -> int:
        """Return the seq of the first event booked on a trading day; 0 for none."""
        return self._of_day("min", trading_day)

    def last_of_day(self, trading_day: str) -> int:
        """Return the seq of the last event booked on a trading day; 0 for none."""
        return self._of_day("max", trading_day)

    def _of_day(self, which: str, trading_day: str) -> int:
        reader = self._reader()
        if reader is None:
            return 0
        query = f"SELECT {which}(seq) FROM events WHERE trading_day = (SELECT id FROM names WHERE name = ?)"  # noqa: S608
        with told_apart(self.path):
            (found,) = reader.execute(query, (trading_day,)).fetchone()
        return found or 0

    def ends_of_days(self, until: int, topics: Collection[str]) -> dict[str, int]:
        """Return the seq of the last event of these topics up to `until`, for each trading day that has one."""
        reader = self._reader()
        if reader is None:
            return {}
        names = self._load_names(reader)
        wanted = [key for key, name in names.items() if name in topics]
        query = (
            "SELECT trading_day, max(seq) FROM events WHERE seq <= ? "  # noqa: S608
            f"AND topic IN ({','.join('?' * len(wanted))}) GROUP BY trading_day"
        )
        with told_apart(self.path):
            found = reader.execute(query, (until, *wanted)).fetchall()
        for day, seq in found:
            if type(names.get(day)) is not str:
                raise DamagedLog(f"{self.path}: seq {seq}: no trading day stands under key {day}")
        return {names[day]: seq for day, seq in found}

    def latest(self, after: int) -> tuple[int, int]:
        """Return the latest `recorded_at` and `effective_at` of the events after a seq; 0 for none."""
        reader = self._reader()
        if reader is None:
            return 0, 0
        query = "SELECT max(recorded_at), max(coalesce(effective_at, occurred_at)) FROM events WHERE seq > ?"
        with told_apart(self.path):
            recorded, effective = reader.execute(query, (after,)).fetchone()
        return recorded or 0, effective or 0

    def command(self, command_id: str) -> list[Recorded]:
        """Return the events of the command with this id; [] when there is none."""
        reader = self._reader()
        if reader is None or not command_id:
            return []
        with told_apart(self.path):
            found = reader.execute(
                "SELECT seq, (SELECT min(n.seq) FROM events n WHERE n.seq > e.seq AND n.command_id IS NOT NULL) "
                "FROM events e WHERE command_id = ? AND command_id > ''",
                (Keys.command(command_id),),
            ).fetchone()
        if found is None:
            return []
        first, following = found
        return list(self.read(first - 1, None if following is None else following - 1))

    def known_commands(self, command_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that stand in the log."""
        reader = self._reader()
        if reader is None:
            return set()
        found: set[str] = set()
        with told_apart(self.path):
            for start in range(0, len(command_ids), 500):
                some = command_ids[start : start + 500]
                marks = ",".join("?" * len(some))
                query = f"SELECT command_id FROM events WHERE command_id IN ({marks}) AND command_id > ''"  # noqa: S608
                found.update(Keys.command_text(row[0]) for row in reader.execute(query, list(map(Keys.command, some))))
        return found

    def _select(
        self, where: str, values: Sequence[object], order: str = "e.seq", limit: int | None = None
    ) -> list[Row]:
        reader = self._reader()
        if reader is None:
            return []
        query = f"{_SELECT} WHERE {where} ORDER BY {order}" + ("" if limit is None else f" LIMIT {limit}")
        with told_apart(self.path):
            found = reader.execute(query, list(values)).fetchall()
        names = self._load_names(reader)  # after the rows: it knows every name that they use
        return [self._row(columns, names) for columns in found]

    def _row(self, columns: Sequence[Any], names: dict[int, str]) -> Row:
        """Return a row in words; one that we cannot have written is a `DamagedLog` that names its seq."""
        try:
            row = _in_words(columns, names)
        except KeyError as error:
            raise DamagedLog(f"{self.path}: seq {columns[0]}: nothing stands under key {error}") from None
        if not _is_ours(row):
            raise DamagedLog(f"{self.path}: seq {columns[0]}: a column does not hold what we write")
        return row

    def _contiguous(self, rows: Iterable[Row], after: int) -> Iterator[Row]:
        for row in rows:
            after += 1
            if row.seq != after:
                raise DamagedLog(f"{self.path}: seq {after} is missing (the next one found is {row.seq})")
            yield row

    def _load_names(self, reader: sqlite3.Connection) -> dict[int, str]:
        with told_apart(self.path):
            self._names = dict(reader.execute("SELECT id, name FROM names"))
        return self._names

    def _reader(self) -> sqlite3.Connection | None:
        """Return a reading connection; None while there is no log yet."""
        if self._reading is None:
            if not self.path.exists() or (self.path.is_file() and self.path.stat().st_size == 0):
                return None
            connection = open_reader(self.path)
            try:
                if schema.is_empty(connection):
                    connection.close()
                    return None
                schema.read_meta(connection, str(self.path))
            except Exception:
                connection.close()
                raise
            self._reading = self._kept(connection)
        return self._reading

    # --- writing ---

    def append(self, drafts: Sequence[Draft], decided_on: int) -> list[Recorded]:
        """Write all drafts, or none; they are durable when this returns."""
        with told_apart(self.path):
            writer = self._writer()
            if not writer.in_transaction:
                writer.execute("BEGIN IMMEDIATE")
            try:
                meta, head = self._prepare(writer)
                if head.seq != decided_on:
                    raise HeadMoved(f"decided on seq {decided_on}, but the log is at {head.seq}")
                rows = self._numbered(writer, drafts, head.seq)
                sealed = write(writer, self._keys, rows, head, meta.secret)
                writer.execute("COMMIT")
            except BaseException:
                self._known = None
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
                raise
        if sealed:
            self._known = Head(sealed[-1].seq, sealed[-1].chain, sealed[-1].recorded_at)
        return [
            Recorded(r.seq, r.originator_id, r.originator_version, d.event, r.account, d.origin, *r[7:12])
            for r, d in zip(sealed, drafts, strict=True)
        ]

    def lock(self) -> None:
        """Keep everybody else from appending until the next `append` of this object, or `unlock`."""
        with told_apart(self.path):
            self._writer().execute("BEGIN IMMEDIATE")

    def unlock(self) -> None:
        """Let others append again; without a lock, do nothing."""
        if self._writing is not None and self._writing.in_transaction:
            self._writing.execute("ROLLBACK")

    def _prepare(self, writer: sqlite3.Connection) -> tuple[schema.Meta, Head]:
        if schema.is_empty(writer):
            schema.create(writer)
        meta = schema.read_meta(writer, str(self.path))
        head = _head(writer) or Head(0, genesis(meta.log_id), 0)
        if head != self._known or self._keys.is_full:  # others have written: what we know of keys and versions is old
            self._keys = Keys()
        return meta, head

    def _numbered(self, writer: sqlite3.Connection, drafts: Sequence[Draft], seq: int) -> list[Row]:
        rows = []
        for number, draft in enumerate(drafts, seq + 1):
            version = self._keys.next_version(writer, draft.event.originator_id)
            rows.append(to_row(draft, number, version))
        return rows

    def _writer(self) -> sqlite3.Connection:
        if self._writing is None:
            if self.path.is_file() and self.path.stat().st_size:
                self._reader()  # says what it is when it is no log, before a byte of it is touched
            connection = open_writer(self.path, self._durability)
            if not schema.is_empty(connection) and not schema.exists(connection):
                connection.close()
                raise NotALog(f"{self.path} is an SQLite database, but no log of oms_es")
            self._writing = self._kept(connection)
            self._last = self._closing[-1]
        return self._writing

    def _kept(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        self._closing.append(weakref.finalize(self, connection.close))
        return connection

    def close(self) -> None:
        """Let go of the file."""
        for finalizer in sorted(self._closing, key=lambda each: each is self._last):
            finalizer()  # the writer last: whoever closes last merges the write-ahead log into the file
        self._closing.clear()
        self._reading = self._writing = self._known = None


def _head(connection: sqlite3.Connection) -> Head | None:
    found = connection.execute("SELECT seq, chain, recorded_at FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    if found is None:
        return None
    seq, chain, recorded_at = found
    if seq < 1 or type(chain) is not bytes or len(chain) != 32 or type(recorded_at) is not int:
        raise DamagedLog(f"the log ends in a row that we have not written (seq {seq}): it was cut off or changed")
    return Head(seq, chain, recorded_at)


def _in_words(columns: Sequence[Any], names: dict[int, str]) -> Row:
    seq, prefix, name, version, topic, state, account, origin, occurred, effective, recorded, day, command, chain = (
        columns
    )
    return Row(
        seq,
        f"{names[prefix]}{name}" if type(name) is str else name,
        version,
        names[topic],
        state,
        names[account],
        names[origin],
        occurred,
        effective,
        recorded,
        names[day],
        Keys.command_text(command) if type(command) is bytes else command,
        chain,
    )


_TYPES = (int, str, int, str, bytes, str, str, int, int, int, str)


def _is_ours(row: Row) -> bool:
    return (
        tuple(map(type, row[:11])) == _TYPES
        and type(row.chain) is bytes
        and len(row.chain) == 32
        and (row.command_id is None or type(row.command_id) is str)
    )
