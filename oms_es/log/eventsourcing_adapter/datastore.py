"""
A pool of connections to a log file for many threads, for `eventsourcing`.

Every connection has the durability of `open_connections` (WAL, `synchronous=FULL`); a write transaction takes the
write lock at its start.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from eventsourcing.persistence import (
    ConnectionPoolClosedError,
    InterfaceError,
    OperationalError,
    PersistenceError,
)
from eventsourcing.sqlite import (
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteTransaction,
)

from oms_es.errors import LogError, LogWriteUncertain
from oms_es.log import schema
from oms_es.log.identity import LogFile
from oms_es.log.open_connections import LOCK_TIMEOUT, open_writer, refuse_orphan
from oms_es.log.outcome import failed_commit
from oms_es.log.schema_check import SchemaCheck
from oms_es.log.sqlite import SqliteLog


class LogTransaction(SQLiteTransaction):
    """A transaction that takes the write lock at its start if it will write, after checking the file."""

    connection: "LogConnection"

    def __enter__(self) -> SQLiteCursor:
        with _as_interface_error():
            self.connection.file.may_write() if self.commit else self.connection.file.check()
        cursor = self.connection.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE" if self.commit else "BEGIN")
            if self.commit and not schema.is_empty(self.connection.raw):
                with _as_interface_error():
                    self.connection.schema.refuse(self.connection.raw)
        except (sqlite3.Error, InterfaceError) as error:
            self.__exit__(type(error), error, None)  # raises it as one of the library's
            raise
        return cursor

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        except PersistenceError as failed:
            if error is None and self.commit and isinstance(failed.__cause__, sqlite3.Error):
                outcome = failed_commit(self.connection.file, self.connection.raw, failed.__cause__)
                if isinstance(outcome, LogWriteUncertain):
                    raise OperationalError(outcome) from outcome
            with suppress(sqlite3.Error):
                self.connection.rollback()  # after a failed COMMIT the transaction may still be open
            raise
        if self.commit:
            with _as_interface_error():
                self.connection.file.committed()


@contextmanager
def _as_interface_error() -> Iterator[None]:
    try:
        yield
    except LogError as error:
        raise InterfaceError(error) from error


class LogConnection(SQLiteConnection):
    """A connection whose transactions are `LogTransaction`s."""

    def __init__(self, raw: sqlite3.Connection, max_age: float | None, file: LogFile, check: SchemaCheck) -> None:
        super().__init__(raw, max_age)
        self.raw = raw
        self.file = file
        self.schema = check

    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        """Begin, yield a cursor, and commit or roll back."""
        with LogTransaction(self, commit=commit) as cursor, cursor:
            yield cursor


class LogPool(SQLiteConnectionPool):
    """A pool of connections to a log file, all with WAL and `synchronous=FULL`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        path = Path(self.db_name).absolute()
        self.file = LogFile(path)
        self._schema = SchemaCheck(str(path))

    def get_connection(self, *args: Any, **options: Any) -> SQLiteConnection:
        """Return a connection; raise in a child of the process that created the pool."""
        with _as_interface_error():
            self.file.refuse_elsewhere()
        return super().get_connection(*args, **options)

    def put_connection(self, conn: SQLiteConnection) -> None:
        """Return a connection to the pool; close it if the pool was closed in the meantime."""
        with self._put_condition:
            if self._closed:
                conn.close()
            else:
                super().put_connection(conn)

    def close(self) -> None:
        """Close the idle connections now, and the others when they are returned."""
        if not self.file.is_here:
            return
        with self._put_condition:
            self._in_use = {}  # closing a connection while another thread runs a statement crashes the process
            super().close()

    def _create_connection(self) -> SQLiteConnection:
        if self._closed:
            raise ConnectionPoolClosedError
        path = self.file.path
        try:
            if not self.is_journal_mode_wal:
                with closing(SqliteLog(path)) as log:
                    log.meta()  # raises if the file is not a log, before anything is written
            self.file.check()
            if not self._in_use and not self._pool:
                self.file.forget_ahead()
            if not path.exists() or not path.stat().st_size:
                refuse_orphan(path)
            connection = open_writer(path, make=not self.file.is_open)
            self.file.opened()
        except (LogError, sqlite3.Error) as error:
            raise InterfaceError(error) from error
        self.is_journal_mode_wal = True
        if self.lock_timeout:
            connection.execute(f"PRAGMA busy_timeout = {self.lock_timeout * 1000}")
        connection.row_factory = sqlite3.Row
        return LogConnection(connection, self.max_age, self.file, self._schema)


class LogDatastore(SQLiteDatastore):
    """
    One log file, for any number of threads.

    Args:
        db_name: the path of the file; a missing file is created.
        lock_timeout: seconds to wait for the write lock of another process.
        originator_id_type: type of the stream ids that are returned: "text", or "uuid" if all of them are UUIDs.
    """

    def __init__(
        self,
        db_name: str,
        *,
        lock_timeout: int | None = None,
        single_row_tracking: bool = True,
        originator_id_type: Literal["uuid", "text"] = "text",
    ) -> None:
        super().__init__(db_name, single_row_tracking=single_row_tracking, originator_id_type=originator_id_type)
        self.pool = LogPool(db_name=db_name, lock_timeout=lock_timeout, pool_timeout=lock_timeout or LOCK_TIMEOUT)
