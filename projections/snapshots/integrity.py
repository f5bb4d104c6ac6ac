"""Places, checksums and errors that all parts of the cache beside a log share."""

import sqlite3
import zlib

import msgspec

from oms_es.errors import DamagedLog

Place = tuple[int, int]  # effective_at, seq
BEGINNING: Place = (-1, 0)
END: Place = (2**63 - 1, 2**63 - 1)
# What reading a cache can raise when it is damaged or does not match the log.
UNUSABLE = (
    sqlite3.Error, msgspec.MsgspecError, DamagedLog, ValueError, LookupError, TypeError, ArithmeticError, AssertionError
)  # fmt: skip


def check(is_intact: bool) -> None:
    """Refuse a cache whose content is not as it was written."""
    if not is_intact:
        raise sqlite3.DatabaseError("a checkpoint is not as it was written")


def checksum(*values: object) -> int:
    """Return the checksum of a row of the cache."""
    return zlib.crc32("|".join(map(str, values)).encode())
