"""The one place where an error becomes a line on standard error and an exit code."""

import io
import logging
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from oms_es.cli.plain_values import use_plain_values
from oms_es.cli.render import print_message
from oms_es.errors import AmbiguousOrder, ExpressionError, FillQuarantinedError, InvalidInput, OmsError

FINE: Final = 0
REFUSED: Final = 1  # or a bad file, a missing or foreign log, an unknown order
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130
_NOWHERE: Final = logging.NullHandler()
# Wrong usage: click's exception, or that of the copy of click in newer versions of typer.
_Usage: Final[type[Exception]] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException" and issubclass(kind, Exception)
)


def _check_used_once(command: Any, context: typer.Context, arguments: list[str]) -> None:
    """Refuse an option with one value that is repeated; the parser would silently use the last value."""
    _, _, given = command.make_parser(context).parse_args(args=list(arguments))
    if any(parameter.is_eager for parameter in given):  # --help and --version ignore the other options
        return
    for parameter, count in Counter(given).items():
        if count > 1 and _takes_one_value(parameter):
            names = " / ".join((*parameter.opts, *parameter.secondary_opts))
            raise typer.BadParameter(f"used {count} times; it takes one value", context, param_hint=f"'{names}'")


def _takes_one_value(parameter: Any) -> bool:
    if parameter.param_type_name != "option" or parameter.multiple or parameter.count:
        return False
    return not parameter.is_flag or bool(parameter.secondary_opts)  # --json twice has the same meaning


class GuardedCommand(TyperCommand):
    """A command that refuses a repeated option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _check_used_once(self, ctx, args)
        use_plain_values(self, ctx)
        return super().parse_args(ctx, args)


class Guarded(TyperGroup):
    """A group of commands; as a program it ends with an exit code and never with a traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _check_used_once(self, ctx, args)
        use_plain_values(self, ctx)
        return super().parse_args(ctx, args)

    def main(self, *args: Any, **options: Any) -> Any:
        if not options.get("standalone_mode", True):
            return super().main(*args, **options)
        _prepare_streams()
        options |= {"standalone_mode": False}
        code = exit_code(lambda: super(Guarded, self).main(*args, **options))
        sys.exit(code if _flushed() else code or REFUSED)


def _flushed() -> bool:
    """Return whether everything was written; a full disk becomes an exit code, not an error of Python at its end."""
    written = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            written = written and isinstance(error, BrokenPipeError)  # a reader that has read enough is no error
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return written


class _PrintWarnings(logging.Handler):
    """Prints warnings, like limits that a settings file has changed; never a traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        if not record.exc_info:
            print_message(f"oms: {record.getMessage()}")


def _prepare_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without emoji is no reason to stop
    named = logging.getLogger("oms_es")
    if not any(isinstance(each, _PrintWarnings) for each in named.handlers):
        named.addHandler(_PrintWarnings(logging.WARNING))
    logging.getLogger().addHandler(_NOWHERE)  # a logged error would print a traceback


def exit_code(run: Callable[[], object]) -> int:
    """Run and return the exit code; an error is printed in one line."""
    try:
        code = run()
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except _Usage as error:
        _print_usage(error)
        return WRONG_USAGE
    except SystemExit as error:  # click makes this of a pipe that was closed: `| head`, or a pager that was left
        if isinstance(error.__context__, BrokenPipeError):
            return FINE
        raise
    except (OmsError, OSError) as error:
        message = f"oms: {_text(error)}"
        for line in message.split("\n") if isinstance(error, ExpressionError) else [message]:
            print_message(line)  # a claim is printed with a caret under the error
        return WRONG_USAGE if isinstance(error, InvalidInput) else REFUSED
    except Exception as error:
        _print_bug(error)
        return REFUSED
    return code if isinstance(code, int) else FINE


def _text(error: OmsError | OSError) -> str:
    match error:
        case FillQuarantinedError():
            return str(error).replace("resolve_quarantined", f"oms quarantine accept|reject {error.quarantine_id}")
        case AmbiguousOrder():
            return f"{error} (--account)"
        case OSError(filename=name, strerror=str(why)):
            return why if name is None else f"{name}: {why}"
        case _:
            return str(error)


def _print_usage(error: Any) -> None:
    message = error.format_message()
    if re.match(r"No such option:? '?-[.\d]", message):
        message += "; write a value that begins with a minus after --"
    if getattr(error, "ctx", None) is not None:
        print_message(" ".join(error.ctx.get_usage().split()))
        message += f" (see {error.ctx.command_path} --help)"
    print_message(f"oms: {' '.join(message.split())}")


def _print_bug(error: Exception) -> None:
    if os.environ.get("OMS_DEBUG") == "1":
        for line in traceback.format_exc().splitlines():
            print_message(line)
    what = " ".join(str(error).split())
    print_message(f"oms: this is a bug in oms: {type(error).__name__}: {what} (OMS_DEBUG=1 shows where)")
