"""
Room on a full disk: caches give way to the log, and a small reserve makes sure that a halt can be recorded.

The reserve is a file of zeros beside the log, which is created after the first commit of a process. A halt or a resume
that finds the disk full takes it; the next process that finds room creates it again.
"""

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from oms_es.files import create_private

RESERVE = 2**18  # bytes; a halt writes about ten pages
LEAST_FREE = 2**25  # bytes on the disk; with less, caches are not written
# The caches of a log, and tables that a file with such a name has if it is ours.
CACHES: dict[str, frozenset[str]] = {
    ".checkpoints": frozenset({"meta", "known", "as_of"}),
    ".states": frozenset({"states"}),
}
_BESIDE = ("", "-wal", "-shm", "-journal")


def reserve_path(log: Path) -> Path:
    """Return the path of the reserve of a log."""
    return log.with_name(f"{log.name}.reserve")


def keep_reserve(log: Path) -> None:
    """Create the reserve if it is missing and there is room for it; errors are ignored."""
    path = reserve_path(log)
    if path.exists():
        return
    with suppress(OSError):
        if shutil.disk_usage(log.parent).free < 4 * RESERVE:
            return
        create_private(path)
        try:
            path.write_bytes(bytes(RESERVE))  # written, because a hole takes no space
        except OSError:
            path.unlink(missing_ok=True)


def release_reserve(log: Path) -> bool:
    """Delete the reserve; return whether there was one."""
    try:
        reserve_path(log).unlink()
    except OSError:
        return False
    return True


def is_scarce(folder: Path) -> bool:
    """Return whether so little of the disk is free that a cache could keep the log from growing."""
    try:
        return shutil.disk_usage(folder).free < LEAST_FREE
    except OSError:
        return False


def delete_caches(log: Path) -> bool:
    """Delete the caches of a log, unless they are files of another program; return whether there was one."""
    found = False
    for ending, tables in CACHES.items():
        path = log.with_name(log.name + ending)
        if path.is_file() and is_ours(path, tables):
            for each in _BESIDE:
                Path(f"{path}{each}").unlink(missing_ok=True)
            found = True
    return found


def is_ours(path: Path, tables: frozenset[str]) -> bool:
    """Return whether a file is a database that has these tables."""
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"  # creates no file beside it, the disk may be full
    try:
        with closing(sqlite3.connect(uri, uri=True)) as cache:
            return tables <= {name for (name,) in cache.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return os.path.getsize(path) == 0
