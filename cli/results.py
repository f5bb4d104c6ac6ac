"""The steps of every query: open the log, query, print the rows with their basis, report unknown names."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from oms_es.cli.basis import print_basis
from oms_es.cli.columns import exact
from oms_es.cli.context import OpenLog
from oms_es.cli.filters import check_filter
from oms_es.cli.layout import Column
from oms_es.cli.options import AccountQuery, Filter, SpanFilter, SymbolQuery
from oms_es.cli.render import counted, in_zone, show_lists_json, show_rows_json, show_table
from oms_es.errors import InvalidInput
from oms_es.queries.filters import Names, RowFilter
from oms_es.queries.moments import Written, written
from oms_es.queries.queries import Basis, cost_method
from oms_es.vocabulary import CostMethod

ALL = "all"  # cost methods
Row = dict[str, Any]
Ask = Callable[[OpenLog, Basis], list[Row]]


def answer(
    ask: Ask,
    name: str,
    columns: tuple[Column, ...],
    query: AccountQuery | SymbolQuery,
    *,
    names: Mapping[str, Names] | None = None,
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
    if query.exact:
        columns, by_method = exact(columns), None if by_method is None else exact(by_method)
    thing = noun or name.removesuffix("s")
    every = by_method is not None and method is not None and method.lower() == ALL
    with query.open_at(None if every else cost_method(method)) as (opened, basis):
        if every:
            found = _by_method(opened, basis, ask, thing, by_method or columns, query)
        else:
            found = ask(opened, basis)
            rows = limited(found, query)
            if query.as_json:
                count = len(opened.queries.waiting(basis))
                show_rows_json({"basis": {**basis.rows(), "quarantined": count}}, name, rows)
            else:
                show_table(columns, in_zone(rows, opened.moments.zone))
            of_all = "" if len(rows) == len(found) else f"{len(rows):,} of "
            print_basis(opened, basis, of_all + counted(len(found), thing), method=show_method)
        check_filter(opened, _without_rows({**query.names, **(names or {})}, found), allow_empty=query.allow_empty)


def limited(rows: list[Row], query: Filter) -> list[Row]:
    """Return the rows up to the limit of a query."""
    limit = query.limit if isinstance(query, SpanFilter) else None
    return RowFilter.of(limit=limit).limited(rows)


def _without_rows(names: Mapping[str, Names], rows: list[Row]) -> dict[str, list[str]]:
    """Return the names of a filter that no row has; all of them if there is no row."""
    found = {kind: {row.get(kind) for row in rows} for kind in ("symbol", "account")}
    wanted = {kind: [each] if isinstance(each, str) else list(each or ()) for kind, each in names.items()}
    if not rows:
        return wanted
    return {kind: [each for each in wanted.get(kind, ()) if each not in found[kind]] for kind in found}


def _by_method(
    opened: OpenLog, basis: Basis, ask: Ask, thing: str, columns: tuple[Column, ...], query: AccountQuery | SymbolQuery
) -> list[Row]:
    """Print the rows of each cost method side by side; return those of one."""
    bases = [replace(basis, method=each) for each in CostMethod]
    found = {each.method.value: limited(ask(opened, each), query) for each in bases}
    if query.as_json:
        head = {**basis.rows(), "method": ALL, "quarantined": len(opened.queries.waiting(basis))}
        show_lists_json({"basis": head}, found, under="methods")
    else:
        named = [[{**row, "method": method} for row in rows] for method, rows in found.items()]
        rows = [row for rows in zip(*named, strict=True) for row in rows]
        show_table(columns, in_zone(rows, opened.moments.zone))
    one = found[bases[0].method.value]
    print_basis(opened, basis, f"{counted(len(one), thing)} by every method")
    return one


def point(text: str, name: str = "POINT") -> Written | None:
    """Return the moment of a point; None for now."""
    try:
        return None if text == "now" else written(text, name)
    except InvalidInput as error:
        raise InvalidInput(f"{error}; a point is now or a moment") from None
