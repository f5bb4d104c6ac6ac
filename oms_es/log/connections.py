"""Connections to an untrusted SQLite file, safe after a fork."""

import ctypes
import os
import shutil
import sqlite3
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from oms_es.log import use_mark
from oms_es.log.private_copy import Stamp


class Connection(sqlite3.Connection):
    """A connection that a forked child never closes, because a close would release the parent's locks."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pid = os.getpid()
        self.folder: Path | None = None  # of the private copy, if it reads one
        self.stamp: Stamp | None = None  # of the log at the time of the copy
        self.has_marked = False  # it has appended, so the log is marked as in use
        _open.add(self)

    def close(self) -> None:
        """Close the connection; do nothing in a forked child."""
        if self._pid != os.getpid():
            return
        if self.has_marked:
            use_mark.remove(self)
        super().close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


_open: "weakref.WeakSet[Connection]" = weakref.WeakSet()


def _retain_inherited() -> None:
    """Never free the parent's connections: SQLite would close them."""
    for connection in list(_open):
        with suppress(Exception):  # only CPython has this function
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_retain_inherited)


def connect(uri: str, lock_timeout: float) -> Connection:
    """Return a connection in autocommit mode that waits up to `lock_timeout` seconds for a lock."""
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=lock_timeout, check_same_thread=False, factory=Connection
    )
    connection.execute("PRAGMA trusted_schema=OFF")  # views and triggers in the file call only harmless functions
    return connection
