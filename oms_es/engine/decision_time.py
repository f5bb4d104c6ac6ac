"""The time of a decision: our clock, the trading day, and the times of its events."""

from collections.abc import Sequence
from datetime import date, timedelta

from msgspec import Struct
from msgspec.structs import replace

from oms_es.domain.commands import Request
from oms_es.domain.envelope import Draft
from oms_es.domain.events import AccountEvent, Event, FillAdded
from oms_es.domain.policy import DECISION_RULES_VERSION, Policy
from oms_es.errors import DayIsClosed, InvalidInput
from oms_es.identifiers import shown
from oms_es.projections.state import State
from oms_es.projections.trading_days import ClosedSpan
from oms_es.timestamps import calendar, nanoseconds, trading_day
from oms_es.vocabulary import EVERY_ACCOUNT, Origin


class DecisionTime(Struct, frozen=True, kw_only=True):
    """The time of a decision."""

    now: int  # our clock, never behind that of the last event; ns UTC
    behind: int = 0  # ns that our clock was behind that of the last event
    head: int = 0  # recorded_at of the last event; ahead of `now` only after a clock was accepted
    overtime: str | None = None  # RISK_TIMEOUT, where the checks took too long; a replay repeats the recorded one
    rules: int = DECISION_RULES_VERSION  # the version of the decision rules; a replay uses that of the log
    calendar: Policy  # its day settings give the trading day
    closed: frozenset[str] = frozenset()  # closed trading days
    ended: tuple[ClosedSpan, ...] = ()  # their begin and end, the one that ends last first

    @classmethod
    def of(cls, clock: int, state: State, fallback: Policy) -> "DecisionTime":
        """
        Return the decision time for a reading of our clock.

        Raises:
            InvalidInput: the reading is not an int of ns UTC.
        """
        if type(clock) is not int:
            raise InvalidInput(f"clock: {shown(clock)} ({type(clock).__name__}) is no time; a clock gives int ns UTC")
        clock = nanoseconds(clock, "clock")
        rules = state.policies.policy(EVERY_ACCOUNT) if state.policies.is_set else fallback
        return cls(
            now=max(clock, state.clock),
            behind=max(0, state.clock - clock),
            head=state.recorded_at,
            calendar=rules,
            closed=state.days.all_closed,
            ended=state.days.all_ended,
        )

    @property
    def recorded_at(self) -> int:
        """Return the time at which the events are recorded, which never runs backwards."""
        return max(self.now, self.head)

    def day_of(self, instant: int) -> str:
        """Return the trading day that an instant is booked on: its own, or the next that is not closed."""
        day = self.day_by_roll(instant)
        while day in self.closed:
            day = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
        return day

    def closed_day_of(self, instant: int) -> str | None:
        """Return the closed trading day that a moment belongs to; None when its day is open."""
        if not self.ended or instant >= self.ended[0][1]:
            return None
        return next((day for begin, end, day in self.ended if begin <= instant < end), None)

    def span_of(self, trading_day: str) -> tuple[int, int]:
        """
        Return begin and end (ns UTC) of a trading day that is closed now.

        It begins where the day before ended, if that was closed early, and ends now if its roll has not come yet.
        """
        begin, end = calendar(self.calendar.timezone, self.calendar.roll, self.calendar.label).span_of(trading_day)
        before = (date.fromisoformat(trading_day) - timedelta(days=1)).isoformat()
        early = (ended for _, ended, day in self.ended if day == before)
        return min([begin, *early]), min(end, self.now)

    def day_by_roll(self, instant: int) -> str:
        """Return the trading day of an instant, closed or not."""
        rules = self.calendar
        return trading_day(instant, rules.timezone, rules.roll, rules.label)


def drafts(
    timed: Sequence[tuple[Event, int, int]], request: Request, moment: DecisionTime, origin: Origin | None = None
) -> list[Draft]:
    """Return events with their times as drafts of one command."""
    imported = request.origin is Origin.IMPORT
    if imported and timed and moment.closed and (day := moment.day_by_roll(timed[0][1])) in moment.closed:
        raise DayIsClosed(f"trading day {day} is closed; history for it is refused")
    found: list[Draft] = []
    now, command_id = moment.now, request.command_id or ""
    clamps = not imported and moment.rules >= 3  # nothing is in force before it is recorded
    origin = request.origin if imported or origin is None else origin
    day, recorded_at = "" if imported else moment.day_of(now), moment.recorded_at
    for event, occurred_at, effective_at in timed:
        found.append(
            Draft(
                event=_with_clock(event if imported else _flagged(event, occurred_at, moment), moment),
                origin=origin,
                occurred_at=occurred_at,
                effective_at=now if clamps and effective_at > now else effective_at,
                recorded_at=recorded_at,
                trading_day=moment.day_of(occurred_at) if imported else day,
                command_id=None if found else command_id,
            )
        )
    return found


def _with_clock(event: Event, moment: DecisionTime) -> Event:
    """Return the event with our clock, where it is recorded at a time ahead of it."""
    return event if moment.head <= moment.now else replace(event, clock=moment.now)


def _flagged(event: Event, occurred_at: int, moment: DecisionTime) -> Event:
    """Return the event with the flags of its decision time: `clamped`, `ahead`, `late_for`."""
    if moment.behind > 0:
        event = replace(event, clamped=True)
    if moment.rules >= 3 and occurred_at > moment.now and hasattr(event, "ahead"):
        event = replace(event, ahead=True)
    if moment.ended and not isinstance(event, AccountEvent) and (day := moment.closed_day_of(occurred_at)) is not None:
        event = replace(event, late_for=day, **({"late": True} if isinstance(event, FillAdded) else {}))
    return event
