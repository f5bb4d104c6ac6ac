"""Commands that close a trading day, and export a day or rows as a file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from oms_es import OrderManagementSystem, __version__
from oms_es.audit.day_archive import SUFFIX, pack
from oms_es.cli.commands.report import write_report
from oms_es.cli.filters import check_filter
from oms_es.cli.options import CommandOptions, Method, OfDay, Reason, SymbolQuery, checked, trading_day
from oms_es.cli.progress import events_with_progress
from oms_es.cli.render import counted, print_message, show_json
from oms_es.domain.events import DayClosed
from oms_es.domain.validation import one_of
from oms_es.errors import InvalidInput
from oms_es.files import check_apart
from oms_es.identifiers import identifier, shown
from oms_es.queries.export import FORMATS, WHAT, ExportFilter, export_rows, write
from oms_es.queries.queries import cost_method

TradingDay = Annotated[
    str,
    typer.Argument(metavar="DAY", callback=checked(trading_day, "DAY"), help="The trading day, like 2012-06-21."),
]
Force = Annotated[bool, typer.Option("--force", help="Close it although fills are in quarantine; needs --reason.")]
What = Annotated[str | None, typer.Option(metavar="NAME", help=f"One of {', '.join(WHAT)} [default: events].")]
Format = Annotated[str | None, typer.Option("--format", metavar="NAME", help="jsonl, csv or parquet [default: jsonl].")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help=f"The file [default: standard output]; {SUFFIX} for a day archive."
    ),
]
Report = Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the page of the closed day.")]
Checkpoints = Annotated[
    Path | None, typer.Option("--checkpoint", metavar="FILE", help="Signed checkpoints; for a day archive.")
]
OfOrder = Annotated[str | None, typer.Option("--order", metavar="ORDER", help="Only this order.")]


def close_day(
    day: TradingDay, force: Force = False, reason: Reason = "", report: Report = None, *, options: CommandOptions
) -> None:
    """
    Close a trading day.

    Later events are booked on the next day, and every replay must give the digests of the closed day. On imported
    history the closing records the calendar and the cost method, but only those limits that a settings file names.

    For example:

        oms close-day 2024-03-15 --force --reason "the venue looks into b-4-t2"
    """

    async def run(oms: OrderManagementSystem) -> DayClosed | None:
        await oms.close_day(day, force=force, reason=reason, **options.recorded())
        found = [each.event for each in oms.log.stream("day/*") if isinstance(each.event, DayClosed)]
        return next((each for each in reversed(found) if each.trading_day == day), None)

    closed = options.carry_out(run)
    assert closed is not None, "it was closed just now"
    if report is not None:
        write_report(None, options, day, report)
    if options.as_json:
        show_json({name: getattr(closed, name) for name in _CLOSED})
    else:
        print_message(f"{closed.trading_day} is closed, seq {closed.first_seq} to {closed.last_seq}")
        for name, digest in closed.digests.items():
            print_message(f"  {name:<12}{digest}")
        if report is not None:
            print_message(f"the report is in {shown(str(report))}")


_CLOSED = ("trading_day", "first_seq", "last_seq", "forced", "digests")


def export(
    output: Output = None,
    what: What = None,
    form: Format = None,
    day: OfDay = None,
    order: OfOrder = None,
    method: Method = None,
    checkpoints: Checkpoints = None,
    *,
    query: SymbolQuery,
) -> None:
    """
    Export a trading day, or rows, as a file.

    A day archive (-o day.omsday) contains the day's part of the log with its hash chain and the state before it; `oms
    replay day.omsday` gives the same report and digest on any machine. With --checkpoint it also contains the first
    signed checkpoint that covers the day, and the proof that its events are in that tree.

    Rows are orders, fills, positions, P&L or raw events; filter them by day, symbol, account and order. With --day,
    orders are those with an event on the day, and positions those at its end; with --order, positions and P&L are those
    that its fills changed.

    For example:

        oms export --day 2024-03-15 -o day.omsday

        oms export --what fills --format csv --symbol BOLT -o fills.csv
    """
    if output is not None and output.suffix == SUFFIX:
        filters = (*query.names.values(), query.as_of, query.known_at, query.at_seq)
        if day is None or any(each is not None for each in (what, form, order, method, *filters)):
            raise InvalidInput(f"a {SUFFIX} archive contains one whole trading day: give --day and no other filter")
        _export_archive(query, output, day, checkpoints)
        return
    if checkpoints is not None:
        raise InvalidInput(f"--checkpoint goes with a day archive: -o DAY{SUFFIX}")
    chosen, kind = one_of(what or "events", WHAT, "--what"), one_of(form or "jsonl", FORMATS, "--format")
    order_id = None if order is None else identifier(order, "--order")
    with query.open_at(cost_method(method)) as (opened, basis):
        if output is not None:
            check_apart(output, opened.log.path)
        narrow = ExportFilter(day=day, symbol=query.symbol, account=query.account, order_id=order_id)
        rows = export_rows(chosen, opened.queries, basis, opened.log.rows, narrow)
        count = write(rows, chosen, kind, sys.stdout if output is None else output)
        summary = f"{counted(count, 'row')} of {chosen}"
        if query.as_json and output is not None:
            show_json({"what": chosen, "format": kind, "rows": count, "seq": basis.seq})
        else:
            print_message(summary if output is None else f"{summary} in {shown(output)}")
        if not count:
            check_filter(opened, {**query.names, "order": order_id, "day": day}, allow_empty=query.allow_empty)


def _export_archive(query: SymbolQuery, output: Path, day: str, checkpoints: Path | None) -> None:
    with query.open() as opened:
        check_apart(output, opened.log.path)
        manifest = pack(opened.log, day, output, opened.first_method(), __version__, checkpoints, events_with_progress)
    if query.as_json:
        names = ("first_seq", "last_seq", "opening_state", "chain")
        show_json({"trading_day": day, **{name: getattr(manifest, name) for name in names}})
    else:
        events = manifest.last_seq - manifest.first_seq + 1
        print_message(
            f"{counted(events, 'event')} of {day} in {shown(output)}; replay them with `oms replay {output.name}`"
        )
