"""Trading days: which events were booked on them, and which of them are closed."""

from typing import Any

from msgspec import Struct

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import DayClosed
from oms_es.projections.projection import Projection, on
from oms_es.projections.undo import UndoDict, UndoLog

ClosedSpan = tuple[int, int, str]  # begin and end (ns UTC) of a closed trading day, and its name


class DaySpan(Struct, frozen=True):
    """The events of a trading day."""

    first_seq: int
    last_seq: int
    events: int


class Days(Projection):
    """The events booked on each trading day, and the closed days; it handles every event."""

    def __init__(self, undo: UndoLog | None = None) -> None:
        super().__init__(undo)
        undo = self.undo
        self.spans: UndoDict[str, DaySpan] = UndoDict(undo)
        self.closed: UndoDict[str, int] = UndoDict(undo)  # trading day → seq of its `DayClosed`
        self.ended: UndoDict[str, tuple[int, int]] = UndoDict(undo)  # closed trading day → its begin and end, ns UTC
        self.all_closed: frozenset[str] = frozenset()
        self.all_ended: tuple[ClosedSpan, ...] = ()  # the closed days, the one that ends last first

    def count(self, recorded: Recorded) -> None:
        """Count an event of any kind on its trading day."""
        day, was = recorded.trading_day, self.spans.get(recorded.trading_day)
        first = recorded.seq if was is None else was.first_seq
        self.spans[day] = DaySpan(first, recorded.seq, 1 if was is None else was.events + 1)

    def apply(self, recorded: Recorded) -> None:
        """Fold one event."""
        self.count(recorded)
        super().apply(recorded)

    @on(DayClosed)
    def _closed(self, event: DayClosed, at: Recorded) -> None:
        self.closed[event.trading_day] = at.seq
        if event.ends_at:
            self.ended[event.trading_day] = (event.begins_at, event.ends_at)
        self.summarize()

    def summarize(self) -> None:
        """Work out `all_closed` and `all_ended`; needed after the tables were filled from stored ones."""
        ended = sorted(((*span, day) for day, span in self.ended.items()), key=lambda each: -each[1])
        self.set("all_closed", frozenset(self.closed))
        self.set("all_ended", tuple(ended))

    def rows(self) -> list[dict[str, Any]]:
        """Return the days in order."""
        return [
            {"trading_day": day, "first_seq": s.first_seq, "last_seq": s.last_seq, "closed": self.closed.get(day)}
            for day, s in sorted(self.spans.items())
        ]
