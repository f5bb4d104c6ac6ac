"""`oms report`: a trading day as one offline page."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from oms_es.audit.archive_check import verify_archive
from oms_es.audit.day_archive import SUFFIX
from oms_es.cli.context import OpenLog
from oms_es.cli.filters import check_filter
from oms_es.cli.options import AccountFilter, Checkpoints, LogOptions, OfDay, Verifiers
from oms_es.cli.progress import events_with_progress
from oms_es.cli.render import print_message
from oms_es.cli.replay_source import Source, open_source
from oms_es.errors import DamagedLog, InvalidInput
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
    checkpoints: Checkpoints = None,
    keys: Verifiers = None,
    *,
    only: AccountFilter,
    options: LogOptions,
) -> None:
    """
    Write a trading day as one offline HTML page.

    The page shows positions, P&L and risk at each event, by event time or by recording time, and the lots, fills,
    orders and checks behind each figure. It needs no network. Without --day it is the last trading day.

    With --key (and --checkpoint for a log) the events are verified first, and the page states what a checkpoint proves.

    For example:

        oms report -o day.html

        oms report day.omsday -o day.html
    """
    archive = place if place is not None and place.suffix == SUFFIX else None
    if place is not None and archive is None:
        if options.log is not None:
            raise InvalidInput("name the log once: as an argument, or with --log")
        options = LogOptions(log=place, config=options.config)
    verified = _verified(archive, options, checkpoints or [], keys or [])
    written = write_report(archive, options, day, output, only=only, check=check, verified=verified)
    print_message(f"the report is in {shown(str(written))}")


def write_report(
    archive: Path | None,
    options: LogOptions,
    day: str | None,
    output: Path | None,
    *,
    only: AccountFilter | None = None,
    check: bool | None = None,
    verified: str | None = None,
) -> Path:
    """Write the page of a trading day; return its path. `verified` is what a checkpoint proves, in words."""
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
            made = page(content_of(replace(source, account=account, check=check, verified=verified)))
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


def _verified(
    archive: Path | None, options: LogOptions, checkpoints: Sequence[Path], keys: Sequence[Path]
) -> str | None:
    """
    Verify the events; return what a signed checkpoint proves, in words, and None if none was named.

    Raises:
        DamagedLog: they do not verify, or no checkpoint with a key anchors them.
    """
    if not checkpoints and not keys:
        return None
    from oms_es.proof import verify  # noqa: PLC0415 - slow to import
    from oms_es.proof.keys import VerifierKey  # noqa: PLC0415

    if archive is None:
        with options.open() as opened:
            found = verify(opened.log.path, checkpoints, keys, quick=True)
    else:
        found = verify_archive(archive, [VerifierKey.load(each) for each in keys])
    anchors = [each for each in found.checkpoints if each.ok and each.key is not None]
    if not found.is_sound or not anchors:
        raise DamagedLog(found.detail or "sound, but no checkpoint with a key anchors it (--checkpoint, --key)")
    last = max(anchors, key=lambda each: each.events or 0)
    return f"in the checkpoint of {last.events:,} events, signed by {last.key}; {found.tail_events:,} events after it"


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
