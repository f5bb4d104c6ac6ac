"""API methods that explain: the history of a position, differences, lots, risk checks, quarantine."""

from typing import Any

from oms_es.api.log_queries import LogQueries, Rows
from oms_es.audit.why_order import verdict_row
from oms_es.audit.why_order import why_order as verdicts_on
from oms_es.domain.validation import one_of
from oms_es.identifiers import identifier
from oms_es.projections.policies import first_method
from oms_es.projections.rows import QUARANTINE, quarantine_row
from oms_es.queries.explain import diff_by_order, diff_by_symbol, why_positions, why_row
from oms_es.queries.explain import history as changes_of
from oms_es.queries.filters import Names, RowFilter
from oms_es.queries.moments import seq_of
from oms_es.queries.queries import AsOf, as_of_from, cost_method, find_order
from oms_es.queries.result import QueryResult
from oms_es.timestamps import instant
from oms_es.vocabulary import CostMethod


class Explanations(LogQueries):
    """Queries whose rows are dictionaries with the keys of `--json`."""

    def history(
        self,
        symbol: str,
        *,
        as_of: Any = None,
        known_at: Any = None,
        at_seq: int | None = None,
        method: CostMethod | str | None = None,
        account: Names = None,
        start: Any = None,
        end: Any = None,
        limit: int | None = None,
    ) -> Rows:
        """Return every change of the positions in a symbol, with its fill, as in `oms history --json`."""
        only = RowFilter.of(account=account, start=start, end=end, limit=limit)
        queries = self._queries()
        basis = queries.basis(as_of_from(as_of, known_at, at_seq), cost_method(method))
        return QueryResult(
            only.rows(changes_of(queries, basis, identifier(symbol, "symbol"), None), "occurred_at"), basis
        )

    def diff(
        self,
        first: Any,
        second: Any = "now",
        *,
        by: str = "symbol",
        known: bool = False,
        as_of: Any = None,
        method: CostMethod | str | None = None,
        symbol: Names = None,
        account: Names = None,
    ) -> dict[str, Rows]:
        """
        Return what differs between two points, as in `oms diff --json`.

        Args:
            first: "seq:N", "now", or an instant: an event time, with everything known now.
            second: the other point.
            by: "symbol" returns positions and days, "order" returns orders.
            known: an instant is a recording time.
            as_of: the event time that both points are about; they are then recording times.
            method: fifo, lifo or average; the log's policy when None.
            symbol: only these.
            account: only these.
        """
        only, queries = RowFilter.of(symbol=symbol, account=account), self._queries()
        compare = diff_by_order if one_of(by, ("symbol", "order"), "by") == "order" else diff_by_symbol
        other = queries.basis(point(second, "second", as_of, known=known), cost_method(method))
        one = queries.basis(point(first, "first", as_of, known=known), other.method)
        found = compare(queries, one, other)
        return {name: QueryResult(only.rows(rows), other) for name, rows in found.items()}

    def why_position(
        self,
        symbol: str,
        *,
        as_of: Any = None,
        known_at: Any = None,
        at_seq: int | None = None,
        method: CostMethod | str | None = None,
        account: Names = None,
    ) -> Rows:
        """Return the positions in a symbol with their lots, matches and fees, as in `oms why position --json`."""
        queries = self._queries()
        basis = queries.basis(as_of_from(as_of, known_at, at_seq), cost_method(method))
        found = map(why_row, why_positions(queries, basis, identifier(symbol, "symbol"), None))
        return QueryResult(RowFilter.of(account=account).rows(found), basis)

    def lots(
        self,
        symbol: str,
        *,
        as_of: Any = None,
        known_at: Any = None,
        at_seq: int | None = None,
        method: CostMethod | str | None = None,
        account: Names = None,
    ) -> Rows:
        """Return the open lots of a symbol, oldest first, each with the fill that opened it."""
        found = self.why_position(symbol, as_of=as_of, known_at=known_at, at_seq=at_seq, method=method, account=account)
        names = ("account", "symbol", "currency")
        rows = [{**{name: held[name] for name in names}, **lot} for held in found for lot in held["lots"]]
        return QueryResult(rows, found.basis, _LOT)

    def why_order(
        self,
        order_id: str,
        *,
        account: str | None = None,
        known_at: Any = None,
        at_seq: int | None = None,
    ) -> Rows:
        """
        Return the risk checks of an order at its submission and at each amendment, as in `oms why order --json`.

        Raises:
            UnknownOrder, AmbiguousOrder: none, or several.
        """
        queries = self._queries()
        basis = queries.basis(as_of_from(None, known_at, at_seq))
        order = find_order(queries.orders_named(order_id, account, basis), order_id, account)
        verdicts = verdicts_on(queries.log, order, first_method(queries.log, self.settings.policy.method))
        return QueryResult((verdict_row(each) for each in verdicts if each.seq <= basis.seq), basis)

    def quarantine(
        self,
        *,
        as_of: Any = None,
        known_at: Any = None,
        at_seq: int | None = None,
        symbol: Names = None,
        account: Names = None,
    ) -> Rows:
        """Return the fills in quarantine, oldest first, as in `oms quarantine --json`."""
        queries = self._queries()
        basis = queries.basis(as_of_from(as_of, known_at, at_seq))
        now = queries.end_of(basis)
        found = (quarantine_row(each, now) for each in queries.waiting(basis))
        return QueryResult(RowFilter.of(symbol=symbol, account=account).rows(found), basis, QUARANTINE.columns)


_LOT = ("account", "symbol", "currency", "seq", "occurred_at", "order_id", "trade_id", "quantity", "cost", "price")


def point(value: Any, name: str, as_of: Any, *, known: bool) -> AsOf:
    """Return the time that a point of `diff` names: "seq:N", "now", or an instant."""
    at = None if as_of is None else instant(as_of, "as_of")
    if value == "now":
        return AsOf(as_of=at)
    if isinstance(value, str) and value.startswith("seq:"):
        return AsOf(as_of=at, at_seq=seq_of(value, name))
    moment = instant(value, name)
    return AsOf(as_of=at, known_at=moment) if known or at is not None else AsOf(as_of=moment)
