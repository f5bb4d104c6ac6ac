"""How long the first command waits on a long log: on from the state a process left off with, and from zero."""

import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks.days import make_log
from oms_es import OrderManagementSystem
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.state_store import states_path

SIZES = (10_000, 100_000, 1_000_000)


def main() -> None:
    """Print both for each size, beside what SQLite takes to read the rows."""
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            log = make_log(Path(folder) / f"{size}.db", size, checkpoints=False)
            bare = _bare(log)
            log.close()
            states_path(log).unlink(missing_ok=True)
            zero = _first_command(log.path)  # leaves its state behind
            kept = _first_command(log.path) if states_path(log).exists() else None
            beside = "none is kept" if kept is None else f"{kept:7.2f} s from the state left off with"
            print(
                f"{size:>9,} events: {zero:7.2f} s from zero, {beside}; a bare SELECT of the rows {bare:.2f} s",
                flush=True,
            )


def _bare(log: SqliteLog) -> float:
    begun = time.perf_counter()
    for _ in log.rows():
        pass
    return time.perf_counter() - begun


def _first_command(path: Path) -> float:
    async def halt() -> float:
        begun = time.perf_counter()
        oms = OrderManagementSystem(log=path)
        await oms.halt(reason="how long does it take?")
        waited = time.perf_counter() - begun
        await oms.close()
        return waited

    return asyncio.run(halt())
