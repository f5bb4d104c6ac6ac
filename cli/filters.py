"""What a filter names: a symbol, an account, an order or a day that the log does not contain is reported."""

import typer

from oms_es.cli.context import OpenLog
from oms_es.cli.exit_codes import REFUSED
from oms_es.cli.render import print_message
from oms_es.domain.order import Order
from oms_es.errors import UnknownOrder
from oms_es.identifiers import is_identifier, shown
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.orders import Orders
from oms_es.projections.state import State
from oms_es.queries.known_names import Name, Unknown, nearest, topics_with, unknown_names
from oms_es.queries.queries import AsOf, find_order

_PARTS = ("orders", "positions", "policies", "days")  # whose events are all there are


def check_filter(
    opened: OpenLog,
    *,
    symbol: str | None = None,
    account: str | None = None,
    order: str | None = None,
    day: str | None = None,
    allow_empty: bool,
) -> None:
    """
    Report what a filter names and the log does not contain, at any moment; exit code 1 unless `allow_empty`.

    To be called where an answer has no rows: rows show that the log contains what the filter names.
    """
    given = {"symbol": symbol, "account": account, "order": order}
    names = [Name(kind, text) for kind, text in given.items() if text is not None]
    unknown = unknown_in_log(opened, names)
    for each in unknown:
        print_message(f"{each} in this log{each.hint()}")
    empty_day = day is not None and not opened.log.last_of_day(day)
    if empty_day:
        print_message(f"no event is booked on {shown(day)}{_days(opened.log, str(day))}")
    if (unknown or empty_day) and not allow_empty:
        raise typer.Exit(REFUSED)


def unknown_in_log(opened: OpenLog, names: list[Name]) -> list[Unknown]:
    """Return which names the whole log does not contain; it is read only for a name that no index has."""
    open_names = [name for name in names if not _is_indexed(opened, name)]
    return unknown_names(open_names, opened.log.read(topics=topics_with(open_names))) if open_names else []


def _is_indexed(opened: OpenLog, name: Name) -> bool:
    if name.kind == "account":
        return opened.log.holds_name(f"order/{name.text}/") or bool(opened.log.stream(f"policy/{name.text}"))
    if name.kind == "order":
        found = opened.log.order_streams(name.text)
        return bool(found if name.account is None else f"order/{name.account}/{name.text}" in found)
    positions = opened.queries.positions(opened.queries.basis(AsOf()))
    return any(name.text in cell for cell in (positions.holders, positions.marks, positions.instruments))


def _days(log: SqliteLog, day: str) -> str:
    """Return in words on which days something is booked: those most like the one that was given, or the last ones."""
    days = sorted(log.ends_of_days(log.head().seq, State().restrict(_PARTS)))
    close = nearest(day, days)
    if close:
        return f" (did you mean {', '.join(map(shown, close))}?)"
    return f" (the last days: {', '.join(days[-3:])})" if days else ""


def named_order(opened: OpenLog, orders: Orders, order_id: str, account: str | None) -> Order:
    """
    Return the order that an id names.

    Raises:
        UnknownOrder, AmbiguousOrder: none, or several; an id or an account that the log does not contain is named.
    """
    try:
        return find_order(orders, order_id, account)
    except UnknownOrder as error:
        if not is_identifier(order_id):
            raise
        names = [Name("order", order_id, account)] + ([] if account is None else [Name("account", account)])
        unknown = "; ".join(f"{each} in this log{each.hint()}" for each in unknown_in_log(opened, names))
        raise UnknownOrder(unknown or str(error)) from None
