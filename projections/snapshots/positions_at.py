"""
Checkpoints: positions as they stood at many places of the log, so that any moment is near one. A cache beside the log.

Two clocks:

- known: the state after the event `seq`, in log order.
- as-of: the state of all fills and marks up to (`effective_at`, seq), in the order in which they were true.

What each trading day brought stands in rows of its own (`day_rows`), the moves of a symbol in an index (`moves`).

An as-of state holds for a reader who knows the log up to U when everything in it was known by then (`needs_seq` <= U)
and nothing up to U came late into it: `valid_until` is the seq of the first late event, bust or correction that
reaches back behind the checkpoint. So a late event never makes an answer wrong; it only makes it start further back.

Every state is checked against its digest and every row against its mark; each fact names the one before it and counts
its restatements, so that none can be missing. Where something does not agree, or cannot be read, the answer comes from
the log alone. Deleting the file costs time only.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillAdded, FillBusted, FillCorrected, FillQuarantined, QuarantineResolved
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.as_of import positions_as_of, put_right
from oms_es.projections.position_state import BookedFill, PositionKey
from oms_es.projections.positions import Positions
from oms_es.projections.snapshots.fill_index import FILL_TOPICS, fill_events_of, fill_seqs, restatements_of
from oms_es.projections.snapshots.integrity import BEGINNING, UNUSABLE, Place, check, checksum
from oms_es.projections.snapshots.pnl_index import AS_OF, KNOWN, DayRows, begin_with
from oms_es.projections.snapshots.positions_codec import VERSION, Earlier, decode_positions, digest
from oms_es.vocabulary import CostMethod

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE facts(effective_at INTEGER, seq INTEGER, before_at INTEGER, before_seq INTEGER, restated INTEGER,
                   mark INTEGER, PRIMARY KEY (effective_at, seq)) WITHOUT ROWID;
CREATE TABLE quarantine(seq INTEGER PRIMARY KEY, mark INTEGER);
CREATE TABLE known(method TEXT, seq INTEGER, state BLOB, digest BLOB, PRIMARY KEY (method, seq));
CREATE TABLE as_of(method TEXT, effective_at INTEGER, seq INTEGER, needs_seq INTEGER, valid_until INTEGER,
                   state BLOB, digest BLOB, mark INTEGER);
CREATE INDEX as_of_place ON as_of(method, effective_at, seq);
CREATE INDEX as_of_valid ON as_of(method, effective_at, seq) WHERE valid_until IS NULL;
"""
QUARANTINE_TOPICS = frozenset({FillQuarantined.__name__, QuarantineResolved.__name__})


class Found(NamedTuple):
    """A checkpoint to start from."""

    place: Place
    positions: Positions


def cache_path(log: SqliteLog) -> Path:
    """Return where the checkpoints of a log are kept."""
    return log.path.with_name(log.path.name + ".checkpoints")


class Checkpoints:
    """
    The checkpoints of one log, for reading.

    Args:
        log: the log they belong to; checkpoints of another log, or of another version, are as good as none.
    """

    def __init__(self, log: SqliteLog) -> None:
        self._log = log
        self._cache = self._open()
        self._ingested = 0 if self._cache is None else int(meta(self._cache, "ingested") or 0)

    def _open(self) -> sqlite3.Connection | None:
        path = cache_path(self._log)
        if not path.is_file():
            return None
        cache = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        with suppress(sqlite3.Error, ValueError):
            if belongs_to_log(cache, self._log):
                return cache
        cache.close()
        return None

    def close(self) -> None:
        """Let go of the file."""
        if self._cache is not None:
            self._cache.close()
            self._cache = None

    # --- known ---

    def known(self, until: int, method: CostMethod, *, days: bool = False) -> Positions:
        """Return positions after the event `until`, in log order; with `days` also what each trading day brought."""
        try:
            start = self._nearest_known(until, method, days=days)
            return start.positions.replay(self._log.read(start.place[1], until, Positions.topics()))
        except UNUSABLE:
            self.close()
            return Positions(method).replay(self._log.read(until=until, topics=Positions.topics()))

    def _nearest_known(self, until: int, method: CostMethod, *, days: bool) -> Found:
        query = "SELECT seq, state, digest FROM known WHERE method = ? AND seq <= ? ORDER BY seq DESC LIMIT 4"
        for seq, state, kept in self._each(query, (method.value, until)):
            check(seq <= until)
            if kept == digest(method, (0, seq), state):
                assert self._cache is not None, "the state comes from there"
                earlier = booked_until(self._log, self._cache, seq)
                return Found((0, seq), self._going_on(KNOWN, (0, seq), state, method, earlier, days=days))
        return Found((0, 0), Positions(method))

    def _going_on(
        self, clock: str, place: Place, state: bytes, method: CostMethod, earlier: Earlier | None, *, days: bool
    ) -> Positions:
        positions, sums = decode_positions(state, method, earlier)
        if days:
            assert self._cache is not None, "the state comes from there"
            begin_with(positions, DayRows(self._cache, clock, method, sums).up_to(place))
        return positions

    # --- as-of ---

    def as_of(self, moment: int, until: int, method: CostMethod, *, days: bool = False) -> Positions:
        """
        Return the positions that were true at `moment` (ns UTC), as far as was known after the event `until`.

        With `days` also what each trading day brought.
        """
        try:
            return self._as_of(moment, until, method, days=days)
        except UNUSABLE:
            self.close()
            return positions_as_of(self._log.read(until=until, topics=Positions.topics()), moment, method)

    def _as_of(self, moment: int, until: int, method: CostMethod, *, days: bool) -> Positions:
        recent = list(self._log.read(self._ingested, until, Positions.topics())) if until > self._ingested else []
        late = min((self.reaches_back_to(each) for each in recent), default=2**63 - 1)
        start = self._nearest_as_of(min(moment, late - 1), until, method, days=days)
        known = self._places(start.place, moment, min(until, self._ingested))
        facts = self._log.pick(list(known))
        check(len(facts) == len(known))
        facts += [e for e in recent if start.place < (e.effective_at, e.seq) and e.effective_at <= moment]
        return start.positions.replay(sorted(self._corrected(facts, known, recent, until), key=place_of))

    # --- the moves of a symbol ---

    def moves(self, symbol: str, until: int) -> list[Recorded]:
        """Return the fills, busts and corrections of a symbol up to the event `until`, in log order."""
        try:
            return self._moves(symbol, until)
        except UNUSABLE:
            self.close()
            return list(fill_events_of(symbol, self._log.read(until=until, topics=FILL_TOPICS)))

    def _moves(self, symbol: str, until: int) -> list[Recorded]:
        taken, cache = min(self._ingested, until), self._cache
        kept = [] if cache is None else self._log.pick(fill_seqs(cache, symbol, taken))
        told = kept + list(fill_events_of(symbol, self._log.read(taken, until, FILL_TOPICS)))
        if cache is not None:  # what the moves come to is known: no book can be missing
            one, other = Positions().replay(told), self.known(until, CostMethod.FIFO)
            check(one.sorted() == [(book, held) for book, held in other.sorted() if held.symbol == symbol])
        return told

    # --- quarantine ---

    def quarantine(self, until: int) -> list[Recorded]:
        """Return what has been told of fills in quarantine up to the event `until`, in log order."""
        try:
            kept = self._rows("SELECT seq, mark FROM quarantine ORDER BY seq", ())
            check(all(mark == checksum(seq) for seq, mark in kept))
            check(self._cache is None or len(kept) == int(meta(self._cache, "quarantine") or 0))
            told = self._log.pick([seq for seq, _ in kept if seq <= until])
            return told + list(self._log.read(min(self._ingested, until), until, QUARANTINE_TOPICS))
        except UNUSABLE:
            self.close()
            return list(self._log.read(until=until, topics=QUARANTINE_TOPICS))

    def reaches_back_to(self, recorded: Recorded) -> int:
        """Return the effective time of the fact that an event adds or restates."""
        if isinstance(recorded.event, FillBusted | FillCorrected):
            return restated_fill(self._log, recorded).effective_at
        return recorded.effective_at

    def _nearest_as_of(self, moment: int, until: int, method: CostMethod, *, days: bool) -> Found:
        # What a late event has overtaken holds only for a reader who does not know of it: not at the end of the log,
        # and its days are gone.
        every = days or until >= self._ingested
        window = "valid_until IS NULL" if every else "(valid_until IS NULL OR valid_until > ?4)"
        query = (
            "SELECT effective_at, seq, state, digest, needs_seq, valid_until, mark FROM as_of "  # noqa: S608
            f"WHERE method = ?1 AND effective_at <= ?2 AND needs_seq <= ?3 AND {window} "
            "ORDER BY effective_at DESC, seq DESC LIMIT 4"
        )
        values = (method.value, moment, until) if every else (method.value, moment, until, until)
        for effective_at, seq, state, kept, needs, valid, mark in self._each(query, values):
            check(mark == checksum(method.value, effective_at, seq, needs, valid))
            check(effective_at <= moment and needs <= until and (valid is None or valid > until))
            place = (effective_at, seq)
            if kept == digest(method, place, state):
                return Found(place, self._going_on(AS_OF, place, state, method, None, days=days))
        return Found(BEGINNING, Positions(method))

    def _places(self, after: Place, moment: int, until: int) -> dict[int, int]:
        """Return the seqs of the facts after a place and up to a moment, each with how often it was restated."""
        query = (
            "SELECT effective_at, seq, before_at, before_seq, restated, mark FROM facts "
            "WHERE (effective_at, seq) > (?, ?) AND effective_at <= ? UNION ALL SELECT * FROM "
            "(SELECT * FROM facts WHERE effective_at > ? ORDER BY effective_at, seq LIMIT 1) ORDER BY effective_at, seq"
        )
        found, last, beyond = dict[int, int](), after, False
        for *values, mark in self._rows(query, (*after, moment, moment)):
            check(mark == checksum(*values))
            effective_at, seq, before_at, before_seq, restated = values
            before = (before_at, before_seq)
            check(before == last or (last == after and before < after))
            last, beyond = (effective_at, seq), effective_at > moment
            if seq <= until and not beyond:
                found[seq] = restated
        if self._cache is not None and not beyond:
            newest = (int(meta(self._cache, "last_at") or -1), int(meta(self._cache, "last_seq") or 0))
            check(newest == last or (last == after and newest <= after))
        return found

    def _corrected(
        self, facts: list[Recorded], known: dict[int, int], recent: list[Recorded], until: int
    ) -> Iterator[Recorded]:
        """Return the facts with each fill as it stood last by `until`; busted ones and the busts are left out."""
        restated: dict[int, list[Recorded]] = {}
        counts = {seq: count for seq, count in known.items() if count}
        for fill, seqs in {} if self._cache is None else restatements_of(self._cache, counts).items():
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

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple]:  # type: ignore[type-arg]
        return list(self._each(query, values))

    def _each(self, query: str, values: tuple[object, ...]) -> Iterable[tuple]:  # type: ignore[type-arg]
        """Return rows as they are read: most often the first state is the one."""
        return [] if self._cache is None else self._cache.execute(query, values)


def booked_until(log: SqliteLog, cache: sqlite3.Connection, seq: int) -> Earlier:
    """Return what tells the fills of a book that were booked up to `seq`, for a restatement that reaches behind."""

    def earlier(book: PositionKey) -> list[BookedFill]:
        account, symbol, _ = book
        return Positions().replay(log.pick(fill_seqs(cache, symbol, seq, account))).trail(book)

    return earlier


def corrected(fact: Recorded, restatements: Iterable[Recorded]) -> Recorded | None:
    """Return a fact as busts and corrections have left it; None when it was taken back."""
    for each in restatements:
        if isinstance(each.event, FillBusted):
            return None
        assert isinstance(each.event, FillCorrected), "only busts and corrections restate"
        fact = put_right(fact, each.event)
    return fact


def restated_fill(log: SqliteLog, restatement: Recorded) -> Recorded:
    """Return the fill that a bust or a correction is about."""
    event, standing = restatement.event, list[Recorded]()
    assert isinstance(event, FillBusted | FillCorrected), "only busts and corrections restate"
    booked_as = event.booked_as or event.order_id  # the order that it was merged into has later busts
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
    """Return where an event stands in the as-of order."""
    return recorded.effective_at, recorded.seq


def meta(cache: sqlite3.Connection, key: str) -> str | None:
    """Return an entry of the cache's meta table."""
    found = cache.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if found is None else str(found[0])


def belongs_to_log(cache: sqlite3.Connection, log: SqliteLog) -> bool:
    """Return whether a cache is of this version and of this very log."""
    known = log.meta()
    if known is None or meta(cache, "version") != VERSION or meta(cache, "log_id") != known.log_id:
        return False
    ingested = int(meta(cache, "ingested") or 0)
    return ingested == 0 or log.chain_at(ingested) == meta(cache, "chain")
