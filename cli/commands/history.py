"""How a position came about, and what differs between two moments."""

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any

import typer

from oms_es.cli.basis import print_basis, when
from oms_es.cli.columns import CHANGES, DIFFERENCES
from oms_es.cli.context import OpenLog, open_log
from oms_es.cli.exit_codes import REFUSED
from oms_es.cli.filters import check_filter
from oms_es.cli.options import (
    AllowEmpty,
    AsOfTime,
    AtSeq,
    Between,
    ConfigPath,
    Json,
    KnownAt,
    LogPath,
    Method,
    OfAccount,
    OfSymbol,
)
from oms_es.cli.render import counted, print_message, show_lists_json, show_table
from oms_es.cli.results import answer, check_names, point, span
from oms_es.queries.explain import diff_by_order, diff_by_symbol
from oms_es.queries.explain import history as changes_of
from oms_es.queries.queries import AsOf, Basis, cost_method, narrowed
from oms_es.timestamps import instant
from oms_es.vocabulary import CostMethod

Row = dict[str, Any]


def history(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL")],
    between: Between = None,
    log: LogPath = None,
    config: ConfigPath = None,
    as_of: AsOfTime = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    account: OfAccount = None,
    method: Method = None,
    allow_empty: AllowEmpty = False,
    as_json: Json = False,
) -> None:
    """
    Show every change of the position in a symbol, and the fill behind it.

    Changes come in the order in which they were recorded, busts and corrections as changes of their own; with --as-of
    in the order in which they were true, each fill as it stands corrected. --between looks at when a change was true
    at the venue in either case, and the figures count what came before.

    For example:

        oms history BOLT --between 2024-03-15T13:30:00Z 2024-03-15T13:45:00Z
    """
    moment, chosen, kept = when(as_of, known_at, at_seq), cost_method(method), span(between)
    check_names(symbol, account)
    with open_log(log, config) as opened:
        basis = opened.queries.basis(moment, chosen)
        rows = list(changes_of(opened.queries, basis, symbol, account))
        if kept is not None:
            rows = [row for row in rows if kept[0] <= instant(row["occurred_at"]) <= kept[1]]
        answer(opened, basis, "changes", rows, CHANGES, as_json=as_json, method=True)
        if not rows:
            check_filter(opened, symbol=symbol, account=account, allow_empty=allow_empty)


# --- diff ---


class Kind(str, Enum):
    """What is compared."""

    SYMBOL = "symbol"
    ORDER = "order"


Point = Annotated[str, typer.Argument(metavar="POINT", help="seq:N, now, or an instant.")]
By = Annotated[Kind, typer.Option("--by", metavar="symbol|order", help="Compare positions and days, or orders.")]
Known = Annotated[bool, typer.Option("--known", help="An instant means what the log held then, not what was true.")]


def diff(
    first: Point,
    second: Point,
    by: By = Kind.SYMBOL,
    known: Known = False,
    as_of: AsOfTime = None,
    log: LogPath = None,
    config: ConfigPath = None,
    symbol: OfSymbol = None,
    account: OfAccount = None,
    method: Method = None,
    allow_empty: AllowEmpty = False,
    as_json: Json = False,
) -> None:
    """
    Show what differs between two points: seq:N, now, or an instant.

    An instant means what was true then, with all that is known now; with --known, what the log held then. With
    --as-of T both points are states of knowledge about T: how it was restated from the one to the other.

    For example:

        oms diff seq:40 now --by order

        oms diff 2024-03-15T14:06:00Z now --known --as-of 2024-03-15T14:05:00Z
    """
    true_at = None if as_of is None else instant(as_of, "--as-of")
    moments = [point(each, true_at, known=known) for each in (first, second)]
    chosen = cost_method(method)
    check_names(symbol, account)
    with open_log(log, config) as opened:
        one, other = _bases(opened, moments, chosen)
        compare = diff_by_order if by is Kind.ORDER else diff_by_symbol
        found = compare(opened.queries, one, other)
        kept = {name: narrowed(rows, symbol, account) for name, rows in found.items()}
        if as_json:
            show_lists_json({"from": one.rows(), "to": other.rows()}, kept)
        else:
            show_table(DIFFERENCES, [line for rows in kept.values() for row in rows for line in _lines(row)])
        _print_outcome(opened, (one, other), kept)
        if not any(kept.values()):
            check_filter(opened, symbol=symbol, account=account, allow_empty=allow_empty)
        if one.past_end and other.past_end:
            print_message("both points are past the end of the log: its last state is compared with itself")
            if not allow_empty:
                raise typer.Exit(REFUSED)


def _bases(opened: OpenLog, moments: list[AsOf], method: CostMethod | None) -> tuple[Basis, Basis]:
    """Return what both answers rest on; the second one's method goes for both, or the method would differ as well."""
    other = opened.queries.basis(moments[1], method)
    return opened.queries.basis(moments[0], other.method), other


def _lines(row: Row) -> list[Row]:
    """Return a line for each figure that differs."""
    names = {name: row.get(name) for name in ("trading_day", "account", "symbol", "order_id")}
    figures = {name: value for name, value in row.items() if isinstance(value, Mapping)}
    return [{**names, "figure": name, **value} for name, value in figures.items()]


def _print_outcome(opened: OpenLog, bases: tuple[Basis, Basis], found: dict[str, list[Row]]) -> None:
    counts = [counted(len(rows), name.removesuffix("s")) for name, rows in found.items()]
    verb = "differs" if sum(map(len, found.values())) == 1 else "differ"
    print_message(f"{' and '.join(counts)} {verb}" if any(found.values()) else "nothing differs")
    for name, basis in zip(("from:", "to:"), bases, strict=True):
        print_basis(opened, basis, name, method=True, waiting=name == "to:")
