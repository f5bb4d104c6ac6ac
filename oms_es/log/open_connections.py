"""Opening a log file: connections with the durability we promise, and clear words when it is no log of ours."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oms_es.errors import DamagedLog, LogBusy, LogError, LogMissing, LogReadOnly, LogWriteFailed, NotALog
from oms_es.identifiers import escaped
from oms_es.log.connections import Connection, connect
from oms_es.log.private_copy import copy, has_files_beside, may_make_files_beside

LOCK_TIMEOUT = 30.0  # seconds; a writer holds the lock for milliseconds
_SYNCHRONOUS = {"full": 2, "normal": 1}


def open_reader(path: Path) -> Connection:
    """
    Return a connection that cannot write, and leaves nothing behind that keeps the log's owner from writing.

    Raises:
        LogMissing, NotALog: there is no file, or it is no database.
        LogReadOnly, LogBusy: it may not be read, or is written so often that it cannot be copied.
    """
    if not path.exists():
        raise LogMissing(f"there is no log at {path}")
    if path.is_dir():
        raise NotALog(f"{path} is a folder, not a log")
    with translated_errors(path, reading=True):
        if may_make_files_beside(path) or has_files_beside(path):
            return _readable(f"{path.absolute().as_uri()}?mode=ro")
        return _private(path)


def _private(path: Path) -> Connection:
    """Return a connection to a copy that only we see; the copy goes when it is closed."""
    try:
        made, stamped = copy(path)
    except OSError as error:
        raise LogReadOnly(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        connection = _readable(f"{made.as_uri()}?mode=ro")
    except BaseException:
        shutil.rmtree(made.parent, ignore_errors=True)
        raise
    connection.folder, connection.stamp = made.parent, stamped
    return connection


def _readable(uri: str) -> Connection:
    connection = connect(uri, LOCK_TIMEOUT)
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


def open_writer(path: Path, durability: str = "full", *, make: bool = True) -> Connection:
    """
    Return a connection that writes; with `make` the file is made where there is none.

    Raises:
        LogReadOnly, NotALog, LogError: it cannot be written, or the promised durability cannot be had.
    """
    if path.is_dir():
        raise NotALog(f"{path} is a folder, not a log")
    if not path.parent.is_dir():
        raise LogMissing(f"there is no folder {path.parent} to keep the log {path.name} in")
    with translated_errors(path):
        connection = connect(f"{path.absolute().as_uri()}?mode={'rwc' if make else 'rw'}", LOCK_TIMEOUT)
        try:
            _promise(connection, durability)
        except (sqlite3.Error, LogError):
            connection.close()
            raise
    return connection


def begin(connection: sqlite3.Connection, *, wait: bool) -> None:
    """Begin to write; without `wait` fail at once when another process is writing."""
    if wait:
        connection.execute("BEGIN IMMEDIATE")
        return
    connection.execute("PRAGMA busy_timeout=0")
    try:
        connection.execute("BEGIN IMMEDIATE")
    finally:
        connection.execute(f"PRAGMA busy_timeout={int(LOCK_TIMEOUT * 1000)}")


def refuse_orphan(path: Path) -> None:
    """
    Refuse to begin a log beside the write-ahead log of another: SQLite would delete it, and events stand in it.

    Raises:
        LogMissing: a log was deleted or moved away from here.
    """
    ahead = Path(f"{os.path.realpath(path)}-wal")
    if ahead.exists() and ahead.stat().st_size:
        raise LogMissing(
            f"there is no log at {path}, but {ahead} holds the last events of one: put the log back beside it, "
            "or move that file away"
        )


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


@contextmanager
def translated_errors(path: Path, *, reading: bool = False) -> Iterator[None]:
    """Turn SQLite's errors into ours, one class per thing that a person can do about it."""
    try:
        yield
    except sqlite3.Error as error:
        raise in_words(path, error, reading=reading) from error
    except UnicodeDecodeError as error:
        raise DamagedLog(f"{path} holds text that nobody wrote: {escaped(str(error))}") from error


def in_words(path: Path, error: sqlite3.Error, *, reading: bool = False) -> LogError:
    """Return our error for one that SQLite gave before a COMMIT: nothing was written."""
    name, text = getattr(error, "sqlite_errorname", None) or "", escaped(str(error))
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LogBusy(f"{path}: another process held the write lock for {LOCK_TIMEOUT:g} s; try again")
    if name.startswith("SQLITE_NOTADB"):
        return NotALog(f"{path} is not an SQLite database, so it is no log of oms_es")
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
        return LogReadOnly(f"{path} cannot be written ({text}); check the media and the permissions")
    if isinstance(error, sqlite3.OperationalError | sqlite3.IntegrityError):
        return (
            LogError(f"{path} cannot be read: {text}")
            if reading
            else LogWriteFailed(f"{path}: {text}; nothing was written")
        )
    return LogError(f"{path}: {text}")
