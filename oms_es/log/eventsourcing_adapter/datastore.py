"""
Connections to a log file for many threads, as `eventsourcing` pools them.

Every one promises what `files` promises (WAL, `synchronous=FULL`), and who is going to write takes the lock first.
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
    """A transaction that takes the write lock at its start when it is going to write, on a file that is ours."""

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
                told = failed_commit(self.connection.file, self.connection.raw, failed.__cause__)
                if isinstance(told, LogWriteUncertain):
                    raise OperationalError(told) from told
            with suppress(sqlite3.Error):
                self.connection.rollback()  # a COMMIT that failed may have left the transaction open
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
    """Connections to a log file: WAL and `synchronous=FULL`, or none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        path = Path(self.db_name).absolute()
        self.file = LogFile(path)
        self._schema = SchemaCheck(str(path))

    def get_connection(self, *args: Any, **options: Any) -> SQLiteConnection:
        """Return a connection; in a child of the process that made the pool there is none."""
        with _as_interface_error():
            self.file.refuse_elsewhere()
        return super().get_connection(*args, **options)

    def put_connection(self, conn: SQLiteConnection) -> None:
        """Take a connection back; close it when the pool was closed meanwhile."""
        with self._put_condition:
            if self._closed:
                conn.close()
            else:
                super().put_connection(conn)

    def close(self) -> None:
        """Close what is idle now, and what is in use when it comes back."""
        if not self.file.is_here:
            return
        with self._put_condition:
            self._in_use = {}  # closed under a statement that runs in another thread, SQLite takes the process down
            super().close()

    def _create_connection(self) -> SQLiteConnection:
        if self._closed:
            raise ConnectionPoolClosedError
        path = self.file.path
        try:
            if not self.is_journal_mode_wal:
                with closing(SqliteLog(path)) as log:
                    log.meta()  # says what it is when it is no log, before a byte of it is touched
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
        db_name: the path of the file; made where there is none.
        lock_timeout: seconds to wait for the write lock of another process.
        originator_id_type: what ids of streams come back as: "text", or "uuid" where all of them are.
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
