"""Queries: positions, orders, one order, fills; now or at any moment of the log."""

from typing import Annotated, Any

import typer

from oms_es.cli.basis import print_basis
from oms_es.cli.columns import FILLS, HISTORY, METHODS, ORDERS, POSITIONS
from oms_es.cli.context import OpenLog
from oms_es.cli.filters import named_order
from oms_es.cli.options import AnyMethod, AsOfQuery, OfAccount, OrderId, SymbolQuery
from oms_es.cli.render import show_rows_json, show_table
from oms_es.cli.results import answer
from oms_es.domain.validation import choice
from oms_es.projections.rows import order_row, quarantine_row
from oms_es.queries.answers import event_row, position_rows
from oms_es.queries.queries import Basis, fill_rows, narrowed
from oms_es.vocabulary import OrderState

Rows = list[dict[str, Any]]
OfState = Annotated[str | None, typer.Option(metavar="NAME", help="Only orders in this state, like working.")]
Open = Annotated[bool, typer.Option("--open", help="Only open orders: pending and working.")]


def positions(method: AnyMethod = None, *, query: SymbolQuery) -> None:
    """
    Show positions, now or at any moment.

    With --method all, the positions by each cost method are side by side.

    For example:

        oms positions --as-of 2024-03-15T14:05:00Z --method lifo
    """

    def ask(opened: OpenLog, basis: Basis) -> Rows:
        found = opened.queries.positions(basis)
        return narrowed(position_rows(found, opened.queries.latest(basis, found)), query.symbol, query.account)

    answer(ask, "positions", POSITIONS, query, method=method, by_method=METHODS, show_method=True)


def orders(state: OfState = None, only_open: Open = False, *, query: SymbolQuery) -> None:
    """
    List orders, now or at any moment.

    For example:

        oms orders --open --symbol BOLT
    """
    wanted = None if state is None else choice(OrderState, state, "--state")

    def ask(opened: OpenLog, basis: Basis) -> Rows:
        found = [
            order_row(each)
            for each in opened.queries.orders(basis).sorted()
            if wanted in (None, each.state) and (each.is_open or not only_open)
        ]
        return narrowed(found, query.symbol, query.account)

    answer(ask, "orders", ORDERS, query)


def fills(*, query: SymbolQuery) -> None:
    """
    List fills, now or at any moment.

    Fills are in the order in which they became known; busted fills are included.

    For example:

        oms fills --symbol BOLT --json
    """

    def ask(opened: OpenLog, basis: Basis) -> Rows:
        return narrowed(opened.queries.fills(basis, query.symbol), None, query.account)

    answer(ask, "fills", FILLS, query)


def order(order_id: OrderId, account: OfAccount = None, *, query: AsOfQuery) -> None:
    """
    Show an order and its events.

    For example:

        oms order b-3 --log day.db
    """
    with query.open_at() as (opened, basis):
        found = opened.queries.orders_named(order_id, account, basis)
        this = named_order(opened, found, order_id, account)
        events = [event_row(each) for each in opened.queries.order_events(this.account, this.order_id, basis)]
        row = order_row(this)
        if query.as_json:
            name = (this.account, this.order_id)
            own_fills = [each for each in fill_rows(found) if (each["account"], each["order_id"]) == name]
            quarantined = [quarantine_row(each, opened.queries.end_of(basis)) for each in this.waiting]
            head = {"basis": basis.rows(), "order": row, "quarantine": quarantined}
            show_rows_json({**head, "fills": own_fills}, "events", events)
        else:
            show_table(HISTORY, events)
            show_table(ORDERS, [row])
        print_basis(opened, basis, f"order {this.order_id}")
