"""The one writer: many commands in one transaction, answers only for what is durable, and nothing that failed stays."""

import asyncio
import gc
import logging
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from oms_es import InvalidInput, OMSOrder, OrderManagementSystem, OrderRejected, OrderState, Position
from oms_es.errors import HeadMoved, LogBusy, LogError, LogWriteFailed
from oms_es.log import open_connections
from oms_es.log.memory import MemoryLog
from oms_es.log.sqlite import SqliteLog
from tests.desk import (
    ADA,
    BUY,
    SELL,
    Clock,
    D,
    Gate,
    Watched,
    desk,
    events_of,
    filled,
    mark,
    ruled,
    submit,
    take_in,
    these,
    topics_of,
    trade,
    work,
)
from tests.desk import facts_file as write_facts
from tests.desk import submitted as submit_fact

UNLIMITED = ruled(risk={"max_position_size": None, "max_open_orders": None}, trading={"max_skew": None})


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


async def reached(gate: Gate) -> None:
    """Wait until an append has come to the gate; the loop runs meanwhile."""
    assert await asyncio.to_thread(gate.reached.wait, 20), "no append came"


def digest(oms: OrderManagementSystem) -> str:
    return oms.sequencer.state.digest()


def replayed(path: Path) -> str:
    """Return the digest of what another session makes of the log."""
    oms = desk(SqliteLog.existing(path))
    try:
        return digest(oms)
    finally:
        oms.sequencer.close()


# --- group commit ---


async def test_what_waits_together_is_committed_together(path: Path) -> None:
    log = Watched(SqliteLog(path))

    async with desk(log, settings=UNLIMITED) as oms:
        orders = await asyncio.gather(*(submit(oms, f"o-{number}") for number in range(500)))

        assert [order.order_id for order in orders] == [f"o-{number}" for number in range(500)]
        assert all(order.state is OrderState.PENDING for order in orders)

    assert len(log.sizes) <= 3
    assert sum(log.sizes) == 1 + 2 * 500  # the rules, and two events an order


async def test_what_comes_during_an_append_goes_into_the_next_together(path: Path) -> None:
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


async def test_commands_are_decided_in_the_order_in_which_they_came(path: Path) -> None:
    async with desk(path, settings=ruled(risk={"max_position_size": 1000}, trading={"max_skew": None})) as oms:
        told = await asyncio.gather(
            *(submit(oms, f"o-{number}", quantity=300) for number in range(5)), return_exceptions=True
        )

        assert [type(each) for each in told] == [OMSOrder, OMSOrder, OMSOrder, OrderRejected, OrderRejected]
        assert [order.state.value for order in oms.get_all_orders()] == ["pending"] * 3 + ["rejected"] * 2


async def test_a_command_that_cannot_be_carried_out_does_not_take_its_batch_along(oms: OrderManagementSystem) -> None:
    good, bad, better = await asyncio.gather(
        submit(oms, "o-1"), oms.cancel_order("nobody"), submit(oms, "o-2"), return_exceptions=True
    )

    assert isinstance(good, OMSOrder)
    assert isinstance(bad, LookupError)
    assert isinstance(better, OMSOrder)
    assert [order.order_id for order in oms.get_all_orders()] == ["o-1", "o-2"]


async def test_a_question_and_a_refusal_without_an_event_append_nothing(path: Path) -> None:
    log = Watched(SqliteLog(path))

    async with desk(log) as oms:
        with pytest.raises(LookupError):
            await oms.cancel_order("nobody")
        with pytest.raises(InvalidInput):
            await submit(oms, "o-1", quantity=D(-1))
        oms.get_all_orders()

    assert log.sizes == []
    assert not path.exists()


# --- durable before the answer, and before anybody sees it ---


async def test_an_answer_comes_only_after_the_append_has_returned(path: Path) -> None:
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


async def test_callbacks_are_told_only_after_the_append_has_returned(path: Path) -> None:
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
        oms.get_order("o-1"),
        oms.get_order("o-2"),
        oms.get_order("V-2"),
        oms.get_all_orders(),
        oms.get_open_orders(),
        oms.get_position(ADA),
        oms.get_all_positions(),
        oms.get_portfolio_summary(),
        oms.risk_manager.daily_pnl,
        oms.risk_manager.open_order_count,
        list(oms.positions()),
        list(oms.orders()),
        oms.risk_manager.check_risk(OMSOrder(**PROBE), None),
    ]
    clock.now = now
    return seen


PROBE: dict[str, Any] = {
    "order_id": "probe",
    "symbol": ADA,
    "side": BUY,
    "order_type": "limit",
    "quantity": D(9_000),
    "price": D(10),
}


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
async def test_nobody_sees_what_is_not_durable_yet(path: Path, act: Act) -> None:
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


# --- an append that fails ---


def fails_once(log: Watched, error: Exception) -> None:
    def fail(*_: object) -> None:
        log.before = lambda *_: None
        raise error

    log.before = fail


@pytest.mark.parametrize("act", UNDER_WAY.values(), ids=UNDER_WAY)
async def test_an_append_that_fails_leaves_the_state_as_the_log_has_it(path: Path, act: Act) -> None:
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
        assert digest(oms) == replayed(path)
        assert log.head().seq > head.seq


async def test_all_that_was_decided_on_a_failed_append_hears_of_it_and_can_be_asked_again(path: Path) -> None:
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


async def test_a_full_disk_in_the_middle_of_trading_loses_and_invents_nothing(path: Path) -> None:
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
        assert digest(oms) == replayed(path)


# --- others append meanwhile ---


def moves_once(log: Watched, interfere: Callable[[], object]) -> None:
    """Let somebody else append just before the next append is carried out."""

    def move(*_: object) -> None:
        log.before = lambda *_: None
        interfere()

    log.before = move


async def test_a_command_is_decided_again_when_the_log_has_moved(path: Path) -> None:
    log, other = Watched(SqliteLog(path)), SqliteLog(path)

    async with desk(log) as oms:
        await submit(oms, "o-1")
        moves_once(log, lambda: other.append([mark("OTHER", 5)], other.head().seq))

        order = await submit(oms, "o-2")

        assert order.state is OrderState.PENDING
        assert oms.get_order("o-2") == order
        assert oms.sequencer.state.positions.marks.get("OTHER") is not None
        assert digest(oms) == replayed(path)

    assert topics_of(other) == [
        "PolicyChanged", "OrderSubmitted", "StateChanged", "MarkRecorded", "OrderSubmitted", "StateChanged",
    ]  # fmt: skip
    other.close()


async def test_no_limit_is_exceeded_by_a_race_of_two_desks(path: Path) -> None:
    limit = ruled(risk={"max_position_size": 1000, "max_open_orders": None}, trading={"max_skew": None})

    async with desk(path, settings=limit) as one, desk(path, settings=limit) as other:
        told = await asyncio.gather(
            *(submit(one, f"one-{number}", quantity=70) for number in range(20)),
            *(submit(other, f"other-{number}", quantity=70) for number in range(20)),
            return_exceptions=True,
        )

        accepted = [each for each in told if isinstance(each, OMSOrder)]
        assert len(accepted) == 14
        assert all(isinstance(each, OMSOrder | OrderRejected) for each in told)
        assert len(one.get_open_orders()) == len(other.get_open_orders()) == 14
        assert digest(one) == digest(other) == replayed(path)


def test_a_halt_of_another_desk_refuses_an_order_that_was_decided_just_before(path: Path) -> None:
    log, risk_desk = Watched(SqliteLog(path)), desk(path)

    async def session() -> None:
        async with desk(log) as oms:
            await submit(oms, "o-1")
            moves_once(log, lambda: asyncio.run(risk_desk.halt()))

            with pytest.raises(OrderRejected, match="EMERGENCY_STOP"):
                await submit(oms, "o-2")

    run(session())
    asyncio.run(risk_desk.close())


async def test_a_log_that_never_stands_still_ends_in_a_typed_error_and_not_in_a_loop() -> None:
    log = Watched(MemoryLog())

    async with desk(log) as oms:

        def others_append(*_: object) -> None:
            log.inner.append([mark("OTHER")], log.inner.head().seq)

        log.before = others_append
        with pytest.raises(LogError):
            await submit(oms, "o-1")
        log.before = lambda *_: None

        await submit(oms, "o-1")
        assert len(oms.get_all_orders()) == 1


async def test_a_desk_that_others_are_always_faster_than_gets_its_turn(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, other, kept_out = Watched(SqliteLog(path)), SqliteLog(path), []

    def faster(*_: object) -> None:
        try:
            other.append([mark("OTHER")], other.head().seq)
        except LogBusy:
            kept_out.append(True)

    async with desk(log) as oms:
        await submit(oms, "o-1")
        monkeypatch.setattr(open_connections, "LOCK_TIMEOUT", 0.05)
        log.before = faster

        assert (await submit(oms, "o-2")).state is OrderState.PENDING
        with pytest.raises(OrderRejected):
            await submit(oms, "o-3", quantity=D(99_999))
        with pytest.raises(LookupError):
            await oms.cancel_order("nobody")

        log.before = lambda *_: None
        other.append([mark("OTHER")], other.head().seq)
        assert (await submit(oms, "o-4")).state is OrderState.PENDING
        assert digest(oms) == replayed(path)

    other.close()
    assert kept_out == [True, True]


# --- cancellation ---


async def test_a_caller_that_gives_up_takes_nobody_along(path: Path) -> None:
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
        assert digest(oms) == replayed(path)


async def test_a_timeout_is_no_answer_and_asking_again_tells(path: Path) -> None:
    log, gate = Watched(SqliteLog(path)), Gate()

    async with desk(log) as oms:
        log.before = gate
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(submit(oms, "o-1", command_id="c-1"), 0.05)
        gate.opened.set()

        order = await submit(oms, "o-1", command_id="c-1")
        assert order.state is OrderState.PENDING
        assert topics_of(log) == ["PolicyChanged", "OrderSubmitted", "StateChanged"]


def test_a_loop_that_ends_during_an_append_leaves_state_and_log_agreeing(path: Path) -> None:
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

    assert digest(oms) == replayed(path)
    assert oms.get_order("o-1") is not None
    again = asyncio.run(submit(oms, "o-2"))
    assert again.state is OrderState.PENDING
    assert digest(oms) == replayed(path)
    asyncio.run(oms.close())


def test_a_loop_that_ends_while_the_log_moves_leaves_state_and_log_agreeing(path: Path) -> None:
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

    assert digest(oms) == replayed(path)
    asyncio.run(submit(oms, "o-1"))
    assert topics_of(other).count("OrderSubmitted") == 1
    assert digest(oms) == replayed(path)
    asyncio.run(oms.close())
    other.close()


def test_one_oms_serves_one_loop_after_another(path: Path) -> None:
    oms = desk(path)

    for number in range(3):
        order = asyncio.run(submit(oms, f"o-{number}"))
        assert oms.get_order(f"o-{number}") == order
    asyncio.run(oms.add_fill("o-0", 10, 10, "t-1"))

    position = oms.get_position(ADA)
    assert position is not None
    assert position.quantity == 10
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


# --- callbacks ---


async def test_order_callbacks_hear_every_event_in_log_order_with_the_order_as_it_was(path: Path) -> None:
    heard: list[tuple[object, ...]] = []

    async with desk(path) as oms:

        def told(order: OMSOrder) -> None:
            heard.append((order.order_id, order.state.value, order.filled_quantity))

        oms.add_order_callback(told)
        await work(oms, "o-1")
        await oms.add_fill("o-1", 40, 10, "t-1")
        await asyncio.gather(oms.add_fill("o-1", 60, 10, "t-2"), submit(oms, "o-2"))
        await oms.cancel_order("o-2")

    assert heard == [
        ("o-1", "idle", 0),
        ("o-1", "pending", 0),
        ("o-1", "working", 0),
        ("o-1", "working", 40),
        ("o-1", "working", 100),
        ("o-1", "filled", 100),
        ("o-2", "idle", 0),
        ("o-2", "pending", 0),
        ("o-2", "cancelled", 0),
    ]


async def test_a_refused_order_is_shown_to_callbacks(path: Path) -> None:
    heard: list[OMSOrder] = []

    async with desk(path) as oms:
        oms.add_order_callback(heard.append)
        with pytest.raises(OrderRejected):
            await submit(oms, "o-1", quantity=D(99_999))

    assert heard[-1].state is OrderState.REJECTED
    assert heard[-1].violations[0].startswith("POSITION_SIZE")


async def test_position_callbacks_hear_every_change_of_a_position_and_nothing_else(path: Path) -> None:
    heard: list[tuple[object, ...]] = []

    async def told(position: Position) -> None:
        await asyncio.sleep(0)
        heard.append((position.symbol, position.quantity, position.avg_price, position.realized_pnl))

    async with desk(path) as oms:
        oms.add_position_callback(told)
        await work(oms, "o-1")
        await oms.add_fill("o-1", 40, 10, "t-1", 1)
        await trade(oms, "o-2", SELL, 60, 12)
        await oms.bust_fill("o-1", "t-1")
        await oms.record_mark(ADA, 11)

    assert heard == [(ADA, 40, 10, -1), (ADA, -20, 12, 79), (ADA, -60, 12, 0)]


async def test_sync_and_async_callbacks_both_hear_everything(path: Path) -> None:
    sync: list[str] = []
    late: list[str] = []

    async def slow(order: OMSOrder) -> None:
        await asyncio.sleep(0.01)
        late.append(order.state.value)

    async with desk(path) as oms:
        oms.add_order_callback(slow)
        oms.add_order_callback(lambda order: sync.append(order.state.value))
        await work(oms, "o-1")
        await oms.cancel_order("o-1")

    assert sync == late == ["idle", "pending", "working", "cancelled"]


def test_a_callback_that_fails_harms_nobody(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []
    calls: list[str] = []

    def failing(order: OMSOrder) -> None:
        calls.append(order.state.value)
        raise RuntimeError("the callback is broken")

    async def failing_later(order: OMSOrder) -> None:
        await asyncio.sleep(0)
        raise RuntimeError(f"so is this one, for {order.order_id}")

    async def session() -> None:
        async with desk(path) as oms:
            oms.add_order_callback(failing)
            oms.add_order_callback(failing_later)
            oms.add_order_callback(lambda order: heard.append(order.state.value))
            assert (await work(oms, "o-1")).state is OrderState.WORKING

    with caplog.at_level(logging.CRITICAL + 1):
        run(session())
    assert calls == heard == ["idle", "pending", "working"]


async def test_a_callback_that_hangs_holds_up_nobody_else(path: Path) -> None:
    heard: list[str] = []

    async def hanging(order: OMSOrder) -> None:
        await asyncio.Event().wait()
        raise AssertionError(order)

    async with desk(path) as oms:
        oms.add_order_callback(hanging)
        oms.add_order_callback(lambda order: heard.append(order.state.value))
        for number in range(5):
            await asyncio.wait_for(work(oms, f"o-{number}"), 5)

    assert heard == ["idle", "pending", "working"] * 5


async def test_a_callback_may_call_back(oms: OrderManagementSystem) -> None:
    async def hedge(order: OMSOrder) -> None:
        if order.state is OrderState.FILLED and order.side is BUY:
            await submit(oms, f"hedge-{order.order_id}", side=SELL, quantity=order.filled_quantity)

    def ask(order: OMSOrder) -> None:
        assert oms.get_order(order.order_id) is not None

    oms.add_order_callback(hedge)
    oms.add_order_callback(ask)
    await trade(oms, "o-1", BUY, 50, 10)
    await trade(oms, "o-2", BUY, 30, 10)

    for _ in range(100):
        if len(oms.get_open_orders()) == 2:
            break
        await asyncio.sleep(0.01)
    assert [these(order.order_id, order.quantity) for order in oms.get_open_orders()] == [
        ("hedge-o-1", 50),
        ("hedge-o-2", 30),
    ]


async def test_what_another_desk_appends_is_told_too_and_in_log_order(path: Path) -> None:
    heard: list[str] = []

    async with desk(path) as one, desk(path) as other:
        one.add_order_callback(lambda order: heard.append(f"{order.order_id} {order.state.value}"))
        await submit(one, "o-1")
        await submit(other, "o-2")
        await one.cancel_order("o-1")
        await one.sequencer.idle()

    assert heard == ["o-1 idle", "o-1 pending", "o-2 idle", "o-2 pending", "o-1 cancelled"]


def test_a_callback_that_was_held_up_hears_the_rest_in_the_next_loop(path: Path) -> None:
    heard: list[str] = []
    oms = desk(path)

    async def slow(order: OMSOrder) -> None:
        heard.append(order.order_id)
        await asyncio.sleep(0)

    oms.add_order_callback(slow)
    asyncio.run(submit(oms, "o-1"))
    asyncio.run(submit(oms, "o-2"))
    asyncio.run(oms.close())

    assert heard == ["o-1", "o-1", "o-2", "o-2"]


# --- live is what a replay gives ---


def test_the_state_after_a_busy_day_is_that_of_a_replay_byte_for_byte(path: Path, tmp_path: Path) -> None:
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

    assert replayed(path) == live
    assert replayed(path) == live
    assert len(events_of(SqliteLog.existing(path))) > 90


def test_a_log_in_memory_and_one_in_a_file_come_to_the_same(path: Path) -> None:
    async def session(log: SqliteLog | MemoryLog) -> str:
        async with desk(log) as oms:
            await trade(oms, "o-1", BUY, 50, 10)
            await trade(oms, "o-2", SELL, 80, 12)
            await oms.cancel_order((await submit(oms, "o-3")).order_id)
            return digest(oms)

    assert asyncio.run(session(SqliteLog(path))) == asyncio.run(session(MemoryLog()))


async def test_an_append_onto_a_head_that_is_behind_is_refused_by_the_log_itself(oms: OrderManagementSystem) -> None:
    await submit(oms, "o-1")
    with pytest.raises(HeadMoved):
        oms.log.append([mark("X")], 0)
