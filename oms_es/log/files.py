"""Opening a log file: connections with the durability we promise, and clear words when it is no log of ours."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oms_es.errors import DamagedLog, LogBusy, LogError, LogMissing, LogReadOnly, LogWriteFailed, NotALog
from oms_es.identifiers import escaped

LOCK_TIMEOUT = 30.0  # seconds; a writer holds the lock for milliseconds
_SYNCHRONOUS = {"full": 2, "normal": 1}


def open_reader(path: Path) -> sqlite3.Connection:
    """
    Return a connection that cannot write.

    Raises:
        LogMissing, NotALog: there is no file, or it is no database.
    """
    if not path.exists():
        raise LogMissing(f"there is no log at {path}")
    if path.is_dir():
        raise NotALog(f"{path} is a folder, not a log")
    with told_apart(path):
        try:
            return _readable(f"{path.absolute().as_uri()}?mode=ro")
        except sqlite3.OperationalError:
            # On read-only media the write-ahead log's index cannot be made; without one, nothing waits in it.
            if path.with_name(path.name + "-wal").exists():
                raise
            return _readable(f"{path.absolute().as_uri()}?mode=ro&immutable=1")


def _readable(uri: str) -> sqlite3.Connection:
    connection = _connect(uri)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        _refuse_cut_off(connection)
    except (sqlite3.Error, LogError, UnicodeDecodeError):
        connection.close()
        raise
    return connection


def _refuse_cut_off(connection: sqlite3.Connection) -> None:
    """Refuse a file that is shorter than it says, while no write-ahead log holds the rest."""
    (path,) = (row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main")
    ahead = Path(f"{path}-wal")
    if ahead.exists() and ahead.stat().st_size:
        return
    (pages,), (size,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    if Path(path).stat().st_size < pages * size:
        raise DamagedLog(f"{path} was cut off: it has {Path(path).stat().st_size} bytes of {pages * size}")


def open_writer(path: Path, durability: str = "full") -> sqlite3.Connection:
    """
    Return a connection that writes; the file is made where there is none.

    Raises:
        LogReadOnly, NotALog, LogError: it cannot be written, or the promised durability cannot be had.
    """
    if path.is_dir():
        raise NotALog(f"{path} is a folder, not a log")
    if not path.parent.is_dir():
        raise LogMissing(f"there is no folder {path.parent} to keep the log {path.name} in")
    with told_apart(path):
        connection = _connect(f"{path.absolute().as_uri()}?mode=rwc")
        try:
            _promise(connection, durability)
        except (sqlite3.Error, LogError):
            connection.close()
            raise
    return connection


def _promise(connection: sqlite3.Connection, durability: str) -> None:
    level = _SYNCHRONOUS[durability]
    mode = _write_ahead(connection)
    connection.execute(f"PRAGMA synchronous={level}")
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    if mode != "wal" or synchronous != level:
        raise LogError(f"SQLite gives journal_mode={mode}, synchronous={synchronous}; we need wal and {level}")


def _write_ahead(connection: sqlite3.Connection) -> str:
    """Switch to the write-ahead log; SQLite does not wait by itself for whoever does the same at this moment."""
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=LOCK_TIMEOUT, check_same_thread=False)


@contextmanager
def told_apart(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, one class per thing that a person can do about it."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise LogWriteFailed(f"{path}: nothing was written: {escaped(str(error))}") from error
    except sqlite3.OperationalError as error:
        name = error.sqlite_errorname or ""
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise LogBusy(f"{path}: another process held the write lock for {LOCK_TIMEOUT:g} s; try again") from error
        if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
            raise LogReadOnly(f"{path} cannot be written ({error}); check the media and the permissions") from error
        raise LogWriteFailed(f"{path}: {escaped(str(error))}; nothing was written") from error
    except UnicodeDecodeError as error:
        raise DamagedLog(f"{path} holds text that nobody wrote: {escaped(str(error))}") from error
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_NOTADB"):
            raise NotALog(f"{path} is not an SQLite database, so it is no log of oms_es") from error
        raise LogError(f"{path}: {escaped(str(error))}") from error
