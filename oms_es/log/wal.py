"""
Find out after a failed COMMIT whether the write-ahead log contains the transaction.

Recovery restores a transaction from a gapless sequence of frames with correct checksums that ends with a commit frame
(https://www.sqlite.org/walformat.html). Without such a commit frame after the last frame that SQLite counts, the
transaction cannot be restored.
"""

import os
import struct
from pathlib import Path

_HEADER, _FRAME = 32, 24
_INDEX = 48  # bytes of the index header that are read
_held: dict[tuple[int, int], int] = {}  # open index files; closing one would release the locks of this process


def may_hold_commit(ahead: Path) -> bool:
    """
    Return whether the write-ahead log may contain a commit after the last frame that SQLite counts.

    True also if this cannot be determined. Call it in the process that had the write lock.
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
            return False  # the header is incomplete, so no frame after it counts
        if struct.unpack_from(">I", index, 32)[0] == (struct.unpack_from(">I", log, 16)[0] + 1) & 0xFFFFFFFF:
            return False  # the log was restarted, and still has its old header
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
