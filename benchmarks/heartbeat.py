"""
How late the event loop of a bot is while long queries run: `python -m benchmarks.heartbeat [--events N] [--log PATH]`.

A task wakes every 5 ms, as the heartbeat of a bot. The same without a query, beside it, is what the machine adds; on a
machine with other work, the last column counts: the processor time of this process between two beats, at most.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.days import make_log
from oms_es import OrderManagementSystem, Settings
from oms_es.timestamps import iso

BEAT = 0.005  # seconds
MOST = 0.050  # seconds late, at most


class Heartbeat:
    """Wakes every `BEAT` seconds and notes how late it was."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.held = 0.0  # processor seconds between two beats, at most

    async def run(self) -> None:
        """Beat until the task is cancelled."""
        while True:
            due, used = time.perf_counter() + BEAT, time.process_time()
            await asyncio.sleep(BEAT)
            self.late.append(time.perf_counter() - due)
            self.held = max(self.held, time.process_time() - used)


async def beside(work: Callable[[], Awaitable[Any]]) -> tuple[list[float], float, float]:
    """Return how late the beats were during some work, sorted, their `held`, and the seconds that it took."""
    heart = Heartbeat()
    task, begun = asyncio.create_task(heart.run()), time.perf_counter()
    await work()
    seconds = time.perf_counter() - begun
    task.cancel()
    return sorted(heart.late), heart.held, seconds


async def measure(path: Path, only: list[str]) -> bool:
    """Print a line for each query; return whether no beat was later than `MOST`."""
    oms = OrderManagementSystem(Settings.default(), log=path)
    last = max(each.effective_at for each in oms.log.read(after=oms.log.head().seq - 1))
    ask, at = oms.in_thread, iso(last)
    await ask.positions(at_seq=1)
    queries: dict[str, Callable[[], Awaitable[Any]]] = {
        "nothing (3 s)": lambda: asyncio.sleep(3),
        "positions --as-of": lambda: ask.positions(as_of=at),
        "orders": ask.orders,
        "fills": ask.fills,
        "pnl": lambda: ask.pnl(as_of=at),
        "history": lambda: ask.history("SYM0"),
        "positions --every 1h": lambda: ask.position_series("1h"),
    }
    worst = 0.0
    print(f"{'while':<22}{'seconds':>9}{'beats':>8}{'median ms':>11}{'p99 ms':>9}{'worst ms':>10}{'processor ms':>14}")
    for name, query in queries.items():
        if not any(word in name for word in only):
            continue
        late, held, seconds = await beside(query)
        figures = (late[len(late) // 2], late[int(len(late) * 0.99)], late[-1], held)
        print(f"{name:<22}{seconds:>9.2f}{len(late):>8}" + "".join(f"{each * 1000:>{w}.1f}" for each, w in
              zip(figures, (11, 9, 10, 14), strict=True)), flush=True)  # fmt: skip
        worst = worst if name.startswith("nothing") else max(worst, late[-1])
    await oms.close()
    return worst <= MOST


def main() -> int:
    """Measure a log; return 1 if a beat was too late."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.heartbeat", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="length of the made-up log [1000000]")
    parser.add_argument("--only", help="queries with one of these words in their names, separated by commas")
    parser.add_argument("--log", type=Path, help="a log that is there, or is made here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.log or Path(folder) / "heartbeat.db"
        if not path.exists():
            make_log(path, options.events, checkpoints=False).close()
        return 0 if asyncio.run(measure(path, (options.only or "").split(","))) else 1


if __name__ == "__main__":
    raise SystemExit(main())
