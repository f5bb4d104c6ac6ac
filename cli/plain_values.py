"""
Text and paths of the command line without pydantic.

typer converts every value with pydantic, whose import takes longer than most commands. Text, paths and missing values
need no conversion; every other value, and every path that cannot be read, is left to typer with its messages.
"""

import os
from pathlib import Path
from typing import Any


class _PlainValue:
    """The conversion of one parameter, in the place of typer's own (`RuntimeParam`)."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value of a parameter, from text or its default."""
        kind = param.type_descriptor.annotation
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if kind is str and type(value) is str:
            return value
        if kind == list[str] and isinstance(value, list | tuple) and all(type(each) is str for each in value):
            return list(value)
        if kind is Path and isinstance(value, str) and (not os.path.exists(value) or os.access(value, os.R_OK)):
            return Path(value)
        param._runtime_param = None  # noqa: SLF001 - typer makes its own
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def use_plain_values(command: Any, context: Any) -> None:
    """Convert the plain values of a command without pydantic; a typer that converts in another way is left as it is."""
    for parameter in command.get_params(context):
        if getattr(parameter, "_runtime_param", False) is None and hasattr(parameter, "type_descriptor"):
            parameter._runtime_param = _PlainValue()  # noqa: SLF001
