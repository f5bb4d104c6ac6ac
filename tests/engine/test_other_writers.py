"""Other processes that append to the same log, also at the worst moment."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms_es import OMSOrder, OrderManagementSystem, OrderRejected, OrderState
from oms_es.domain.envelope import Recorded
from oms_es.errors import LogBusy, LogError
from oms_es.log import open_connections
from oms_es.log.memory import MemoryLog
from oms_es.log.sqlite import SqliteLog
from tests.desk import (
    ADA,
    BUY,
    FREE,
    LIMIT,
    Clock,
    D,
    Watched,
    desk,
    digest,
    digest_of,
    mark,
    order_of,
    position_of,
    ruled,
    submit,
    topics_of,
    work,
)


def moves_once(log: Watched, interfere: Callable[[], object]) -> None:
    """Let somebody else append just before the next append is carried out."""

    def move(*_: object) -> None:
        log.before = lambda *_: None
        interfere()

    log.before = move


async def test_a_command_is_decided_again_when_another_writer_appended_first(path: Path) -> None:
    log, other = Watched(SqliteLog(path)), SqliteLog(path)

    async with desk(log) as oms:
        await submit(oms, "o-1")
        moves_once(log, lambda: other.append([mark("OTHER", 5)], other.head().seq))

        order = await submit(oms, "o-2")

        assert order.state is OrderState.PENDING
        assert oms.get_order("o-2") == order
        assert oms.sequencer.state.positions.marks.get("OTHER") is not None
        assert digest(oms) == digest_of(path)

    assert topics_of(other) == [
        "PolicyChanged", "OrderSubmitted", "StateChanged", "MarkRecorded", "OrderSubmitted", "StateChanged",
    ]  # fmt: skip
    other.close()


async def test_two_writers_together_do_not_exceed_a_limit(path: Path) -> None:
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
        assert digest(one) == digest(other) == digest_of(path)


def test_a_halt_of_another_writer_rejects_an_order_that_was_decided_just_before(path: Path) -> None:
    log, risk_desk = Watched(SqliteLog(path)), desk(path)

    async def session() -> None:
        async with desk(log) as oms:
            await submit(oms, "o-1")
            moves_once(log, lambda: asyncio.run(risk_desk.halt()))

            with pytest.raises(OrderRejected, match="EMERGENCY_STOP"):
                await submit(oms, "o-2")

    asyncio.run(session())
    asyncio.run(risk_desk.close())


async def test_a_command_raises_a_log_error_when_other_writers_never_stop_appending() -> None:
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


async def test_a_writer_that_is_always_overtaken_locks_the_log_and_gets_its_turn(
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
        assert digest(oms) == digest_of(path)

    other.close()
    assert kept_out == [True, True]


class Hooked(SqliteLog):
    """A log that does something once, before a stream or a command is read, or while it is read on."""

    before_stream: Callable[[str], None] = staticmethod(lambda _: None)
    before_command: Callable[[], None] = staticmethod(lambda: None)
    cut_after: int | None = None

    def stream(self, originator_id: str) -> list[Recorded]:
        hook, self.before_stream = self.before_stream, lambda _: None
        hook(originator_id)
        return super().stream(originator_id)

    def command(self, command_id: str) -> list[Recorded]:
        hook, self.before_command = self.before_command, lambda: None
        hook()
        return super().command(command_id)

    def read(self, *args: Any, **options: Any) -> Iterator[Recorded]:
        for number, each in enumerate(super().read(*args, **options)):
            if number == self.cut_after:
                self.cut_after = None
                raise LogBusy("somebody else was at it")
            yield each


def elsewhere(act: Callable[[], Any]) -> None:
    """Do something in a thread of its own, and wait for it."""
    thread = threading.Thread(target=lambda: asyncio.run(act()))
    thread.start()
    thread.join()


def both(path: Path) -> tuple[OrderManagementSystem, Hooked, OrderManagementSystem]:
    log, clock = Hooked(path), Clock()
    return desk(log, clock, FREE), log, desk(path, clock, FREE)


def test_a_query_after_an_interrupted_read_of_new_events_reads_them_again(tmp_path: Path) -> None:
    one, log, other = both(tmp_path / "day.db")
    asyncio.run(work(one))
    for number in range(5):
        asyncio.run(other.add_fill("o-1", 7, 10, f"t-{number}"))
    log.cut_after = 3

    with pytest.raises(LogBusy):
        one.get_position(ADA)

    position, order = one.get_position(ADA), one.get_order("o-1")
    assert position is not None
    assert order is not None
    assert (position.quantity, order.filled_quantity) == (D(35), D(35))


async def test_an_order_loaded_back_into_memory_counts_a_fill_of_another_process_once(tmp_path: Path) -> None:
    one, log, other = both(tmp_path / "day.db")

    await work(one)
    await one.cancel_order("o-1")
    for _ in range(2):
        await one.record_mark(ADA, 10)
    assert not one.sequencer.state.orders.orders  # it has left memory
    log.before_stream = lambda _: elsewhere(lambda: other.add_fill("o-1", 30, 10, "theirs"))
    early = [one.submit_order(ADA, BUY, LIMIT, 1, 10, f"n-{number}") for number in range(3)]
    await asyncio.gather(*early, one.add_fill("o-1", 40, 10, "ours"))

    for oms in (one, desk(tmp_path / "day.db", Clock(), FREE)):
        order = order_of(oms, "o-1")
        assert (order.filled_quantity, [fill["trade_id"] for fill in order.fills]) == (D(70), ["theirs", "ours"])


def test_a_command_id_that_another_process_uses_at_this_moment_returns_the_first_outcome(tmp_path: Path) -> None:
    one, log, other = both(tmp_path / "day.db")
    asyncio.run(work(one, "r"))
    log.before_command = lambda: elsewhere(lambda: submit(other, "o-1", command_id="c-1"))

    submitted = asyncio.run(submit(one, "o-1", command_id="c-1"))
    log.before_command = lambda: elsewhere(lambda: other.cancel_order("r", command_id="c-2"))
    cancelled = asyncio.run(one.cancel_order("r", command_id="c-2"))

    assert (submitted.order_id, submitted.state, cancelled.state) == ("o-1", "pending", "cancelled")
    begun = [each.command_id for each in log.read() if each.command_id]
    assert sorted(begun) == ["c-1", "c-2"]


class Asking(logging.Handler):
    """Asks once, as soon as it hears something."""

    def __init__(self, ask: Callable[[], object]) -> None:
        super().__init__(logging.WARNING)
        self._ask: Callable[[], object] | None = ask

    def emit(self, _: logging.LogRecord) -> None:
        ask, self._ask = self._ask, None
        if ask is not None:
            ask()


def test_a_query_from_a_logging_handler_applies_no_event_twice(tmp_path: Path) -> None:
    one, other = (desk(tmp_path / "day.db", Clock()) for _ in range(2))
    heard: list[Decimal] = []
    handler = Asking(lambda: heard.extend(position.quantity for position in one.get_all_positions()))
    logging.getLogger("oms_es").addHandler(handler)

    async def run() -> None:
        await work(one)
        await other.add_fill("o-1", 10, 10, "t-1")
        await other.halt(reason="enough")

    try:
        asyncio.run(run())
        position = one.get_position(ADA)
    finally:
        logging.getLogger("oms_es").removeHandler(handler)

    assert position is not None
    assert (position.quantity, heard) == (D(10), [D(10)])


async def test_a_query_inside_another_one_applies_no_event_twice(path: Path) -> None:
    one, other = desk(path, Clock(), FREE), desk(path, Clock(), FREE)
    await work(one)

    with one.sequencer.reading():  # as from a log handler that queries
        elsewhere(lambda: other.add_fill("o-1", 10, 10, "t-1"))
        one.get_all_positions()
    await one.add_fill("o-1", 5, 10, "t-2")

    assert position_of(one, ADA).quantity == 15
