"""
Positions and P&L over time: a row per position at each point of a grid, from one fold of the log.

The points are event times with everything known at the basis: the rows at a point are those of a query as of that time.
"""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from oms_es.domain.envelope import Recorded
from oms_es.errors import InvalidInput
from oms_es.projections.positions import Positions
from oms_es.queries.answers import position_rows
from oms_es.queries.filters import RowFilter
from oms_es.queries.queries import Basis, Queries
from oms_es.timestamps import Calendar, iso

MOST_POINTS = 100_000
Row = dict[str, Any]
Sample = Callable[[Positions, int], list[Row]]


class Grid(Struct, frozen=True, kw_only=True):
    """
    The points of a series.

    They are `every` ns apart, counted from the start of the filter, or from that of the trading day of the first event;
    the last point is the end of the filter, or the last event.
    """

    every: int  # ns
    calendar: Calendar
    only: RowFilter

    def points(self, first: int, last: int) -> range:
        """Return the points for events from `first` to `last` (ns UTC), without the last one if it is off the grid."""
        begin = self.only.start
        if begin is None:
            begin = self.calendar.span_of(self.calendar.day_of(first))[0]
            begin += -(-(first - begin) // self.every) * self.every
        found = range(begin, last + 1, self.every)
        if len(found) > MOST_POINTS:
            raise InvalidInput(f"every: it makes {len(found):,} points; at most {MOST_POINTS:,} are allowed")
        return found


def position_series(queries: Queries, basis: Basis, grid: Grid) -> list[Row]:
    """Return the positions at each point, with the time of the point as `at`."""
    return _series(queries, basis, grid, position_rows)


def pnl_series(queries: Queries, basis: Basis, grid: Grid) -> list[Row]:
    """Return the P&L up to each point, of the trading day that the point is in, with its time as `at`."""

    def sample(positions: Positions, at: int) -> list[Row]:
        today = grid.calendar.day_of(at)
        return [row for row in positions.day_rows() if row["trading_day"] == today]

    return _series(queries, basis, grid, sample)


def _series(queries: Queries, basis: Basis, grid: Grid, sample: Sample) -> list[Row]:
    return grid.only.limited(
        {"at": iso(at), **row}
        for at, positions in _folded(queries.in_event_time(basis), queries.base(basis.method), grid, basis.as_of)
        for row in grid.only.named(sample(positions, at))
    )


def _folded(
    events: list[Recorded], positions: Positions, grid: Grid, as_of: int | None
) -> Iterator[tuple[int, Positions]]:
    """Yield each point with the positions at it."""
    if not events:
        return
    ends = [each for each in (grid.only.end, as_of) if each is not None]
    last = min(ends) if ends else events[-1].effective_at
    points, done = grid.points(events[0].effective_at, last), 0
    for at in points if points and points[-1] == last else (*points, last):
        begun = done
        while done < len(events) and events[done].effective_at <= at:
            done += 1
        positions.replay(events[begun:done])
        yield at, positions
