"""The order, position and summary that queries return."""

import copy
import dataclasses
import pickle
from pathlib import Path

import pytest

from oms_es import OMSOrder, OrderManagementSystem, OrderState, TimeInForce
from oms_es.projections.views import MANY
from oms_es.timestamps import SECOND
from oms_es.vocabulary import OrderSide
from tests.desk import ADA, BUY, SELL, START, Clock, D, desk, order_of, position_of, submit, these, trade, work

Oms = OrderManagementSystem


async def test_an_order_is_shown_with_everything_the_spec_names(path: Path) -> None:
    clock = Clock(tick=0)
    async with desk(path, clock) as oms:
        await submit(oms, "o-1", account="a", time_in_force=TimeInForce.DAY, quantity="100.0")
        await oms.update_order_state("o-1", OrderState.WORKING, external_order_id="V-1")
        order = await oms.add_fill("o-1", "25", "9.90", "t-1", "-0.05")

        assert order == oms.get_order("o-1")
        assert (order.order_id, order.account, order.symbol, order.side) == ("o-1", "a", ADA, BUY)
        assert these(order.quantity, order.filled_quantity, order.remaining_quantity) == (100, 25, 75)
        assert these(order.open_quantity, order.avg_fill_price, order.fees) == (75, D("9.9"), D("-0.05"))
        assert (order.state, order.is_complete, order.fill_ratio) == (OrderState.WORKING, False, 0.25)
        assert (order.external_order_id, order.error_message) == ("V-1", None)
        assert (order.time_in_force, order.reduce_only) == (TimeInForce.DAY, False)
        (fill,) = order.fills
        expected = {"quantity": D(25), "price": D("9.9"), "fee": D("-0.05"), "trade_id": "t-1"}
        assert {name: fill[name] for name in expected} == expected
        assert fill["timestamp"] == START / SECOND


async def test_an_order_of_many_fills_shows_each_of_them_like_one_of_few(oms: Oms) -> None:
    await work(oms, "o-1")
    views = [await oms.add_fill("o-1", 1, 10, f"t-{number}", number) for number in range(MANY + 2)]
    last = await oms.bust_fill("o-1", "t-0")

    for number, view in enumerate(views, 1):
        assert [fill["fee"] for fill in view.fills] == list(range(number))
    assert [fill["trade_id"] for fill in last.fills] == [f"t-{number}" for number in range(1, MANY + 2)]
    again = order_of(oms, "o-1")
    assert copy.deepcopy(again) == pickle.loads(pickle.dumps(again)) == again == last
    assert dataclasses.asdict(again)["fills"] == last.fills
    with pytest.raises(AttributeError, match="'OMSOrder' object has no attribute 'filles'"):
        _ = again.filles  # type: ignore[attr-defined]


async def test_an_order_that_is_done_has_nothing_open(oms: Oms) -> None:
    await work(oms, "o-1")
    await oms.add_fill("o-1", 40, 10, "t-1")
    order = await oms.cancel_order("o-1")

    assert (order.state, order.is_complete) == (OrderState.CANCELLED, True)
    assert these(order.remaining_quantity, order.open_quantity, order.filled_quantity) == (60, 0, 40)
    assert order.reason == "User requested"


async def test_an_unfilled_order_has_an_average_price_of_0(oms: Oms) -> None:
    order = await submit(oms)
    assert these(order.avg_fill_price, order.fill_ratio, order.fills) == (0, 0.0, [])


async def test_an_error_message_of_the_venue_is_recorded_with_the_order(oms: Oms) -> None:
    await submit(oms)
    order = await oms.update_order_state("o-1", OrderState.FAILED, error_message="connection lost")
    assert (order.state, order.error_message) == (OrderState.FAILED, "connection lost")


async def test_orders_are_listed_by_symbol_state_and_account(oms: Oms) -> None:
    def ids(orders: list[OMSOrder]) -> list[str]:
        return [order.order_id for order in orders]

    await submit(oms, "c", symbol="X")
    await work(oms, "b", symbol="Y")
    await work(oms, "a", symbol="X", account="other")
    await submit(oms, "d", symbol="X")
    await oms.cancel_order("d")

    assert ids(oms.get_all_orders()) == ["b", "c", "d", "a"]
    assert ids(oms.get_all_orders("X")) == ["c", "d", "a"]
    assert ids(oms.get_all_orders(state=OrderState.WORKING)) == ["b", "a"]
    assert ids(oms.get_all_orders("X", OrderState.WORKING)) == ["a"]
    assert ids(oms.get_open_orders()) == ["b", "c", "a"]
    assert ids(oms.get_open_orders("X")) == ["c", "a"]
    assert ids(oms.get_open_orders("Z")) == []
    assert oms.get_order("nobody") is None


async def test_a_position_is_shown_with_everything_the_spec_names(path: Path) -> None:
    clock = Clock(tick=0)
    async with desk(path, clock) as oms:
        assert oms.get_position(ADA) is None
        await work(oms, "o-1")
        await oms.add_fill("o-1", 40, 10, "t-1", D("0.5"))
        clock.move(60)
        await oms.add_fill("o-1", 60, 11, "t-2", D("0.5"))
        position = position_of(oms, ADA)
        assert these(position.symbol, position.account, position.quantity) == (ADA, "default", 100)
        assert these(position.avg_price, position.cost_basis) == (D("10.6"), 1060)
        assert these(position.realized_pnl, position.gross_realized_pnl, position.fees) == (-1, 0, 1)
        assert (position.unrealized_pnl, position.mark_price) == (None, None)
        assert position.last_update == (START + 60 * SECOND) / SECOND

        await oms.record_mark(ADA, 12)
        position = position_of(oms, ADA)
        assert these(position.unrealized_pnl, position.mark_price) == (140, 12)


async def test_a_flat_position_is_still_shown(oms: Oms) -> None:
    await trade(oms, "o-1", BUY, 50, 10)
    await trade(oms, "o-2", SELL, 50, 12)
    (position,) = oms.get_all_positions()
    assert these(position.quantity, position.avg_price, position.realized_pnl) == (0, 0, 100)
    assert position == oms.get_position(ADA)


async def test_the_summary_has_the_specs_keys_and_adds_up(oms: Oms) -> None:
    assert oms.get_portfolio_summary()["total_positions"] == 0
    await trade(oms, "o-1", BUY, 50, 10)
    await trade(oms, "o-2", SELL, 20, 12)
    await trade(oms, "o-3", SELL, 30, 5, symbol="X", account="b")
    await trade(oms, "o-4", BUY, 10, 1, symbol="FLAT")
    await trade(oms, "o-5", SELL, 10, 1, symbol="FLAT")
    await submit(oms, "o-6")
    await oms.record_mark(ADA, 11)

    summary = oms.get_portfolio_summary()

    assert {
        "total_positions", "open_orders", "total_notional", "total_realized_pnl", "daily_pnl", "positions",
    } <= set(summary)  # fmt: skip
    assert (summary["total_positions"], summary["open_orders"]) == (2, 1)
    assert summary["total_notional"] == 30 * 11 + 30 * 5
    assert summary["total_realized_pnl"] == summary["daily_pnl"] == oms.risk_manager.daily_pnl == 40
    assert len(summary["positions"]) == 3
    assert oms.get_portfolio_summary(account="b")["total_notional"] == 150
    assert oms.get_portfolio_summary(account="nobody")["total_positions"] == 0


async def test_orders_positions_and_summaries_are_read_only_snapshots(oms: Oms) -> None:
    before = await work(oms, "o-1")
    after = await oms.add_fill("o-1", 40, 10, "t-1")
    assert these(before.filled_quantity, before.fills, after.filled_quantity) == (0, [], 40)
    position = position_of(oms, ADA)
    for view in (after, position):
        with pytest.raises(AttributeError):
            view.quantity = D(1)  # type: ignore[misc]

    after.fills[0]["price"] = D(99)
    after.fills.clear()
    oms.get_all_orders().clear()
    oms.get_portfolio_summary()["positions"].clear()

    order = order_of(oms, "o-1")
    assert [fill["price"] for fill in order.fills] == [10]
    assert len(oms.get_portfolio_summary()["positions"]) == 1


async def test_sums_over_several_currencies_are_none(tmp_path: Path) -> None:
    oms = desk(tmp_path / "day.db")

    await oms.define_instrument("FUT", currency="EUR")
    await trade(oms, "o-1", OrderSide.BUY, 10, 5)
    assert [oms.risk_manager.daily_pnl] == [0]
    await trade(oms, "o-2", OrderSide.BUY, 10, 5, symbol="FUT")

    summary = oms.get_portfolio_summary()
    assert (oms.risk_manager.daily_pnl, summary["daily_pnl"], summary["total_notional"]) == (None, None, None)
    assert {name: sums["total_notional"] for name, sums in summary["currencies"].items()} == {
        "USD": D(50),
        "EUR": D(50),
    }
