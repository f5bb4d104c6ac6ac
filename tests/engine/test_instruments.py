"""Instruments: steps and minimum of orders, rounding, OCO groups, stop orders and tags."""

import pytest

from oms_es import InvalidInput, OrderManagementSystem, OrderRejected
from oms_es.log.memory import MemoryLog
from tests.desk import FREE, ruled

LIMITED = ruled(
    risk={"max_position_size": 100, "max_daily_loss": 50, "max_open_orders": None},
    trading={"min_quote_size": None, "max_skew": None},
)


async def stepped(oms: OrderManagementSystem) -> None:
    await oms.define_instrument("ADA", base="ADA", quote="USDM", quantity_step=1, price_step="0.0001", min_quantity=5)


async def test_an_order_off_the_step_is_refused_with_the_two_nearest_values() -> None:
    async with OrderManagementSystem(FREE, log=MemoryLog()) as oms:
        await stepped(oms)
        with pytest.raises(OrderRejected, match=r"384\.89 is not a multiple of 1; the nearest are 384 and 385"):
            await oms.submit_order("ADA", "buy", "limit", "384.89", "0.65")
        with pytest.raises(OrderRejected, match=r"0\.65005 is not a multiple of 0\.0001; the nearest are 0\.65 and"):
            await oms.submit_order("ADA", "buy", "limit", "384", "0.65005")
        with pytest.raises(OrderRejected, match="4 is below the minimum of 5 of ADA"):
            await oms.submit_order("ADA", "buy", "limit", "4", "0.65")
        order = await oms.submit_order("ADA", "buy", "limit", "384", "0.65", "o-1")
        with pytest.raises(OrderRejected, match="the nearest are 384 and 385"):
            await oms.amend_order("o-1", quantity="384.5")
        assert order.quantity == 384


async def test_an_order_is_rounded_before_it_is_checked_if_the_caller_says_so() -> None:
    async with OrderManagementSystem(FREE, log=MemoryLog()) as oms:
        await stepped(oms)
        order = await oms.submit_order("ADA", "buy", "limit", "384.89", "0.65004", round_to_step=True)
        other = await oms.submit_order("OTHER", "buy", "limit", "384.89", "0.65004", round_to_step=True)
        assert (str(order.quantity), str(order.price)) == ("385", "0.65")
        assert (str(other.quantity), str(other.price)) == ("384.89", "0.65004")


async def test_an_exact_close_may_be_below_the_minimum() -> None:
    async with OrderManagementSystem(FREE, log=MemoryLog()) as oms:
        await stepped(oms)
        await oms.submit_order("ADA", "buy", "limit", 5, "0.65", "o-1")
        await oms.add_fill("o-1", 3, "0.65", "t1")
        assert (await oms.submit_order("ADA", "sell", "limit", 3, "0.65")).open_quantity == 3


async def exit_beside_a_target(oms: OrderManagementSystem, group: str | None) -> str:
    """Return the state of a stop beside a resting target of the whole position, after a loss and at REDUCE_ONLY."""
    await oms.submit_order("ETH", "buy", "limit", 100, 10, "in")
    await oms.add_fill("in", 100, 10, "t1")
    await oms.submit_order("L", "buy", "limit", 10, 10, "l1")
    await oms.submit_order("ETH", "sell", "limit", 100, 12, "target", oco_group=group)
    await oms.add_fill("l1", 10, 10, "t2")
    await oms.submit_order("L", "sell", "limit", 10, 4, "l2")
    await oms.add_fill("l2", 10, 4, "t3")
    await oms.halt("reduce_only")
    order = await oms.submit_order("ETH", "sell", "stop", 100, stop_price=9, order_id="stop", oco_group=group)
    return order.state.value


async def test_a_stop_and_a_target_of_one_group_count_once_by_the_larger() -> None:
    async with OrderManagementSystem(LIMITED, log=MemoryLog()) as oms:
        assert await exit_beside_a_target(oms, "exit-1") == "pending"
        state = oms.sequencer.state
        assert state.orders.exposed("default", "ETH").sells == 100
        await oms.cancel_order("stop")
        assert state.orders.exposed("default", "ETH").sells == 100
        await oms.add_fill("target", 40, 12, "t4")
        assert state.orders.exposed("default", "ETH").sells == 60
        with pytest.raises(OrderRejected, match="EMERGENCY_STOP"):  # 60 are left to close, whatever the group
            await oms.submit_order("ETH", "sell", "stop", 61, stop_price=9, oco_group="exit-1")
        await oms.cancel_order("target")
        assert state.orders.exposed("default", "ETH").sells == 0
    async with OrderManagementSystem(LIMITED, log=MemoryLog()) as oms:
        with pytest.raises(OrderRejected) as refusal:
            await exit_beside_a_target(oms, None)
        assert {text.partition(":")[0] for text in refusal.value.violations} == {"DAILY_LOSS", "EMERGENCY_STOP"}


async def test_the_larger_order_of_a_group_counts_against_the_position_limit() -> None:
    async with OrderManagementSystem(LIMITED, log=MemoryLog()) as oms:
        await oms.submit_order("ETH", "buy", "limit", 60, 10, "one", oco_group="g")
        await oms.submit_order("ETH", "buy", "limit", 90, 10, "two", oco_group="g")
        assert oms.sequencer.state.orders.exposed("default", "ETH").buys == 90
        with pytest.raises(OrderRejected, match="POSITION_SIZE: 110 ETH"):
            await oms.submit_order("ETH", "buy", "limit", 20, 10, "three")
        with pytest.raises(OrderRejected, match="POSITION_SIZE: 101 ETH"):
            await oms.submit_order("ETH", "buy", "limit", 101, 10, "four", oco_group="g")


async def test_stop_orders_need_a_stop_price_and_show_it() -> None:
    async with OrderManagementSystem(FREE, log=MemoryLog()) as oms:
        order = await oms.submit_order("X", "sell", "stop_limit", 1, 9, "o-1", stop_price="9.5", tags={"desk": "a"})
        assert (order.order_type.value, str(order.stop_price), order.tags) == ("stop_limit", "9.5", {"desk": "a"})
        with pytest.raises(InvalidInput, match="stop_price: a stop order needs one"):
            await oms.submit_order("X", "sell", "stop", 1)
        with pytest.raises(InvalidInput, match="stop_price: a limit order has none"):
            await oms.submit_order("X", "sell", "limit", 1, 9, stop_price=9)
