"""What tests of a tampered log share: a short day, SQL as another program carries it out, and every read there is."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from oms_es.domain.envelope import Recorded
from oms_es.log.hash_chain import genesis, sealed
from oms_es.log.sqlite import SqliteLog
from tests.desk import BUY, SELL, START, desk, mark, submit, trade

TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
Query = Callable[[SqliteLog], object]
LAST = 13  # events of the log above


def all_streams(log: SqliteLog) -> list[Recorded]:
    return [each for name in ("policy/*", *(f"order/default/o-{n}" for n in (1, 2, 3))) for each in log.stream(name)]


READS: dict[str, Query] = {
    "read": lambda log: list(log.read()),
    "read until": lambda log: list(log.read(until=LAST - 1)) + list(log.read(LAST - 1, LAST)),
    "read topics": lambda log: list(log.read(topics={"FillAdded"})),
    "read no topics": lambda log: list(log.read(topics=())),
    "stream": all_streams,
    "order streams": lambda log: log.order_streams("o-3"),
    "pick": lambda log: log.pick(range(1, LAST + 1)),
    "chain": lambda log: [log.chain_at(seq) for seq in range(1, LAST + 1)],
    "name": lambda log: log.holds_name("FillQuarantined"),
    "recorded by": lambda log: log.recorded_by(START),
    "first of day": lambda log: log.first_of_day("2025-06-16"),
    "last of day": lambda log: log.last_of_day("2025-06-16"),
    "ends of days": lambda log: log.ends_of_days(LAST, {"FillAdded"}),
    "latest": lambda log: log.latest(0),
}


def short_day(path: Path) -> Path:
    """Write a log in which two orders were filled and one is open; return its path."""

    async def day() -> None:
        async with desk(path) as oms:
            await trade(oms, "o-1", BUY, 100, 10)
            await trade(oms, "o-2", SELL, 40, 12)
            await submit(oms, "o-3", command_id="c-3")

    asyncio.run(day())
    return path


def broken_links(path: Path) -> list[int]:
    """Return the seqs of rows that do not follow from the row before, worked out from end to end."""
    with closing(SqliteLog(path)) as log:
        meta = log.meta()
        found, chain = list[int](), b"" if meta is None else genesis(meta.log_id)
        for number, row in enumerate(log.rows(), 1):
            assert meta is not None
            if row.seq != number or row != sealed(row, chain, meta.secret):
                found.append(row.seq)
            chain = row.chain
        return found


def run(path: Path, *statements: str) -> list[tuple[Any, ...]]:
    """Carry out SQL as any other program would; return the rows of the last statement."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        rows: list[tuple[Any, ...]] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows


def tampered(path: Path, *statements: str) -> None:
    """Change rows as somebody could who drops the triggers and makes them again."""
    triggers = run(path, TRIGGERS)
    run(path, *(f"DROP TRIGGER {name}" for name, _ in triggers), *statements, *(sql for _, sql in triggers))


def five_marks(path: Path) -> Path:
    """Write a log of five marks that lies in one file; return its path."""
    log = SqliteLog(path)
    log.append([mark("X", 1, "c-1"), mark("X", 2, None), mark("Y", 3, "fact:00aa")], 0)
    log.append([mark("X", 4), mark("Z", 5, "c-5")], 3)
    log.close()
    in_one_file(path)
    return path


def in_one_file(path: Path) -> None:
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert [each.name for each in path.parent.iterdir()] == [path.name]
