"""What the page collects during the replay of a day: rows, explanations, and where the two clocks differ."""

from bisect import bisect_left
from typing import Any

from oms_es.audit.why_order import judged, verdict_on, verdict_row
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import (
    AmendRefused,
    FillAdded,
    FillBusted,
    FillCorrected,
    FillQuarantined,
    StateChanged,
    TradingLevelChanged,
)
from oms_es.domain.order import Order
from oms_es.projections.positions import Positions
from oms_es.projections.state import State
from oms_es.queries.answers import event_words
from oms_es.report.tracks import Track
from oms_es.vocabulary import OrderState, TradingLevel

Row = dict[str, Any]
MOST_VERDICTS = 2_000  # of accepted orders; refused ones always have theirs
_FACTS = Positions.topics()


class Watch:
    """
    Collects the rows of a day during a replay.

    Args:
        trading_day: the day.
        account: only rows of this account; None: of all.
        first_seq: the first event of the day.
    """

    def __init__(self, trading_day: str, account: str | None, first_seq: int) -> None:
        self.track = Track(trading_day, account)
        self.facts: list[Recorded] = []  # of all days
        self.events: list[Row] = []
        self.verdicts: list[Row] = []
        self.ticks: list[Row] = []
        self.exceptions: dict[str, list[int]] = {
            name: [] for name in ("refused", "late", "busted", "corrected", "quarantined")
        }
        self.now = 0  # the effective time of the last event
        self._account, self._first_seq = account, first_seq
        self._heard: list[int] = []  # the latest effective time: before the day, and after each of its events
        self._latest = 0
        self.touched: dict[tuple[str, str], int] = {}  # orders of the day, and the last event of each
        self._fill_at: dict[tuple[str, str, str | None], int] = {}  # a trade, and the effective time of its fill
        self._late: list[tuple[Recorded, int]] = []  # a fact, and the effective time from which it counts
        self._accepted = 0

    def before(self, state: State, group: list[Recorded]) -> None:
        """See the state before a command: begin the day, and explain what limits decide."""
        first = group[0]
        if first.seq < self._first_seq:
            return
        if not self._heard:
            self.track.begin(state.positions, first.seq - 1)
            self._heard.append(self._latest or _latest_of(state.positions))
        account = self._account
        if account in (None, first.account) and judged(group):
            refused = any(getattr(each.event, "violations", ()) for each in group)
            self._accepted += not refused
            verdict = verdict_on(state, group) if refused or self._accepted <= MOST_VERDICTS else None
            if verdict is not None:
                name = {"account": first.account, "order_id": first.originator_id.split("/", 2)[2]}
                self.verdicts.append({**name, **verdict_row(verdict)})

    def after(self, state: State, recorded: Recorded) -> None:
        """See the state after an event."""
        event, seq = recorded.event, recorded.seq
        if type(event).__name__ in _FACTS:
            self.facts.append(recorded)
        if isinstance(event, FillAdded):
            self._fill_at[event.account, event.order_id, event.trade_id] = recorded.effective_at
        is_late = recorded.effective_at < self._latest
        self._latest = max(self._latest, recorded.effective_at)
        if seq < self._first_seq:
            return
        self._heard.append(self._latest)
        self.now = recorded.effective_at
        self.track.after(state.positions, seq, recorded)
        if recorded.account in ("", self._account or recorded.account):
            self.events.append(_event(recorded))
            self._note(recorded, is_late=is_late)

    def _note(self, recorded: Recorded, *, is_late: bool) -> None:
        """Add an event to the exceptions of the day."""
        event, seq = recorded.event, recorded.seq
        if recorded.originator_id.startswith("order/"):
            self.touched[recorded.account, recorded.originator_id.split("/", 2)[2]] = seq
        if isinstance(event, FillAdded) and is_late:
            self._late.append((recorded, recorded.effective_at))
        if isinstance(event, FillAdded) and event.late:
            self._except("late", seq)
        elif isinstance(event, FillBusted | FillCorrected):
            trade = (event.account, event.booked_as or event.order_id, event.trade_id)
            self._late.append((recorded, self._fill_at.get(trade, 0)))
            self._except("busted" if isinstance(event, FillBusted) else "corrected", seq)
        elif isinstance(event, FillQuarantined):
            self._except("quarantined", seq)
        elif isinstance(event, AmendRefused) or (isinstance(event, StateChanged) and event.new is OrderState.REJECTED):
            self._except("refused", seq)
        elif isinstance(event, TradingLevelChanged):
            is_halt = event.level is not TradingLevel.NORMAL
            self.ticks.append({"seq": seq, "kind": "halt" if is_halt else "resume"})

    def _except(self, kind: str, seq: int) -> None:
        self.exceptions[kind].append(seq)
        if kind in ("refused", "late"):
            self.ticks.append({"seq": seq, "kind": kind})

    def concerns(self, order: Order) -> bool:
        """Return whether an order has an event on the day, or is open at its end."""
        is_wanted = self._account in (None, order.account)
        return is_wanted and ((order.account, order.order_id) in self.touched or order.is_open)

    def place(self, moment: int) -> int | None:
        """Return the first event by which the log had heard of a moment; None if that is after the day."""
        found = bisect_left(self._heard, moment)
        return None if found == len(self._heard) else self._first_seq - 1 + found

    def spans(self) -> list[Row]:
        """Return where the clocks differ: from when a fact was true to when it was recorded."""
        rows = []
        for recorded, true_from in self._late:
            first = max(self.place(true_from) or recorded.seq, self._first_seq)
            if first < recorded.seq:
                event = recorded.event
                names = {"account": recorded.account, "symbol": getattr(event, "symbol", "")}
                rows.append({**names, "from": first, "to": recorded.seq, "event": type(event).__name__})
        return rows


def _event(recorded: Recorded) -> Row:
    """Return an event as in `oms tail --json`, without its data and its command id."""
    row = {"stream": recorded.originator_id, **event_words(recorded)}
    del row["command_id"]
    return row


def _latest_of(positions: Positions) -> int:
    """Return the latest effective time of a fill or mark."""
    fills = (held.updated_at for _, held in positions.sorted())
    return max([0, *fills, *(mark.at for mark in positions.marks.values())])
