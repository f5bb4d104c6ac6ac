"""Verify a log: rows, chain, tables, closed days, and signed checkpoints that were stored elsewhere."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from oms_es.errors import InvalidNote, LogError, OmsError
from oms_es.identifiers import escaped
from oms_es.log import schema, schema_check
from oms_es.log.schema import Meta
from oms_es.log.sqlite import SqliteLog
from oms_es.proof.checkpoint import Checkpoint, read_notes
from oms_es.proof.damage import Damage, Finding, Kind
from oms_es.proof.keys import VerifierKey
from oms_es.proof.merkle import Frontier
from oms_es.proof.rows import Page, StrictRows, WrapPages

ANCHORED, UNANCHORED, MISMATCH, UNREADABLE = "anchored", "unanchored", "mismatch", "unreadable"
EXIT_CODES = {ANCHORED: 0, MISMATCH: 1, UNANCHORED: 3, UNREADABLE: 4}
_SECOND = 1_000_000_000  # ns


class CheckedNote(Struct):
    """A checkpoint, and whether the log agrees with it."""

    file: str
    events: int | None
    ok: bool = False
    key: str | None = None  # the name of the key that signed it; None: not checked


class Verification(Struct, kw_only=True):
    """The result of verifying a log."""

    status: str
    events: int = 0
    head_chain: str | None = None  # hex
    first_bad_seq: int | None = None
    kind: str | None = None
    detail: str | None = None
    checkpoints: list[CheckedNote] = field(default_factory=list)
    tail_events: int = 0  # after the last checkpoint that agrees and whose signature was checked
    tail_seconds: float = 0.0  # by `recorded_at`, from the event of that checkpoint to the last event

    @property
    def exit_code(self) -> int:
        """Return the exit code of `oms verify`."""
        return EXIT_CODES[self.status]

    @property
    def is_sound(self) -> bool:
        """Return whether nothing disagrees; there may be nothing to anchor against."""
        return self.status in {ANCHORED, UNANCHORED}

    def rows(self) -> dict[str, Any]:
        """Return the result as in JSON."""
        return {
            "status": self.status,
            "events": self.events,
            "head_chain": self.head_chain,
            "first_bad_seq": self.first_bad_seq,
            "kind": self.kind,
            "detail": self.detail,
            "checkpoints": [
                {"file": each.file, "events": each.events, "ok": each.ok, "key": each.key} for each in self.checkpoints
            ],
            "tail": {"events": self.tail_events, "seconds": self.tail_seconds},
        }


def no_progress(pages: Iterable[Page], _: int) -> Iterable[Page]:
    """Return the pages as they are; a program that shows progress passes a function that wraps them."""
    return pages


def verify(
    log: str | Path | SqliteLog,
    checkpoints: Iterable[str | Path] = (),
    keys: Iterable[str | Path | VerifierKey] = (),
    *,
    quick: bool = False,
    wrap: WrapPages = no_progress,
) -> Verification:
    """
    Verify a log, and return what was found; the log is only read, and no cache of it is used.

    Args:
        log: the file, or an open log, whose file is read.
        checkpoints: files with signed checkpoints.
        keys: verifier keys, or their files; without one, no checkpoint anchors the log.
        quick: leave out the digests of closed days and the indexes of the file.
        wrap: shows progress.

    Raises:
        InvalidKey: a file is not a verifier key.
    """
    path = log.path if isinstance(log, SqliteLog) else Path(log)
    known = [each if isinstance(each, VerifierKey) else VerifierKey.load(Path(each)) for each in keys]
    try:
        if not path.is_file():
            what = "there is no log at" if not path.exists() else "this is not a file:"
            return Verification(status=UNREADABLE, detail=f"{what} {path}")
        opened = SqliteLog.existing(path)
    except (OmsError, sqlite3.Error, OSError) as error:
        return Verification(status=UNREADABLE, detail=str(error))
    try:
        return _Verifier(opened, [Path(each) for each in checkpoints], known, quick=quick).verified(wrap)
    except (LogError, sqlite3.Error, OSError) as error:
        return Verification(status=UNREADABLE, detail=f"{path} cannot be read: {escaped(str(error))}")
    finally:
        opened.close()


class _Verifier:
    def __init__(self, log: SqliteLog, files: Sequence[Path], keys: Sequence[VerifierKey], *, quick: bool) -> None:
        self._log, self._keys, self._quick = log, keys, quick
        self._notes: list[tuple[CheckedNote, Checkpoint]] = []
        self._checked: list[CheckedNote] = []
        self._findings: list[Finding] = []  # of the checkpoints
        self._agreed = 0  # events of the last checkpoint whose root agrees
        self._anchored = self._anchored_at = 0  # the same, with a checked signature; the time of its event
        for file in files:
            self._read(file)

    def _read(self, file: Path) -> None:
        try:
            notes = read_notes(file)
        except InvalidNote as error:
            self._checked.append(CheckedNote(str(file), None))
            self._findings.append(Finding(Kind.SIGNATURE, str(error)))
            return
        for note in notes:
            checked = CheckedNote(str(file), note.events)
            self._checked.append(checked)
            try:
                if self._keys:
                    checked.key = note.signer(self._keys).name
            except InvalidNote as error:
                what = f"{file}, checkpoint of {note.events} events: {error}"
                self._findings.append(Finding(Kind.SIGNATURE, what))
            else:
                self._notes.append((checked, note))

    def verified(self, wrap: WrapPages) -> Verification:
        connection = self._log.connection()
        assert connection is not None, "the log exists"
        foreign = schema_check.differences(connection)
        tables = [each for each in foreign if each.startswith("table ") and not each.endswith(" is foreign")]
        if tables:  # their content is not read: the file might compute it
            detail = f"the tables are not those of a log: {', '.join(tables)}"
            return self._mismatch(Finding(Kind.FOREIGN_OBJECT, detail), Verification(status=MISMATCH))
        meta, path = schema.read_meta(connection, str(self._log.path)), self._log.path
        rows = StrictRows(connection, meta)
        result = Verification(status=UNANCHORED, events=rows.last)
        if not rows.last:
            return Verification(status=UNREADABLE, detail=f"{path} contains no event", checkpoints=self._checked)
        frontier = Frontier()
        try:
            rows.scan(frontier, wrap, self._closings(rows), self._stops(rows, frontier, meta))
        except Damage as damage:
            return self._mismatch(damage.finding, result)
        result.head_chain = rows.chain.hex()
        result.tail_events = rows.last - self._anchored
        result.tail_seconds = (rows.recorded_at - (self._anchored_at or rows.first_recorded_at)) / _SECOND
        found = [*self._beyond(rows.last, meta), *self._findings]
        if foreign:
            found.append(Finding(Kind.FOREIGN_OBJECT, f"not part of a log: {', '.join(foreign)}"))
        found += filter(None, [rows.keys(), None if self._quick or foreign else _indexes(connection)])
        if found:
            order = list(_WEIGHT)
            return self._mismatch(min(found, key=lambda each: order.index(each.kind)), result)
        if self._anchored:
            result.status = ANCHORED
        result.checkpoints = self._checked
        return result

    def _closings(self, rows: StrictRows) -> Any:
        """Return what folds the events, if a day of the log was closed."""
        from oms_es.proof.closings import PREFIX, Closings  # noqa: PLC0415 - most logs need no state

        if self._quick or not rows.has_name(PREFIX):
            return None
        try:
            return Closings(self._log, rows.hashes.names).visit
        except LogError as error:  # the rows are read all the same, and name the damage
            self._findings.append(Finding(Kind.ALTERED, f"closed days could not be checked: {error}"))
            return None

    # --- checkpoints ---

    def _stops(self, rows: StrictRows, frontier: Frontier, meta: Meta) -> dict[int, Callable[[], None]]:
        """Return the checks of the roots, by the seq after which they are due."""
        sizes = {note.events for _, note in self._notes if note.log_id == meta.log_id}
        return {size: partial(self._compare, size, rows, frontier, meta) for size in sizes if size}

    def _compare(self, size: int, rows: StrictRows, frontier: Frontier, meta: Meta) -> None:
        root = frontier.root()
        for checked, note in self._notes:
            if (note.log_id, note.events) != (meta.log_id, size):
                continue
            checked.ok = note.root == root
            if checked.ok:
                self._agreed = size
                if checked.key is not None:
                    self._anchored, self._anchored_at = size, rows.recorded_at
            else:
                detail = (
                    f"the root after event {size} is not that of the checkpoint in {checked.file}: the history was "
                    f"written anew somewhere from seq {self._agreed + 1} to {size}"
                )
                self._findings.append(Finding(Kind.ALTERED, detail, self._agreed + 1))

    def _beyond(self, last: int, meta: Meta) -> list[Finding]:
        """Return the findings of checkpoints of another log, and of those after the end of this one."""
        found = list[Finding]()
        for checked, note in self._notes:
            if note.log_id != meta.log_id:
                detail = f"the checkpoint in {checked.file} is of the log {note.log_id}; this is {escaped(meta.log_id)}"
                found.append(Finding(Kind.ANOTHER_LOG, detail))
            elif note.events > last:
                detail = f"the log ends at seq {last}; the checkpoint in {checked.file} has {note.events} events"
                found.append(Finding(Kind.TRUNCATED, detail, last + 1))
            elif note.events == 0:
                checked.ok = note.root == Frontier().root()
        return found

    def _mismatch(self, finding: Finding, result: Verification) -> Verification:
        result.status, result.kind, result.detail = MISMATCH, finding.kind.value, finding.detail
        result.first_bad_seq, result.checkpoints = finding.seq, self._checked
        return result


# Of several findings the first in this order is reported: those that name a row before the others.
_WEIGHT = (
    Kind.ALTERED, Kind.MISSING, Kind.INSERTED, Kind.REORDERED, Kind.TRUNCATED, Kind.ANOTHER_LOG, Kind.SIGNATURE,
    Kind.FOREIGN_OBJECT,
)  # fmt: skip


def _indexes(connection: sqlite3.Connection) -> Finding | None:
    """Return a finding if an index disagrees with its table: a query that uses it would miss rows."""
    try:
        (found,) = connection.execute("PRAGMA main.integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        found = str(error)
    if found == "ok":
        return None
    return Finding(Kind.ALTERED, f"the rows are sound, but an index of the file is damaged: {escaped(found)}")
