"""Queries of a log in memory give the answers of a log in a file, by every clock."""

from pathlib import Path
from typing import Any

import pytest

from oms_es.log.memory import MemoryLog
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.builder import advance
from oms_es.queries.queries import AsOf, Queries
from oms_es.vocabulary import CostMethod
from tests.golden_days import play


def answers(queries: Queries, when: AsOf) -> list[Any]:
    basis = queries.basis(when, CostMethod.FIFO)
    symbols = ("ALFA", "BETA", "GAMMA")
    return [
        basis,
        queries.positions(basis).rows(),
        queries.days(basis),
        queries.waiting(basis),
        list(queries.fills(basis)),
        [[each.seq for each in queries.fill_events(symbol, basis)] for symbol in symbols],
        [list(queries.fills(basis, symbol)) for symbol in symbols],
    ]


@pytest.mark.parametrize("day", ["ordinary_day", "awkward_day"])
async def test_a_log_in_memory_gives_the_answers_of_a_log_in_a_file(day: str, tmp_path: Path) -> None:
    memory, file = MemoryLog(), SqliteLog(tmp_path / "day.db")
    for log in (memory, file):
        await play(day, log)
    advance(file, every=5)
    events = list(memory.read())
    times = sorted({time for each in events[::8] for time in (each.effective_at, each.recorded_at)})
    queried = [AsOf(), *(AsOf(at_seq=each.seq) for each in events[::7])]
    queried += [each for time in times for each in (AsOf(as_of=time), AsOf(known_at=time))]

    for when in queried:
        assert answers(Queries(memory), when) == answers(Queries(file), when)
    file.close()
