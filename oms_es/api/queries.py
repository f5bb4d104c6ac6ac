"""API methods for queries, of the current state and of any earlier one."""

from typing import Any

from oms_es.api.session import Session
from oms_es.domain.order import Order
from oms_es.domain.validation import choice
from oms_es.errors import AmbiguousOrder
from oms_es.identifiers import shown
from oms_es.projections.views import OMSOrder, Position, order_view, position_view
from oms_es.queries.portfolio import portfolio_summary
from oms_es.queries.queries import Queries, QueryResult, as_of_from, cost_method, narrowed
from oms_es.vocabulary import CostMethod, OrderState


class QueryMethods(Session):
    """Queries. They see durable state only, and never write."""

    def get_order(self, order_id: str, *, account: str | None = None) -> OMSOrder | None:
        """
        Return the order with our id, or else with the venue's id; None when there is none.

        Raises:
            AmbiguousOrder: several orders have this id.
        """
        with self.sequencer.reading() as state:
            key = state.orders.find(order_id, account)
            order = None if key is None else state.orders.order(key)
            return None if order is None else order_view(order)

    def get_all_orders(
        self, symbol: str | None = None, state: OrderState | str | None = None, *, account: str | None = None
    ) -> list[OMSOrder]:
        """
        Return orders, sorted by account and order id; filtered by symbol, state and account.

        Completed ones leave memory after `system.order_history_retention`; `orders()` reads all of them from the log.
        """
        wanted = None if state is None else choice(OrderState, state, "state")
        with self.sequencer.reading() as now:
            found = now.orders.sorted()
        return [order_view(each) for each in _chosen(found, symbol, account) if wanted in (None, each.state)]

    def get_open_orders(self, symbol: str | None = None, *, account: str | None = None) -> list[OMSOrder]:
        """Return the open orders: PENDING and WORKING ones."""
        with self.sequencer.reading() as state:
            found = state.orders.sorted_open()
        return [order_view(each) for each in _chosen(found, symbol, account)]

    def get_position(self, symbol: str, *, account: str | None = None) -> Position | None:
        """
        Return the position in a symbol, also a flat one; None when it was never traded.

        A symbol redefined in another currency has one position per currency. Returned is the one in the current
        currency, unless only another is open; `get_all_positions` returns all.

        Raises:
            AmbiguousOrder: several accounts have a position and `account` is None.
        """
        found = [each for each in self.get_all_positions() if each.symbol == symbol and account in (None, each.account)]
        accounts = sorted({each.account for each in found})
        if len(accounts) > 1:
            where = ", ".join(accounts)
            raise AmbiguousOrder(f"{shown(symbol)} is held in several accounts ({where}); pass account=")
        with self.sequencer.reading() as state:
            today = state.positions.currency(symbol)
        found.sort(key=lambda each: (bool(each.quantity), each.currency == today))
        return found[-1] if found else None

    def get_all_positions(self, *, account: str | None = None) -> list[Position]:
        """Return every position, with flat ones, sorted by account and symbol."""
        with self.sequencer.reading() as state:
            held = sorted(state.positions.held.items())
            return [position_view(state.positions, each) for key, each in held if account in (None, key[0])]

    def get_portfolio_summary(self, *, account: str | None = None) -> dict[str, Any]:
        """Return totals of positions, open orders and P&L; see `oms_es.queries.portfolio` for the keys."""
        with self.sequencer.reading() as state:
            return portfolio_summary(state, self.risk_manager.today(state), account)

    def positions(
        self,
        *,
        as_of: Any = None,
        known_at: Any = None,
        at_seq: int | None = None,
        method: CostMethod | str | None = None,
        symbol: str | None = None,
        account: str | None = None,
    ) -> QueryResult[Position]:
        """
        Return the positions at an earlier time or seq.

        Args:
            as_of: event time; uses all that is known now (late fills and corrections at their own time).
            known_at: recording time; uses only events recorded until then. Can be combined with `as_of`.
            at_seq: uses only events up to this seq.
            method: fifo, lifo or average; the log's policy when None.
            symbol: only this one.
            account: only this one.

        Times are ISO text with a zone, aware datetimes or int ns UTC, and inclusive.
        The result is a list with a `basis`.
        """
        queries = Queries(self.log, self.settings.policy.method)
        basis = queries.basis(as_of_from(as_of, known_at, at_seq), cost_method(method))
        positions = queries.positions(basis)
        rows = [
            position_view(positions, held)
            for key, held in sorted(positions.held.items())
            if account in (None, key[0]) and symbol in (None, key[1])
        ]
        return QueryResult(rows, basis)

    def orders(
        self,
        *,
        as_of: Any = None,
        known_at: Any = None,
        at_seq: int | None = None,
        symbol: str | None = None,
        account: str | None = None,
    ) -> QueryResult[OMSOrder]:
        """Return the orders at an earlier time or seq; the arguments are those of `positions`."""
        queries = Queries(self.log, self.settings.policy.method)
        basis = queries.basis(as_of_from(as_of, known_at, at_seq))
        found = queries.orders(basis).sorted()
        rows = [order_view(each) for each in found if symbol in (None, each.symbol) and account in (None, each.account)]
        return QueryResult(rows, basis)

    def pnl(
        self,
        *,
        as_of: Any = None,
        known_at: Any = None,
        at_seq: int | None = None,
        method: CostMethod | str | None = None,
        day: str | None = None,
        symbol: str | None = None,
        account: str | None = None,
    ) -> QueryResult[dict[str, Any]]:
        """
        Return the P&L per trading day, account and symbol, one row (dict) each.

        Keys as in `oms pnl --json`; money as Decimal in the row's `currency`. `unrealized_pnl` is the level at the
        day's end, `unrealized_change` its change on that day. The other arguments are those of `positions`.
        """
        queries = Queries(self.log, self.settings.policy.method)
        basis = queries.basis(as_of_from(as_of, known_at, at_seq), cost_method(method))
        found = narrowed(queries.days(basis), symbol, account)
        return QueryResult([row for row in found if day in (None, row["trading_day"])], basis)


def _chosen(orders: list[Order], symbol: str | None, account: str | None) -> list[Order]:
    return [each for each in orders if symbol in (None, each.symbol) and account in (None, each.account)]
