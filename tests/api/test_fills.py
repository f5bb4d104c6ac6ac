"""Fills through the API: quarantine, external orders, busts."""

from pathlib import Path

import pytest

from oms_es import OrderManagementSystem, OrderState, UnknownFill, UnknownQuarantine
from tests.desk import ADA, BUY, SELL, desk, order_of, position_of, quarantined, ruled, these, trade, work

Oms = OrderManagementSystem


async def test_a_quarantined_fill_is_booked_when_resolve_quarantined_accepts_it(oms: Oms) -> None:
    await work(oms, "o-1")
    waits = await quarantined(oms.add_fill("o-1", 150, 10, "t-1"))
    assert isinstance(waits, ValueError)
    assert waits.reason == "overfill"
    order = order_of(oms, "o-1")
    assert these(order.filled_quantity, order.state) == (0, OrderState.WORKING)
    assert oms.get_position(ADA) is None

    accepted = await oms.resolve_quarantined(waits.quarantine_id, accept=True, reason="the venue insists")
    assert accepted is not None
    assert these(accepted.filled_quantity, accepted.state) == (150, OrderState.FILLED)
    with pytest.raises(UnknownQuarantine):
        await oms.resolve_quarantined(waits.quarantine_id, accept=False)
    with pytest.raises(UnknownQuarantine):
        await oms.resolve_quarantined("q-nothing", accept=True)


async def test_a_fill_of_an_unknown_order_with_symbol_and_side_opens_an_external_order(oms: Oms) -> None:
    await oms.add_fill("theirs", 30, 10, "t-1", symbol=ADA, side=SELL)
    order = await oms.add_fill("theirs", 20, 11, "t-2")

    assert (order.external, order.state, order.side) == (True, OrderState.WORKING, SELL)
    assert these(order.quantity, order.filled_quantity, order.open_quantity) == (50, 50, 0)
    assert oms.get_open_orders() == []
    assert oms.risk_manager.open_order_count == 0
    assert position_of(oms, ADA).quantity == -50
    origins = {r.origin.value for r in oms.log.stream("order/default/theirs")}
    assert origins == {"external"}


async def test_bust_fill_reopens_a_filled_order(oms: Oms) -> None:
    await trade(oms, "o-1", BUY, 100, 10)
    order = await oms.bust_fill("o-1", "t-o-1", reason="erroneous")
    assert these(order.state, order.filled_quantity, order.open_quantity) == (OrderState.WORKING, 0, 100)
    assert await oms.bust_fill("o-1", "t-o-1") == order  # reported again
    with pytest.raises(UnknownFill, match=r"is not among its fills \(booked: none\); the bust waits for it"):
        await oms.bust_fill("o-1", "no such trade")
    with pytest.raises(UnknownFill):
        await oms.correct_fill("o-1", "no such trade", fee=1)


async def test_a_fill_exception_is_accepted_at_once_with_on_exception_accept(path: Path) -> None:
    async with desk(path, settings=ruled(fills={"on_exception": "accept"})) as oms:
        await work(oms, "o-1")
        order = await oms.add_fill("o-1", 150, 10, "t-1")
        assert these(order.filled_quantity, order.fills[0]["forced"]) == (150, True)
        assert (await quarantined(oms.add_fill("o-1", 151, 10, "t-1"))).reason == "conflict"
