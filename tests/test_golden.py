"""Golden days: what a day's script comes to, and what an early release's log still says. `make golden` rewrites."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from oms_es.log.memory import MemoryLog
from oms_es.log.sqlite import SqliteLog
from tests.golden_days import DATES, DAYS, answers, play, restore

REWRITE = os.environ.get("OMS_GOLDEN") == "1"


@pytest.mark.parametrize("day", DATES)
def test_a_golden_day_comes_to_the_tables_beside_it(day: str, tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "day.db")
    asyncio.run(play(day, log))

    found = answers(day, log, log.rows())

    if REWRITE:
        for name, content in found.items():
            (DAYS / day / name).write_text(content, encoding="utf-8")
        _dump_once(log, DAYS / day / "log.sql")
    assert found == {name: (DAYS / day / name).read_text(encoding="utf-8") for name in found}
    log.close()


@pytest.mark.parametrize("day", DATES)
def test_a_golden_day_is_the_same_in_a_log_in_memory(day: str) -> None:
    log = MemoryLog()
    asyncio.run(play(day, log))

    found = answers(day, log, log.rows())

    assert found == {name: (DAYS / day / name).read_text(encoding="utf-8") for name in found}


@pytest.mark.parametrize("day", DATES)
def test_a_log_of_an_early_release_still_gives_the_same_answers(day: str, tmp_path: Path) -> None:
    log = restore(day, tmp_path / "old.db")

    found = answers(day, log, log.rows())

    assert found == {name: (DAYS / day / name).read_text(encoding="utf-8") for name in found}
    log.close()


def _dump_once(log: SqliteLog, path: Path) -> None:
    if not path.exists():
        connection = sqlite3.connect(log.path)
        path.write_text("\n".join(connection.iterdump()) + "\n", encoding="utf-8")
        connection.close()
