"""
Queries of a log: positions, orders, fills and P&L at any time, by either clock; each answer has its basis.

A query reads and never writes. Without a time it answers for the end of the log.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from functools import reduce
from typing import Any, cast
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import asdict, replace

from oms_es.decimals import ZERO, canonical, plus
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import (
    FillAdded,
    FillCorrected,
    FillQuarantined,
    MarkRecorded,
    OrdersMerged,
    QuarantineResolved,
)
from oms_es.domain.order import Order
from oms_es.domain.order_fills import QuarantinedFill
from oms_es.domain.policy import Policy
from oms_es.domain.validation import choice
from oms_es.errors import InvalidInput, UnknownOrder
from oms_es.identifiers import is_identifier, shown
from oms_es.log.contract import Log, WrapEvents, unwrapped
from oms_es.log.order_search import OrderSearch
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.as_of import in_event_time, orders_as_of, positions_as_of
from oms_es.projections.orders import Orders
from oms_es.projections.policies import Policies, policies_of_every_account
from oms_es.projections.positions import Positions
from oms_es.projections.rows import FILL, OrderFill, order_row
from oms_es.projections.snapshots.fill_index import FILL_TOPICS
from oms_es.projections.snapshots.positions_at import Checkpoints
from oms_es.queries.filters import Names, RowFilter
from oms_es.queries.tagged_log import TaggedLog, values_of
from oms_es.timestamps import Calendar, calendar, instant, iso, local_iso
from oms_es.vocabulary import EVERY_ACCOUNT, CostMethod

UTC = ZoneInfo("UTC")
_FOLLOW = 8  # events, at most, of a decision about a fill in quarantine
_LATEST = 5000  # last events, among which the latest effective time is looked for


class AsOf(Struct, frozen=True, kw_only=True):
    """The time of a query; all None: now."""

    as_of: int | None = None  # effective by this time, with all that is known (ns UTC)
    known_at: int | None = None  # recorded by this time (ns UTC)
    at_seq: int | None = None  # recorded up to this event


class Basis(Struct, frozen=True, kw_only=True):
    """The events and the cost method behind an answer."""

    seq: int  # the last event that was read
    as_of: int | None
    known_at: int | None
    method: CostMethod
    log_seq: int  # the end of the log
    past_end: bool  # the time is after every event of the log

    def rows(self) -> dict[str, Any]:
        """Return the basis as in JSON."""
        times = {"as_of": self.as_of, "known_at": self.known_at}
        shown = {name: None if value is None else iso(value) for name, value in times.items()}
        return {**asdict(self), **shown, "method": self.method.value}

    def words(self, zone: ZoneInfo = UTC) -> str:
        """Return the moment in words, with times in `zone`, and up to which event the log was read for it."""
        whole = self.seq == self.log_seq
        known = f"up to seq {self.seq}" if whole else f"up to seq {self.seq} of {self.log_seq}"
        if self.known_at is not None:
            known = f"known at {local_iso(self.known_at, zone)}, {known}"
        if self.as_of is None:
            return f"now, {known}" if whole and self.known_at is None else known
        everything = "with everything known now, " if whole and self.known_at is None else ""
        return f"as of {local_iso(self.as_of, zone)}, {everything}{known}"


class Queries:
    """
    Answers from one log.

    Args:
        log: the log.
        method: the cost method where neither the query nor the policy of the log names one.
        wrap: wraps the events of the whole log, to show progress.
        cached: whether the caches beside the log may be used.
    """

    def __init__(
        self,
        log: Log,
        method: CostMethod = CostMethod.FIFO,
        wrap: WrapEvents = unwrapped,
        *,
        cached: bool = True,
    ) -> None:
        self._cached = cached
        self.log = self._log = log
        self._method = method
        self._wrap = wrap

    def tagged(self, tags: Mapping[str, str]) -> "Queries":
        """Return the queries of the orders with these tags, and of their fills, alone."""
        return Queries(cast(Log, TaggedLog(self._log, tags)), self._method, self._wrap, cached=False) if tags else self

    def by_tag(self, name: str) -> list[tuple[str, "Queries"]]:
        """Return each value of a tag with the queries of the orders that have it, sorted."""
        return [(value, self.tagged({name: value})) for value in values_of(self._log, name)]

    def basis(self, when: AsOf, method: CostMethod | None = None) -> Basis:
        """
        Return the basis of an answer for this time.

        Raises:
            InvalidInput: both `at_seq` and `known_at`, or a negative seq.
        """
        head = self._log.head()
        seq = self._last_known(when, head.seq)
        past = (when.at_seq or 0) > head.seq
        if when.as_of is not None or when.known_at is not None:
            recorded, effective = self._log.latest(max(0, head.seq - _LATEST))
            past = past or (when.known_at or 0) > recorded or (when.as_of or 0) > effective
        return Basis(
            seq=seq,
            as_of=when.as_of,
            known_at=when.known_at,
            method=method or self._policy_method(seq),
            log_seq=head.seq,
            past_end=past,
        )

    def _last_known(self, when: AsOf, last: int) -> int:
        if when.at_seq is not None and when.known_at is not None:
            raise InvalidInput("at_seq and known_at are two ways to name one event; use one of them")
        if when.at_seq is not None:
            if type(when.at_seq) is not int:
                raise InvalidInput(f"at_seq: {shown(when.at_seq)} is not a whole number")
            if when.at_seq < 0:
                raise InvalidInput(f"at_seq: {when.at_seq} is negative; the first event has seq 1")
            return min(when.at_seq, last)
        return last if when.known_at is None else min(last, self._log.recorded_by(when.known_at))

    def _policy_method(self, seq: int) -> CostMethod:
        policies = self.policies(seq)
        return policies.policy(EVERY_ACCOUNT).method if policies.is_set else self._method

    def policies(self, until: int | None = None) -> Policies:
        """Return the policies of every account, after the event `until`."""
        return policies_of_every_account(self._log, until)

    def base(self, method: CostMethod) -> Positions:
        """Return the positions before the first event."""
        return Positions(method)

    def calendar(self, otherwise: Policy) -> Calendar:
        """Return the calendar of trading days of the log's policy, or of `otherwise` where the log has none."""
        policy = self.policy(otherwise)
        return calendar(policy.timezone, policy.roll, policy.label)

    def policy(self, otherwise: Policy) -> Policy:
        """Return the policy of every account at the end of the log, or `otherwise` where the log has none."""
        policies = self.policies()
        return policies.policy(EVERY_ACCOUNT) if policies.is_set else otherwise

    def end_of(self, basis: Basis) -> int:
        """Return the moment of the query, else the effective time of the last event read (ns UTC)."""
        for moment in (basis.as_of, basis.known_at):
            if moment is not None:
                return moment
        return self.effective_at(basis.seq)

    def effective_at(self, seq: int) -> int:
        """Return the effective time of an event, ns UTC; 0 for none."""
        return max((each.effective_at for each in self._log.read(max(seq, 1) - 1, seq)), default=0)

    def latest(self, basis: Basis, positions: Positions) -> int:
        """Return the moment that ages are counted to: of the query, else of the last event or mark (ns UTC)."""
        if basis.as_of is not None or basis.known_at is not None:
            return self.end_of(basis)
        return max([self.end_of(basis), *(mark.at for mark in positions.marks.values())])

    # --- answers ---

    def positions(self, basis: Basis) -> Positions:
        """Return the positions; a mark with a time ahead of our clock does not count before that time."""
        found = self._positions(basis)
        for symbol in _ahead(found, basis):  # such a mark is replaced by the one before it
            del found.marks[symbol]
            marks = (each for each in self._log.stream(f"market/{symbol}") if isinstance(each.event, MarkRecorded))
            found.replay(each for each in marks if each.seq <= basis.seq and not _is_ahead(each, basis))
        return found

    def with_days(self, basis: Basis) -> Positions:
        """Return the positions with the P&L of each trading day."""
        found = self._positions(basis, days=True)
        return self.booked(basis) if _ahead(found, basis) else found  # the P&L is folded again without such a mark

    def _positions(self, basis: Basis, *, days: bool = False) -> Positions:
        with closing(Checkpoints(self._log, cached=self._cached)) as checkpoints:
            if basis.as_of is not None:
                return checkpoints.as_of(basis.as_of, basis.seq, basis.method, days=days)
            return checkpoints.known(basis.seq, basis.method, days=days)

    def booked(self, basis: Basis) -> Positions:
        """Return the positions, folded from the first event: with every fill and the P&L of each trading day."""
        events = self._wrap(self._log.read(until=basis.seq, topics=Positions.topics()), basis.seq)
        if basis.as_of is not None:
            return positions_as_of(events, basis.as_of, basis.method)
        return Positions(basis.method).replay(each for each in events if not _is_ahead(each, basis))

    def in_event_time(self, basis: Basis) -> list[Recorded]:
        """Return the events of positions in the order of their effective times, each fill as last corrected."""
        events = self._wrap(self._log.read(until=basis.seq, topics=Positions.topics()), basis.seq)
        return in_event_time(events, basis.as_of)

    def in_order(self, events: list[Recorded], basis: Basis) -> list[Recorded]:
        """Return events in log order, or as of a time as last corrected and in the order of their effective times."""
        return events if basis.as_of is None else in_event_time(events, basis.as_of)

    def fill_events(self, symbol: str, basis: Basis) -> list[Recorded]:
        """Return the fills, busts and corrections of a symbol that were known, in log order."""
        with closing(Checkpoints(self._log, cached=self._cached)) as checkpoints:
            return checkpoints.fill_events(symbol, basis.seq)

    def waiting(self, basis: Basis) -> list[QuarantinedFill]:
        """Return the fills in quarantine at the time of the answer, oldest first."""
        if not self._holds(FillQuarantined.__name__):
            return []  # without reading a long log
        with closing(Checkpoints(self._log, cached=self._cached)) as checkpoints:
            events = checkpoints.quarantine(basis.seq)
        found: dict[str, QuarantinedFill] = {}
        for each in events:
            is_true = basis.as_of is None or each.effective_at <= basis.as_of
            if isinstance(each.event, FillQuarantined) and is_true:
                found[each.event.quarantine_id] = QuarantinedFill(
                    fill=each.event, occurred_at=each.occurred_at, recorded_at=each.recorded_at, seq=each.seq
                )
            elif isinstance(each.event, QuarantineResolved) and (is_true or self._is_booked(each, basis)):
                found.pop(each.event.quarantine_id, None)
        return list(found.values())

    def _is_booked(self, resolved: Recorded, basis: Basis) -> bool:
        """Return whether a fill that was resolved later was accepted with an effective time up to the as-of time."""
        assert isinstance(resolved.event, QuarantineResolved), "other events resolve nothing"
        assert basis.as_of is not None, "without an as-of time, every resolution counts"
        for each in self._log.read(resolved.seq, min(resolved.seq + _FOLLOW, basis.seq)):
            own = isinstance(each.event, FillAdded | FillCorrected) and each.event.quarantine_id
            if own == resolved.event.quarantine_id:
                return each.effective_at <= basis.as_of
        return False

    def days(self, basis: Basis) -> list[dict[str, Any]]:
        """Return the P&L of the trading days: a row per day, account and symbol."""
        return self.with_days(basis).day_rows()

    def orders(self, basis: Basis, *, symbols: Collection[str] | None = None, only_open: bool = False) -> Orders:
        """Return the orders, or at least those of some symbols, or the open ones: they are found without the others."""
        if isinstance(self._log, SqliteLog) and (symbols is not None or only_open):
            named = None if symbols is None else frozenset(symbols)
            search = OrderSearch(until=basis.seq, moment=basis.as_of, symbols=named, only_open=only_open)
            if (found := self._log.order_events(search)) is not None:
                return _orders(found, basis)
        return _orders(self._wrap(self._log.read(until=basis.seq, topics=Orders.topics()), basis.seq), basis)

    def orders_named(self, order_id: str, account: str | None, basis: Basis) -> Orders:
        """Return the orders with an id; all orders if it can be a venue's."""
        if not is_identifier(order_id):
            return Orders()
        found = _orders(self._known_in(self._log.order_streams(order_id), basis), basis)
        return self.orders(basis) if found.find(order_id, account) is None else found

    def fills(self, basis: Basis, symbol: str | None = None) -> Iterator[dict[str, Any]]:
        """
        Return every fill (of a symbol) as a row, in log order; with busted ones.

        With an as-of time: the fills executed by then, as last corrected, in the order of their times.
        """
        events = None if symbol is None else self.fill_events(symbol, basis)
        if events is None:
            orders = self.orders(replace(basis, as_of=None))
        else:
            orders = Orders().replay(self._known_in(self._with_merged({each.originator_id for each in events}), basis))
        rows, as_of = fill_rows(orders), basis.as_of
        if as_of is None:
            return rows
        if events is None:
            events = list(self._log.read(until=basis.seq, topics=FILL_TOPICS))
        when = {each.seq: each.effective_at for each in events}
        found = [row for row in rows if when[row["seq"]] <= as_of and not row["busted"]]
        return iter(sorted(found, key=lambda row: (when[row["seq"]], row["seq"])))

    def _with_merged(self, streams: set[str]) -> set[str]:
        """Return the streams, and the streams of the orders into which these orders were merged."""
        if not self._holds(OrdersMerged.__name__):
            return streams
        events = (each.event for name in streams for each in self._log.stream(name))
        merged = (event for event in events if isinstance(event, OrdersMerged) and event.into is not None)
        into = {f"order/{event.account}/{event.into}" for event in merged}
        return streams | (self._with_merged(into) if into else into)

    def _holds(self, topic: str) -> bool:
        return not isinstance(self._log, SqliteLog) or self._log.holds_name(topic)

    def _known_in(self, streams: Iterable[str], basis: Basis) -> list[Recorded]:
        """Return the events of some streams that were known, in log order."""
        events = (each for name in streams for each in self._log.stream(name))
        return sorted((each for each in events if each.seq <= basis.seq), key=lambda each: each.seq)

    def order_events(self, account: str, order_id: str, basis: Basis) -> list[Recorded]:
        """Return the events of an order behind an answer."""
        known = self._known_in([f"order/{account}/{order_id}"], basis)
        return [each for each in known if basis.as_of is None or each.effective_at <= basis.as_of]


def _orders(events: Iterable[Recorded], basis: Basis) -> Orders:
    return Orders().replay(events) if basis.as_of is None else orders_as_of(events, basis.as_of)


def _ahead(positions: Positions, basis: Basis) -> list[str]:
    """Return the symbols with a mark whose time had not come."""
    known_at = basis.known_at
    if basis.as_of is not None or known_at is None:
        return []
    return [symbol for symbol, mark in positions.marks.items() if mark.at > known_at]


def _is_ahead(each: Recorded, basis: Basis) -> bool:
    """Return whether an event is a mark whose time had not come."""
    return basis.known_at is not None and isinstance(each.event, MarkRecorded) and each.effective_at > basis.known_at


def narrowed(rows: Iterable[dict[str, Any]], symbol: Names, account: Names) -> list[dict[str, Any]]:
    """Return the rows of some symbols and some accounts; None: of all."""
    return RowFilter.of(symbol=symbol, account=account).rows(rows)


_SUMMED = ("realized_pnl", "gross_realized_pnl", "fees", "unrealized_change", "total_pnl")


def summed(days: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """
    Return the rows of `days` added up by "symbol" (over accounts) or by "account" (over symbols), per currency.

    The unrealized P&L is that of all positions at the end of the day, also of those without a row on that day: `days`
    must have all rows from the first day on.
    """
    names = ("trading_day", by, "currency")
    sums: dict[tuple[str, ...], dict[str, Any]] = {}
    levels: dict[tuple[str, str], dict[tuple[str, str], Decimal | None]] = {}  # the parts of each sum
    for day in sorted(days, key=lambda row: str(row["trading_day"])):
        key = tuple(day[name] for name in names)
        total = sums.setdefault(key, dict(zip(names, key, strict=True)))
        for figure in _SUMMED:
            total[figure] = _added(total.get(figure, ZERO), day[figure])
        total["fills"] = total.get("fills", 0) + day["fills"]
        parts = levels.setdefault((day[by], day["currency"]), {})
        parts[day["account"], day["symbol"]] = day["unrealized_pnl"]
        total["unrealized_pnl"] = reduce(_added, [ZERO, *parts.values()])
    return [sums[key] for key in sorted(sums)]


def _added(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else canonical(plus(one, other))


def order_rows(orders: Orders) -> list[dict[str, Any]]:
    """Return the orders as rows, by account and order id."""
    return [order_row(order) for order in orders.sorted()]


def fill_rows(orders: Orders) -> Iterator[dict[str, Any]]:
    """Return every fill as a row, in log order, with busted ones."""
    fills = [OrderFill(order, fill) for order in orders.unsorted() for fill in order.fills]
    return map(FILL.row, sorted(fills, key=lambda each: each.fill.seq))


def find_order(orders: Orders, order_id: str, account: str | None) -> Order:
    """
    Return the order with an id.

    Raises:
        UnknownOrder, AmbiguousOrder: none, or several.
    """
    key = orders.find(order_id, account)
    found = None if key is None else orders.orders.get(key)
    if found is None:
        raise UnknownOrder(f"no order {shown(order_id)} at that time")
    return found


def as_of_from(as_of: Any, known_at: Any, at_seq: int | None) -> AsOf:
    """Return the time of a query from the arguments of a caller."""
    effective = None if as_of is None else instant(as_of, "as_of")
    recorded = None if known_at is None else instant(known_at, "known_at")
    return AsOf(as_of=effective, known_at=recorded, at_seq=at_seq)


def cost_method(method: CostMethod | str | None) -> CostMethod | None:
    """Return the cost method of an argument; None leaves it to the policy of the log."""
    return None if method is None else choice(CostMethod, method, "method")
