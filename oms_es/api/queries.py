"""API methods for queries of the current state."""

import asyncio
from functools import cached_property
from typing import Any

from oms_es.api.explanations import Explanations
from oms_es.api.in_thread import InThread
from oms_es.api.session import Session
from oms_es.domain.order import Order
from oms_es.domain.validation import choice
from oms_es.errors import AmbiguousOrder
from oms_es.identifiers import shown
from oms_es.projections.views import OMSOrder, Position, order_view, position_view
from oms_es.queries.portfolio import portfolio_summary
from oms_es.vocabulary import OrderState


class QueryMethods(Session, Explanations):
    """Queries. They see durable state only, and never write; those of the current state are answered from memory."""

    @cached_property
    def in_thread(self) -> InThread:
        """Return the same queries of the log to be awaited: they run in a thread, and the event loop goes on."""
        return InThread(self.log, self.settings)

    async def close(self) -> None:
        """Wait for running commands and close the log; optional, because every result is already durable."""
        if "in_thread" in vars(self):
            await asyncio.to_thread(self.in_thread.close)
        await super().close()

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


def _chosen(orders: list[Order], symbol: str | None, account: str | None) -> list[Order]:
    return [each for each in orders if symbol in (None, each.symbol) and account in (None, each.account)]
