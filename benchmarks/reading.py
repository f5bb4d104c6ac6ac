"""What it costs to read: replay, queries at a moment, opening, tables."""

import asyncio
import random
import shutil
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import Tracking
from eventsourcing.projection import Projection, ProjectionRunner

from benchmarks import days, stock
from benchmarks.figures import Figure
from oms_es import OrderManagementSystem
from oms_es.audit.replay import replay
from oms_es.log.eventsourcing_adapter.recorders import LogTrackingRecorder
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.positions import Positions
from oms_es.projections.state import State
from oms_es.projections.tables import rebuild_tables
from oms_es.queries.queries import AsOf, Queries
from oms_es.vocabulary import CostMethod

ASKED = 40  # queries of a round
STOCK_ORDERS = 3_000
TABLE_EVENTS = 5_000


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


class Logs:
    """Logs that are made once and asked by several figures: a small one, and one ten times as long."""

    def __init__(self, folder: Path, events: int) -> None:
        self.folder = folder
        self.small = days.make_log(folder / "small.db", events // 10)
        self.large = days.make_log(folder / "large.db", events)
        self.short = days.make_log(folder / "short.db", TABLE_EVENTS, checkpoints=False)
        self.stock = stock.store(folder / "stock.db", STOCK_ORDERS)
        self.number = 0

    def fresh(self) -> Path:
        """Return a path that nothing has used."""
        self.number += 1
        return self.folder / f"{self.number}.db"


def figures(logs: Logs) -> list[Figure]:
    """Return the figures of reading; the bounds are those of the table in docs/performance.md."""
    grown = "the same on a tenth of the events"
    mapper = "stock mapper and fold"
    return [
        Figure(name="replay, digests included", base=mapper, unit="events/s", sample=partial(_replay, logs),
               higher_is_better=True, must=4, rounds=3),
        Figure(name="positions and P&L alone", base="stock mapper", unit="events/s", sample=partial(_positions, logs),
               higher_is_better=True, must=15, rounds=3),
        Figure(name="positions as of a moment", base=grown, unit="ms", sample=partial(_grown, logs, _as_of), must=1.3),
        Figure(name="positions known at a moment", base=grown, unit="ms", sample=partial(_grown, logs, _known_at),
               must=1.3),
        Figure(name="P&L as of a moment", base=grown, unit="ms", sample=partial(_grown, logs, _pnl), must=1.3),
        Figure(name="list of orders at a moment", base=grown, unit="ms", sample=partial(_grown, logs, _orders, 2),
               rounds=3),
        Figure(name="first command after opening", base=grown, unit="ms", sample=partial(_opening, logs, kept=True),
               must=1.5, rounds=3),
        Figure(name="first command without stored state", base=grown, unit="ms",
               sample=partial(_opening, logs, kept=False), must=1.5, rounds=2),
        Figure(name="rebuild of the tables", base="stock ProjectionRunner that counts", unit="events/s",
               sample=partial(_tables, logs), higher_is_better=True, must=40, rounds=2),
    ]  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _replay(logs: Logs) -> tuple[float, float]:
    events = logs.small.head().seq
    return events / _seconds(lambda: replay(logs.small.read(), State())), stock.replayed(logs.stock)


def _positions(logs: Logs) -> tuple[float, float]:
    events = logs.small.head().seq
    took = _seconds(lambda: Positions(CostMethod.FIFO).replay(logs.small.read(topics=Positions.topics())))
    return events / took, stock.replayed(logs.stock, fold=False)


Ask = Callable[[Queries, int], object]


def _grown(logs: Logs, ask: Ask, asked: int = ASKED) -> tuple[float, float]:
    """Return the median time of a query on the long log and on the short one, asked in turn, in ms."""
    dice = random.Random(logs.number)
    logs.number += 1
    spans = {log: [each.recorded_at for each in log.pick([1, log.head().seq])] for log in (logs.large, logs.small)}
    times: dict[SqliteLog, list[float]] = {log: [] for log in spans}
    for _ in range(asked):
        for log, (first, last) in spans.items():
            moment = dice.randrange(first, last)
            times[log].append(_seconds(partial(_asked, log, ask, moment)) * 1e3)
    return statistics.median(times[logs.large]), statistics.median(times[logs.small])


def _asked(log: SqliteLog, ask: Ask, moment: int) -> None:
    ask(Queries(log), moment)


def _as_of(queries: Queries, moment: int) -> object:
    return queries.positions(queries.basis(AsOf(as_of=moment))).rows()


def _known_at(queries: Queries, moment: int) -> object:
    return queries.positions(queries.basis(AsOf(known_at=moment))).rows()


def _pnl(queries: Queries, moment: int) -> object:
    return queries.days(queries.basis(AsOf(as_of=moment)))


def _orders(queries: Queries, moment: int) -> object:
    return [order for order in queries.orders(queries.basis(AsOf(as_of=moment))).sorted() if order.is_open]


def _opening(logs: Logs, *, kept: bool) -> tuple[float, float]:
    found = []
    for log in (logs.large, logs.small):
        path = logs.fresh()
        shutil.copy(log.path, path)
        if kept:
            asyncio.run(_first_command(path))  # leaves its state behind
        found.append(asyncio.run(_first_command(path)) * 1e3)
    return found[0], found[1]


async def _first_command(path: Path) -> float:
    begun = time.perf_counter()
    async with OrderManagementSystem(log=path) as oms:
        await oms.halt(reason="how long does it take?")
        return time.perf_counter() - begun


def _tables(logs: Logs) -> tuple[float, float]:
    events, path, copy = logs.short.head().seq, logs.fresh(), logs.fresh()
    ours = _seconds(lambda: rebuild_tables(logs.short, path))
    shutil.copy(logs.short.path, copy)  # the runner keeps its place in the file
    return events / ours, events / _seconds(partial(_runner, copy, events))


def _runner(path: Path, events: int) -> None:
    env = {"PERSISTENCE_MODULE": "oms_es.log", "SQLITE_DBNAME": str(path)}
    with ProjectionRunner(application_class=Application, projection_class=Counting, view_class=View, env=env) as runner:
        runner.projection.view.wait(runner.app.name, events, timeout=600)
