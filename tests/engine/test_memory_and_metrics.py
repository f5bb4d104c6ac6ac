"""Completed orders leave memory and come back; what takes too long to judge is refused; metrics count what happens."""

import asyncio
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from oms_es import OrderManagementSystem, OrderRejected, OrderState, Settings
from oms_es.metrics import MetricsMissing
from oms_es.projections.state import State
from oms_es.timestamps import SECOND

START = 1_700_000_000 * SECOND


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


def kept_for(seconds: int, **system: int) -> Settings:
    return Settings.from_mapping({"system": {"order_history_retention": seconds, **system}})


async def filled_order(oms: OrderManagementSystem, order_id: str) -> None:
    await oms.submit_order("S", "buy", "limit", 10, 5, order_id)
    await oms.add_fill(order_id, 10, 5, trade_id=f"t-{order_id}")


def in_memory(oms: OrderManagementSystem) -> set[str]:
    return {order_id for _, order_id in oms.sequencer.state.orders.orders}


@pytest.fixture
def day(tmp_path: Path) -> tuple[OrderManagementSystem, Clock]:
    clock = Clock()
    return OrderManagementSystem(kept_for(3600), log=tmp_path / "day.db", clock=clock), clock


async def test_a_completed_order_leaves_memory_after_its_time_and_an_open_one_stays(
    day: tuple[OrderManagementSystem, Clock],
) -> None:
    oms, clock = day

    await filled_order(oms, "done")
    await oms.submit_order("S", "buy", "limit", 10, 5, "open")
    clock.now += 3599 * SECOND
    await oms.record_mark("S", 5)
    assert in_memory(oms) == {"done", "open"}
    clock.now += 70 * SECOND
    await oms.record_mark("S", 6)
    assert in_memory(oms) == {"open"}


async def test_an_order_that_has_left_memory_is_found_and_its_fills_are_still_recognised(
    day: tuple[OrderManagementSystem, Clock],
) -> None:
    oms, clock = day

    await filled_order(oms, "done")
    clock.now += 4000 * SECOND
    await oms.record_mark("S", 5)
    assert in_memory(oms) == set()
    before = oms.log.head().seq

    again = await oms.add_fill("done", 10, 5, trade_id="t-done")
    same = await oms.submit_order("S", "buy", "limit", 10, 5, "done")

    assert again == same == oms.get_order("done")
    assert again.state is OrderState.FILLED
    assert oms.log.head().seq == before
    await oms.bust_fill("done", "t-done")
    assert oms.get_open_orders() == [oms.get_order("done")]

    assert State().replay(oms.log.read()).orders.rows() == oms.sequencer.state.orders.rows()


def test_an_order_that_takes_too_long_to_judge_is_refused_and_says_so(tmp_path: Path) -> None:
    oms = OrderManagementSystem(kept_for(3600, risk_check_timeout=0), log=tmp_path / "day.db")

    with pytest.raises(OrderRejected, match="RISK_TIMEOUT: judging took") as refused:
        asyncio.run(oms.submit_order("S", "buy", "limit", 10, 5, "slow"))

    assert oms.get_order("slow") == refused.value.order
    assert [code.partition(":")[0] for code in refused.value.violations] == ["RISK_TIMEOUT"]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("oms_order_latency_seconds_count", "1.0"), ("oms_order_latency_seconds_sum", "2.0"),
        ("oms_fill_latency_seconds_count", "1.0"), ("oms_fill_latency_seconds_sum", "0.5"),
        ("oms_open_orders", "0.0"), ("oms_positions", "1.0"), ('oms_events_total{topic="FillAdded"}', "1.0"),
    ],
)  # fmt: skip
async def test_metrics_count_what_happens_once_somebody_looks(
    day: tuple[OrderManagementSystem, Clock], line: str, value: str
) -> None:
    oms, clock = day
    read: Callable[[], str] = oms.metrics.text

    await oms.submit_order("S", "buy", "limit", 10, 5, "o-1")
    clock.now += 2 * SECOND
    await oms.update_order_state("o-1", "working")
    await oms.add_fill("o-1", Decimal(10), 5, occurred_at=clock.now - SECOND // 2)

    assert f"{line} {value}" in read().splitlines()


def test_without_prometheus_metrics_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    oms = OrderManagementSystem(log=tmp_path / "day.db")

    with pytest.raises(MetricsMissing, match="pip install"):
        oms.metrics  # noqa: B018
