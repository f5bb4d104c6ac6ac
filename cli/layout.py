"""
Tables that fit a terminal: no row is wrapped.

A table that is too wide has its long texts on lines below their rows, then loses the columns that are needed least, and
then shows each row as a list of titles and values. A table in a file or a pipe is never changed.
"""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import typer
from rich.cells import cell_len

_GAP = "  "
_INDENT = " " * 4
_UP, _DOWN = " \N{BLACK UP-POINTING TRIANGLE}", " \N{BLACK DOWN-POINTING TRIANGLE}"
Cells = Sequence[str]


class Column(NamedTuple):
    """One column of a table: its title, and its cell for a row."""

    title: str
    cell: Callable[[Mapping[str, Any]], str]
    right: bool = False  # numbers are aligned to the right
    usual: str | None = None  # the column is left out if every cell is this
    signed: bool = False  # its sign is shown by a colour and a triangle on a terminal
    below: bool = False  # a long text, which a narrow terminal shows below its row
    average: str | None = None  # the key of a derived number, of which not every digit is shown
    drop: int = 0  # on a narrow terminal the column with the highest number is left out first; 0: never


class Terminal(NamedTuple):
    """The terminal that a table is drawn on."""

    width: int
    colour: bool
    glyphs: bool  # whether it can show triangles


def terminal() -> Terminal | None:
    """Return the terminal of standard output; None for a file or a pipe."""
    if sys.stdout is None or not sys.stdout.isatty():  # None: it was closed
        return None
    try:
        (_UP + _DOWN).encode(sys.stdout.encoding or "ascii")
        glyphs = True
    except UnicodeError:
        glyphs = False
    colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Terminal(max(20, shutil.get_terminal_size().columns), colour, glyphs)


def drawn(columns: Sequence[Column], rows: Sequence[Cells], on: Terminal | None) -> tuple[list[str], list[str]]:
    """Return the lines of a table, and the titles of the columns that were left out."""
    if on is None:
        return _lines(columns, rows, None, []), []
    marked = [_marked(columns, row, on) for row in rows]
    shown = list(range(len(columns)))
    below = [n for n in shown if columns[n].below]
    if _width(columns, marked, shown) > on.width:
        shown = [n for n in shown if n not in below]
    else:
        below = []
    left_out = []
    for n in sorted((n for n in shown if columns[n].drop), key=lambda n: -columns[n].drop):
        if _width(columns, marked, shown) > on.width:
            shown.remove(n)
            left_out.append(columns[n].title)
    if _width(columns, marked, shown) > on.width:
        return [line for row in marked for line in _stacked(columns, row, on)], []
    picked = [columns[n] for n in shown]
    texts = [[row[n] for n in below] for row in marked]
    return _lines(picked, [[row[n] for n in shown] for row in marked], on, texts), left_out


def _width(columns: Sequence[Column], rows: Sequence[Cells], shown: Sequence[int]) -> int:
    widths = [max(_length(columns[n].title), *(_length(row[n]) for row in rows)) for n in shown]
    return sum(widths) + len(_GAP) * max(0, len(shown) - 1)


def _length(cell: str) -> int:
    return len(cell) if cell.isascii() else cell_len(cell)


def _marked(columns: Sequence[Column], row: Cells, on: Terminal) -> list[str]:
    """Return the cells of a row; those of a signed column with a triangle."""
    return [f"{cell}{_glyph(cell)}" if column.signed and on.glyphs else cell
            for column, cell in zip(columns, row, strict=True)]  # fmt: skip


def _glyph(cell: str) -> str:
    return "  " if cell in ("", "-", "0") else _DOWN if cell.startswith("-") else _UP


def _lines(columns: Sequence[Column], rows: Sequence[Cells], on: Terminal | None, texts: Sequence[Cells]) -> list[str]:
    """Return the title line, and a line for each row with the texts below it."""
    table = [[column.title for column in columns], *rows]
    widths = [max(map(_length, column)) for column in zip(*table, strict=True)]
    styled = on is None or on.colour  # a file or a pipe loses the styles when it is written
    title, *lines = [
        _GAP.join(_cell(*each, styled=on is not None and on.colour and number > 0)
                  for each in zip(columns, row, widths, strict=True)).rstrip()
        for number, row in enumerate(table)
    ]  # fmt: skip
    found = [typer.style(title, bold=True) if styled else title]
    for number, line in enumerate(lines):
        found.append(line)
        if on is not None and texts:
            found += [each for text in texts[number] if text for each in _wrapped(text, on.width)]
    return found


def _cell(column: Column, cell: str, width: int, *, styled: bool) -> str:
    space = " " * (width - _length(cell))
    shown = _coloured(cell) if styled and column.signed else cell
    return space + shown if column.right else shown + space


def _coloured(cell: str) -> str:
    number = cell.partition(" ")[0]
    if number in ("", "-", "0"):
        return cell
    return typer.style(cell, fg="red" if number.startswith("-") else "green")


def _wrapped(text: str, width: int, indent: str = _INDENT) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _stacked(columns: Sequence[Column], row: Cells, on: Terminal) -> Iterator[str]:
    """Yield a row as titles and values, and an empty line."""
    width = max(_length(column.title) for column in columns)
    for column, cell in zip(columns, row, strict=True):
        if cell.strip():
            title = column.title + " " * (width - _length(column.title))
            value = _coloured(cell) if on.colour and column.signed else cell
            first, *rest = _wrapped(cell, max(10, on.width - width - 2), "") or [""]
            yield f"{typer.style(title, bold=True) if on.colour else title}{_GAP}{first if rest else value.rstrip()}"
            yield from (" " * (width + 2) + each for each in rest)
    yield ""
