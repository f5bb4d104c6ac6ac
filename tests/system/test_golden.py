"""Golden days: what a day's script comes to, and what an early release's log still says. `make golden` rewrites."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from oms_es import __version__
from oms_es.audit.day_archive import pack
from oms_es.audit.replay import replay
from oms_es.log.memory import MemoryLog
from oms_es.log.sqlite import SqliteLog
from oms_es.vocabulary import CostMethod
from tests.golden_days import BOXES, DATES, DAYS, SPANS, answers, boxed, digests, from_box, from_log, play, restore

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
        _pack_once(day, tmp_path)
    assert found == {name: (DAYS / day / name).read_text(encoding="utf-8") for name in found}
    log.close()


@pytest.mark.parametrize("day", DATES)
def test_a_golden_day_is_the_same_in_a_log_in_memory(day: str) -> None:
    log = MemoryLog()
    asyncio.run(play(day, log))

    found = answers(day, log, log.rows())

    assert found == {name: (DAYS / day / name).read_text(encoding="utf-8") for name in found}


@pytest.mark.parametrize("day", DATES)
@pytest.mark.parametrize("release", ["", "rules_2"], ids=["the first release", "rules of version 2"])
def test_a_log_of_an_early_release_gives_the_same_answers_and_is_decided_the_same_again(
    release: str, day: str, tmp_path: Path
) -> None:
    log = restore(day, tmp_path / "old.db", release)

    found = answers(day, log, log.rows())
    seen = replay(log.read(), check=True)

    assert found == {name: _early(day, release, name).read_text(encoding="utf-8") for name in found}
    assert seen.divergent == []
    assert seen.checked is not None
    assert seen.checked.total() > 20
    log.close()


def _early(day: str, release: str, name: str) -> Path:
    """Return the table of a log of an early release; of the first, where today's events say more than those of then."""
    early = DAYS / day / (release or "early") / name
    return early if release or early.exists() else DAYS / day / name


@pytest.mark.parametrize(("day", "trading_day"), BOXES)
def test_a_box_of_an_early_release_still_gives_the_same_report(day: str, trading_day: str, tmp_path: Path) -> None:
    log = restore(day, tmp_path / "old.db")

    assert from_box(boxed(day, trading_day)) == from_log(log, trading_day)
    log.close()


@pytest.mark.parametrize("day", DATES)
def test_the_boxes_of_a_golden_day_come_to_the_digests_beside_them(day: str) -> None:
    found = digests(day)

    if REWRITE:
        (DAYS / day / "digests.txt").write_text(found, encoding="utf-8")
    assert found == (DAYS / day / "digests.txt").read_text(encoding="utf-8")


def _pack_once(day: str, folder: Path) -> None:
    log = restore(day, folder / "released.db")
    for trading_day in SPANS[day]:
        if not boxed(day, trading_day).exists():
            pack(log, trading_day, boxed(day, trading_day), CostMethod.FIFO, __version__)
    log.close()


def _dump_once(log: SqliteLog, path: Path) -> None:
    if not path.exists():
        connection = sqlite3.connect(log.path)
        path.write_text("\n".join(connection.iterdump()) + "\n", encoding="utf-8")
        connection.close()
