"""What a durable command costs, beside a bare SQLite commit on the same disk."""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.days import percentiles
from oms_es import OrderManagementSystem, Settings

ROUNDS = 300
TOGETHER = 200
FREE = Settings.from_mapping({"risk": {"max_open_orders": None, "max_position_size": None}})


def main() -> None:
    """Print a lone command and a bare commit in turn, then many commands at once."""
    with tempfile.TemporaryDirectory() as folder, _bare(Path(folder) / "bare.db") as bare:
        asyncio.run(_measure(Path(folder) / "oms.db", bare))


async def _measure(path: Path, bare: sqlite3.Connection) -> None:
    oms = OrderManagementSystem(FREE, log=path)
    lone, commits = [], []
    for number in range(ROUNDS):
        begun = time.perf_counter()
        await oms.submit_order("S", "buy", "limit", 10, 1, f"l-{number}")
        lone.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        bare.execute("INSERT INTO t(body) VALUES (?)", ("x" * 300,))
        commits.append(time.perf_counter() - begun)
    (p50, p99), (bare50, bare99) = percentiles(lone), percentiles(commits)
    print(f"a lone durable command: p50 {p50:.2f} ms, p99 {p99:.2f} ms; a bare commit: {bare50:.2f}, {bare99:.2f} ms")
    print(f"ratio to a bare commit: {p50 / bare50:.1f}")
    begun = time.perf_counter()
    for turn in range(10):
        orders = (oms.submit_order("S", "buy", "limit", 10, 1, f"m-{turn}-{n}") for n in range(TOGETHER))
        await asyncio.gather(*orders)
    rate = 10 * TOGETHER / (time.perf_counter() - begun)
    print(f"{TOGETHER} at once: {rate:,.0f} commands a second, {rate * bare50 / 1e3:.1f} times a commit for each")
    await oms.close()


@contextmanager
def _bare(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT)")
    yield connection
    connection.close()
