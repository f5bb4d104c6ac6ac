"""Marks at any moment."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given

from oms_es.queries.explain import why_positions
from oms_es.queries.queries import AsOf, Queries
from oms_es.timestamps import SECOND
from tests import brute_force
from tests.queries.played_desk import (
    ALFA,
    BETA,
    FEWER,
    PICKS,
    STEPS,
    PlayedDesk,
    Step,
    at,
    desk,
    mark_ahead,
    moments,
    trade,
)

D = Decimal


@given(steps=STEPS, picks=PICKS)
@FEWER
def test_a_mark_is_never_later_than_the_moment(steps: list[Step], picks: list[tuple[str, int, int]]) -> None:
    with desk() as day:
        day.play(
            [*steps, *(step._replace(kind="mark", symbol=symbol) for step in steps[:6] for symbol in (ALFA, BETA))]
        )
        events = day.told()
        times: dict[tuple[str, Fraction], list[int]] = {}
        for each in events:
            if each.topic == "MarkRecorded":
                times.setdefault((each.stream[1], Fraction(each.body["price"])), []).append(each.effective_at)

        for when in moments(events, picks):
            moment = when.get("as_of", when.get("known_at", brute_force.FAR))
            for held in day.oms.positions(**when):
                if held.mark_price is None:
                    assert held.unrealized_pnl is None
                else:
                    assert min(times[held.symbol, Fraction(held.mark_price)]) <= moment


async def test_an_imported_mark_ahead_of_the_clock_counts_from_its_own_moment_on(day: PlayedDesk) -> None:
    await trade(day, "buy", 1, 100)
    await mark_ahead(day, 200, 3)

    for clock in ("as_of", "known_at"):
        marks = [day.oms.positions(**at(clock, day.now + after * SECOND))[0].mark_price for after in (0, 3)]
        assert (clock, marks) == (clock, [None, 200])


async def test_unrealized_pnl_is_none_without_a_mark(day: PlayedDesk) -> None:
    await trade(day, "buy", 1, 100)
    day.now += SECOND
    await day.oms.record_mark(BETA, 7)

    (held,) = day.oms.positions()
    (brought,) = day.oms.pnl()
    summary = day.oms.get_portfolio_summary()

    assert (held.mark_price, held.unrealized_pnl, brought["unrealized_pnl"]) == (None, None, None)
    assert (summary["total_unrealized_pnl"], summary["positions"][0]["mark_price"]) == (None, None)


@pytest.mark.parametrize("clock", ["known_at", "as_of"])
async def test_a_mark_ahead_of_its_moment_leaves_the_mark_before_it_in_force(day: PlayedDesk, clock: str) -> None:
    await trade(day, "buy", 10, 100)
    await day.oms.record_mark(ALFA, 110)
    await mark_ahead(day, 120, 3)
    day.now += 10 * SECOND
    await day.oms.record_mark(BETA, 1)
    between = day.now - 9 * SECOND

    (held,) = day.oms.positions(**at(clock, between))
    (brought,) = day.oms.pnl(**at(clock, between))
    queries = Queries(day.log)
    (why,) = why_positions(queries, queries.basis(AsOf(**at(clock, between))), ALFA, None)

    assert [held.mark_price, held.unrealized_pnl, brought["unrealized_pnl"]] == [D(110), D(100), D(100)]
    assert why.held.quantity == 10
