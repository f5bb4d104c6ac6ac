"""The commands of `oms` by subject, in the order in which its help lists them."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from oms_es import __version__
from oms_es.cli.commands import (
    bisect,
    export,
    fills,
    history,
    imports,
    limits,
    orders,
    pnl,
    queries,
    replay,
    tables,
    tail,
    why,
)
from oms_es.cli.commands.demo import demo
from oms_es.cli.exit_codes import Guarded, GuardedCommand
from oms_es.cli.options import LogOptions, expand_bundles
from oms_es.cli.render import show

Command = Callable[..., None]
COMMANDS: dict[str, dict[str, Command | tuple[Command, dict[str, Command]]]] = {
    "Trade": {
        "submit": orders.submit,
        "ack": orders.ack,
        "link": orders.link,
        "reject": orders.reject,
        "fail": orders.fail,
        "fill": fills.fill,
        "cancel": orders.cancel,
        "amend": orders.amend,
        "bust": fills.bust,
        "correct": fills.correct,
        "quarantine": (fills.quarantine, {"accept": fills.accept, "reject": fills.reject}),
    },
    "Ask": {
        "positions": queries.positions,
        "orders": queries.orders,
        "order": queries.order,
        "fills": queries.fills,
        "pnl": pnl.pnl,
        "daily": pnl.daily,
        "history": history.history,
        "diff": history.diff,
    },
    "Audit": {
        "why": (why.root, {"position": why.position, "order": why.order}),
        "bisect": bisect.bisect,
        "replay": replay.replay,
        "close-day": export.close_day,
    },
    "Data": {
        "demo": demo,
        "import": (imports.root, {"facts": imports.facts, "lobster": imports.lobster}),
        "mark": limits.mark,
        "instrument": limits.instrument,
        "export": export.export,
        "tables": tables.tables,
    },
    "Operate": {
        "limits": (limits.limits, {"set": limits.set_limits}),
        "halt": limits.halt,
        "resume": limits.resume,
        "tail": tail.tail,
        "rebuild": tables.rebuild,
    },
}


SUMMARY = 50  # characters, at most, of a command's summary
WIDEST = max(len(name) for commands in COMMANDS.values() for name in commands)


class _BySubject(Guarded):
    """The group of all commands; its help lists them under their subjects."""

    def format_commands(self, _: Any, formatter: Any) -> None:
        for subject, commands in COMMANDS.items():
            with formatter.section(subject):
                formatter.write_dl(
                    [(name.ljust(WIDEST), self.commands[name].get_short_help_str(SUMMARY)) for name in commands]
                )


def _show_version(wanted: bool) -> None:
    if wanted:
        show(f"oms_es {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]


def root(context: typer.Context, *, version: Version = False, options: LogOptions) -> None:  # noqa: ARG001
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


def _group(callback: Command, cls: type[Guarded] = Guarded, **settings: Any) -> typer.Typer:
    group = typer.Typer(
        cls=cls,
        invoke_without_command=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        **settings,
    )
    group.callback()(expand_bundles(callback))
    return group


def _app() -> typer.Typer:
    # -h goes for every command: a context has the names of its parent's help option.
    found = _group(root, _BySubject, context_settings={"help_option_names": ["-h", "--help"]})
    for commands in COMMANDS.values():
        for name, command in commands.items():
            if isinstance(command, tuple):
                callback, below = command
                group = _group(callback, add_completion=False)
                for each, function in below.items():
                    group.command(each, cls=GuardedCommand)(expand_bundles(function))
                found.add_typer(group, name=name)
            else:
                found.command(name, cls=GuardedCommand)(expand_bundles(command))
    return found


app = _app()


def main() -> None:
    """Run `oms`."""
    app(prog_name="oms")
