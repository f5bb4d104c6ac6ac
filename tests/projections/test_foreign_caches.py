"""A database of another program that has the name of a cache: nothing in it is read, changed or deleted."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from oms_es.errors import LogError
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.builder import advance, forget
from oms_es.projections.snapshots.positions_at import cache_path
from oms_es.projections.snapshots.state_store import load_state, save_state, states_path
from oms_es.projections.state import State
from tests.desk import desk, trade


def _foreign(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as made:
        made.executescript("CREATE TABLE meta(key, value); CREATE TABLE invoices(id); INSERT INTO invoices VALUES (1)")
    return path.read_bytes()


@pytest.fixture
def log(path: Path) -> SqliteLog:
    async def play() -> None:
        async with desk(path) as oms:
            await trade(oms, "o-1", "buy", 100, 10)  # type: ignore[arg-type]

    asyncio.run(play())
    return SqliteLog(path)


def test_checkpoints_do_not_replace_a_database_of_another_program(log: SqliteLog) -> None:
    path = cache_path(log)
    path.unlink(missing_ok=True)
    content = _foreign(path)

    with pytest.raises(LogError, match=r"day.db.checkpoints is a database of another program, not a cache of oms_es"):
        advance(log)
    with pytest.raises(LogError, match="another program"):
        forget(log)

    assert path.read_bytes() == content
    log.close()


def test_a_state_is_not_saved_into_a_database_of_another_program(log: SqliteLog) -> None:
    path = states_path(log)
    path.unlink(missing_ok=True)
    content = _foreign(path)

    save_state(log, "live", State().replay(log.read()))

    assert path.read_bytes() == content
    assert load_state(log, "live", 100) is None
    log.close()
