"""
Reading a log that this user may not write: files beside it that we made would lock its owner out of it.

To read a log in WAL mode, SQLite makes `-wal` and `-shm` beside it. Made by another user, or with the mode of a file
that was read-only for a while, they cannot be written by the log's owner, who then can neither read nor write. And
on read-only media they cannot be made at all. In both cases the file is read from a copy that only we see.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import TypeAlias

from oms_es.errors import LogBusy

Stamp: TypeAlias = tuple[tuple[int, ...] | None, ...]  # of the file and its write-ahead log: inode, size, times
_TRIES = 10


def may_make_files_beside(path: Path) -> bool:
    """Return whether `-wal` and `-shm` can be made by us and written by the log's owner afterwards."""
    found = os.stat(path)
    # SQLite gives the files that root makes to the owner of the log; Windows has no such owners.
    is_owners = not hasattr(os, "geteuid") or os.geteuid() in (0, found.st_uid)
    return is_owners and bool(found.st_mode & 0o200) and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def has_files_beside(path: Path) -> bool:
    """Return whether both files are there, so that none has to be made."""
    return Path(f"{path}-wal").exists() and Path(f"{path}-shm").exists()


def stamp(path: Path) -> Stamp:
    """Return what changes when the log changes."""
    return _stat(path), _stat(Path(f"{path}-wal"))


def copy(path: Path) -> tuple[Path, Stamp]:
    """
    Copy the file, and its write-ahead log if it has one, into a folder of our own.

    Returns:
        The copy, and the stamp of the log at the moment of it.

    Raises:
        LogBusy: the log was written all the time.
        OSError: it cannot be read, or there is no room for the copy.
    """
    folder = Path(tempfile.mkdtemp(prefix="oms-log-"))
    try:
        for _ in range(_TRIES):
            before = stamp(path)
            if _copied(path, folder / "log.db", before) and stamp(path) == before:
                return folder / "log.db", before
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    raise LogBusy(f"{path} was written during {_TRIES} tries to copy it, and this user may not write beside it")


def _copied(path: Path, to: Path, before: Stamp) -> bool:
    """Copy file and write-ahead log; return False when the latter went away meanwhile."""
    ahead = Path(f"{to}-wal")
    shutil.copyfile(path, to)
    ahead.unlink(missing_ok=True)
    try:
        if before[1] is not None:
            shutil.copyfile(f"{path}-wal", ahead)
    except FileNotFoundError:
        return False
    return True


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
