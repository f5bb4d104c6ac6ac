"""Order and position callbacks: after the append, in log order, and none delays another."""

import asyncio
import logging
import threading
import time
from pathlib import Path

import pytest

from oms_es import FillQuarantinedError, OMSOrder, OrderManagementSystem, OrderRejected, OrderState, Position, Settings
from tests.desk import ADA, BUY, SELL, Clock, D, desk, ruled, submit, these, trade, until, work


async def test_order_callbacks_get_every_event_in_log_order_with_the_order_after_it(path: Path) -> None:
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
        ("o-1", "idle", 0), ("o-1", "pending", 0), ("o-1", "working", 0), ("o-1", "working", 40),
        ("o-1", "working", 100), ("o-1", "filled", 100), ("o-2", "idle", 0), ("o-2", "pending", 0),
        ("o-2", "cancelled", 0),
    ]  # fmt: skip


async def test_order_callbacks_get_a_rejected_order(path: Path) -> None:
    heard: list[OMSOrder] = []

    async with desk(path) as oms:
        oms.add_order_callback(heard.append)
        with pytest.raises(OrderRejected):
            await submit(oms, "o-1", quantity=D(99_999))

    assert heard[-1].state is OrderState.REJECTED
    assert heard[-1].violations[0].startswith("POSITION_SIZE")


async def test_position_callbacks_get_every_change_of_a_position_and_nothing_else(path: Path) -> None:
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


async def test_sync_and_async_callbacks_get_the_same_orders(path: Path) -> None:
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


def test_a_failing_callback_is_logged_and_harms_no_other(path: Path, caplog: pytest.LogCaptureFixture) -> None:
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
        asyncio.run(session())
    assert calls == heard == ["idle", "pending", "working"]


async def test_a_hanging_callback_does_not_delay_commands_and_other_callbacks(path: Path) -> None:
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


class Quick:
    """An async callback that notes the order ids."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def __call__(self, order: OMSOrder) -> None:
        self.heard.append(order.order_id)


class Slow:
    """An async callback that waits at each call until it is let go on."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.go_on = asyncio.Event()

    async def __call__(self, order: OMSOrder) -> None:
        await self.go_on.wait()
        self.heard.append(f"{order.order_id} {order.state.value}")


def bounded(when_full: str) -> Settings:
    return ruled(callbacks={"backlog": 3, "when_full": when_full})


async def test_a_full_queue_drops_the_oldest_calls_and_counts_them(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slow, others = Slow(), Quick()
    async with desk(path, settings=bounded("drop_oldest")) as oms:
        oms.add_order_callback(slow)
        oms.add_order_callback(others)
        for number in range(3):
            await submit(oms, f"o-{number}")  # two events each; the first call has begun
        text = oms.metrics.text()
        slow.go_on.set()

    assert slow.heard == ["o-0 idle", "o-1 pending", "o-2 idle", "o-2 pending"]
    assert len(others.heard) == 6
    assert "oms_callbacks_waiting 3.0" in text
    assert "oms_callbacks_dropped 2.0" in text
    assert [each.getMessage() for each in caplog.records if "dropped" in each.getMessage()] == [
        f"callback Slow is too slow: {number} calls were dropped" for number in (1, 2)
    ]


async def test_a_full_queue_disconnects_its_callback_and_no_other(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    slow, others = Slow(), Quick()
    async with desk(path, settings=bounded("disconnect")) as oms:
        oms.add_order_callback(slow)
        oms.add_order_callback(others)
        for number in range(3):
            await submit(oms, f"o-{number}")
        slow.go_on.set()

    assert slow.heard == ["o-0 idle"]  # the call that had begun
    assert len(others.heard) == 6
    assert "callback Slow was disconnected: 3 calls waited for it" in caplog.text


async def test_a_full_queue_makes_new_commands_wait_but_not_those_of_a_callback(path: Path) -> None:
    heard: list[str] = []
    go_on = asyncio.Event()

    async def slow(order: OMSOrder) -> None:
        await go_on.wait()
        heard.append(f"{order.order_id} {order.state.value}")
        if order.order_id == "o-0" and order.state is OrderState.PENDING:
            await submit(oms, "from the callback")  # its queue is full, and only itself could empty it

    async with desk(path, settings=bounded("block")) as oms:
        oms.add_order_callback(slow)
        await submit(oms, "o-0")
        await submit(oms, "o-1")
        waits = asyncio.ensure_future(submit(oms, "o-2"))
        await asyncio.sleep(0.01)
        assert oms.get_order("o-2") is None
        go_on.set()
        await asyncio.wait_for(waits, 10)

    names = ("o-0", "o-1", "from the callback", "o-2")
    assert sorted(heard) == sorted(f"{name} {state}" for name in names for state in ("idle", "pending"))


async def test_a_callback_may_submit_an_order(oms: OrderManagementSystem) -> None:
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


async def test_callbacks_get_events_of_another_writer_in_log_order(path: Path) -> None:
    heard: list[str] = []

    async with desk(path) as one, desk(path) as other:
        one.add_order_callback(lambda order: heard.append(f"{order.order_id} {order.state.value}"))
        await submit(one, "o-1")
        await submit(other, "o-2")
        await one.cancel_order("o-1")
        await one.sequencer.idle()

    assert heard == ["o-1 idle", "o-1 pending", "o-2 idle", "o-2 pending", "o-1 cancelled"]


def test_a_delayed_callback_gets_the_remaining_orders_in_the_next_loop(path: Path) -> None:
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


async def test_callbacks_of_an_idle_process_get_what_others_append_in_log_order(tmp_path: Path) -> None:
    heard: list[str] = []
    held: list[object] = []

    idle, busy = desk(tmp_path / "day.db"), desk(tmp_path / "day.db")
    await submit(busy, "before")
    idle.add_order_callback(lambda order: heard.append(f"{order.order_id} {order.state.value}"))
    idle.add_position_callback(lambda position: held.append(position.quantity))
    await submit(busy, "o-1")
    await busy.add_fill("o-1", 100, 10, "t-1")
    await until(lambda: len(heard) == 5 and bool(held))
    await idle.close()
    await busy.close()

    # What stood there before is no news. Each event is told with the order as it was right after it.
    assert heard == ["o-1 idle", "o-1 pending", "o-1 working", "o-1 working", "o-1 filled"]
    assert held == [D(100)]


def test_a_dropped_oms_stops_polling_the_log(tmp_path: Path) -> None:
    async def run() -> int:
        oms = desk(tmp_path / "day.db")
        oms.add_order_callback(lambda _: None)
        await submit(oms)
        del oms
        await asyncio.sleep(0.3)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1


def test_a_blocking_synchronous_callback_does_not_delay_the_loop_and_other_callbacks(tmp_path: Path) -> None:
    released, told = threading.Event(), list[str]()

    def block(_: OMSOrder) -> None:
        released.wait(20)

    async def run() -> float:
        oms = desk(tmp_path / "day.db")
        oms.add_order_callback(block)
        oms.add_order_callback(lambda order: told.append(order.state.value))
        begun = time.monotonic()
        for number in range(5):
            await submit(oms, f"o-{number}")
        spent = time.monotonic() - begun
        assert told == ["idle", "pending"] * 5
        released.set()
        return spent

    assert asyncio.run(run()) < 10  # and not five times twenty seconds


async def test_a_prompt_callback_has_run_when_its_command_returns_and_may_query(tmp_path: Path) -> None:
    seen: list[tuple[str, object]] = []

    oms = desk(tmp_path / "day.db")

    def told(order: OMSOrder) -> None:
        position = oms.get_position(ADA)
        seen.append((order.state.value, None if position is None else position.quantity))

    oms.add_order_callback(told)
    await work(oms)
    await oms.add_fill("o-1", 100, 10, "t-1")
    assert seen[-1] == ("filled", D(100))
    await oms.close()


async def test_a_cancelled_callback_gets_the_next_order(tmp_path: Path) -> None:
    told: list[str] = []

    async def cancelled(order: OMSOrder) -> None:
        told.append(order.state.value)
        if len(told) == 1:
            raise asyncio.CancelledError

    oms = desk(tmp_path / "day.db")
    oms.add_order_callback(cancelled)
    await submit(oms)
    await oms.close()

    assert told == ["idle", "pending"]


def test_a_command_returns_although_its_callbacks_are_cancelled(tmp_path: Path) -> None:
    oms, begun = desk(tmp_path / "day.db", Clock()), threading.Event()

    def slow(_: object) -> None:
        begun.set()
        time.sleep(0.04)

    oms.add_order_callback(slow)

    async def run() -> str:
        asked = asyncio.create_task(submit(oms))
        await until(begun.is_set)
        for task in asyncio.all_tasks() - {asked, asyncio.current_task()}:
            task.cancel()
        return (await asyncio.wait_for(asked, 20)).order_id

    assert asyncio.run(run()) == "o-1"


async def test_callbacks_get_events_that_another_thread_read(tmp_path: Path) -> None:
    one, other = (desk(tmp_path / "day.db", Clock()) for _ in range(2))
    told: list[str] = []

    one.add_order_callback(lambda order: told.append(order.state.value))
    await submit(other)
    await asyncio.to_thread(one.get_order, "o-1")  # it has no loop to tell anybody in
    await until(lambda: len(told) == 2)

    assert told == ["idle", "pending"]


async def test_a_log_record_names_its_order_for_a_structured_formatter(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk(path) as oms:
        await work(oms, "o-1")
        with pytest.raises(FillQuarantinedError) as found:
            await oms.add_fill("o-1", 101, 10, "t-1")
        await oms.halt(account="a", reason="lunch")

    warned = [vars(each) for each in caplog.records if "oms_order_id" in vars(each)]
    assert [(each["oms_account"], each["oms_order_id"], each["oms_quarantine_id"]) for each in warned] == [
        ("default", "o-1", found.value.quarantine_id)
    ]
