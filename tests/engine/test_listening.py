"""Who is told of what: idle processes, callbacks that block, metrics, and rules that change."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oms_es import InvalidInput, OMSOrder, OrderManagementSystem, OrderRejected, Settings
from oms_es.errors import FillQuarantinedError
from oms_es.vocabulary import OrderSide, OrderType
from tests.cli.test_cli import Oms
from tests.desk import ADA, START, Clock, D, codes, desk, ruled, submit, trade, work


@pytest.fixture
def oms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oms:
    monkeypatch.chdir(tmp_path)
    return Oms(tmp_path / "day.db")


async def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Return once something holds; a test that waits in vain fails where it looks next."""
    for _ in range(int(seconds / 0.01)):
        if holds():
            return
        await asyncio.sleep(0.01)


# --- other processes ---


async def test_an_idle_process_hears_of_what_others_append_in_order(tmp_path: Path) -> None:
    heard: list[str] = []
    held: list[object] = []

    idle, busy = desk(tmp_path / "day.db"), desk(tmp_path / "day.db")
    await submit(busy, "before")
    idle.add_order_callback(lambda order: heard.append(f"{order.order_id} {order.state.value}"))
    idle.add_position_callback(lambda position: held.append(position.quantity))
    await submit(busy, "o-1")
    await busy.add_fill("o-1", 100, 10, "t-1")
    await until(lambda: len(heard) == 5 and bool(held))
    await idle.close()
    await busy.close()

    # What stood there before is no news. Each event is told with the order as it was right after it.
    assert heard == ["o-1 idle", "o-1 pending", "o-1 working", "o-1 working", "o-1 filled"]
    assert held == [D(100)]


def test_a_system_that_is_dropped_is_watched_no_longer(tmp_path: Path) -> None:
    async def run() -> int:
        oms = desk(tmp_path / "day.db")
        oms.add_order_callback(lambda _: None)
        await submit(oms)
        del oms
        await asyncio.sleep(0.3)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1


# --- callbacks ---


def test_a_synchronous_callback_that_blocks_holds_up_neither_the_loop_nor_the_others(tmp_path: Path) -> None:
    released, told = threading.Event(), list[str]()

    def block(_: OMSOrder) -> None:
        released.wait(20)

    async def run() -> float:
        oms = desk(tmp_path / "day.db")
        oms.add_order_callback(block)
        oms.add_order_callback(lambda order: told.append(order.state.value))
        begun = time.monotonic()
        for number in range(5):
            await submit(oms, f"o-{number}")
        spent = time.monotonic() - begun
        assert told == ["idle", "pending"] * 5
        released.set()
        return spent

    assert asyncio.run(run()) < 10  # and not five times twenty seconds


async def test_when_a_command_returns_a_prompt_callback_has_heard_of_it_and_may_ask(tmp_path: Path) -> None:
    seen: list[tuple[str, object]] = []

    oms = desk(tmp_path / "day.db")

    def told(order: OMSOrder) -> None:
        position = oms.get_position(ADA)
        seen.append((order.state.value, None if position is None else position.quantity))

    oms.add_order_callback(told)
    await work(oms)
    await oms.add_fill("o-1", 100, 10, "t-1")
    assert seen[-1] == ("filled", D(100))
    await oms.close()


async def test_a_callback_that_is_cancelled_hears_of_the_next(tmp_path: Path) -> None:
    told: list[str] = []

    async def cancelled(order: OMSOrder) -> None:
        told.append(order.state.value)
        if len(told) == 1:
            raise asyncio.CancelledError

    oms = desk(tmp_path / "day.db")
    oms.add_order_callback(cancelled)
    await submit(oms)
    await oms.close()

    assert told == ["idle", "pending"]


# --- asking without submitting ---


@pytest.mark.parametrize(
    ("rules", "code"),
    [({"emergency_stop": True}, "EMERGENCY_STOP"), ({"max_position_size": 50}, "POSITION_SIZE")],
)
@pytest.mark.parametrize("fresh", [True, False], ids=["on a fresh log", "on a log with rules"])
def test_check_risk_knows_the_rules_that_the_first_command_would_bring(
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


async def test_sums_of_several_currencies_are_none(tmp_path: Path) -> None:
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


# --- metrics ---


def gauge(oms: OrderManagementSystem, name: str) -> float:
    line = next(line for line in oms.metrics.text().splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


def test_gauges_tell_how_things_stand_after_a_restart_and_in_other_processes(tmp_path: Path) -> None:
    first = desk(tmp_path / "day.db")
    asyncio.run(work(first))
    asyncio.run(trade(first, "o-2", OrderSide.BUY, 10, 5))
    with pytest.raises(FillQuarantinedError) as waits:
        asyncio.run(first.add_fill("nobody", 1, 1, "t"))

    again = desk(tmp_path / "day.db")

    names = ("oms_open_orders", "oms_positions", "oms_quarantined_fills", "oms_orders_in_memory")
    assert [gauge(again, name) for name in names] == [1, 1, 1, 2]
    asyncio.run(first.resolve_quarantined(waits.value.quarantine_id, False))
    assert gauge(again, "oms_quarantined_fills") == 0


async def test_order_latency_is_by_our_clock(tmp_path: Path) -> None:
    clock = Clock()
    oms = desk(tmp_path / "day.db", clock)
    assert oms.metrics.text()

    await submit(oms, occurred_at=START - 3600 * 10**9)
    clock.move(2)
    await oms.update_order_state("o-1", "working")

    assert 2 <= gauge(oms, "oms_order_latency_seconds_sum") < 2.1


# --- rules ---


def test_what_holds_for_a_whole_log_cannot_be_another_for_one_account(tmp_path: Path) -> None:
    oms = desk(tmp_path / "day.db")
    for changes in ({"timezone": "Asia/Tokyo"}, {"method": "lifo"}, {"max_clock_step": 1}):
        with pytest.raises(InvalidInput, match="holds for every account"):
            asyncio.run(oms.set_limits(account="a", **changes))
    assert not (tmp_path / "day.db").exists()


def test_rules_that_somebody_else_changes_are_said_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    oms, other = desk(tmp_path / "day.db"), desk(tmp_path / "day.db")

    async def run() -> None:
        await submit(oms)
        await other.set_limits(max_position_size=5, reason="half a day", actor="desk", account="a")
        await other.halt("reduce_only", reason="drill", actor="desk")

    with caplog.at_level(logging.WARNING, logger="oms_es"):
        asyncio.run(run())
        assert caplog.messages == []  # whoever asks for a change knows of it
        oms.get_all_positions()

    assert caplog.messages == [
        "the rules of account a changed: risk.max_position_size = 5 (by desk: half a day)",
        "the trading level of every account is reduce_only (by desk: drill)",
    ]


def test_a_limit_is_not_removed_by_an_empty_word_and_null_restricts_nothing(oms: Oms) -> None:
    assert "gives no value" in oms("limits set max_position_size=", code=2).stderr
    oms("limits set restricted=A,B")
    oms("limits set restricted=null")
    assert oms.json("limits")["limits"][0]["values"]["risk.restricted"] == []


def test_limits_and_the_quarantine_can_be_asked_about_any_moment(oms: Oms) -> None:
    oms("limits set max_position_size=500")
    oms("limits set max_position_size=600")
    seq = oms.json("limits")["basis"]["seq"]

    assert oms.json(f"limits --at-seq {seq - 1}")["limits"][0]["values"]["risk.max_position_size"] == "500"
    oms("fill nobody 1 1 --trade-id t", code=1)
    assert oms.json(f"quarantine --at-seq {seq}")["quarantine"] == []
    assert len(oms.json("quarantine")["quarantine"]) == 1
    for words in ("limits", "mark ADA 1", "why position ADA", "replay", "diff seq:1 now", "submit ADA buy limit 10 1"):
        assert "1 fill waits in quarantine" in oms(words).stderr, words


def test_settings_that_say_the_same_are_not_said_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rules = ruled(risk={"max_position_size": 500})
    with caplog.at_level(logging.WARNING, logger="oms_es"):
        for _ in range(2):
            asyncio.run(desk(tmp_path / "day.db", Clock(), rules).record_mark(ADA, 1))
    assert caplog.messages == []
