"""Commands for audit: closing a trading day, and carrying one, or any answer, away as a file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from oms_es import OrderManagementSystem, __version__
from oms_es.audit.day_archive import SUFFIX, pack
from oms_es.cli.basis import when
from oms_es.cli.context import carry_out, open_log
from oms_es.cli.filters import check_filter
from oms_es.cli.options import (
    Actor,
    AllowEmpty,
    AsOfTime,
    AtSeq,
    CommandId,
    ConfigPath,
    Json,
    KnownAt,
    LogPath,
    OfAccount,
    OfDay,
    OfSymbol,
    Reason,
)
from oms_es.cli.render import counted, print_message, show_json
from oms_es.cli.results import check_names, checked_day
from oms_es.domain.events import DayClosed
from oms_es.domain.validation import one_of
from oms_es.errors import InvalidInput
from oms_es.files import check_apart
from oms_es.identifiers import identifier, shown
from oms_es.queries.export import FORMATS, WHAT, ExportFilter, export_rows, write
from oms_es.queries.queries import cost_method

TradingDay = Annotated[str, typer.Argument(metavar="DAY", help="The trading day, like 2012-06-21.")]
Force = Annotated[bool, typer.Option("--force", help="Close it although fills wait in quarantine; needs --reason.")]
What = Annotated[str | None, typer.Option(metavar="NAME", help=f"One of {', '.join(WHAT)} [default: events].")]
Format = Annotated[str | None, typer.Option("--format", metavar="NAME", help="jsonl, csv or parquet [default: jsonl].")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help=f"Where to [default: standard output]; {SUFFIX} packs a day."),
]
OfOrder = Annotated[str | None, typer.Option("--order", metavar="ORDER", help="Only this order.")]
Method = Annotated[str | None, typer.Option(metavar="NAME", help="fifo, lifo or average.")]


def close_day(
    day: TradingDay,
    log: LogPath = None,
    config: ConfigPath = None,
    force: Force = False,
    reason: Reason = "",
    command_id: CommandId = None,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """
    Close a trading day: what comes later is booked on the next, and a replay is held to the day's digests.

    On imported history the closing records the calendar and the cost method, but no limit that a settings file does not
    name.

    For example:

        oms close-day 2024-03-15 --force --reason "the venue looks into b-4-t2"
    """
    wanted = checked_day(day, "DAY")

    async def run(oms: OrderManagementSystem) -> DayClosed | None:
        await oms.close_day(str(wanted), force=force, reason=reason, actor=actor, command_id=command_id)
        found = [each.event for each in oms.log.stream("day/*") if isinstance(each.event, DayClosed)]
        return next((each for each in reversed(found) if each.trading_day == wanted), None)

    closed = carry_out(log, config, run)
    assert closed is not None, "it was closed just now"
    if as_json:
        show_json(
            {
                "trading_day": closed.trading_day,
                "first_seq": closed.first_seq,
                "last_seq": closed.last_seq,
                "forced": closed.forced,
                "digests": closed.digests,
            }
        )
    else:
        print_message(f"{closed.trading_day} is closed, seq {closed.first_seq} to {closed.last_seq}")
        for name, digest in closed.digests.items():
            print_message(f"  {name:<12}{digest}")


def export(
    log: LogPath = None,
    config: ConfigPath = None,
    output: Output = None,
    what: What = None,
    form: Format = None,
    day: OfDay = None,
    symbol: OfSymbol = None,
    account: OfAccount = None,
    order: OfOrder = None,
    as_of: AsOfTime = None,
    known_at: KnownAt = None,
    at_seq: AtSeq = None,
    method: Method = None,
    allow_empty: AllowEmpty = False,
    as_json: Json = False,
) -> None:
    """
    Carry away a trading day as a box, or orders, fills, positions, P&L or raw events as a file.

    A box (-o day.omsday) holds the slice of the log with its chain and the state it opens with; `oms replay day.omsday`
    gives the same report and digest on any machine. All other exports can be narrowed by day, symbol, account, order:
    orders to those that something was booked of on the day, positions to how they stood at its end, positions and P&L
    of an order to what its fills went into.

    For example:

        oms export --day 2024-03-15 -o day.omsday

        oms export --what fills --format csv --symbol BOLT -o fills.csv
    """
    wanted = checked_day(day)
    check_names(symbol, account)
    if output is not None and output.suffix == SUFFIX:
        narrowed = (what, form, symbol, account, order, as_of, known_at, at_seq, method)
        if wanted is None or any(each is not None for each in narrowed):
            raise InvalidInput(f"a {SUFFIX} box holds one whole trading day: give --day, and nothing else of it")
        _export_box(log, config, output, wanted, as_json=as_json)
        return
    chosen, kind = one_of(what or "events", WHAT, "--what"), one_of(form or "jsonl", FORMATS, "--format")
    moment = when(as_of, known_at, at_seq)
    order_id = None if order is None else identifier(order, "--order")
    with open_log(log, config) as opened:
        if output is not None:
            check_apart(output, opened.log.path)
        basis = opened.queries.basis(moment, cost_method(method))
        narrow = ExportFilter(day=wanted, symbol=symbol, account=account, order_id=order_id)
        rows = export_rows(chosen, opened.queries, basis, opened.log.rows, narrow)
        count = write(rows, chosen, kind, sys.stdout if output is None else output)
        said = f"{counted(count, 'row')} of {chosen}"
        if as_json and output is not None:
            show_json({"what": chosen, "format": kind, "rows": count, "seq": basis.seq})
        else:
            print_message(said if output is None else f"{said} in {shown(output)}")
        if not count:
            check_filter(opened, symbol=symbol, account=account, order=order_id, day=wanted, allow_empty=allow_empty)


def _export_box(log: Path | None, config: Path | None, output: Path, day: str, *, as_json: bool) -> None:
    with open_log(log, config) as opened:
        check_apart(output, opened.log.path)
        manifest = pack(opened.log, day, output, opened.first_method(), __version__)
    if as_json:
        show_json(
            {
                "trading_day": day,
                "first_seq": manifest.first_seq,
                "last_seq": manifest.last_seq,
                "opening_state": manifest.opening_state,
                "chain": manifest.chain,
            }
        )
    else:
        events = manifest.last_seq - manifest.first_seq + 1
        print_message(
            f"{counted(events, 'event')} of {day} packed into {shown(output)}; `oms replay {output.name}` replays them"
        )
