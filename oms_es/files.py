"""Writing files: replaced atomically, and never over a log."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oms_es.errors import InvalidInput, LogError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """
    Yield a temporary file beside `path`, then rename it to `path`.

    Raises:
        LogError: the file cannot be written; an existing file is unchanged.
    """
    path = Path(os.path.realpath(path))  # a symbolic link is followed, not replaced
    is_pipe = path.exists() and not (path.is_file() or path.is_dir())  # a pipe or a device is written, not replaced
    fresh = path if is_pipe else path.with_name(f"{path.name}.new-{secrets.token_hex(4)}")
    try:
        yield fresh
        if not is_pipe:
            os.replace(fresh, path)
    except OSError as error:
        raise LogError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        if not is_pipe:
            fresh.unlink(missing_ok=True)


def check_apart(path: Path, log: Path) -> None:
    """
    Refuse to write over a log or one of its companion files.

    Raises:
        InvalidInput: `path` is the log or one of these files.
    """
    own = [log.with_name(log.name + ending) for ending in ("", "-wal", "-shm", ".checkpoints", ".states")]
    if any(each.exists() and path.exists() and path.samefile(each) for each in own):
        raise InvalidInput(f"{path} belongs to the log {log}; name another file to write to")
