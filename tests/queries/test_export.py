"""Exports to a file, a link, a pipe and a full disk."""

import os
import threading
from pathlib import Path

import pytest

from oms_es.errors import LogError
from oms_es.projections.rows import ORDER
from oms_es.queries.export import write
from tests.desk import is_safe


def test_an_export_to_a_link_or_a_pipe_writes_to_its_target(tmp_path: Path) -> None:
    file, link, pipe = (tmp_path / name for name in ("orders.csv", "link.csv", "pipe"))
    file.write_text("old", encoding="utf-8")
    link.symlink_to(file)
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")), daemon=True)

    write([], "orders", "csv", link)
    reader.start()
    write([], "orders", "csv", pipe)
    reader.join(20)

    with pytest.raises(LogError, match="/dev/full: cannot be written: No space left on device"):
        write([], "orders", "csv", Path("/dev/full"))

    assert link.is_symlink()
    assert pipe.is_fifo()
    assert read == [file.read_text(encoding="utf-8")]
    assert read != ["old"]


@pytest.mark.parametrize(("value", "cell"), [
    ("=1+1", "'=1+1"),
    ("\uff1d1", "'\uff1d1"),  # full width
    ("a;=1", "a;'=1"),  # a spreadsheet may cut at ; in quotes too
    ("a; @b", "a; '@b"),
    ("\r=1", "\\u000d=1"),
    ("a\r=1", "a\\u000d=1"),
    ("a\t=1", "a\\u0009=1"),
    ("\x1b[31m", "\\u001b[31m"),
    ("\u202eevil", "\\u202eevil"),
    (" +x", " '+x"),
    ("-5", "-5"),
    ("-5.25", "-5.25"),
    ("a=b", "a=b"),
])  # fmt: skip
def test_a_cell_is_no_formula_and_has_no_control_character(value: str, cell: str, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"

    write([{"order_id": value}], "orders", "csv", path)

    content = path.read_bytes().decode()
    assert content.splitlines()[1] == cell + "," * (len(ORDER.columns) - 1)
    assert is_safe(content)
