"""Open connections to a log file with the required durability, and translate SQLite's errors."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from oms_es.errors import DamagedLog, LogBusy, LogError, LogMissing, LogReadOnly, LogWriteFailed, NotALog
from oms_es.files import create_private, not_a_file, sync_folder
from oms_es.identifiers import escaped
from oms_es.log import use_mark
from oms_es.log.connections import Connection, connect
from oms_es.log.private_copy import copy, has_files_beside, may_make_files_beside

MOST_AHEAD = 64 * 1024 * 1024  # bytes that a write-ahead log keeps on disk after its pages were copied into the log
LOCK_TIMEOUT = 30.0  # seconds; a writer holds the lock for milliseconds
_SYNCHRONOUS = {"full": 2, "normal": 1}


def open_reader(path: Path) -> Connection:
    """
    Return a read-only connection that leaves no files which would prevent the log's owner from writing.

    Raises:
        LogMissing, NotALog: the file does not exist, or is not a database.
        LogReadOnly, LogBusy: it cannot be read, or changes too often to be copied.
    """
    if not path.exists():
        raise LogMissing(f"there is no log at {path}")
    _refuse_other_kinds(path)
    with translated_errors(path, reading=True):
        if may_make_files_beside(path) or has_files_beside(path):
            try:
                return _readable(f"{path.absolute().as_uri()}?mode=ro")
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorname", "") != "SQLITE_READONLY_ROLLBACK":
                    raise
            _roll_back(path)
            return _readable(f"{path.absolute().as_uri()}?mode=ro")
        return _private(path)


def _roll_back(path: Path) -> None:
    """Finish the rollback of a log whose creation was interrupted by a power cut, before its first event."""
    with closing(connect(f"{path.absolute().as_uri()}?mode=rw", LOCK_TIMEOUT)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _refuse_other_kinds(path: Path) -> None:
    """Refuse a folder, a pipe or a device: SQLite would wait for it, or read it for ever."""
    found = not_a_file(path)
    if found is not None:
        raise NotALog(f"{path} is {found}, not a log")


def _private(path: Path) -> Connection:
    """Return a connection to a private copy, which is deleted when the connection is closed."""
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
        use_mark.warn(connection, _path(connection))
    except (sqlite3.Error, LogError, UnicodeDecodeError):
        connection.close()
        raise
    return connection


def _path(connection: sqlite3.Connection) -> Path:
    (path,) = (row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main")
    return Path(path)


def _refuse_cut_off(connection: sqlite3.Connection) -> None:
    """Refuse a file that is shorter than its header states, unless a write-ahead log contains the rest."""
    path = _path(connection)
    # The header first: a writer may make its first commit meanwhile, and then the write-ahead log is there.
    (pages,), (size,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    ahead = Path(f"{path}-wal")
    if ahead.exists() and ahead.stat().st_size:
        return
    if path.stat().st_size < pages * size:
        raise DamagedLog(f"{path} was cut off: it has {path.stat().st_size} bytes of {pages * size}")


def open_writer(path: Path, durability: str = "full", *, make: bool = True, mode: int = 0o600) -> Connection:
    """
    Return a connection that can write; with `make` a missing file is created with the permissions `mode`.

    The names of the file and of its write-ahead log are durable before the first commit.

    Raises:
        LogReadOnly, NotALog, LogError: it cannot be written, or the required durability is not available.
    """
    _refuse_other_kinds(path)
    if not path.parent.is_dir():
        raise LogMissing(f"there is no folder {path.parent} for the log {path.name}")
    with translated_errors(path):
        try:
            if make:
                create_private(path, mode)
        except OSError as error:
            raise LogReadOnly(f"{path} cannot be created: {error.strerror or error}") from error
        connection = connect(f"{path.absolute().as_uri()}?mode=rw", LOCK_TIMEOUT)
        try:
            _set_durability(connection, durability)
            connection.execute(f"PRAGMA journal_size_limit={MOST_AHEAD}").fetchone()
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # creates the write-ahead log
            sync_folder(Path(os.path.realpath(path)).parent)
        except OSError as error:
            connection.close()
            raise LogWriteFailed(f"{path}: {error.strerror or error}; nothing was written") from error
        except (sqlite3.Error, LogError):
            connection.close()
            raise
    return connection


def begin(connection: sqlite3.Connection, *, wait: bool) -> None:
    """Begin a write transaction; without `wait` fail at once if another process is writing."""
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
    Refuse to create a log beside the write-ahead log of a missing one: SQLite would delete its events.

    Raises:
        LogMissing: a log at this path was deleted or renamed.
    """
    ahead = Path(f"{os.path.realpath(path)}-wal")
    if ahead.exists() and ahead.stat().st_size:
        raise LogMissing(
            f"there is no log at {path}, but {ahead} contains the last events of one: restore the log beside it, "
            "or move that file to another folder"
        )


def _set_durability(connection: sqlite3.Connection, durability: str) -> None:
    level = _SYNCHRONOUS[durability]
    mode = _write_ahead(connection)
    connection.execute(f"PRAGMA synchronous={level}")
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    if mode != "wal" or synchronous != level:
        raise LogError(f"SQLite gives journal_mode={mode}, synchronous={synchronous}; we need wal and {level}")


def _write_ahead(connection: sqlite3.Connection) -> str:
    """Switch to WAL mode; retry while another process does the same, because SQLite does not wait for it."""
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
    """Raise SQLite's errors as errors of this package."""
    try:
        yield
    except sqlite3.Error as error:
        raise translated(path, error, reading=reading) from error
    except UnicodeDecodeError as error:
        raise DamagedLog(f"{path} contains text that is not UTF-8: {escaped(str(error))}") from error


def translated(path: Path, error: sqlite3.Error, *, reading: bool = False) -> LogError:
    """Return our error for an SQLite error before a COMMIT, when nothing was written."""
    name, text = getattr(error, "sqlite_errorname", None) or "", escaped(str(error))
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LogBusy(f"{path}: another process held the write lock for {LOCK_TIMEOUT:g} s; try again")
    if name.startswith("SQLITE_NOTADB"):
        return NotALog(f"{path} is not an SQLite database, so it is not a log of oms_es")
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
        return LogReadOnly(f"{path} cannot be written ({text}); check the media and the permissions")
    if isinstance(error, sqlite3.OperationalError | sqlite3.IntegrityError):
        return (
            LogError(f"{path} cannot be read: {text}")
            if reading
            else LogWriteFailed(f"{path}: {text}; nothing was written")
        )
    return LogError(f"{path}: {text}")
