"""Trading days: which events were booked on them, and which of them are closed."""

from typing import Any

from msgspec import Struct

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import DayClosed
from oms_es.projections.projection import Projection, on
from oms_es.projections.staging import StagedDict

ClosedSpan = tuple[int, int, str]  # begin and end (ns UTC) of what belongs to a closed trading day, and its name


class DaySpan(Struct, frozen=True):
    """The events of a trading day."""

    first_seq: int
    last_seq: int
    events: int


class Days(Projection):
    """What was booked when; it lives on every event."""

    def __init__(self) -> None:
        self.spans: StagedDict[str, DaySpan] = StagedDict()
        self.closed: StagedDict[str, int] = StagedDict()  # trading day → seq of its `DayClosed`
        self.ended: StagedDict[str, tuple[int, int]] = (
            StagedDict()
        )  # closed trading day → begin and end of what belongs to it
        self._known: frozenset[str] = frozenset()
        self._known_spans: tuple[ClosedSpan, ...] = ()

    def apply(self, recorded: Recorded) -> None:
        """Take one event in."""
        day, was = recorded.trading_day, self.spans.get(recorded.trading_day)
        first = recorded.seq if was is None else was.first_seq
        self.spans[day] = DaySpan(first, recorded.seq, 1 if was is None else was.events + 1)
        super().apply(recorded)

    @on(DayClosed)
    def _closed(self, event: DayClosed, at: Recorded) -> None:
        self.closed[event.trading_day] = at.seq
        if event.ends_at:
            self.ended[event.trading_day] = (event.begins_at, event.ends_at)

    def all_closed(self) -> frozenset[str]:
        """Return the days that are closed, a pending closing included."""
        if pending := self.closed.pending():
            return frozenset((*self.closed.committed, *pending))
        if len(self._known) != len(self.closed):
            self._known = frozenset(self.closed.committed)
        return self._known

    def all_ended(self) -> tuple[ClosedSpan, ...]:
        """Return begin, end and name of the days that are closed, the one that ends last first; pending ones too."""
        if pending := self.ended.pending():
            return _last_first({**self.ended.committed, **{day: self.ended.get(day) or (0, 0) for day in pending}})
        if len(self._known_spans) != len(self.ended):
            self._known_spans = _last_first(self.ended.committed)
        return self._known_spans

    def rows(self) -> list[dict[str, Any]]:
        """Return the days in order."""
        return [
            {"trading_day": day, "first_seq": s.first_seq, "last_seq": s.last_seq, "closed": self.closed.get(day)}
            for day, s in sorted(self.spans.committed.items())
        ]


def _last_first(ended: dict[str, tuple[int, int]]) -> tuple[ClosedSpan, ...]:
    return tuple(sorted(((*span, day) for day, span in ended.items()), key=lambda each: -each[1]))
