"""The log in an SQLite file: one writer at a time; an append returns when it is durable."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from oms_es.domain.envelope import Draft
from oms_es.domain.events import TradingLevelChanged
from oms_es.errors import HeadMoved, LogFileChanged, LogMissing, LogWriteFailed
from oms_es.log import room, schema, use_mark
from oms_es.log.connections import Connection
from oms_es.log.contract import new_row
from oms_es.log.decoding import read_head
from oms_es.log.hash_chain import Head, genesis
from oms_es.log.insert import Keys, write
from oms_es.log.open_connections import begin, open_writer, refuse_orphan, translated_errors
from oms_es.log.outcome import failed_commit, is_failed_sync, is_full_disk, uncertain
from oms_es.log.reader import EMPTY, LogReader
from oms_es.log.schema_check import SchemaCheck

QUICK = 0.004  # seconds; a shorter COMMIT may run in the event loop


class SqliteLog(LogReader):
    """
    A log file, opened at the first use and written at the first append.

    Args:
        path: the file; created by the first append.
        durability: "full" (fsync at every append) or "normal" (a power failure may lose the last events).
        mode: the permissions of a new file.
    """

    def __init__(self, path: str | Path, *, durability: str = "full", mode: int = 0o600) -> None:
        super().__init__(path)
        self._durability, self._mode = durability, mode
        self._folder = Path(path).parent  # not made absolute, for messages
        self._writing: Connection | None = None
        self._keys = Keys()
        self._known: Head | None = None
        self._meta: schema.Meta | None = None
        self._schema = SchemaCheck(str(self.path))
        self._last: object = None
        self._is_locked = False  # by `lock`, until the next append
        self._commit_seconds = 0.0  # duration of COMMIT, as a moving average
        self._leaves = list[bytes]()  # of the rows of the append that runs
        self.on_append: Callable[[int, list[bytes]], None] | None = None  # the seq before the rows, and their leaves

    @classmethod
    def existing(cls, path: str | Path, **options: Any) -> "SqliteLog":
        """
        Return the log at `path`.

        Raises:
            LogMissing, NotALog, NewerLog, DamagedLog: there is no log that can be read.
        """
        log = cls(path, **options)
        if log._reader() is None:
            size = log.path.stat().st_size if log.path.exists() else None
            empty = {None: "", 0: " (the file is empty)"}.get(
                size, " (it contains no table; was it copied without its -wal?)"
            )
            raise LogMissing(f"there is no log at {path}{empty}")
        return log

    @property
    def is_quick(self) -> bool:
        """Return whether recent COMMITs were short enough to run in the event loop."""
        return self._writing is not None and self._commit_seconds < QUICK  # opening may wait for a lock

    def append(self, drafts: Sequence[Draft], decided_on: int, *, wait: bool = True) -> int:
        """
        Write all drafts or none, durably; return the seq of the last event in the log.

        On a full disk the caches are deleted, and a halt takes the reserve.

        Raises:
            HeadMoved: another writer has appended since the decision.
            LogWriteFailed, LogReadOnly, LogBusy, ForeignSchema: nothing was written.
            LogWriteUncertain, LogFileChanged: this object stops writing; the message names the known outcome.
        """
        try:
            return self._append(drafts, decided_on, wait=wait)
        except LogWriteFailed as error:
            if not is_full_disk(error) or not self._made_room(drafts):
                raise
        return self.append(drafts, decided_on, wait=wait)

    def _made_room(self, drafts: Sequence[Draft]) -> bool:
        if room.delete_caches(self.path):
            return True
        is_halt = any(isinstance(draft.event, TradingLevelChanged) for draft in drafts)
        return is_halt and room.release_reserve(self.path)

    def _append(self, drafts: Sequence[Draft], decided_on: int, *, wait: bool) -> int:
        with self._rescuing():
            self._file.may_write()
        with translated_errors(self.path):
            writer = self._writer()
            if not self._is_locked:
                self._roll_back(writer)  # of an append that was interrupted
                begin(writer, wait=wait)
            self._is_locked = False
            try:
                head = self._insert(writer, drafts, decided_on)
                is_marked = use_mark.is_set(writer)
                if not is_marked:
                    use_mark.set_mark(writer)
                self._commit(writer)
                if not is_marked:
                    use_mark.write_through(writer)
                writer.has_marked = True
            except BaseException as error:
                self._known = None
                self._roll_back(writer)
                if is_failed_sync(error):
                    raise uncertain(self._file, error) from error
                raise
        if drafts:
            self._known = self._seen = head
            if self.on_append is not None:
                self.on_append(decided_on, self._leaves)
        return head.seq

    def lock(self) -> None:
        """Take the write lock until the next `append` of this object, or `unlock`."""
        self._file.may_write()
        with translated_errors(self.path):
            self._writer().execute("BEGIN IMMEDIATE")
        self._is_locked = True

    def unlock(self) -> None:
        """Release the write lock; do nothing without one."""
        self._is_locked = False
        if self._writing is not None and self._file.stopped is None:
            self._roll_back(self._writing)

    @staticmethod
    def _roll_back(writer: sqlite3.Connection) -> None:
        with suppress(sqlite3.Error):  # without a COMMIT nothing is written, even if the ROLLBACK fails
            if writer.in_transaction:
                writer.execute("ROLLBACK")

    def _insert(self, writer: sqlite3.Connection, drafts: Sequence[Draft], decided_on: int) -> Head:
        meta, head = self._prepare(writer)
        if head.seq != decided_on:
            raise HeadMoved(f"decided on seq {decided_on}, but the log is at {head.seq}")
        self._leaves = []
        rows = [new_row(draft) for draft in drafts]
        return write(writer, self._keys, rows, head, meta.secret, None if self.on_append is None else self._leaves)

    def _prepare(self, writer: sqlite3.Connection) -> tuple[schema.Meta, Head]:
        if not self._schema.is_current(writer):
            if schema.is_empty(writer):
                schema.create(writer)
            self._meta = schema.read_meta(writer, str(self.path))
            self._schema.refuse(writer)
        head = read_head(writer)
        if head is None or head != self._known or self._meta is None:
            self._meta = schema.read_meta(writer, str(self.path))
            self._see(head or EMPTY, writer)
        head = head or Head(0, genesis(self._meta.log_id), 0)
        if head != self._known or self._keys.is_full:  # after another writer's append the cache is out of date
            self._keys = Keys()
        return self._meta, head

    # --- the end of a transaction ---

    def _commit(self, writer: sqlite3.Connection) -> None:
        begun = time.perf_counter()
        try:
            writer.execute("COMMIT")
        except sqlite3.Error as error:
            self._known = None
            raise failed_commit(self._file, writer, error) from error
        except BaseException:
            self._known = None
            raise
        self._commit_seconds += (time.perf_counter() - begun - self._commit_seconds) / 4
        with self._rescuing():
            self._file.committed()

    @contextmanager
    def _rescuing(self) -> Iterator[None]:
        """Checkpoint the log if only its write-ahead log was removed, because SQLite still has it open."""
        try:
            yield
        except LogFileChanged:
            self._known = None
            writer = self._writing
            if writer is not None and not writer.in_transaction and self._file.lost_only_its_ahead:
                with suppress(sqlite3.Error):
                    writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            raise

    def _check_file(self) -> None:
        with self._rescuing():
            super()._check_file()

    # --- the connection ---

    def _writer(self) -> Connection:
        if self._writing is None:
            if self.path.is_file() and self.path.stat().st_size:
                self._reader()  # raises if the file is not a log, before anything is written
            else:
                refuse_orphan(self.path)
            if not self.path.parent.is_dir():
                raise LogMissing(f"there is no folder {self._folder} for the log {self.path.name}")
            with ExitStack() as undo:
                connection = open_writer(self.path, self._durability, make=not self._file.is_open, mode=self._mode)
                undo.callback(connection.close)
                if not schema.is_empty(connection):
                    schema.read_meta(connection, str(self.path))
                    self._schema.refuse(connection)
                self._file.opened()
                self._file.may_write()
                undo.pop_all()
            self._writing = self._owned(connection)
            self._last = self._closing[-1]
        return self._writing

    def close(self) -> None:
        """Close the connections."""
        for finalizer in sorted(self._closing, key=lambda each: each is self._last):
            finalizer()  # the writer last, because the last connection merges the write-ahead log into the file
        self._closing.clear()
        self._reading = self._writing = self._known = self._seen = None
        self._file.closed()
