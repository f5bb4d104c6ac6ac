"""Writes checkpoints: reads the new events of the log, and stores a state every `EVERY` facts."""

import sqlite3
from contextlib import closing, suppress

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillAdded, FillBusted, FillCorrected, FillQuarantined, QuarantineResolved
from oms_es.errors import LogError
from oms_es.log import room
from oms_es.log.contract import WrapEvents, unwrapped
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.positions import Positions
from oms_es.projections.snapshots import fill_index, pnl_index
from oms_es.projections.snapshots.integrity import (
    BEGINNING,
    UNUSABLE,
    Cache,
    Place,
    check,
    create_beside,
    refuse_foreign,
)
from oms_es.projections.snapshots.pnl_index import AS_OF, KNOWN, ChangedDays, DayRows
from oms_es.projections.snapshots.positions_at import (
    QUARANTINE_TOPICS,
    TABLES,
    belongs_to_log,
    booked_until,
    cache_path,
    corrected,
    meta,
    place_of,
    restated_fill,
    seal,
)
from oms_es.projections.snapshots.positions_codec import VERSION, Earlier, decode_positions, digest, encode_positions
from oms_es.vocabulary import CostMethod

_VALID = " AND valid_until IS NULL"
EVERY = 125  # facts between two checkpoints
OVERTAKEN = 8  # of the states that a late event makes invalid, one in this number is retained


def advance(log: SqliteLog, every: int = EVERY, wrap: WrapEvents = unwrapped) -> int:
    """
    Update the checkpoints up to the end of the log; return the number of events read.

    Does nothing while another process updates them, or the disk is almost full. A cache of another version or log, or a
    damaged one, is rebuilt.

    Raises:
        LogError: they cannot be written, or the file is the database of another program.
    """
    if log.head().seq == 0 or room.is_scarce(log.path.parent):
        return 0
    try:
        return _advance(log, every, wrap)
    except UNUSABLE as error:
        if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return 0  # another process, or thread, updates it
        forget(log)  # damaged: rebuilt; if the log itself is damaged, that raises its error
    try:
        return _advance(log, every, wrap)
    except sqlite3.Error as error:
        raise LogError(f"{cache_path(log)}: checkpoints cannot be written: {error}") from error


def _advance(log: SqliteLog, every: int, wrap: WrapEvents) -> int:
    with closing(_connect(log)) as cache:
        try:
            cache.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return 0  # another process updates it
        try:
            refuse_foreign(cache, cache_path(log), room.CACHES[".checkpoints"])
            if not _is_empty(cache) and not belongs_to_log(cache, log):
                for (table,) in cache.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    cache.execute(f'DROP TABLE IF EXISTS "{table}"')
            read = _Builder(log, cache, every).build(wrap)
            cache.execute("COMMIT")
        except BaseException:
            if cache.in_transaction:
                cache.execute("ROLLBACK")
            raise
    return read


def forget(log: SqliteLog) -> None:
    """
    Delete the checkpoints of a log.

    Raises:
        LogError: the file is the database of another program.
    """
    path = cache_path(log)
    if path.is_file():
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as cache:
            refuse_foreign(cache, path, room.CACHES[".checkpoints"])
    for name in (path.name, path.name + "-wal", path.name + "-shm", path.name + "-journal"):
        path.with_name(name).unlink(missing_ok=True)


def _is_empty(cache: Cache) -> bool:
    return cache.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def _connect(log: SqliteLog) -> Cache:
    create_beside(log.path, cache_path(log))
    cache = sqlite3.connect(cache_path(log), isolation_level=None, timeout=0, check_same_thread=False, factory=Cache)
    cache.execute("PRAGMA synchronous=OFF")  # a cache: after a power cut it is rebuilt
    return cache.of(log)


class _Fold:
    """Positions by one clock and one cost method, continued from a state, and the rows of their days."""

    def __init__(
        self,
        cache: Cache,
        clock: str,
        method: CostMethod,
        state: bytes | None = None,
        earlier: Earlier | None = None,
    ) -> None:
        self.rows = DayRows(cache, clock, method)
        if state is None:
            self.positions = Positions(method)
        else:
            self.positions, self.rows.sums = decode_positions(state, method, earlier)
        self.positions.days = self._days = ChangedDays(self.positions.undo, self.rows.fetch)

    def stored(self, place: Place) -> bytes:
        """Store the days that have changed, and return the state."""
        self.positions.commit()
        self.rows.keep(place, self._days.taken())
        return encode_positions(self.positions, self.rows.sums)


class _Builder:
    def __init__(self, log: SqliteLog, cache: Cache, every: int) -> None:
        self._log, self._cache, self._every = log, cache, every
        if _is_empty(cache):
            for tables in (TABLES, fill_index.TABLES, pnl_index.TABLES):
                for statement in tables.strip().split(";\n"):
                    cache.execute(statement)
            meta_log = log.meta()
            assert meta_log is not None, "an empty log has no checkpoints"
            self._note(version=VERSION, log_id=meta_log.log_id)
        self._seq = int(meta(cache, "ingested") or 0)
        self._known = {method: self._last_known(method) for method in CostMethod}
        self._place, self._needs, self._as_of = self._last_as_of()
        self._stored = self._place
        self._last = (int(meta(cache, "last_at") or BEGINNING[0]), int(meta(cache, "last_seq") or BEGINNING[1]))
        self._quarantined = int(meta(cache, "quarantine") or 0)
        self._dirty: int | None = None  # the earliest effective time that a late event changed

    def build(self, wrap: WrapEvents) -> int:
        begun, last, unstored = self._seq, self._log.head(), 0
        for recorded in wrap(self._log.read(begun, last.seq, Positions.topics() | QUARANTINE_TOPICS), last.seq):
            if isinstance(recorded.event, FillQuarantined | QuarantineResolved):
                self._cache.execute(
                    "INSERT INTO quarantine VALUES (?, ?)", (recorded.seq, self._cache.checksum(recorded.seq))
                )
                self._quarantined += 1
                continue
            self._ingest(recorded)
            unstored += 1
            if unstored % self._every == 0:
                self._store()
        self._seq = last.seq
        if self._dirty is not None:
            self._rebuild_as_of(self._dirty)
        if unstored:
            self._store()
        self._note(ingested=last.seq, chain=last.chain.hex(), last_at=self._last[0], last_seq=self._last[1])
        self._note(quarantine=self._quarantined)
        self._note(seal=seal(self._cache))
        return last.seq - begun

    def _ingest(self, recorded: Recorded) -> None:
        self._seq = recorded.seq
        for fold in self._known.values():
            fold.positions.apply(recorded)
        if isinstance(recorded.event, FillBusted | FillCorrected):
            fill = restated_fill(self._log, recorded)
            fill_index.add_restatement(self._cache, fill, recorded.seq)
            self._cache.execute(
                "UPDATE facts SET restated = restated + 1, "
                "checksum = checksum(effective_at, seq, before_at, before_seq, restated + 1) "
                "WHERE (effective_at, seq) = (?, ?)",
                place_of(fill),
            )
            self._reset_from(fill.effective_at, recorded.seq)
            return
        event = recorded.event
        self._link(place_of(recorded))
        if isinstance(event, FillAdded):
            fill_index.add_fill(self._cache, event, recorded.seq)
        if self._dirty is None and place_of(recorded) > self._place:
            self._add(recorded, recorded.seq)
        else:
            self._reset_from(recorded.effective_at, recorded.seq)

    def _link(self, place: Place) -> None:
        """Insert a fact between its neighbours: each row holds the place of the fact before it."""
        before = self._last
        if place < self._last:
            around = "SELECT effective_at, seq FROM facts WHERE (effective_at, seq) {} (?, ?) ORDER BY {} LIMIT 1"
            down, up = "effective_at DESC, seq DESC", "effective_at, seq"
            before = self._cache.execute(around.format("<", down), place).fetchone() or BEGINNING
            after = self._cache.execute(around.format(">", up), place).fetchone()
            self._cache.execute(
                "UPDATE facts SET before_at = ?1, before_seq = ?2, "
                "checksum = checksum(effective_at, seq, ?1, ?2, restated) WHERE (effective_at, seq) = (?3, ?4)",
                (*place, *after),
            )
        row = (*place, *before, 0)
        self._cache.execute("INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?)", (*row, self._cache.checksum(*row)))
        self._last = max(place, self._last)

    def _add(self, recorded: Recorded, needs: int) -> None:
        for fold in self._as_of.values():
            fold.positions.apply(recorded)
        self._place, self._needs = place_of(recorded), max(self._needs, needs)

    def _reset_from(self, effective_at: int, seq: int) -> None:
        self._cache.execute(
            "UPDATE as_of SET valid_until = ?1, checksum = checksum(method, effective_at, seq, needs_seq, ?1) "
            "WHERE effective_at >= ?2 AND valid_until IS NULL",
            (seq, effective_at),
        )
        self._dirty = effective_at if self._dirty is None else min(self._dirty, effective_at)
        for fold in self._as_of.values():
            fold.rows.forget(effective_at)
        # Invalid states serve only queries about old knowledge: a few of them are enough.
        self._cache.execute("DELETE FROM as_of WHERE valid_until = ? AND rowid % ? > 0", (seq, OVERTAKEN))

    def _rebuild_as_of(self, changed_from: int) -> None:
        """Fold again in as-of order, from the last checkpoint before the earliest change."""
        self._place, self._needs, self._as_of = self._last_as_of(before=changed_from)
        self._stored = self._place
        self._dirty = None
        query = "SELECT effective_at, seq FROM facts WHERE (effective_at, seq) > (?, ?) ORDER BY effective_at, seq"
        places = self._cache.execute(query, self._place).fetchall()
        for number in range(0, len(places), self._every):
            seqs = [seq for _, seq in places[number : number + self._every]]
            facts = {each.seq: each for each in self._log.pick(seqs)}
            for seq in seqs:
                self._add_corrected(facts[seq])
            self._store_as_of()

    def _add_corrected(self, fact: Recorded) -> None:
        restated: list[Recorded] = []
        if isinstance(fact.event, FillAdded):
            query = "SELECT seq FROM restatements WHERE fill = ? AND seq <= ? ORDER BY seq"
            restated = self._log.pick([seq for (seq,) in self._cache.execute(query, (fact.seq, self._seq))])
        found = corrected(fact, restated)
        needs = max([fact.seq, *(each.seq for each in restated)])
        if found is not None:
            self._add(found, needs)
        self._place, self._needs = place_of(fact), max(self._needs, needs)

    # --- storing ---

    def _store(self) -> None:
        place = (0, self._seq)
        for method, fold in self._known.items():
            state = fold.stored(place)
            values = (method.value, self._seq, state, digest(self._cache, method, place, state))
            self._cache.execute("INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?)", values)
        if self._dirty is None:
            self._store_as_of()

    def _store_as_of(self) -> None:
        if self._place == self._stored:
            return
        self._stored = self._place
        for method, fold in self._as_of.items():
            state = fold.stored(self._place)
            window = (method.value, *self._place, self._needs, None)
            values = (*window, state, digest(self._cache, method, self._place, state), self._cache.checksum(*window))
            self._cache.execute("INSERT INTO as_of VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    # --- continuing ---

    def _last_known(self, method: CostMethod) -> _Fold:
        query = "SELECT seq, state, digest FROM known WHERE method = ? AND seq <= ? ORDER BY seq DESC LIMIT 1"
        found = self._cache.execute(query, (method.value, self._seq)).fetchone()
        if found is None:
            fold, seq = _Fold(self._cache, KNOWN, method), 0
        else:
            seq, state, stored = found
            check(stored == digest(self._cache, method, (0, seq), state))
            fold = _Fold(self._cache, KNOWN, method, state, booked_until(self._log, self._cache, seq))
        fold.positions.replay(self._log.read(seq, self._seq, Positions.topics()))
        return fold

    def _last_as_of(self, before: int | None = None) -> tuple[Place, int, dict[CostMethod, _Fold]]:
        query = (
            f"SELECT effective_at, seq, needs_seq FROM as_of WHERE effective_at < ? {_VALID} "  # noqa: S608
            "ORDER BY effective_at DESC, seq DESC LIMIT 1"
        )
        found = self._cache.execute(query, (2**63 - 1 if before is None else before,)).fetchone()
        if found is None:
            return BEGINNING, 0, {method: _Fold(self._cache, AS_OF, method) for method in CostMethod}
        effective_at, seq, needs = found
        states = {}
        for method in CostMethod:
            query = "SELECT state, digest FROM as_of WHERE (method, effective_at, seq) = (?, ?, ?)" + _VALID  # noqa: S608
            state, stored = self._cache.execute(query, (method.value, effective_at, seq)).fetchone()
            check(stored == digest(self._cache, method, (effective_at, seq), state))
            states[method] = _Fold(self._cache, AS_OF, method, state)
        return (effective_at, seq), needs, states

    def _note(self, **values: object) -> None:
        self._cache.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))
