"""`oms demo`: a shipped day into a fresh log, and the questions one would ask it."""

import shlex
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

import typer

from oms_es import OrderManagementSystem
from oms_es.cli.context import carry_out
from oms_es.cli.options import ConfigPath, LogPath
from oms_es.cli.render import counted, show
from oms_es.errors import LogError
from oms_es.identifiers import escaped
from oms_es.importers.facts import Defaults, read_facts
from oms_es.importers.importer import Imported, import_facts

DAY = ("days", "demo.jsonl")
QUESTIONS = (
    ("what became of every order", "orders"),
    ("what is held", "positions"),
    ("what was held, with a fill that was told late", "positions --symbol BOLT --as-of 2024-03-15T14:05:00Z"),
    ("what the log held before it was told", "positions --symbol BOLT --at-seq 46"),
    ("how it came about", "order b-3"),
    ("what waits for a decision", "quarantine"),
)


def demo(context: typer.Context, log: LogPath = None, config: ConfigPath = None) -> None:
    """
    Load a shipped day into a fresh log, and ask it.

    For example:

        oms demo
    """
    path = Path(tempfile.mkdtemp(prefix="oms-demo-")) / "demo.db" if log is None else log
    if path.exists() or path.is_symlink():
        raise LogError(f"{path} is there already; the demo begins a fresh log: name another with --log, or none")

    async def run(oms: OrderManagementSystem) -> Imported:
        with as_file(files("oms_es").joinpath(*DAY)) as day:
            return await import_facts(oms.sequencer, lambda: read_facts(day, Defaults()))

    outcome = carry_out(path, config, run)
    variable = f"export OMS_LOG={escaped(shlex.quote(str(path)))}"
    show(f"A day of {counted(outcome.facts, 'fact')} made {counted(outcome.events, 'event')} in a fresh log.\n")
    show(f"$ {variable}")
    for why, question in QUESTIONS:
        show(f"\n$ oms {question}  # {why}")
        _ask(context, ["--log", str(path), *question.split()])
    show(f"\nThe log stays at {escaped(str(path))}. To go on:\n\n  {variable}\n  oms --help")


def _ask(context: typer.Context, arguments: list[str]) -> None:
    context.find_root().command.main(arguments, prog_name="oms", standalone_mode=False)
