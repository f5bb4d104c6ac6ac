"""
A mark in the header of a log file while a writer has it open, to recognise a copy that lacks its write-ahead log.

The mark is SQLite's `user_version`. The first append of a writer sets it and checkpoints it into the file before it is
acknowledged; closing the connection removes it. So a file without the mark has every acknowledged event, and a file
with it needs its write-ahead log.
"""

import logging
import sqlite3
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger("oms_es")


def is_set(connection: sqlite3.Connection) -> bool:
    """Return whether the file is marked."""
    return bool(connection.execute("PRAGMA user_version").fetchone()[0])


def set_mark(writer: sqlite3.Connection) -> None:
    """Mark the file, inside the caller's transaction; call `write_through` after its COMMIT."""
    writer.execute("PRAGMA user_version=1")


def write_through(writer: sqlite3.Connection) -> None:
    """Checkpoint the mark into the file, unless a reader of an earlier state prevents it."""
    with suppress(sqlite3.Error):  # a checkpoint that fails is repeated later; the commit is durable without it
        writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def remove(writer: sqlite3.Connection) -> None:
    """Remove the mark; leave it if another process is writing, because that one uses the file."""
    with suppress(sqlite3.Error):
        if not writer.in_transaction and is_set(writer):
            writer.execute("PRAGMA busy_timeout=0")
            writer.execute("PRAGMA user_version=0")


def lacks_ahead(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether the file is marked, and the write-ahead log is missing or empty."""
    ahead = Path(f"{path}-wal")
    return is_set(connection) and not (ahead.exists() and ahead.stat().st_size)


def warn(connection: sqlite3.Connection, path: Path) -> None:
    """Log a warning if the file seems to be a copy without its write-ahead log."""
    if lacks_ahead(connection, path):
        _log.warning(
            "%s was in use when it was copied or left, and has no write-ahead log beside it: its last events may be "
            "missing (oms backup copies a log that is in use)",
            path,
        )
