"""Tables on a terminal: they fit its width, and show signs by colours and triangles; elsewhere they are plain."""

import os
import re
import subprocess
import sys

import pytest

from oms_es.cli import layout, render
from oms_es.cli.layout import Column, Terminal, drawn
from tests.cli.command_line import Oms

QUERIES = (
    "positions", "positions --method all", "orders", "fills", "pnl", "daily", "history ACME", "order b-3",
    "why position BOLT", "quarantine", "diff seq:40 now", "positions --every 1h",
)  # fmt: skip
STYLES = re.compile(r"\x1b\[\d+m")


def on_terminal(oms: Oms, words: str, monkeypatch: pytest.MonkeyPatch, width: int) -> str:
    monkeypatch.setattr(render, "terminal", lambda: Terminal(width, False, True))
    return oms(words).stdout


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize("query", QUERIES)
def test_a_table_fits_the_width_of_a_terminal(
    query: str, width: int, demo: Oms, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide, shown = demo(query), on_terminal(demo, query, monkeypatch, width)

    assert max(map(len, shown.splitlines())) <= width
    assert wide.stdout
    for name in ("ACME", "BOLT"):
        assert (name in shown) == (name in wide.stdout)


NARROW = (
    Column("order", str),
    Column("price", str, right=True, drop=1),
    Column("fee", str, right=True, drop=2),
    Column("note", str, usual="", below=True),
)
ROWS = [["o-1", "100.25", "0.001", "the venue looks into it"], ["o-2", "7", "0", ""]]
WHOLE = """\
order   price    fee  note
o-1    100.25  0.001  the venue looks into it
o-2         7      0
"""
BELOW = """\
order   price    fee
o-1    100.25  0.001
    the venue looks
    into it
o-2         7      0
"""
WITHOUT_FEE = """\
order   price
o-1    100.25
    the venue
    looks into
    it
o-2         7
"""


@pytest.mark.parametrize(("width", "lines", "left_out"), [(45, WHOLE, []), (20, BELOW, []), (15, WITHOUT_FEE, ["fee"])])
def test_a_long_text_goes_below_its_row_and_then_columns_are_left_out(
    width: int, lines: str, left_out: list[str]
) -> None:
    assert drawn(NARROW, ROWS, Terminal(width, False, False)) == (lines.splitlines(), left_out)


def test_a_row_that_does_not_fit_at_all_is_a_list_of_titles_and_values() -> None:
    columns = (Column("order", str), Column("quantity", str, right=True))

    found = drawn(columns, [["an-order-with-a-long-id", "100"]], Terminal(30, False, False))

    assert found == (["order     an-order-with-a-long-id", "quantity  100", ""], [])


def test_what_is_not_for_a_terminal_is_never_shortened() -> None:
    lines, left_out = drawn(NARROW, ROWS, None)

    assert [STYLES.sub("", line) for line in lines] == WHOLE.splitlines()
    assert left_out == []


def test_profit_and_loss_have_a_sign_a_triangle_and_a_colour(demo: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (Column("total", str, right=True, signed=True),)
    rows = [["-1.5"], ["20"], ["0"], ["-"]]

    plain = drawn(columns, rows, Terminal(80, False, True))[0]
    coloured = drawn(columns, rows, Terminal(80, True, True))[0]

    assert plain == [" total", "-1.5 \u25bc", "  20 \u25b2", "   0", "   -"]
    assert [STYLES.sub("", line) for line in coloured] == plain
    assert [line.count("\x1b[31m") - line.count("\x1b[32m") for line in coloured] == [0, 1, -1, 0, 0]
    assert drawn(columns, rows, Terminal(80, False, False))[0] == ["total", " -1.5", "   20", "    0", "    -"]
    assert "29.76 \u25b2" in on_terminal(demo, "pnl", monkeypatch, 100)


@pytest.mark.parametrize(
    ("environment", "encoding", "colour", "glyphs"),
    [
        ({}, "utf-8", True, True),
        ({"NO_COLOR": "1"}, "utf-8", False, True),
        ({"NO_COLOR": ""}, "utf-8", True, True),
        ({"TERM": "dumb"}, "utf-8", False, True),
        ({}, "ascii", True, False),
    ],
)
def test_no_color_and_the_encoding_decide_what_a_terminal_shows(
    environment: dict[str, str], encoding: str, colour: bool, glyphs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Screen:
        def __init__(self) -> None:
            self.encoding = encoding

        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("oms_es.cli.layout.sys.stdout", Screen())
    for name, value in {"COLUMNS": "72", "TERM": "xterm", "NO_COLOR": "", **environment}.items():
        monkeypatch.setenv(name, value)

    assert layout.terminal() == Terminal(72, colour, glyphs)


def test_averages_have_ten_digits_and_every_digit_with_exact(oms: Oms) -> None:
    oms("submit ADA buy limit 30 2 --order-id o-1")
    for quantity, price in ((10, 1), (20, 2)):
        oms(f"fill o-1 {quantity} {price} --trade-id t-{price}")

    for query in ("positions", "positions --method all", "orders", "why position ADA --method average"):
        assert " 1.666666667 " in oms(query).stdout
        assert " 1.666666666666666667 " in oms(f"{query} --exact").stdout


@pytest.mark.parametrize("command", ["fills", "fills --json", "export", "tail --no-follow", "replay", "--help"])
def test_a_command_whose_reader_has_read_enough_ends_with_0(command: str, demo: Oms) -> None:
    script = f"{sys.executable} -m oms_es {command} | true; echo ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "OMS_LOG": str(demo.log)}

    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, env=environment)

    assert done.stdout == "0\n"
    assert "oms: " not in done.stderr
    assert "Traceback" not in done.stderr
