"""Checkpoints that are signed while a log is written, as the settings ask for."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from oms_es import OrderManagementSystem, SettingsError
from oms_es.engine.settings import Settings
from oms_es.errors import DamagedLog, InvalidKey
from oms_es.log.sqlite import SqliteLog
from oms_es.proof import verify
from oms_es.proof.checkpoint import read_notes
from oms_es.proof.keys import create
from oms_es.proof.tree_head import frontier_of, frontier_path
from tests.desk import BUY, DAY, FREE, Clock, desk, ruled, trade
from tests.tampering import tampered


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create("desk", tmp_path / "desk.key")
    return tmp_path


def signing(folder: Path, **proof: Any) -> Settings:
    free = {"risk": {"max_open_orders": None, "max_position_size": None}, "trading": {"max_skew": None}}
    paths = {"key": str(folder / "desk.key"), "checkpoints": str(folder / "day.ckpts")}
    return ruled(**free, proof={**paths, **{name: str(value) for name, value in proof.items()}})


def sizes(folder: Path) -> list[int]:
    file = folder / "day.ckpts"
    return [each.events for each in read_notes(file)] if file.exists() else []


def anchored(folder: Path) -> int:
    """Return how many events the checkpoints anchor."""
    found = verify(folder / "day.db", [folder / "day.ckpts"], [folder / "desk.key.pub"])
    assert found.status == "anchored", found.detail
    return found.events - found.tail_events


async def wait_for(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within 5 s")


async def fill(oms: OrderManagementSystem, first: int, count: int) -> None:
    for number in range(first, first + count):
        await trade(oms, f"o-{number}", BUY, 10, 10)


def test_a_checkpoint_is_signed_after_so_many_events(folder: Path) -> None:
    async def trading() -> None:
        async with desk(folder / "day.db", settings=signing(folder, every_events=20)) as oms:
            await fill(oms, 0, 10)
            await wait_for(lambda: sizes(folder))
            before = len(sizes(folder))
            await fill(oms, 10, 10)
            await wait_for(lambda: len(sizes(folder)) > before)

    asyncio.run(trading())
    assert sizes(folder) == sorted(set(sizes(folder)))
    assert anchored(folder) >= 40


def test_a_checkpoint_is_signed_after_so_many_seconds_if_there_are_new_events(folder: Path) -> None:
    async def trading() -> None:
        async with desk(folder / "day.db", settings=signing(folder, every_seconds=1)) as oms:
            await fill(oms, 0, 1)
            head = oms.log.head().seq
            await wait_for(lambda: sizes(folder) == [head])
            await asyncio.sleep(1.2)
            assert sizes(folder) == [head]

    asyncio.run(trading())
    assert anchored(folder) == SqliteLog(folder / "day.db").head().seq


def test_short_sessions_count_from_the_last_checkpoint_in_the_file(folder: Path) -> None:
    for number in range(6):

        async def trading(number: int = number) -> None:
            async with desk(folder / "day.db", settings=signing(folder, every_events=20)) as oms:
                await fill(oms, number, 1)

        asyncio.run(trading())

    assert len(sizes(folder)) == 1
    assert anchored(folder) >= 20


def test_events_of_another_process_are_read_from_the_log(folder: Path) -> None:
    async def trading() -> None:
        async with desk(folder / "day.db", settings=signing(folder, every_events=10**6)) as oms:
            await fill(oms, 0, 2)
            async with desk(folder / "day.db") as other:
                await fill(other, 10, 2)
            await fill(oms, 20, 2)
            signer = oms._signer
            assert signer is not None
            signer.sign()

    asyncio.run(trading())
    assert anchored(folder) == SqliteLog(folder / "day.db").head().seq


def test_closing_a_day_verifies_the_log_and_signs_a_checkpoint(folder: Path) -> None:
    clock = Clock()

    async def trading() -> None:
        async with desk(folder / "day.db", clock, signing(folder)) as oms:
            await fill(oms, 0, 2)
            await oms.close_day(DAY)
            assert sizes(folder) == [oms.log.head().seq]

    asyncio.run(trading())
    assert anchored(folder) == SqliteLog(folder / "day.db").head().seq


def test_a_day_is_not_closed_on_a_log_that_was_changed(folder: Path) -> None:
    async def trading() -> None:
        clock = Clock()
        async with desk(folder / "day.db", clock, FREE) as oms:
            await fill(oms, 0, 2)
            tampered(folder / "day.db", "UPDATE events SET state = CAST(state || ' ' AS BLOB) WHERE seq = 3")
            with pytest.raises(DamagedLog, match=r"seq 3 .*the day was not closed"):
                await oms.close_day(DAY)

    asyncio.run(trading())


def test_trading_goes_on_when_no_checkpoint_can_be_signed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "day.ckpts").mkdir()

    async def trading() -> None:
        async with desk(folder / "day.db", settings=signing(folder, every_events=2)) as oms:
            await fill(oms, 0, 4)

    with caplog.at_level(logging.ERROR):
        asyncio.run(trading())
    assert SqliteLog(folder / "day.db").head().seq > 8
    assert "no checkpoint could be signed" in caplog.text


def test_settings_with_a_missing_key_or_no_file_for_checkpoints_are_refused(folder: Path) -> None:
    with pytest.raises(SettingsError, match="only used together"):
        ruled(proof={"key": "desk.key"})
    with pytest.raises(InvalidKey, match=r"other\.key"):
        desk(folder / "day.db", settings=ruled(proof={"key": str(folder / "other.key"), "checkpoints": "x"}))


def test_a_missing_or_wrong_frontier_cache_is_computed_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oms_es.proof.tree_head.EVERY", 1)

    async def trading() -> None:
        async with desk(folder / "day.db") as oms:
            await fill(oms, 0, 3)

    asyncio.run(trading())
    log = SqliteLog.existing(folder / "day.db")
    root = frontier_of(log)[1].root()
    path = frontier_path(log)
    content = path.read_text()
    read = time.perf_counter()
    assert frontier_of(log)[1].root() == root, read
    assert path.stat().st_mode & 0o777 == 0o600

    for wrong in ("", "{}", content.replace('"size": ', '"size": 1'), content.replace("ab", "cd").replace("12", "21")):
        path.write_text(wrong)
        assert frontier_of(log)[1].root() == root
