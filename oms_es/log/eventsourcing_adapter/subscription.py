"""Following a log: first what it holds, then what comes, whichever thread or process appends it."""

from collections import deque
from collections.abc import Sequence
from threading import Condition

from eventsourcing.persistence import ApplicationRecorder, Notification, Subscription

POLL_INTERVAL = 0.02  # seconds; for so long the append of another process may go unnoticed
_AT_ONCE = 500


class Bell:
    """Wakes those in this process who wait for an append."""

    def __init__(self) -> None:
        self._rung = Condition()
        self.rings = 0

    def ring(self) -> None:
        """Wake everybody."""
        with self._rung:
            self.rings += 1
            self._rung.notify_all()

    def wait(self, heard: int, timeout: float) -> None:
        """Return when it has rung more often than `heard`, at the latest after `timeout` seconds."""
        with self._rung:
            self._rung.wait_for(lambda: self.rings != heard, timeout)


class LogSubscription(Subscription[ApplicationRecorder]):
    """
    The notifications after `gt`, without end until it is stopped.

    It has no thread and keeps no connection: whoever asks for the next notification reads it, or waits for it. So
    there is nothing to leak, whether it is stopped, dropped, or never asked at all.
    """

    def __init__(
        self, recorder: ApplicationRecorder, bell: Bell, gt: int | None = None, topics: Sequence[str] = ()
    ) -> None:
        super().__init__(recorder, gt, topics)
        self._bell = bell
        self._read_to = gt or 0
        self._read: deque[Notification] = deque()

    def stop(self) -> None:
        """End it, from any thread; who waits for a notification stops waiting."""
        super().stop()
        self._bell.ring()

    def __next__(self) -> Notification:
        while not self._has_been_stopped:
            if self._read:
                return self._read.popleft()
            heard = self._bell.rings
            if not self._read_on():
                self._bell.wait(heard, POLL_INTERVAL)
        raise StopIteration

    def _read_on(self) -> bool:
        """Read what has come; return whether the log has grown."""
        # The head is asked for first: where no topic fits, what was looked through once is not looked through again.
        head = self._recorder.max_notification_id() or 0
        if head <= self._read_to:
            return False
        found = self._recorder.select_notifications(
            self._read_to, _AT_ONCE, head, self._topics, inclusive_of_start=False
        )
        self._read.extend(found)
        self._read_to = found[-1].id if len(found) == _AT_ONCE else head
        return True
