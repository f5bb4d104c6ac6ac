"""States kept beside the log: opening it, or replaying a day, on from one is the same as from the first event."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oms_es import OrderManagementSystem
from oms_es.cli.commands import replay
from oms_es.domain.envelope import Recorded
from oms_es.errors import FillQuarantinedError
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots import state_store as keeping
from oms_es.projections.snapshots.state_store import load_state, save_state, states_path
from oms_es.projections.state import State
from tests.cli.test_cli import Oms
from tests.desk import BUY, SELL, Clock, D, desk, order_of, ruled, submit, trade
from tests.golden_days import SPANS, play

RETIRING = ruled(system={"order_history_retention": 0}, risk={"max_open_orders": None})


@pytest.fixture(autouse=True)
def _worth_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (keeping, replay, __import__("oms_es.engine.write_model", fromlist=["live"])):
        monkeypatch.setattr(module, "LEAST", 1)


class Counting(SqliteLog):
    read_events = 0

    def read(self, *args: Any, **options: Any) -> Iterator[Recorded]:
        for each in super().read(*args, **options):
            self.read_events += 1
            yield each

    def read_verified(self, *args: Any, **options: Any) -> Iterator[Recorded]:
        for each in super().read_verified(*args, **options):
            self.read_events += 1
            yield each


async def left_off(path: Path) -> OrderManagementSystem:
    """Trade a little, close, and open the log again."""
    async with desk(path, Clock(), RETIRING) as oms:
        for number in range(10):
            await trade(oms, f"o-{number}", BUY if number % 3 else SELL, 10 + number, 10)
        await submit(oms, "open")
        with pytest.raises(FillQuarantinedError):
            await oms.add_fill("open", 500, 10, "over")
    return desk(Counting(path), Clock(), RETIRING)


async def test_a_log_is_opened_on_from_where_a_process_left_off(tmp_path: Path) -> None:
    oms = await left_off(tmp_path / "day.db")
    other = desk(tmp_path / "day.db", Clock(), RETIRING)
    assert oms.get_order("open") is not None
    assert isinstance(oms.log, Counting)
    assert oms.log.read_events == 0

    states_path(SqliteLog(tmp_path / "day.db")).unlink()
    other.get_all_orders()  # from zero
    for system in (oms, other):
        await trade(system, f"n-{system is oms}", BUY, 10, 10)
    await oms.add_fill("o-1", 11, 10, "t-o-1")  # told again, of an order that is not in memory
    await oms.bust_fill("o-2", "t-o-2")

    assert oms.get_all_positions() == other.get_all_positions()
    assert oms.get_portfolio_summary() == other.get_portfolio_summary()
    whole = State().replay(other.log.read())
    assert oms.sequencer.state.positions.digest() == whole.positions.digest()
    assert oms.sequencer.state.closing_digests() == whole.closing_digests()
    assert order_of(oms, "o-1").filled_quantity == D(11)


@pytest.mark.parametrize("harm", ["garbage", "cut off", "flipped", "of another log", "made by other code"])
async def test_load_state_ignores_a_damaged_or_foreign_state(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await left_off(tmp_path / "day.db")
    path = states_path(SqliteLog(tmp_path / "day.db"))
    content = bytearray(path.read_bytes())
    if harm == "garbage":
        content = bytearray(b"nothing of the kind" * 500)
    elif harm == "cut off":
        content = content[: len(content) // 2]
    elif harm == "flipped":
        content[content.index(b"x\x01") + 60] ^= 1  # within the packed state
    elif harm == "of another log":
        (tmp_path / "other").mkdir()
        await left_off(tmp_path / "other" / "day.db")
        content = bytearray(states_path(SqliteLog(tmp_path / "other" / "day.db")).read_bytes())
    path.write_bytes(content)
    if harm == "made by other code":
        monkeypatch.setattr(keeping, "_made_by", lambda: "something else")

    log = Counting(tmp_path / "day.db")
    assert load_state(log, "live", log.head().seq + 1) is None
    assert desk(log, Clock(), RETIRING).get_order("open") is not None
    assert log.read_events == log.head().seq


def test_a_day_is_replayed_on_from_the_last_closed_day_to_the_same_report(tmp_path: Path) -> None:
    path = tmp_path / "days.db"
    asyncio.run(play("three_days", path))
    oms = Oms(path)
    from_zero = [oms(f"replay --day {day} --check --json --from-zero") for day in SPANS["three_days"]]
    assert all("closed day before" not in each.stderr for each in from_zero)

    oms("replay")  # passes the closed days, and leaves their states beside the log
    again = [oms(f"replay --day {day} --check --json") for day in SPANS["three_days"]]

    assert [json.loads(each.stdout) for each in again] == [json.loads(each.stdout) for each in from_zero]
    assert ["closed day before" in each.stderr for each in again] == [False, False, True]


def test_a_state_that_does_not_come_to_the_digests_in_the_log_is_not_taken_for_a_closed_day(tmp_path: Path) -> None:
    path = tmp_path / "days.db"
    asyncio.run(play("three_days", path))
    log = SqliteLog(path)
    (first, *_) = [each.seq for each in log.read(topics={"DayClosed"})]
    state = State().replay(log.read(until=first - 1))
    state.positions.held.popitem()
    save_state(log, "day", state)

    assert load_state(log, "day", first + 5) is None
    save_state(log, "day", State().replay(log.read(until=first - 1)))
    assert load_state(log, "day", first + 5) is not None


async def test_a_late_fill_of_an_order_that_had_left_memory_does_not_keep_the_log_from_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clock = tmp_path / "day.db", Clock()

    async with desk(path, clock, RETIRING) as oms:
        await trade(oms, "o-1", BUY, 14, 10)
        await submit(oms, "gone")
        await oms.cancel_order("gone")
        clock.now += 200_000 * 10**9
        for number in range(2):
            await submit(oms, f"later-{number}")
            clock.now += 200_000 * 10**9
    monkeypatch.setattr("oms_es.engine.write_model.LEAST", 10**6)  # not kept again
    async with desk(path, clock, RETIRING) as oms:
        await oms.add_fill("gone", 10, 10, "late")

    assert states_path(SqliteLog(path)).is_file()

    oms = desk(path, clock, RETIRING)

    position, order = oms.get_position("ADAUSDM"), oms.get_order("gone")
    assert position is not None
    assert order is not None
    assert (position.quantity, order.filled_quantity) == (D(24), D(10))
