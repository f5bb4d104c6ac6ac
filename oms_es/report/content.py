"""The content of the page about a trading day: rows as in `--json`, for tables and as inert JSON."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from oms_es.audit.redecide import by_command
from oms_es.audit.replay import DayReport, Replayer
from oms_es.domain.envelope import Recorded
from oms_es.domain.order import Order
from oms_es.projections.as_of import as_corrected
from oms_es.projections.rows import FILL, OrderFill, order_row, quarantine_row
from oms_es.projections.state import State
from oms_es.queries.answers import position_rows
from oms_es.queries.explain import parts_of, why_row
from oms_es.queries.queries import Basis, narrowed
from oms_es.report.tracks import Track, event_time_track
from oms_es.report.watch import Watch

Row = dict[str, Any]
CHECKED = 20_000  # events of a day that are decided again without being asked to


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
    verified: str | None = None  # what a signed checkpoint proves, in words; None: it was not verified


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
    fold = DayFold(source)
    fold.take(source.events)
    return fold.content(source)


class DayFold:
    """
    A trading day that is folded event by event; the page of a growing log gets its later events.

    Args:
        source: the day; its `events` are not read here.
    """

    def __init__(self, source: DaySource) -> None:
        check = source.last_seq - source.first_seq < CHECKED if source.check is None else source.check
        self.watch = Watch(source.trading_day, source.account, source.first_seq)
        self._state = source.opening()
        self._replayer = Replayer(self._state, source.trading_day, source.account, check=check)
        self._replayer.watcher, self._replayer.digests = self.watch, False

    def take(self, events: Iterable[Recorded]) -> None:
        """Fold the events of whole commands."""
        with self._state.undo.off():
            for group in by_command(events):
                self._replayer.take(group)

    def content(self, source: DaySource, *, whole: bool = True) -> DayContent:
        """Return the content up to `last_seq` of the source; if not `whole`, without its long lists."""
        watch, positions, found = self.watch, self._state.positions, self._replayer.finished()
        orders = [each for each in self._state.orders.sorted() if watch.concerns(each)] if whole else []
        end = max([watch.now, *(mark.at for mark in positions.marks.values())])
        waiting = [quarantine_row(each, watch.now) for each in self._state.orders.all_waiting()]
        report = next((each for each in found.days if each.trading_day == source.trading_day), None)
        return DayContent(
            source=source,
            basis=Basis(
                seq=source.last_seq,
                as_of=None,
                known_at=None,
                method=positions.method,
                log_seq=source.log_seq,
                past_end=False,
            ),
            report=report or DayReport(trading_day=source.trading_day),
            checked=None if found.checked is None else found.checked.total(),
            divergent=len(found.divergent),
            positions=narrowed(position_rows(positions, end), None, source.account),
            days=[each for each in positions.day_rows() if _is_of(source, each)],
            orders=[order_row(each) for each in orders],
            fills=_fills(orders, source.first_seq),
            events=watch.events,
            quarantine=narrowed(waiting, None, source.account),
            why=[why_row(each) for each in parts_of(positions, watch.facts, source.account)] if whole else [],
            verdicts=watch.verdicts,
            tracks={"recorded": watch.track, **({"event": self.event_track(source)} if whole else {})},
            spans=watch.spans(),
            ticks=watch.ticks,
            exceptions=watch.exceptions,
        )

    def orders_since(self, seq: int) -> tuple[list[Row], list[Row]]:
        """Return the orders with an event after `seq`, and their fills."""
        names = sorted(key for key, last in self.watch.touched.items() if last > seq)
        found = [each for each in map(self._state.orders.order, names) if each is not None]
        return [order_row(each) for each in found], _fills(found, 0)

    def event_track(self, source: DaySource) -> Track:
        """Return the track by event time: with all that is known after the last event."""
        opening, watch = source.opening().positions, self.watch
        method = self._state.positions.method
        if opening.method is not method and watch.facts:
            opening.follow(method, watch.facts[0])
        facts = sorted(as_corrected(watch.facts), key=lambda each: (each.effective_at, each.seq))
        track = Track(source.trading_day, source.account)
        return event_time_track(opening, facts, track, watch.place, source.first_seq)


def _is_of(source: DaySource, day: Row) -> bool:
    return day["trading_day"] == source.trading_day and source.account in (None, day["account"])


def _fills(orders: Sequence[Order], first_seq: int) -> list[Row]:
    found = [OrderFill(order, fill) for order in orders for fill in order.fills if fill.seq >= first_seq]
    return [FILL.row(each) for each in sorted(found, key=lambda each: each.fill.seq)]
