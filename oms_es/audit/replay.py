"""
A trading day again: what happened, what it came to, and whether the code would decide the same.

Everything is folded from zero by the same `apply` as live; nothing is written. A day's figures are those of the
events booked on it; its digest is of the whole state after its last event.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct, field

from oms_es.audit.high_water import HighWaterMarks
from oms_es.audit.redecide import Divergence, by_command, is_input, redecide
from oms_es.domain.command_of import command_of
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import (
    AmendRefused,
    DayClosed,
    FillAdded,
    FillBusted,
    FillCorrected,
    FillQuarantined,
    OrderSubmitted,
    StateChanged,
)
from oms_es.log.contract import Log
from oms_es.projections.state import State
from oms_es.vocabulary import EVERY_ACCOUNT, CostMethod, OrderState

Progress = Callable[[int], None]  # events taken in


class DayReport(Struct, kw_only=True):
    """What a trading day came to."""

    trading_day: str
    events: int = 0
    commands: int = 0
    first_seq: int = 0
    last_seq: int = 0
    submitted: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)  # transitions into a done state, by that state
    fills: int = 0
    late: int = 0  # fills after the order was done, or after their own day was closed
    late_facts: int = 0  # events told for a trading day that was closed before
    busted: int = 0
    corrected: int = 0
    quarantined: int = 0
    refusals: Counter[str] = field(default_factory=Counter)  # by the code of the check
    reached: HighWaterMarks = field(default_factory=HighWaterMarks)
    pnl: list[dict[str, Any]] = field(default_factory=list)  # rows of `oms pnl`
    waiting: int = 0  # in quarantine at the day's end
    closed: bool = False
    differing: list[str] = field(default_factory=list)  # what a closed day's digests no longer come to
    digest: str = ""

    def rows(self) -> dict[str, Any]:
        """Return the day as it stands in JSON."""
        reached = {
            name: {key: reach.row() for key, reach in sorted(part.items())}
            for name, part in (("worst_loss", self.reached.worst_loss), ("largest_exposure", self.reached.exposure))
        }
        return {
            "trading_day": self.trading_day,
            "events": self.events,
            "digest": self.digest,
            "commands": self.commands,
            "first_seq": self.first_seq,
            "last_seq": self.last_seq,
            "orders": {"submitted": self.submitted, **dict(sorted(self.outcomes.items()))},
            "fills": self.fills,
            "late": self.late,
            "late_facts": self.late_facts,
            "busted": self.busted,
            "corrected": self.corrected,
            "refusals": dict(sorted(self.refusals.items())),
            "quarantined": self.quarantined,
            "waiting": self.waiting,
            **reached,
            "closed": self.closed,
            "differing": self.differing,
            "pnl": self.pnl,
        }


class Replay(Struct, kw_only=True):
    """What a replay saw."""

    events: int = 0
    digest: str = ""
    waiting: int = 0  # fills in quarantine at the end
    days: list[DayReport] = field(default_factory=list)
    checked: Counter[str] | None = None  # commands decided again, by kind
    divergent: list[Divergence] = field(default_factory=list)

    def rows(self) -> dict[str, Any]:
        """Return the replay as it stands in JSON."""
        check = None
        if self.checked is not None:
            check = {
                "commands": self.checked.total(),
                "divergent": len(self.divergent),
                "kinds": dict(sorted(self.checked.items())),
                "first": None if not self.divergent else _divergence(self.divergent[0]),
            }
        return {
            "events": self.events,
            "digest": self.digest,
            "days": [day.rows() for day in self.days],
            "check": check,
        }


def _divergence(found: Divergence) -> dict[str, Any]:
    return {
        "seq": found.seq,
        "command": found.command,
        "recorded": found.recorded,
        "decided": found.decided,
        "error": found.error,
        "state": found.state,
    }


def replay(
    events: Iterable[Recorded],
    *,
    method: CostMethod = CostMethod.FIFO,
    day: str | None = None,
    account: str | None = None,
    check: bool = False,
    progress: Progress | None = None,
) -> Replay:
    """
    Fold a log and tell what each day came to.

    Args:
        events: the log from its first event on, where a day is named to its end (`end_of_day`).
        method: the cost method of the state.
        day: only report this trading day (everything before it is folded too).
        account: only count this account's events; the state, and so the digest, is of all.
        check: decide every command (of the day, where one is named) again, and compare.
        progress: called now and then.
    """
    return replay_from(events, State(method), day=day, account=account, check=check, progress=progress)


def replay_from(
    events: Iterable[Recorded],
    state: State,
    *,
    day: str | None = None,
    account: str | None = None,
    check: bool = False,
    progress: Progress | None = None,
    keep: Callable[[State], None] = lambda _: None,
) -> Replay:
    """
    Fold events on from a state, as `replay` does from nothing.

    `keep` is given the state that a day was closed on, where it comes to the digests of then.
    """
    seen = _Replayer(state, day, account, check=check, keep=keep)
    for number, group in enumerate(by_command(events)):
        seen.take(group)
        if progress is not None and number % 500 == 0:
            progress(group[-1].seq)
    return seen.finished()


def end_of_day(log: Log, day: str) -> int:
    """Return the seq of the last event booked on a trading day, or of the one that closed it; 0 for no such day."""
    closings = (each for each in log.stream(f"day/{EVERY_ACCOUNT}") if isinstance(each.event, DayClosed))
    closed = (each.seq for each in closings if getattr(each.event, "trading_day", "") == day)
    last = log.last_of_day(day)
    return max([last, *closed]) if last else 0


class _Replayer:
    def __init__(
        self, state: State, day: str | None, account: str | None, *, check: bool, keep: Callable[[State], None]
    ) -> None:
        self._keep = keep
        self._state, self._only, self._account = state, day, account
        self._days: dict[str, DayReport] = {}
        self._current: str | None = None
        self._result = Replay(checked=Counter() if check else None)

    def take(self, group: list[Recorded]) -> None:
        asked = self._only in (None, group[0].trading_day) and not is_input(group[0].event)
        if self._result.checked is not None and asked:
            kind = type(command_of([each.event for each in group])).__name__
            self._result.checked[kind] += 1
            found = redecide(self._state, group)
            if found is not None:
                self._result.divergent.append(found)
        if isinstance(group[0].event, DayClosed):
            self._close(group[0].event)
        self._turn(group[0].trading_day)
        for each in group:
            self._state.apply(each)
            self._count(each)
        self._state.commit()
        self._days[group[-1].trading_day].reached.take(self._state, group, self._account)

    def _turn(self, trading_day: str) -> None:
        """Close the books of the day before when another one begins."""
        if trading_day != self._current:
            if self._current is not None:
                self._end(self._days[self._current])
            self._current = trading_day
            self._days.setdefault(trading_day, DayReport(trading_day=trading_day))

    def _close(self, event: DayClosed) -> None:
        """Hold a closed day to the digests it was closed with."""
        day, found = self._days.get(event.trading_day), self._state.closing_digests()
        if found == event.digests:
            self._keep(self._state)
        if day is not None:
            day.closed = True
            day.differing = sorted(name for name, digest in event.digests.items() if found.get(name) != digest)

    def _end(self, day: DayReport) -> None:
        day.waiting = len(self._state.orders.all_waiting())
        if self._only in (None, day.trading_day):
            day.digest = self._state.digest()

    def finished(self) -> Replay:
        if self._current is not None:
            self._end(self._days[self._current])
        rows = self._state.positions.day_rows()
        for day in self._days.values():
            mine = [row for row in rows if row["trading_day"] == day.trading_day]
            day.pnl = [row for row in mine if self._account in (None, row["account"])]
        self._result.events = self._state.seq
        self._result.digest = self._state.digest()
        self._result.waiting = len(self._state.orders.all_waiting())
        self._result.days = [
            day for name, day in sorted(self._days.items()) if self._only in (None, name) and day.events
        ]
        return self._result

    # --- counting ---

    def _count(self, at: Recorded) -> None:
        if self._account is not None and at.account not in ("", self._account):
            return
        day, event = self._days[at.trading_day] if at.trading_day in self._days else self._other(at), at.event
        day.events += 1
        day.commands += at.begins_command
        day.first_seq, day.last_seq = day.first_seq or at.seq, at.seq
        day.submitted += isinstance(event, OrderSubmitted)
        day.fills += isinstance(event, FillAdded)
        day.late += isinstance(event, FillAdded) and event.late
        day.late_facts += getattr(event, "late_for", None) is not None
        day.busted += isinstance(event, FillBusted)
        day.corrected += isinstance(event, FillCorrected)
        day.quarantined += isinstance(event, FillQuarantined)
        if isinstance(event, StateChanged) and event.new.is_terminal:
            day.outcomes[event.new.value] += 1
        if isinstance(event, StateChanged) and event.old.is_terminal:
            day.outcomes["reopened"] += 1
        refused = isinstance(event, AmendRefused) or (
            isinstance(event, StateChanged) and event.new is OrderState.REJECTED
        )
        if refused and isinstance(event, AmendRefused | StateChanged):
            day.refusals.update(text.partition(":")[0] for text in event.violations)

    def _other(self, at: Recorded) -> DayReport:
        return self._days.setdefault(at.trading_day, DayReport(trading_day=at.trading_day))
