"""The options that commands share; one given before the command (`oms --log day.db orders`) counts as well."""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer


def _or_group_option(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
    found, around = value, context.parent
    while not found and around is not None:
        found, around = around.params.get(parameter.name or ""), around.parent
    return found or value


LogPath: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--log",
        metavar="PATH",
        callback=_or_group_option,
        help="The log [default: $OMS_LOG, or log.path of the settings: oms.db].",
    ),
]
ConfigPath: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        callback=_or_group_option,
        help="The settings [default: $OMS_CONFIG, or oms.yaml where there is one].",
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", callback=_or_group_option, help="Answer in JSON.")]

# --- what a question is about ---

AsOfTime: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="INSTANT", help="True at this instant, with all that is known now: 2012-06-21T13:45:00Z."),
]
KnownAt: TypeAlias = Annotated[
    str | None, typer.Option(metavar="INSTANT", help="What the log held at this instant; goes with --as-of.")
]
AtSeq: TypeAlias = Annotated[int | None, typer.Option(metavar="N", help="What the log held after event N.")]
OfSymbol: TypeAlias = Annotated[str | None, typer.Option("--symbol", metavar="NAME", help="Only this symbol.")]
OfAccount: TypeAlias = Annotated[str | None, typer.Option("--account", metavar="NAME", help="Only this account.")]

Method: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="fifo, lifo or average [default: the one in the log's policy].")
]
AnyMethod: TypeAlias = Annotated[
    str | None,
    typer.Option("--method", metavar="NAME", help="fifo, lifo, average or all [default: the one in the log's policy]."),
]
OfDay: TypeAlias = Annotated[
    str | None, typer.Option("--day", metavar="YYYY-MM-DD", help="Only this trading day.", show_default=False)
]
Between: TypeAlias = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="INSTANT INSTANT", help="Only from the one to the other, both included."),
]

AllowEmpty: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--allow-empty",
        help="Exit code 0 also for a name or day that the log does not contain, or an empty check.",
    ),
]

# --- what a command says ---

OrderId: TypeAlias = Annotated[str, typer.Argument(metavar="ORDER", help="Our id of the order, or the venue's.")]
TradeId: TypeAlias = Annotated[str, typer.Argument(metavar="TRADE", help="The trade id of the fill.")]
Account: TypeAlias = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="Whose order it is, where several accounts have the id.")
]
Scope: TypeAlias = Annotated[
    str | None,
    typer.Option("--account", metavar="NAME", callback=_or_group_option, help="Whose [default: every account's]."),
]
OccurredAt: TypeAlias = Annotated[
    str | None, typer.Option(metavar="INSTANT", help="When it was so, like 2012-06-21T13:45:00Z [default: now].")
]
CommandId: TypeAlias = Annotated[
    str | None, typer.Option(metavar="ID", help="The same id and content again is carried out once.")
]
Actor: TypeAlias = Annotated[str, typer.Option(metavar="NAME", help="Who asks; kept in the log.", show_default=False)]
Reason: TypeAlias = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the log.", show_default=False)]
