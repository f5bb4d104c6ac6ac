"""`oms demo`: a day of trading in a fresh log, and queries about it."""

import asyncio
import json
import os
import shlex
import shutil
import sys
import tempfile
from contextlib import suppress
from importlib.resources import as_file, files
from pathlib import Path

import typer

from oms_es import FillQuarantinedError, OrderManagementSystem, OrderRejected, Settings
from oms_es.cli.commands.report import write_report
from oms_es.cli.log_options import LogPath
from oms_es.cli.options import LogOptions
from oms_es.cli.render import show
from oms_es.errors import LogError
from oms_es.identifiers import escaped
from oms_es.timestamps import instant

DATE = "2024-03-15"
AT = f"{DATE}T14:05:00Z"
STORY = (
    ("Each order of the day. Two were refused, and a fill of b-4 is in quarantine.", "orders"),
    ("Why a-2 was refused: each limit, and what it was compared with.", "why order a-2"),
    (
        "The position at 14:05. A fill of 14:04 that was reported at 14:08 counts.",
        "positions --symbol BOLT --as-of " + AT,
    ),
    ("The same moment, as the log had it then: without that fill.", "positions --symbol BOLT --known-at " + AT),
    ("The fill that exceeds its order waits for a decision.", "quarantine"),
    ("Positions and P&L by each cost method. A fill was busted and one was corrected.", "positions --method all"),
    ("Each command, decided again on the log: are the events the same?", "replay --check"),
)


class DayClock:
    """The clock of the demo: each command of the day sets it, so that the day is the same on every machine."""

    now = 0

    def __call__(self) -> int:
        return self.now


def demo(context: typer.Context, log: LogPath = None) -> None:
    """
    Record a sample day in a new log and query it.

    Without --log the log is in a new folder, beside the files that the examples of `oms COMMAND --help` name.

    For example:

        oms demo
    """
    path = _new_folder() / "day.db" if log is None else log
    if path.exists() or path.is_symlink():
        raise LogError(f"{path} exists already; the demo needs a fresh log: name another with --log, or none")
    asyncio.run(_trade(path))
    oms, variable = program(), _variable(path)
    show(f"# A day of trading is in this new log.\n$ {variable}")
    for why, query in STORY:
        show(f"\n# {why}\n$ {oms} {query}")
        context.find_root().command.main(["--log", str(path), *query.split()], prog_name="oms", standalone_mode=False)
    if log is None:
        page = write_report(None, LogOptions(log=path), DATE, path.with_suffix(".html"))
        show(f"\nThe report of the day, for a browser, is {escaped(str(page))}")
    show(f"\nTo go on in this shell:\n\n  {variable}\n  {oms} order b-3\n  {oms} why position BOLT\n  {oms} --help")
    if log is None:
        show(f"\nThe examples of each command's help run in {escaped(str(path.parent))} as they are printed.")


def _new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="oms-demo-"))
    with as_file(files("oms_es").joinpath("days", "files")) as shipped:
        shutil.copytree(shipped, folder, dirs_exist_ok=True)
    return folder


async def _trade(log: Path) -> None:
    clock = DayClock()
    day = files("oms_es").joinpath("days", "demo.jsonl").read_text(encoding="utf-8")
    async with OrderManagementSystem(Settings.default(), log=log, clock=clock) as oms:
        for line in day.splitlines():
            step = json.loads(line)
            clock.now = instant(f"{DATE}T{step.pop('at')}Z", "at")
            with suppress(OrderRejected, FillQuarantinedError):  # both are recorded; the story shows them
                await getattr(oms, step.pop("call"))(**step)


def program() -> str:
    """Return how the shell that started this program starts it again."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m oms_es"
    found = shutil.which("oms")
    on_path = found and Path(found).with_suffix("").resolve() == started.with_suffix("").resolve()
    return "oms" if on_path or started.stem != "oms" else shlex.quote(sys.argv[0])


def _variable(path: Path) -> str:
    if os.name == "nt":
        return f"$env:OMS_LOG = '{escaped(str(path))}'"
    return f"export OMS_LOG={escaped(shlex.quote(str(path)))}"
