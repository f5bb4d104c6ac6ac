"""
Stored rows and their hash chain.

    leaf  = SHA-256(0x00 ‖ every column but state and chain, length-prefixed ‖ SHA-256(salt ‖ state))
    salt  = SHA-256(log secret ‖ seq)[:16]
    chain = SHA-256(chain of the row before ‖ leaf), the first over format version and log id

The hash is over the names, not over the integer keys that the file stores in their place. Length-prefixed: four
bytes, big-endian, then the bytes; NULL is ff ff ff ff; integers are ASCII decimal text.
"""

from hashlib import sha256
from typing import NamedTuple

FORMAT = 1
_NULL = b"\xff\xff\xff\xff"


class StoredRow(NamedTuple):
    """A row of `events`, with names in place of keys."""

    seq: int
    originator_id: str
    originator_version: int
    topic: str
    state: bytes
    account: str
    origin: str
    occurred_at: int
    effective_at: int
    recorded_at: int
    trading_day: str
    command_id: str | None
    chain: bytes


class Head(NamedTuple):
    """The head: the last row of the log."""

    seq: int
    chain: bytes
    recorded_at: int


def genesis(log_id: str) -> bytes:
    """Return the chain value before the first row."""
    return sha256(prefixed(str(FORMAT)) + prefixed(log_id)).digest()


def leaf(row: StoredRow, secret: bytes) -> bytes:
    """Return the leaf of a row; its chain column is ignored."""
    return salted_leaf(row, salt_of(row.seq, secret))


def salt_of(seq: int, secret: bytes) -> bytes:
    """Return the salt of a row's body."""
    return sha256(secret + str(seq).encode()).digest()[:16]


def salted_leaf(row: StoredRow, salt: bytes) -> bytes:
    """Return the leaf of a row with this salt."""
    body = sha256(salt + row.state).digest()
    columns = (*row[:4], *row[5:12])
    return sha256(b"\x00" + b"".join(map(prefixed, columns)) + body).digest()


def link(previous: bytes, leaf_hash: bytes) -> bytes:
    """Return the chain value after a leaf."""
    return sha256(previous + leaf_hash).digest()


def sealed(row: StoredRow, previous: bytes, secret: bytes) -> StoredRow:
    """Return the row with its chain value."""
    return row._replace(chain=link(previous, leaf(row, secret)))


def prefixed(value: str | int | None) -> bytes:
    """Return a column as it is hashed: four bytes of length, then the text; NULL is ff ff ff ff."""
    if value is None:
        return _NULL
    raw = str(value).encode("utf-8", "surrogatepass")
    return len(raw).to_bytes(4, "big") + raw
