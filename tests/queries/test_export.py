"""Exports to a file, a link, a pipe and a full disk."""

import os
import threading
from pathlib import Path

import pytest

from oms_es.errors import LogError
from oms_es.queries.export import write


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
