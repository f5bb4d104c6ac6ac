"""What the documentation site has besides the pages of this folder: reference pages made from the code."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from oms_es.cli.app import app
from oms_es.domain import events
from oms_es.projections import rows

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)\)")
_JSON = """# JSON

Every query has `--json`. Decimals are strings in canonical text, times are ISO text with nanoseconds in UTC, and null
is a value that does not exist. `basis` names the events behind the answer."""
_MODELS: dict[str, rows.ReadModel[Any]] = {
    "orders": rows.ORDER,
    "fills": rows.FILL,
    "positions": rows.POSITION,
    "quarantine": rows.QUARANTINE,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from commands, events and columns."""
    made = {"commands": commands_page(), "events": events_page(), "json": json_page()}
    for name, content in made.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Name the files outside the site instead of linking to them."""
    return _OUTSIDE.sub(r"\1 (`\2`)", markdown)


def commands_page() -> str:
    """Return the help of every command."""
    parts = ["# Commands\n\nThe help of every command, as `oms COMMAND --help` prints it."]
    parts += [f"## oms {name}\n\n```text\n{text}\n```" for name, text in helps()]
    return "\n\n".join(parts) + "\n"


def helps() -> Iterator[tuple[str, str]]:
    """Yield the words of each command and its help."""
    top = typer.main.get_command(app)
    context = typer.Context(top, info_name="oms", terminal_width=80, max_content_width=80)
    assert isinstance(top, typer.core.TyperGroup)
    for name in top.list_commands(context):
        command = top.get_command(context, name)
        assert command is not None
        below = typer.Context(command, parent=context, info_name=name, terminal_width=80, max_content_width=80)
        yield name, command.get_help(below)
        if isinstance(command, typer.core.TyperGroup):
            for second in command.list_commands(below):
                inner = command.get_command(below, second)
                assert inner is not None
                yield f"{name} {second}", inner.get_help(typer.Context(inner, parent=below, info_name=second))


def events_page() -> str:
    """Return the fields of every event."""
    parts = ["# Events\n\nA body is JSON; it omits the fields of the stream's name and those that have their default."]
    for event in events.EVENTS:
        lines = [f"## {event.__name__}", (event.__doc__ or "").strip(), "| field | type | default |\n|---|---|---|"]
        for field in msgspec.structs.fields(event):
            kind = re.sub(r"<class '(?:\w+\.)*(\w+)'>|(?:\w+\.)+(\w+)", r"\1\2", str(field.type)).replace("|", "or")
            default = "" if field.default is msgspec.NODEFAULT else f"`{field.default}`"
            lines[-1] += f"\n| `{field.encode_name}` | {kind} | {default} |"
        parts.append("\n\n".join(lines))
    return "\n\n".join(parts) + "\n"


def json_page() -> str:
    """Return the columns of every list in JSON."""
    parts = [_JSON]
    for name, model in _MODELS.items():
        kinds = "\n".join(f"| `{column}` | {rows.kind(column)} |" for column in model.columns)
        parts.append(f"## {name}\n\n| key | kind |\n|---|---|\n{kinds}")
    return "\n\n".join(parts) + "\n"
