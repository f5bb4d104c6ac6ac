"""Writing files: durable, replaced atomically, private where they hold a secret, and never over a log."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oms_es.errors import InvalidInput, LogError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """
    Yield a temporary file beside `path`, then make it durable and rename it to `path`.

    Raises:
        LogError: the file cannot be written; an existing file is unchanged.
    """
    path = Path(os.path.realpath(path))  # a symbolic link is followed, not replaced
    is_pipe = path.exists() and not (path.is_file() or path.is_dir())  # a pipe or a device is written, not replaced
    fresh = path if is_pipe else path.with_name(f"{path.name}.new-{secrets.token_hex(4)}")
    try:
        yield fresh
        if not is_pipe:
            replace(fresh, path)
    except OSError as error:
        raise LogError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        if not is_pipe:
            fresh.unlink(missing_ok=True)


def replace(fresh: Path, path: Path) -> None:
    """Rename a file, after its content is durable: a power cut leaves the old file or the whole new one."""
    sync(fresh)
    os.replace(fresh, path)
    sync_folder(path.parent)


def sync(path: Path) -> None:
    """Make the content of a file durable."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the system can (Windows and some file systems cannot)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def create_private(path: Path, mode: int = 0o600) -> None:
    """Create an empty file with exactly this mode; do nothing if it exists."""
    with suppress(FileExistsError):
        descriptor = os.open(os.path.realpath(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            if hasattr(os, "fchmod"):  # the umask may have removed bits
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def not_a_file(path: str | Path) -> str | None:
    """Return the kind of a path that is no regular file ("a named pipe"); None for a file, or for nothing."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    return next((name for is_kind, name in _KINDS if is_kind(mode)), None)


def check_apart(path: Path, log: Path) -> None:
    """
    Refuse to write over a log or one of its companion files.

    Raises:
        InvalidInput: `path` is the log or one of these files.
    """
    endings = ("", "-wal", "-shm", ".checkpoints", ".states", ".frontier", ".reserve")
    own = [log.with_name(log.name + ending) for ending in endings]
    if any(each.exists() and path.exists() and path.samefile(each) for each in own):
        raise InvalidInput(f"{path} belongs to the log {log}; name another file to write to")
