"""The options of `oms` itself: the log and the settings; one before the command counts for the command."""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer


def or_group_option(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
    """Return the value of an option, or that of the same option before the command."""
    found, group = value, context.parent
    while not found and group is not None:
        found, group = group.params.get(parameter.name or ""), group.parent
    return found or value


LogPath: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--log",
        metavar="PATH",
        callback=or_group_option,
        help="The log [default: $OMS_LOG, or log.path of the settings: oms.db].",
    ),
]
ConfigPath: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        callback=or_group_option,
        help="The settings [default: $OMS_CONFIG, or oms.yaml if it exists].",
    ),
]
