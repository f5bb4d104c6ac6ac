"""Subscriptions to a log: past events, then new ones from any thread or process."""

from collections import deque
from collections.abc import Sequence
from threading import Condition

from eventsourcing.persistence import ApplicationRecorder, Notification, Subscription

POLL_INTERVAL = 0.02  # seconds; the longest delay for an append of another process
_AT_ONCE = 500


class Bell:
    """Notifies the waiting threads of this process about an append."""

    def __init__(self) -> None:
        self._rung = Condition()
        self.rings = 0

    def ring(self) -> None:
        """Wake all waiting threads."""
        with self._rung:
            self.rings += 1
            self._rung.notify_all()

    def wait(self, heard: int, timeout: float) -> None:
        """Wait until `rings` differs from `heard`, at most `timeout` seconds."""
        with self._rung:
            self._rung.wait_for(lambda: self.rings != heard, timeout)


class LogSubscription(Subscription[ApplicationRecorder]):
    """
    The notifications after `gt`, without end until `stop`.

    It has no thread and no connection of its own: `next` reads the log in the caller's thread. So it leaks nothing,
    even if it is never stopped.
    """

    def __init__(
        self, recorder: ApplicationRecorder, bell: Bell, gt: int | None = None, topics: Sequence[str] = ()
    ) -> None:
        super().__init__(recorder, gt, topics)
        self._bell = bell
        self._read_to = gt or 0
        self._read: deque[Notification] = deque()

    def stop(self) -> None:
        """End the subscription and wake its waiting thread; callable from any thread."""
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
        """Read the new notifications; return whether the log has grown."""
        # The head is read first, so that rows of other topics are not read twice.
        head = self._recorder.max_notification_id() or 0
        if head <= self._read_to:
            return False
        found = self._recorder.select_notifications(
            self._read_to, _AT_ONCE, head, self._topics, inclusive_of_start=False
        )
        self._read.extend(found)
        self._read_to = found[-1].id if len(found) == _AT_ONCE else head
        return True
