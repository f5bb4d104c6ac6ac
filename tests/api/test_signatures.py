"""The names, positions and defaults of the spec."""

import dataclasses
import inspect
from decimal import Decimal

import pytest

from oms_es import OMSOrder, OrderManagementSystem, OrderSide, OrderState, OrderType, Position, RiskManager

Oms = OrderManagementSystem


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
def test_a_parameter_beyond_the_spec_is_a_keyword_with_a_default(name: str, expected: list[str]) -> None:
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
    assert {each.name: each.value for each in OrderType} == {
        "LIMIT": "limit", "MARKET": "market", "STOP": "stop", "STOP_LIMIT": "stop_limit",
    }  # fmt: skip
    assert all(isinstance(each, str) for each in (OrderState.IDLE, OrderSide.BUY, OrderType.LIMIT))
