"""The history of a position, and the difference between two moments."""

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any

import typer

from oms_es.cli.basis import print_basis
from oms_es.cli.columns import CHANGES, DIFFERENCES
from oms_es.cli.context import OpenLog
from oms_es.cli.exit_codes import REFUSED
from oms_es.cli.filters import check_filter
from oms_es.cli.options import AccountRowsQuery, AsOfTime, Method, QueryOptions, SymbolArgument, SymbolFilter, Zone
from oms_es.cli.render import counted, print_message, show_lists_json, show_table
from oms_es.cli.results import answer, point
from oms_es.errors import InvalidInput
from oms_es.identifiers import identifier
from oms_es.queries.explain import diff_by_order, diff_by_symbol
from oms_es.queries.explain import history as changes_of
from oms_es.queries.moments import written
from oms_es.queries.queries import Basis, cost_method

Row = dict[str, Any]
Between = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="MOMENT MOMENT", help="Only between these two event times, both included."),
]


def history(symbol: SymbolArgument, between: Between = None, method: Method = None, *, query: AccountRowsQuery) -> None:
    """
    Show every change of a position and its fill.

    Changes are in the order of recording; busts and corrections are changes of their own. With --as-of they are in the
    order of event time, each fill as it is after corrections. --between always filters by event time at the venue; the
    figures include everything before.

    For example:

        oms history BOLT --between 2024-03-15T13:30:00Z 2024-03-15T13:45:00Z
    """
    identifier(symbol, "--symbol")
    if between is not None and (query.from_, query.to) != (None, None):
        raise InvalidInput("--between names both ends of a span: give it, or --from and --to")
    start, end = (None, None) if between is None else between
    first, last = written(start, "--between", begins=True), written(end, "--between")

    def ask(opened: OpenLog, basis: Basis) -> list[Row]:
        only = query.rows_at(opened)
        if between is not None:
            only = opened.moments.between(only, first, last)
        return only.rows(changes_of(opened.queries, basis, symbol, None), "occurred_at")

    answer(ask, "changes", CHANGES, query, names={"symbol": symbol}, method=method, show_method=True)


# --- diff ---


class Kind(str, Enum):
    """The compared rows."""

    SYMBOL = "symbol"
    ORDER = "order"


Point = Annotated[str, typer.Argument(metavar="POINT", help="seq:N, now, or another moment.")]
By = Annotated[Kind, typer.Option("--by", metavar="symbol|order", help="Compare positions and days, or orders.")]
Known = Annotated[bool, typer.Option("--known", help="A time is a recording time, not an event time.")]


def diff(
    first: Point,
    second: Point,
    by: By = Kind.SYMBOL,
    known: Known = False,
    as_of: AsOfTime = None,
    method: Method = None,
    tz: Zone = None,
    *,
    only: SymbolFilter,
    options: QueryOptions,
) -> None:
    """
    Compare positions or orders at two points.

    A point is now or a moment. An event (seq:N, order:ID, close) is its place in the log. A time is an event time, with
    everything known now; with --known it is a recording time. With --as-of T both points are recording times, and the
    answer is how the state at T was restated between them.

    For example:

        oms diff seq:40 now --by order

        oms diff 2024-03-15T14:06:00Z now --known --as-of 2024-03-15T14:05:00Z
    """
    event_time, points = written(as_of, "--as-of"), [point(each) for each in (first, second)]
    chosen = cost_method(method)
    with options.open(tz, archives=True) as opened:
        at = None if event_time is None else opened.moments.event_time(event_time)
        moments = [opened.moments.point(each, at, known=known) for each in points]
        other = opened.queries.basis(moments[1], chosen)
        one = opened.queries.basis(moments[0], other.method)  # another cost method is no difference of the points
        compare = diff_by_order if by is Kind.ORDER else diff_by_symbol
        differences = compare(opened.queries, one, other)
        found = {name: only.rows_at(opened).rows(rows) for name, rows in differences.items()}
        if options.as_json:
            show_lists_json({"from": one.rows(), "to": other.rows()}, found)
        else:
            show_table(DIFFERENCES, [line for rows in found.values() for row in rows for line in _lines(row)])
        _print_outcome(opened, (one, other), found)
        if not any(found.values()):
            check_filter(opened, only.names, allow_empty=only.allow_empty)
        if one.past_end and other.past_end:
            print_message("both points are past the end of the log: its last state is compared with itself")
            if not only.allow_empty:
                raise typer.Exit(REFUSED)


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
        print_basis(opened, basis, name, method=True, quarantine=name == "to:")
