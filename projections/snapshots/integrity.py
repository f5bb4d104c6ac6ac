"""
Places, checksums and errors that all parts of the caches beside a log share.

Checksums and digests are keyed with the secret of the log: a cache that was changed by hand, or that belongs to another
log, is refused and rebuilt.
"""

import sqlite3
from functools import partial
from hashlib import blake2b
from pathlib import Path

import msgspec

from oms_es.errors import DamagedLog, LogError
from oms_es.files import create_private
from oms_es.log.sqlite import SqliteLog

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


def keyed_digest(log: SqliteLog, *parts: bytes) -> bytes:
    """Return a digest of some bytes, keyed with the secret of a log."""
    meta = log.meta()
    key = b"" if meta is None else meta.secret
    return blake2b(b"|".join((b"%d" % len(part)) + b":" + part for part in parts), key=key[:64]).digest()


class Cache(sqlite3.Connection):
    """A connection to the cache of a log; its checksums are keyed with the secret of the log."""

    key = b""

    def of(self, log: SqliteLog) -> "Cache":
        """Use the secret of this log; return self."""
        self.key = keyed_digest(log, b"checkpoints")
        self.create_function("checksum", -1, partial(_checksum, self.key), deterministic=True)
        return self

    def checksum(self, *values: object) -> int:
        """Return the checksum of a row, 40 bits: the sum of millions of them is still a whole number of SQLite."""
        return _checksum(self.key, *values)

    def digest(self, *values: object, state: bytes) -> bytes:
        """Return the digest of a state."""
        return blake2b("|".join(map(str, values)).encode() + b"|" + state, key=self.key, digest_size=32).digest()


def _checksum(key: bytes, *values: object) -> int:
    return int.from_bytes(blake2b("|".join(map(str, values)).encode(), key=key, digest_size=5).digest(), "big")
