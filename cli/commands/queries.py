"""Queries: positions, orders, one order, fills; now or at any moment of the log."""

from typing import Annotated, Any

import typer
from msgspec.structs import replace

from oms_es.cli.basis import print_basis
from oms_es.cli.columns import AT, FILLS, HISTORY, METHODS, ORDERS, POSITIONS, TAG
from oms_es.cli.context import OpenLog
from oms_es.cli.filters import named_order
from oms_es.cli.options import AnyMethod, AsOfQuery, Every, OfAccount, OrderId, RowsQuery, each_checked
from oms_es.cli.render import in_zone, show_rows_json, show_table
from oms_es.cli.results import answer
from oms_es.domain.validation import choice
from oms_es.errors import InvalidInput
from oms_es.projections.rows import order_row, quarantine_row
from oms_es.queries.answers import event_row, position_rows
from oms_es.queries.filters import RowFilter
from oms_es.queries.moments import span_of_time
from oms_es.queries.queries import Basis, Queries, fill_rows
from oms_es.queries.series import Grid, position_series
from oms_es.vocabulary import OrderState

Rows = list[dict[str, Any]]
OfState = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        callback=each_checked(lambda text, name: choice(OrderState, text, name).value, "--state"),
        help="Only orders in this state, like working; may be repeated.",
    ),
]
ByTag = Annotated[str | None, typer.Option(metavar="NAME", help="The positions of each value of this tag.")]
Open = Annotated[bool, typer.Option("--open", help="Only open orders: pending and working.")]


def positions(method: AnyMethod = None, every: Every = None, by_tag: ByTag = None, *, query: RowsQuery) -> None:
    """
    Show positions, now or at any moment.

    With --method all, the positions by each cost method are side by side. With --every, they are shown as of each
    point: counted from --from, or from the start of the first trading day, up to --to, or the last event.

    For example:

        oms positions --as-of 2024-03-15T14:05:00Z --method lifo

        oms positions --every 15m --from 14:00 --symbol BOLT
    """
    if every is None and (query.from_, query.to) != (None, None):
        raise InvalidInput("--from and --to go with --every; for one moment use --as-of")
    step = None if every is None else span_of_time(every, "--every")

    def ask(opened: OpenLog, basis: Basis) -> Rows:
        only = query.rows_at(opened)

        def rows(queries: Queries) -> Rows:
            if step is not None:
                return position_series(queries, basis, Grid(every=step, calendar=opened.moments.calendar, only=only))
            found = queries.positions(basis)
            return only.rows(position_rows(found, queries.latest(basis, found)))

        if by_tag is None:
            return rows(opened.queries)
        return [{"tag": tag, **row} for tag, each in opened.queries.by_tag(by_tag) for row in rows(each)]

    columns, by_method = (POSITIONS, METHODS) if every is None else ((AT, *POSITIONS), (AT, *METHODS))
    if by_tag is not None:
        columns, by_method = (TAG, *columns), (TAG, *by_method)
    answer(ask, "positions", columns, query, method=method, by_method=by_method, show_method=True)


def orders(state: OfState = None, only_open: Open = False, *, query: RowsQuery) -> None:
    """
    List orders, now or at any moment.

    For example:

        oms orders --open --symbol BOLT
    """
    wanted = RowFilter.of(state=state)

    def ask(opened: OpenLog, basis: Basis) -> Rows:
        only = replace(query.rows_at(opened), states=wanted.states)
        found = opened.queries.orders(basis, symbols=only.symbols, only_open=only_open or only.only_open).sorted()
        return [order_row(each) for each in only.orders(each for each in found if each.is_open or not only_open)]

    answer(ask, "orders", ORDERS, query)


def fills(*, query: RowsQuery) -> None:
    """
    List fills, now or at any moment.

    Fills are in the order in which they became known; busted fills are included.

    For example:

        oms fills --symbol BOLT --json
    """

    def ask(opened: OpenLog, basis: Basis) -> Rows:
        symbol = query.symbol[0] if query.symbol is not None and len(query.symbol) == 1 else None
        return query.rows_at(opened).rows(opened.queries.fills(basis, symbol), "occurred_at")

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
            show_table(HISTORY, in_zone(events, opened.moments.zone))
            show_table(ORDERS, [row])
        print_basis(opened, basis, f"order {this.order_id}")
