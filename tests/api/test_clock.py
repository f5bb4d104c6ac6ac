"""The times of an event, and the unit in which they are passed."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oms_es import InvalidInput
from oms_es.domain.events import FillAdded
from oms_es.timestamps import SECOND
from tests.desk import START, Clock, desk, submit, work


async def test_occurred_at_effective_at_and_recorded_at_of_a_fill(path: Path) -> None:
    clock = Clock(tick=0)
    async with desk(path, clock) as oms:
        await submit(oms, "o-1", occurred_at=START - 10 * SECOND)
        await oms.add_fill("o-1", 10, 10, "early", occurred_at=START - 20 * SECOND)
        await oms.add_fill("o-1", 10, 10, "yesterday", occurred_at=datetime(2025, 6, 15, 12, 0, tzinfo=UTC))
        await oms.add_fill("o-1", 10, 10, "now")
        times = {
            r.event.trade_id: (r.occurred_at, r.effective_at, r.recorded_at, r.trading_day)
            for r in oms.log.read()
            if isinstance(r.event, FillAdded)
        }
        submission = START - 10 * SECOND
        assert times == {
            "early": (START - 20 * SECOND, submission, START, "2025-06-16"),
            "yesterday": (START - 86400 * SECOND, submission, START, "2025-06-16"),
            "now": (START, START, START, "2025-06-16"),
        }


@pytest.mark.parametrize("unit", ["seconds", "milliseconds", "microseconds"])
async def test_an_occurred_at_that_is_not_in_nanoseconds_is_refused_with_a_hint(unit: str, path: Path) -> None:
    factor = {"seconds": SECOND, "milliseconds": 10**6, "microseconds": 1000}[unit]

    async with desk(path) as oms:
        await work(oms, "o-1")
        with pytest.raises(InvalidInput, match=f"as {unit} it is 2025-06-16T12.*multiply it by {factor}"):
            await oms.add_fill("o-1", 1, 10, occurred_at=START // factor)
        with pytest.raises(InvalidInput, match=f"as {unit} it is"):
            oms.positions(as_of=START // factor)
    async with desk(path, lambda: START // factor) as oms:
        with pytest.raises(InvalidInput, match=f"clock.*as {unit} it is"):
            await oms.add_fill("o-1", 1, 10)


@pytest.mark.parametrize("reading", [1.5, None, -1, 2**63, True, "now"])
def test_a_clock_that_returns_no_nanoseconds_is_refused_and_nothing_is_written(reading: Any, tmp_path: Path) -> None:
    oms = desk(tmp_path / "day.db", lambda: reading)

    with pytest.raises(InvalidInput, match="clock"):
        asyncio.run(submit(oms))

    assert not (tmp_path / "day.db").exists()
