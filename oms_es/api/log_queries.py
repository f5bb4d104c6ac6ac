"""API methods for queries of the log: at any time, by either clock, and over time."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from oms_es.engine.settings import Settings
from oms_es.log.contract import Log
from oms_es.projections.rows import DAY, FILL, ORDER, POSITION, order_row
from oms_es.projections.views import OMSOrder, Position, order_view, position_view
from oms_es.queries.answers import position_rows
from oms_es.queries.filters import Names, RowFilter
from oms_es.queries.moments import span_of_time
from oms_es.queries.queries import AsOf, Basis, Queries, as_of_from, cost_method
from oms_es.queries.result import QueryResult
from oms_es.queries.series import Grid, pnl_series, position_series
from oms_es.vocabulary import CostMethod

Rows = QueryResult[dict[str, Any]]
_POSITION = (*POSITION.columns, "mark_age_ns")


class LogQueries:
    """
    Queries of a log; each result is a list with a `basis`, `to_dicts()` and `to_arrow()`.

    Arguments of several queries:

        as_of: event time; uses all that is known now (late fills and corrections at their own time).
        known_at: recording time; uses only events recorded until then. Can be combined with `as_of`.
        at_seq: uses only events up to this seq.
        method: fifo, lifo or average; the log's policy when None.
        symbol, account: only these; one name or several.
        tags: only orders with these tags and their fills, like {"strategy": "maker"}.
        by_tag: the rows of each value of this tag, with the value as `tag`.
        start, end: only rows with a time between these two.
        limit: only the first rows; -N for the last N.

    Times are ISO text with a zone, aware datetimes or int ns UTC, and inclusive.
    """

    log: Log
    settings: Settings

    def _queries(self, tags: Mapping[str, str] | None = None) -> Queries:
        return Queries(self.log, self.settings.policy.method).tagged(tags or {})

    def positions(
        self,
        *,
        as_of: Any = None,
        known_at: Any = None,
        at_seq: int | None = None,
        method: CostMethod | str | None = None,
        symbol: Names = None,
        account: Names = None,
        tags: Mapping[str, str] | None = None,
        by_tag: str | None = None,
    ) -> QueryResult[Position]:
        """Return the positions at an earlier time or seq; without one, now."""
        only, queries = RowFilter.of(symbol=symbol, account=account), self._queries(tags)
        basis = queries.basis(as_of_from(as_of, known_at, at_seq), cost_method(method))
        groups = [(None, queries)] if by_tag is None else queries.by_tag(by_tag)
        found, rows = [], list[dict[str, Any]]()
        for tag, each in groups:
            positions = each.positions(basis)
            held = (held for key, held in positions.sorted() if only.accepts(key[0], key[1]))
            found += [replace(position_view(positions, one), tag=tag) for one in held]
            own = only.rows(position_rows(positions, each.latest(basis, positions)))
            rows += own if by_tag is None else [{"tag": tag, **row} for row in own]
        columns = _POSITION if by_tag is None else ("tag", *_POSITION)
        return QueryResult(found, basis, columns, lambda: rows)

    def orders(
        self,
        *,
        as_of: Any = None,
        known_at: Any = None,
        at_seq: int | None = None,
        symbol: Names = None,
        account: Names = None,
        state: Names = None,
        only_open: bool = False,
        start: Any = None,
        end: Any = None,
        limit: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> QueryResult[OMSOrder]:
        """Return the orders at an earlier time or seq; `start` and `end` are about their submission."""
        only = RowFilter.of(symbol=symbol, account=account, state=state, start=start, end=end, limit=limit)
        queries = self._queries(tags)
        basis = queries.basis(as_of_from(as_of, known_at, at_seq))
        orders = queries.orders(basis, symbols=only.symbols, only_open=only_open or only.only_open)
        found = only.orders(each for each in orders.in_slices() if each.is_open or not only_open)
        return QueryResult(map(order_view, found), basis, ORDER.columns, lambda: list(map(order_row, found)))

    def fills(
        self,
        *,
        as_of: Any = None,
        known_at: Any = None,
        at_seq: int | None = None,
        symbol: Names = None,
        account: Names = None,
        start: Any = None,
        end: Any = None,
        limit: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Rows:
        """Return the fills as in `oms fills --json`; `start` and `end` are about their times at the venue."""
        only = RowFilter.of(symbol=symbol, account=account, start=start, end=end, limit=limit)
        queries = self._queries(tags)
        basis = queries.basis(as_of_from(as_of, known_at, at_seq))
        found = queries.fills(basis, symbol if isinstance(symbol, str) else None)
        return QueryResult(only.rows(found, "occurred_at"), basis, FILL.columns)

    def pnl(
        self,
        *,
        as_of: Any = None,
        known_at: Any = None,
        at_seq: int | None = None,
        method: CostMethod | str | None = None,
        day: str | None = None,
        symbol: Names = None,
        account: Names = None,
        start: Any = None,
        end: Any = None,
        limit: int | None = None,
        tags: Mapping[str, str] | None = None,
        by_tag: str | None = None,
    ) -> Rows:
        """
        Return the P&L per trading day, account and symbol, one row (dict) each.

        Keys as in `oms pnl --json`; money as Decimal in the row's `currency`. `unrealized_pnl` is the level at the
        day's end, `unrealized_change` its change on that day; `start` and `end` are about the trading day they are in.
        """
        only = RowFilter.of(symbol=symbol, account=account, start=start, end=end, limit=limit)
        queries = self._queries(tags)
        basis = queries.basis(as_of_from(as_of, known_at, at_seq), cost_method(method))
        if by_tag is None:
            found = queries.days(basis)
        else:
            found = [{"tag": tag, **row} for tag, each in queries.by_tag(by_tag) for row in each.days(basis)]
        chosen = (row for row in found if day in (None, row["trading_day"]))
        columns = DAY.columns if by_tag is None else ("tag", *DAY.columns)
        return QueryResult(only.of_days(only.named(chosen), queries.calendar(self.settings.policy)), basis, columns)

    # --- over time ---

    def position_series(
        self,
        every: str,
        *,
        as_of: Any = None,
        known_at: Any = None,
        at_seq: int | None = None,
        method: CostMethod | str | None = None,
        symbol: Names = None,
        account: Names = None,
        start: Any = None,
        end: Any = None,
        limit: int | None = None,
    ) -> Rows:
        """
        Return the positions over time: the rows of `positions` as of each point, with its time as `at`.

        Args:
            every: the span between two points, like "5m" or "1h"; see `oms_es.queries.series.Grid`.
            as_of: the last point, if it is before `end`.
            known_at: as in all queries; so are the other arguments.
            at_seq: as in all queries.
            method: as in all queries.
            symbol: as in all queries.
            account: as in all queries.
            start: the first point; otherwise counted from the start of the first trading day.
            end: the last point; otherwise the last event.
            limit: as in all queries.
        """
        only = RowFilter.of(symbol=symbol, account=account, start=start, end=end, limit=limit)
        queries, basis, grid = self._grid(every, only, as_of_from(as_of, known_at, at_seq), method)
        return QueryResult(position_series(queries, basis, grid), basis, ("at", *_POSITION))

    def pnl_series(
        self,
        every: str,
        *,
        as_of: Any = None,
        known_at: Any = None,
        at_seq: int | None = None,
        method: CostMethod | str | None = None,
        symbol: Names = None,
        account: Names = None,
        start: Any = None,
        end: Any = None,
        limit: int | None = None,
    ) -> Rows:
        """Return the P&L over time, of the trading day that each point is in; the arguments are those of positions."""
        only = RowFilter.of(symbol=symbol, account=account, start=start, end=end, limit=limit)
        queries, basis, grid = self._grid(every, only, as_of_from(as_of, known_at, at_seq), method)
        return QueryResult(pnl_series(queries, basis, grid), basis, ("at", *DAY.columns))

    def _grid(
        self, every: str, only: RowFilter, when: AsOf, method: CostMethod | str | None
    ) -> tuple[Queries, Basis, Grid]:
        queries = self._queries()
        basis, calendar = queries.basis(when, cost_method(method)), queries.calendar(self.settings.policy)
        return queries, basis, Grid(every=span_of_time(every, "every"), calendar=calendar, only=only)
