"""Places, checksums and errors that all parts of the cache beside a log share."""

import sqlite3
import zlib
from pathlib import Path

import msgspec

from oms_es.errors import DamagedLog, LogError
from oms_es.files import create_private

Place = tuple[int, int]  # effective_at, seq
BEGINNING: Place = (-1, 0)
END: Place = (2**63 - 1, 2**63 - 1)
# What reading a cache can raise when it is damaged or does not match the log.
UNUSABLE = (
    sqlite3.Error, msgspec.MsgspecError, DamagedLog, ValueError, LookupError, TypeError, ArithmeticError, AssertionError
)  # fmt: skip


class ForeignCache(LogError):
    """The file with the name of a cache is the database of another program; it is neither read nor changed."""


def refuse_foreign(cache: sqlite3.Connection, path: Path, ours: frozenset[str]) -> None:
    """
    Check that a database is empty or has the tables `ours`, before anything in it is changed.

    Raises:
        ForeignCache: it is the database of another program.
    """
    names = {name for (name,) in cache.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if names and not names >= ours:
        raise ForeignCache(f"{path} is a database of another program, not a cache of oms_es; it is left as it is")


def create_beside(log: Path, path: Path) -> None:
    """Create an empty cache with the permissions of its log, because it contains the same figures."""
    create_private(path, log.stat().st_mode & 0o666)


def check(is_intact: bool) -> None:
    """Refuse a cache whose content is not as it was written."""
    if not is_intact:
        raise sqlite3.DatabaseError("a checkpoint is not as it was written")


def checksum(*values: object) -> int:
    """Return the checksum of a row of the cache."""
    return zlib.crc32("|".join(map(str, values)).encode())
