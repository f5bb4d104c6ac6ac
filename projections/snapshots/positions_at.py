"""
Checkpoints: positions at many places of the log, so that one of them is near any time. A cache beside the log.

Two clocks:

- known: the state after the event `seq`, in log order.
- as-of: the state of all fills and marks up to (`effective_at`, seq), in the order of their effective times.

The P&L of each trading day is in rows of its own (`pnl_index`), the fill events of a symbol in an index (`fill_index`).

An as-of state is valid for a query of the log up to the event U if it contains no later event (`needs_seq` <= U) and
no event up to U is missing in it: `valid_until` is the seq of the first late event, bust or correction with an
effective time at or before the checkpoint. So a late event never makes an answer wrong; the fold only starts earlier.

Every state is checked against its digest and every row against its checksum; each fact holds the place of the one
before it and the number of its busts and corrections, so that none can be missing. If a check fails, or something
cannot be read, the answer comes from the log alone. Deleting the file costs time only.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillAdded, FillBusted, FillCorrected, FillQuarantined, QuarantineResolved
from oms_es.log.contract import Log
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.as_of import positions_as_of, put_right
from oms_es.projections.position_state import BookedFill, PositionKey
from oms_es.projections.positions import Positions
from oms_es.projections.snapshots.fill_index import FILL_TOPICS, fill_events_of, fill_seqs, restatements_of
from oms_es.projections.snapshots.integrity import BEGINNING, UNUSABLE, Cache, Place, check
from oms_es.projections.snapshots.pnl_index import AS_OF, KNOWN, DayRows, begin_with
from oms_es.projections.snapshots.positions_codec import VERSION, Earlier, decode_positions, digest
from oms_es.vocabulary import CostMethod

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE facts(effective_at INTEGER, seq INTEGER, before_at INTEGER, before_seq INTEGER, restated INTEGER,
                   checksum INTEGER, PRIMARY KEY (effective_at, seq)) WITHOUT ROWID;
CREATE TABLE quarantine(seq INTEGER PRIMARY KEY, checksum INTEGER);
CREATE TABLE known(method TEXT, seq INTEGER, state BLOB, digest BLOB, PRIMARY KEY (method, seq));
CREATE TABLE as_of(method TEXT, effective_at INTEGER, seq INTEGER, needs_seq INTEGER, valid_until INTEGER,
                   state BLOB, digest BLOB, checksum INTEGER);
CREATE INDEX as_of_place ON as_of(method, effective_at, seq);
CREATE INDEX as_of_valid ON as_of(method, effective_at, seq) WHERE valid_until IS NULL;
"""
QUARANTINE_TOPICS = frozenset({FillQuarantined.__name__, QuarantineResolved.__name__})
T = TypeVar("T")


class Found(NamedTuple):
    """A checkpoint to start from."""

    place: Place
    positions: Positions


def cache_path(log: SqliteLog) -> Path:
    """Return the path of the checkpoints of a log."""
    return log.path.with_name(log.path.name + ".checkpoints")


class Checkpoints:
    """
    Answers from the checkpoints of a log; from the log alone where they are missing or damaged.

    Args:
        log: their log; checkpoints of another log, or of another version, are ignored.
        cached: whether they are used at all.
    """

    def __init__(self, log: Log, *, cached: bool = True) -> None:
        self._log = log
        self._cache = _open(log) if cached and isinstance(log, SqliteLog) else None

    def close(self) -> None:
        """Close the file."""
        if self._cache is not None:
            self._cache.close()
            self._cache = None

    def _answer(self, cached: Callable[["_Cache"], T], folded: Callable[[], T]) -> T:
        if self._cache is not None:
            try:
                return cached(self._cache)
            except UNUSABLE:
                self.close()
        return folded()

    def known(self, until: int, method: CostMethod, *, days: bool = False) -> Positions:
        """Return positions after the event `until`, in log order; with `days` also the P&L of each trading day."""
        return self._answer(
            lambda cache: cache.known(until, method, days=days),
            lambda: Positions(method).replay(self._log.read(until=until, topics=Positions.topics())),
        )

    def as_of(self, at: int, until: int, method: CostMethod, *, days: bool = False) -> Positions:
        """
        Return the positions at the effective time `at` (ns UTC), as known after the event `until`.

        With `days` also the P&L of each trading day.
        """
        return self._answer(
            lambda cache: cache.as_of(at, until, method, days=days),
            lambda: positions_as_of(self._log.read(until=until, topics=Positions.topics()), at, method),
        )

    def fill_events(self, symbol: str, until: int) -> list[Recorded]:
        """Return the fills, busts and corrections of a symbol up to the event `until`, in log order."""
        return self._answer(
            lambda cache: cache.fill_events(symbol, until),
            lambda: list(fill_events_of(symbol, self._log.read(until=until, topics=FILL_TOPICS))),
        )

    def quarantine(self, until: int) -> list[Recorded]:
        """Return the events of fills in quarantine up to the event `until`, in log order."""
        return self._answer(
            lambda cache: cache.quarantine(until), lambda: list(self._log.read(until=until, topics=QUARANTINE_TOPICS))
        )


def _open(log: SqliteLog) -> "_Cache | None":
    path = cache_path(log)
    if not path.is_file():
        return None
    cache = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False, factory=Cache)
    with suppress(sqlite3.Error, ValueError):
        if belongs_to_log(cache.of(log), log):
            return _Cache(log, cache)
    cache.close()
    return None


class _Cache:
    """The checkpoints of a log; each answer raises one of `UNUSABLE` if they are damaged."""

    def __init__(self, log: SqliteLog, cache: Cache) -> None:
        self._log, self._cache = log, cache
        self._ingested = int(meta(cache, "ingested") or 0)
        self.close = cache.close

    def known(self, until: int, method: CostMethod, *, days: bool) -> Positions:
        start = self._nearest_known(until, method, days=days)
        return start.positions.replay(self._log.read(start.place[1], until, Positions.topics()))

    def _nearest_known(self, until: int, method: CostMethod, *, days: bool) -> Found:
        query = "SELECT seq, state, digest FROM known WHERE method = ? AND seq <= ? ORDER BY seq DESC LIMIT 4"
        for seq, state, stored in self._cache.execute(query, (method.value, until)):
            check(seq <= until)
            if stored == digest(self._cache, method, (0, seq), state):
                earlier = booked_until(self._log, self._cache, seq)
                return Found((0, seq), self._continued(KNOWN, (0, seq), state, method, earlier, days=days))
        return Found((0, 0), Positions(method))

    def _continued(
        self, clock: str, place: Place, state: bytes, method: CostMethod, earlier: Earlier | None, *, days: bool
    ) -> Positions:
        """Return positions that continue from a state."""
        positions, sums = decode_positions(state, method, earlier)
        if days:
            begin_with(positions, DayRows(self._cache, clock, method, sums).up_to(place))
        return positions

    def as_of(self, at: int, until: int, method: CostMethod, *, days: bool) -> Positions:
        recent = list(self._log.read(self._ingested, until, Positions.topics())) if until > self._ingested else []
        late = min((self._place_of_fact(each)[0] for each in recent), default=2**63 - 1)
        start = self._nearest_as_of(min(at, late - 1), until, method, days=days)
        known = self._places(start.place, at, min(until, self._ingested))
        facts = self._log.pick(list(known))
        check(len(facts) == len(known))
        facts += [each for each in recent if start.place < place_of(each) and each.effective_at <= at]
        return start.positions.replay(sorted(self._corrected(facts, known, recent, until), key=place_of))

    def fill_events(self, symbol: str, until: int) -> list[Recorded]:
        indexed = min(self._ingested, until)
        found = self._log.pick(fill_seqs(self._cache, symbol, indexed))
        found += fill_events_of(symbol, self._log.read(indexed, until, FILL_TOPICS))
        # Their result is known, so none can be missing.
        one, other = Positions().replay(found), self.known(until, CostMethod.FIFO, days=False)
        check(one.sorted() == [(book, held) for book, held in other.sorted() if held.symbol == symbol])
        return found

    def quarantine(self, until: int) -> list[Recorded]:
        rows = self._cache.execute("SELECT seq, checksum FROM quarantine ORDER BY seq").fetchall()
        check(all(stored == self._cache.checksum(seq) for seq, stored in rows))
        check(len(rows) == int(meta(self._cache, "quarantine") or 0))
        found = self._log.pick([seq for seq, _ in rows if seq <= until])
        return found + list(self._log.read(min(self._ingested, until), until, QUARANTINE_TOPICS))

    def _place_of_fact(self, recorded: Recorded) -> Place:
        """Return the place of the fact that an event adds, busts or corrects."""
        restates = isinstance(recorded.event, FillBusted | FillCorrected)
        return place_of(restated_fill(self._log, recorded) if restates else recorded)

    def _nearest_as_of(self, at: int, until: int, method: CostMethod, *, days: bool) -> Found:
        # A state that a late event made invalid serves only a reader who does not know that event: not at the end of
        # the log. The rows of its days are deleted.
        every = days or until >= self._ingested
        window = "valid_until IS NULL" if every else "(valid_until IS NULL OR valid_until > ?4)"
        query = (
            "SELECT effective_at, seq, state, digest, needs_seq, valid_until, checksum FROM as_of "  # noqa: S608
            f"WHERE method = ?1 AND effective_at <= ?2 AND needs_seq <= ?3 AND {window} "
            "ORDER BY effective_at DESC, seq DESC LIMIT 4"
        )
        values = (method.value, at, until) if every else (method.value, at, until, until)
        for effective_at, seq, state, state_digest, needs, valid, stored in self._cache.execute(query, values):
            check(stored == self._cache.checksum(method.value, effective_at, seq, needs, valid))
            check(effective_at <= at and needs <= until and (valid is None or valid > until))
            place = (effective_at, seq)
            if state_digest == digest(self._cache, method, place, state):
                return Found(place, self._continued(AS_OF, place, state, method, None, days=days))
        return Found(BEGINNING, Positions(method))

    def _places(self, after: Place, at: int, until: int) -> dict[int, int]:
        """Return the seqs of the facts after a place up to a time, each with its number of busts and corrections."""
        query = (
            "SELECT effective_at, seq, before_at, before_seq, restated, checksum FROM facts "
            "WHERE (effective_at, seq) > (?, ?) AND effective_at <= ? UNION ALL SELECT * FROM "
            "(SELECT * FROM facts WHERE effective_at > ? ORDER BY effective_at, seq LIMIT 1) ORDER BY effective_at, seq"
        )
        found, last, beyond = dict[int, int](), after, False
        for *values, stored in self._cache.execute(query, (*after, at, at)).fetchall():
            check(stored == self._cache.checksum(*values))
            effective_at, seq, before_at, before_seq, restated = values
            before = (before_at, before_seq)
            check(before == last or (last == after and before < after))
            last, beyond = (effective_at, seq), effective_at > at
            if seq <= until and not beyond:
                found[seq] = restated
        if not beyond:
            newest = (int(meta(self._cache, "last_at") or -1), int(meta(self._cache, "last_seq") or 0))
            check(newest == last or (last == after and newest <= after))
        return found

    def _corrected(
        self, facts: list[Recorded], known: dict[int, int], recent: list[Recorded], until: int
    ) -> Iterator[Recorded]:
        """Return the facts with each fill as last corrected by `until`, without busted fills."""
        restated: dict[int, list[Recorded]] = {}
        counts = {seq: count for seq, count in known.items() if count}
        for fill, seqs in restatements_of(self._cache, counts).items():
            restated[fill] = self._log.pick([seq for seq in seqs if seq <= until])
        for each in recent:
            if isinstance(each.event, FillBusted | FillCorrected):
                restated.setdefault(restated_fill(self._log, each).seq, []).append(each)
        for fact in facts:
            if isinstance(fact.event, FillBusted | FillCorrected):
                continue
            found = corrected(fact, restated.get(fact.seq, ()))
            if found is not None:
                yield found


def booked_until(log: SqliteLog, cache: Cache, seq: int) -> Earlier:
    """Return a function with the fills of a book up to `seq`, for a bust or correction of one of them."""

    def earlier(book: PositionKey) -> list[BookedFill]:
        account, symbol, _ = book
        return Positions().replay(log.pick(fill_seqs(cache, symbol, seq, account))).trail(book)

    return earlier


def corrected(fact: Recorded, restatements: Iterable[Recorded]) -> Recorded | None:
    """Return a fact after its busts and corrections; None when it was busted."""
    for each in restatements:
        if isinstance(each.event, FillBusted):
            return None
        assert isinstance(each.event, FillCorrected), "other events change no fact"
        fact = put_right(fact, each.event)
    return fact


def restated_fill(log: SqliteLog, restatement: Recorded) -> Recorded:
    """Return the fill that a bust or a correction is about."""
    event, standing = restatement.event, list[Recorded]()
    assert isinstance(event, FillBusted | FillCorrected), "other events change no fact"
    booked_as = event.booked_as or event.order_id  # after a merge, later busts are in the stream of the other order
    streams = dict.fromkeys((f"order/{event.account}/{booked_as}", restatement.originator_id))
    found = sorted((each for name in streams for each in log.stream(name)), key=lambda each: each.seq)
    for each in found:
        if each.seq >= restatement.seq:
            break
        fill = each.event
        if isinstance(fill, FillAdded) and (fill.order_id, fill.trade_id) == (booked_as, event.trade_id):
            standing.append(each)
        elif isinstance(fill, FillBusted) and (fill.booked_as or fill.order_id, fill.trade_id) == (
            booked_as, event.trade_id
        ):  # fmt: skip
            standing.pop()
    return standing[-1]


def place_of(recorded: Recorded) -> Place:
    """Return the place of an event in the as-of order."""
    return recorded.effective_at, recorded.seq


def meta(cache: Cache, key: str) -> str | None:
    """Return an entry of the cache's meta table."""
    found = cache.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if found is None else str(found[0])


def belongs_to_log(cache: Cache, log: SqliteLog) -> bool:
    """Return whether a cache is of this version and of this very log."""
    known = log.meta()
    if known is None or meta(cache, "version") != VERSION or meta(cache, "log_id") != known.log_id:
        return False
    if int(meta(cache, "seal") or -1) != seal(cache):
        return False
    ingested = int(meta(cache, "ingested") or 0)
    return ingested == 0 or log.chain_at(ingested) == meta(cache, "chain")


def seal(cache: Cache) -> int:
    """Return the checksum of all entries of the meta table."""
    entries = cache.execute("SELECT key, value FROM meta WHERE key <> 'seal' ORDER BY key").fetchall()
    return cache.checksum(*(f"{key}={value}" for key, value in entries))
