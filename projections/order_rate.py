"""The rate of submits and amends per account, over the last second."""

from bisect import bisect_right
from typing import Any

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import AmendRefused, ClockAccepted, OrderAmended, OrderSubmitted
from oms_es.projections.projection import Projection, on
from oms_es.projections.undo import UndoLists, UndoLog
from oms_es.timestamps import SECOND
from oms_es.vocabulary import Origin

_TRIM = 64  # entries; a list that is mostly older than a second is cut only from this length on


class Rates(Projection):
    """The times of the recent submits and amends, by account; refused ones count."""

    def __init__(self, undo: UndoLog | None = None) -> None:
        super().__init__(undo)
        self.recent: UndoLists[str, int] = UndoLists(self.undo)

    @on(OrderSubmitted, OrderAmended, AmendRefused)
    def _came(self, event: OrderSubmitted | OrderAmended | AmendRefused, at: Recorded) -> None:
        if at.origin is not Origin.COMMAND:
            return
        recent, begin = self.recent.get(event.account), at.decided_at - SECOND
        if len(recent) >= _TRIM and recent[len(recent) // 2] <= begin:
            self.recent.replace(event.account, recent[bisect_right(recent, begin) :])
        self.recent.append(event.account, at.decided_at)

    @on(ClockAccepted)
    def _accepted(self, _: ClockAccepted, __: Recorded) -> None:
        for account, times in list(self.recent.items()):
            if times:  # they are ahead of our clock, and would count until it is there
                self.recent.replace(account, [])

    def count(self, account: str, now: int) -> int:
        """Return how many were recorded within the second before `now`."""
        recent = self.recent.get(account)
        return len(recent) - bisect_right(recent, now - SECOND)

    def stored(self) -> list[tuple[str, list[int]]]:
        """Return the last second of each account, as a stored state holds it."""
        return [
            (account, recent[bisect_right(recent, recent[-1] - SECOND) :])
            for account, recent in self.recent.items()
            if recent
        ]

    def rows(self) -> list[dict[str, Any]]:
        """Return nothing: the rate of the last second is not part of a digest."""
        return []
