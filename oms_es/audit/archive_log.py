"""
A day archive as a log to query: the events of the day, and the state before them.

The opening state is one block: it has the lots, orders and limits before the day, and not the events that led to them.
As of a time, it comes before every event of the day.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from oms_es.audit.day_archive import unpack
from oms_es.domain.envelope import Draft, Recorded
from oms_es.domain.events import FillBusted, FillCorrected, FillQuarantined, QuarantineResolved
from oms_es.domain.order_fills import QuarantinedFill
from oms_es.errors import InvalidInput, LogReadOnly
from oms_es.log.contract import WrapEvents, WrapRows, to_recorded, unwrapped
from oms_es.log.hash_chain import Head, StoredRow
from oms_es.projections.as_of import in_event_time
from oms_es.projections.orders import Orders
from oms_es.projections.policies import Policies
from oms_es.projections.positions import Positions
from oms_es.projections.snapshots.fill_index import FILL_TOPICS, fill_events_of
from oms_es.projections.snapshots.state_codec import decode_state, encode_state
from oms_es.projections.state import State
from oms_es.queries.queries import AsOf, Basis, Queries, fill_rows
from oms_es.timestamps import instant
from oms_es.vocabulary import EVERY_ACCOUNT, CostMethod

_QUARANTINE = frozenset({FillQuarantined.__name__, QuarantineResolved.__name__})


class ArchiveLog:
    """
    The events of a day archive, in memory; their seqs are those of the log.

    Args:
        path: the archive; it is checked when it is opened.
        wrap: wraps its rows, to show progress.
    """

    is_quick = True

    def __init__(self, path: Path, wrap: WrapRows = unwrapped) -> None:
        archive = unpack(path, wrap)
        self.path, self.manifest = path, archive.manifest
        self._opening = encode_state(archive.opening)
        self._rows = list(archive.events.rows())
        self._first = self.manifest.first_seq
        self._streams: dict[str, list[StoredRow]] = {}
        for row in self._rows:
            self._streams.setdefault(row.originator_id, []).append(row)

    def opening(self) -> State:
        """Return a copy of the state before the first event."""
        return decode_state(self._opening)

    def head(self) -> Head:
        """Return the last event."""
        last = self._rows[-1]
        return Head(last.seq, last.chain, last.recorded_at)

    peek = head

    def read(
        self, after: int = 0, until: int | None = None, topics: Collection[str] | None = None
    ) -> Iterator[Recorded]:
        """Return the events with `after` < seq <= `until`, in order, filtered by `topics`."""
        return (to_recorded(row) for row in self.rows(after, until) if topics is None or row.topic in topics)

    def rows(self, after: int = 0, until: int | None = None) -> list[StoredRow]:
        """Return the stored rows, as `read` returns the events."""
        end = self.manifest.last_seq if until is None else until
        return self._rows[max(0, after + 1 - self._first) : max(0, end + 1 - self._first)]

    def stream(self, originator_id: str) -> list[Recorded]:
        """Return the events of one stream on the day, in order."""
        return list(map(to_recorded, self._streams.get(originator_id, ())))

    def order_streams(self, order_id: str) -> list[str]:
        """Return the names of the streams of orders with this id that have an event on the day."""
        parts = ((name, name.split("/", 2)) for name in self._streams)
        return sorted(name for name, each in parts if each[0] == "order" and each[-1] == order_id)

    def command(self, command_id: str) -> list[Recorded]:
        """Return no events: an archive is not written, so no command is repeated."""
        del command_id
        return []

    def known_commands(self, command_ids: Collection[str]) -> set[str]:
        """Return no ids, as `command`."""
        del command_ids
        return set()

    def recorded_by(self, moment: int) -> int:
        """Return the seq of the last event recorded up to a time; that before the first for none."""
        return self._first - 1 + bisect_right(self._rows, moment, key=lambda row: row.recorded_at)

    def first_of_day(self, trading_day: str) -> int:
        """Return the seq of the first event booked on a trading day; 0 for none."""
        return min((row.seq for row in self._rows if row.trading_day == trading_day), default=0)

    def last_of_day(self, trading_day: str) -> int:
        """Return the seq of the last event booked on a trading day; 0 for none."""
        return max((row.seq for row in self._rows if row.trading_day == trading_day), default=0)

    def ends_of_days(self, until: int, topics: Collection[str]) -> dict[str, int]:
        """Return the seq of the last event of these topics up to `until`, by trading day."""
        return {row.trading_day: row.seq for row in self.rows(until=until) if row.topic in topics}

    def latest(self, after: int) -> tuple[int, int]:
        """Return the latest `recorded_at` and `effective_at` of the events with seq > `after`; 0 for none."""
        rows = self.rows(after)
        return max((row.recorded_at for row in rows), default=0), max((row.effective_at for row in rows), default=0)

    def holds_name(self, name: str) -> bool:
        """Return whether an event has this topic, account or day, or begins a stream of that name."""
        return any(
            name in (row.topic, row.account, row.trading_day) or row.originator_id.startswith(name)
            for row in self._rows
        )

    def append(self, drafts: Sequence[Draft], decided_on: int, *, wait: bool = True) -> int:
        """Refuse to write."""
        del drafts, decided_on, wait
        raise LogReadOnly(f"{self.path} is a day archive; it is only read")

    def lock(self) -> None:
        """Do nothing: an archive is not written."""

    unlock = close = lock


class ArchiveQueries(Queries):
    """
    Answers from a day archive; they are those of its log at the end of the day, from the first event of the day on.

    Args:
        log: the archive.
        method: as in `Queries`.
        wrap: wraps the events of the day, to show progress.
    """

    def __init__(self, log: ArchiveLog, method: CostMethod = CostMethod.FIFO, wrap: WrapEvents = unwrapped) -> None:
        super().__init__(log, method, wrap, cached=False)
        self._archive = log

    def basis(self, when: AsOf, method: CostMethod | None = None) -> Basis:
        """Return the basis of an answer for this time; raise `InvalidInput` for a time before the archive."""
        found, before = super().basis(when, method), self._archive.manifest.first_seq - 1
        begins = min(each.effective_at for each in self._archive.read(until=before + 1))
        early = found.as_of is not None and found.as_of < begins
        if found.seq < before or (when.known_at is not None and found.seq == before and before) or early:
            raise InvalidInput(
                f"the archive begins with seq {before + 1}: a time before its first event is in the log only"
            )
        return found

    def policies(self, until: int | None = None) -> Policies:
        """Return the policies of every account, after the event `until`."""
        events = self._archive.stream(f"policy/{EVERY_ACCOUNT}")
        return self._archive.opening().policies.replay(e for e in events if until is None or e.seq <= until)

    def base(self, method: CostMethod) -> Positions:
        """Return the positions before the first event; raise `InvalidInput` for another method than theirs."""
        positions = self._archive.opening().positions
        if method is not positions.method:
            raise InvalidInput(
                f"method: the lots in a day archive are by {positions.method.value}; {method.value} needs the log"
            )
        return positions

    def booked(self, basis: Basis) -> Positions:
        """Return the positions, with the P&L of each trading day."""
        return self.base(basis.method).replay(self.in_order(list(self._archive.read(until=basis.seq)), basis))

    def _positions(self, basis: Basis, *, days: bool = False) -> Positions:  # noqa: ARG002 - they are always there
        return self.booked(basis)

    def in_order(self, events: list[Recorded], basis: Basis) -> list[Recorded]:
        """Return the events that count; as of a time those about fills from before the day come first."""
        if basis.as_of is None:
            return events
        kept, earlier, fills = list[Recorded](), list[Recorded](), set[tuple[str, str, str | None]]()
        for each in events:
            event: Any = each.event
            if type(event).__name__ in FILL_TOPICS:
                trade = (event.account, getattr(event, "booked_as", None) or event.order_id, event.trade_id)
                if isinstance(event, FillBusted | FillCorrected) and trade not in fills:
                    earlier.append(each)
                    continue
                fills.add(trade)
            kept.append(each)
        return [*earlier, *in_event_time(kept, basis.as_of)]

    def in_event_time(self, basis: Basis) -> list[Recorded]:
        """Return the events of positions in the order of their effective times, each fill as last corrected."""
        events = list(self._archive.read(until=basis.seq, topics=Positions.topics()))
        return self.in_order(events, basis if basis.as_of is not None else replace(basis, as_of=2**63 - 1))

    def fill_events(self, symbol: str, basis: Basis) -> list[Recorded]:
        """Return the fills, busts and corrections of a symbol on the day, in log order."""
        return list(fill_events_of(symbol, self._archive.read(until=basis.seq, topics=FILL_TOPICS)))

    def orders(self, basis: Basis, *, symbols: Collection[str] | None = None, only_open: bool = False) -> Orders:  # noqa: ARG002
        """Return the orders."""
        events, moment = self._archive.read(until=basis.seq, topics=Orders.topics()), basis.as_of
        return self._archive.opening().orders.replay(e for e in events if moment is None or e.effective_at <= moment)

    def orders_named(self, order_id: str, account: str | None, basis: Basis) -> Orders:  # noqa: ARG002
        """Return all orders, among them those with an id."""
        return self.orders(basis)

    def fills(self, basis: Basis, symbol: str | None = None) -> Iterator[dict[str, Any]]:
        """Return every fill (of a symbol) as a row, those of orders before the day too, as `Queries.fills`."""
        orders, moment = self.orders(replace(basis, as_of=None)), basis.as_of
        found = (row for row in fill_rows(orders) if symbol in (None, row["symbol"]))
        if moment is None:
            return found
        when = {each.seq: each.effective_at for each in self._archive.read(until=basis.seq, topics=FILL_TOPICS)}
        placed = [(when.get(row["seq"], instant(row["occurred_at"])), row["seq"], row) for row in found]
        placed.sort(key=lambda each: each[:2])
        return iter([row for at, _, row in placed if at <= moment and not row["busted"]])

    def waiting(self, basis: Basis) -> list[QuarantinedFill]:
        """Return the fills in quarantine at the time of the answer, oldest first."""
        return self.orders(basis).all_waiting()
