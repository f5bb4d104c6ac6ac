"""
Read a log strictly: every column of every row is checked, and nothing of the file is trusted or executed.

The rows are read from their table alone, never by an index; names and streams by their keys.
"""

import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import TypeAlias

from oms_es.domain.events import Event
from oms_es.identifiers import escaped
from oms_es.log.codec import CODEC, CodecError
from oms_es.log.hash_chain import genesis
from oms_es.log.insert import Keys
from oms_es.log.row_hashes import Columns, RowHashes
from oms_es.log.schema import Meta
from oms_es.proof.damage import Damage, Finding, Kind, off_chain
from oms_es.proof.merkle import Frontier
from oms_es.vocabulary import Origin

PAGE = 2000  # rows
Page: TypeAlias = list[Columns]
WrapPages: TypeAlias = Callable[[Iterable[Page], int], Iterable[Page]]  # pages, and the seq of the last row
Visit: TypeAlias = Callable[[Columns, str, str, Event], None]  # row, stream, topic, event
_SELECT = """
SELECT e.seq, s.prefix, s.name, e.originator_version, e.topic, e.state, e.account, e.origin, e.occurred_at,
       coalesce(e.effective_at, e.occurred_at), e.recorded_at, e.trading_day, e.command_id, e.chain, e.originator_id
FROM main.events AS e NOT INDEXED LEFT JOIN main.streams AS s NOT INDEXED ON s.id = e.originator_id
WHERE e.seq > ? AND e.seq <= ? ORDER BY e.seq LIMIT ?
"""
_ENDS = "SELECT coalesce(min({0}), 0), coalesce(max({0}), 0) FROM main.{1} NOT INDEXED"
_ORIGINS = {origin.value for origin in Origin}


class StrictRows:
    """
    The rows of a log file.

    Args:
        connection: reads the file; its tables were compared with ours before.
        meta: the identity of the log.
    """

    def __init__(self, connection: sqlite3.Connection, meta: Meta) -> None:
        self._connection, self._meta = connection, meta
        self.hashes = RowHashes(meta.secret, self._names)
        self.first, self.last = connection.execute(_ENDS.format("seq", "events")).fetchone()
        self._streams = connection.execute(
            _ENDS.format("id", "streams").replace("coalesce(min(id), 0)", "count(*)")
        ).fetchone()
        self.chain = genesis(meta.log_id)
        self.recorded_at = 0
        self.first_recorded_at = 0

    def _names(self) -> dict[int, str]:
        return dict(self._connection.execute("SELECT id, name FROM main.names NOT INDEXED"))

    def has_name(self, name: str) -> bool:
        """Return whether the table of names contains a name."""
        return name in self._names().values()

    def keys(self) -> Finding | None:
        """Return a finding unless every name comes once, and the keys of names and streams have no gap."""
        names = self._names()
        if len(set(names.values())) != len(names) or (names and max(names) != len(names)):
            return Finding(Kind.ALTERED, "a name comes twice in the table names, or a key is missing in it")
        if self._streams[0] != self._streams[1]:
            count, last = self._streams
            return Finding(Kind.ALTERED, f"the table streams has {count} rows, and the last key is {last}")
        return None

    def after(self, seq: int) -> Iterator[Columns]:
        """Return the rows after a seq; those that can be read."""
        return (row for page in self.pages(seq) for row in page)

    def pages(self, after: int = 0) -> Iterator[Page]:
        """
        Yield the rows after a seq, page by page, up to the row that was last at the beginning.

        Raises:
            Damage: a row cannot be read.
        """
        while after < self.last:
            try:
                page = self._connection.execute(_SELECT, (after, self.last, PAGE)).fetchall()
            except (sqlite3.Error, UnicodeError) as error:
                yield from self._one_by_one(after, error)
                return
            yield page
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def _one_by_one(self, after: int, error: Exception) -> Iterator[Page]:
        """Yield the rows before the one that cannot be read."""
        while after < self.last:
            try:
                page = self._connection.execute(_SELECT, (after, self.last, 1)).fetchall()
            except (sqlite3.Error, UnicodeError) as found:
                raise Damage(Kind.ALTERED, after + 1, f"the row cannot be read: {escaped(str(found))}") from None
            if not page:
                return
            yield page
            after = page[-1][0]
        raise Damage(Kind.ALTERED, after, f"the rows up to here cannot be read together: {escaped(str(error))}")

    def scan(  # noqa: C901 - the loop over all rows; a call for each check would double its time
        self, frontier: Frontier, wrap: WrapPages, visit: Visit | None, stops: dict[int, Callable[[], None]]
    ) -> None:
        """
        Check every row in order.

        Args:
            frontier: each leaf is appended to it.
            wrap: shows progress.
            visit: called with each event, after its row was checked.
            stops: functions to call after some seqs.

        Raises:
            Damage: the first row that is not as it was written.
        """
        hashes, leaf_of, names = self.hashes, self.hashes.leaf, self.hashes.names
        versions = array("q", bytes(8 * (self._streams[0] + 1)))  # the last version by the key of a stream
        due, chain, latest, pending, origins = 1, self.chain, 0, list[bytes](), set[int]()
        decode_quickly = CODEC.decode_quickly
        if self.last and self.first < 1:
            raise Damage(Kind.INSERTED, self.first, "the first row of a log has seq 1")
        for page in wrap(self.pages(), self.last):
            for row in page:
                seq, prefix, name, version, topic_key, state, _, origin, _, _, recorded, _, command, stored, key = row
                if seq != due:
                    raise _gap(seq, due - 1)
                try:
                    leaf = leaf_of(row)
                except (KeyError, TypeError, ValueError) as error:
                    detail = f"no name has key {error}" if isinstance(error, KeyError) else str(error)
                    raise Damage(Kind.ALTERED, seq, f"a column is invalid: {escaped(detail)}") from None
                stream, topic = names[prefix] + name, names[topic_key]
                following = sha256(chain + leaf).digest()
                if following != stored:
                    raise off_chain(row, chain, hashes, self.after, stream)
                chain = following
                due += 1
                pending.append(leaf)
                event = decode_quickly(stream, topic, state) or self._decoded(seq, stream, topic, state)
                if not 0 < key < len(versions):
                    raise Damage(Kind.ALTERED, seq, f"its stream has key {key} of {len(versions) - 1}", stream)
                if version != versions[key] + 1:
                    raise self._version(row, versions[key], stream)
                versions[key] = version
                if recorded < latest:
                    raise Damage(Kind.REORDERED, seq, "it was recorded before the row in front of it", stream)
                latest = recorded
                if origin not in origins:
                    if names[origin] not in _ORIGINS:
                        raise Damage(Kind.ALTERED, seq, "its origin is none of this log", stream)
                    origins.add(origin)
                if type(command) is str and command[:5] == "fact:" and Keys.command(command) != command:
                    raise Damage(Kind.ALTERED, seq, "its command id is not stored in the form of a log", stream)
                if visit is not None:
                    visit(row, stream, topic, event)
                if seq in stops:
                    frontier.extend(pending)
                    pending.clear()
                    self.recorded_at = latest
                    stops[seq]()
            frontier.extend(pending)
            pending.clear()
            if page and page[0][0] == 1:
                self.first_recorded_at = page[0][10]
        self.chain, self.recorded_at = chain, latest
        if due <= self.last:
            raise Damage(Kind.MISSING, due, f"the rows {due} to {self.last} cannot be found")

    def _decoded(self, seq: int, stream: str, topic: str, state: bytes) -> Event:
        try:
            return CODEC.decode(stream, topic, state)
        except (CodecError, ValueError) as error:
            raise Damage(Kind.ALTERED, seq, f"the body cannot be decoded: {escaped(str(error))}", stream) from None

    def _version(self, row: Columns, last: int, stream: str) -> Damage:
        query = "SELECT min(seq) FROM main.events NOT INDEXED WHERE originator_id = ? AND originator_version = ?"
        (later,) = self._connection.execute(query, (row[14], last + 1)).fetchone()
        detail = f"it has version {row[3]} of its stream, after version {last}"
        if row[3] <= last:
            return Damage(Kind.INSERTED, row[0], detail, stream)
        if later is not None:
            return Damage(Kind.REORDERED, row[0], f"{detail}; version {last + 1} comes later, as seq {later}", stream)
        return Damage(Kind.MISSING, row[0], detail, stream)


def _gap(found: int, last: int) -> Damage:
    if found <= last:
        return Damage(Kind.INSERTED, found, f"it comes after seq {last}")
    count = found - last - 1
    return Damage(Kind.MISSING, last + 1, f"{count} rows are missing before seq {found}")
