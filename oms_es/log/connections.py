"""Connections to an SQLite file that trust nothing in it, and that a forked child leaves alone."""

import ctypes
import os
import shutil
import sqlite3
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from oms_es.log.private_copy import Stamp


class Connection(sqlite3.Connection):
    """A connection that only the process which made it closes: in a forked child a close would harm the parent's."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pid = os.getpid()
        self.folder: Path | None = None  # of the private copy that it reads
        self.stamp: Stamp | None = None  # of the log when it was copied
        _open.add(self)

    def close(self) -> None:
        """Close it; in a forked child do nothing."""
        if self._pid != os.getpid():
            return
        super().close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


_open: "weakref.WeakSet[Connection]" = weakref.WeakSet()


def _keep_inherited() -> None:
    """Keep the parent's connections for ever: when one is collected, SQLite closes it."""
    for connection in list(_open):
        with suppress(Exception):  # another Python may have no such thing
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_keep_inherited)


def connect(uri: str, lock_timeout: float) -> Connection:
    """Return a connection to the file of a URI, in autocommit mode; it waits `lock_timeout` seconds for a lock."""
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=lock_timeout, check_same_thread=False, factory=Connection
    )
    connection.execute("PRAGMA trusted_schema=OFF")  # a file's views and triggers call no function that could do harm
    return connection
