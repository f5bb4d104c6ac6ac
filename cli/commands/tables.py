"""Commands that update or rebuild SQL tables and checkpoints, which are derived from the log."""

import sqlite3
import time
from pathlib import Path
from typing import Annotated

import typer

from oms_es.cli.context import OpenLog
from oms_es.cli.options import CommonOptions
from oms_es.cli.progress import events_with_progress
from oms_es.cli.render import counted, print_message, show_json
from oms_es.errors import LogError
from oms_es.projections.snapshots.builder import advance, forget
from oms_es.projections.snapshots.positions_at import cache_path

File = Annotated[Path, typer.Argument(metavar="FILE.db", help="The database of tables; created if it does not exist.")]
FileOrNone = Annotated[
    Path | None, typer.Argument(metavar="[FILE.db]", help="The database of tables [default: the checkpoints].")
]


def tables(file: File, *, options: CommonOptions) -> None:
    """
    Update SQL tables of orders, fills and P&L.

    The tables orders, fills, positions, daily_pnl and quarantine are for SQL and Datasette. Each run adds the events
    since the last run.

    For example:

        oms tables desk.db --log day.db
    """
    from oms_es.projections.tables import update_tables  # noqa: PLC0415 - most commands need no library for tables

    begun = time.monotonic()
    with options.open() as opened:
        _check_apart(opened, file)
        events = update_tables(opened.log, file, events_with_progress)
        _show_outcome(opened, f"{file}", events, begun, options)


def rebuild(file: FileOrNone = None, *, options: CommonOptions) -> None:
    """
    Rebuild the SQL tables or the checkpoints.

    With FILE.db the tables in it, otherwise the checkpoints of the log. New tables replace the old ones when they are
    complete. Both may be deleted at any time; the log is only read.

    For example:

        oms rebuild --log day.db

        oms rebuild desk.db --log day.db
    """
    begun = time.monotonic()
    with options.open() as opened:
        if file is None:
            events, what = _rebuild_checkpoints(opened), str(cache_path(opened.log))
            if not events:
                print_message("another process is writing the checkpoints of this log; nothing was rebuilt")
        else:
            events, what = _rebuild_tables(opened, file), str(file)
        _show_outcome(opened, what, events, begun, options)


def _rebuild_checkpoints(opened: OpenLog) -> int:
    try:
        forget(opened.log)
        return advance(opened.log, wrap=events_with_progress)
    except sqlite3.Error as error:
        raise LogError(f"{cache_path(opened.log)}: {error}") from error


def _rebuild_tables(opened: OpenLog, file: Path) -> int:
    from oms_es.projections.tables import rebuild_tables  # noqa: PLC0415

    _check_apart(opened, file)
    return rebuild_tables(opened.log, file, events_with_progress)


def _check_apart(opened: OpenLog, file: Path) -> None:
    if file.exists() and file.samefile(opened.log.path):
        raise LogError(f"{file} is the log itself; name another file for the tables")
    if not file.parent.is_dir():
        raise LogError(f"there is no folder {file.parent} for {file.name}")
    if file.is_dir():
        raise LogError(f"{file} is a folder, not a database of tables")


def _show_outcome(opened: OpenLog, what: str, events: int, begun: float, options: CommonOptions) -> None:
    seconds, seq = time.monotonic() - begun, opened.log.head().seq
    if options.as_json:
        show_json({"events": events, "seq": seq, "seconds": round(seconds, 3)})
    else:
        print_message(f"{what} is at seq {seq}: {counted(events, 'event')} applied in {seconds:.2f} s")
