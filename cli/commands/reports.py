"""Venue reports from a file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from oms_es import InvalidInput, OrderManagementSystem
from oms_es.cli.columns import ORDERS
from oms_es.cli.options import Actor, CommonOptions
from oms_es.cli.render import Row, counted, print_message, show_rows_json, show_table
from oms_es.domain.reports import Report, report_of
from oms_es.errors import ImportFailed, LogError, OmsError
from oms_es.identifiers import shown
from oms_es.projections.rows import order_row

File = Annotated[Path, typer.Argument(metavar="FILE", help="One JSON object per line; every line is checked first.")]
ForAccount = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="The account of the orders [default: any].")
]
MOST_BYTES = 1_000_000  # of a line


def apply(file: File, account: ForAccount = None, actor: Actor = "", *, options: CommonOptions) -> None:
    """
    Apply a venue's reports, one JSON object per line.

    A line with a status is a report of an order, any other is a fill, a correction or a bust. Reports that are in the
    log already change nothing.

    For example:

        oms apply reports.jsonl
    """
    reports = list(_read(file))

    async def run(oms: OrderManagementSystem) -> tuple[list[Row], int]:
        before, touched = oms.sequencer.state.seq, dict[tuple[str, str], None]()
        for number, report in reports:
            try:
                order = await oms.apply_report(report, account=account, actor=actor)
            except LogError:
                raise
            except OmsError as error:
                raise ImportFailed(f"{file}:{number}: {error}; the lines before it are applied") from None
            if order is not None:
                touched[order.account, order.order_id] = None
        state = oms.sequencer.state
        orders = [state.orders.order(state.orders.current_key(key)) for key in touched]
        return [order_row(order) for order in orders if order is not None], state.seq - before

    rows, events = options.carry_out(run)
    if options.as_json:
        show_rows_json({"reports": len(reports), "events": events}, "orders", rows)
    else:
        show_table(ORDERS, rows)
        print_message(f"{counted(len(reports), 'report')}, {counted(events, 'new event')}")


def _read(file: Path) -> list[tuple[int, Report]]:
    """Return the reports of a file with their line numbers."""
    found = []
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise ImportFailed(f"{file}: cannot be read: {error.strerror}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append((number, report_of(_object(line))))
        except InvalidInput as error:
            raise ImportFailed(f"{file}:{number}: {error}; nothing was applied") from None
    return found


def _object(line: bytes) -> dict[str, object]:
    if len(line) > MOST_BYTES:
        raise InvalidInput(f"the line has {len(line)} bytes; {MOST_BYTES} are allowed")
    try:
        found = json.loads(line, parse_float=_not_exact)
    except (ValueError, RecursionError):
        raise InvalidInput(f"{shown(line[:80].decode(errors='replace'))} is not JSON") from None
    if not isinstance(found, dict):
        raise InvalidInput(f"{shown(found)} is not a JSON object")
    return found


def _not_exact(number: str) -> str:
    return number  # a decimal number in JSON is read by its digits, as if it were text
