"""
Read a private copy of a log where SQLite cannot safely create its `-wal` and `-shm` files.

SQLite needs both files to read a log in WAL mode. If another user creates them, or they inherit the mode of a
read-only log, the log's owner cannot write them, and can neither read nor write the log. On read-only media they
cannot be created at all.
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
    """Return whether we can create `-wal` and `-shm` so that the log's owner can write them."""
    found = os.stat(path)
    # When root creates these files, SQLite gives them to the owner of the log; Windows has no such owners.
    is_owners = not hasattr(os, "geteuid") or os.geteuid() in (0, found.st_uid)
    return is_owners and bool(found.st_mode & 0o200) and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def has_files_beside(path: Path) -> bool:
    """Return whether both files exist."""
    return Path(f"{path}-wal").exists() and Path(f"{path}-shm").exists()


def stamp(path: Path) -> Stamp:
    """Return inode, size and times of the log, which differ after every change."""
    return _stat(path), _stat(Path(f"{path}-wal"))


def copy(path: Path) -> tuple[Path, Stamp]:
    """
    Copy the log, with its write-ahead log if it has one, into a temporary folder.

    Returns:
        The copy, and the stamp of the log at that time.

    Raises:
        LogBusy: the log changed during every try.
        OSError: the log cannot be read, or there is no space for the copy.
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
    """Copy file and write-ahead log; return False if the latter was deleted in the meantime."""
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
