"""One event from a clock far ahead: new orders are refused until our clock is accepted, and the log shows that."""

from contextlib import closing
from pathlib import Path

import pytest

from oms_es import InvalidInput, OrderManagementSystem, OrderRejected
from oms_es.audit.replay import replay
from oms_es.domain.events import ClockAccepted
from oms_es.engine.decision_time import DecisionTime
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.state_codec import decode_state, encode_state
from oms_es.proof.verify import UNANCHORED, verify
from oms_es.queries.describe_event import describe_event
from oms_es.timestamps import SECOND
from tests.desk import BUY, DAY, START, Clock, desk, digest, refusal, ruled, submit, trade

AHEAD = 40 * 86400  # seconds
FUTURE = "2025-07-26"
RATED = ruled(risk={"max_orders_per_second": 3})


async def jumped(path: Path, clock: Clock) -> OrderManagementSystem:
    """Return an OMS after one mark was recorded by a clock 40 days ahead."""
    oms = desk(path, clock, RATED)
    await submit(oms, "o-1")
    clock.move(AHEAD)
    await oms.record_mark("X", 1)
    clock.move(-AHEAD)
    return oms


async def test_new_orders_are_refused_until_our_clock_is_accepted(path: Path) -> None:
    clock = Clock()
    oms = await jumped(path, clock)

    with pytest.raises(OrderRejected, match=r"CLOCK: .*; if our clock is right, accept it: oms clock accept"):
        await submit(oms, "o-2")
    await oms.accept_clock(reason="host b was wrong", actor="desk")
    await submit(oms, "o-3")

    (accepted,) = [each for each in oms.log.read() if isinstance(each.event, ClockAccepted)]
    assert describe_event(accepted.event).endswith("the log was 3455999 s ahead: host b was wrong")
    last = list(oms.log.read())[-1]
    assert (accepted.trading_day, last.trading_day) == (DAY, DAY)
    assert START <= accepted.decided_at < last.decided_at == last.effective_at < START + SECOND
    assert accepted.recorded_at == last.recorded_at > START + (AHEAD - 1) * SECOND
    await oms.close()


async def test_what_follows_is_decided_by_our_clock_and_replays_to_the_same(path: Path) -> None:
    clock = Clock()
    oms = await jumped(path, clock)
    await oms.accept_clock()
    for number in range(3):
        await trade(oms, f"n-{number}", BUY, 100, 10)
    assert await refusal(submit(oms, "n-3")) == ["ORDER_RATE"]
    clock.move(2)
    await submit(oms, "n-4")
    clock.move(-60)
    assert await refusal(submit(oms, "n-5")) == ["CLOCK"]
    await oms.cancel_order("n-4")
    state = oms.sequencer.state
    await oms.close()

    with closing(SqliteLog.existing(path)) as log:
        found = replay(log.read(), check=True)
        again = decode_state(encode_state(state))
        assert found.divergent == []
        assert {day.trading_day for day in found.days} == {DAY, FUTURE}
        assert (again.clock, again.recorded_at, again.digest()) == (state.clock, state.recorded_at, state.digest())
    assert verify(path).status == UNANCHORED


async def test_the_log_is_as_before_when_our_clock_is_where_the_event_from_the_future_was(path: Path) -> None:
    clock = Clock()
    oms = await jumped(path, clock)
    await oms.accept_clock()
    clock.move(AHEAD + 10)
    await submit(oms, "o-2")

    last = list(oms.log.read())[-1]
    assert (last.recorded_at, last.trading_day) == (last.decided_at, FUTURE)
    assert getattr(last.event, "clock", None) is None
    await oms.close()


async def test_another_process_and_a_restart_know_of_the_accepted_clock(path: Path) -> None:
    clock = Clock()
    first, second = await jumped(path, clock), desk(path, clock, RATED)
    assert await refusal(submit(second, "o-2")) == ["CLOCK"]
    await first.accept_clock()
    await submit(second, "o-3")
    await first.close()
    await second.close()

    async with desk(path, clock, RATED) as third:
        await submit(third, "o-4")
        assert third.sequencer.state.days.spans[DAY].last_seq == third.log.head().seq
        assert DecisionTime.of(clock(), third.sequencer.state, RATED.policy).behind == 0
        assert len(digest(third)) == 64


async def test_a_clock_that_is_not_behind_the_log_cannot_be_accepted(path: Path) -> None:
    async with desk(path) as oms:
        await submit(oms)
        with pytest.raises(InvalidInput, match="not behind the log"):
            await oms.accept_clock()
