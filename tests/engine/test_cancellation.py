"""Cancelled callers, loops that end, and close, in the middle of an append."""

import asyncio
import gc
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from oms_es import OrderManagementSystem, OrderState
from oms_es.engine.sequencer import MOST_AT_ONCE
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.state import State
from tests.desk import (
    ADA,
    FREE,
    Clock,
    Gate,
    Watched,
    desk,
    digest,
    digest_of,
    mark,
    position_of,
    reached,
    submit,
    topics_of,
    work,
)


async def test_a_cancelled_caller_does_not_cancel_the_other_commands(path: Path) -> None:
    log, gate = Watched(SqliteLog(path)), Gate()

    async with desk(log) as oms:
        log.before = gate
        given_up = asyncio.create_task(submit(oms, "o-1"))
        waits_behind = asyncio.create_task(submit(oms, "o-2"))
        await reached(gate)
        queued_too = asyncio.create_task(submit(oms, "o-3"))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        gate.opened.set()

        assert (await waits_behind).order_id == "o-2"
        assert (await queued_too).order_id == "o-3"
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert oms.get_order("o-1") is not None, "its append was under way and could not be called back"
        assert digest(oms) == digest_of(path)


async def test_a_command_repeated_after_a_timeout_returns_its_first_outcome(path: Path) -> None:
    log, gate = Watched(SqliteLog(path)), Gate()

    async with desk(log) as oms:
        log.before = gate
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(submit(oms, "o-1", command_id="c-1"), 0.05)
        gate.opened.set()

        order = await submit(oms, "o-1", command_id="c-1")
        assert order.state is OrderState.PENDING
        assert topics_of(log) == ["PolicyChanged", "OrderSubmitted", "StateChanged"]


def test_a_loop_that_ends_during_an_append_leaves_the_state_equal_to_the_log(path: Path) -> None:
    log, gate = Watched(SqliteLog(path)), Gate()
    oms = desk(log)

    async def leave() -> None:
        log.before = gate
        under_way = asyncio.create_task(submit(oms, "o-1"))
        await reached(gate)
        waits = asyncio.create_task(submit(oms, "o-2"))
        await asyncio.sleep(0)
        threading.Timer(0.1, gate.opened.set).start()
        assert not under_way.done()
        assert not waits.done()
        # and the loop goes down with both of them waiting

    asyncio.run(leave())

    assert digest(oms) == digest_of(path)
    assert oms.get_order("o-1") is not None
    again = asyncio.run(submit(oms, "o-2"))
    assert again.state is OrderState.PENDING
    assert digest(oms) == digest_of(path)
    asyncio.run(oms.close())


def test_a_loop_that_ends_during_a_second_decision_leaves_the_state_equal_to_the_log(path: Path) -> None:
    log, gate, other = Watched(SqliteLog(path)), Gate(), SqliteLog(path)
    oms = desk(log)

    def held_up_and_moved(*_: object) -> None:
        gate()
        log.before = lambda *_: None
        other.append([mark("OTHER")], 0)

    async def leave() -> None:
        log.before = held_up_and_moved
        under_way = asyncio.create_task(submit(oms, "o-1"))
        await reached(gate)
        threading.Timer(0.1, gate.opened.set).start()
        assert not under_way.done()

    asyncio.run(leave())

    assert digest(oms) == digest_of(path)
    asyncio.run(submit(oms, "o-1"))
    assert topics_of(other).count("OrderSubmitted") == 1
    assert digest(oms) == digest_of(path)
    asyncio.run(oms.close())
    other.close()


def test_one_oms_serves_one_loop_after_another(path: Path) -> None:
    oms = desk(path)

    for number in range(3):
        order = asyncio.run(submit(oms, f"o-{number}"))
        assert oms.get_order(f"o-{number}") == order
    asyncio.run(oms.add_fill("o-0", 10, 10, "t-1"))

    assert position_of(oms, ADA).quantity == 10
    asyncio.run(oms.close())


def test_an_oms_needs_no_close(path: Path) -> None:
    async def session() -> None:
        oms = desk(path)
        await submit(oms, "o-1")

    asyncio.run(session())
    gc.collect()  # a ResourceWarning would be an error

    oms = desk(path)
    assert len(oms.get_all_orders()) == 1
    asyncio.run(oms.close())


def test_close_in_the_middle_of_a_command_saves_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oms_es.engine.write_model.LEAST", 1)
    kept: list[int] = []
    monkeypatch.setattr(
        "oms_es.engine.write_model.save_state", lambda _log, _kind, state: kept.append(state.committed_seq)
    )

    async def run(*, at_rest: bool) -> None:
        oms = desk(tmp_path / f"{at_rest}.db", Clock())
        await work(oms)
        oms.sequencer._busy = not at_rest
        oms.sequencer.close()

    asyncio.run(run(at_rest=False))
    assert kept == []
    asyncio.run(run(at_rest=True))
    assert len(kept) == 1


def test_a_loop_closed_during_an_append_does_not_block_the_next_loop(tmp_path: Path) -> None:
    log, gate = Watched(SqliteLog(tmp_path / "day.db")), Gate()
    oms = desk(log, Clock())
    log.before = gate

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(submit(oms, "first"), 0.05)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(give_up())
    loop.close()  # nobody has cancelled what was under way
    gate.opened.set()
    asyncio.run(asyncio.wait_for(submit(oms, "second"), 20))

    assert [order.order_id for order in oms.get_all_orders()] == ["first", "second"]
    assert oms.sequencer.state.digest() == State().replay(SqliteLog(tmp_path / "day.db").read()).digest()


async def test_close_waits_for_the_commands_before_it_and_not_for_later_ones(tmp_path: Path) -> None:
    oms = desk(tmp_path / "day.db", Clock(), FREE)

    async def keep_asking(name: str) -> None:
        for number in range(100_000):
            await submit(oms, f"{name}-{number}")

    asking = [asyncio.create_task(keep_asking(name)) for name in "abc"]  # so that always one waits
    await asyncio.sleep(0.05)
    mine = asyncio.create_task(submit(oms, "mine"))
    await asyncio.sleep(0)
    await asyncio.wait_for(oms.close(), 20)
    assert mine.done()
    for task in asking:
        task.cancel()


async def test_close_waits_for_the_append_of_a_cancelled_command(tmp_path: Path) -> None:
    log, gate = Watched(SqliteLog(tmp_path / "day.db")), Gate()
    oms = desk(log, Clock())
    log.before = gate

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(submit(oms), 0.05)
    closing = asyncio.create_task(oms.close())
    await asyncio.sleep(0.1)
    assert not closing.done()
    gate.opened.set()
    await closing
    assert not oms.sequencer._busy


def test_a_checkpoint_worker_without_a_thread_fails_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oms_es.engine.checkpoint_worker.EVENTS", 1)
    monkeypatch.setattr("oms_es.engine.checkpoint_worker.ThreadPoolExecutor.submit", _refuse, raising=True)
    oms = desk(tmp_path / "day.db", Clock())
    monkeypatch.setattr(oms.sequencer, "_in_thread", _here)

    order = asyncio.run(submit(oms))

    assert (order.order_id, oms.sequencer._busy) == ("o-1", False)


def _refuse(*_: object) -> None:
    raise RuntimeError("can't start new thread")


async def _here(work: Callable[[], object]) -> None:
    work()


def test_an_interrupt_right_after_commit_leaves_no_command_without_an_answer(path: Path) -> None:
    with asyncio.Runner() as runner:
        log = SqliteLog(path)
        oms = desk(log)
        runner.run(submit(oms, "o-1"))
        committed = log._file.committed

        def interrupted() -> None:
            log._file.committed = committed  # type: ignore[method-assign]
            raise KeyboardInterrupt

        log._file.committed = interrupted  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            runner.get_loop().run_until_complete(submit(oms, "o-2"))

        assert [order.order_id for order in oms.get_all_orders()] == ["o-1", "o-2"]
        runner.run(asyncio.wait_for(oms.close(), 60))
    assert digest(oms) == digest_of(path)


def test_an_interrupt_before_commit_holds_no_lock_and_stops_no_writer(path: Path) -> None:
    with asyncio.Runner() as runner:
        log = SqliteLog(path)
        oms = desk(log)
        runner.run(submit(oms, "o-1"))
        commit = log._commit

        def interrupted(writer: object) -> None:  # noqa: ARG001
            log._commit = commit  # type: ignore[method-assign]
            raise KeyboardInterrupt

        log._commit = interrupted  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            runner.get_loop().run_until_complete(submit(oms, "o-2"))

        with closing(SqliteLog(path)) as other:
            other.append([mark(ADA)], other.head().seq)
        runner.run(submit(oms, "o-3"))
        assert [order.order_id for order in oms.get_all_orders()] == ["o-1", "o-3"]
        runner.run(asyncio.wait_for(oms.close(), 60))
    assert digest(oms) == digest_of(path)


async def test_other_tasks_have_a_turn_between_two_batches_of_queued_commands(oms: OrderManagementSystem) -> None:
    turns, seen = 0, list[int]()

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def placed(number: int) -> None:
        await oms.record_mark("X", number)
        seen.append(turns)

    counting = asyncio.create_task(count())
    await asyncio.gather(*(placed(number) for number in range(2 * MOST_AT_ONCE + 1)))
    counting.cancel()

    assert len(set(seen)) >= 3, "all batches were decided in one turn of the loop"
