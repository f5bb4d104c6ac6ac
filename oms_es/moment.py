"""The moment of a decision: our clock, the trading day, and the times that its events bear."""

from collections.abc import Sequence
from datetime import date, timedelta

from msgspec import Struct
from msgspec.structs import replace

from oms_es.commands import Request
from oms_es.envelope import Draft
from oms_es.errors import DayIsClosed
from oms_es.events import Event
from oms_es.instants import trading_day
from oms_es.policy import Policy
from oms_es.projections.world import World
from oms_es.vocabulary import EVERY_ACCOUNT, Origin


class Moment(Struct, frozen=True, kw_only=True):
    """The moment of a decision."""

    now: int  # our clock, never behind the log's head; ns UTC: `recorded_at`
    behind: int = 0  # how far our clock was behind the log's head, ns
    overtime: str | None = None  # RISK_TIMEOUT, where judging took too long; a replay takes it as given
    calendar: Policy  # whose day settings tell the trading day
    closed: frozenset[str] = frozenset()  # trading days that have handed over to the next

    @classmethod
    def of(cls, clock: int, world: World, fallback: Policy) -> "Moment":
        """Return the moment that a reading of our clock stands for."""
        calendar = world.policies.policy(EVERY_ACCOUNT) if world.policies.is_set else fallback
        now, behind = max(clock, world.recorded_at), max(0, world.recorded_at - clock)
        return cls(now=now, behind=behind, calendar=calendar, closed=world.days.all_closed())

    def day_of(self, instant: int) -> str:
        """Return the trading day that an instant is booked on: its own, or the next that is not closed."""
        day = self.own_day_of(instant)
        while day in self.closed:
            day = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
        return day

    def own_day_of(self, instant: int) -> str:
        """Return the trading day of an instant, closed or not."""
        rules = self.calendar
        return trading_day(instant, rules.timezone, rules.roll, rules.label)


def drafts(
    timed: Sequence[tuple[Event, int, int]], request: Request, moment: Moment, origin: Origin | None = None
) -> list[Draft]:
    """Return events with their times as drafts of one command."""
    imported = request.origin is Origin.IMPORT
    found: list[Draft] = []
    if imported and timed and moment.closed and (day := moment.own_day_of(timed[0][1])) in moment.closed:
        raise DayIsClosed(f"trading day {day} is closed; history for it is refused")
    for number, (event, occurred_at, effective_at) in enumerate(timed):
        clamped = moment.behind > 0 and not imported  # of history, only its own times matter
        found.append(
            Draft(
                event=replace(event, clamped=True) if clamped else event,
                origin=request.origin if imported or origin is None else origin,
                occurred_at=occurred_at,
                effective_at=effective_at,
                recorded_at=moment.now,
                trading_day=moment.day_of(occurred_at if imported else moment.now),
                command_id=(request.command_id or "") if number == 0 else None,
            )
        )
    return found
