"""
The file of an open log: whether its path still names it, its write-ahead log is there, and this process opened it.

A file is known by device and inode. SQLite goes on with a file that was deleted or replaced, and what it commits there
nobody will find again: so writers check before they begin and before they answer, readers before they read.
"""

import os
from pathlib import Path

from oms_es.errors import LogError, LogFileChanged, LogWriteUncertain, OpenedInOtherProcess

Identity = tuple[int, int]  # device, inode
STOPPING = (LogWriteUncertain, LogFileChanged)  # after one of these a writer stops
REOPEN = "open the log again (a new OrderManagementSystem)"


class LogFile:
    """
    One log file, from when it is opened until it is closed.

    Args:
        path: the absolute path; a link is followed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stopped: LogError | None = None  # why nothing is written any more
        self._pid = os.getpid()
        self._opened: Identity | None = None
        self._ahead: Identity | None = None  # of the write-ahead log
        self.ahead_path = path
        self._name = self._ahead_name = str(path)  # as text: a commit looks at both twice

    @property
    def is_open(self) -> bool:
        """Return whether a file was opened."""
        return self._opened is not None

    @property
    def is_here(self) -> bool:
        """Return whether this process made the object, and not one that it was forked from."""
        return self._pid == os.getpid()

    def opened(self, *, with_ahead: bool = True) -> None:
        """
        Remember the file that stands at the path now; call it after connecting.

        Raises:
            LogFileChanged: another one was opened before.
        """
        if self._opened is None:
            self._opened = _found(self.path)
            if self._opened is None:
                raise LogFileChanged(f"{self.path} was deleted or moved away while it was opened")
            self._ahead_name = f"{os.path.realpath(self.path)}-wal"
            self.ahead_path = Path(self._ahead_name)
        self.check()
        if with_ahead and self._ahead is None:
            self._ahead = _found(self.ahead_path)

    def closed(self) -> None:
        """Forget the file; what stopped the writer stays."""
        self._opened = self._ahead = None

    def forget_ahead(self) -> None:
        """Expect a new write-ahead log: no connection was open that would have kept the last one."""
        self._ahead = None

    # --- checks ---

    def refuse_elsewhere(self) -> None:
        """
        Refuse a process that did not open the log.

        Raises:
            OpenedInOtherProcess: this is a child of the process that opened it.
        """
        refuse_elsewhere(self._pid, str(self.path))

    def check(self) -> None:
        """
        Check that the path names the file that was opened; before anything was opened, do nothing.

        Raises:
            LogFileChanged: it does not, or its write-ahead log is gone.
        """
        found = self._difference(writing=False)
        if found is not None:
            raise LogFileChanged(f"{found}; {REOPEN}")

    def may_write(self) -> None:
        """
        Check what has to hold before a transaction begins; stop the writer when it does not.

        Raises:
            LogFileChanged, LogWriteUncertain, OpenedInOtherProcess: nothing was written.
        """
        self.refuse_elsewhere()
        if self.stopped is not None:
            raise refusal(self.stopped)
        found = self._difference(writing=True)
        if found is not None:
            raise self.stop(LogFileChanged(f"{found}; nothing was written; {REOPEN}"))

    def committed(self) -> None:
        """
        Check after COMMIT, before the answer; stop the writer when the file is not the one that was opened.

        Raises:
            LogFileChanged: whether the events are in the log is unknown.
        """
        found = self._difference(writing=True)
        if found is None and self._ahead is None:
            self._ahead = _found(self.ahead_path)
            found = None if self._ahead is not None else f"{self.ahead_path} is missing after a commit"
        if found is not None:
            unknown = "whether the last commands are in the log is unknown"
            raise self.stop(LogFileChanged(f"{found}; {unknown}; {REOPEN}, and repeat them with the same ids"))

    def _difference(self, *, writing: bool) -> str | None:
        """Return in words what is not as it was when the file was opened; to a writer also a second hard link."""
        if self._opened is None:
            return None
        try:
            found = os.stat(self._name)
        except OSError as error:
            return f"{self.path} was deleted or moved away ({error.strerror})"
        if _identity(found) != self._opened:
            return f"{self.path} was replaced by another file since it was opened"
        if self._ahead is not None and _found(self._ahead_name) != self._ahead:
            what = "replaced" if self.ahead_path.exists() else "removed"
            return f"{self.ahead_path} was {what} since {self.path.name} was opened"
        if writing and found.st_nlink != 1:
            return f"{self.path} has {found.st_nlink} names (hard links), and a log is written under one"
        return None

    @property
    def lost_only_its_ahead(self) -> bool:
        """Return whether the path still names the file, and no write-ahead log stands beside it any more."""
        return _found(self.path) == self._opened and self._ahead is not None and not self.ahead_path.exists()

    def stop(self, error: LogError) -> LogError:
        """Write nothing from here on; return the error."""
        if self.stopped is None:
            self.stopped = error
        return error


def refusal(stopped: LogError) -> LogError:
    """Return the error for a command that comes after the writer has stopped; it has the type of what stopped it."""
    return type(stopped)(f"nothing of this command was written, for the writer has stopped: {stopped}")


def refuse_elsewhere(pid: int, what: str) -> None:
    """Raise `OpenedInOtherProcess` unless this is the process `pid`."""
    if os.getpid() != pid:
        raise OpenedInOtherProcess(f"{what} was opened in process {pid}, this is {os.getpid()}: open it again here")


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino


def _found(path: str | Path) -> Identity | None:
    try:
        return _identity(os.stat(path))
    except OSError:
        return None
