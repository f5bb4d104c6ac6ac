"""
What a failed write means: nothing was written, or nobody knows.

Before COMMIT nothing counts, whatever fails. A COMMIT that failed may have put the whole transaction into the
write-ahead log all the same, and it comes back when the log is recovered; and after a failed fsync the system may
show pages that never reach the disk. So the outcome is unknown unless it is shown that nothing can have been written.
"""

import sqlite3
from contextlib import suppress

from oms_es.errors import LogError, LogWriteUncertain
from oms_es.identifiers import escaped
from oms_es.log.identity import REOPEN, LogFile
from oms_es.log.open_connections import in_words
from oms_es.log.wal import may_hold_commit

_NO_ROOM = {"SQLITE_FULL", "SQLITE_IOERR_WRITE"}  # a write ended early; what stands in the file tells how far it came
_SYNC = {"SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC"}


def failed_commit(file: LogFile, writer: sqlite3.Connection, error: sqlite3.Error) -> LogError:
    """Return our error for a COMMIT that failed; unless nothing can have been written, the writer is stopped."""
    if writer.in_transaction:  # SQLite did not begin with it (it was busy, or a constraint is open)
        with suppress(sqlite3.Error):
            writer.execute("ROLLBACK")
        return in_words(file.path, error)
    if getattr(error, "sqlite_errorname", "") in _NO_ROOM and not may_hold_commit(file.ahead_path):
        return in_words(file.path, error)
    return uncertain(file, error)


def is_failed_sync(error: BaseException) -> bool:
    """Return whether an fsync failed; after it, nothing that a read shows is known to be durable."""
    return getattr(error, "sqlite_errorname", "") in _SYNC


def uncertain(file: LogFile, error: BaseException) -> LogError:
    """Stop the writer; return the error that says that the outcome is unknown."""
    return file.stop(
        LogWriteUncertain(
            f"{file.path}: whether the last commands are in the log is unknown ({escaped(str(error))}); {REOPEN}, "
            "and repeat them with the same ids"
        )
    )
