"""A growing log for the server: the page of its last trading day, and its later events for pages that are open."""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from oms_es.domain.envelope import Recorded
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.orders import Orders
from oms_es.projections.policies import first_method
from oms_es.projections.positions import Positions
from oms_es.projections.state import State
from oms_es.queries.answers import event_row
from oms_es.queries.json_text import json_text
from oms_es.report.answers import ANSWERS
from oms_es.report.columns import packed
from oms_es.report.content import DayFold, DaySource
from oms_es.report.page import day_of, page
from oms_es.vocabulary import CostMethod

Row = dict[str, Any]
_TRADES = Orders.topics() | Positions.topics()


class LiveLog:
    """
    The last trading day of a log, folded as the log grows; one thread at a time uses it.

    Args:
        path: the log.
        method: the cost method at its start, where its policy names none.

    Raises:
        LogMissing, NotALog, NewerLog, DamagedLog: the path has no log that can be read.
    """

    def __init__(self, path: Path, method: CostMethod) -> None:
        self.log = SqliteLog.existing(path)
        self.seq = 0  # the last event that was folded
        self._method = first_method(self.log, method)
        self._source: DaySource | None = None
        self._fold: DayFold | None = None
        self._made: dict[object, str] = {}  # answers at `seq`

    def refresh(self) -> int:
        """Fold the new events; return the seq of the last one."""
        head = self.log.head()
        if head.seq == self.seq:
            return head.seq
        new = list(self.log.read(self.seq, head.seq))
        self._made.clear()
        day = next((each.trading_day for each in reversed(new) if type(each.event).__name__ in _TRADES), None)
        if self._source is None or self._fold is None or day not in (None, self._source.trading_day):
            self._begin(day or new[-1].trading_day, head.seq)
            new = list(self.log.read(0, head.seq))
        assert self._source is not None and self._fold is not None  # noqa: PT018 - both were set by _begin
        self._fold.take(new)
        chain = self.log.chain_at(head.seq) or ""
        self._source = replace(self._source, last_seq=head.seq, log_seq=head.seq, chain=chain)
        self.seq = head.seq
        return head.seq

    def _begin(self, day: str, last_seq: int) -> None:
        method = self._method
        self._source = DaySource(
            name=self.log.path.name,
            opening=lambda: State(method),
            events=(),
            trading_day=day,
            first_seq=self.log.first_of_day(day),
            last_seq=last_seq,
            log_seq=last_seq,
            chain="",
        )
        self._fold = DayFold(self._source)

    # --- answers ---

    def page(self) -> str | None:
        """Return the page; None for an empty log."""

        def made() -> str:
            if self._fold is None or self._source is None:
                return ""
            return page(self._fold.content(self._source), live=True)

        return self._once("page", made) or None

    def answer(self, name: str, given: Mapping[str, str]) -> str:
        """Return the answer of a query as JSON, in the state of the log now."""
        return self._once((name, *sorted(given.items())), lambda: ANSWERS[name](self.log, given))

    def news(self, trading_day: str, after: int) -> str:
        """Return as JSON what an open page about `trading_day` needs to show the events after `after`."""
        return self._once((trading_day, after), lambda: json_text(self._news(trading_day, after)))

    def event_track(self) -> str:
        """Return the positions and sums by event time as JSON."""

        def made() -> str:
            if self._fold is None or self._source is None:
                return json_text({"seq": 0, "rows": packed([]), "sums": packed([])})
            track = self._fold.event_track(self._source)
            return json_text({"seq": self.seq, "rows": packed(track.rows), "sums": packed(track.sums)})

        return self._once("event track", made)

    def _news(self, trading_day: str, after: int) -> Row:
        fold, source = self._fold, self._source
        if fold is None or source is None or trading_day != source.trading_day:
            return {"reload": True, "seq": self.seq}
        content = fold.content(source, whole=False)
        named, fills = fold.orders_since(after)
        track = content.tracks["recorded"]
        return {
            "reload": False,
            "seq": self.seq,
            "day": day_of(content),
            "events": packed(_after(content.events, after)),
            "rows": packed(_after(track.rows, after)),
            "sums": packed(_after(track.sums, after)),
            "orders": named,
            "fills": fills,
            "verdicts": _after(content.verdicts, after),
            "positions": content.positions,
            "pnl": content.days,
        }

    def events(self, after: int, until: int) -> list[tuple[int, str]]:
        """Return the events with `after` < seq <= `until`, each as in `oms tail --json`."""
        return [(each.seq, _as_tail(each)) for each in self.log.read(after, until)]

    def _once(self, key: object, make: Callable[[], str]) -> str:
        """Return an answer; the same question is answered once until the log grows."""
        self.refresh()
        if len(self._made) > 200:
            self._made.clear()
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def close(self) -> None:
        """Close the log."""
        self.log.close()


def _after(rows: list[Row], seq: int) -> list[Row]:
    return rows[bisect_right(rows, seq, key=lambda row: row["seq"]) :]


def _as_tail(recorded: Recorded) -> str:
    return json_text({"seq": recorded.seq, "stream": recorded.originator_id, **event_row(recorded)})
