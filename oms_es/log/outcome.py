"""
The outcome of a failed write: nothing was written, or it is unknown.

Before COMMIT nothing is written, whatever fails. A failed COMMIT may have written the whole transaction into the
write-ahead log, and recovery of the log restores it; and after a failed fsync the system may show pages that are
never written to disk. So the outcome is unknown unless it is certain that nothing was written.
"""

import sqlite3
from contextlib import suppress

from oms_es.errors import LogError, LogWriteUncertain
from oms_es.identifiers import escaped
from oms_es.log.identity import REOPEN, LogFile
from oms_es.log.open_connections import translated
from oms_es.log.wal import may_hold_commit

_NO_ROOM = {"SQLITE_FULL", "SQLITE_IOERR_WRITE"}  # an incomplete write; the file shows how much of it was written
_FULL = {*_NO_ROOM, "SQLITE_IOERR_SHMSIZE"}
_SYNC = {"SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC"}


def failed_commit(file: LogFile, writer: sqlite3.Connection, error: sqlite3.Error) -> LogError:
    """Return our error for a failed COMMIT; stop the writer unless it is certain that nothing was written."""
    if writer.in_transaction:  # SQLite did not start the COMMIT (busy, or a constraint failed)
        with suppress(sqlite3.Error):
            writer.execute("ROLLBACK")
        return translated(file.path, error)
    if getattr(error, "sqlite_errorname", "") in _NO_ROOM and not may_hold_commit(file.ahead_path):
        return translated(file.path, error)
    return uncertain(file, error)


def is_full_disk(error: LogError) -> bool:
    """Return whether a write failed because the disk is full, or may be."""
    return getattr(error.__cause__, "sqlite_errorname", "") in _FULL


def is_failed_sync(error: BaseException) -> bool:
    """Return whether an fsync failed; after it, even data that a read returns may not be durable."""
    return getattr(error, "sqlite_errorname", "") in _SYNC


def uncertain(file: LogFile, error: BaseException) -> LogError:
    """Stop the writer; return the error of an unknown outcome."""
    return file.stop(
        LogWriteUncertain(
            f"{file.path}: whether the last commands are in the log is unknown ({escaped(str(error))}); {REOPEN}, "
            "and retry them with the same ids"
        )
    )
