"""`oms report`: a trading day as one offline page."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from oms_es.audit.day_archive import SUFFIX
from oms_es.cli.context import OpenLog
from oms_es.cli.filters import check_filter
from oms_es.cli.options import AccountFilter, LogOptions, OfDay
from oms_es.cli.progress import events_with_progress
from oms_es.cli.render import print_message
from oms_es.cli.replay_source import Source, open_source
from oms_es.errors import InvalidInput
from oms_es.files import check_apart, replacing
from oms_es.identifiers import shown
from oms_es.projections.orders import Orders
from oms_es.projections.positions import Positions
from oms_es.report.content import DaySource, content_of
from oms_es.report.page import page

Place = Annotated[
    Path | None, typer.Argument(metavar="[LOG|ARCHIVE]", help=f"A log or a {SUFFIX} archive [default: as --log].")
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="The page [default: DAY.html]."),
]
Check = Annotated[
    bool | None,
    typer.Option(
        "--check/--no-check",
        help="Decide every command of the day again [default: up to 20,000 events].",
        show_default=False,
    ),
]


def report(
    place: Place = None,
    output: Output = None,
    day: OfDay = None,
    check: Check = None,
    *,
    only: AccountFilter,
    options: LogOptions,
) -> None:
    """
    Write a trading day as one offline HTML page.

    The page shows positions, P&L and risk at each event, by event time or by recording time, and the lots, fills,
    orders and checks behind each figure. It needs no network. Without --day it is the last trading day.

    For example:

        oms report -o day.html

        oms report day.omsday -o day.html
    """
    archive = place if place is not None and place.suffix == SUFFIX else None
    if place is not None and archive is None:
        if options.log is not None:
            raise InvalidInput("name the log once: as an argument, or with --log")
        options = LogOptions(log=place, config=options.config)
    written = write_report(archive, options, day, output, only=only, check=check)
    print_message(f"the report is in {shown(str(written))}")


def write_report(
    archive: Path | None,
    options: LogOptions,
    day: str | None,
    output: Path | None,
    *,
    only: AccountFilter | None = None,
    check: bool | None = None,
) -> Path:
    """Write the page of a trading day; return its path."""
    account, allow_empty = (None, False) if only is None else (only.account, only.allow_empty)
    if archive is None and day is None:
        with options.open() as opened:
            day = last_day(opened)
    with open_source(archive, options, day) as found:
        if found.opened is not None:
            check_filter(found.opened, {"account": account, "day": day}, allow_empty=allow_empty)
        path = Path(f"{found.day}.html") if output is None else output
        if found.opened is not None:
            check_apart(path, found.opened.log.path)
        name = (archive or (found.opened.log.path if found.opened else path)).name
        source = day_source(found, name)
        with _no_collection():
            made = page(content_of(replace(source, account=account, check=check)))
    with replacing(path) as fresh:
        fresh.write_text(made, encoding="utf-8")
    return path


@contextmanager
def _no_collection() -> Iterator[None]:
    """Do not look for cycles among millions of rows that are all needed until the page is written."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def last_day(opened: OpenLog) -> str:
    """Return the last trading day of a log that has an order, a fill or a mark."""
    log = opened.log
    ends = log.ends_of_days(log.head().seq, Orders.topics() | Positions.topics())
    if not ends:
        raise InvalidInput("the log has no trading day yet")
    return max(ends, key=lambda each: ends[each])


def day_source(found: Source, name: str) -> DaySource:
    """Return the source of a page about the day of a log or of an archive."""
    opened, day = found.opened, found.day
    assert day is not None, "a page is about one day"
    return DaySource(
        name=name,
        opening=found.opening,
        events=events_with_progress(found.events(None), found.last_seq),
        trading_day=day,
        first_seq=found.first_seq if opened is None else opened.log.first_of_day(day),
        last_seq=found.last_seq,
        log_seq=found.last_seq if opened is None else opened.log.head().seq,
        chain=(found.chain if opened is None else opened.log.chain_at(found.last_seq)) or "",
    )
