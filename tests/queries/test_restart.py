"""A restart and a second process change no answer."""

from decimal import Decimal

import pytest
from hypothesis import given

from oms_es import OrderManagementSystem, errors
from oms_es.timestamps import SECOND
from oms_es.vocabulary import CostMethod
from tests import brute_force
from tests.desk import order_of
from tests.queries.played_desk import ALFA, CALM, FEWER, STEPS, Step, desk, right, seen, trade

D = Decimal


@given(steps=STEPS)
@FEWER
def test_a_restart_changes_no_answer(steps: list[Step]) -> None:
    with desk(system={**CALM, "order_history_retention": 10**9}) as day:
        day.play(steps)
        again, log = day.opened()

        assert answers(again) == answers(day.oms)
        assert seen(again.get_all_positions()) == right(brute_force.positions(day.told(), CostMethod.FIFO))
        log.close()


async def test_a_fill_of_another_process_for_an_order_that_left_memory_counts_once() -> None:
    with desk(system={**CALM, "order_history_retention": 60}) as day:
        await day.oms.submit_order(ALFA, "buy", "market", 100, None, "o-1")
        await day.oms.cancel_order("o-1")
        day.now += 200 * SECOND
        await day.oms.record_mark(ALFA, 10)
        other, log = day.opened()

        await other.add_fill("o-1", 40, 10, "t-1")  # late

        for oms in (other, day.oms):
            order = order_of(oms, "o-1")
            assert (order.filled_quantity, len(order.fills)) == (D(40), 1)
        log.close()


async def test_an_order_that_left_memory_and_was_opened_again_by_another_process_counts_against_the_limits() -> None:
    with desk(system={**CALM, "order_history_retention": 60}, risk={"max_position_size": 100}) as day:
        bought = await trade(day, "buy", 90, 10)
        day.now += 200 * SECOND
        await day.oms.record_mark(ALFA, 10)
        other, log = day.opened()

        await other.bust_fill(bought, bought)  # all 90 are open again

        assert day.oms.risk_manager.open_order_count == 1
        with pytest.raises(errors.OrderRejected, match="POSITION_SIZE"):
            await day.oms.submit_order(ALFA, "buy", "market", 90)
        log.close()


def answers(oms: OrderManagementSystem) -> tuple[object, ...]:
    return (oms.get_all_positions(), oms.get_all_orders(), oms.get_portfolio_summary(), oms.pnl(), oms.positions(),
            oms.risk_manager.daily_pnl, oms.sequencer.state.digest())  # fmt: skip
