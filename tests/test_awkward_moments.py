"""Questions and closings in the middle of something: what is asked, or fails, half-way changes nothing of the rest."""

import asyncio
import logging
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from oms_es import FillQuarantinedError
from oms_es.errors import DayNotClosable, LogBusy
from oms_es.log.memory import MemoryLog
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.world import World
from tests.desk import ADA, Clock, D, Gate, Watched, desk, work


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


def test_a_first_fill_that_could_not_be_written_leaves_no_position_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oms = desk(tmp_path / "day.db", Clock())

    async def run() -> None:
        await work(oms)
        with monkeypatch.context() as broken:
            broken.setattr(oms.log, "append", _busy)
            with pytest.raises(LogBusy):
                await oms.add_fill("o-1", 10, 10, "t-1")
        await oms.cancel_order("o-1")
        await oms.set_limits(method="lifo")

    asyncio.run(run())

    assert oms.get_all_positions() == []
    replayed = World().replay(SqliteLog(tmp_path / "day.db").read())
    assert oms.sequencer.world.closing_digests() == replayed.closing_digests()


def _busy(*_: object) -> None:
    raise LogBusy("the disk is somebody else's")


def test_a_day_is_not_closed_over_a_fill_that_is_quarantined_at_the_same_moment() -> None:
    oms = desk(MemoryLog(), Clock())

    async def run() -> list[object]:
        await work(oms)
        day = str(oms.sequencer.world.days.rows()[-1]["trading_day"])
        over = oms.add_fill("o-1", 500, 10, "over")
        return list(await asyncio.gather(over, oms.close_day(day), return_exceptions=True))

    assert [type(each) for each in asyncio.run(run())] == [FillQuarantinedError, DayNotClosable]


def test_daily_pnl_asked_while_a_second_currency_comes_in_is_not_kept_without_it(tmp_path: Path) -> None:
    log = Watched(SqliteLog(tmp_path / "day.db"))
    oms = desk(log, Clock())

    async def run() -> None:
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

    asyncio.run(run())

    assert oms.risk_manager.daily_pnl is None


def test_a_process_that_is_closed_in_the_middle_keeps_no_half_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oms_es.live.LEAST", 1)
    kept: list[int] = []
    monkeypatch.setattr("oms_es.live.keep", lambda _log, _kind, world: kept.append(world.settled_seq))

    async def run(*, at_rest: bool) -> None:
        oms = desk(tmp_path / f"{at_rest}.db", Clock())
        await work(oms)
        oms.sequencer._busy = not at_rest
        oms.sequencer.close()

    asyncio.run(run(at_rest=False))
    assert kept == []
    asyncio.run(run(at_rest=True))
    assert len(kept) == 1
