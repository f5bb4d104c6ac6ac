"""The content of the page about a trading day: rows as in `--json`, for tables and as inert JSON."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from oms_es.audit.replay import DayReport, replay
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
from oms_es.projections.as_of import as_corrected
from oms_es.projections.positions import Positions
from oms_es.projections.rows import FILL, OrderFill, order_row, quarantine_row
from oms_es.projections.state import State
from oms_es.queries.answers import event_words, position_rows
from oms_es.queries.explain import parts_of, why_row
from oms_es.queries.queries import Basis, narrowed
from oms_es.report.tracks import Track, event_time_track
from oms_es.vocabulary import OrderState, TradingLevel

Row = dict[str, Any]
CHECKED = 20_000  # events of a day that are decided again without being asked to
MOST_VERDICTS = 2_000  # of accepted orders; refused ones always have theirs
_FACTS = Positions.topics()


class DaySource(Struct, frozen=True, kw_only=True):
    """The events of a trading day, and what came before; from a log or from a day archive."""

    name: str  # of the file
    opening: Callable[[], State]  # a new copy of the state before `events` for each call
    events: Iterable[Recorded]  # up to `last_seq`; the day is the last part of them
    trading_day: str
    first_seq: int  # of the day
    last_seq: int
    log_seq: int  # the last event of the log, or of the archive
    chain: str  # hex, after `last_seq`
    account: str | None = None
    check: bool | None = None  # decide the commands of the day again; None: up to `CHECKED` events


class DayContent(Struct, kw_only=True):
    """What the page shows of a trading day; rows have the keys of `--json`."""

    source: DaySource
    basis: Basis
    report: DayReport
    checked: int | None  # commands decided again; None: not done
    divergent: int
    positions: list[Row]
    days: list[Row]  # rows of `oms pnl`
    orders: list[Row]
    fills: list[Row]
    events: list[Row]  # of `oms tail`, without their data
    quarantine: list[Row]
    why: list[Row]
    verdicts: list[Row]
    tracks: dict[str, Track]  # by clock: "recorded", "event"
    spans: list[Row]  # where the clocks differ: account, symbol, first and last seq
    ticks: list[Row]  # seq and kind of rejections, late fills and halts
    exceptions: dict[str, list[int]]  # seqs by kind


def content_of(source: DaySource) -> DayContent:
    """Return the content of the page about a trading day."""
    watch = _Watch(source)
    state = source.opening()
    check = source.last_seq - source.first_seq < CHECKED if source.check is None else source.check
    found = replay(
        source.events, state, day=source.trading_day, account=source.account, check=check, watcher=watch, digests=False
    )
    positions, method = state.positions, state.positions.method
    report = next((each for each in found.days if each.trading_day == source.trading_day), None)
    basis = Basis(seq=source.last_seq, as_of=None, known_at=None, method=method, log_seq=source.log_seq, past_end=False)
    orders = [each for each in state.orders.sorted() if watch.concerns(each)]
    end = max([watch.now, *(mark.at for mark in positions.marks.values())])
    parts = parts_of(positions, watch.facts, source.account)
    waiting = [quarantine_row(each, watch.now) for each in state.orders.all_waiting()]
    return DayContent(
        source=source,
        basis=basis,
        report=report or DayReport(trading_day=source.trading_day),
        checked=None if found.checked is None else found.checked.total(),
        divergent=len(found.divergent),
        positions=narrowed(position_rows(positions, end), None, source.account),
        days=[
            row
            for row in narrowed(positions.day_rows(), None, source.account)
            if row["trading_day"] == source.trading_day
        ],
        orders=[order_row(each) for each in orders],
        fills=_fills(orders, source.first_seq),
        events=watch.events,
        quarantine=narrowed(waiting, None, source.account),
        why=[why_row(each) for each in parts],
        verdicts=watch.verdicts,
        tracks={"recorded": watch.track, "event": _event_track(source, watch, state)},
        spans=watch.spans(),
        ticks=watch.ticks,
        exceptions=watch.exceptions,
    )


def _fills(orders: Sequence[Order], first_seq: int) -> list[Row]:
    found = [OrderFill(order, fill) for order in orders for fill in order.fills if fill.seq >= first_seq]
    return [FILL.row(each) for each in sorted(found, key=lambda each: each.fill.seq)]


def _event_track(source: DaySource, watch: "_Watch", state: State) -> Track:
    """Return the track by event time: with all that is known at the end of the day."""
    opening = source.opening().positions
    method, first = state.positions.method, watch.facts[0] if watch.facts else None
    if opening.method is not method and first is not None:
        opening.follow(method, first)
    facts = sorted(as_corrected(watch.facts), key=lambda each: (each.effective_at, each.seq))
    track = Track(source.trading_day, source.account)
    return event_time_track(opening, facts, track, watch.place, source.first_seq)


class _Watch:
    """Collects the rows of the day during a replay."""

    def __init__(self, source: DaySource) -> None:
        self.track = Track(source.trading_day, source.account)
        self.facts: list[Recorded] = []  # of all days
        self.events: list[Row] = []
        self.verdicts: list[Row] = []
        self.ticks: list[Row] = []
        self.exceptions: dict[str, list[int]] = {
            name: [] for name in ("refused", "late", "busted", "corrected", "quarantined")
        }
        self.now = 0  # the effective time of the last event
        self._source = source
        self._heard: list[int] = []  # the latest effective time: before the day, and after each of its events
        self._latest = 0
        self._touched: set[tuple[str, str]] = set()  # orders
        self._fill_at: dict[tuple[str, str, str | None], int] = {}  # a trade, and the effective time of its fill
        self._late: list[tuple[Recorded, int]] = []  # a fact, and the effective time from which it counts
        self._accepted = 0

    def before(self, state: State, group: list[Recorded]) -> None:
        """See the state before a command: begin the day, and explain what limits decide."""
        first = group[0]
        if first.seq < self._source.first_seq:
            return
        if not self._heard:
            self.track.begin(state.positions, first.seq - 1)
            self._heard.append(self._latest or _latest_of(state.positions))
        account = self._source.account
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
        if seq < self._source.first_seq:
            return
        self._heard.append(self._latest)
        self.now = recorded.effective_at
        self.track.after(state.positions, seq, recorded)
        if recorded.account in ("", self._source.account or recorded.account):
            self.events.append(_event(recorded))
            self._note(recorded, is_late=is_late)

    def _note(self, recorded: Recorded, *, is_late: bool) -> None:
        """Add an event to the exceptions of the day."""
        event, seq = recorded.event, recorded.seq
        if recorded.originator_id.startswith("order/"):
            self._touched.add((recorded.account, recorded.originator_id.split("/", 2)[2]))
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
        is_wanted = self._source.account in (None, order.account)
        return is_wanted and ((order.account, order.order_id) in self._touched or order.is_open)

    def place(self, moment: int) -> int | None:
        """Return the first event by which the log had heard of a moment; None if that is after the day."""
        found = bisect_left(self._heard, moment)
        return None if found == len(self._heard) else self._source.first_seq - 1 + found

    def spans(self) -> list[Row]:
        """Return where the clocks differ: from when a fact was true to when it was recorded."""
        rows = []
        for recorded, true_from in self._late:
            first = max(self.place(true_from) or recorded.seq, self._source.first_seq)
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
