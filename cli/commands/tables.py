"""Commands that keep what is computed from the log beside it: plain tables, and checkpoints."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from oms_es.cli.context import OpenLog, open_log
from oms_es.cli.options import ConfigPath, Json, LogPath
from oms_es.cli.progress import counting
from oms_es.cli.render import counted, print_message, show_json
from oms_es.errors import LogError
from oms_es.projections.snapshots.builder import advance, forget
from oms_es.projections.snapshots.positions_at import cache_path

File = Annotated[Path, typer.Argument(metavar="FILE.db", help="The database of tables; made where there is none.")]
FileOrNone = Annotated[
    Path | None, typer.Argument(metavar="[FILE.db]", help="The database of tables [default: the checkpoints].")
]


def tables(file: File, log: LogPath = None, config: ConfigPath = None, as_json: Json = False) -> None:
    """
    Keep plain tables of orders, fills, positions, days and quarantine beside the log, for SQL and for Datasette.

    Each run takes the events that have come since the last one.

    For example:

        oms tables desk.db --log day.db
    """
    from oms_es.projections.tables import update_tables  # noqa: PLC0415 - most commands need no library for tables

    begun = time.monotonic()
    with open_log(log, config) as opened:
        _check_apart(opened, file)
        with counting() as progress:
            events = update_tables(opened.log, file, progress)
        _show_outcome(opened, f"{file}", events, begun, as_json=as_json)


def rebuild(file: FileOrNone = None, log: LogPath = None, config: ConfigPath = None, as_json: Json = False) -> None:
    """
    Make anew what is computed from the log: the tables in FILE.db, or without it the log's checkpoints.

    Tables are swapped in when they are complete. Both can be deleted at any time; the log is only read.

    For example:

        oms rebuild --log day.db

        oms rebuild desk.db --log day.db
    """
    begun = time.monotonic()
    with open_log(log, config) as opened:
        if file is None:
            events, what = _rebuild_checkpoints(opened), str(cache_path(opened.log))
            if not events:
                print_message("another process is making checkpoints of this log at the moment; it is left to it")
        else:
            events, what = _rebuild_tables(opened, file), str(file)
        _show_outcome(opened, what, events, begun, as_json=as_json)


def _rebuild_checkpoints(opened: OpenLog) -> int:
    try:
        forget(opened.log)
        with counting() as progress:
            return advance(opened.log, progress=progress)
    except sqlite3.Error as error:
        raise LogError(f"{cache_path(opened.log)}: {error}") from error


def _rebuild_tables(opened: OpenLog, file: Path) -> int:
    from oms_es.projections.tables import rebuild_tables  # noqa: PLC0415

    _check_apart(opened, file)
    _check_tables(file)
    with counting() as progress:
        return rebuild_tables(opened.log, file, progress)


def _check_apart(opened: OpenLog, file: Path) -> None:
    if file.exists() and file.samefile(opened.log.path):
        raise LogError(f"{file} is the log itself; name another file for the tables")
    if not file.parent.is_dir():
        raise LogError(f"there is no folder {file.parent} to keep {file.name} in")
    if file.is_dir():
        raise LogError(f"{file} is a folder, not a database of tables")


def _check_tables(file: Path) -> None:
    """Refuse to put tables in the place of anything else."""
    if not file.exists() or not file.stat().st_size:
        return
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as found:
            ours = found.execute("SELECT 1 FROM sqlite_master WHERE name = 'log_position'").fetchone()
    except sqlite3.Error as error:
        raise LogError(f"{file}: {error}") from error
    if ours is None:
        raise LogError(f"{file} is a database, but not one of tables made by oms; it is left as it is")


def _show_outcome(opened: OpenLog, what: str, events: int, begun: float, *, as_json: bool) -> None:
    seconds, seq = time.monotonic() - begun, opened.log.head().seq
    if as_json:
        show_json({"events": events, "seq": seq, "seconds": round(seconds, 3)})
    else:
        print_message(f"{what} stands at seq {seq}: {counted(events, 'event')} taken in within {seconds:.2f} s")
