"""Questions: positions, orders, one order, fills; now or at any moment of the log."""

from functools import partial
from typing import Annotated, Any

import typer

from oms_es.cli.basis import end_of, latest, print_basis, when
from oms_es.cli.columns import FILLS, HISTORY, METHODS, ORDERS, POSITIONS
from oms_es.cli.context import OpenLog, open_log
from oms_es.cli.filters import check_filter, named_order
from oms_es.cli.options import (
    AllowEmpty,
    AnyMethod,
    AsOfTime,
    AtSeq,
    ConfigPath,
    Json,
    KnownAt,
    LogPath,
    OfAccount,
    OfSymbol,
    OrderId,
)
from oms_es.cli.render import Row, show_rows_json, show_table
from oms_es.cli.results import answer, by_method, check_names, is_every
from oms_es.cli.rows import event_row, position_rows, quarantine_row
from oms_es.domain.validation import choice
from oms_es.projections.orders import order_row
from oms_es.queries.queries import Basis, cost_method, fill_rows, narrowed
from oms_es.vocabulary import OrderState

OfState = Annotated[str | None, typer.Option(metavar="NAME", help="Only orders in this state, like working.")]
Open = Annotated[bool, typer.Option("--open", help="Only orders with something open: pending and working ones.")]


def positions(
    log: LogPath = None,
    config: ConfigPath = None,
    as_of: AsOfTime = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    symbol: OfSymbol = None,
    account: OfAccount = None,
    method: AnyMethod = None,
    allow_empty: AllowEmpty = False,
    as_json: Json = False,
) -> None:
    """
    Show what is held, now or at any moment of the log.

    With --method all, what each cost method makes of it stands side by side.

    For example:

        oms positions --as-of 2024-03-15T14:05:00Z --method lifo
    """
    moment, every = when(as_of, known_at, at_seq), is_every(method)
    chosen = None if every else cost_method(method)
    check_names(symbol, account)
    with open_log(log, config) as opened:
        if every:
            held = partial(_held, opened, symbol=symbol, account=account)
            found = by_method(opened, moment, held, "position", METHODS, as_json=as_json)
        else:
            basis = opened.queries.basis(moment, chosen)
            rows = _held(opened, basis, symbol=symbol, account=account)
            answer(opened, basis, "positions", rows, POSITIONS, as_json=as_json, method=True)
            found = bool(rows)
        if not found:
            check_filter(opened, symbol=symbol, account=account, allow_empty=allow_empty)


def _held(opened: OpenLog, basis: Basis, *, symbol: str | None, account: str | None) -> list[dict[str, Any]]:
    held = opened.queries.positions(basis)
    return narrowed(position_rows(held, latest(opened, basis, held)), symbol, account)


def orders(
    log: LogPath = None,
    config: ConfigPath = None,
    as_of: AsOfTime = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    symbol: OfSymbol = None,
    account: OfAccount = None,
    state: OfState = None,
    only_open: Open = False,
    allow_empty: AllowEmpty = False,
    as_json: Json = False,
) -> None:
    """
    List orders, as they stand or stood at any moment.

    For example:

        oms orders --open --symbol BOLT
    """
    moment = when(as_of, known_at, at_seq)
    wanted = None if state is None else choice(OrderState, state, "--state")
    check_names(symbol, account)
    with open_log(log, config) as opened:
        basis = opened.queries.basis(moment)
        found = opened.queries.orders(basis).sorted()
        kept = [
            each
            for each in found
            if wanted in (None, each.state)
            and (each.is_open or not only_open)
            and symbol in (None, each.symbol)
            and account in (None, each.account)
        ]
        rows = [order_row(each) for each in kept]
        answer(opened, basis, "orders", rows, ORDERS, as_json=as_json)
        if not rows:
            check_filter(opened, symbol=symbol, account=account, allow_empty=allow_empty)


def fills(
    log: LogPath = None,
    config: ConfigPath = None,
    as_of: AsOfTime = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    symbol: OfSymbol = None,
    account: OfAccount = None,
    allow_empty: AllowEmpty = False,
    as_json: Json = False,
) -> None:
    """
    List every fill. Busted ones too, in the order in which they became known.

    For example:

        oms fills --symbol BOLT --json
    """
    moment = when(as_of, known_at, at_seq)
    check_names(symbol, account)
    with open_log(log, config) as opened:
        basis = opened.queries.basis(moment)
        rows = narrowed(opened.queries.fills(basis, symbol), None, account)
        answer(opened, basis, "fills", rows, FILLS, as_json=as_json)
        if not rows:
            check_filter(opened, symbol=symbol, account=account, allow_empty=allow_empty)


def order(
    order_id: OrderId,
    log: LogPath = None,
    config: ConfigPath = None,
    as_of: AsOfTime = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    account: OfAccount = None,
    as_json: Json = False,
) -> None:
    """
    Show an order: its history, event by event, and how it stands.

    For example:

        oms order b-3 --log day.db
    """
    moment = when(as_of, known_at, at_seq)
    check_names(None, account)
    with open_log(log, config) as opened:
        basis = opened.queries.basis(moment)
        found = opened.queries.orders_named(order_id, account, basis)
        this = named_order(opened, found, order_id, account)
        events = [event_row(each) for each in opened.queries.order_events(this.account, this.order_id, basis)]
        row = order_row(this)
        if as_json:
            mine = [each for each in fill_rows(found) if _names(each) == (this.account, this.order_id)]
            waits = [quarantine_row(each, end_of(opened, basis)) for each in this.waiting]
            head = {"basis": basis.rows(), "order": row, "quarantine": waits}
            show_rows_json({**head, "fills": mine}, "events", events)
        else:
            show_table(HISTORY, events)
            show_table(ORDERS, [row])
        print_basis(opened, basis, f"order {this.order_id}")


def _names(row: Row) -> tuple[str, str]:
    return row["account"], row["order_id"]
