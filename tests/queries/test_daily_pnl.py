"""P&L per trading day, as known and as of a moment."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from oms_es.projections.positions import Positions
from oms_es.projections.snapshots.builder import advance
from oms_es.queries.queries import summed
from oms_es.timestamps import SECOND, iso
from oms_es.vocabulary import CostMethod
from tests import brute_force
from tests.queries.played_desk import (
    ALFA,
    BETA,
    CALENDARS,
    FEWER,
    PICKS,
    STEPS,
    TWO_DAYS,
    Calendar,
    PlayedDesk,
    Step,
    at,
    check,
    desk,
    fractions,
    moments,
    near,
    sold_at_110_and_a_day_later_restated,
    total,
    trade,
    until,
)

D = Decimal


@given(steps=STEPS)
@FEWER
def test_realized_and_unrealized_is_cash_and_worth_to_the_last_digit_after_every_event(steps: list[Step]) -> None:
    with desk() as day:
        day.play(steps)
        events = day.told()

        for method in CostMethod:
            positions = Positions(method)
            for recorded in day.log.read(topics=Positions.topics()):
                positions.replay([recorded])
                booked = brute_force.standing(events, recorded.seq, None)
                for row in positions.rows():
                    key = (row["account"], row["symbol"], row["currency"])
                    cash = -sum(fill.quantity * fill.worth + fill.fee for fill in booked if fill.key == key)
                    earned, mark = Fraction(row["realized_pnl"]), row["mark_price"]
                    if mark is None:
                        assert earned - Fraction(row["cost_basis"]) == cash
                        continue
                    worth = Fraction(mark) * brute_force.units([f for f in booked if f.key == key], method)
                    several = len({fill.multiplier for fill in booked if fill.key == key}) > 1
                    if method is CostMethod.AVERAGE and several:
                        assert near(earned + Fraction(row["unrealized_pnl"]), cash + worth)
                        continue
                    assert earned + Fraction(row["unrealized_pnl"]) == cash + worth


@pytest.mark.parametrize("calendar", CALENDARS, ids=lambda calendar: " ".join(calendar[:3]))
@given(steps=STEPS, picks=PICKS, every=st.integers(1, 2), stops=st.sets(st.integers(0, 35), max_size=3))
@settings(max_examples=settings().max_examples // 6)
def test_pnl_per_trading_day_equals_brute_force(
    calendar: Calendar, steps: list[Step], picks: list[tuple[str, int, int]], every: int, stops: set[int]
) -> None:
    with desk(calendar) as day:
        day.play(steps, lambda number: advance(day.log, every) if number in stops else None)
        events = day.told()

        for each in events:
            assert each.trading_day == brute_force.trading_day(each.recorded_at, *calendar[:3]), iso(each.recorded_at)
        for when in moments(events, picks):
            for method in CostMethod:
                rows = day.oms.pnl(**when, method=method)
                wanted = brute_force.days(events, method, until(events, when), when.get("as_of"))
                found = {
                    (row["trading_day"], row["account"], row["symbol"], row["currency"]): fractions(
                        row["gross_realized_pnl"], row["fees"], row["realized_pnl"], D(row["fills"])
                    )
                    for row in rows
                }
                quiet = (found.keys() - wanted.keys()) & {key for key, own in found.items() if not any(own)}
                check(
                    {key: own for key, own in found.items() if key not in quiet},  # only marks have moved there
                    {
                        key: (own.gross, own.fees, own.gross - own.fees, Fraction(own.fills))
                        for key, own in wanted.items()
                    },
                    method,
                )


@pytest.mark.parametrize("view", ["known", "as of"])
@given(steps=STEPS, picks=PICKS)
@settings(FEWER, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # small examples stand below, by hand
def test_pnl_of_all_trading_days_adds_up_to_the_position(
    view: str, steps: list[Step], picks: list[tuple[str, int, int]]
) -> None:
    clock = "as_of" if view == "as of" else "known_at"
    with desk() as day:
        day.play(steps, lambda number: advance(day.log, 1) if number == len(steps) // 2 else None)

        for when in (*moments(day.told(), [(clock, *pick[1:]) for pick in picks]), at(clock, day.now)):
            for held in day.oms.positions(**when):
                found = day.oms.pnl(**when, symbol=held.symbol, account=held.account)
                rows = [row for row in found if row["currency"] == held.currency]
                realized, level = Fraction(held.realized_pnl), Fraction(held.unrealized_pnl or 0)
                assert total(rows, "realized_pnl") == realized
                assert total(rows, "unrealized_change") == level
                assert total(rows, "total_pnl") == realized + level
                assert Fraction(rows[-1]["unrealized_pnl"] or 0) == level


HOUR = 3_600


async def a_purchase_between_two_marks_that_is_told_a_day_later(day: PlayedDesk) -> None:
    await day.oms.record_mark(ALFA, 100)
    await trade(day, "buy", 1, 100)
    day.now += HOUR * SECOND
    await day.oms.record_mark(ALFA, 110)
    day.now += 24 * HOUR * SECOND
    await trade(day, "buy", 1, 104, late=24.5 * HOUR)
    day.now += HOUR * SECOND
    await day.oms.record_mark(ALFA, 120)


async def test_a_fill_reported_a_day_late_changes_unrealized_pnl_once() -> None:
    with desk(TWO_DAYS) as day:
        await a_purchase_between_two_marks_that_is_told_a_day_later(day)

        known, true = day.oms.pnl(), day.oms.pnl(as_of=day.now)

        assert [(row["unrealized_pnl"], row["unrealized_change"]) for row in known] == [(10, 10), (36, 26)]
        assert true[-1]["unrealized_pnl"] == 36
        assert sum(row["unrealized_change"] for row in true) == 36


async def test_unrealized_pnl_of_the_last_day_is_that_of_the_position() -> None:
    with desk(TWO_DAYS) as day:
        await day.oms.record_mark(ALFA, 110)
        day.now += 24 * HOUR * SECOND
        await trade(day, "buy", 1, 100, late=25 * HOUR)  # executed before the mark, told a day later

        for when in ({}, {"as_of": day.now}):
            (held,) = day.oms.positions(**when)  # type: ignore[arg-type]
            assert held.unrealized_pnl == 10
            assert day.oms.pnl(**when)[-1]["unrealized_pnl"] == 10  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("restate", "known", "true"),
    [  # trading day, gross, fees, fills
        ("bust", [("2024-03-04", 100, 2, 2), ("2024-03-05", -100, -1, -1)], [("2024-03-04", 0, 1, 1)]),
        ("correct", [("2024-03-04", 100, 2, 2), ("2024-03-05", -50, 1, 0)], [("2024-03-04", 50, 3, 2)]),
    ],
)
async def test_a_bust_or_correction_counts_on_its_own_day_as_known_and_on_the_fills_day_as_of(
    restate: str, known: list[tuple[str, int, int, int]], true: list[tuple[str, int, int, int]]
) -> None:
    with desk(TWO_DAYS) as day:
        await sold_at_110_and_a_day_later_restated(day, restate)

        for when, wanted in (({}, known), ({"as_of": day.now}, true)):
            rows = day.oms.pnl(**when)  # type: ignore[arg-type]
            found = [(row["trading_day"], row["gross_realized_pnl"], row["fees"], row["fills"]) for row in rows]
            assert found == wanted
            assert [row["realized_pnl"] for row in rows] == [gross - fees for _, gross, fees, _ in wanted]


async def test_summed_unrealized_pnl_includes_positions_without_a_row_that_day() -> None:
    with desk(TWO_DAYS) as day:
        for account, symbol in (("a", ALFA), ("a", BETA), ("b", ALFA)):
            await trade(day, "buy", 1, 10, account=account, symbol=symbol)
            await day.oms.record_mark(symbol, 60)
        day.now += 86_400 * SECOND
        await trade(day, "buy", 1, 60, account="a")  # only one of the three positions has a row on this day

        rows = list(day.oms.pnl())
        for by, wanted in (("account", {"a": 100, "b": 50}), ("symbol", {ALFA: 100, BETA: 50})):
            last = {row[by]: row["unrealized_pnl"] for row in summed(rows, by)}
            assert last == wanted
