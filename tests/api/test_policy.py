"""Settings are recorded in the log as its policy."""

from pathlib import Path

import pytest

from oms_es import InvalidInput, OrderManagementSystem, OrderRejected, Settings, SettingsError
from oms_es.audit.replay import replay
from oms_es.domain.events import PolicyChanged
from tests.desk import (
    ADA,
    BUY,
    SELL,
    desk,
    events_of,
    fact,
    facts_file,
    filled,
    position_of,
    refusal,
    ruled,
    submit,
    submitted,
    take_in,
    topics_of,
    trade,
)

Oms = OrderManagementSystem


def policies(oms: Oms) -> list[PolicyChanged]:
    return [event for event in events_of(oms.log) if isinstance(event, PolicyChanged)]


def settings_file(folder: Path, text: str) -> Path:
    path = folder / "oms.yaml"
    path.write_text(text)
    return path


async def test_the_first_command_writes_the_settings_into_the_log(path: Path, tmp_path: Path) -> None:
    file = settings_file(tmp_path, "risk: {max_position_size: 500}\n")

    async with desk(path, settings=file) as oms:
        await submit(oms, "o-1")
        (policy,) = policies(oms)
        assert topics_of(oms.log)[0] == "PolicyChanged"
        assert policy.account == "*"
        assert policy.values["risk.max_position_size"] == "500"
        assert policy.values["risk.max_daily_loss"] == "1000"
        assert {key.partition(".")[0] for key in policy.values} == {
            "risk", "trading", "fills", "daily_loss", "day", "accounting",
        }  # fmt: skip
        assert policy.rules >= 1
        await submit(oms, "o-2")
        assert len(policies(oms)) == 1


async def test_the_defaults_are_those_of_the_design(oms: Oms) -> None:
    await oms.record_mark("X", 1)
    (policy,) = policies(oms)
    assert policy.values == {
        "risk.max_position_size": "10000", "risk.max_daily_loss": "1000", "risk.emergency_stop": "false",
        "risk.max_open_orders": "10", "risk.max_order_quantity": None, "risk.max_order_notional": None,
        "risk.price_collar": None, "risk.max_orders_per_second": None, "risk.restricted": (),
        "trading.min_quote_size": "10", "trading.max_skew": "5000", "accounting.method": "fifo",
        "daily_loss.basis": "realized", "fills.price_band": "0.5",
        "fills.infer": "true", "fills.price_band_floor": "1", "fills.on_exception": "quarantine",
        "day.timezone": "UTC", "day.roll": "00:00", "day.label": "start", "day.max_clock_step": "5",
    }  # fmt: skip


async def test_a_session_without_a_settings_file_never_changes_the_policy(path: Path, tmp_path: Path) -> None:
    file = settings_file(tmp_path, "risk: {max_position_size: 500}\n")

    async with desk(path, settings=file) as oms:
        await submit(oms, "o-1")
    async with desk(path) as oms:
        assert await refusal(submit(oms, "o-2", quantity=401)) == ["POSITION_SIZE"]
        assert len(policies(oms)) == 1


async def test_set_limits_holds_until_the_settings_file_changes(path: Path, tmp_path: Path) -> None:
    file = settings_file(tmp_path, "risk: {max_position_size: 500, max_open_orders: 3}\n")

    async with desk(path, settings=file) as oms:
        await oms.set_limits(max_position_size=300, actor="risk")
    async with desk(path, settings=file) as oms:
        assert await refusal(submit(oms, "o-1", quantity=301)) == ["POSITION_SIZE"]
        assert len(policies(oms)) == 2
    settings_file(tmp_path, "risk: {max_position_size: 500, max_open_orders: 4}\n")
    async with desk(path, settings=file) as oms:
        assert await refusal(submit(oms, "o-2", quantity=301)) == ["POSITION_SIZE"]
        assert policies(oms)[-1].values == {"risk.max_open_orders": "4"}
    settings_file(tmp_path, "risk: {max_position_size: 600}\n")
    async with desk(path, settings=file) as oms:
        assert await refusal(submit(oms, "o-3", quantity=601)) == ["POSITION_SIZE"]
        assert await refusal(submit(oms, "o-4", quantity=600)) == []
        assert policies(oms)[-1].values == {"risk.max_position_size": "600"}
        assert len(policies(oms)) == 4


async def test_a_changed_settings_file_applies_when_a_session_begins_with_an_import(path: Path, tmp_path: Path) -> None:
    file = settings_file(tmp_path, "risk: {max_position_size: 500}\n")
    history = facts_file(tmp_path / "f.jsonl", fact(1, "mark", symbol="Y", price="1"))

    async with desk(path, settings=file) as oms:
        await submit(oms, "o-1")
    settings_file(tmp_path, "risk: {max_position_size: 300}\n")
    async with desk(path, settings=file) as oms:
        await take_in(oms, history)
        assert await refusal(submit(oms, "o-2", quantity=201)) == ["POSITION_SIZE"]


async def test_a_log_of_imports_has_no_limits_until_the_first_command_records_them(oms: Oms, tmp_path: Path) -> None:
    history = facts_file(tmp_path / "f.jsonl", submitted(1, "a", "50000"), filled(2, "a", "50000"))

    outcome_ = await take_in(oms, history)
    assert (outcome_.fills, outcome_.quarantined) == (1, 0)
    assert policies(oms) == []
    assert await refusal(submit(oms, "o-1", symbol="X")) == ["POSITION_SIZE", "POSITION_SKEW"]
    assert len(policies(oms)) == 1


async def test_emergency_stop_of_the_settings_file_halts_and_its_removal_resumes(path: Path, tmp_path: Path) -> None:
    file = settings_file(tmp_path, "risk: {emergency_stop: true}\n")

    async with desk(path, settings=file) as oms:
        assert await refusal(submit(oms, "o-1")) == ["EMERGENCY_STOP"]
    async with desk(path) as oms:
        assert await refusal(submit(oms, "o-2")) == ["EMERGENCY_STOP"]
        await oms.resume(actor="risk")
    async with desk(path, settings=file) as oms:
        assert await refusal(submit(oms, "o-3")) == [], "the operator's resume stands until the file changes"
        await oms.halt()
    settings_file(tmp_path, "risk: {emergency_stop: false}\n")
    async with desk(path, settings=file) as oms:
        assert await refusal(submit(oms, "o-4")) == []
    settings_file(tmp_path, "risk: {emergency_stop: true}\n")
    async with desk(path, settings=file) as oms:
        assert await refusal(submit(oms, "o-5")) == ["EMERGENCY_STOP"]


async def test_a_halt_survives_restarts_with_and_without_a_settings_file(path: Path, tmp_path: Path) -> None:
    file = settings_file(tmp_path, "risk: {emergency_stop: false}\n")

    async with desk(path, settings=file) as oms:
        await submit(oms, "o-0")
        await oms.halt(actor="risk")
    for settings in (None, file, None):
        async with desk(path, settings=settings) as oms:
            assert await refusal(submit(oms, f"o-{oms.log.head().seq}")) == ["EMERGENCY_STOP"]


async def test_an_unchanged_settings_file_does_not_release_an_operators_halt(path: Path, tmp_path: Path) -> None:
    file = settings_file(tmp_path, "risk: {emergency_stop: false}\n")

    async with desk(path) as oms:
        await oms.halt(actor="risk")
    async with desk(path, settings=file) as oms:
        assert await refusal(submit(oms, "o-1")) == ["EMERGENCY_STOP"]


async def test_a_halt_reaches_another_session_at_once(path: Path) -> None:
    async with desk(path) as bot, desk(path) as risk:
        await submit(bot, "o-1")
        await risk.halt()
        assert await refusal(submit(bot, "o-2")) == ["EMERGENCY_STOP"]
        await risk.resume()
        assert await refusal(submit(bot, "o-3")) == []


async def test_the_cost_method_comes_from_the_policy_in_the_log_and_not_from_the_session(path: Path) -> None:
    async with desk(path, settings=ruled(accounting={"method": "lifo"})) as oms:
        await trade(oms, "o-1", BUY, 10, 1)
        await trade(oms, "o-2", BUY, 10, 2)
        await trade(oms, "o-3", SELL, 10, 3)
    async with desk(path, settings=Settings.default()) as oms:
        found = position_of(oms, ADA)
        assert found.realized_pnl == 10
        by_method = {name: oms.positions(method=name)[0].realized_pnl for name in ("fifo", "lifo", "average")}
        assert by_method == {"fifo": 20, "lifo": 10, "average": 15}
        await oms.set_limits(method="fifo")
        assert position_of(oms, ADA).realized_pnl == 20


async def test_a_symbol_and_a_currency_can_have_limits_of_their_own(path: Path) -> None:
    settings = ruled(
        risk={
            "max_position_size": 100.5, "max_daily_loss": 20, "max_open_orders": None,
            "symbols": {"BTC": {"max_position_size": 2.5, "min_quote_size": "0.1"}, "BRK.B": {"max_skew": None}},
            "currencies": {"JPY": {"max_daily_loss": 1e3}},
        },
        trading={"max_skew": None},
    )  # fmt: skip
    async with desk(path, settings=settings) as oms:
        await oms.define_instrument("NIKKEI", currency="JPY")
        await oms.submit_order("BTC", "buy", "limit", "0.5", 10)
        with pytest.raises(OrderRejected, match=r"3 BTC would exceed the limit of 2\.5 \(risk\.symbols\.BTC\.max_pos"):
            await oms.submit_order("BTC", "buy", "limit", "2.5", 10)
        with pytest.raises(OrderRejected, match=r"101 ETH would exceed the limit of 100\.5 \(risk\.max_position_size"):
            await oms.submit_order("ETH", "buy", "limit", 101, 10)
        for symbol, loss in (("NIKKEI", 500), ("ETH", 0)):
            await oms.submit_order(symbol, "buy", "limit", 10, 100, f"{symbol}-1")
            await oms.add_fill(f"{symbol}-1", 10, 100, "t")
            await oms.submit_order(symbol, "sell", "limit", 10, 50, f"{symbol}-2")
            await oms.add_fill(f"{symbol}-2", 10, 100 - loss // 10, "t")
        await oms.submit_order("NIKKEI", "buy", "limit", 10, 100)  # a loss of 500 JPY is below the limit of 1000
        await oms.set_limits(currencies={"JPY": {"max_daily_loss": 400}})
        with pytest.raises(OrderRejected, match=r"DAILY_LOSS: 500 .* \(risk\.currencies\.JPY\.max_daily_loss\)"):
            await oms.submit_order("NIKKEI", "buy", "limit", 10, 100)
        await oms.set_limits(symbols={"BTC": {"max_position_size": None}})
        await oms.submit_order("BTC", "buy", "limit", 900, 10)
    async with desk(path) as oms:
        assert replay(oms.log.read(), check=True).divergent == []
        with pytest.raises(InvalidInput, match="max_open_orders"):
            await oms.set_limits(symbols={"BTC": {"max_open_orders": 1}})


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_limit_may_be_a_finite_float_and_is_read_by_its_shortest_text(wrong: float) -> None:
    assert ruled(risk={"max_daily_loss": 0.1}).values["risk.max_daily_loss"] == "0.1"
    assert ruled(risk={"max_daily_loss": 1e16}).values["risk.max_daily_loss"] == "10000000000000000"
    with pytest.raises(SettingsError, match="no number that can be a limit"):
        ruled(risk={"max_daily_loss": wrong})
