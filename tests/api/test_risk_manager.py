"""Risk checks through the API: halt, rejection, check_risk, timeout, limits, daily loss."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from oms_es import OMSOrder, OrderManagementSystem, OrderRejected, OrderState, Position, Settings, TradingLevel
from oms_es.domain.events import OrderSubmitted, StateChanged
from oms_es.log.sqlite import SqliteLog
from oms_es.vocabulary import OrderSide, OrderType
from tests.desk import (
    ADA,
    BUY,
    LIMIT,
    SELL,
    START,
    Clock,
    D,
    Gate,
    Watched,
    codes,
    desk,
    refusal,
    ruled,
    submit,
    these,
    trade,
    work,
)

Oms = OrderManagementSystem


async def test_halt_refuses_new_orders_but_no_cancels_and_fills_until_resume(oms: Oms) -> None:
    await trade(oms, "o-0", BUY, 100, 10)
    await work(oms, "o-1")
    await oms.halt(reason="lunch", actor="risk")
    assert await refusal(submit(oms, "o-2", side=SELL, quantity=100)) == ["EMERGENCY_STOP"]
    assert await refusal(oms.amend_order("o-1", quantity=200)) == ["EMERGENCY_STOP"]
    assert (await oms.add_fill("o-1", 40, 10)).filled_quantity == 40
    assert (await oms.amend_order("o-1", quantity=90)).quantity == 90
    assert (await oms.cancel_order("o-1")).state is OrderState.CANCELLED

    await oms.halt(TradingLevel.REDUCE_ONLY)
    assert await refusal(submit(oms, "o-3")) == ["EMERGENCY_STOP"]
    assert await refusal(submit(oms, "o-4", side=SELL, quantity=140)) == []
    await oms.resume()
    assert await refusal(submit(oms, "o-5")) == []


async def test_a_rejected_order_is_recorded_and_shown_after_a_restart(path: Path) -> None:
    async with desk(path) as oms:
        with pytest.raises(OrderRejected) as error:
            await submit(oms, "o-1", quantity=20_000, actor="bot")
        assert oms.get_order("o-1") == error.value.order
    async with desk(path) as oms:
        (order,) = oms.get_all_orders(state=OrderState.REJECTED)
        assert order == error.value.order
        assert list(order.violations) == error.value.violations
        assert these(order.open_quantity, oms.risk_manager.open_order_count) == (0, 0)
        submitted_, refused = list(oms.log.stream("order/default/o-1"))
        assert isinstance(submitted_.event, OrderSubmitted)
        assert submitted_.event.actor == "bot"
        assert isinstance(refused.event, StateChanged)
        assert (refused.event.old, refused.event.new) == (OrderState.IDLE, OrderState.REJECTED)
        assert refused.event.violations == order.violations


async def test_check_risk_returns_the_violations_of_submit_order_and_writes_nothing(oms: Oms) -> None:
    await trade(oms, "o-1", BUY, 4000, 10)
    head = oms.log.head()
    for quantity, fine in ((6000, True), (6001, False), (9, False)):
        order = OMSOrder(order_id="probe", symbol=ADA, side=BUY, order_type=LIMIT, quantity=D(quantity), price=D(10))
        passed, why = oms.risk_manager.check_risk(order, oms.get_position(ADA))
        assert passed is fine
        assert oms.log.head() == head
        assert bool(why) is not fine
    empty = Position(symbol=ADA)
    assert oms.risk_manager.check_risk(
        OMSOrder(order_id="p", symbol=ADA, side=BUY, order_type=LIMIT, quantity=D(9000), price=D(10)), empty
    ) == (True, [])


async def test_check_risk_and_submit_order_refuse_while_the_clock_is_behind_the_log(path: Path) -> None:
    clock = Clock()
    async with desk(path, clock) as oms:
        await submit(oms, "o-1")
        clock.move(-60)
        order = OMSOrder(order_id="p", symbol=ADA, side=BUY, order_type=LIMIT, quantity=D(100), price=D(10))
        passed, why = oms.risk_manager.check_risk(order, None)
        assert await refusal(submit(oms, "o-2")) == ["CLOCK"]
        assert (passed, codes(why)) == (False, ["CLOCK"])


async def test_a_risk_check_beyond_risk_check_timeout_is_refused_and_recorded(path: Path) -> None:
    async with desk(path) as oms:
        await work(oms, "o-1")
    async with desk(path, settings=ruled(system={"risk_check_timeout": 0})) as oms:
        assert await refusal(submit(oms, "o-2")) == ["RISK_TIMEOUT"]
        assert await refusal(oms.amend_order("o-1", quantity=110)) == ["RISK_TIMEOUT"]
        assert (await oms.add_fill("o-1", 40, 10)).filled_quantity == 40
        assert (await oms.cancel_order("o-1")).state is OrderState.CANCELLED
    async with desk(path) as oms:
        assert await refusal(submit(oms, "o-2")) == ["RISK_TIMEOUT"], "the first outcome, and no other"


async def test_set_limits_for_one_account_leaves_the_others_alone(path: Path) -> None:
    async with desk(path) as oms:
        await oms.set_limits(account="a", max_position_size=50, max_open_orders=1, actor="risk", reason="new")
        assert await refusal(submit(oms, "o-1", account="a", quantity=51)) == ["POSITION_SIZE"]
        assert await refusal(submit(oms, "o-2", account="a", quantity=50)) == []
        assert await refusal(submit(oms, "o-3", account="a", symbol="X", quantity=10)) == ["OPEN_ORDERS"]
        assert await refusal(submit(oms, "o-4", account="b", quantity=9000)) == []
        await oms.set_limits(max_position_size=70)
        assert await refusal(submit(oms, "o-5", account="c", quantity=71)) == ["POSITION_SIZE"]
    async with desk(path) as oms:
        await oms.cancel_order("o-2")
        assert await refusal(submit(oms, "o-6", account="a", quantity=51)) == ["POSITION_SIZE"]


@pytest.mark.parametrize(
    "wrong",
    [{}, {"max_positon_size": 5}, {"max_position_size": -1}, {"max_position_size": 1.5}, {"max_open_orders": "x"}],
    ids=repr,
)
async def test_an_invalid_limit_of_set_limits_is_a_value_error(path: Path, wrong: dict[str, Any]) -> None:
    async with desk(path) as oms:
        with pytest.raises(ValueError, match=r"limit|max_"):
            await oms.set_limits(**wrong)

    assert not path.exists()


async def test_daily_pnl_survives_a_restart_and_ends_with_the_trading_day(path: Path) -> None:
    clock = Clock()
    async with desk(path, clock) as oms:
        await trade(oms, "o-1", BUY, 100, 20)
        await trade(oms, "o-2", SELL, 100, 10)
        assert oms.risk_manager.daily_pnl == -1000
    async with desk(path, clock) as oms:
        assert oms.risk_manager.daily_pnl == -1000
        assert oms.get_portfolio_summary()["daily_pnl"] == -1000
        assert await refusal(submit(oms, "o-3")) == ["DAILY_LOSS"]
        clock.move(12 * 3600 - 60)  # a minute before midnight
        assert await refusal(submit(oms, "o-4")) == ["DAILY_LOSS"]
        clock.move(120)
        assert await refusal(submit(oms, "o-5")) == []
        assert oms.risk_manager.daily_pnl == 0
        assert oms.get_portfolio_summary()["total_realized_pnl"] == -1000


async def test_daily_loss_with_basis_total_counts_unrealized_pnl(path: Path) -> None:
    async with desk(path, settings=ruled(daily_loss={"basis": "total"})) as oms:
        await trade(oms, "o-1", BUY, 500, 10)
        await oms.record_mark(ADA, "8.01")
        assert await refusal(submit(oms, "o-2")) == []
        await oms.record_mark(ADA, 8)
        assert oms.risk_manager.daily_pnl == -1000
        assert await refusal(submit(oms, "o-3")) == ["DAILY_LOSS"]


@pytest.mark.parametrize(
    ("rules", "code"), [({"emergency_stop": True}, "EMERGENCY_STOP"), ({"max_position_size": 50}, "POSITION_SIZE")]
)
@pytest.mark.parametrize("fresh", [True, False], ids=["on a fresh log", "on a log with rules"])
def test_check_risk_applies_the_settings_that_the_first_command_would_record(
    fresh: bool, rules: dict[str, object], code: str, tmp_path: Path
) -> None:
    if not fresh:
        asyncio.run(desk(tmp_path / "day.db").record_mark(ADA, 10))
    (tmp_path / "oms.yaml").write_text(f"risk: {rules}".replace("'", "").replace("True", "true"), encoding="utf-8")
    oms = desk(tmp_path / "day.db", Clock(START + 10**9), Settings.from_file(tmp_path / "oms.yaml"))
    order = OMSOrder(
        order_id="x", symbol=ADA, side=OrderSide.BUY, order_type=OrderType.LIMIT, quantity=D(100), price=D(1)
    )

    may, why = oms.risk_manager.check_risk(order, None)
    with pytest.raises(OrderRejected) as refusal:
        asyncio.run(submit(oms))

    assert (may, codes(why)) == (False, [code]) == (False, codes(refusal.value.violations))


async def test_daily_pnl_queried_during_an_append_is_not_cached_without_its_events(tmp_path: Path) -> None:
    log = Watched(SqliteLog(tmp_path / "day.db"))
    oms = desk(log, Clock())

    await oms.define_instrument("EUX", multiplier=D(1), currency="EUR")
    await work(oms)
    await oms.add_fill("o-1", 10, 10, "t-1", 1)
    await work(oms, "o-2", symbol="EUX")
    gate = Gate()
    log.before = gate
    coming = asyncio.create_task(oms.add_fill("o-2", 10, 10, "t-2", 5))
    await asyncio.to_thread(gate.reached.wait)
    assert oms.risk_manager.daily_pnl == D(-1)
    gate.opened.set()
    await coming

    assert oms.risk_manager.daily_pnl is None
