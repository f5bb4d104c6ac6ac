"""Signs checkpoints of a log while it is written: after many events, after some seconds, and when a day is closed."""

import logging
import threading
import time
from pathlib import Path

from oms_es.errors import OmsError
from oms_es.log.sqlite import SqliteLog
from oms_es.proof.checkpoint import read_notes, signed, write_note
from oms_es.proof.keys import SigningKey, VerifierKey
from oms_es.proof.merkle import Frontier
from oms_es.proof.tree_head import frontier_of, save

_RETRY = 60.0  # seconds after an error until the next attempt
_log = logging.getLogger("oms_es")


class CheckpointSigner:
    """
    Appends signed checkpoints to a file, in its own thread; an error is logged, and trading goes on.

    Args:
        log: the log; its writer reports the leaves of each append, so that none is hashed twice.
        key: the file of the private key.
        file: the checkpoints; only appended to.
        every_events: events after which a checkpoint is signed.
        every_seconds: seconds after which one is signed if there are new events.

    Raises:
        InvalidKey: the key cannot be used.
    """

    def __init__(self, log: SqliteLog, key: Path, file: Path, every_events: int, every_seconds: int) -> None:
        self._path, self._key, self._file = log.path, SigningKey.load(key), file.absolute()
        self._every_events, self._every_seconds = every_events, every_seconds
        self._changed = threading.Condition()
        self._begun: int | None = None  # the seq before the first leaf below
        self._leaves: list[bytes] = []  # of appended events that are not in the frontier yet
        self._frontier: Frontier | None = None
        self._last, self._signed_at = 0, 0.0  # events and time of the last checkpoint; the time is `time.time`
        self._not_before = 0.0  # after an error
        self._wanted = self._ends = False
        self._thread: threading.Thread | None = None
        log.on_append = self._appended

    @property
    def verifier(self) -> VerifierKey:
        """Return the key that verifies the checkpoints."""
        return self._key.verifier

    @property
    def file(self) -> Path:
        """Return the file with the checkpoints."""
        return self._file

    def _appended(self, before: int, leaves: list[bytes]) -> None:
        """Take the leaves of an append after the seq `before`; called by the writer, so it only stores them."""
        with self._changed:
            if self._begun is None or before != self._begun + len(self._leaves):
                self._begun, self._leaves = before, []  # another process has appended: its rows are read later
            is_first = not self._leaves
            self._leaves += leaves
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="oms-signer", daemon=True)
                self._thread.start()
            elif is_first or self._unsigned() >= self._every_events:
                self._changed.notify_all()

    def sign(self) -> None:
        """Sign the head of the log now, and wait until the checkpoint is in the file."""
        with self._changed:
            thread = self._thread
            self._wanted = True
            self._changed.notify_all()
            while thread is not None and thread.is_alive() and self._wanted:
                self._changed.wait(0.1)
        if thread is None or self._wanted:
            self._sign_head()

    def close(self) -> None:
        """Sign a last checkpoint if one is due, and end the thread."""
        with self._changed:
            thread, self._ends = self._thread, True
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        self._find_last()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ends or self._is_due(), timeout=self._pause())
                ends, due = self._ends, self._is_due()
            if due:
                self._sign_head()
            if ends:
                return

    def _unsigned(self) -> int:
        return 0 if self._begun is None else self._begun + len(self._leaves) - self._last

    def _is_due(self) -> bool:
        if self._wanted or self._unsigned() <= 0:
            return self._wanted
        now = time.time()
        is_late = now - self._signed_at >= self._every_seconds
        return (is_late or self._unsigned() >= self._every_events) and now >= self._not_before

    def _pause(self) -> float | None:
        """Return the seconds until a checkpoint is due by time; None without new events."""
        due = max(self._signed_at + self._every_seconds, self._not_before)
        return max(0.01, due - time.time()) if self._unsigned() > 0 else None

    def _find_last(self) -> None:
        """Read which checkpoint of this log is the last in the file."""
        try:
            log = SqliteLog.existing(self._path)
            meta = log.meta()
            log.close()
            if self._file.exists():
                notes = [each.events for each in read_notes(self._file) if meta and each.log_id == meta.log_id]
                self._last, self._signed_at = max(notes, default=0), self._file.stat().st_mtime if notes else 0.0
        except (OmsError, OSError):
            _log.exception("the last checkpoint could not be read")
        self._signed_at = self._signed_at or time.time()

    def _sign_head(self) -> None:
        log = SqliteLog(self._path)
        try:
            log_id, frontier = self._head_of(log)
            if frontier.size > self._last:
                write_note(signed(log_id, frontier, [self._key]), self._file, append=True)
                self._last = frontier.size
                save(log, frontier)
        except Exception:
            _log.exception("no checkpoint could be signed; trading goes on")
            self._not_before = time.time() + _RETRY
        finally:
            self._signed_at = time.time()
            log.close()
            with self._changed:
                self._wanted = False
                self._changed.notify_all()

    def _head_of(self, log: SqliteLog) -> tuple[str, Frontier]:
        """Return the frontier with every event that was appended here."""
        with self._changed:
            begun, leaves = self._begun, self._leaves
            if begun is not None:
                self._begun, self._leaves = begun + len(leaves), []
        if begun is None:
            return frontier_of(log)
        if self._frontier is None or self._frontier.size != begun:
            _, self._frontier = frontier_of(log, until=begun)
        self._frontier.extend(leaves)
        meta = log.meta()
        assert meta is not None, "events were appended"
        return meta.log_id, self._frontier
