"""What all parts of the cache beside a log have in common: places, marks, and what a damaged one can raise."""

import sqlite3
import zlib

import msgspec

from oms_es.errors import DamagedLog

Place = tuple[int, int]  # effective_at, seq
BEGINNING: Place = (-1, 0)
END: Place = (2**63 - 1, 2**63 - 1)
# What a cache that was damaged, or does not fit the log, can raise on its way to an answer.
UNUSABLE = (
    sqlite3.Error, msgspec.MsgspecError, DamagedLog, ValueError, LookupError, TypeError, ArithmeticError, AssertionError
)  # fmt: skip


def check(right: bool) -> None:
    """Refuse a cache that is not what was kept."""
    if not right:
        raise sqlite3.DatabaseError("a checkpoint is not what was kept")


def checksum(*values: object) -> int:
    """Return what a row of the cache is checked against."""
    return zlib.crc32("|".join(map(str, values)).encode())
