"""What the tests of the tables share."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from oms_es.domain.envelope import Recorded
from oms_es.log.contract import WrapEvents
from oms_es.log.sqlite import SqliteLog
from oms_es.projections import tables
from oms_es.projections.tables import rebuild_tables
from tests.queries.played_desk import PlayedDesk, Step, desk

Content = dict[str, list[dict[str, Any]]]


def content(path: Path) -> Content:
    """Return every row of every table, as any reader of the file sees it."""
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [dict(row) for row in database.execute(f"SELECT * FROM {name} ORDER BY 1")] for name in names}


def at_once(log: SqliteLog) -> Content:
    """Return what tables made from nothing hold."""
    path = log.path.with_name("at_once.db")
    rebuild_tables(log, path)
    return content(path)


@contextmanager
def busy_desk() -> Iterator[PlayedDesk]:
    """Give a desk on which things of every kind have happened."""
    with desk() as day:
        day.play(SOME_STEPS)
        yield day


def some_steps() -> Iterator[Step]:
    """Return steps of every kind that leave something behind, over three days."""
    kinds = (
        "trade trade mark part overfill conflict trade correct bust stranger unnamed accept accept cancel amend refuse"
    )
    for number, kind in enumerate(kinds.split() * 4):
        yield Step(
            wait=3_600, kind=kind, pick=1 + number * 7, account=("main", "hedge")[number % 2],
            symbol=("ALFA", "BETA", "CRUDE")[number % 3], side=("buy", "sell")[number // 3 % 2],
            quantity=("10", "3", "7.5")[number % 3], price=str(100 + number % 5), fee="0.25", late=number % 4 * 900,
        )  # fmt: skip


SOME_STEPS = tuple(some_steps())


def disturb(path: Path) -> None:
    """Leave a figure in the tables that only making them anew puts right."""
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute("UPDATE positions SET quantity = '4711'").rowcount


def between_transactions(act: Callable[[], object]) -> WrapEvents:
    """Return a wrapper of the events that calls `act` between two transactions, when the next chunk is read."""

    def wrap(events: Iterable[Recorded], _: int) -> Iterator[Recorded]:
        for number, each in enumerate(events, start=1):
            yield each
            if number % tables.CHUNK == 0:
                act()

    return wrap


def interrupting(number: int) -> WrapEvents:
    """Return a wrapper of the events that raises after this many transactions."""
    calls = count(1)

    def act() -> None:
        if next(calls) == number:
            raise InterruptedError(number)

    return between_transactions(act)
