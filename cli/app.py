"""The commands of `oms`, in the order in which its help lists them."""

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
from oms_es.cli.options import ConfigPath, LogPath
from oms_es.cli.render import show

Command = Callable[..., None]
COMMANDS: dict[str, Command | tuple[Command, dict[str, Command]]] = {
    "demo": demo,
    "import": (imports.root, {"facts": imports.facts, "lobster": imports.lobster}),
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
    "mark": limits.mark,
    "instrument": limits.instrument,
    "halt": limits.halt,
    "resume": limits.resume,
    "limits": (limits.limits, {"set": limits.set_limits}),
    "quarantine": (fills.quarantine, {"accept": fills.accept, "reject": fills.reject}),
    "positions": queries.positions,
    "orders": queries.orders,
    "order": queries.order,
    "fills": queries.fills,
    "pnl": pnl.pnl,
    "daily": pnl.daily,
    "history": history.history,
    "diff": history.diff,
    "why": (why.root, {"position": why.position, "order": why.order}),
    "bisect": bisect.bisect,
    "replay": replay.replay,
    "close-day": export.close_day,
    "export": export.export,
    "tail": tail.tail,
    "tables": tables.tables,
    "rebuild": tables.rebuild,
}


class _InOrder(Guarded):
    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=list(COMMANDS).index)


def _show_version(wanted: bool) -> None:
    if wanted:
        show(f"oms_es {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]


def root(
    context: typer.Context,
    log: LogPath = None,  # noqa: ARG001 - the options of commands look here
    config: ConfigPath = None,  # noqa: ARG001
    version: Version = False,  # noqa: ARG001
) -> None:
    """
    An order management system whose memory is its log.

    Exit codes: 0 fine; 1 refused, a bad file, or the log disagrees; 2 wrong usage. A query for a symbol, account, order
    or day that the log does not contain says so and ends with 1; with --allow-empty it ends with 0.

    For example:

        oms demo

        oms positions --log day.db --as-of 2024-03-15T14:05:00Z
    """
    if context.invoked_subcommand is None:
        show(context.get_help())


def _group(callback: Command, cls: type[Guarded] = Guarded) -> typer.Typer:
    made = typer.Typer(
        cls=cls,
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    made.callback()(callback)
    return made


def _app() -> typer.Typer:
    made = _group(root, _InOrder)
    for name, command in COMMANDS.items():
        if isinstance(command, tuple):
            callback, commands = command
            below = _group(callback)
            for each, function in commands.items():
                below.command(each, cls=GuardedCommand)(function)
            made.add_typer(below, name=name)
        else:
            made.command(name, cls=GuardedCommand)(command)
    return made


app = _app()


def main() -> None:
    """Run `oms`."""
    app(prog_name="oms")
