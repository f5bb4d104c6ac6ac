"""Trading days: which events were booked on them, and which of them are closed."""

from typing import Any

from msgspec import Struct

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import DayClosed
from oms_es.projections.projection import Projection, on
from oms_es.projections.staging import Cells

Shut = tuple[int, int, str]  # begin and end (ns UTC) of what belongs to a closed trading day, and its name


class Span(Struct, frozen=True):
    """The events of a trading day."""

    first_seq: int
    last_seq: int
    events: int


class Days(Projection):
    """What was booked when; it lives on every event."""

    def __init__(self) -> None:
        self.spans: Cells[str, Span] = Cells()
        self.closed: Cells[str, int] = Cells()  # trading day → seq of its `DayClosed`
        self.ended: Cells[str, tuple[int, int]] = Cells()  # closed trading day → begin and end of what belongs to it
        self._known: frozenset[str] = frozenset()
        self._known_spans: tuple[Shut, ...] = ()

    def apply(self, recorded: Recorded) -> None:
        """Take one event in."""
        day, was = recorded.trading_day, self.spans.get(recorded.trading_day)
        first = recorded.seq if was is None else was.first_seq
        self.spans[day] = Span(first, recorded.seq, 1 if was is None else was.events + 1)
        super().apply(recorded)

    @on(DayClosed)
    def _closed(self, event: DayClosed, at: Recorded) -> None:
        self.closed[event.trading_day] = at.seq
        if event.ends_at:
            self.ended[event.trading_day] = (event.begins_at, event.ends_at)

    def all_closed(self) -> frozenset[str]:
        """Return the days that are closed, a staged closing included."""
        if staged := self.closed.staged():
            return frozenset((*self.closed.settled, *staged))
        if len(self._known) != len(self.closed):
            self._known = frozenset(self.closed.settled)
        return self._known

    def all_ended(self) -> tuple[Shut, ...]:
        """Return begin, end and name of the days that are closed, the one that ends last first; staged ones too."""
        if staged := self.ended.staged():
            return _last_first({**self.ended.settled, **{day: self.ended.get(day) or (0, 0) for day in staged}})
        if len(self._known_spans) != len(self.ended):
            self._known_spans = _last_first(self.ended.settled)
        return self._known_spans

    def rows(self) -> list[dict[str, Any]]:
        """Return the days in order."""
        return [
            {"trading_day": day, "first_seq": s.first_seq, "last_seq": s.last_seq, "closed": self.closed.get(day)}
            for day, s in sorted(self.spans.settled.items())
        ]


def _last_first(ended: dict[str, tuple[int, int]]) -> tuple[Shut, ...]:
    return tuple(sorted(((*span, day) for day, span in ended.items()), key=lambda each: -each[1]))
