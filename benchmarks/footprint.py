"""What it takes up: memory of an order, bytes on disk, and the start of a command."""

import asyncio
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from benchmarks import days, stock
from benchmarks.figures import Figure
from oms_es import OrderManagementSystem, Settings

ORDERS = 2_000
EVENTS = 6_000


def figures() -> list[Figure]:
    """Return the figures of footprint; the bounds are those of the table in docs/performance.md."""
    return [
        Figure(name="memory of a working order", base="a stock aggregate", unit="bytes", sample=_memory, rounds=2),
        Figure(name="bytes on disk of a fact", base="stock", unit="bytes", sample=_disk, must=1, rounds=1),
        Figure(name="oms --help", base="python -c pass", unit="ms", sample=lambda: _start(["--help"]), must=4),
        Figure(name="oms positions", base="python -c pass", unit="ms", sample=lambda: _start(["positions"]), must=22),
    ]


def _memory() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        ours = asyncio.run(_ours(Path(folder) / "oms.db"))
    tracemalloc.start()
    kept = {number: stock.StockOrder("S", "buy", Decimal(10), Decimal(number)) for number in range(ORDERS)}
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return ours / ORDERS, size / len(kept)


async def _ours(path: Path) -> float:
    limits = {"max_open_orders": None, "max_position_size": None}
    settings = Settings.from_mapping({"risk": limits, "system": {"risk_check_timeout": "3600000"}})
    async with OrderManagementSystem(settings, log=path) as oms:
        await oms.submit_order("S", "buy", "limit", 10, 1, "first")
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(0, ORDERS, 100):
            orders = (oms.submit_order("S", "buy", "limit", 10, 1 + n, f"o-{n}") for n in range(number, number + 100))
            await asyncio.gather(*orders)
        found = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        return found


def _disk() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        log = days.make_log(Path(folder) / "oms.db", EVENTS, checkpoints=False)
        facts = sum(1 for _ in days.bodies(EVENTS))
        log.close()
        app = stock.store(Path(folder) / "stock.db", facts // stock.COMMANDS)
        app.close()
        sizes = [(Path(folder) / name).stat().st_size for name in ("oms.db", "stock.db")]
        return sizes[0] / facts, sizes[1] / (facts // stock.COMMANDS * stock.COMMANDS)


def _start(arguments: Sequence[str]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "day.db"
        asyncio.run(_one_order(path))
        more = [] if arguments[0].startswith("-") else ["--log", str(path)]
        return _run([*_OMS, *arguments, *more]), _run([sys.executable, "-c", "pass"])


_OMS = [str(Path(sys.executable).with_name("oms"))]


async def _one_order(path: Path) -> None:
    async with OrderManagementSystem(log=path) as oms:
        await oms.record_mark("S", 1)


def _run(command: Sequence[str]) -> float:
    """Return the shortest of five runs, in ms."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - begun)
    return min(times) * 1e3
