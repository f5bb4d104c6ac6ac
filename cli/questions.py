"""Questions: positions, orders, one order, fills; now or at any moment of the log."""

from typing import Annotated, Any

import typer

from oms_es.cli.moments import latest, say_basis, say_waiting, waiting, when
from oms_es.cli.opening import Asked, asking
from oms_es.cli.options import AsOf, AtSeq, ConfigPath, Json, KnownAt, LogPath, OfAccount, OfSymbol, OrderId
from oms_es.cli.render import Column, Row, counted, show_rows_json, show_table
from oms_es.cli.rows import event_row, position_rows, waiting_row
from oms_es.cli.tables import FILLS, HISTORY, ORDERS, POSITIONS
from oms_es.identifiers import account as checked_account
from oms_es.identifiers import identifier
from oms_es.inputs import choice
from oms_es.projections.orders import row as order_row
from oms_es.reading import Basis, fill_rows, find_order, narrowed
from oms_es.reading_desk import cost_method
from oms_es.vocabulary import OrderState

Method = Annotated[
    str | None, typer.Option(metavar="NAME", help="fifo, lifo or average [default: the one in the log's policy].")
]
State = Annotated[str | None, typer.Option(metavar="NAME", help="Only orders in this state, like working.")]
Open = Annotated[bool, typer.Option("--open", help="Only orders with something open: pending and working ones.")]


def positions(
    log: LogPath = None,
    config: ConfigPath = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    symbol: OfSymbol = None,
    account: OfAccount = None,
    method: Method = None,
    as_json: Json = False,
) -> None:
    """
    Show what is held, now or at any moment of the log.

    For example:

        oms positions --as-of 2012-06-21T13:45:00Z --method lifo
    """
    moment, chosen = when(as_of, known_at, at_seq), cost_method(method)
    _check_names(symbol, account)
    with asking(log, config) as asked:
        basis = asked.questions.basis(moment, chosen)
        held = asked.questions.positions(basis)
        rows = narrowed(position_rows(held, latest(asked, basis, held)), symbol, account)
        _answer(asked, basis, "positions", rows, POSITIONS, as_json=as_json, method=True)


def orders(
    log: LogPath = None,
    config: ConfigPath = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    symbol: OfSymbol = None,
    account: OfAccount = None,
    state: State = None,
    only_open: Open = False,
    as_json: Json = False,
) -> None:
    """
    List orders, as they stand or stood at any moment.

    For example:

        oms orders --open --symbol GOOG
    """
    moment = when(as_of, known_at, at_seq)
    wanted = None if state is None else choice(OrderState, state, "--state")
    _check_names(symbol, account)
    with asking(log, config) as asked:
        basis = asked.questions.basis(moment)
        found = asked.questions.orders(basis).sorted()
        kept = [each for each in found if wanted in (None, each.state) and (each.is_open or not only_open)]
        rows = narrowed(map(order_row, kept), symbol, account)
        _answer(asked, basis, "orders", rows, ORDERS, as_json=as_json)


def fills(
    log: LogPath = None,
    config: ConfigPath = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    symbol: OfSymbol = None,
    account: OfAccount = None,
    as_json: Json = False,
) -> None:
    """
    List every fill. Busted ones too, in the order in which they became known.

    For example:

        oms fills --symbol GOOG --json
    """
    moment = when(as_of, known_at, at_seq)
    _check_names(symbol, account)
    with asking(log, config) as asked:
        basis = asked.questions.basis(moment)
        rows = narrowed(fill_rows(asked.questions.orders(basis)), symbol, account)
        _answer(asked, basis, "fills", rows, FILLS, as_json=as_json)


def order(
    order_id: OrderId,
    log: LogPath = None,
    config: ConfigPath = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    account: OfAccount = None,
    as_json: Json = False,
) -> None:
    """
    Show an order: its history, event by event, and how it stands.

    For example:

        oms order o-1 --log day.db
    """
    moment = when(as_of, known_at, at_seq)
    _check_names(None, account)
    with asking(log, config) as asked:
        basis = asked.questions.basis(moment)
        found = asked.questions.orders(basis)
        this = find_order(found, order_id, account)
        events = [event_row(each) for each in asked.questions.order_events(this.account, this.order_id, basis)]
        row = order_row(this)
        if as_json:
            mine = [each for each in fill_rows(found) if _names(each) == (this.account, this.order_id)]
            head = {"basis": basis.rows(), "order": row, "quarantine": list(map(waiting_row, this.waiting))}
            show_rows_json({**head, "fills": mine}, "events", events)
        else:
            show_table(HISTORY, events)
            show_table(ORDERS, [row])
        say_basis(asked, basis, f"order {this.order_id}")


def _answer(
    asked: Asked,
    basis: Basis,
    what: str,
    rows: list[dict[str, Any]],
    columns: tuple[Column, ...],
    *,
    as_json: bool,
    method: bool = False,
) -> None:
    """Show rows with what they rest on, and point to the quarantine."""
    count = waiting(asked, basis)
    if as_json:
        show_rows_json({"basis": {**basis.rows(), "quarantined": count}}, what, rows)
    else:
        show_table(columns, rows)
    say_basis(asked, basis, f"{counted(len(rows), what.removesuffix('s'))}", method=method)
    say_waiting(count)


def _names(row: Row) -> tuple[str, str]:
    return row["account"], row["order_id"]


def _check_names(symbol: str | None, account: str | None) -> None:
    if symbol is not None:
        identifier(symbol, "--symbol")
    if account is not None:
        checked_account(account, "--account")
