"""The arguments as_of, known_at and at_seq, and moments beyond the log."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from oms_es import errors
from oms_es.projections.snapshots.builder import advance
from oms_es.timestamps import SECOND, instant
from tests.queries.played_desk import ALFA, BETA, Calendar, PlayedDesk, at, desk, mark_ahead, trade

D = Decimal


async def test_as_of_accepts_a_number_a_text_and_a_datetime() -> None:
    with desk(Calendar("UTC", "00:00", "start", "2024-03-04T09:00:00Z")) as day:
        await trade(day, "buy", 1, 100)

        texts = ("2024-03-04T09:00:00Z", "2024-03-04T10:00:00.000000000+01:00")
        west = timezone(-timedelta(hours=5))

        for same in (day.now, *texts, datetime(2024, 3, 4, 9, tzinfo=UTC), datetime(2024, 3, 4, 4, tzinfo=west)):
            assert day.oms.positions(as_of=same) == day.oms.positions(as_of=day.now) != []


@pytest.mark.parametrize(
    "zoneless",
    ["2024-03-04T09:00:00", "2024-03-04 09:00", datetime(2024, 3, 4, 9), "2024-03-04", "now", "", 1.5, True],  # noqa: DTZ001
)
@pytest.mark.parametrize("clock", ["as_of", "known_at"])
async def test_as_of_and_known_at_without_a_zone_are_refused(day: PlayedDesk, clock: str, zoneless: object) -> None:
    await trade(day, "buy", 1, 100)

    for ask in (day.oms.positions, day.oms.orders, day.oms.pnl):
        with pytest.raises(errors.InvalidInput, match=clock):
            ask(**at(clock, zoneless))


@pytest.mark.parametrize("seq", [-1, "5", 2.5, True])
async def test_an_invalid_at_seq_is_refused(day: PlayedDesk, seq: Any) -> None:
    await trade(day, "buy", 1, 100)

    with pytest.raises(errors.InvalidInput, match="at_seq"):
        day.oms.positions(at_seq=seq)


async def test_at_seq_together_with_known_at_is_refused(day: PlayedDesk) -> None:
    await trade(day, "buy", 1, 100)

    with pytest.raises(errors.InvalidInput, match="at_seq and known_at"):
        day.oms.positions(at_seq=1, known_at=day.now)


@pytest.mark.parametrize("checkpoints", [False, True])
async def test_positions_orders_and_pnl_before_the_first_event_are_empty(day: PlayedDesk, checkpoints: bool) -> None:
    await trade(day, "buy", 1, 100)
    if checkpoints:
        advance(day.log, every=1)

    early = instant("1990-01-01T00:00:00Z")
    for when in ({"as_of": early}, {"known_at": early}, {"at_seq": 0}, {"as_of": early, "at_seq": 0}):
        for ask in (day.oms.positions, day.oms.orders, day.oms.pnl):
            answer = ask(**when)  # type: ignore[arg-type]
            assert (list(answer), answer.basis.past_end) == ([], False)


def test_positions_orders_and_pnl_of_a_missing_log_are_empty(day: PlayedDesk) -> None:
    assert (day.oms.positions(), day.oms.orders(as_of=day.now), day.oms.pnl(at_seq=7)) == ([], [], [])
    assert not day.path.exists()


async def test_the_basis_of_a_moment_after_the_last_event_is_past_end(day: PlayedDesk) -> None:
    await trade(day, "buy", 1, 100)
    last = day.log.head().seq

    for name, end in (("as_of", day.now), ("known_at", day.now), ("at_seq", last)):
        end_of_it, after = (day.oms.positions(**at(name, moment)) for moment in (end, end + 1))
        assert (end_of_it.basis.past_end, after.basis.past_end) == (False, True)
        assert end_of_it == after
        assert (after.basis.seq, after.basis.log_seq) == (last, last)


async def test_the_basis_is_not_past_end_while_the_log_holds_a_later_mark(day: PlayedDesk) -> None:
    await trade(day, "buy", 1, 100)
    await mark_ahead(day, 100, 4)
    day.now += SECOND
    await day.oms.record_mark(BETA, 100)

    before, after = (day.oms.positions(as_of=day.now + ahead * SECOND) for ahead in (2, 3))

    assert ([each.mark_price for each in before], [each.mark_price for each in after]) == ([None], [D(100)])
    assert not before.basis.past_end
    assert not after.basis.past_end


@pytest.mark.parametrize("late", [99, 150])
async def test_past_end_is_measured_from_the_latest_moment_of_the_log_and_not_from_its_last_events(late: int) -> None:
    async def mark_earlier_moments(day: PlayedDesk) -> None:
        asked = (day.oms.record_mark(ALFA, 100, occurred_at=day.now - 3_600 * SECOND + each) for each in range(late))
        await asyncio.gather(*asked)

    with desk() as day:
        await trade(day, "buy", 1, 100)
        await mark_earlier_moments(day)

        ends = [day.oms.positions(as_of=day.now + after).basis.past_end for after in (-1_800 * SECOND, 0, 1)]

        assert ends == [False, False, True]
