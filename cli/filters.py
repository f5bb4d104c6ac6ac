"""Report a symbol, account, order or day in a filter that the log does not contain."""

from collections.abc import Mapping

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
from oms_es.queries.filters import Names
from oms_es.queries.known_names import Name, Unknown, nearest, topics_with, unknown_names
from oms_es.queries.queries import AsOf, find_order

_PARTS = ("orders", "positions", "policies", "days")  # together they have handlers for every event


def check_filter(opened: OpenLog, names: Mapping[str, Names], *, allow_empty: bool) -> None:
    """
    Report names of a filter that the whole log does not contain; exit code 1 unless `allow_empty`.

    Call it for the names that no row of the answer has: rows show that the log contains the names.

    Args:
        opened: the log.
        names: one name or several by kind: symbol, account, order or day.
        allow_empty: exit code 0 for an unknown name too.
    """
    named = {kind: [each] if isinstance(each, str) else list(each or ()) for kind, each in names.items()}
    days = named.pop("day", [])
    unknown = unknown_in_log(opened, [Name(kind, text) for kind, texts in named.items() for text in texts])
    for each in unknown:
        print_message(f"{each} in this log{each.hint()}")
    empty = [day for day in days if not opened.log.last_of_day(day)]
    for day in empty:
        print_message(f"no event is booked on {shown(day)}{_days(opened.log, day)}")
    if (unknown or empty) and not allow_empty:
        raise typer.Exit(REFUSED)


def unknown_in_log(opened: OpenLog, names: list[Name]) -> list[Unknown]:
    """Return the names that the log does not contain; the log is read only for names that are not in an index."""
    unindexed = [name for name in names if not _is_indexed(opened, name)]
    return unknown_names(unindexed, opened.log.read(topics=topics_with(unindexed))) if unindexed else []


def _is_indexed(opened: OpenLog, name: Name) -> bool:
    if name.kind == "account":
        return opened.log.holds_name(f"order/{name.text}/") or bool(opened.log.stream(f"policy/{name.text}"))
    if name.kind == "order":
        found = opened.log.order_streams(name.text)
        return bool(found if name.account is None else f"order/{name.account}/{name.text}" in found)
    positions = opened.queries.positions(opened.queries.basis(AsOf()))
    return any(name.text in cell for cell in (positions.holders, positions.marks, positions.instruments))


def _days(log: SqliteLog, day: str) -> str:
    """Return days with events in words: those most like `day`, or the last ones."""
    days = sorted(log.ends_of_days(log.head().seq, State().restrict(_PARTS)))
    close = nearest(day, days)
    if close:
        return f" (did you mean {', '.join(map(shown, close))}?)"
    return f" (the last days: {', '.join(days[-3:])})" if days else ""


def named_order(opened: OpenLog, orders: Orders, order_id: str, account: str | None) -> Order:
    """
    Return the order with this id, or with this venue's order id.

    Raises:
        UnknownOrder: there is none; the message names an id or an account that the log does not contain.
        AmbiguousOrder: there are several.
    """
    try:
        return find_order(orders, order_id, account)
    except UnknownOrder as error:
        if not is_identifier(order_id):
            raise
        names = [Name("order", order_id, account)] + ([] if account is None else [Name("account", account)])
        unknown = "; ".join(f"{each} in this log{each.hint()}" for each in unknown_in_log(opened, names))
        raise UnknownOrder(unknown or str(error)) from None
