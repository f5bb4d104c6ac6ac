"""Completed orders leave memory after their retention, and come back when somebody asks for them."""

from pathlib import Path

from oms_es import OrderManagementSystem, OrderState
from oms_es.projections.state import State
from tests.desk import ADA, BUY, Clock, desk, ruled, submit, trade

RETENTION = ruled(system={"order_history_retention": 3600})


def in_memory(oms: OrderManagementSystem) -> set[str]:
    return {order_id for _, order_id in oms.sequencer.state.orders.orders}


async def test_a_completed_order_leaves_memory_after_its_retention_and_an_open_one_stays(path: Path) -> None:
    clock = Clock(tick=0)
    async with desk(path, clock, RETENTION) as oms:
        await trade(oms, "done", BUY, 10, 5)
        await submit(oms, "open")
        clock.move(3599)
        await oms.record_mark(ADA, 5)
        assert in_memory(oms) == {"done", "open"}
        clock.move(70)
        await oms.record_mark(ADA, 6)
        assert in_memory(oms) == {"open"}


async def test_an_order_that_has_left_memory_is_found_and_its_fills_are_still_recognised(path: Path) -> None:
    clock = Clock(tick=0)
    async with desk(path, clock, RETENTION) as oms:
        await trade(oms, "done", BUY, 10, 5)
        clock.move(4000)
        await oms.record_mark(ADA, 5)
        assert in_memory(oms) == set()
        before = oms.log.head().seq

        again = await oms.add_fill("done", 10, 5, "t-done")
        same = await submit(oms, "done", quantity=10, price=5)

        assert again == same == oms.get_order("done")
        assert again.state is OrderState.FILLED
        assert oms.log.head().seq == before
        await oms.bust_fill("done", "t-done")
        assert oms.get_open_orders() == [oms.get_order("done")]
        assert State().replay(oms.log.read()).orders.rows() == oms.sequencer.state.orders.rows()
