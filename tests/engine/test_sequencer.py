"""The one writer: queued commands in one transaction, answers only for what is durable, failed appends undone."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from oms_es import InvalidInput, OMSOrder, OrderManagementSystem, OrderRejected, OrderState
from oms_es.domain.envelope import Draft
from oms_es.engine.sequencer import MOST_IN_LOOP
from oms_es.errors import HeadMoved, LogBusy, LogFileChanged, LogWriteFailed
from oms_es.log.memory import MemoryLog
from oms_es.log.open_connections import open_writer
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.state import State
from tests.desk import (
    ADA,
    BUY,
    LIMIT,
    SELL,
    Clock,
    D,
    Gate,
    Watched,
    desk,
    digest,
    digest_of,
    events_of,
    filled,
    mark,
    reached,
    ruled,
    submit,
    take_in,
    topics_of,
    trade,
    work,
)
from tests.desk import facts_file as write_facts
from tests.desk import submitted as submit_fact

UNLIMITED = ruled(risk={"max_position_size": None, "max_open_orders": None}, trading={"max_skew": None})


async def test_queued_commands_commit_in_one_transaction(path: Path) -> None:
    log = Watched(SqliteLog(path))

    async with desk(log, settings=UNLIMITED) as oms:
        orders = await asyncio.gather(*(submit(oms, f"o-{number}") for number in range(500)))

        assert [order.order_id for order in orders] == [f"o-{number}" for number in range(500)]
        assert all(order.state is OrderState.PENDING for order in orders)

    assert len(log.sizes) <= 3
    assert sum(log.sizes) == 1 + 2 * 500  # the rules, and two events an order


async def test_commands_queued_during_an_append_commit_in_the_next_transaction(path: Path) -> None:
    log, gate = Watched(SqliteLog(path)), Gate()

    async with desk(log, settings=UNLIMITED) as oms:
        log.before = gate
        first = asyncio.create_task(submit(oms, "first"))
        await reached(gate)
        others = [asyncio.create_task(submit(oms, f"o-{number}")) for number in range(200)]
        await asyncio.sleep(0)
        gate.opened.set()
        await asyncio.gather(first, *others)

    assert log.sizes == [3, 400]


async def test_commands_are_decided_in_the_order_of_submission(path: Path) -> None:
    async with desk(path, settings=ruled(risk={"max_position_size": 1000}, trading={"max_skew": None})) as oms:
        told = await asyncio.gather(
            *(submit(oms, f"o-{number}", quantity=300) for number in range(5)), return_exceptions=True
        )

        assert [type(each) for each in told] == [OMSOrder, OMSOrder, OMSOrder, OrderRejected, OrderRejected]
        assert [order.state.value for order in oms.get_all_orders()] == ["pending"] * 3 + ["rejected"] * 2


async def test_an_invalid_command_does_not_fail_the_others_of_its_transaction(oms: OrderManagementSystem) -> None:
    good, bad, better = await asyncio.gather(
        submit(oms, "o-1"), oms.cancel_order("nobody"), submit(oms, "o-2"), return_exceptions=True
    )

    assert isinstance(good, OMSOrder)
    assert isinstance(bad, LookupError)
    assert isinstance(better, OMSOrder)
    assert [order.order_id for order in oms.get_all_orders()] == ["o-1", "o-2"]


async def test_queries_and_invalid_commands_append_nothing(path: Path) -> None:
    log = Watched(SqliteLog(path))

    async with desk(log) as oms:
        with pytest.raises(LookupError):
            await oms.cancel_order("nobody")
        with pytest.raises(InvalidInput):
            await submit(oms, "o-1", quantity=D(-1))
        oms.get_all_orders()

    assert log.sizes == []
    assert not path.exists()


async def test_a_command_returns_only_after_its_append(path: Path) -> None:
    log, gate = Watched(SqliteLog(path)), Gate()

    async with desk(log) as oms:
        log.after = gate
        answer = asyncio.create_task(submit(oms, "o-1"))
        await reached(gate)
        await asyncio.sleep(0.05)
        assert not answer.done()

        gate.opened.set()
        assert (await answer).order_id == "o-1"
        assert log.sizes == [3]


async def test_order_callbacks_run_only_after_the_append(path: Path) -> None:
    log, gate = Watched(SqliteLog(path)), Gate()
    heard: list[str] = []

    async with desk(log) as oms:
        oms.add_order_callback(lambda order: heard.append(order.order_id))
        log.before = gate
        answer = asyncio.create_task(submit(oms, "o-1"))
        await reached(gate)
        await asyncio.sleep(0.05)
        assert heard == []

        gate.opened.set()
        await answer

    assert heard == ["o-1", "o-1"]


def everything_seen(oms: OrderManagementSystem, clock: Clock) -> list[object]:
    """Return every answer there is, at one moment of the clock."""
    now = clock.now
    seen: list[object] = [
        oms.get_order("o-1"), oms.get_order("o-2"), oms.get_order("V-2"), oms.get_all_orders(), oms.get_open_orders(),
        oms.get_position(ADA), oms.get_all_positions(), oms.get_portfolio_summary(), oms.risk_manager.daily_pnl,
        oms.risk_manager.open_order_count, list(oms.positions()), list(oms.orders()),
        oms.risk_manager.check_risk(OMSOrder(**PROBE), None),
    ]  # fmt: skip
    clock.now = now
    return seen


PROBE: dict[str, Any] = {
    "order_id": "probe", "symbol": ADA, "side": BUY, "order_type": "limit", "quantity": D(9_000), "price": D(10),
}  # fmt: skip


Act = Callable[[OrderManagementSystem], Coroutine[Any, Any, Any]]


UNDER_WAY: dict[str, Act] = {
    "a submit": lambda oms: submit(oms, "o-2"),
    "a fill": lambda oms: oms.add_fill("o-1", 40, 11, "t-2", 1),
    "a completing fill": lambda oms: oms.add_fill("o-1", 90, 11, "t-2", 1),
    "a bust": lambda oms: oms.bust_fill("o-1", "t-1"),
    "a correction": lambda oms: oms.correct_fill("o-1", "t-1", fill_price=12),
    "a cancel": lambda oms: oms.cancel_order("o-1"),
    "an acknowledgement": lambda oms: oms.update_order_state("o-0", OrderState.WORKING, external_order_id="V-2"),
    "a mark": lambda oms: oms.record_mark(ADA, 13),
    "new limits": lambda oms: oms.set_limits(max_position_size=50),
    "another day": lambda oms: oms.set_limits(timezone="Pacific/Kiritimati"),
    "another cost method": lambda oms: oms.set_limits(method="average"),
    "a halt": lambda oms: oms.halt(),
}


@pytest.mark.parametrize("act", UNDER_WAY.values(), ids=UNDER_WAY)
async def test_queries_do_not_see_events_that_are_not_durable_yet(path: Path, act: Act) -> None:
    log, gate, clock = Watched(SqliteLog(path)), Gate(), Clock()

    async with desk(log, clock) as oms:
        await submit(oms, "o-0")
        await work(oms, "o-1")
        await oms.add_fill("o-1", 10, 10, "t-1")
        await oms.record_mark(ADA, 11)
        before, old = everything_seen(oms, clock), digest(oms)
        log.before = gate
        answer = asyncio.create_task(act(oms))
        await reached(gate)

        during = everything_seen(oms, clock)

        gate.opened.set()
        await answer
        assert during == before
        assert digest(oms) != old


def fails_once(log: Watched, error: Exception) -> None:
    def fail(*_: object) -> None:
        log.before = lambda *_: None
        raise error

    log.before = fail


@pytest.mark.parametrize("act", UNDER_WAY.values(), ids=UNDER_WAY)
async def test_a_failed_append_leaves_the_state_equal_to_the_log(path: Path, act: Act) -> None:
    log, clock = Watched(SqliteLog(path)), Clock()

    async with desk(log, clock) as oms:
        await submit(oms, "o-0")
        await work(oms, "o-1")
        await oms.add_fill("o-1", 10, 10, "t-1")
        await oms.record_mark(ADA, 11)
        before, seen, head = digest(oms), everything_seen(oms, clock), log.head()
        fails_once(log, LogWriteFailed("the disk is full"))

        with pytest.raises(LogWriteFailed, match="the disk is full"):
            await act(oms)

        assert log.head() == head
        assert digest(oms) == before
        assert everything_seen(oms, clock) == seen
        await act(oms)
        assert digest(oms) == digest_of(path)
        assert log.head().seq > head.seq


async def test_every_command_of_a_failed_append_raises_and_can_be_repeated(path: Path) -> None:
    log = Watched(SqliteLog(path))

    async with desk(log, settings=UNLIMITED) as oms:
        heard: list[str] = []
        oms.add_order_callback(lambda order: heard.append(order.order_id))
        fails_once(log, LogWriteFailed("no room"))
        ids = [f"o-{number}" for number in range(20)]

        first = await asyncio.gather(*(submit(oms, each) for each in ids), return_exceptions=True)
        assert [type(each) for each in first] == [LogWriteFailed] * 20
        assert oms.get_all_orders() == []
        assert heard == []

        await asyncio.gather(*(submit(oms, each) for each in ids))
        assert len(oms.get_all_orders()) == 20

    assert topics_of(SqliteLog.existing(path)).count("OrderSubmitted") == 20
    assert topics_of(SqliteLog.existing(path)).count("PolicyChanged") == 1


async def test_a_full_disk_raises_log_write_failed_and_trading_goes_on_after_it(path: Path) -> None:
    log = SqliteLog(path)

    async with desk(log, settings=UNLIMITED) as oms:
        await submit(oms, "o-1")
        assert log._writing is not None
        log._writing.execute("PRAGMA max_page_count = 1")  # SQLite keeps it at what is used: not one page more
        told = await asyncio.gather(
            *(submit(oms, f"big-{number}", actor="x" * 900) for number in range(300)), return_exceptions=True
        )
        assert {type(each) for each in told} == {LogWriteFailed}
        assert [order.order_id for order in oms.get_all_orders()] == ["o-1"]

        log._writing.execute("PRAGMA max_page_count = 1000000")
        await submit(oms, "o-2")
        assert [order.order_id for order in oms.get_all_orders()] == ["o-1", "o-2"]
        assert digest(oms) == digest_of(path)


def test_the_live_state_has_the_digest_of_a_replay(path: Path, tmp_path: Path) -> None:
    history = write_facts(tmp_path / "f.jsonl", submit_fact(1), filled(2, qty="30"), filled(3, qty="500"))

    async def session() -> str:
        async with desk(path, settings=UNLIMITED) as oms:
            await take_in(oms, history)
            await trade(oms, "o-1", BUY, 50, 10)
            await trade(oms, "o-2", SELL, 80, 12, account="b")
            await asyncio.gather(*(submit(oms, f"p-{number}") for number in range(30)))
            await asyncio.gather(*(oms.cancel_order(f"p-{number}") for number in range(0, 30, 2)))
            await oms.record_mark(ADA, "11.5")
            await oms.bust_fill("o-1", "t-o-1")
            await oms.amend_order("p-1", quantity=40, price="9.75")
            with pytest.raises(ValueError, match="quarantine"):
                await oms.add_fill("p-1", 400, 10, "t-9")
            await oms.halt(account="b")
            await oms.set_limits(account="b", max_open_orders=3)
            return digest(oms)

    live = asyncio.run(session())

    assert digest_of(path) == live
    assert digest_of(path) == live
    assert len(events_of(SqliteLog.existing(path))) > 90


def test_a_memory_log_and_a_sqlite_log_have_the_same_digest(path: Path) -> None:
    async def session(log: SqliteLog | MemoryLog) -> str:
        async with desk(log) as oms:
            await trade(oms, "o-1", BUY, 50, 10)
            await trade(oms, "o-2", SELL, 80, 12)
            await oms.cancel_order((await submit(oms, "o-3")).order_id)
            return digest(oms)

    assert asyncio.run(session(SqliteLog(path))) == asyncio.run(session(MemoryLog()))


async def test_an_append_on_an_old_head_raises_head_moved(oms: OrderManagementSystem) -> None:
    await submit(oms, "o-1")
    with pytest.raises(HeadMoved):
        oms.log.append([mark("X")], 0)


def _busy(*_: object, **__: object) -> None:
    raise LogBusy("the disk is somebody else's")


async def test_a_first_fill_whose_append_failed_leaves_no_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oms = desk(tmp_path / "day.db", Clock())

    await work(oms)
    with monkeypatch.context() as broken:
        broken.setattr(oms.log, "append", _busy)
        with pytest.raises(LogBusy):
            await oms.add_fill("o-1", 10, 10, "t-1")
    await oms.cancel_order("o-1")
    await oms.set_limits(method="lifo")

    assert oms.get_all_positions() == []
    replayed = State().replay(SqliteLog(tmp_path / "day.db").read())
    assert oms.sequencer.state.closing_digests() == replayed.closing_digests()


REPEATED: dict[str, Callable[[OrderManagementSystem], Awaitable[object]]] = {
    "a submit": lambda oms: oms.submit_order(ADA, BUY, LIMIT, 100, 10, "o-1"),
    "a fill": lambda oms: oms.add_fill("o-1", 10, 10, "t-1"),
    "a refused command": lambda oms: oms.cancel_order("nobody's"),
}


@pytest.mark.parametrize("act", REPEATED.values(), ids=REPEATED)
async def test_a_command_without_events_is_not_answered_from_a_deleted_log(
    path: Path, act: Callable[[OrderManagementSystem], Awaitable[object]]
) -> None:
    oms = desk(path)
    await work(oms)
    await oms.add_fill("o-1", 10, 10, "t-1")
    path.unlink()

    with pytest.raises(LogFileChanged, match="deleted"):
        await act(oms)


@pytest.mark.parametrize(
    ("is_quick", "commands", "in_loop"), [(True, 1, True), (True, MOST_IN_LOOP + 1, False), (False, 1, False)]
)
async def test_an_append_runs_in_the_loop_only_when_it_is_short_and_the_disk_is_quick(
    path: Path, is_quick: bool, commands: int, in_loop: bool
) -> None:
    log, threads = Watched(SqliteLog(path)), list[bool]()
    async with desk(log, settings=UNLIMITED) as oms:
        await oms.record_mark(ADA, 1)
        log.is_quick = is_quick
        log.before = lambda *_: threads.append(threading.current_thread() is threading.main_thread())

        await asyncio.gather(*(oms.record_mark(ADA, number) for number in range(2, 2 + commands)))

    assert threads == [in_loop]


async def test_a_writer_that_waits_for_another_process_waits_in_the_thread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, asked = SqliteLog(path), list[tuple[bool, bool]]()
    oms = desk(log)
    await oms.record_mark(ADA, 1)
    log._commit_seconds = 0.0
    append = log.append

    def seen(drafts: Sequence[Draft], decided_on: int, *, wait: bool = True) -> int:
        asked.append((threading.current_thread() is threading.main_thread(), wait))
        if wait:
            other.execute("ROLLBACK")
        return append(drafts, decided_on, wait=wait)

    with closing(open_writer(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(log, "append", seen)
        await oms.record_mark(ADA, 2)

    assert asked == [(True, False), (False, True)]
    assert log.head().seq == 3
