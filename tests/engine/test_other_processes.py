"""What another process appends at the worst moment is taken in once, and a repeated command hears its first outcome."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oms_es import InvalidInput, OrderManagementSystem
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import PolicyChanged
from oms_es.errors import LogBusy
from oms_es.log.sqlite import SqliteLog
from tests.desk import ADA, BUY, LIMIT, Clock, D, desk, ruled, submit, work

FREE = ruled(
    risk={"max_position_size": None, "max_daily_loss": None, "max_open_orders": None},
    trading={"min_quote_size": None, "max_skew": None},
    system={"order_history_retention": 0},
)


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


def test_a_catching_up_that_was_interrupted_begins_anew(tmp_path: Path) -> None:
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


async def test_an_order_that_comes_back_to_memory_leaves_what_others_have_just_added_for_its_turn(
    tmp_path: Path,
) -> None:
    one, log, other = both(tmp_path / "day.db")

    await work(one)
    await one.cancel_order("o-1")
    for _ in range(2):
        await one.record_mark(ADA, 10)
    assert not one.sequencer.state.orders.orders.committed  # it has left memory
    log.before_stream = lambda _: elsewhere(lambda: other.add_fill("o-1", 30, 10, "theirs"))
    early = [one.submit_order(ADA, BUY, LIMIT, 1, 10, f"n-{number}") for number in range(3)]
    await asyncio.gather(*early, one.add_fill("o-1", 40, 10, "ours"))

    for oms in (one, desk(tmp_path / "day.db", Clock(), FREE)):
        order = oms.get_order("o-1")
        assert order is not None
        assert (order.filled_quantity, [fill["trade_id"] for fill in order.fills]) == (D(70), ["theirs", "ours"])


def test_a_command_that_another_process_carries_out_at_this_moment_hears_the_first_outcome(tmp_path: Path) -> None:
    one, log, other = both(tmp_path / "day.db")
    asyncio.run(work(one, "r"))
    log.before_command = lambda: elsewhere(lambda: submit(other, "o-1", command_id="c-1"))

    submitted = asyncio.run(submit(one, "o-1", command_id="c-1"))
    log.before_command = lambda: elsewhere(lambda: other.cancel_order("r", command_id="c-2"))
    cancelled = asyncio.run(one.cancel_order("r", command_id="c-2"))

    assert (submitted.order_id, submitted.state, cancelled.state) == ("o-1", "pending", "cancelled")
    begun = [each.command_id for each in log.read() if each.command_id]
    assert sorted(begun) == ["c-1", "c-2"]


@pytest.mark.parametrize("reading", [1.5, None, -1, 2**63, True, "now"])
def test_a_clock_that_gives_no_time_is_refused_before_anything_is_written(reading: Any, tmp_path: Path) -> None:
    oms = desk(tmp_path / "day.db", lambda: reading)

    with pytest.raises(InvalidInput, match="clock"):
        asyncio.run(submit(oms))

    assert not (tmp_path / "day.db").exists()


def test_rules_of_an_earlier_release_are_told_which_ones_decide_from_here_on(tmp_path: Path) -> None:
    from tests.golden_days import restore

    restore("ordinary_day", tmp_path / "day.db").close()
    oms = desk(tmp_path / "day.db", Clock())

    for number in range(2):
        asyncio.run(submit(oms, f"n-{number}", price=D(10)))

    told = [each.event for each in oms.log.read(topics={"PolicyChanged"}) if isinstance(each.event, PolicyChanged)]
    assert [(each.rules, each.values == {}) for each in told] == [(1, False), (3, True)]
