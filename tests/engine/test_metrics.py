"""The gauges and latencies of `oms.metrics`."""

import asyncio
import sys
from pathlib import Path

import pytest

from oms_es import FillQuarantinedError, OrderManagementSystem, OrderSide
from oms_es.log.sqlite import SqliteLog
from oms_es.metrics import MetricsMissing
from oms_es.timestamps import SECOND
from tests.desk import START, Clock, Gate, Watched, desk, reached, submit, trade, work


def gauge(oms: OrderManagementSystem, name: str) -> float:
    line = next(line for line in oms.metrics.text().splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


def test_gauges_are_right_after_a_restart_and_in_another_process(tmp_path: Path) -> None:
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


async def test_order_latency_is_measured_by_our_clock(tmp_path: Path) -> None:
    clock = Clock()
    oms = desk(tmp_path / "day.db", clock)
    assert oms.metrics.text()

    await submit(oms, occurred_at=START - 3600 * 10**9)
    clock.move(2)
    await oms.update_order_state("o-1", "working")

    assert 2 <= gauge(oms, "oms_order_latency_seconds_sum") < 2.1


async def test_gauges_show_no_order_that_is_not_durable(path: Path) -> None:
    log, gate = Watched(SqliteLog(path)), Gate()
    async with desk(log) as oms:
        await submit(oms, "o-1")
        assert gauge(oms, "oms_open_orders") == 1
        log.before = gate
        asked = asyncio.create_task(submit(oms, "o-2"))
        await reached(gate)

        assert gauge(oms, "oms_open_orders") == 1
        gate.opened.set()
        await asked
        assert gauge(oms, "oms_open_orders") == 2


LINES = (
    "oms_order_latency_seconds_count 1.0", "oms_order_latency_seconds_sum 2.0", "oms_fill_latency_seconds_count 1.0",
    "oms_fill_latency_seconds_sum 0.5", "oms_open_orders 0.0", "oms_positions 1.0",
    'oms_events_total{topic="FillAdded"} 1.0',
)  # fmt: skip


async def test_metrics_count_orders_fills_and_events_once_somebody_looks(path: Path) -> None:
    clock = Clock(tick=0)
    async with desk(path, clock) as oms:
        assert oms.metrics.text()
        await submit(oms)
        clock.move(2)
        await oms.update_order_state("o-1", "working")
        await oms.add_fill("o-1", 100, 10, occurred_at=clock.now - SECOND // 2)

        assert [line for line in LINES if line not in oms.metrics.text().splitlines()] == []


def test_without_prometheus_metrics_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    oms = OrderManagementSystem(log=tmp_path / "day.db")

    with pytest.raises(MetricsMissing, match="pip install"):
        oms.metrics  # noqa: B018
