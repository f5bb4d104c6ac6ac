"""
Check that an open log is still the same file, with its write-ahead log, in the same process.

A file is identified by device and inode. SQLite continues to write to a file that was deleted or replaced, and those
commits are lost: so writers check before a transaction and after COMMIT, readers before each read.
"""

import os
from pathlib import Path

from oms_es.errors import LogError, LogFileChanged, LogWriteUncertain, OpenedInOtherProcess

Identity = tuple[int, int]  # device, inode
STOPPING = (LogWriteUncertain, LogFileChanged)  # errors after which a writer stops
REOPEN = "open the log again (a new OrderManagementSystem)"


class LogFile:
    """
    The identity of one log file while it is open.

    Args:
        path: the absolute path; a link is followed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stopped: LogError | None = None  # the error after which the writer stopped
        self._pid = os.getpid()
        self._opened: Identity | None = None
        self._ahead: Identity | None = None  # of the write-ahead log
        self.ahead_path = path
        self._name = self._ahead_name = str(path)  # as text for speed: each commit checks both twice

    @property
    def is_open(self) -> bool:
        """Return whether a file was opened."""
        return self._opened is not None

    @property
    def is_here(self) -> bool:
        """Return whether this process created the object, not a parent that it was forked from."""
        return self._pid == os.getpid()

    def opened(self, *, with_ahead: bool = True) -> None:
        """
        Store the identity of the file at the path; call it after connecting.

        Raises:
            LogFileChanged: another file was opened before.
        """
        if self._opened is None:
            self._opened = _found(self.path)
            if self._opened is None:
                raise LogFileChanged(f"{self.path} was deleted or renamed while it was opened")
            self._ahead_name = f"{os.path.realpath(self.path)}-wal"
            self.ahead_path = Path(self._ahead_name)
        self.check()
        if with_ahead and self._ahead is None:
            self._ahead = _found(self.ahead_path)

    def closed(self) -> None:
        """Forget the file, but not the error that stopped the writer."""
        self._opened = self._ahead = None

    def forget_ahead(self) -> None:
        """Expect a new write-ahead log: SQLite deletes it with the last connection."""
        self._ahead = None

    # --- checks ---

    def refuse_elsewhere(self) -> None:
        """
        Check that this process opened the log.

        Raises:
            OpenedInOtherProcess: this is a child of the process that opened it.
        """
        refuse_elsewhere(self._pid, str(self.path))

    def check(self) -> None:
        """
        Check that the path names the file that was opened; do nothing if none is open.

        Raises:
            LogFileChanged: it names another file, or the write-ahead log is missing.
        """
        found = self._difference(writing=False)
        if found is not None:
            raise LogFileChanged(f"{found}; {REOPEN}")

    def may_write(self) -> None:
        """
        Check the file before a transaction; stop the writer if it was changed.

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
        Check the file after COMMIT; stop the writer if it was changed.

        Raises:
            LogFileChanged: it is unknown whether the log contains the events.
        """
        found = self._difference(writing=True)
        if found is None and self._ahead is None:
            self._ahead = _found(self.ahead_path)
            found = None if self._ahead is not None else f"{self.ahead_path} is missing after a commit"
        if found is not None:
            unknown = "whether the last commands are in the log is unknown"
            raise self.stop(LogFileChanged(f"{found}; {unknown}; {REOPEN}, and retry them with the same ids"))

    def _difference(self, *, writing: bool) -> str | None:
        """Describe how the file changed since it was opened; a second hard link counts only for a writer."""
        if self._opened is None:
            return None
        try:
            found = os.stat(self._name)
        except OSError as error:
            return f"{self.path} was deleted or renamed ({error.strerror})"
        if _identity(found) != self._opened:
            return f"{self.path} was replaced by another file since it was opened"
        if self._ahead is not None and _found(self._ahead_name) != self._ahead:
            change = "replaced" if self.ahead_path.exists() else "removed"
            return f"{self.ahead_path} was {change} since {self.path.name} was opened"
        if writing and found.st_nlink != 1:
            return f"{self.path} has {found.st_nlink} names (hard links); a log is written only under one name"
        return None

    @property
    def lost_only_its_ahead(self) -> bool:
        """Return whether the path still names the file, and only the write-ahead log is missing."""
        return _found(self.path) == self._opened and self._ahead is not None and not self.ahead_path.exists()

    def stop(self, error: LogError) -> LogError:
        """Stop the writer for ever; return the error."""
        if self.stopped is None:
            self.stopped = error
        return error


def refusal(stopped: LogError) -> LogError:
    """Return the error of a command after the writer has stopped, of the same type as `stopped`."""
    return type(stopped)(f"this command was not written, because the writer has stopped: {stopped}")


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
