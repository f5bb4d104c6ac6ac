"""Lots, matches, history and differences add up to the positions they explain."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from oms_es.projections.position_state import PositionState
from oms_es.queries.explain import Why, diff_by_symbol, history, why_positions
from oms_es.queries.queries import AsOf, Queries
from oms_es.vocabulary import CostMethod
from tests import brute_force
from tests.queries.played_desk import (
    ALFA,
    BETA,
    CRUDE,
    FEWER,
    PICKS,
    STEPS,
    TWO_DAYS,
    PlayedDesk,
    Step,
    bought_and_sold_and_heard_of_an_earlier_purchase,
    check,
    desk,
    fractions,
    moments,
    sold_at_110_and_a_day_later_restated,
    total,
    trade,
)

D = Decimal


@given(steps=STEPS, picks=PICKS)
@FEWER
def test_lots_matches_and_history_add_up_to_the_position(steps: list[Step], picks: list[tuple[str, int, int]]) -> None:
    with desk() as day:
        day.play(steps)
        events, queries = day.told(), Queries(day.log)

        for when in moments(events, picks[:3]):
            for method in CostMethod:
                basis = queries.basis(AsOf(**when), method)
                fills = brute_force.standing(events, basis.seq, basis.as_of)
                for symbol in (ALFA, BETA, CRUDE):
                    for why in why_positions(queries, basis, symbol, None):
                        key = why.held.book
                        _check_why(why, [fill for fill in fills if fill.key == key], method)
                        changes = history(queries, basis, symbol, key[0])
                        _check_history([each for each in changes if each["currency"] == key[2]], why.held)


def _check_why(why: Why, fills: list[brute_force.Fill], method: CostMethod) -> None:
    held, lots, matches = why.held, why.lots, why.matches
    assert (total(lots, "quantity"), total(lots, "cost")) == fractions(held.quantity, held.cost_basis)
    assert total(matches, "realized_pnl") == total(matches, "proceeds") - total(matches, "cost") == held.gross
    assert total(why.fees, "fee") == held.fees
    wanted, _ = brute_force.fold([(fill.quantity, fill.worth) for fill in fills], method)
    found = [fractions(lot["quantity"], lot["cost"]) for lot in lots]
    check(dict(enumerate(found)), {n: (size, size * cost) for n, (size, cost) in enumerate(wanted)}, method)
    known = {fill.at[1]: fill.trade for fill in fills}
    assert all(known[lot["seq"]] == (lot["order_id"], lot["trade_id"]) for lot in lots)


def _check_history(changes: list[dict[str, Any]], held: PositionState) -> None:
    for number, change in enumerate(changes, start=1):
        so_far = (total(changes[:number], "change"), total(changes[:number], "realized_pnl"))
        assert so_far == fractions(change["quantity"], change["total_realized_pnl"])
    last = changes[-1]
    assert (last["quantity"], last["cost_basis"], last["total_realized_pnl"]) == (
        held.quantity,
        held.cost_basis,
        held.realized,
    )


@pytest.mark.parametrize(
    ("view", "changed_day", "was", "now"),
    [("known", "2024-03-05", None, -51), ("as of", "2024-03-04", 98, 47)],  # the fifth had no row before
)
async def test_diff_by_symbol_shows_what_a_correction_changed_per_symbol_and_day(
    view: str, changed_day: str, was: int | None, now: int
) -> None:
    with desk(TWO_DAYS) as day:
        await trade(day, "buy", 3, 7, symbol=BETA)
        await sold_at_110_and_a_day_later_restated(day, "correct")
        queries, last = Queries(day.log), day.log.head().seq
        as_of = day.now if view == "as of" else None

        found = diff_by_symbol(queries, *(queries.basis(AsOf(as_of=as_of, at_seq=seq)) for seq in (last - 1, last)))

        (position,), (brought,) = found["positions"], found["days"]
        assert (position["account"], position["symbol"]) == ("default", ALFA)
        assert position["realized_pnl"] == {"from": 98, "to": 47, "change": -51}
        assert position["gross_realized_pnl"] == {"from": 100, "to": 50, "change": -50}
        assert "quantity" not in position
        assert (brought["trading_day"], brought["symbol"]) == (changed_day, ALFA)
        assert (brought["realized_pnl"]["from"], brought["realized_pnl"]["to"]) == (was, now)


async def test_diff_by_symbol_of_a_moment_with_itself_is_empty(day: PlayedDesk) -> None:
    await bought_and_sold_and_heard_of_an_earlier_purchase(day)
    queries = Queries(day.log)
    basis = queries.basis(AsOf(as_of=day.now))

    assert diff_by_symbol(queries, basis, basis) == {"positions": [], "days": []}
