"""
Read a log file. A missing row is always an error, never a smaller result.

Reads of a range of the log count its rows, reads of a stream its versions. Other reads cannot distinguish a missing
row from an order that does not exist; they depend on a count of the whole log: `completeness`.
"""

import sqlite3
import weakref
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from oms_es.domain.envelope import Recorded
from oms_es.errors import DamagedLog, LogFileChanged
from oms_es.identifiers import escaped
from oms_es.log import schema, schema_check
from oms_es.log.codec import CODEC
from oms_es.log.completeness import Completeness, count_between
from oms_es.log.connections import Connection
from oms_es.log.contract import to_recorded
from oms_es.log.decoding import SELECT, decode_event, decode_row, read_head
from oms_es.log.hash_chain import Head, StoredRow, genesis
from oms_es.log.identity import LogFile
from oms_es.log.insert import Keys
from oms_es.log.open_connections import open_reader, translated_errors
from oms_es.log.order_search import OrderSearch, columns_of, find_orders
from oms_es.log.private_copy import stamp
from oms_es.log.row_hashes import Columns, RowHashes, check_chain

EMPTY = Head(0, b"", 0)
PAGE = 2000  # rows read at once
MOST_ORDERS = 20_000  # the events of more orders are read with the others
SHORT = 2000  # up to so many rows are counted one by one; for more, the whole log is counted by its smallest index


class LogReader:
    """
    The read methods of a log file, which is opened at the first use.

    Args:
        path: the file; if it does not exist, the log is empty.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()  # the process may change its working directory
        self._file = LogFile(self.path)
        self._reading: Connection | None = None
        self._names: dict[int, str] = {}
        self._seen: Head | None = None  # the last head that was read or written
        self._complete = Completeness(self.path)
        self._warned = False
        self._closing: list[weakref.finalize[..., LogReader]] = []

    def meta(self) -> schema.Meta | None:
        """Return the identity of the log; None before the first append."""
        reader = self._checked()
        return None if reader is None else schema.read_meta(reader, str(self.path))

    def head(self) -> Head:
        """Return the head of the log; seq 0 when it is empty or does not exist yet."""
        reader = self._checked()
        return EMPTY if reader is None else self._head(reader)

    def peek(self) -> Head:
        """Return the head of the log, without checking that the path still names the same file."""
        reading = self._reading
        return self.head() if reading is None or reading.stamp is not None else self._head(reading)

    def _head(self, reader: sqlite3.Connection) -> Head:
        with translated_errors(self.path, reading=True):
            found = read_head(reader) or EMPTY  # a damaged end is a DamagedLog
            self._see(found, reader)
        return found

    def _see(self, found: Head, connection: sqlite3.Connection) -> None:
        """Store the head; raise if it does not continue the head that was read before."""
        seen = self._seen
        if seen is not None and seen.seq and found != seen:
            query = "SELECT chain FROM events WHERE seq = ?"
            if connection.execute(query, (seen.seq,)).fetchone() != (seen.chain,):
                raise LogFileChanged(
                    f"{self.path} contains another history than before: it ends at seq {found.seq}, "
                    f"and seq {seen.seq} was read from it (was it restored or overwritten?)"
                )
        self._seen = found

    def read(
        self, after: int = 0, until: int | None = None, topics: Collection[str] | None = None
    ) -> Iterator[Recorded]:
        """Return the events with `after` < seq <= `until`, in order."""
        return (decode_event(self.path, columns, self._names) for columns in self._columns(after, until, topics))

    def rows(
        self, after: int = 0, until: int | None = None, topics: Collection[str] | None = None
    ) -> Iterator[StoredRow]:
        """Return the stored rows, as `read` returns the events."""
        return (decode_row(self.path, columns, self._names) for columns in self._columns(after, until, topics))

    def verified(self, after: int = 0, until: int | None = None) -> Iterator[tuple[Columns, bytes]]:
        """
        Return the columns of the rows as stored, each with its leaf, after checking that it continues the hash chain.

        Raises:
            DamagedLog: a row is missing, or does not continue the chain of the row before; names its seq.
        """
        found = self.meta()
        if found is None:
            return iter(())
        chain = genesis(found.log_id) if after == 0 else bytes.fromhex(self.chain_at(after) or "")
        hashes = RowHashes(found.secret, lambda: self._names)
        return check_chain(self._columns(after, until, None), hashes, chain, str(self.path))

    def read_verified(self, after: int = 0, until: int | None = None) -> Iterator[Recorded]:
        """Return the events with `after` < seq <= `until`, as `read`; raise `DamagedLog` as `verified`."""
        return (decode_event(self.path, columns, self._names) for columns, _ in self.verified(after, until))

    def _columns(self, after: int, until: int | None, topics: Collection[str] | None) -> Iterator[Columns]:
        """Return the columns of the rows as stored; `_names` contains the names of their keys."""
        last = self.head().seq
        last = last if until is None else min(until, last)
        reader = self._reader()
        unwanted: list[int] = []
        if topics is not None and reader is not None:  # unknown topics are read too, and raise an error
            names = self._load_names(reader).items()
            unwanted = [key for key, name in names if name in CODEC.topics and name not in topics]
        return self._contiguous(after, last) if topics is None else self._filtered(after, last, unwanted)

    def _contiguous(self, after: int, last: int) -> Iterator[Columns]:
        for columns in self._pages(after, last, []):
            after += 1
            if columns[0] != after:
                raise DamagedLog(f"{self.path}: seq {after} is missing (the next one found is {columns[0]})")
            yield columns
        if after < last:
            raise DamagedLog(f"{self.path}: seq {after + 1} is missing (the log ends at {last})")

    def _filtered(self, after: int, last: int, unwanted: list[int]) -> Iterator[Columns]:
        """Yield the rows without those of unwanted topics; count all rows at the end."""
        yield from self._pages(after, last, unwanted)
        reader = self._reader()
        if reader is not None and after < last:
            with translated_errors(self.path, reading=True):
                if last - after <= SHORT:
                    count_between(reader, after, last, self.path)
                else:
                    self._complete.check(reader, whole=True)

    def _pages(self, after: int, last: int, unwanted: list[int]) -> Iterator[Columns]:
        """Yield the rows page by page, with no cursor open between pages, so that no read blocks a checkpoint."""
        more = f" AND e.topic NOT IN ({','.join('?' * len(unwanted))})" if unwanted else ""
        while after < last:
            values = [after, last, *unwanted]
            page = self._select_columns(f"e.seq > ? AND e.seq <= ?{more}", values, limit=PAGE)
            self._check_file()
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def stream(self, originator_id: str) -> list[Recorded]:
        """Return the events of one stream, in order."""
        return [to_recorded(row) for row in self.stream_rows(originator_id)]

    def stream_rows(self, originator_id: str) -> list[StoredRow]:
        """Return the rows of one stream, in order."""
        self._counted()
        rows = self._select(
            "e.originator_id = (SELECT s.id FROM streams s JOIN names n ON n.id = s.prefix "
            "WHERE s.name = ? AND n.name = ?)",
            list(reversed(Keys.split(originator_id))),
            order="e.originator_version",
        )
        versions = [row.originator_version for row in rows]
        if rows and (versions[0] > 1 or versions != list(range(versions[0], versions[0] + len(rows)))):
            due = next((due for due, version in enumerate(versions, 1) if due != version), len(rows))
            raise DamagedLog(f"{self.path}: version {due} of {escaped(originator_id)} is missing")
        return rows

    def order_streams(self, order_id: str) -> list[str]:
        """Return the names of the streams of orders with this id."""
        reader = self._counted()
        query = (
            "SELECT n.name || s.name FROM streams s JOIN names n ON n.id = s.prefix "
            "WHERE s.name = ? AND n.name GLOB 'order/*/' ORDER BY 1"
        )
        with translated_errors(self.path, reading=True):
            return [] if reader is None else [name for (name,) in reader.execute(query, (order_id,))]

    def order_events(self, search: OrderSearch) -> list[Recorded] | None:
        """Return the known events of the orders that a search finds, in the order of the log; None: too many orders."""
        reader = self._counted()
        if reader is None:
            return []
        with translated_errors(self.path, reading=True):
            keys = find_orders(reader, search)
            if len(keys) > MOST_ORDERS:
                return None
            found = columns_of(reader, keys, search.until)
        self._load_names(reader)
        events = [decode_event(self.path, columns, self._names) for columns in found]
        due = dict[str, int]()
        for each in events:
            version = due[each.originator_id] = due.get(each.originator_id, 0) + 1
            if each.originator_version != version:
                raise DamagedLog(f"{self.path}: version {version} of {escaped(each.originator_id)} is missing")
        return events

    def pick(self, seqs: Sequence[int]) -> list[Recorded]:
        """Return the events with these seqs, in order of seq."""
        self._checked()
        found: list[Recorded] = []
        for start in range(0, len(seqs), 500):
            some = list(seqs[start : start + 500])
            found += map(to_recorded, self._select(f"e.seq IN ({','.join('?' * len(some))})", some))
        missing = set(seqs) - {recorded.seq for recorded in found}
        if missing:
            raise DamagedLog(f"{self.path}: seq {min(missing)} is missing")
        return sorted(found, key=lambda recorded: recorded.seq)

    def chain_at(self, seq: int) -> str | None:
        """Return the chain value after the event `seq`, as hex; None when the log has no such event."""
        reader = self._checked()
        if reader is None:
            return None
        with translated_errors(self.path, reading=True):
            found = reader.execute("SELECT chain FROM events WHERE seq = ?", (seq,)).fetchone()
            if found is None and 1 <= seq <= (read_head(reader) or EMPTY).seq:
                raise DamagedLog(f"{self.path}: seq {seq} is missing")
        return None if found is None else bytes(found[0]).hex()

    def holds_name(self, name: str) -> bool:
        """Return whether the log contains a topic, an account or a day with this name."""
        reader = self._counted()
        if reader is None:
            return False
        names = self._load_names(reader)
        if names and max(names) != len(names):
            raise DamagedLog(f"{self.path}: the table names has {len(names)} rows, and the last one is {max(names)}")
        return name in names.values()

    def recorded_by(self, moment: int) -> int:
        """Return the seq of the last event recorded up to a time; 0 for none."""
        low, high = 0, self.head().seq
        reader = self._counted()
        while reader is not None and low < high:
            middle = (low + high + 1) // 2
            with translated_errors(self.path, reading=True):
                found = reader.execute("SELECT recorded_at FROM events WHERE seq = ?", (middle,)).fetchone()
            if found is None or type(found[0]) is not int:
                raise DamagedLog(f"{self.path}: seq {middle} is missing or invalid")
            low, high = (middle, high) if found[0] <= moment else (low, middle - 1)
        return low

    def first_of_day(self, trading_day: str) -> int:
        """Return the seq of the first event booked on a trading day; 0 for none."""
        return self._of_day("min", trading_day)

    def last_of_day(self, trading_day: str) -> int:
        """Return the seq of the last event booked on a trading day; 0 for none."""
        return self._of_day("max", trading_day)

    def _of_day(self, which: str, trading_day: str) -> int:
        reader = self._counted()
        if reader is None:
            return 0
        query = f"SELECT {which}(seq) FROM events WHERE trading_day = (SELECT id FROM names WHERE name = ?)"  # noqa: S608
        with translated_errors(self.path, reading=True):
            (found,) = reader.execute(query, (trading_day,)).fetchone()
        return found or 0

    def ends_of_days(self, until: int, topics: Collection[str]) -> dict[str, int]:
        """Return the seq of the last event of these topics up to `until`, by trading day."""
        reader = self._counted()
        if reader is None:
            return {}
        names = self._load_names(reader)
        unwanted = [key for key, name in names.items() if name not in topics]
        query = (
            "SELECT trading_day, topic, max(seq) FROM events WHERE seq <= ? "  # noqa: S608
            f"AND topic NOT IN ({','.join('?' * len(unwanted))}) GROUP BY trading_day, topic"
        )
        with translated_errors(self.path, reading=True):
            found = reader.execute(query, (until, *unwanted)).fetchall()
        ends: dict[str, int] = {}
        for day, topic, seq in found:
            if type(names.get(day)) is not str:
                raise DamagedLog(f"{self.path}: seq {seq}: no trading day has key {day}")
            if topic not in names:
                raise DamagedLog(f"{self.path}: seq {seq}: no topic has key {topic}")
            ends[names[day]] = max(seq, ends.get(names[day], 0))
        return ends

    def latest(self, after: int) -> tuple[int, int]:
        """Return the latest `recorded_at` and `effective_at` of the events after a seq; 0 for none."""
        reader = self._counted()
        if reader is None:
            return 0, 0
        query = "SELECT max(recorded_at), max(coalesce(effective_at, occurred_at)) FROM events WHERE seq > ?"
        with translated_errors(self.path, reading=True):
            recorded, effective = reader.execute(query, (after,)).fetchone()
        return recorded or 0, effective or 0

    def command(self, command_id: str) -> list[Recorded]:
        """Return the events of the command with this id; [] when there is none."""
        reader = self._reader()
        if reader is None or not command_id:
            return []
        with translated_errors(self.path, reading=True):
            found = reader.execute(
                "SELECT seq, (SELECT min(n.seq) FROM events n WHERE n.seq > e.seq AND n.command_id IS NOT NULL) "
                "FROM events e WHERE command_id = ? AND command_id > ''",
                (Keys.command(command_id),),
            ).fetchone()
        if found is None:
            return []
        first, following = found
        return list(self.read(first - 1, None if following is None else following - 1))

    def known_commands(self, command_ids: Collection[str]) -> set[str]:
        """Return those of the command ids that are in the log."""
        reader = self._reader()
        if reader is None:
            return set()
        asked, found = [Keys.command(each) for each in command_ids if each], set[str]()
        for start in range(0, len(asked), 500):
            some = asked[start : start + 500]
            marks = ",".join("?" * len(some))
            query = f"SELECT command_id FROM events WHERE command_id IN ({marks}) AND command_id > ''"  # noqa: S608
            with translated_errors(self.path, reading=True):
                found.update(Keys.command_text(stored) for (stored,) in reader.execute(query, some))
        return found

    def _select(self, where: str, values: Sequence[object], order: str = "e.seq") -> list[StoredRow]:
        found = self._select_columns(where, values, order)
        return [decode_row(self.path, columns, self._names) for columns in found]

    def _select_columns(
        self, where: str, values: Sequence[object], order: str = "e.seq", limit: int | None = None
    ) -> list[Columns]:
        reader = self._reader()
        if reader is None:
            return []
        query = f"{SELECT} WHERE {where} ORDER BY {order}" + ("" if limit is None else f" LIMIT {limit}")
        with translated_errors(self.path, reading=True):
            found: list[Columns] = reader.execute(query, list(values)).fetchall()
        self._load_names(reader)  # after the rows, so that it includes every name in them
        return found

    def _load_names(self, reader: sqlite3.Connection) -> dict[int, str]:
        with translated_errors(self.path, reading=True):
            self._names = dict(reader.execute("SELECT id, name FROM names"))
        return self._names

    # --- the connection ---

    def connection(self) -> sqlite3.Connection | None:
        """Return the read-only connection, for a reader that trusts nothing in the file; None if there is no log."""
        return self._checked()

    def _counted(self) -> sqlite3.Connection | None:
        """Return a connection to a log with no missing row; None if there is no log yet."""
        reader = self._checked()
        if reader is not None:
            with translated_errors(self.path, reading=True):
                self._complete.check(reader)
        return reader

    def _checked(self) -> sqlite3.Connection | None:
        """Return a connection to the file that the path names now; None if there is no log yet."""
        self._file.refuse_elsewhere()
        self._check_file()
        reading = self._reading
        if reading is not None and reading.stamp is not None and reading.stamp != stamp(self.path):
            reading.close()  # a private copy, and the log has changed since
            self._reading = None
            self._complete.forget()
        return self._reader()

    def _check_file(self) -> None:
        self._file.check()

    def _reader(self) -> Connection | None:
        """Return a read-only connection; None if there is no log yet."""
        if self._reading is None:
            self._file.refuse_elsewhere()
            if not self.path.exists() or (self.path.is_file() and self.path.stat().st_size == 0):
                return None
            with ExitStack() as undo:
                connection = open_reader(self.path)
                undo.callback(connection.close)
                if schema.is_empty(connection):
                    return None
                schema.read_meta(connection, str(self.path))
                self._file.opened(with_ahead=connection.stamp is None)
                if not self._warned:
                    self._warned = True
                    with translated_errors(self.path, reading=True):
                        schema_check.warn(connection, str(self.path))
                undo.pop_all()
            self._complete.forget()
            self._reading = self._owned(connection)
        return self._reading

    def _owned(self, connection: Connection) -> Connection:
        """Close the connection with this object, or when this object is garbage-collected."""
        self._closing.append(weakref.finalize(self, connection.close))
        return connection
