"""Verified copies of a log: a backup while trading goes on, a restored log, and the sound part of a damaged one."""

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from oms_es.errors import DamagedLog, InvalidInput, LogError, LogMissing
from oms_es.files import create_private, not_a_file, replace
from oms_es.identifiers import escaped
from oms_es.log import room, schema, use_mark
from oms_es.log.decoding import SELECT, decode_row
from oms_es.log.hash_chain import Head, StoredRow, genesis, sealed
from oms_es.log.insert import Keys, NewRow, write
from oms_es.log.open_connections import open_reader, refuse_orphan, translated_errors
from oms_es.proof.verify import Verification, verify

Check = Callable[[Path], Verification]
_BESIDE = ("-wal", "-shm", "-journal")
_PAGE = 500  # rows


class Copied(NamedTuple):
    """A copy: the seq of its last event, and the chain value after it, in hex."""

    events: int
    chain: str


class Salvaged(NamedTuple):
    """A saved part: the copy, and why it ends where it ends; None if it is the whole log."""

    copy: Copied
    lost_from: int | None  # the first seq that is not in the copy
    why: str | None


def back_up(log: Path, to: Path, check: Check = verify) -> Copied:
    """
    Copy a log into one file, as of one moment, while other processes append.

    Raises:
        InvalidInput: the target exists.
        LogError: the log cannot be read, or the copy does not verify; no file is left.
    """
    _refuse_existing(to)
    with _fresh(to) as fresh:
        _copy(log, fresh)
        return _checked(fresh, log, check)


def restore(backup: Path, to: Path, check: Check = verify) -> Copied:
    """
    Copy a backup to a path where there is no log, and remove the caches of an earlier log there.

    Raises:
        InvalidInput: the target exists.
        LogError: the backup cannot be read or does not verify, or the write-ahead log of another log is at the path.
    """
    _refuse_existing(to)
    refuse_orphan(to)
    with _fresh(to) as fresh:
        _copy(backup, fresh)
        found = _checked(fresh, backup, check)
        room.delete_caches(to)
        for ending in (*_BESIDE, ".frontier"):  # the write-ahead log is empty
            Path(f"{to}{ending}").unlink(missing_ok=True)
    return found


def salvage(damaged: Path, to: Path) -> Salvaged:
    """
    Write the events of a damaged log up to the first that is not as it was written, by whole commands.

    Raises:
        InvalidInput: the target exists.
        LogError: not even the identity of the log can be read, so that no event can be verified.
    """
    _refuse_existing(to)
    if not damaged.exists() or (found := not_a_file(damaged)):
        raise LogMissing(f"there is no log at {damaged}" if not damaged.exists() else f"{damaged} is {found}")
    with _fresh(to) as fresh, translated_errors(damaged, reading=True):
        with closing(sqlite3.connect(f"{damaged.absolute().as_uri()}?mode=ro", uri=True)) as source:
            meta = schema.read_meta(source, str(damaged))
            rows = _VerifiedRows(damaged, source, meta)
            with closing(sqlite3.connect(fresh, isolation_level=None)) as target:
                head = _rewrite(rows, target, meta)
        if not head.seq:
            raise DamagedLog(f"no event of {damaged} can be saved: {rows.why}")
    return Salvaged(Copied(head.seq, head.chain.hex()), None if rows.why is None else head.seq + 1, rows.why)


def _refuse_existing(to: Path) -> None:
    if to.exists() or to.is_symlink():
        raise InvalidInput(f"{to} exists already and is not overwritten; name another file")
    if not to.parent.is_dir():
        raise InvalidInput(f"there is no folder {to.parent} for {to.name}")


@contextmanager
def _fresh(to: Path) -> Iterator[Path]:
    """Yield a private, empty file beside `to`; then make it durable and rename it, or delete it after an error."""
    fresh = to.with_name(f"{to.name}.new-{secrets.token_hex(4)}")
    try:
        create_private(fresh)
        yield fresh
        _refuse_existing(to)
        replace(fresh, to)
    except OSError as error:
        raise LogError(f"{to}: cannot be written: {error.strerror or error}") from None
    finally:
        for ending in ("", *_BESIDE):
            Path(f"{fresh}{ending}").unlink(missing_ok=True)


def _copy(source: Path, fresh: Path) -> None:
    with closing(open_reader(source)) as reader, translated_errors(source, reading=True):
        schema.read_meta(reader, str(source))
        with closing(sqlite3.connect(fresh, isolation_level=None)) as target:
            reader.backup(target)
            use_mark.remove(target)


def _checked(fresh: Path, source: Path, check: Check) -> Copied:
    found = check(fresh)
    if not found.events:
        raise LogMissing(f"{source} contains no event; there is nothing to copy")
    if not found.is_sound or found.head_chain is None:
        why = (found.detail or found.status).replace(str(fresh), str(source))
        raise DamagedLog(f"{source} is damaged, so it was not copied: {why}; oms salvage writes the part before that")
    return Copied(found.events, found.head_chain)


# --- salvage ---


class _VerifiedRows:
    """The rows of a damaged log up to the first that cannot be read or does not continue the chain."""

    def __init__(self, path: Path, source: sqlite3.Connection, meta: schema.Meta) -> None:
        self._path, self._source, self._meta = path, source, meta
        self.why: str | None = None  # they end before the end of the log

    def commands(self) -> Iterator[list[StoredRow]]:
        """Yield the rows of each whole command."""
        group: list[StoredRow] = []
        for row in self._rows():
            if row.command_id is not None and group:
                yield group
                group = []
            group.append(row)
        if group and (self.why is None or self._begins_command(group[-1].seq + 1)):
            yield group
        elif group:
            self.why = f"{self.why}; the command of seq {group[0].seq} may not be whole, and is left out"

    def _rows(self) -> Iterator[StoredRow]:
        seq, chain = 0, genesis(self._meta.log_id)
        try:
            while page := self._page(seq):
                for row in page:
                    if row.seq != seq + 1:
                        raise DamagedLog(f"seq {seq + 1} is missing (the next one found is {row.seq})")
                    if row != sealed(row, chain, self._meta.secret):
                        raise DamagedLog(f"seq {row.seq} is not as it was written: it does not continue the chain")
                    seq, chain = row.seq, row.chain
                    yield row
        except (DamagedLog, sqlite3.Error, UnicodeError, TypeError) as error:
            self.why = escaped(str(error)).removeprefix(f"{self._path}: ")
            if isinstance(error, sqlite3.Error):
                self.why = f"seq {seq + 1} cannot be read: {self.why}"

    def _page(self, after: int) -> list[StoredRow]:
        """Return rows after a seq; a single one where many cannot be read together."""
        names = dict(self._source.execute("SELECT id, name FROM names"))
        try:
            found = self._source.execute(f"{SELECT} WHERE e.seq > ? ORDER BY e.seq LIMIT {_PAGE}", (after,)).fetchall()
        except (sqlite3.Error, UnicodeError):
            found = self._source.execute(f"{SELECT} WHERE e.seq = ?", (after + 1,)).fetchall()
        rows: list[StoredRow] = []
        for columns in found:
            try:
                rows.append(decode_row(self._path, columns, names))
            except DamagedLog:
                if not rows:
                    raise
                break  # the next page begins with it
        return rows

    def _begins_command(self, seq: int) -> bool:
        """Return whether the row after the last one that verified begins another command."""
        try:
            found = self._source.execute("SELECT command_id FROM events WHERE seq = ?", (seq,)).fetchone()
        except (sqlite3.Error, UnicodeError):
            return False
        return found is not None and found[0] is not None


def _rewrite(rows: _VerifiedRows, target: sqlite3.Connection, meta: schema.Meta) -> Head:
    """Write the rows as a log with the same identity, so that its chain values are the same."""
    target.execute("BEGIN")
    schema.create(target, meta)
    keys, head = Keys(), Head(0, genesis(meta.log_id), 0)
    for command in rows.commands():
        written = write(target, keys, [_new_row(row) for row in command], head, meta.secret)
        assert written.chain == command[-1].chain, "the row was verified"
        head = written
        if keys.is_full:
            keys = Keys()
    target.execute("COMMIT")
    target.execute("PRAGMA journal_mode=WAL")
    return head


def _new_row(row: StoredRow) -> NewRow:
    return row[1:12]
