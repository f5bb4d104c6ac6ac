"""Rows as JSON or as aligned columns; messages to standard error. All output is safe for a terminal."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import typer

from oms_es.cli.layout import Column, drawn, terminal
from oms_es.decimals import text
from oms_es.identifiers import escaped
from oms_es.queries.json_text import json_text, lists_json
from oms_es.timestamps import SECOND, brief, local_iso
from oms_es.timestamps import instant as parsed

Row: TypeAlias = Mapping[str, Any]
_AGES = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def print_message(line: str) -> None:
    """Write a line to standard error."""
    typer.echo(escaped(line), err=True)


def show(content: str) -> None:
    """Write safe text to standard output; a reader that closes the pipe (`| head`) ends the command quietly."""
    try:
        typer.echo(content)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the flush at exit would complain
        raise typer.Exit(0) from None


# --- JSON ---


def show_json(content: object) -> None:
    """Write one JSON value, on one line."""
    show(json_text(content))


def show_rows_json(head: Row, name: str, rows: Iterable[Row]) -> None:
    """Write a JSON object: the keys of `head`, and under `name` the rows, a line each."""
    show_lists_json(head, {name: rows})


def show_lists_json(head: Row, lists: Mapping[str, Iterable[Row]], under: str | None = None) -> None:
    """Write a JSON object: the keys of `head`, and the lists (in an object under `under`, if any), a line a row."""
    show(lists_json(head, lists, under))


# --- tables ---


def show_table(columns: Sequence[Column], rows: Iterable[Row], *, footer: bool = False) -> None:
    """Write rows as aligned columns under their titles; nothing if there are none. A footer has no -."""
    cells = [[escaped(column.cell(row)) for column in columns] for row in rows]
    if footer:
        cells[-1] = ["" if cell == "-" else cell for cell in cells[-1]]
    if not cells:
        return
    used = [n for n, column in enumerate(columns) if not all(row[n] == column.usual for row in cells)]
    lines, left_out = drawn([columns[n] for n in used], [[row[n] for n in used] for row in cells], terminal())
    show("\n".join(lines).rstrip("\n"))
    if left_out:
        print_message(f"not shown at this width: {', '.join(left_out)} (--json has every column)")


def in_zone(rows: Iterable[Row], zone: ZoneInfo) -> Iterable[Row]:
    """Return rows whose times are shown in a zone, with its UTC offset; those of UTC have a Z."""
    return rows if zone.key == "UTC" else [{name: _local(name, row[name], zone) for name in row} for row in rows]


def _local(name: str, value: Any, zone: ZoneInfo) -> Any:
    is_time = isinstance(value, str) and (name in ("at", "when") or name.endswith("_at"))
    return local_iso(parsed(value), zone) if is_time else value


# --- cells ---


def plainly(value: object) -> str:
    """Return any value as text; - where there is none."""
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, list | tuple):
        return ",".join(map(plainly, value)) or "-"
    if isinstance(value, dict):
        return ",".join(f"{name}={plainly(each)}" for name, each in value.items())
    return "-" if value is None else str(value)


def pairs(values: Row) -> str:
    """Return names and their values, by the last part of the name."""
    return ", ".join(f"{name.rpartition('.')[2]} {plainly(value)}" for name, value in values.items()) or "-"


def shown_time(moment: str) -> str:
    """Return ISO text as it is shown: in UTC without the zeros at its end, in another zone as it is."""
    return brief(moment) if moment.endswith("Z") else moment


def age(nanoseconds: int | None) -> str:
    """Return a span in its largest unit, like 35s or 12d; - where there is none."""
    if nanoseconds is None:
        return "-"
    seconds = nanoseconds // SECOND
    return next((f"{seconds // size}{unit}" for size, unit in _AGES if seconds >= size), "0s")


def counted(count: int, thing: str, things: str | None = None) -> str:
    """Return a count with its noun."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"
