"""The kind of a damage: what happened to the rows, when one does not continue the hash chain."""

from collections.abc import Callable, Iterator
from enum import Enum
from itertools import islice

from msgspec import Struct

from oms_es.identifiers import escaped
from oms_es.log.hash_chain import link
from oms_es.log.row_hashes import Columns, RowHashes

Rows = Callable[[int], Iterator[Columns]]  # the rows after a seq, as stored
FARTHEST = 1000  # rows that were deleted or inserted together, up to which that is recognised
MOST = 64  # rows off the chain that are compared with each other
CHAIN = 13  # the index of the column


class Kind(str, Enum):
    """The kind of damage of a log or a checkpoint."""

    ALTERED = "altered"
    MISSING = "missing"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    ANOTHER_LOG = "another_log"
    SIGNATURE = "signature"
    FOREIGN_OBJECT = "foreign_object"


class Finding(Struct, frozen=True):
    """A mismatch; `seq` is None where no row can be named."""

    kind: Kind
    detail: str
    seq: int | None = None


class Damage(Exception):
    """The first row that is not as it was written."""

    def __init__(self, kind: Kind, seq: int, detail: str, stream: str | None = None) -> None:
        where = "" if stream is None else f" ({escaped(stream)})"
        self.finding = Finding(kind, f"seq {seq}{where}: {detail}", seq)
        super().__init__(self.finding.detail)


def off_chain(row: Columns, previous: bytes, hashes: RowHashes, rows: Rows, stream: str) -> Damage:
    """
    Return the damage of the first row that does not continue the chain.

    Args:
        row: its columns.
        previous: the chain value before it.
        hashes: computes leaves.
        rows: reads the log.
        stream: the name of its stream.
    """
    seq = row[0]
    following = list(islice(rows(seq), FARTHEST))
    if any(
        _fits(hashes, each, seq, previous) for each in following if each[0] <= seq + FARTHEST
    ):  # the row that was here comes later
        count = next(each[0] for each in following if _fits(hashes, each, seq, previous)) - seq
        if not _is_swapped(row, hashes, rows):
            return Damage(Kind.INSERTED, seq, f"rows were inserted here: {count}", stream)
    if following:
        after = following[0]
        for count in range(1, FARTHEST + 1):
            if _fits(hashes, after, after[0] + count, row[CHAIN]):
                return Damage(Kind.MISSING, seq, f"rows were deleted before this one: {count}", stream)
    if _is_swapped(row, hashes, rows):
        return Damage(Kind.REORDERED, seq, "rows were exchanged: its content belongs to another seq", stream)
    if any(each[CHAIN] == row[CHAIN] for each in rows(0) if each[0] != seq):
        return Damage(Kind.INSERTED, seq, "its chain value is a copy of another row's", stream)
    return Damage(Kind.ALTERED, seq, "a column is not as it was written: the row does not continue the chain", stream)


def _fits(hashes: RowHashes, row: Columns, seq: int, previous: bytes) -> bool:
    """Return whether a row, with its stored chain value, was written as `seq` after a chain value."""
    return bool(link(previous, _leaf(hashes, row, seq)) == row[CHAIN])


def _leaf(hashes: RowHashes, row: Columns, seq: int) -> bytes:
    try:
        return hashes.leaf((seq, *row[1:]))
    except (KeyError, TypeError, ValueError):
        return b""


def _is_swapped(row: Columns, hashes: RowHashes, rows: Rows) -> bool:
    """Return whether the content of a row was written as another seq that is off the chain too."""
    previous, off = row, list[tuple[bytes, Columns]]()
    for each in rows(row[0]):
        if not _fits(hashes, each, each[0], previous[CHAIN]):
            off.append((previous[CHAIN], each))
            if len(off) == MOST:
                break
        previous = each
    for before, each in off:
        leaf = _leaf(hashes, row, each[0])
        if any(link(prior, leaf) in {row[CHAIN], each[CHAIN]} for prior in (before, each[CHAIN])):
            return True
    return False
