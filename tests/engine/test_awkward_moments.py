"""Questions and closings in the middle of something: what is asked, or fails, half-way changes nothing of the rest."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from oms_es import FillQuarantinedError
from oms_es.errors import DayNotClosable, LogBusy, LogError
from oms_es.log.memory import MemoryLog
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.state import State
from oms_es.queries.export import write
from tests.desk import ADA, Clock, D, Gate, Watched, desk, submit, work
from tests.engine.test_listening import until
from tests.engine.test_other_processes import FREE


class Asking(logging.Handler):
    """Asks once, as soon as it hears something."""

    def __init__(self, ask: Callable[[], object]) -> None:
        super().__init__(logging.WARNING)
        self._ask: Callable[[], object] | None = ask

    def emit(self, _: logging.LogRecord) -> None:
        ask, self._ask = self._ask, None
        if ask is not None:
            ask()


def test_who_asks_upon_hearing_of_a_halt_elsewhere_takes_nothing_in_twice(tmp_path: Path) -> None:
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


async def test_a_first_fill_that_could_not_be_written_leaves_no_position_behind(
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


def _busy(*_: object) -> None:
    raise LogBusy("the disk is somebody else's")


def test_a_day_is_not_closed_over_a_fill_that_is_quarantined_at_the_same_moment() -> None:
    oms = desk(MemoryLog(), Clock())

    async def run() -> list[object]:
        await work(oms)
        day = str(oms.sequencer.state.days.rows()[-1]["trading_day"])
        over = oms.add_fill("o-1", 500, 10, "over")
        return list(await asyncio.gather(over, oms.close_day(day), return_exceptions=True))

    assert [type(each) for each in asyncio.run(run())] == [FillQuarantinedError, DayNotClosable]


async def test_daily_pnl_asked_while_a_second_currency_comes_in_is_not_kept_without_it(tmp_path: Path) -> None:
    log = Watched(SqliteLog(tmp_path / "day.db"))
    oms = desk(log, Clock())

    await oms.define_instrument("EUX", multiplier=D(1), currency="EUR")
    await work(oms)
    await oms.add_fill("o-1", 10, 10, "t-1", 1)
    await work(oms, "o-2", symbol="EUX")
    gate = Gate()
    log.before = gate
    coming = asyncio.create_task(oms.add_fill("o-2", 10, 10, "t-2", 5))
    await asyncio.to_thread(gate.reached.wait)
    assert oms.risk_manager.daily_pnl == D(-1)
    gate.opened.set()
    await coming

    assert oms.risk_manager.daily_pnl is None


def test_a_process_that_is_closed_in_the_middle_keeps_no_half_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_loop_that_is_closed_over_an_append_leaves_the_next_one_free(tmp_path: Path) -> None:
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


async def test_closing_waits_for_what_was_asked_for_by_then_and_not_for_what_keeps_coming(tmp_path: Path) -> None:
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


async def test_closing_waits_for_the_append_of_somebody_who_waits_no_longer(tmp_path: Path) -> None:
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


def test_who_is_cancelled_while_callbacks_are_told_has_answered_first(tmp_path: Path) -> None:
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


def test_a_keeper_that_gets_no_thread_takes_no_answer_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_what_another_thread_takes_in_is_told_as_well(tmp_path: Path) -> None:
    one, other = (desk(tmp_path / "day.db", Clock()) for _ in range(2))
    told: list[str] = []

    one.add_order_callback(lambda order: told.append(order.state.value))
    await submit(other)
    await asyncio.to_thread(one.get_order, "o-1")  # it has no loop to tell anybody in
    await until(lambda: len(told) == 2)

    assert told == ["idle", "pending"]


def test_an_export_over_a_link_or_a_pipe_goes_where_it_leads(tmp_path: Path) -> None:
    file, link, pipe = (tmp_path / name for name in ("orders.csv", "link.csv", "pipe"))
    file.write_text("old", encoding="utf-8")
    link.symlink_to(file)
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")), daemon=True)

    write([], "orders", "csv", link)
    reader.start()
    write([], "orders", "csv", pipe)
    reader.join(20)

    with pytest.raises(LogError, match="/dev/full: cannot be written: No space left on device"):
        write([], "orders", "csv", Path("/dev/full"))

    assert link.is_symlink()
    assert pipe.is_fifo()
    assert read == [file.read_text(encoding="utf-8")]
    assert read != ["old"]
