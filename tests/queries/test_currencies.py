"""Instruments, multipliers and currencies in positions and sums."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given

from oms_es import errors
from oms_es.vocabulary import CostMethod
from tests import brute_force
from tests.brute_force import Sums
from tests.desk import position_of
from tests.queries.played_desk import ALFA, FEWER, STEPS, PlayedDesk, Step, desk, trade

D = Decimal


async def test_an_instrument_is_not_redefined_under_an_open_position(day: PlayedDesk) -> None:
    await trade(day, "buy", 2, 100)
    before = day.log.head()

    for changed in ({"multiplier": 50}, {"currency": "EUR"}):
        with pytest.raises(errors.InstrumentInUse, match=f"{ALFA}.*default"):
            await day.oms.define_instrument(ALFA, **changed)

    assert day.log.head() == before
    await day.oms.define_instrument(ALFA, multiplier=1, currency="USD")  # it is that already
    await trade(day, "sell", 2, 100)
    await day.oms.define_instrument(ALFA, multiplier=50)
    assert day.oms.sequencer.state.positions.multiplier(ALFA) == 50


async def test_a_position_reopened_by_a_bust_keeps_the_multiplier_of_its_own_fills(day: PlayedDesk) -> None:
    await trade(day, "buy", 10, 100)
    sold = await trade(day, "sell", 10, 100)
    await day.oms.define_instrument(ALFA, multiplier=50)
    await day.oms.bust_fill(sold, sold)
    await day.oms.record_mark(ALFA, 100)

    await trade(day, "buy", 1, 100)

    held = position_of(day.oms, ALFA)
    assert held.cost_basis == 10 * 100 + 1 * 100 * 50
    assert held.unrealized_pnl == 0  # all of it was bought at the mark


@given(steps=STEPS)
@FEWER
def test_sums_are_per_currency(steps: list[Step]) -> None:
    with desk() as day:
        day.play(steps)
        events = day.told()
        sums, days = brute_force.positions(events, CostMethod.FIFO), brute_force.days(events, CostMethod.FIFO)
        for account in (None, "main", "hedge"):
            summary = day.oms.get_portfolio_summary(account=account)
            own = {key: each for key, each in sums.items() if account in (None, key[0])}
            today = {key: brought for key, brought in days.items() if key[0] == summary["trading_day"]}

            assert summary["currencies"].keys() == {currency for _, _, currency in own}
            for currency, found in summary["currencies"].items():
                held = {key: each for key, each in own.items() if key[2] == currency}
                realized = sum(
                    (brought.gross - brought.fees for (_, *key), brought in today.items() if tuple(key) in held),
                    brute_force.ZERO,
                )
                assert {name: None if figure is None else Fraction(figure) for name, figure in found.items()} == {
                    "total_notional": sum(map(notional, held.values())),
                    "total_realized_pnl": sum(each.gross - each.fees for each in held.values()),
                    "total_unrealized_pnl": unrealized(held.values()),
                    "total_fees": sum(each.fees for each in held.values()),
                    "daily_pnl": realized,
                }


def notional(held: Sums) -> Fraction:
    return abs(held.cost_basis if held.mark is None else held.units * held.mark)


def unrealized(held: Iterable[Sums]) -> Fraction | None:
    levels = [each.unrealized for each in held if each.quantity]
    return None if None in levels else sum(filter(None, levels), brute_force.ZERO)


async def test_realized_pnl_stays_in_its_currency_when_the_instrument_is_redefined(day: PlayedDesk) -> None:
    for currency, gain in (("USD", 100), ("EUR", 50)):
        await day.oms.define_instrument(ALFA, currency=currency)
        await trade(day, "buy", 1, 100)
        await trade(day, "sell", 1, 100 + gain)

    sums = day.oms.get_portfolio_summary()["currencies"]

    assert {currency: each["total_realized_pnl"] for currency, each in sums.items()} == {"USD": 100, "EUR": 50}
    brought = {row["currency"]: row["realized_pnl"] for row in day.oms.pnl()}
    assert brought == {"USD": 100, "EUR": 50}
