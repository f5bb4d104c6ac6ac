"""The steps of every query: open the log, query, print the rows with their basis, report unknown names."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from oms_es.cli.basis import print_basis
from oms_es.cli.context import OpenLog
from oms_es.cli.filters import check_filter
from oms_es.cli.options import AccountQuery
from oms_es.cli.render import Column, counted, show_lists_json, show_rows_json, show_table
from oms_es.errors import InvalidInput
from oms_es.identifiers import shown
from oms_es.queries.queries import AsOf, Basis, cost_method
from oms_es.timestamps import instant
from oms_es.vocabulary import CostMethod

ALL = "all"  # cost methods
Ask = Callable[[OpenLog, Basis], list[dict[str, Any]]]


def answer(
    ask: Ask,
    name: str,
    columns: tuple[Column, ...],
    query: AccountQuery,
    *,
    names: Mapping[str, str | None] | None = None,
    method: str | None = None,
    by_method: tuple[Column, ...] | None = None,
    show_method: bool = False,
    noun: str | None = None,
) -> None:
    """
    Print the rows that `ask` returns, with their basis.

    Args:
        ask: returns the rows at a basis.
        name: the key of the rows in JSON.
        columns: the columns of the table.
        query: the log, the moment, the filter (to report unknown names when there are no rows), the form.
        names: further names that the query contains: symbol, order or day.
        method: the cost method, or all if the query has columns for it.
        by_method: the columns of the table for every method.
        show_method: whether the cost method is part of the basis.
        noun: the name of one row in messages, if not `name` without its s.
    """
    thing = noun or name.removesuffix("s")
    every = by_method is not None and method is not None and method.lower() == ALL
    with query.open_at(None if every else cost_method(method)) as (opened, basis):
        if every:
            found = _by_method(opened, basis, ask, thing, by_method or columns, as_json=query.as_json)
        else:
            rows = ask(opened, basis)
            if query.as_json:
                count = len(opened.queries.waiting(basis))
                show_rows_json({"basis": {**basis.rows(), "quarantined": count}}, name, rows)
            else:
                show_table(columns, rows)
            print_basis(opened, basis, counted(len(rows), thing), method=show_method)
            found = bool(rows)
        if not found:
            check_filter(opened, {**query.names, **(names or {})}, allow_empty=query.allow_empty)


def _by_method(
    opened: OpenLog, basis: Basis, ask: Ask, thing: str, columns: tuple[Column, ...], *, as_json: bool
) -> bool:
    """Print the rows of each cost method side by side; return whether there are any."""
    bases = [replace(basis, method=each) for each in CostMethod]
    found = {each.method.value: ask(opened, each) for each in bases}
    if as_json:
        head = {**basis.rows(), "method": ALL, "quarantined": len(opened.queries.waiting(basis))}
        show_lists_json({"basis": head}, found, under="methods")
    else:
        named = [[{**row, "method": method} for row in rows] for method, rows in found.items()]
        show_table(columns, [row for rows in zip(*named, strict=True) for row in rows])
    print_basis(opened, basis, f"{counted(len(found[bases[0].method.value]), thing)} by every method")
    return any(found.values())


def span(between: tuple[str, str] | None) -> tuple[int, int] | None:
    """Return the two moments of `--between`, ns UTC."""
    if between is None:
        return None
    first, last = (instant(each, "--between") for each in between)
    if last < first:
        raise InvalidInput(f"--between: {between[0]} is later than {between[1]}")
    return first, last


def point(text: str, as_of: int | None = None, *, known: bool) -> AsOf:
    """
    Return the moment that a point names: seq:N, now, or an instant.

    Args:
        text: the point.
        as_of: the event time that all points are about.
        known: an instant is a recording time; otherwise an event time.
    """
    if text == "now":
        return AsOf(as_of=as_of)
    name, colon, seq = text.partition(":")
    if name == "seq" and colon:
        if not (seq.isascii() and seq.isdigit() and len(seq) <= 18):
            raise InvalidInput(f"{shown(text)} is not an event; expected seq:N like seq:120")
        return AsOf(as_of=as_of, at_seq=int(seq))
    try:
        moment = instant(text, "POINT")
    except InvalidInput as error:
        raise InvalidInput(f"{error}; a point is seq:N, now, or an instant") from None
    if known:
        return AsOf(as_of=as_of, known_at=moment)
    if as_of is not None:
        raise InvalidInput("with --as-of a point is a recording time: seq:N, now, or an instant with --known")
    return AsOf(as_of=moment)
