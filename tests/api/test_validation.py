"""Arguments of the commands: what is accepted, and in which form it is recorded."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from oms_es import InvalidInput, OrderManagementSystem, TimeInForce
from tests.desk import BUY, LIMIT, MARKET, SELL, D, desk, ruled, submit

Oms = OrderManagementSystem


BAD_NUMBERS = (
    1.0, True, None, "", "ten", "NaN", "Infinity", "1e3", "1_000", "１０", " 1", "1 ", "--1", "1,5", b"1",
    D("NaN"), D("-Infinity"), D("sNaN"), 10**18, "1" + "0" * 18, "0." + "0" * 18 + "1", D("1E-19"), D("1E+18"), "0x10",
)  # fmt: skip


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
async def test_an_inexact_quantity_price_or_fee_is_refused_and_nothing_is_written(path: Path, value: Any) -> None:
    async with desk(path) as oms:
        for attempt in (
            oms.submit_order("X", BUY, LIMIT, value, 10),
            oms.add_fill("o-1", value, 10),
            oms.add_fill("o-1", 1, 10, "t", value),
            oms.record_mark("X", value),
        ):
            with pytest.raises(ValueError, match=r"quantity|fee|price"):
                await attempt

    assert not path.exists()


@pytest.mark.parametrize(("given", "kept"), [
    ("100", "100"), ("100.50", "100.5"), (100, "100"), (D("1E+2"), "100"), ("+12.", "12"), ("012.340", "12.34"),
    ("999999999999999999.999999999999999999", "999999999999999999.999999999999999999"),
])  # fmt: skip
async def test_quantity_and_price_are_recorded_exactly_and_in_canonical_form(path: Path, given: Any, kept: str) -> None:
    async with desk(path, settings=ruled(risk={"max_position_size": None})) as oms:
        order = await oms.submit_order("X", BUY, LIMIT, given, given, "o-1")
        assert (str(order.quantity), str(order.price)) == (kept, kept)


@pytest.mark.parametrize("wrong", [
    {"side": "long"}, {"side": None}, {"order_type": "stop"}, {"quantity": 0}, {"quantity": "-1"}, {"price": None},
    {"order_type": MARKET}, {"symbol": ""}, {"symbol": "a\nb"}, {"symbol": "\ud800"}, {"symbol": "x" * 129},
    {"order_id": ""}, {"order_id": "a\x7fb"}, {"order_id": 7}, {"account": ""}, {"account": "a/b"},
    {"account": "é"}, {"account": "a" * 65}, {"account": "*"}, {"actor": "x" * 1001}, {"command_id": ""},
    {"time_in_force": "soon"},
    {"reduce_only": "yes"}, {"occurred_at": "2025-06-16T12:00:00"}, {"occurred_at": datetime(2025, 6, 16)},  # noqa: DTZ001
    {"occurred_at": 1.5}, {"occurred_at": "noon"},
], ids=repr)  # fmt: skip
async def test_an_invalid_argument_of_submit_order_is_a_value_error_and_nothing_is_written(
    path: Path, wrong: dict[str, Any]
) -> None:
    async with desk(path) as oms:
        with pytest.raises(InvalidInput, match=next(iter(wrong)).replace("order_type", "order_type|price")):
            await submit(oms, **wrong)

    assert not path.exists()


async def test_sides_types_and_states_are_taken_by_their_values_too(oms: Oms) -> None:
    order = await oms.submit_order("X", "sell", "market", "100", order_id="o-1", time_in_force="ioc")
    assert (order.side, order.order_type, order.time_in_force) == (SELL, MARKET, TimeInForce.IOC)
    await oms.update_order_state("o-1", "working")
    assert [each.order_id for each in oms.get_all_orders(state="working")] == ["o-1"]


async def test_submit_order_without_an_order_id_draws_one(oms: Oms) -> None:
    one, other = await asyncio.gather(submit(oms, None), submit(oms, None))
    assert one.order_id != other.order_id
    assert oms.get_order(one.order_id) == one
