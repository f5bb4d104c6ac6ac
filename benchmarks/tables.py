"""Rebuilding the tables, beside a bare SELECT + decode + fold, and beside the library's own projection runner."""

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import Tracking
from eventsourcing.projection import Projection, ProjectionRunner

from benchmarks.days import make_log
from oms_es.log.eventsourcing_adapter.recorders import LogTrackingRecorder
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.orders import Orders
from oms_es.projections.positions import Positions
from oms_es.projections.tables import rebuild_tables

EVENTS = 20_000


class View(LogTrackingRecorder):
    """Counts, as the smallest read model there is."""

    count = 0

    def add(self, tracking: Tracking) -> None:
        """Count an event, and keep its place."""
        self.insert_tracking(tracking)
        self.count += 1


class Counting(Projection[View]):
    """The library's projection with nothing in it."""

    name = "counting"
    topics: tuple[str, ...] = ()

    @singledispatchmethod
    def process_event(self, _: Any, tracking: Tracking) -> None:
        self.view.add(tracking)


def main() -> None:
    """Print microseconds an event for each way, in turn, and the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        log = make_log(Path(folder) / "day.db", EVENTS, checkpoints=False)
        events = log.head().seq
        took: dict[str, list[float]] = {"fold": [], "tables": [], "runner": []}
        for turn in range(3):
            took["fold"].append(_fold(log))
            took["tables"].append(_tables(log, Path(folder) / f"{turn}.db"))
            # The runner keeps its place in the file: on a copy it begins anew each time.
            copy = shutil.copy(Path(folder) / "day.db", Path(folder) / f"runner-{turn}.db")
            took["runner"].append(_runner(Path(copy), events))
        log.close()
    best = {name: min(times) / events * 1e6 for name, times in took.items()}
    print(f"SELECT + decode + fold: {best['fold']:6.1f} us an event")
    print(f"rebuild of the tables:  {best['tables']:6.1f} us, {best['tables'] / best['fold']:.2f} times the bare fold")
    print(f"stock ProjectionRunner: {best['runner']:6.1f} us, with nothing but a counter in it")
    print(f"the tables take {best['tables'] / best['runner']:.2f} of the stock runner's time")


def _fold(log: SqliteLog) -> float:
    begun = time.perf_counter()
    orders, positions = Orders(), Positions()
    for recorded in log.read():
        orders.apply(recorded)
        positions.apply(recorded)
    return time.perf_counter() - begun


def _tables(log: SqliteLog, path: Path) -> float:
    begun = time.perf_counter()
    rebuild_tables(log, path)
    return time.perf_counter() - begun


def _runner(path: Path, events: int) -> float:
    env = {"PERSISTENCE_MODULE": "oms_es.log", "SQLITE_DBNAME": os.fspath(path)}
    begun = time.perf_counter()
    with ProjectionRunner(application_class=Application, projection_class=Counting, view_class=View, env=env) as runner:
        runner.projection.view.wait(runner.app.name, events, timeout=600)
    return time.perf_counter() - begun
