"""The commands of `oms` by subject, in the order in which its help lists them."""

from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer

from oms_es import __version__
from oms_es.cli.exit_codes import Guarded, GuardedCommand
from oms_es.cli.log_options import ConfigPath, LogPath
from oms_es.cli.render import show

# Name, function, and the first sentence of its help: so the list needs none of the modules. A test compares them.
COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Trade": {
        "submit": ("orders.submit", "Submit an order; it must pass the risk checks."),
        "ack": ("orders.ack", "Record that the venue acknowledged an order."),
        "link": ("orders.link", "Record the venue's order id of an order."),
        "apply": ("reports.apply", "Apply a venue's reports, one JSON object per line."),
        "reject": ("orders.reject", "Record that the venue rejected an order."),
        "fail": ("orders.fail", "Record that an order did not get to the venue."),
        "fill": ("fills.fill", "Add a fill (FIX Trade)."),
        "cancel": ("orders.cancel", "Cancel an order."),
        "amend": ("orders.amend", "Amend an order's total quantity or price."),
        "bust": ("fills.bust", "Bust a fill (FIX TradeCancel)."),
        "correct": ("fills.correct", "Correct a fill (FIX TradeCorrect)."),
        "quarantine": ("fills.quarantine", "List the fills in quarantine."),
    },
    "Ask": {
        "positions": ("queries.positions", "Show positions, now or at any moment."),
        "orders": ("queries.orders", "List orders, now or at any moment."),
        "order": ("queries.order", "Show an order and its events."),
        "fills": ("queries.fills", "List fills, now or at any moment."),
        "pnl": ("pnl.pnl", "Show P&L per trading day, account and symbol."),
        "daily": ("pnl.daily", "Show daily P&L and the use of the loss limit."),
        "history": ("history.history", "Show every change of a position and its fill."),
        "diff": ("history.diff", "Compare positions or orders at two points."),
    },
    "Audit": {
        "why": ("why.root", "Explain a position or a decision on an order."),
        "bisect": ("bisect.bisect", "Find the first event after which a claim is false."),
        "replay": ("replay.replay", "Replay the log and report each trading day."),
        "report": ("report.report", "Write a trading day as one offline HTML page."),
        "serve": ("serve.serve", "Serve the page of the last trading day, live."),
        "close-day": ("export.close_day", "Close a trading day."),
    },
    "Prove": {
        "verify": ("proof.verify", "Verify the log: rows, hash chain, checkpoints."),
        "checkpoint": ("proof.checkpoint", "Sign the head of the log: events and Merkle root."),
        "consistency": ("proof.consistency", "Prove that a log continues an earlier checkpoint."),
        "prove": ("proof.prove", "Prove the events of one order to an outsider."),
        "verify-proof": ("proof.verify_proof", "Check a proof; no log is needed."),
        "key": ("proof.key", "Create a key that signs checkpoints."),
    },
    "Data": {
        "demo": ("demo.demo", "Record a sample day in a new log and query it."),
        "import": ("imports.root", "Import orders, fills and marks; idempotent."),
        "ingest": ("ingest.ingest", "Carry out JSON lines; answer each when durable."),
        "mark": ("limits.mark", "Record the mark price of a symbol."),
        "instrument": ("limits.instrument", "Show or set the terms of a symbol's instrument."),
        "export": ("export.export", "Export a trading day, or rows, as a file."),
        "tables": ("tables.tables", "Update SQL tables of orders, fills and P&L."),
    },
    "Operate": {
        "limits": ("limits.limits", "Show the limits in force, now or at any moment."),
        "halt": ("limits.halt", "Halt trading: new orders are rejected."),
        "resume": ("limits.resume", "Resume trading after a halt."),
        "clock": ("clock.clock", "Compare our clock with the log, or accept it."),
        "tail": ("tail.tail", "Show the last ten events and follow the log."),
        "backup": ("copies.backup", "Copy the log into one file while trading goes on."),
        "restore": ("copies.restore", "Restore a backup as a new log."),
        "doctor": ("copies.doctor", "Report the problems of a log, with advice."),
        "salvage": ("copies.salvage_log", "Save the sound part of a damaged log as a new log."),
        "rebuild": ("tables.rebuild", "Rebuild the SQL tables or the checkpoints."),
    },
}
# The commands below a command.
BELOW: dict[str, dict[str, str]] = {
    "quarantine": {"accept": "fills.accept", "reject": "fills.reject"},
    "why": {"position": "why.position", "order": "why.order"},
    "import": {"facts": "imports.facts", "lobster": "imports.lobster"},
    "limits": {"set": "limits.set_limits"},
    "clock": {"accept": "clock.accept"},
    "key": {"new": "proof.new_key"},
}

_FUNCTIONS = {name: function for commands in COMMANDS.values() for name, (function, _) in commands.items()}
WIDEST = max(map(len, _FUNCTIONS))


class _Commands(dict[str, Any]):
    """The commands by name; the module of a command is imported when the command is asked for."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(_FUNCTIONS))

    def __getitem__(self, name: str) -> Any:
        if super().__getitem__(name) is None:
            self[name] = _command(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the command, or `default` for an unknown name."""
        return self[name] if name in self else default  # noqa: SIM401 - this is `get`


class _BySubject(Guarded):
    """The group of all commands; its help lists them under their subjects."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()

    def list_commands(self, _: Any) -> list[str]:
        return list(self.commands)

    def format_commands(self, _: Any, formatter: Any) -> None:
        for subject, commands in COMMANDS.items():
            with formatter.section(subject):
                formatter.write_dl([(name.ljust(WIDEST), summary) for name, (_, summary) in commands.items()])


def _command(name: str) -> Any:
    """Return a command, or the group of the commands below it."""
    function = _function(_FUNCTIONS[name])
    if name in BELOW:
        program = _group(function, add_completion=False)
        for each, below in BELOW[name].items():
            program.command(each, cls=GuardedCommand)(_function(below))
    else:
        program = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        program.command(name, cls=GuardedCommand)(function)
    found = typer.main.get_command(program)
    found.name = name
    return found


def _function(path: str) -> Callable[..., None]:
    """Return the function of a command, for typer."""
    from oms_es.cli.options import expand_bundles  # noqa: PLC0415 - the list of commands does not need it

    module, _, name = path.partition(".")
    return expand_bundles(getattr(import_module(f"oms_es.cli.commands.{module}"), name))


def _show_version(wanted: bool) -> None:
    if wanted:
        show(f"oms_es {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]


def root(
    context: typer.Context,
    *,
    version: Version = False,  # noqa: ARG001
    log: LogPath = None,  # noqa: ARG001
    config: ConfigPath = None,  # noqa: ARG001
) -> None:
    """
    An event-sourced order management system.

    Exit codes: 0 fine; 1 rejected, a bad input file, or the log disagrees; 2 wrong usage. A query for a symbol,
    account, order or day that the log does not contain reports it and ends with 1; with --allow-empty it ends with 0.

    For example:

        oms demo

        oms positions --log day.db --as-of 2024-03-15T14:05:00Z
    """
    if context.invoked_subcommand is None:
        show(context.get_help())


def _group(callback: Callable[..., None], cls: type[Guarded] = Guarded, **settings: Any) -> typer.Typer:
    group = typer.Typer(
        cls=cls,
        invoke_without_command=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        **settings,
    )
    group.callback()(callback)
    return group


# -h goes for every command: a context has the names of its parent's help option.
app = _group(root, _BySubject, context_settings={"help_option_names": ["-h", "--help"]})


def main() -> None:
    """Run `oms`."""
    app(prog_name="oms")
