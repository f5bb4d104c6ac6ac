"""The embedded API: the spec's names, positions, defaults and examples, and the promises that come with them."""

import asyncio
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import oms_es
from oms_es import (
    AmbiguousOrder,
    CommandConflict,
    FillQuarantinedError,
    InvalidInput,
    InvalidTransition,
    OmsError,
    OMSOrder,
    OrderManagementSystem,
    OrderRejected,
    OrderSide,
    OrderState,
    OrderType,
    Position,
    RiskManager,
    Settings,
    SettingsError,
    TimeInForce,
    TradingLevel,
    UnknownFill,
    UnknownOrder,
    UnknownQuarantine,
)
from oms_es.domain.events import FillAdded, FillQuarantined, OrderSubmitted, PolicyChanged, StateChanged
from oms_es.log.sqlite import SqliteLog
from oms_es.timestamps import SECOND
from tests.desk import (
    ADA,
    BUY,
    LIMIT,
    MARKET,
    SELL,
    START,
    Clock,
    D,
    codes,
    desk,
    events_of,
    fact,
    facts_file,
    filled,
    ruled,
    submit,
    submitted,
    take_in,
    these,
    topics_of,
    trade,
    work,
)

Oms = OrderManagementSystem
Act = Callable[[Oms], Awaitable[Any]]


def topics(path: Path) -> list[str]:
    log = SqliteLog.existing(path)
    try:
        return topics_of(log)
    finally:
        log.close()


async def refusal(order: Awaitable[object]) -> list[str]:
    """Return the codes with which an order is refused; [] when it is not."""
    try:
        await order
    except OrderRejected as error:
        return codes(error.violations)
    return []


async def quarantined(fill: Awaitable[object]) -> FillQuarantinedError:
    with pytest.raises(FillQuarantinedError) as caught:
        await fill
    return caught.value


# --- the spec's names, positions and defaults ---

POSITIONAL: dict[str, list[tuple[str, object]]] = {
    "submit_order": [
        ("symbol", ...), ("side", ...), ("order_type", ...), ("quantity", ...), ("price", None), ("order_id", None),
    ],
    "update_order_state": [("order_id", ...), ("new_state", ...)],
    "add_fill": [
        ("order_id", ...), ("fill_quantity", ...), ("fill_price", ...), ("trade_id", None), ("fee", Decimal(0)),
    ],
    "cancel_order": [("order_id", ...), ("reason", "User requested")],
    "get_position": [("symbol", ...)],
    "get_all_positions": [],
    "get_portfolio_summary": [],
    "get_order": [("order_id", ...)],
    "get_all_orders": [("symbol", None), ("state", None)],
    "get_open_orders": [("symbol", None)],
}  # fmt: skip
KEYWORDS: dict[str, list[str]] = {
    "submit_order": ["account", "reduce_only", "time_in_force", "command_id", "occurred_at", "actor"],
    "update_order_state": ["external_order_id", "error_message"],
    "add_fill": ["symbol", "side", "occurred_at"],
    "amend_order": ["quantity", "price"],
    "bust_fill": ["reason"],
    "correct_fill": ["fill_quantity", "fill_price", "fee", "reason"],
    "resolve_quarantined": ["symbol", "side", "reason", "actor"],
    "record_mark": ["occurred_at"],
    "set_limits": ["account", "actor", "reason"],
    "halt": ["account", "reason", "actor"],
    "resume": ["account", "reason", "actor"],
    "get_order": ["account"],
    "get_position": ["account"],
    "get_portfolio_summary": ["account"],
    "positions": ["as_of", "known_at", "at_seq", "method"],
}
AWAITED = (
    "submit_order", "update_order_state", "add_fill", "cancel_order", "amend_order", "bust_fill", "correct_fill",
    "resolve_quarantined", "record_mark", "set_limits", "halt", "resume",
)  # fmt: skip


def parameters(name: str, kind: object) -> list[inspect.Parameter]:
    found = inspect.signature(getattr(Oms, name)).parameters.values()
    return [each for each in found if each.kind is kind and each.name != "self"]


@pytest.mark.parametrize(("name", "expected"), POSITIONAL.items(), ids=POSITIONAL)
def test_a_method_takes_the_specs_parameters_in_the_specs_order(name: str, expected: list[tuple[str, object]]) -> None:
    found = parameters(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)

    assert [(each.name, ... if each.default is each.empty else each.default) for each in found] == expected


@pytest.mark.parametrize(("name", "expected"), KEYWORDS.items(), ids=KEYWORDS)
def test_what_goes_beyond_the_spec_is_a_keyword_with_a_default(name: str, expected: list[str]) -> None:
    found = parameters(name, inspect.Parameter.KEYWORD_ONLY)

    assert set(expected) <= {each.name for each in found}
    assert all(each.default is not each.empty for each in found)


@pytest.mark.parametrize("name", AWAITED)
def test_a_command_is_awaited(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(Oms, name))


def test_an_order_and_a_position_have_the_specs_fields() -> None:
    order = [each.name for each in dataclasses.fields(OMSOrder)]
    position = [each.name for each in dataclasses.fields(Position)]

    assert order[:11] == [
        "order_id", "symbol", "side", "order_type", "quantity", "price", "state", "filled_quantity",
        "avg_fill_price", "external_order_id", "fills",
    ]  # fmt: skip
    assert position[:6] == ["symbol", "quantity", "avg_price", "realized_pnl", "unrealized_pnl", "last_update"]


def test_the_risk_manager_has_the_specs_check() -> None:
    found = inspect.signature(RiskManager.check_risk).parameters

    assert list(found) == ["self", "order", "position"]


def test_the_enums_have_the_specs_values() -> None:
    assert {each.name: each.value for each in OrderState} == {
        name: name.lower() for name in ("IDLE", "PENDING", "WORKING", "FILLED", "CANCELLED", "REJECTED", "FAILED")
    }
    assert {each.name: each.value for each in OrderSide} == {"BUY": "buy", "SELL": "sell"}
    assert {each.name: each.value for each in OrderType} == {"LIMIT": "limit", "MARKET": "market"}
    assert all(isinstance(each, str) for each in (OrderState.IDLE, OrderSide.BUY, OrderType.LIMIT))


# --- the spec's examples ---


def examples(spec: str) -> dict[str, str]:
    """Return the code of the spec's usage examples by title, the import path changed."""
    usage = spec.partition("## Usage Examples")[2].partition("## Integration Points")[0]
    found = re.findall(r"### (.+?)\n\n```python\n(.+?)```", usage, re.DOTALL)
    return {title: code.replace("from bot.oms import", "from oms_es import") for title, code in found}


async def carried_out(code: str, **names: object) -> dict[str, Any]:
    scope: dict[str, Any] = dict(names)
    body = textwrap.indent(code, "    ")
    exec(compile(f"async def example():\n{body}\n    return locals()\n", "the spec", "exec"), scope)
    found: dict[str, Any] = await scope["example"]()
    return found


@pytest.fixture
def spec_examples(shared_path: Path) -> dict[str, str]:
    found = examples((shared_path / "spec/order-management-system.md").read_text(encoding="utf-8"))
    assert list(found) == ["Basic Order Submission", "Fill Processing", "Portfolio Monitoring"]
    return found


def test_the_specs_first_example_submits_an_order(
    spec_examples: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    found = asyncio.run(carried_out(spec_examples["Basic Order Submission"]))

    assert capsys.readouterr().out == f"Order submitted: {found['order'].order_id}\n"
    assert found["order"].state is OrderState.PENDING
    assert (tmp_path / "oms.db").is_file()


def test_the_specs_first_example_catches_a_refusal_as_a_value_error(
    spec_examples: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "oms.yaml").write_text("risk:\n  max_position_size: 50\n")

    asyncio.run(carried_out(spec_examples["Basic Order Submission"]))

    assert capsys.readouterr().out.startswith("Order rejected: Order rejected: POSITION_SIZE: 100 ")


async def test_the_specs_second_example_books_a_fill(
    spec_examples: dict[str, str], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk(path) as oms:
        await oms.submit_order(ADA, BUY, LIMIT, D(100), D("0.45"), "order_123")
        await carried_out(spec_examples["Fill Processing"], oms=oms, Decimal=Decimal)

    assert capsys.readouterr().out == "Fill ratio: 50.0%\nRemaining: 50\n"


async def test_the_specs_third_example_shows_the_portfolio(
    spec_examples: dict[str, str], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk(path) as oms:
        await oms.submit_order(ADA, BUY, LIMIT, D(100), D("0.45"), "order_123")
        await oms.add_fill("order_123", D(50), D("0.451"), "trade_456", D("0.01"))
        await oms.record_mark(ADA, D("0.461"))
        await carried_out(spec_examples["Portfolio Monitoring"], oms=oms)

    assert capsys.readouterr().out.splitlines() == [
        "Total positions: 1",
        "Open orders: 1",
        "Daily P&L: -0.01",
        "Position: 50 ADA",
        "Average price: $0.451",
        "Unrealized P&L: $0.5",
    ]


async def test_the_specs_integrations_find_the_attributes_they_use(oms: Oms) -> None:
    order = await oms.submit_order(
        symbol=ADA, side=BUY, order_type=LIMIT, quantity=Decimal(str(12.5)), price=Decimal(str(0.45))
    )
    assert (order.symbol, order.side, order.order_type) == (ADA, BUY, LIMIT)
    assert order.price is not None
    assert (int(order.quantity), float(order.price)) == (12, 0.45)
    await oms.add_fill(
        order_id=order.order_id, fill_quantity=D("2.5"), fill_price=D("0.44"), trade_id="t", fee=D("0.01")
    )


# --- where it stands ---


def test_an_oms_without_arguments_uses_oms_yaml_and_oms_db_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    oms = OrderManagementSystem()
    assert list(tmp_path.iterdir()) == []

    order = asyncio.run(oms.submit_order("X", BUY, LIMIT, 100, 10))

    assert oms.get_order(order.order_id) == order
    assert (tmp_path / "oms.db").is_file()
    asyncio.run(oms.close())


async def test_the_environment_names_settings_and_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.yaml").write_text("risk: {max_position_size: 50}\nlog: {path: not-this.db}\n")
    monkeypatch.setenv("OMS_CONFIG", str(tmp_path / "other.yaml"))
    monkeypatch.setenv("OMS_LOG", str(tmp_path / "named.db"))

    async with OrderManagementSystem() as oms:
        assert await refusal(submit(oms)) == ["POSITION_SIZE"]

    assert (tmp_path / "named.db").is_file()
    assert not (tmp_path / "not-this.db").exists()


async def test_the_settings_name_the_log_and_an_argument_goes_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "oms.yaml").write_text("log: {path: from-settings.db}\n")

    async with OrderManagementSystem() as oms:
        await submit(oms)
    monkeypatch.setenv("OMS_LOG", str(tmp_path / "from-environment.db"))
    async with OrderManagementSystem("oms.yaml", log="named.db", clock=Clock()) as oms:
        await submit(oms)

    made = {each.name for each in tmp_path.glob("*.db")}
    assert made == {"from-settings.db", "named.db"}


def test_a_settings_file_that_is_not_there_or_wrong_is_a_value_error_with_its_path(tmp_path: Path) -> None:
    wrong = tmp_path / "oms.yaml"
    wrong.write_text("risk: {max_positon_size: 5}\n")

    with pytest.raises(SettingsError, match=r"oms\.yaml.*risk\.max_positon_size"):
        OrderManagementSystem(wrong, log=tmp_path / "day.db")
    with pytest.raises(ValueError, match=r"missing\.yaml"):
        OrderManagementSystem(tmp_path / "missing.yaml", log=tmp_path / "day.db")
    assert not (tmp_path / "day.db").exists()


# --- what goes in ---

BAD_NUMBERS = (
    1.0, True, None, "", "ten", "NaN", "Infinity", "1e3", "1_000", "１０", " 1", "1 ", "--1", "1,5", b"1",
    D("NaN"), D("-Infinity"), D("sNaN"), 10**18, "1" + "0" * 18, "0." + "0" * 18 + "1", D("1E-19"), D("1E+18"), "0x10",
)  # fmt: skip


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
async def test_a_number_that_is_not_exact_or_not_plain_is_refused_before_anything_is_written(
    path: Path, value: Any
) -> None:
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


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("100", "100"), ("100.50", "100.5"), (100, "100"), (D("1E+2"), "100"), ("+12.", "12"), ("012.340", "12.34"),
        ("999999999999999999.999999999999999999", "999999999999999999.999999999999999999"),
    ],
)  # fmt: skip
async def test_a_number_is_kept_exactly_and_in_canonical_form(path: Path, given: Any, kept: str) -> None:
    async with desk(path, settings=ruled(risk={"max_position_size": None})) as oms:
        order = await oms.submit_order("X", BUY, LIMIT, given, given, "o-1")
        assert (str(order.quantity), str(order.price)) == (kept, kept)


@pytest.mark.parametrize(
    "wrong",
    [
        {"side": "long"}, {"side": None}, {"order_type": "stop"}, {"quantity": 0}, {"quantity": "-1"}, {"price": None},
        {"order_type": MARKET}, {"symbol": ""}, {"symbol": "a\nb"}, {"symbol": "\ud800"}, {"symbol": "x" * 129},
        {"order_id": ""}, {"order_id": "a\x7fb"}, {"order_id": 7}, {"account": ""}, {"account": "a/b"},
        {"account": "é"}, {"account": "a" * 65}, {"account": "*"}, {"actor": "x" * 1001}, {"command_id": ""},
        {"time_in_force": "soon"},
        {"reduce_only": "yes"}, {"occurred_at": "2025-06-16T12:00:00"}, {"occurred_at": datetime(2025, 6, 16)},  # noqa: DTZ001
        {"occurred_at": 1.5}, {"occurred_at": "noon"},
    ],
    ids=repr,
)  # fmt: skip
async def test_an_argument_that_cannot_be_is_a_value_error_and_nothing_is_written(
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


async def test_an_order_without_an_id_gets_one_of_its_own(oms: Oms) -> None:
    one, other = await asyncio.gather(submit(oms, None), submit(oms, None))
    assert one.order_id != other.order_id
    assert oms.get_order(one.order_id) == one


# --- what comes out ---


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


async def test_what_the_venue_says_of_an_order_is_kept(oms: Oms) -> None:
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
        position = oms.get_position(ADA)
        assert position is not None
        assert these(position.symbol, position.account, position.quantity) == (ADA, "default", 100)
        assert these(position.avg_price, position.cost_basis) == (D("10.6"), 1060)
        assert these(position.realized_pnl, position.gross_realized_pnl, position.fees) == (-1, 0, 1)
        assert (position.unrealized_pnl, position.mark_price) == (None, None)
        assert position.last_update == (START + 60 * SECOND) / SECOND

        await oms.record_mark(ADA, 12)
        position = oms.get_position(ADA)
        assert position is not None
        assert these(position.unrealized_pnl, position.mark_price) == (140, 12)


async def test_a_flat_position_is_still_shown(oms: Oms) -> None:
    await trade(oms, "o-1", BUY, 50, 10)
    await trade(oms, "o-2", SELL, 50, 12)
    (position,) = oms.get_all_positions()
    assert these(position.quantity, position.avg_price, position.realized_pnl) == (0, 0, 100)
    assert position == oms.get_position(ADA)


async def test_a_position_that_flips_closes_at_the_old_price_and_opens_at_the_fills(oms: Oms) -> None:
    await trade(oms, "o-1", SELL, 50, 10)
    await trade(oms, "o-2", BUY, 80, 8)
    position = oms.get_position(ADA)
    assert position is not None
    assert these(position.quantity, position.avg_price, position.realized_pnl) == (30, 8, 100)


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


async def test_what_was_handed_out_cannot_be_changed_and_does_not_change(oms: Oms) -> None:
    before = await work(oms, "o-1")
    after = await oms.add_fill("o-1", 40, 10, "t-1")
    assert these(before.filled_quantity, before.fills, after.filled_quantity) == (0, [], 40)
    position = oms.get_position(ADA)
    assert position is not None
    for view in (after, position):
        with pytest.raises(AttributeError):
            view.quantity = D(1)  # type: ignore[misc]

    after.fills[0]["price"] = D(99)
    after.fills.clear()
    oms.get_all_orders().clear()
    oms.get_portfolio_summary()["positions"].clear()

    order = oms.get_order("o-1")
    assert order is not None
    assert [fill["price"] for fill in order.fills] == [10]
    assert len(oms.get_portfolio_summary()["positions"]) == 1


async def test_an_order_that_was_done_long_ago_is_still_found(path: Path) -> None:
    clock = Clock()
    async with desk(path, clock, ruled(system={"order_history_retention": 60})) as oms:
        await trade(oms, "o-1", BUY, 100, 10)
        clock.move(7200)
        await submit(oms, "o-2")
        order = oms.get_order("o-1")
        assert order is not None
        assert order.state is OrderState.FILLED
        with pytest.raises(CommandConflict):
            await submit(oms, "o-1", quantity=55)
        assert (await oms.add_fill("o-1", 100, 10, "t-o-1")).filled_quantity == 100


# --- which order ---


async def test_an_order_is_found_by_the_venues_id_wherever_an_id_is_taken(oms: Oms) -> None:
    await submit(oms, "o-1")
    await oms.update_order_state("o-1", OrderState.WORKING, external_order_id="V-1")
    found = oms.get_order("V-1")
    assert found is not None
    assert found.order_id == "o-1"
    assert (await oms.add_fill("V-1", 40, 10, "t-1")).order_id == "o-1"
    assert (await oms.correct_fill("V-1", "t-1", fill_price=11)).avg_fill_price == 11
    assert (await oms.bust_fill("V-1", "t-1")).filled_quantity == 0
    assert (await oms.amend_order("V-1", quantity=50)).quantity == 50
    assert (await oms.cancel_order("V-1")).order_id == "o-1"
    assert (await oms.add_fill("o-1", 10, 10, "t-2")).fills[-1]["late"] is True


async def test_an_order_may_collect_several_venue_ids(oms: Oms) -> None:
    await submit(oms, "o-1")
    await oms.update_order_state("o-1", OrderState.WORKING, external_order_id="V-1")
    await oms.update_order_state("o-1", OrderState.CANCELLED, external_order_id="V-2")
    for name in ("V-1", "V-2"):
        found = oms.get_order(name)
        assert found is not None
        assert found.external_order_id == "V-2"


async def test_our_own_id_goes_before_the_venues_and_a_submit_never_looks(oms: Oms) -> None:
    await submit(oms, "o-1")
    await oms.update_order_state("o-1", OrderState.WORKING, external_order_id="o-2")
    found = oms.get_order("o-2")
    assert found is not None
    assert found.order_id == "o-1"

    own = await submit(oms, "o-2", quantity=33)
    assert these(own.order_id, own.quantity) == ("o-2", 33)
    assert oms.get_order("o-2") == own
    assert (await oms.cancel_order("o-2")).quantity == 33


async def test_a_venue_id_of_two_orders_is_ambiguous(oms: Oms) -> None:
    for name in ("o-1", "o-2"):
        await submit(oms, name)
        await oms.update_order_state(name, OrderState.WORKING, external_order_id="V")
    with pytest.raises(AmbiguousOrder, match="o-1"):
        oms.get_order("V")
    with pytest.raises(AmbiguousOrder, match="o-2"):
        await oms.cancel_order("V")
    assert len(oms.get_open_orders()) == 2


async def test_an_id_in_two_accounts_is_ambiguous_until_the_account_is_named(oms: Oms) -> None:
    await work(oms, "o-1", account="a")
    await work(oms, "o-1", account="b", quantity=70)
    attempts: list[Act] = [
        lambda o: o.cancel_order("o-1"),
        lambda o: o.add_fill("o-1", 1, 10),
        lambda o: o.amend_order("o-1", price=11),
        lambda o: o.update_order_state("o-1", OrderState.CANCELLED),
        lambda o: o.bust_fill("o-1", "t"),
        lambda o: o.correct_fill("o-1", "t", fee=1),
    ]
    for attempt in attempts:
        with pytest.raises(AmbiguousOrder, match="account"):
            await attempt(oms)
    with pytest.raises(AmbiguousOrder):
        oms.get_order("o-1")

    order = oms.get_order("o-1", account="b")
    assert order is not None
    assert order.quantity == 70
    assert (await oms.cancel_order("o-1", account="a")).account == "a"
    assert (await oms.add_fill("o-1", 5, 10, account="b")).filled_quantity == 5
    assert oms.get_order("o-1", account="c") is None
    with pytest.raises(UnknownOrder):
        await oms.cancel_order("o-1", account="c")


async def test_a_position_of_two_accounts_is_ambiguous_until_the_account_is_named(oms: Oms) -> None:
    await trade(oms, "o-1", BUY, 10, 10, account="a")
    await trade(oms, "o-1", BUY, 20, 10, account="b")
    with pytest.raises(OmsError, match="account"):
        oms.get_position(ADA)
    position = oms.get_position(ADA, account="b")
    assert position is not None
    assert position.quantity == 20
    assert [each.account for each in oms.get_all_positions()] == ["a", "b"]


# --- the same again ---


async def a_history(oms: Oms) -> None:
    """Leave orders in every state that the commands below need, and two fills in quarantine."""
    await submit(oms, "pending")
    for name in ("working", "to-cancel", "to-amend", "to-fill", "over"):
        await work(oms, name)
    await oms.add_fill("working", 40, 10, "t-1")
    await quarantined(oms.add_fill("over", 500, 10, "t-over"))
    await quarantined(oms.add_fill("unknown", 5, 10, "t-unknown"))
    await oms.record_mark(ADA, 10)
    await oms.set_limits(max_open_orders=None)


async def waiting(oms: Oms, order_id: str) -> str:
    """Return under which id a fill of this order waits."""
    found = [each for each in oms.sequencer.state.orders.all_waiting() if each.fill.order_id == order_id]
    if found:
        return found[0].fill.quarantine_id
    told = [event for event in events_of(oms.log) if isinstance(event, FillQuarantined)]
    return next(event.quarantine_id for event in told if event.order_id == order_id)


async def resolve(oms: Oms, order_id: str, accept: bool, **more: Any) -> OMSOrder | None:
    return await oms.resolve_quarantined(await waiting(oms, order_id), accept, command_id="c", **more)


COMMANDS: dict[str, Act] = {
    "submit": lambda oms: submit(oms, "new", command_id="c"),
    "submit without an order id": lambda oms: submit(oms, None, command_id="c"),
    "submit that is refused": lambda oms: submit(oms, "new", quantity=10**6, command_id="c"),
    "acknowledge": lambda oms: oms.update_order_state("pending", "working", external_order_id="V", command_id="c"),
    "fill with a trade id": lambda oms: oms.add_fill("to-fill", 100, 10, "t", D("0.1"), command_id="c"),
    "fill without one": lambda oms: oms.add_fill("to-fill", 10, 10, command_id="c"),
    "fill of a pending order": lambda oms: oms.add_fill("pending", 100, 10, command_id="c"),
    "fill that is quarantined": lambda oms: oms.add_fill("to-fill", 101, 10, "t", command_id="c"),
    "fill of another session": lambda oms: oms.add_fill("x", 5, 10, "t", symbol=ADA, side=BUY, command_id="c"),
    "fill of an unknown order": lambda oms: oms.add_fill("x", 5, 10, "t", command_id="c"),
    "cancel": lambda oms: oms.cancel_order("to-cancel", "no need", command_id="c"),
    "amend": lambda oms: oms.amend_order("to-amend", quantity=120, price="9.5", command_id="c"),
    "amend to what is filled": lambda oms: oms.amend_order("working", quantity=40, command_id="c"),
    "amend that is refused": lambda oms: oms.amend_order("to-amend", quantity=10**6, command_id="c"),
    "bust": lambda oms: oms.bust_fill("working", "t-1", reason="error", command_id="c"),
    "correct": lambda oms: oms.correct_fill("working", "t-1", fill_price=11, command_id="c"),
    "correct that is quarantined": lambda oms: oms.correct_fill("working", "t-1", fill_quantity=999, command_id="c"),
    "accept from quarantine": lambda oms: resolve(oms, "over", accept=True, reason="agreed"),
    "reject from quarantine": lambda oms: resolve(oms, "over", accept=False),
    "accept an unknown order's": lambda oms: resolve(oms, "unknown", accept=True, symbol=ADA, side=SELL),
    "reject an unknown order's": lambda oms: resolve(oms, "unknown", accept=False),
    "mark": lambda oms: oms.record_mark(ADA, 12, command_id="c"),
    "limits": lambda oms: oms.set_limits(max_position_size=7000, command_id="c"),
    "halt": lambda oms: oms.halt(TradingLevel.REDUCE_ONLY, reason="tea", command_id="c"),
    "resume": lambda oms: oms.resume(command_id="c"),
}


async def outcome(act: Awaitable[Any]) -> tuple[object, ...]:
    """Return what a caller is told, the moment apart: a refusal raises again."""
    try:
        told = await act
    except (OrderRejected, FillQuarantinedError) as error:
        return type(error), str(error)
    return (dataclasses.asdict(told),) if isinstance(told, OMSOrder) else (told,)


@pytest.mark.parametrize("act", COMMANDS.values(), ids=COMMANDS)
async def test_a_command_repeated_after_a_restart_gives_the_first_outcome_and_appends_nothing(
    path: Path, act: Act
) -> None:
    async with desk(path) as oms:
        await a_history(oms)
        before = oms.log.head().seq
        first = await outcome(act(oms))
        head = oms.log.head()
        assert head.seq > before
    async with desk(path) as oms:
        assert await outcome(act(oms)) == first
        assert oms.log.head() == head


@pytest.mark.parametrize("act", COMMANDS.values(), ids=COMMANDS)
async def test_a_command_repeated_by_another_process_gives_the_first_outcome_and_appends_nothing(
    path: Path, act: Act
) -> None:
    async with desk(path) as one, desk(path) as other:
        await a_history(one)
        other.get_all_orders()
        first = await outcome(act(one))
        head = one.log.head()
        assert await outcome(act(other)) == first
        assert await outcome(act(one)) == first
        assert one.log.head() == head


@pytest.mark.parametrize("act", COMMANDS.values(), ids=COMMANDS)
async def test_a_command_twice_in_one_batch_is_carried_out_once(path: Path, act: Act) -> None:
    async with desk(path.with_name("once.db")) as oms:
        await a_history(oms)
        alone = await outcome(act(oms))
        once = topics_of(oms.log)
    async with desk(path) as oms:
        await a_history(oms)
        first, second = await asyncio.gather(outcome(act(oms)), outcome(act(oms)))
        assert first == second
        assert len(first) == len(alone)
        assert topics_of(oms.log) == once


@pytest.mark.parametrize("act", COMMANDS.values(), ids=COMMANDS)
async def test_an_id_that_was_used_for_something_else_is_a_conflict(oms: Oms, act: Act) -> None:
    await a_history(oms)
    await oms.record_mark("ELSE", 5, command_id="c")
    head = oms.log.head()
    with pytest.raises(CommandConflict, match="c"):
        await act(oms)
    assert oms.log.head() == head


CHANGED: dict[str, tuple[Act, Act]] = {
    "quantity": (COMMANDS["submit"], lambda oms: submit(oms, "new", quantity=101, command_id="c")),
    "price": (COMMANDS["submit"], lambda oms: submit(oms, "new", price=11, command_id="c")),
    "order id": (COMMANDS["submit"], lambda oms: submit(oms, "newer", command_id="c")),
    "account": (COMMANDS["submit"], lambda oms: submit(oms, "new", account="b", command_id="c")),
    "drawn order": (
        COMMANDS["submit without an order id"],
        lambda oms: submit(oms, None, quantity=101, command_id="c"),
    ),
    "state": (COMMANDS["acknowledge"], lambda oms: oms.update_order_state("pending", "failed", command_id="c")),
    "fee": (COMMANDS["fill without one"], lambda oms: oms.add_fill("to-fill", 10, 10, None, 1, command_id="c")),
    "fill price": (COMMANDS["fill without one"], lambda oms: oms.add_fill("to-fill", 10, 11, command_id="c")),
    "reason": (COMMANDS["cancel"], lambda oms: oms.cancel_order("to-cancel", "another", command_id="c")),
    "other order": (COMMANDS["cancel"], lambda oms: oms.cancel_order("to-amend", "no need", command_id="c")),
    "new quantity": (COMMANDS["amend"], lambda oms: oms.amend_order("to-amend", quantity=121, command_id="c")),
    "corrected price": (
        COMMANDS["correct"],
        lambda oms: oms.correct_fill("working", "t-1", fill_price=12, command_id="c"),
    ),
    "mark price": (COMMANDS["mark"], lambda oms: oms.record_mark(ADA, 13, command_id="c")),
    "limit": (COMMANDS["limits"], lambda oms: oms.set_limits(max_position_size=7001, command_id="c")),
    "level": (COMMANDS["halt"], lambda oms: oms.halt(reason="tea", command_id="c")),
    "verdict": (COMMANDS["reject from quarantine"], COMMANDS["accept from quarantine"]),
}


@pytest.mark.parametrize(("first", "then"), CHANGED.values(), ids=CHANGED)
async def test_a_command_id_with_other_content_is_a_conflict(oms: Oms, first: Act, then: Act) -> None:
    await a_history(oms)
    await first(oms)
    head = oms.log.head()
    with pytest.raises(CommandConflict, match="'c'"):
        await then(oms)
    assert oms.log.head() == head


async def test_times_are_no_part_of_what_was_asked(path: Path) -> None:
    clock = Clock()
    async with desk(path, clock) as oms:
        first = await submit(oms, "o-1", command_id="c-1", occurred_at=START - SECOND)
        clock.move(3600)
        again = await submit(oms, "o-1", command_id="c-1", occurred_at=START + 100 * SECOND)
        assert again == first
        assert topics_of(oms.log).count("OrderSubmitted") == 1


@pytest.mark.parametrize("restart", [False, True])
async def test_a_submit_is_known_by_its_order_id_too(path: Path, restart: bool) -> None:
    oms = desk(path)
    await submit(oms, "o-1")
    await oms.amend_order("o-1", quantity=150)
    assert await refusal(submit(oms, "big", quantity=10**6)) == ["POSITION_SIZE"]
    if restart:
        await oms.close()
        oms = desk(path)
    head = oms.log.head()

    assert (await submit(oms, "o-1")).quantity == 150
    assert await refusal(submit(oms, "big", quantity=10**6)) == ["POSITION_SIZE"]
    for change in ({"quantity": 150}, {"price": 11}, {"side": SELL}, {"symbol": "X"}, {"reduce_only": True}):
        with pytest.raises(CommandConflict, match="o-1"):
            await submit(oms, "o-1", **change)
    assert oms.log.head() == head
    await oms.close()


@pytest.mark.parametrize("restart", [False, True])
async def test_a_fill_is_known_by_its_trade_id_too(path: Path, restart: bool) -> None:
    oms = desk(path)
    await work(oms, "o-1")
    await work(oms, "o-2")
    await asyncio.gather(oms.add_fill("o-1", 40, 10, "t-1", D("0.1")), oms.add_fill("o-1", 40, 10, "t-1", D("0.1")))
    if restart:
        await oms.close()
        oms = desk(path)
    head = oms.log.head()

    assert (await oms.add_fill("o-1", "40.0", 10, "t-1", D("0.10"))).filled_quantity == 40
    assert oms.log.head() == head
    assert (await oms.add_fill("o-2", 40, 10, "t-1", D("0.1"))).filled_quantity == 40, "another order's trade"
    waits = await quarantined(oms.add_fill("o-1", 41, 10, "t-1", D("0.1")))
    assert waits.reason == "conflict"
    position = oms.get_position(ADA)
    assert position is not None
    assert position.quantity == 80
    await oms.close()


async def test_two_fills_without_a_trade_id_are_two_fills(oms: Oms) -> None:
    await work(oms, "o-1")
    await oms.add_fill("o-1", 40, 10)
    assert (await oms.add_fill("o-1", 40, 10)).filled_quantity == 80


async def test_a_fill_that_was_busted_or_corrected_is_still_known(oms: Oms) -> None:
    await work(oms, "o-1")
    await oms.add_fill("o-1", 40, 10, "t-1")
    await oms.add_fill("o-1", 30, 10, "t-2")
    await oms.bust_fill("o-1", "t-1")
    await oms.correct_fill("o-1", "t-2", fill_price=11)
    head = oms.log.head()

    assert (await oms.add_fill("o-1", 40, 10, "t-1")).filled_quantity == 30
    assert (await oms.add_fill("o-1", 30, 10, "t-2")).avg_fill_price == 11
    assert (await oms.add_fill("o-1", 30, 11, "t-2")).avg_fill_price == 11
    assert oms.log.head() == head


async def test_a_fill_that_came_before_the_acknowledgement_named_its_order_is_counted_once(oms: Oms) -> None:
    await submit(oms, "o-1")
    waits = await quarantined(oms.add_fill("V-1", 40, 10, "t-1"))
    await oms.update_order_state("o-1", OrderState.WORKING, external_order_id="V-1")
    try:
        await oms.add_fill("V-1", 40, 10, "t-1")  # the venue sends it again
        await oms.resolve_quarantined(waits.quarantine_id, accept=True, symbol=ADA, side=BUY)
    except OmsError:
        pass  # refusing either of them is as good
    position = oms.get_position(ADA)
    assert position is None or position.quantity <= 40


# --- fills that wait ---


async def test_a_fill_that_breaks_a_rule_waits_until_somebody_decides(oms: Oms) -> None:
    await work(oms, "o-1")
    waits = await quarantined(oms.add_fill("o-1", 150, 10, "t-1"))
    assert isinstance(waits, ValueError)
    assert waits.reason == "overfill"
    order = oms.get_order("o-1")
    assert order is not None
    assert these(order.filled_quantity, order.state) == (0, OrderState.WORKING)
    assert oms.get_position(ADA) is None

    accepted = await oms.resolve_quarantined(waits.quarantine_id, accept=True, reason="the venue insists")
    assert accepted is not None
    assert these(accepted.filled_quantity, accepted.state) == (150, OrderState.FILLED)
    with pytest.raises(UnknownQuarantine):
        await oms.resolve_quarantined(waits.quarantine_id, accept=False)
    with pytest.raises(UnknownQuarantine):
        await oms.resolve_quarantined("q-nothing", accept=True)


@pytest.mark.parametrize(
    ("price", "fits"),
    [("15", True), ("5", True), ("15.000001", False), ("4.999999", True), ("-10", True), ("100", False)],
)
async def test_a_fill_may_be_half_of_the_limit_price_worse_and_no_more(oms: Oms, price: str, fits: bool) -> None:
    await work(oms, "o-1")
    if fits:
        assert (await oms.add_fill("o-1", 1, price)).filled_quantity == 1
    else:
        assert (await quarantined(oms.add_fill("o-1", 1, price))).reason == "price_band"


async def test_a_market_orders_fill_is_held_against_the_mark_if_there_is_one(oms: Oms) -> None:
    await work(oms, "o-1", order_type=MARKET, price=None)
    await oms.add_fill("o-1", 1, 777)
    await oms.record_mark(ADA, 10)
    assert (await quarantined(oms.add_fill("o-1", 1, 777))).reason == "price_band"


async def test_a_fill_of_a_cancelled_order_is_late_and_still_counts(oms: Oms) -> None:
    await work(oms, "o-1")
    await oms.cancel_order("o-1")
    order = await oms.add_fill("o-1", 40, 10, "t-1")
    assert these(order.state, order.filled_quantity, order.fills[0]["late"]) == (OrderState.CANCELLED, 40, True)
    position = oms.get_position(ADA)
    assert position is not None
    assert position.quantity == 40
    assert (await quarantined(oms.add_fill("o-1", 61, 10, "t-2"))).reason == "overfill"


async def test_a_fill_of_an_order_that_is_filled_or_refused_waits(oms: Oms) -> None:
    await trade(oms, "o-1", BUY, 100, 10)
    assert await refusal(submit(oms, "o-2", quantity=1)) == ["ORDER_QUANTITY"]
    assert (await quarantined(oms.add_fill("o-1", 1, 10, "t-9"))).reason == "order_done"
    assert (await quarantined(oms.add_fill("o-2", 1, 10, "t-9"))).reason == "order_done"


async def test_another_sessions_fill_opens_an_external_order_that_grows(oms: Oms) -> None:
    await oms.add_fill("theirs", 30, 10, "t-1", symbol=ADA, side=SELL)
    order = await oms.add_fill("theirs", 20, 11, "t-2")

    assert (order.external, order.state, order.side) == (True, OrderState.WORKING, SELL)
    assert these(order.quantity, order.filled_quantity, order.open_quantity) == (50, 50, 0)
    assert oms.get_open_orders() == []
    assert oms.risk_manager.open_order_count == 0
    position = oms.get_position(ADA)
    assert position is not None
    assert position.quantity == -50
    origins = {r.origin.value for r in oms.log.stream("order/default/theirs")}
    assert origins == {"external"}


async def test_a_fill_that_was_busted_reopens_a_filled_order(oms: Oms) -> None:
    await trade(oms, "o-1", BUY, 100, 10)
    order = await oms.bust_fill("o-1", "t-o-1", reason="erroneous")
    assert these(order.state, order.filled_quantity, order.open_quantity) == (OrderState.WORKING, 0, 100)
    assert await oms.bust_fill("o-1", "t-o-1") == order  # reported again
    with pytest.raises(UnknownFill):
        await oms.bust_fill("o-1", "no such trade")
    with pytest.raises(UnknownFill):
        await oms.correct_fill("o-1", "no such trade", fee=1)


async def test_exceptions_are_accepted_at_once_where_the_settings_say_so(path: Path) -> None:
    async with desk(path, settings=ruled(fills={"on_exception": "accept"})) as oms:
        await work(oms, "o-1")
        order = await oms.add_fill("o-1", 150, 10, "t-1")
        assert these(order.filled_quantity, order.fills[0]["forced"]) == (150, True)
        assert (await quarantined(oms.add_fill("o-1", 151, 10, "t-1"))).reason == "conflict"


# --- the spec's transitions and the ones beyond ---


async def test_update_order_state_knows_only_the_specs_transitions(path: Path) -> None:
    possible = {
        "pending": {"working", "rejected", "failed"},
        "working": {"cancelled", "rejected"},  # filled only when the quantities say so
        "filled": set(),
        "cancelled": set(),
        "rejected": set(),
        "failed": set(),
    }
    ways: dict[str, list[str]] = {
        "pending": [],
        "working": ["working"],
        "filled": ["fill"],
        "cancelled": ["working", "cancelled"],
        "rejected": ["rejected"],
        "failed": ["failed"],
    }

    for old, steps in ways.items():
        for new in OrderState:
            async with desk(path.with_name(f"{old}-{new.value}.db")) as oms:
                await submit(oms, "o-1")
                for step in steps:
                    await (oms.add_fill("o-1", 100, 10) if step == "fill" else oms.update_order_state("o-1", step))
                if new.value in {old, *possible[old]}:
                    assert (await oms.update_order_state("o-1", new)).state is new
                    continue
                with pytest.raises(InvalidTransition, match=f"{old} to {new.value}") as error:
                    await oms.update_order_state("o-1", new)
                assert all(word in str(error.value) for word in possible[old])


async def test_a_cancel_may_win_the_race_against_the_acknowledgement(oms: Oms) -> None:
    await submit(oms, "o-1")
    assert (await oms.cancel_order("o-1")).state is OrderState.CANCELLED
    assert (await oms.cancel_order("o-1")).state is OrderState.CANCELLED
    await submit(oms, "o-2")
    await oms.add_fill("o-2", 100, 10)
    with pytest.raises(InvalidTransition):
        await oms.cancel_order("o-2")


async def test_a_fill_acknowledges_a_pending_order_and_the_last_one_completes_it(oms: Oms) -> None:
    await submit(oms, "o-1")
    assert (await oms.add_fill("o-1", 40, 10)).state is OrderState.WORKING
    assert (await oms.add_fill("o-1", 60, 10)).state is OrderState.FILLED
    moves = [(e.old.value, e.new.value) for e in events_of(oms.log) if isinstance(e, StateChanged)]
    assert moves == [("idle", "pending"), ("pending", "working"), ("working", "filled")]


async def test_an_amendment_takes_the_new_total_and_ends_the_order_at_what_is_filled(oms: Oms) -> None:
    await work(oms, "o-1")
    await oms.add_fill("o-1", 40, 10)
    order = await oms.amend_order("o-1", quantity=120, price="9.5")
    assert these(order.quantity, order.open_quantity, order.price) == (120, 80, D("9.5"))
    order = await oms.amend_order("o-1", quantity=30)
    assert these(order.quantity, order.state) == (40, OrderState.FILLED)
    await work(oms, "o-2")
    assert (await oms.amend_order("o-2", quantity=0)).state is OrderState.CANCELLED
    with pytest.raises(InvalidTransition):
        await oms.amend_order("o-2", quantity=10)
    with pytest.raises(InvalidInput):
        await oms.amend_order("o-1")


async def test_a_refused_amendment_is_recorded_and_leaves_the_order_as_it_was(oms: Oms) -> None:
    before = await work(oms, "o-1")
    with pytest.raises(OrderRejected, match="POSITION_SIZE") as error:
        await oms.amend_order("o-1", quantity=10_001)
    assert error.value.order.quantity == 100
    after = oms.get_order("o-1")
    assert after is not None
    assert (after.quantity, after.price, after.state) == (before.quantity, before.price, before.state)
    assert topics_of(oms.log)[-1] == "AmendRefused"
    assert (await oms.amend_order("o-1", quantity=10_000)).quantity == 10_000


# --- errors ---


async def test_errors_are_the_value_errors_that_the_spec_promises(path: Path) -> None:
    async with desk(path) as oms:
        with pytest.raises(ValueError, match=r"^Order rejected: POSITION_SIZE: ") as refused:
            await submit(oms, "big", quantity=20_000)
        assert isinstance(refused.value, OrderRejected)
        assert refused.value.order.state is OrderState.REJECTED
        assert codes(refused.value.violations) == ["POSITION_SIZE"]
        await submit(oms, "o-1")
        with pytest.raises(ValueError, match="pending to filled"):
            await oms.update_order_state("o-1", OrderState.FILLED)
        with pytest.raises(ValueError, match="other content"):
            await submit(oms, "o-1", quantity=50)
        with pytest.raises(ValueError, match="quarantine"):
            await oms.add_fill("o-1", 999, 10)
        with pytest.raises(LookupError, match="nobody"):
            await oms.cancel_order("nobody")

    for name in ("OrderRejected", "InvalidTransition", "CommandConflict", "FillQuarantinedError", "InvalidInput"):
        assert issubclass(getattr(oms_es, name), ValueError)
        assert issubclass(getattr(oms_es, name), OmsError)


async def test_a_message_shows_nothing_that_could_deceive_a_terminal(oms: Oms) -> None:
    with pytest.raises(UnknownOrder) as error:
        await oms.cancel_order("o-\u202e1")
    assert "\u202e" not in str(error.value)
    assert "\\u202e" in str(error.value)


# --- the spec's six checks ---


async def test_position_size_counts_every_open_order_on_that_side(oms: Oms) -> None:
    await trade(oms, "o-1", BUY, 4000, 10)
    await submit(oms, "o-2", quantity=5000)
    assert await refusal(submit(oms, "o-3", quantity=1001)) == ["POSITION_SIZE"]
    assert await refusal(submit(oms, "o-4", quantity=1000)) == []
    assert await refusal(submit(oms, "o-5", side=SELL, quantity=14_000)) == []
    assert await refusal(submit(oms, "o-6", side=SELL, quantity=10)) == ["POSITION_SIZE"]
    await oms.cancel_order("o-2")
    assert await refusal(submit(oms, "o-7", quantity=5000)) == []
    assert await refusal(submit(oms, "o-8", symbol="OTHER", quantity=10_000)) == []


async def test_daily_loss_refuses_what_adds_risk_and_lets_out_who_is_in(oms: Oms) -> None:
    await trade(oms, "o-1", BUY, 100, 20)
    await trade(oms, "o-2", SELL, 50, 10)  # 500 lost
    assert await refusal(submit(oms, "o-3")) == []
    await oms.add_fill("o-3", 1, 10, "t-fee", 500)  # fees count
    assert oms.risk_manager.daily_pnl == -1000
    assert await refusal(submit(oms, "o-4")) == ["DAILY_LOSS"]
    assert await refusal(submit(oms, "o-5", symbol="OTHER")) == ["DAILY_LOSS"]
    assert await refusal(submit(oms, "o-6", side=SELL, quantity=51)) == []
    assert await refusal(submit(oms, "o-7", account="other")) == []


async def test_position_skew_refuses_what_would_increase_a_large_position(oms: Oms) -> None:
    await trade(oms, "o-1", BUY, 5000, 10)
    assert await refusal(submit(oms, "o-2", quantity=10)) == []
    await oms.add_fill("o-2", 1, 10)
    await oms.cancel_order("o-2")
    assert await refusal(submit(oms, "o-3", quantity=10)) == ["POSITION_SKEW"]
    assert await refusal(submit(oms, "o-4", side=SELL, quantity=5001)) == []


async def test_order_quantity_has_a_minimum_but_for_the_order_that_closes_exactly(oms: Oms) -> None:
    assert await refusal(submit(oms, "o-1", quantity="9.999")) == ["ORDER_QUANTITY"]
    await submit(oms, "o-2", quantity=10)
    await oms.add_fill("o-2", 7, 10)
    assert await refusal(submit(oms, "o-3", side=SELL, quantity=6)) == ["ORDER_QUANTITY"]
    assert await refusal(submit(oms, "o-4", side=SELL, quantity=7)) == []


async def test_ten_orders_may_be_open_and_no_more(oms: Oms) -> None:
    for number in range(10):
        await submit(oms, f"o-{number}", symbol=f"S{number}")
    assert await refusal(submit(oms, "one-more")) == ["OPEN_ORDERS"]
    assert await refusal(submit(oms, "another's", account="other")) == []
    await oms.update_order_state("o-3", OrderState.REJECTED)
    assert await refusal(submit(oms, "after-all")) == []


async def test_a_halt_refuses_every_new_order_and_lets_cancels_and_fills_pass(oms: Oms) -> None:
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


async def test_a_refusal_names_everything_that_is_wrong(path: Path) -> None:
    rules = ruled(risk={"restricted": ["X"], "max_order_notional": 50, "price_collar": "0.1", "max_open_orders": 0})
    async with desk(path, settings=rules) as oms:
        await oms.record_mark("X", 20)
        await oms.halt()
        found = await refusal(submit(oms, "o-1", symbol="X", quantity=9, reduce_only=True))
        assert set(found) == {
            "ORDER_QUANTITY", "ORDER_NOTIONAL", "OPEN_ORDERS", "EMERGENCY_STOP", "PRICE_COLLAR",
            "RESTRICTED_SYMBOL", "REDUCE_ONLY",
        }  # fmt: skip


async def test_the_rate_of_orders_is_limited_refused_ones_included(path: Path) -> None:
    clock = Clock()
    rules = ruled(risk={"max_orders_per_second": 3})
    async with desk(path, clock, rules) as oms:
        assert await refusal(submit(oms, "o-1")) == []
        assert await refusal(submit(oms, "o-2", quantity=1)) == ["ORDER_QUANTITY"]
        assert await refusal(oms.amend_order("o-1", quantity=110)) == []
        assert await refusal(submit(oms, "o-3")) == ["ORDER_RATE"]
        assert (await oms.cancel_order("o-1")).state is OrderState.CANCELLED
        clock.move(1.1)
        assert await refusal(submit(oms, "o-4")) == []


async def test_a_market_order_is_valued_at_the_mark_and_refused_without_one(path: Path) -> None:
    async with desk(path, settings=ruled(risk={"max_order_notional": 1000})) as oms:
        assert await refusal(submit(oms, "o-1", order_type=MARKET, price=None)) == ["ORDER_NOTIONAL"]
        await oms.record_mark(ADA, 10)
        assert await refusal(submit(oms, "o-2", order_type=MARKET, price=None)) == []
        await oms.record_mark(ADA, 11)
        assert await refusal(submit(oms, "o-3", order_type=MARKET, price=None)) == ["ORDER_NOTIONAL"]


async def test_a_refused_order_is_recorded_and_visible_also_after_a_restart(path: Path) -> None:
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


async def test_check_risk_says_what_submit_would_and_writes_nothing(oms: Oms) -> None:
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


async def test_check_risk_knows_of_a_clock_that_runs_behind(path: Path) -> None:
    clock = Clock()
    async with desk(path, clock) as oms:
        await submit(oms, "o-1")
        clock.move(-60)
        order = OMSOrder(order_id="p", symbol=ADA, side=BUY, order_type=LIMIT, quantity=D(100), price=D(10))
        passed, why = oms.risk_manager.check_risk(order, None)
        assert await refusal(submit(oms, "o-2")) == ["CLOCK"]
        assert (passed, codes(why)) == (False, ["CLOCK"])


async def test_what_took_too_long_to_judge_is_refused_and_recorded(path: Path) -> None:
    async with desk(path) as oms:
        await work(oms, "o-1")
    async with desk(path, settings=ruled(system={"risk_check_timeout": 0})) as oms:
        assert await refusal(submit(oms, "o-2")) == ["RISK_TIMEOUT"]
        assert await refusal(oms.amend_order("o-1", quantity=110)) == ["RISK_TIMEOUT"]
        assert (await oms.add_fill("o-1", 40, 10)).filled_quantity == 40
        assert (await oms.cancel_order("o-1")).state is OrderState.CANCELLED
    async with desk(path) as oms:
        assert await refusal(submit(oms, "o-2")) == ["RISK_TIMEOUT"], "the first outcome, and no other"


# --- limits of accounts, loss of days, fills that wait ---


async def test_limits_can_be_set_for_one_account_alone(path: Path) -> None:
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


async def test_an_account_can_be_halted_alone_and_a_general_halt_goes_over_its_resume(oms: Oms) -> None:
    await oms.halt(account="a")
    assert await refusal(submit(oms, "o-1", account="a")) == ["EMERGENCY_STOP"]
    assert await refusal(submit(oms, "o-2", account="b")) == []
    await oms.halt()
    await oms.resume(account="a")
    assert await refusal(submit(oms, "o-3", account="a")) == ["EMERGENCY_STOP"]
    await oms.resume()
    assert await refusal(submit(oms, "o-4", account="a")) == []


@pytest.mark.parametrize(
    "wrong",
    [{}, {"max_positon_size": 5}, {"max_position_size": -1}, {"max_position_size": 1.5}, {"max_open_orders": "x"}],
    ids=repr,
)
async def test_a_limit_that_cannot_be_is_a_value_error(path: Path, wrong: dict[str, Any]) -> None:
    async with desk(path) as oms:
        with pytest.raises(ValueError, match=r"limit|max_"):
            await oms.set_limits(**wrong)

    assert not path.exists()


async def test_the_loss_of_the_day_survives_a_restart_and_ends_with_the_day(path: Path) -> None:
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


async def test_the_day_rolls_in_the_zone_and_at_the_time_of_the_settings(path: Path) -> None:
    clock = Clock()  # 12:00 UTC is 08:00 in New York
    rules = ruled(day={"timezone": "America/New_York", "roll": "17:00", "label": "end"})
    async with desk(path, clock, rules) as oms:
        await submit(oms, "o-1")
        clock.move(9 * 3600 - 1)
        await submit(oms, "o-2")
        clock.move(1)
        await submit(oms, "o-3")
        days = [r.trading_day for r in oms.log.read() if isinstance(r.event, OrderSubmitted)]
        assert days == ["2025-06-16", "2025-06-16", "2025-06-17"]


async def test_the_loss_of_the_day_may_count_what_is_not_realized(path: Path) -> None:
    async with desk(path, settings=ruled(daily_loss={"basis": "total"})) as oms:
        await trade(oms, "o-1", BUY, 500, 10)
        await oms.record_mark(ADA, "8.01")
        assert await refusal(submit(oms, "o-2")) == []
        await oms.record_mark(ADA, 8)
        assert oms.risk_manager.daily_pnl == -1000
        assert await refusal(submit(oms, "o-3")) == ["DAILY_LOSS"]


async def test_a_fill_in_quarantine_counts_in_the_exposure(path: Path) -> None:
    async with desk(path, settings=ruled(risk={"max_position_size": 1000})) as oms:
        await trade(oms, "o-1", BUY, 900, 10)
        waits = await quarantined(oms.add_fill("o-1", 90, 10, "t-9"))
        assert await refusal(submit(oms, "o-2", quantity=11)) == ["POSITION_SIZE"]
        assert await refusal(submit(oms, "o-3", quantity=10)) == []
        await oms.cancel_order("o-3")
        await oms.resolve_quarantined(waits.quarantine_id, accept=False)
        assert await refusal(submit(oms, "o-4", quantity=100)) == []


# --- when ---


async def test_what_happened_at_the_venue_and_what_we_know_are_two_times(path: Path) -> None:
    clock = Clock(tick=0)
    async with desk(path, clock) as oms:
        await submit(oms, "o-1", occurred_at=START - 10 * SECOND)
        await oms.add_fill("o-1", 10, 10, "early", occurred_at=START - 20 * SECOND)
        await oms.add_fill("o-1", 10, 10, "yesterday", occurred_at=datetime(2025, 6, 15, 12, 0, tzinfo=UTC))
        await oms.add_fill("o-1", 10, 10, "now")
        times = {
            r.event.trade_id: (r.occurred_at, r.effective_at, r.recorded_at, r.trading_day)
            for r in oms.log.read()
            if isinstance(r.event, FillAdded)
        }
        submission = START - 10 * SECOND
        assert times == {
            "early": (START - 20 * SECOND, submission, START, "2025-06-16"),
            "yesterday": (START - 86400 * SECOND, submission, START, "2025-06-16"),
            "now": (START, START, START, "2025-06-16"),
        }


@pytest.mark.parametrize("unit", ["seconds", "milliseconds", "microseconds"])
async def test_a_time_in_another_unit_than_nanoseconds_is_refused_with_a_hint(unit: str, path: Path) -> None:
    factor = {"seconds": SECOND, "milliseconds": 10**6, "microseconds": 1000}[unit]

    async with desk(path) as oms:
        await work(oms, "o-1")
        with pytest.raises(InvalidInput, match=f"as {unit} it is 2025-06-16T12.*multiply it by {factor}"):
            await oms.add_fill("o-1", 1, 10, occurred_at=START // factor)
        with pytest.raises(InvalidInput, match=f"as {unit} it is"):
            oms.positions(as_of=START // factor)
    async with desk(path, lambda: START // factor) as oms:
        with pytest.raises(InvalidInput, match=f"clock.*as {unit} it is"):
            await oms.add_fill("o-1", 1, 10)


async def test_a_clock_that_runs_backwards_is_clamped_and_flagged(path: Path) -> None:
    clock = Clock(tick=0)
    async with desk(path, clock) as oms:
        await submit(oms, "o-1")
        clock.move(-5)
        await submit(oms, "o-2")
        await oms.add_fill("o-2", 10, 10)
        clock.move(5)
        await submit(oms, "o-3")
        found = {
            r.originator_id: (r.recorded_at, getattr(r.event, "clamped", None))
            for r in oms.log.read()
            if r.originator_id.startswith("order/")
        }
        assert found == {
            "order/default/o-1": (START, False),
            "order/default/o-2": (START, True),
            "order/default/o-3": (START, False),
        }


async def test_a_clock_far_behind_the_log_stops_new_orders_but_neither_cancels_nor_fills(path: Path) -> None:
    clock = Clock(tick=0)
    async with desk(path, clock) as oms:
        await work(oms, "o-1")
        await work(oms, "o-2")
    clock.move(-6)
    async with desk(path, clock) as oms:
        assert await refusal(submit(oms, "o-3")) == ["CLOCK"]
        assert await refusal(oms.amend_order("o-1", quantity=200)) == ["CLOCK"]
        assert (await oms.add_fill("o-1", 40, 10)).filled_quantity == 40
        assert (await oms.cancel_order("o-2")).state is OrderState.CANCELLED
        assert (await oms.amend_order("o-1", quantity=90)).quantity == 90
        await oms.record_mark(ADA, 10)
        recorded = [r.recorded_at for r in oms.log.read()]
        assert recorded == sorted(recorded)
        clock.move(6)
        assert await refusal(submit(oms, "o-4")) == []


# --- the rules are in the log ---


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
        "fills.price_band_floor": "1", "fills.on_exception": "quarantine",
        "day.timezone": "UTC", "day.roll": "00:00", "day.label": "start", "day.max_clock_step": "5",
    }  # fmt: skip


async def test_a_session_without_a_file_never_changes_the_rules(path: Path, tmp_path: Path) -> None:
    file = settings_file(tmp_path, "risk: {max_position_size: 500}\n")

    async with desk(path, settings=file) as oms:
        await submit(oms, "o-1")
    async with desk(path) as oms:
        assert await refusal(submit(oms, "o-2", quantity=401)) == ["POSITION_SIZE"]
        assert len(policies(oms)) == 1


async def test_an_operators_change_stands_until_the_file_changes(path: Path, tmp_path: Path) -> None:
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


async def test_a_changed_file_counts_even_when_the_session_begins_with_an_import(path: Path, tmp_path: Path) -> None:
    file = settings_file(tmp_path, "risk: {max_position_size: 500}\n")
    history = facts_file(tmp_path / "f.jsonl", fact(1, "mark", symbol="Y", price="1"))

    async with desk(path, settings=file) as oms:
        await submit(oms, "o-1")
    settings_file(tmp_path, "risk: {max_position_size: 300}\n")
    async with desk(path, settings=file) as oms:
        await take_in(oms, history)
        assert await refusal(submit(oms, "o-2", quantity=201)) == ["POSITION_SIZE"]


async def test_a_log_of_imports_alone_has_no_limits_and_the_first_command_brings_them(oms: Oms, tmp_path: Path) -> None:
    history = facts_file(tmp_path / "f.jsonl", submitted(1, "a", "50000"), filled(2, "a", "50000"))

    outcome_ = await take_in(oms, history)
    assert (outcome_.fills, outcome_.quarantined) == (1, 0)
    assert policies(oms) == []
    assert await refusal(submit(oms, "o-1", symbol="X")) == ["POSITION_SIZE", "POSITION_SKEW"]
    assert len(policies(oms)) == 1


async def test_the_files_emergency_stop_halts_and_its_release_resumes(path: Path, tmp_path: Path) -> None:
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


async def test_a_halt_survives_restarts_with_and_without_a_file(path: Path, tmp_path: Path) -> None:
    file = settings_file(tmp_path, "risk: {emergency_stop: false}\n")

    async with desk(path, settings=file) as oms:
        await submit(oms, "o-0")
        await oms.halt(actor="risk")
    for settings in (None, file, None):
        async with desk(path, settings=settings) as oms:
            assert await refusal(submit(oms, f"o-{oms.log.head().seq}")) == ["EMERGENCY_STOP"]


async def test_a_file_that_never_said_anything_else_does_not_release_an_operators_halt(
    path: Path, tmp_path: Path
) -> None:
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


async def test_the_cost_method_of_the_policy_is_that_of_the_log_and_not_of_the_session(path: Path) -> None:
    async with desk(path, settings=ruled(accounting={"method": "lifo"})) as oms:
        await trade(oms, "o-1", BUY, 10, 1)
        await trade(oms, "o-2", BUY, 10, 2)
        await trade(oms, "o-3", SELL, 10, 3)
    async with desk(path, settings=Settings.default()) as oms:
        found = oms.get_position(ADA)
        assert found is not None
        assert found.realized_pnl == 10
        by_method = {name: oms.positions(method=name)[0].realized_pnl for name in ("fifo", "lifo", "average")}
        assert by_method == {"fifo": 20, "lifo": 10, "average": 15}
        await oms.set_limits(method="fifo")
        found = oms.get_position(ADA)
        assert found is not None
        assert found.realized_pnl == 20


# --- time travel, embedded ---


async def test_a_late_fill_moves_the_past_as_it_was_but_not_what_was_known_then(path: Path) -> None:
    def held(positions: list[Position]) -> list[tuple[str, object]]:
        return [(each.symbol, each.quantity) for each in positions]

    clock = Clock(tick=0)
    async with desk(path, clock) as oms:
        await work(oms, "o-1")
        clock.move(60)
        await oms.add_fill("o-1", 10, 10, "t-1")
        seq = oms.log.head().seq
        clock.move(60)
        await oms.add_fill("o-1", 30, 10, "t-2", occurred_at=START + 30 * SECOND)

        assert held(oms.positions()) == [(ADA, 40)]
        assert held(oms.positions(as_of=START + 30 * SECOND)) == [(ADA, 30)]
        assert held(oms.positions(as_of=START + 30 * SECOND - 1)) == []
        assert held(oms.positions(as_of="2025-06-16T12:01:00Z")) == [(ADA, 40)]
        assert held(oms.positions(known_at=datetime(2025, 6, 16, 12, 1, tzinfo=UTC))) == [(ADA, 10)]
        assert held(oms.positions(at_seq=seq)) == [(ADA, 10)]
        assert held(oms.positions(as_of=START + 30 * SECOND, at_seq=seq)) == []
        with pytest.raises(InvalidInput, match="zone"):
            oms.positions(as_of="2025-06-16T12:00:00")
