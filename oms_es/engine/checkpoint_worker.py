"""Checkpoints are made beside the work: after many events, after some seconds, and at the end."""

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from oms_es.log import room
from oms_es.log.contract import Log
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.builder import EVERY, advance
from oms_es.timestamps import SECOND

EVENTS = 8 * EVERY  # a few checkpoints at a time
MOST_EVENTS = 16 * EVENTS  # so many are not left without checkpoints, however busy the process is
MOST_WAIT = 30.0  # seconds until checkpoints are made although commits go on
POLL = 0.2  # seconds between two checks for an idle moment
IDLE = 1.0  # seconds without a commit: then checkpoints delay no command
_log = logging.getLogger("oms_es")


class CheckpointWorker:
    """
    Makes checkpoints in its own thread; they are a cache, so an error is logged and nothing else.

    After the first commit it makes the reserve beside the log, so that a full disk does not prevent a halt.

    Args:
        log: the log of the checkpoints; one in memory has none.
        interval: seconds of `recorded_at` after which checkpoints are made, however few events there are.
    """

    def __init__(self, log: Log, interval: int) -> None:
        self._path = log.path if isinstance(log, SqliteLog) else None
        self._interval = interval * SECOND
        self._last_seq, self._last_at = 0, 0
        self._urgent = self._has_reserve = False
        self._seq, self._committed_at = 0, 0.0  # of the last commit; the time is that of `time.monotonic`
        self._ends = threading.Event()
        self._is_stopped = False  # the end of the log is uncertain
        self._thread: ThreadPoolExecutor | None = None
        self._working: Future[None] | None = None

    def begin(self, seq: int, recorded_at: int) -> None:
        """Count events from here; those before have checkpoints or get them with the next."""
        self._last_seq, self._last_at = seq, recorded_at

    def reset_to_start(self) -> None:
        """Make checkpoints soon: a late event has made some of them useless."""
        self._urgent = True

    def after(self, seq: int, recorded_at: int) -> None:
        """Make checkpoints in the next idle moment, if enough was committed since the last time."""
        self._seq, self._committed_at = seq, time.monotonic()
        if not self._has_reserve and self._path is not None:
            self._has_reserve = True
            room.keep_reserve(self._path)
        if self._path is None or seq == self._last_seq or (self._working is not None and not self._working.done()):
            return
        if not self._last_at:
            self._last_at = recorded_at  # the log has just begun: the interval counts from here
        if self._hurried(seq) or seq - self._last_seq >= EVENTS or recorded_at - self._last_at >= self._interval:
            self.begin(seq, recorded_at)
            self._urgent = False
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="oms-keeper")
            try:
                self._working = self._thread.submit(self._advance_when_idle, seq)
            except RuntimeError:  # no more threads to be had
                _log.exception("checkpoints could not be made; answers take longer, and stay right")

    def finish(self, seq: int) -> None:
        """Wait for the thread, and make the last checkpoints unless few events came since."""
        self._is_stopped = not seq
        if self._thread is not None:
            self._ends.set()
            self._thread.shutdown(wait=True)
            self._thread = self._working = None
            self._ends.clear()
        if self._path is not None and (self._hurried(seq) or seq - self._last_seq >= 2 * EVERY):
            self._advance()

    def _hurried(self, seq: int) -> bool:
        return self._urgent and seq >= EVENTS  # a short log is read whole before a checkpoint would be found

    def _advance_when_idle(self, seq: int) -> None:
        latest = time.monotonic() + min(self._interval / SECOND, MOST_WAIT)
        while time.monotonic() < min(self._committed_at + IDLE, latest) and self._seq - seq < MOST_EVENTS:
            if self._ends.wait(POLL):
                break
        if not self._is_stopped:
            self._advance()

    def _advance(self) -> None:
        assert self._path is not None, "only files have checkpoints"
        log = SqliteLog(self._path)
        try:
            advance(log)
        except Exception:
            _log.exception("checkpoints could not be made; answers take longer, and stay right")
        finally:
            log.close()
