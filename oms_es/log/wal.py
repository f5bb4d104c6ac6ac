"""
Reading a write-ahead log after a COMMIT that failed: whether the commit is in it.

SQLite finds a transaction again, when a log is recovered, by an unbroken run of frames with right checksums that ends
in a commit frame (https://www.sqlite.org/walformat.html). So where no such frame follows the last one that SQLite
counts, nothing of the transaction can come back.
"""

import os
import struct
from pathlib import Path

_HEADER, _FRAME = 32, 24
_INDEX = 48  # bytes of the index header that are looked at
_held: dict[tuple[int, int], int] = {}  # open index files; closing one would drop the locks of this process


def may_hold_commit(ahead: Path) -> bool:
    """
    Return whether a commit may stand in the write-ahead log beyond what SQLite counts.

    True also when it cannot be found out. Call it while the write lock's holder was this process.
    """
    if not hasattr(os, "pread"):  # Windows
        return True
    try:
        return _has_commit(ahead.read_bytes(), _index(ahead.with_name(ahead.name.removesuffix("-wal") + "-shm")))
    except (OSError, ValueError, struct.error):
        return True


def _index(path: Path) -> bytes:
    """Return the header of the shared index, from a descriptor that is never closed."""
    found = os.stat(path)
    key = (found.st_dev, found.st_ino)
    if key not in _held:
        _held[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    one, other = os.pread(_held[key], _INDEX, 0), os.pread(_held[key], _INDEX, _INDEX)
    if len(one) != _INDEX or one != other:
        raise ValueError("the index is being changed")
    return one


def _has_commit(log: bytes, index: bytes) -> bool:
    if len(log) < _HEADER:
        return False
    (frames,) = struct.unpack_from("=I", index, 16)
    magic, _, size = struct.unpack_from(">III", log, 0)
    order = ">" if magic & 1 else "<"
    if frames == 0:
        if _checksum((0, 0), log[:24], order) != struct.unpack_from(">II", log, 24):
            return False  # the header was not written whole: no frame behind it counts
        if struct.unpack_from(">I", index, 32)[0] == (struct.unpack_from(">I", log, 16)[0] + 1) & 0xFFFFFFFF:
            return False  # the log was begun anew, and still has the header from before
        salts, checksum = log[16:24], struct.unpack_from(">II", log, 24)
    else:
        salts, checksum = index[32:40], struct.unpack_from("=II", index, 24)
        if log[16:24] != salts:
            raise ValueError("the index belongs to another write-ahead log")
    at = _HEADER + frames * (_FRAME + size)
    while len(log) >= at + _FRAME + size:
        head, page = log[at : at + _FRAME], log[at + _FRAME : at + _FRAME + size]
        checksum = _checksum(_checksum(checksum, head[:8], order), page, order)
        if head[8:16] != salts or checksum != struct.unpack_from(">II", head, 16):
            return False
        if struct.unpack_from(">I", head, 4) != (0,):
            return True
        at += _FRAME + size
    return False


def _checksum(before: tuple[int, ...], data: bytes, order: str) -> tuple[int, int]:
    one, other = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + other) & 0xFFFFFFFF
        other = (other + second + one) & 0xFFFFFFFF
    return one, other
