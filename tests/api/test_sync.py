"""The API without `await`: the same methods, for scripts and notebooks."""

import asyncio
import gc
import inspect
import threading
from pathlib import Path
from typing import Any

import pytest

import oms_es
from oms_es import Settings, errors
from oms_es.sync import OrderManagementSystem
from tests.desk import Clock

Async = oms_es.OrderManagementSystem


def public(kind: type[Any]) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_the_synchronous_api_has_every_method_with_the_same_arguments() -> None:
    assert public(OrderManagementSystem) == public(Async) - {"in_thread"} | {"risk_manager"}
    for name in public(OrderManagementSystem) - {"risk_manager"}:
        method = getattr(Async, name)
        if inspect.isfunction(method):
            mine = inspect.signature(getattr(OrderManagementSystem, name))
            assert list(mine.parameters) == list(inspect.signature(method).parameters), name
            assert not inspect.iscoroutinefunction(getattr(OrderManagementSystem, name)), name


def opened(path: Path) -> OrderManagementSystem:
    return OrderManagementSystem(Settings.default(), log=path, clock=Clock())


def test_a_script_trades_and_asks_without_an_event_loop(path: Path) -> None:
    seen: list[str] = []
    with opened(path) as oms:
        oms.add_order_callback(lambda order: seen.append(order.state.value))
        order = oms.submit_order("ADA", "buy", "limit", "100", "0.45", order_id="o-1")
        oms.add_fill("o-1", "100", "0.45", "t-1")
        oms.record_mark("ADA", "0.5")
        oms.set_limits(max_position_size=500)

        assert order.order_id == "o-1"
        assert oms.get_position("ADA") is not None
        assert oms.positions().to_dicts()[0]["unrealized_pnl"] == 5
        assert oms.risk_manager.daily_pnl == 0
        with pytest.raises(errors.OrderRejected, match="POSITION_SIZE"):
            oms.submit_order("ADA", "buy", "limit", "401", "0.45")
    assert "filled" in seen


def test_it_can_be_used_where_an_event_loop_runs(path: Path) -> None:
    async def cell() -> Any:
        with opened(path) as oms:
            return oms.submit_order("ADA", "buy", "market", 20).state

    assert asyncio.run(cell()).value == "pending"


def test_it_is_closed_once_and_refuses_calls_after_that(path: Path) -> None:
    oms = opened(path)
    oms.close()
    oms.close()

    with pytest.raises(RuntimeError, match="is closed"):
        oms.positions()


def test_one_that_is_dropped_or_cannot_be_made_leaves_no_thread(path: Path) -> None:
    opened(path).positions()
    gc.collect()
    with pytest.raises(errors.SettingsError):
        OrderManagementSystem("none.yaml", log=path)

    assert not [each for each in threading.enumerate() if each.name == "oms-loop"]
