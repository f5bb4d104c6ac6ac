"""Positions, orders and fills at any moment, by either clock and every cost method, against `brute_force.py`."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_es.log.order_search import OrderSearch
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.builder import advance
from oms_es.projections.snapshots.positions_at import cache_path
from oms_es.projections.views import OMSOrder, Position, order_view
from oms_es.queries.queries import AsOf, Queries, narrowed
from oms_es.timestamps import SECOND
from oms_es.vocabulary import CostMethod
from tests import brute_force
from tests.brute_force import Key, Sums
from tests.desk import desk as other_desk
from tests.queries.played_desk import (
    ALFA,
    BETA,
    FEWER,
    PICKS,
    STEPS,
    PlayedDesk,
    Step,
    at,
    bought_and_sold_and_heard_of_an_earlier_purchase,
    check,
    desk,
    moments,
    near,
    right,
    seen,
    trade,
    until,
)

D = Decimal


@pytest.mark.parametrize("checkpoints", [False, True], ids=["from zero", "from checkpoints"])
@given(steps=STEPS, picks=PICKS, every=st.integers(1, 7), stops=st.sets(st.integers(0, 35), max_size=3))
@FEWER
def test_positions_at_any_moment_equal_brute_force(
    checkpoints: bool, steps: list[Step], picks: list[tuple[str, int, int]], every: int, stops: set[int]
) -> None:
    with desk() as day:
        day.play(steps, lambda number: advance(day.log, every) if checkpoints and number in stops else None)
        events = day.told()

        assert cache_path(day.log).exists() == (checkpoints and any(stop < len(steps) for stop in stops))
        for when in moments(events, picks):
            for method in CostMethod:
                found = day.oms.positions(**when, method=method)
                wanted = brute_force.positions(events, method, until(events, when), when.get("as_of"))
                check(seen(found), right(wanted), method)
                exact = method is not CostMethod.AVERAGE  # its one division rounds, of several multipliers too
                averages = [(each.avg_price, average(each, wanted)) for each in found]
                assert all(one == other if exact else near(Fraction(one), Fraction(other)) for one, other in averages)


def average(held: Position, sums: Mapping[Key, Sums]) -> Decimal:
    """Return cost basis by units, rounded half-even at 18 places; 0 when flat."""
    size = sums[held.account, held.symbol, held.currency].units
    return D(round(Fraction(held.cost_basis) / size * 10**18) if size else 0).scaleb(-18)


@given(steps=STEPS, picks=PICKS, stop=st.integers(0, 35))
@FEWER
def test_orders_at_any_moment_equal_brute_force(
    steps: list[Step], picks: list[tuple[str, int, int]], stop: int
) -> None:
    with desk() as day:
        day.play(steps, lambda number: advance(day.log, 2) if number == stop else None)
        events = day.told()

        for when in moments(events, picks):
            found = day.oms.orders(**when)
            wanted = brute_force.orders(events, until(events, when), when.get("as_of", brute_force.FAR))
            assert {(each.account, each.order_id): stands(each) for each in found} == wanted
            for each in found[len(events) % 3 :: 3]:
                named = Queries(day.log).orders_named(each.order_id, each.account, found.basis)
                assert order_view(named.orders[each.account, each.order_id]) == each
            queries, basis = Queries(day.log), found.basis
            assert queries.waiting(basis) == queries.orders(basis).all_waiting()
            for symbol in {each.symbol for each in found}:
                rows = narrowed(queries.fills(basis), symbol, None)
                assert list(queries.fills(basis, symbol)) == rows
                of_symbol = queries.orders(basis, symbols={symbol}).sorted()
                assert [order_view(each) for each in of_symbol] == [each for each in found if each.symbol == symbol]
            whole = queries.orders(basis).sorted()
            searched = queries.orders(basis, only_open=True).sorted()
            assert [each for each in searched if each.is_open] == [each for each in whole if each.is_open]


async def test_a_search_reads_the_orders_it_is_for_and_no_others(tmp_path: Path) -> None:
    async with other_desk(tmp_path / "day.db") as oms:
        for name, symbol in (("filled", ALFA), ("cancelled", BETA), ("open", BETA)):
            await oms.submit_order(symbol, "buy", "limit", 10, 5, name)
        await oms.add_fill("filled", 10, 5, "t-1")
        before = oms.log.head().seq
        await oms.cancel_order("cancelled", reason='"new":"working"')
        after = oms.log.head().seq

        def read(until: int, **search: Any) -> set[str]:
            assert isinstance(oms.log, SqliteLog)
            found = oms.log.order_events(OrderSearch(until=until, **search))
            return {each.originator_id.removeprefix("order/default/") for each in found or ()}

        assert read(after, only_open=True) == {"open"}
        assert read(before, only_open=True) == {"cancelled", "open"}
        assert read(after, symbols=frozenset({BETA})) == {"cancelled", "open"}
        assert read(after, symbols=frozenset({ALFA}), only_open=True) == set()


def stands(order: OMSOrder) -> brute_force.Stands:
    figures = map(Fraction, (order.quantity, order.filled_quantity, order.fees))
    return brute_force.Stands(order.state.value, *figures)


@pytest.mark.parametrize(("method", "trades", "left", "realized"), [
    (CostMethod.FIFO, "+10@1 +10@2 -15@3", "5@2", 25),
    (CostMethod.LIFO, "+10@1 +10@2 -15@3", "5@1", 20),
    (CostMethod.AVERAGE, "+10@1 +10@2 -15@3", "5@3/2", Fraction(45, 2)),
    (CostMethod.FIFO, "+10@1 -15@3", "-5@3", 20),
    (CostMethod.LIFO, "-10@5 -10@3 +25@4", "5@4", 0),
    (CostMethod.AVERAGE, "+1@1 +2@2 -1@2 -2@2", "", 1),
])  # fmt: skip
def test_brute_force_agrees_with_figures_worked_out_by_hand(
    method: CostMethod, trades: str, left: str, realized: Fraction
) -> None:
    lots, gains = brute_force.fold([figures(each) for each in trades.split()], method)

    assert ([tuple(lot) for lot in lots], sum(gains)) == ([figures(each) for each in left.split()], realized)


def figures(words: str) -> tuple[Fraction, Fraction]:
    quantity, _, price = words.partition("@")
    return Fraction(quantity), Fraction(price)


@pytest.mark.parametrize(("method", "view", "cost", "realized"), [
    ("fifo", "known", "450", "100"),  # 10@100 closed by 10@110; then 5@90 came
    ("fifo", "as of", "500", "150"),  # 5@90 and 5@100 closed; 5@100 left
    ("lifo", "known", "450", "100"),
    ("lifo", "as of", "450", "100"),  # 10@100 closed; 5@90 left
    ("average", "known", "450", "100"),
    ("average", "as of", "483.333333333333333333", "133.333333333333333333"),  # 10 of 15@96.66… closed
])  # fmt: skip
async def test_a_late_fill_is_booked_last_as_known_and_first_as_of(
    day: PlayedDesk, method: str, view: str, cost: str, realized: str
) -> None:
    await bought_and_sold_and_heard_of_an_earlier_purchase(day)

    (held,) = day.oms.positions(**at("as_of" if view == "as of" else "known_at", day.now), method=method)

    assert (held.quantity, held.cost_basis, held.gross_realized_pnl) == (D(5), D(cost), D(realized))


async def test_as_of_with_known_at_returns_what_was_true_as_far_as_it_was_known(day: PlayedDesk) -> None:
    begin = day.now
    await bought_and_sold_and_heard_of_an_earlier_purchase(day)
    early, late = begin - 1, begin + 700 * SECOND

    assert [each.quantity for each in day.oms.positions(as_of=early)] == [5]
    assert day.oms.positions(as_of=early, known_at=late) == []
    assert [each.quantity for each in day.oms.positions(as_of=late)] == [5]
    assert [each.quantity for each in day.oms.positions(as_of=late, known_at=late)] == [0]


async def test_as_of_and_known_at_include_events_of_that_very_nanosecond(day: PlayedDesk) -> None:
    for _ in range(3):
        await trade(day, "buy", 1, 100)  # the clock stands still

    for name in ("as_of", "known_at"):
        assert [each.quantity for each in day.oms.positions(**at(name, day.now))] == [3]
        assert day.oms.positions(**at(name, day.now - 1)) == []


async def test_fills_as_of_a_moment_add_up_to_the_position(day: PlayedDesk) -> None:
    busted, kept = [await trade(day, "buy", 10, 100) for _ in range(2)]
    moment = day.now
    day.now += 60 * SECOND
    await day.oms.bust_fill(busted, busted)
    await day.oms.correct_fill(kept, kept, fill_price=90)
    await trade(day, "buy", 5, 80, late=90)
    queries = Queries(day.log)

    found = list(queries.fills(queries.basis(AsOf(as_of=moment))))

    (held,) = day.oms.positions(as_of=moment)
    assert [(row["order_id"], row["quantity"], row["price"]) for row in found] == [("o-2", 5, 80), (kept, 10, 90)]
    assert held.quantity == sum(row["quantity"] for row in found)
    later = queries.fills(queries.basis(AsOf()))
    assert [row["busted"] for row in later] == [True, False, False]
