"""What answers have in common: checked names, rows with what they rest on, and a word about the quarantine."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Any

from oms_es.cli.basis import print_basis
from oms_es.cli.context import OpenLog
from oms_es.cli.render import Column, counted, show_lists_json, show_rows_json, show_table
from oms_es.errors import InvalidInput
from oms_es.identifiers import account as checked_account
from oms_es.identifiers import identifier, shown
from oms_es.queries.queries import AsOf, Basis
from oms_es.timestamps import instant
from oms_es.vocabulary import CostMethod

ALL = "all"  # cost methods


def answer(
    opened: OpenLog,
    basis: Basis,
    what: str,
    rows: list[dict[str, Any]],
    columns: tuple[Column, ...],
    *,
    as_json: bool,
    method: bool = False,
    things: str | None = None,
) -> None:
    """Show rows with what they rest on, and point to the quarantine; `things` says what they are, if not `what`."""
    if as_json:
        count = len(opened.queries.waiting(basis))
        show_rows_json({"basis": {**basis.rows(), "quarantined": count}}, what, rows)
    else:
        show_table(columns, rows)
    print_basis(opened, basis, counted(len(rows), (things or what).removesuffix("s")), method=method)


def is_every(method: str | None) -> bool:
    """Return whether every cost method is asked for."""
    return method is not None and method.lower() == ALL


def by_method(
    opened: OpenLog,
    moment: AsOf,
    ask: Callable[[Basis], list[dict[str, Any]]],
    thing: str,
    columns: tuple[Column, ...],
    *,
    as_json: bool,
) -> bool:
    """Show the rows of each cost method side by side, with other figures; return whether there are any."""
    bases = [opened.queries.basis(moment, each) for each in CostMethod]
    found = {basis.method.value: ask(basis) for basis in bases}
    if as_json:
        head = {**bases[0].rows(), "method": ALL, "quarantined": len(opened.queries.waiting(bases[0]))}
        show_lists_json({"basis": head}, found, under="methods")
    else:
        named = [[{**row, "method": method} for row in rows] for method, rows in found.items()]
        show_table(columns, [row for rows in zip(*named, strict=True) for row in rows])
    print_basis(opened, bases[0], f"{counted(len(found[bases[0].method.value]), thing)} by every method")
    return any(found.values())


def check_names(symbol: str | None, account: str | None) -> None:
    """Refuse what can be no symbol, and no account."""
    if symbol is not None:
        identifier(symbol, "--symbol")
    if account is not None:
        checked_account(account, "--account")


def checked_day(day: str | None, name: str = "--day") -> str | None:
    """Return the trading day that was asked for."""
    if day is None:
        return None
    with suppress(ValueError):
        if re.fullmatch(r"\d{4}-\d\d-\d\d", day, re.ASCII):
            return date.fromisoformat(day).isoformat()
    raise InvalidInput(f"{name}: {shown(day)} is no day; expected ISO text like 2012-06-21")


def span(between: tuple[str, str] | None) -> tuple[int, int] | None:
    """Return the two moments of `--between`, ns UTC."""
    if between is None:
        return None
    first, last = (instant(each, "--between") for each in between)
    if last < first:
        raise InvalidInput(f"--between: {between[0]} is later than {between[1]}")
    return first, last


def point(given: str, true_at: int | None = None, *, known: bool) -> AsOf:
    """
    Return what a point names: seq:N, now, or an instant.

    Args:
        given: the point.
        true_at: the moment that all points are states of knowledge about.
        known: an instant means what the log held then; else what was true then.
    """
    if given == "now":
        return AsOf(as_of=true_at)
    name, colon, seq = given.partition(":")
    if name == "seq" and colon:
        if not (seq.isascii() and seq.isdigit() and len(seq) <= 18):
            raise InvalidInput(f"{shown(given)} names no event; expected seq:N like seq:120")
        return AsOf(as_of=true_at, at_seq=int(seq))
    try:
        moment = instant(given, "POINT")
    except InvalidInput as error:
        raise InvalidInput(f"{error}; a point is seq:N, now, or an instant") from None
    if known:
        return AsOf(as_of=true_at, known_at=moment)
    if true_at is not None:
        raise InvalidInput("with --as-of the points are states of knowledge: seq:N, now, or instants with --known")
    return AsOf(as_of=moment)
