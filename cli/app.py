"""The commands of `oms`, in the order in which its help lists them."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from oms_es import __version__
from oms_es.cli import (
    auditing,
    changes,
    claiming,
    earning,
    executions,
    imports,
    keeping,
    placing,
    questions,
    reasons,
    replaying,
    ruling,
    tailing,
)
from oms_es.cli.demo import demo
from oms_es.cli.guard import Guarded, GuardedCommand
from oms_es.cli.options import ConfigPath, LogPath
from oms_es.cli.render import show

Command = Callable[..., None]
COMMANDS: dict[str, Command | tuple[Command, dict[str, Command]]] = {
    "demo": demo,
    "import": (imports.root, {"facts": imports.facts, "lobster": imports.lobster}),
    "submit": placing.submit,
    "ack": placing.ack,
    "link": placing.link,
    "reject": placing.reject,
    "fail": placing.fail,
    "fill": executions.fill,
    "cancel": placing.cancel,
    "amend": placing.amend,
    "bust": executions.bust,
    "correct": executions.correct,
    "mark": ruling.mark,
    "instrument": ruling.instrument,
    "halt": ruling.halt,
    "resume": ruling.resume,
    "limits": (ruling.limits, {"set": ruling.set_limits}),
    "quarantine": (executions.quarantine, {"accept": executions.accept, "reject": executions.reject}),
    "positions": questions.positions,
    "orders": questions.orders,
    "order": questions.order,
    "fills": questions.fills,
    "pnl": earning.pnl,
    "daily": earning.daily,
    "history": changes.history,
    "diff": changes.diff,
    "why": (reasons.root, {"position": reasons.position, "order": reasons.order}),
    "bisect": claiming.bisect,
    "replay": replaying.replay,
    "close-day": auditing.close_day,
    "export": auditing.export,
    "tail": tailing.tail,
    "tables": keeping.tables,
    "rebuild": keeping.rebuild,
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

        oms positions --log day.db --as-of 2012-06-21T13:45:00Z
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
