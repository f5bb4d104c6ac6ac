"""
Replays trading days: their events, their result, and whether the code decides the same again.

All events are folded by the same `apply` as live; nothing is written. The figures of a day are those of the events
booked on it; its digest is of the whole state after its last event.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from msgspec import Struct, field
from msgspec.structs import asdict

from oms_es.audit.high_water import HighWaterMark, HighWaterMarks
from oms_es.audit.redecide import Divergence, by_command, is_input, redecide
from oms_es.domain.command_of import command_of
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import (
    AmendRefused,
    DayClosed,
    Event,
    FillAdded,
    FillBusted,
    FillCorrected,
    FillQuarantined,
    OrderSubmitted,
    StateChanged,
)
from oms_es.log.contract import Log
from oms_es.projections.state import State
from oms_es.vocabulary import EVERY_ACCOUNT, OrderState


class DayReport(Struct, kw_only=True):
    """The report of a trading day."""

    trading_day: str
    events: int = 0
    digest: str = ""
    commands: int = 0
    first_seq: int = 0
    last_seq: int = 0
    orders: Counter[str] = field(default_factory=Counter)  # "submitted", "reopened", and each terminal state
    fills: int = 0
    late: int = 0  # fills after the end of their order or of their own, closed day
    late_facts: int = 0  # events of a trading day that was closed before
    busted: int = 0
    corrected: int = 0
    refusals: Counter[str] = field(default_factory=Counter)  # by the code of the check
    quarantined: int = 0
    waiting: int = 0  # in quarantine at the end of the day
    worst_loss: dict[str, HighWaterMark] = field(default_factory=dict)
    largest_exposure: dict[str, HighWaterMark] = field(default_factory=dict)
    closed: bool = False
    differing: list[str] = field(default_factory=list)  # digests of a closed day that no longer match
    pnl: list[dict[str, Any]] = field(default_factory=list)  # rows of `oms pnl`

    def rows(self) -> dict[str, Any]:
        """Return the day as in JSON."""
        return {
            **asdict(self),
            "orders": {"submitted": self.orders["submitted"], **dict(sorted(self.orders.items()))},
            "refusals": dict(sorted(self.refusals.items())),
            "worst_loss": {key: asdict(mark) for key, mark in sorted(self.worst_loss.items())},
            "largest_exposure": {key: asdict(mark) for key, mark in sorted(self.largest_exposure.items())},
        }


class Replay(Struct, kw_only=True):
    """The report of a replay."""

    events: int = 0
    digest: str = ""
    waiting: int = 0  # fills in quarantine at the end
    days: list[DayReport] = field(default_factory=list)
    checked: Counter[str] | None = None  # commands decided again, by kind
    divergent: list[Divergence] = field(default_factory=list)

    def rows(self) -> dict[str, Any]:
        """Return the replay as in JSON."""
        check = None
        if self.checked is not None:
            check = {
                "commands": self.checked.total(),
                "divergent": len(self.divergent),
                "kinds": dict(sorted(self.checked.items())),
                "first": None if not self.divergent else asdict(self.divergent[0]),
            }
        return {
            "events": self.events,
            "digest": self.digest,
            "days": [day.rows() for day in self.days],
            "check": check,
        }


class Watcher(Protocol):
    """Sees the state during a replay, and does not change it."""

    def before(self, state: State, group: list[Recorded]) -> None:
        """See the state before the events of a command."""

    def after(self, state: State, recorded: Recorded) -> None:
        """See the state after an event."""


def replay(
    events: Iterable[Recorded],
    state: State | None = None,
    *,
    day: str | None = None,
    account: str | None = None,
    check: bool = False,
    keep: Callable[[State], None] = lambda _: None,
    watcher: Watcher | None = None,
    digests: bool = True,
) -> Replay:
    """
    Fold events and report each trading day.

    Args:
        events: the log after `state`, to the end of `day` (`end_of_day`) if one is named.
        state: the state before the events; None: they are the first.
        day: report only this trading day; the days before it are folded too.
        account: count only the events of this account; state and digest are of all accounts.
        check: decide every command (of `day`) again, and compare.
        keep: called with the state on which a day was closed, if it has the digests of the closing.
        watcher: sees the state at each event.
        digests: whether the digests of the state are computed; they take as long as a third of the replay.
    """
    replayer = Replayer(State() if state is None else state, day, account, check=check, keep=keep)
    replayer.watcher, replayer.digests = watcher, digests
    with replayer.state.undo.off():
        for group in by_command(events):
            replayer.take(group)
    return replayer.finished()


def end_of_day(log: Log, day: str) -> int:
    """Return the seq of the last event booked on a trading day, or of the one that closed it; 0 for no such day."""
    closings = log.stream(f"day/{EVERY_ACCOUNT}")
    closed = (each.seq for each in closings if isinstance(each.event, DayClosed) and each.event.trading_day == day)
    last = log.last_of_day(day)
    return max([last, *closed]) if last else 0


_DONE = frozenset(state for state in OrderState if state.is_terminal)
_COUNTED: dict[type[Event], str] = {
    FillAdded: "fills",
    FillBusted: "busted",
    FillCorrected: "corrected",
    FillQuarantined: "quarantined",
}


def _count_outcome(day: DayReport, event: StateChanged | AmendRefused) -> None:
    if isinstance(event, StateChanged):
        if event.new in _DONE:
            day.orders[event.new.value] += 1
        if event.old in _DONE:
            day.orders["reopened"] += 1
    if event.violations:
        day.refusals.update(text.partition(":")[0] for text in event.violations)


class Replayer:
    """A replay, command by command; the arguments are those of `replay`."""

    watcher: Watcher | None = None
    digests = True

    def __init__(
        self,
        state: State,
        day: str | None,
        account: str | None,
        *,
        check: bool,
        keep: Callable[[State], None] = lambda _: None,
    ) -> None:
        self._keep = keep
        self.state, self._only, self._account = state, day, account
        self._days: dict[str, DayReport] = {}
        self._high_water: dict[str, HighWaterMarks] = {}
        self._current: str | None = None
        self._result = Replay(checked=Counter() if check else None)

    def take(self, group: list[Recorded]) -> None:
        """Fold the events of a command."""
        is_reported = self._only in (None, group[0].trading_day) and not is_input(group[0].event)
        if self._result.checked is not None and is_reported:
            kind = type(command_of([each.event for each in group])).__name__
            self._result.checked[kind] += 1
            found = redecide(self.state, group)
            if found is not None:
                self._result.divergent.append(found)
        if isinstance(group[0].event, DayClosed):
            self._close(group[0].event)
        self._begin_day(group[0].trading_day)
        if self.watcher is not None:
            self.watcher.before(self.state, group)
        for each in group:
            self.state.apply(each)
            self._count(each)
            if self.watcher is not None:
                self.watcher.after(self.state, each)
        self.state.commit()
        marks = self._high_water.setdefault(group[-1].trading_day, HighWaterMarks())
        marks.take(self.state, group, self._account)

    def _begin_day(self, trading_day: str) -> None:
        """End the day before when another one begins."""
        if trading_day != self._current:
            if self._current is not None:
                self._end(self._days[self._current])
            self._current = trading_day
            self._day(trading_day)

    def _close(self, event: DayClosed) -> None:
        """Check a closed day against the digests of its closing."""
        day, found = self._days.get(event.trading_day), self.state.closing_digests()
        if found == event.digests:
            self._keep(self.state)
        if day is not None:
            day.closed = True
            day.differing = sorted(name for name, digest in event.digests.items() if found.get(name) != digest)

    def _end(self, day: DayReport) -> None:
        day.waiting = len(self.state.orders.all_waiting())
        if self.digests and self._only in (None, day.trading_day):
            day.digest = self.state.digest()

    def finished(self) -> Replay:
        """Return the report up to the last command."""
        if self._current is not None:
            self._end(self._days[self._current])
        rows = self.state.positions.day_rows()
        for day in self._days.values():
            mine = [row for row in rows if row["trading_day"] == day.trading_day]
            day.pnl = [row for row in mine if self._account in (None, row["account"])]
            marks = self._high_water.get(day.trading_day, HighWaterMarks())
            day.worst_loss, day.largest_exposure = marks.worst_loss, marks.exposure
        self._result.events = self.state.seq
        self._result.digest = self.state.digest() if self.digests else ""
        self._result.waiting = len(self.state.orders.all_waiting())
        self._result.days = [
            day for name, day in sorted(self._days.items()) if self._only in (None, name) and day.events
        ]
        return self._result

    # --- counting ---

    def _count(self, at: Recorded) -> None:
        if self._account is not None and at.account not in ("", self._account):
            return
        day, event = self._day(at.trading_day), at.event
        day.events += 1
        day.commands += at.begins_command
        day.first_seq, day.last_seq = day.first_seq or at.seq, at.seq
        day.late_facts += getattr(event, "late_for", None) is not None
        kind = type(event)
        if kind is OrderSubmitted:
            day.orders["submitted"] += 1
        elif kind in _COUNTED:
            setattr(day, _COUNTED[kind], getattr(day, _COUNTED[kind]) + 1)
            day.late += isinstance(event, FillAdded) and event.late
        elif isinstance(event, StateChanged | AmendRefused):
            _count_outcome(day, event)

    def _day(self, trading_day: str) -> DayReport:
        found = self._days.get(trading_day)
        if found is None:
            found = self._days[trading_day] = DayReport(trading_day=trading_day)
        return found
