"""Queries that are awaited run in a thread, in slices: the event loop of a bot goes on."""

import asyncio
import gc
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from oms_es.api import in_thread
from oms_es.api.explanations import Explanations
from oms_es.api.in_thread import InThread, QueryCancelled
from oms_es.log.memory import MemoryLog
from tests.desk import FREE, desk

SLICE = 16  # events


@pytest.fixture(autouse=True)
def _short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_thread, "SLICE", SLICE)


async def played(log: Path | MemoryLog) -> Any:
    oms = desk(log, settings=FREE)
    await asyncio.gather(*(oms.record_mark("ADA", 100) for _ in range(3 * SLICE)))
    await oms.submit_order("ADA", "buy", "market", 20, order_id="o-1")
    await oms.add_fill("o-1", 20, 100, "t-1")
    return oms


class Pauses:
    """Stands in for the pause after a slice, and waits in it until the event loop has run."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.count, self.threads = loop, 0, set[int]()

    def sleep(self, _: float) -> None:
        ran = threading.Event()
        self.loop.call_soon_threadsafe(ran.set)
        assert ran.wait(60), "the event loop does not run while a query is answered"
        self.count += 1
        self.threads.add(threading.get_ident())


async def test_the_event_loop_runs_after_each_slice_of_a_query(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oms = await played(path)
    pauses = Pauses(asyncio.get_running_loop())
    monkeypatch.setattr(in_thread, "time", pauses)

    for query in ("positions", "orders", "fills", "pnl"):
        found = await getattr(oms.in_thread, query)(as_of="2026-01-01T00:00:00Z")
        assert found.to_dicts() == getattr(oms, query)(as_of="2026-01-01T00:00:00Z").to_dicts() != []
    assert pauses.count >= 4
    assert threading.get_ident() not in pauses.threads
    await oms.close()


async def test_every_query_of_the_log_can_be_awaited(path: Path) -> None:
    oms = await played(path)
    queries = {name for name in dir(Explanations) if not name.startswith("_") and callable(getattr(Explanations, name))}
    arguments = {"history": ("ADA",), "why_position": ("ADA",), "lots": ("ADA",), "why_order": ("o-1",)}
    arguments |= {"diff": ("seq:1",), "position_series": ("1h",), "pnl_series": ("1h",)}

    assert queries == {name for name in dir(InThread) if not name.startswith("_")} - {"run", "close"}
    for name in sorted(queries):
        found = await getattr(oms.in_thread, name)(*arguments.get(name, ()))
        assert found == getattr(oms, name)(*arguments.get(name, ())), name
    await oms.close()


async def test_a_query_whose_caller_was_cancelled_ends_at_the_next_slice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oms = await played(path)
    begun, go_on, ended = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Held:
        @staticmethod
        def sleep(_: float) -> None:
            loop.call_soon_threadsafe(begun.set)
            assert go_on.wait(60)

    def query(reader: Explanations) -> None:
        try:
            list(reader.log.read())
        except QueryCancelled:
            ended.set()
            raise

    monkeypatch.setattr(in_thread, "time", Held)
    task = asyncio.create_task(oms.in_thread.run(query))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()

    assert await asyncio.to_thread(ended.wait, 60)
    monkeypatch.setattr(in_thread, "time", time)
    assert len(await oms.in_thread.positions()) == 1
    await oms.close()


async def test_the_collector_of_cycles_is_off_during_a_query_and_then_as_before(path: Path) -> None:
    oms = await played(path)
    for before in (True, False, True):
        (gc.enable if before else gc.disable)()
        assert not await oms.in_thread.run(lambda _: gc.isenabled())
        assert gc.isenabled() is before
    await oms.close()


async def test_queries_of_a_log_in_memory_can_be_awaited() -> None:
    oms = await played(MemoryLog())

    assert await oms.in_thread.positions() == oms.positions() != []
    await oms.close()


async def test_a_query_sees_a_command_that_was_answered_before_it(path: Path) -> None:
    oms = await played(path)
    assert len(await oms.in_thread.fills()) == 1

    await oms.submit_order("ADA", "sell", "market", 20, order_id="o-2")
    await oms.add_fill("o-2", 20, 101, "t-2")

    assert [row["trade_id"] for row in await oms.in_thread.fills()] == ["t-1", "t-2"]
    await oms.close()
