"""Whoever writes the tables: killed, refused, raced, and on foreign files."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from oms_es import errors
from oms_es.domain.envelope import Recorded
from oms_es.log.sqlite import SqliteLog
from oms_es.projections import tables
from oms_es.projections.snapshots.builder import advance
from oms_es.projections.snapshots.positions_at import cache_path
from oms_es.projections.tables import rebuild_tables, update_tables
from tests.projections.table_content import (
    Content,
    at_once,
    between_transactions,
    busy_desk,
    content,
    disturb,
    interrupting,
)
from tests.queries.played_desk import PlayedDesk

ROOT = Path(__file__).resolve().parents[2]


Make = Callable[[SqliteLog, Path], int]


Wrapping = Callable[..., int]  # the same, with a wrapper of the events


def test_tables_that_broke_off_between_transactions_go_on_where_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy_desk() as day:
        whole = at_once(day.log)
        monkeypatch.setattr(tables, "CHUNK", 7)
        path = tmp_path / "tables.db"
        update_tables(day.log, path)
        cut_off_after(path, day.log, 20)

        for number in (1, 2, 3):
            with pytest.raises(InterruptedError):
                update_tables(day.log, path, interrupting(number))
            (position,) = content(path)["log_position"]
            assert 20 < position["seq"] < day.log.head().seq
        update_tables(day.log, path)

        assert content(path) == whole


def cut_off_after(path: Path, log: SqliteLog, seq: int) -> None:
    """Put tables in the place that hold a log only up to an event."""
    short = log.path.with_name("short.db")
    with closing(sqlite3.connect(short)) as database:
        with closing(sqlite3.connect(log.path)) as source:
            source.backup(database)
        database.executescript("DROP TRIGGER events_no_delete; DROP TRIGGER streams_no_delete;")
        database.execute("DELETE FROM events WHERE seq > ?", (seq,))
        database.execute("DELETE FROM streams WHERE id NOT IN (SELECT originator_id FROM events)")
        database.commit()
    begun = SqliteLog(short)
    assert rebuild_tables(begun, path) == seq
    begun.close()


@pytest.mark.parametrize("call", ["upsert_all", "upsert"])
def test_tables_that_broke_off_within_a_transaction_hold_nothing_of_it(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy_desk() as day:
        whole, path = at_once(day.log), tmp_path / "tables.db"
        cut_off_after(path, day.log, 20)
        begun = content(path)
        with monkeypatch.context() as patch:
            failing(patch, call)
            with pytest.raises(errors.LogError, match="disk I/O error"):
                update_tables(day.log, path)

        assert content(path) == begun
        update_tables(day.log, path)
        assert content(path) == whole


def failing(patch: pytest.MonkeyPatch, call: str) -> None:
    """Let the last of the calls that write a transaction's rows fail, as on a broken disk."""
    from sqlite_utils.db import Table

    write = getattr(Table, call)

    def fail(table: Table, *values: Any, **options: Any) -> Any:
        done = write(table, *values, **options)
        if table.name in ("quarantine", "log_position"):
            raise sqlite3.OperationalError("disk I/O error")
        return done

    patch.setattr(Table, call, fail)


# Each line of input names a log, tables, and how many calls a writer of them has left to live; answered by how it
# ended and how many calls it made. A process of its own for each, which has nothing left to import.
WRITERS = """
import json, os, signal, sys
from pathlib import Path
from oms_es.domain.envelope import Recorded
from oms_es.log.sqlite import SqliteLog
from oms_es.projections import tables

def write(log, path, calls):
    made = 0
    def count(frame, event, arg):
        nonlocal made
        made += 1
        if made == calls:
            os.kill(os.getpid(), signal.SIGKILL)
    tables.CHUNK = 20
    sys.setprofile(count)
    tables.update_tables(SqliteLog(log), Path(path))
    sys.setprofile(None)
    return made

for line in sys.stdin:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, str(write(*json.loads(line))).encode())
        os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    said = os.read(reading, 100).decode()
    os.close(reading)
    print(json.dumps([os.waitstatus_to_exitcode(status), int(said or 0)]), flush=True)
"""


AT_A_TIME = 20  # events in one of their transactions


class Writers:
    """Processes that write tables, and live as long as they are let."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITERS], cwd=folder, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def write(self, log: SqliteLog, path: Path, calls: int) -> tuple[int, int]:
        """Return how a writer ended, and after how many calls."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(log.path), str(path), calls]) + "\n")
        self._process.stdin.flush()
        ended, made = json.loads(self._process.stdout.readline())
        return ended, made

    def close(self) -> None:
        self._process.communicate(timeout=20)


@pytest.mark.parametrize("begun", [False, True], ids=["made for the first time", "brought up to date"])
def test_tables_whose_writer_was_killed_at_any_point_are_those_of_one_who_never_stopped(
    begun: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy_desk() as day:
        whole, first, writers = at_once(day.log), tmp_path / "first.db", Writers(tmp_path)
        if begun:
            cut_off_after(first, day.log, 30)
        with monkeypatch.context() as patch:
            patch.setattr(tables, "CHUNK", AT_A_TIME)
            stages = stages_of(day.log, first) if begun else {}
        ended, calls = writers.write(day.log, copied(first, tmp_path / "unhurt.db"), -1)
        assert (ended, content(tmp_path / "unhurt.db")) == (0, whole)

        for number in range(8):
            path = copied(first, tmp_path / f"killed-{number}.db")
            ended, _ = writers.write(day.log, path, 1 + calls * number // 8)
            assert ended == -signal.SIGKILL
            if path.exists():  # complete up to the place it names, or not there at all
                found = content(path)
                assert found == stages[found["log_position"][0]["seq"]]
            assert path.exists() == begun
            update_tables(day.log, path)
            assert content(path) == whole
            assert not list(tmp_path.glob(f"{path.name}.new*"))
        writers.close()


def copied(source: Path, target: Path) -> Path:
    if source.exists():
        shutil.copy(source, target)
    return target


def stages_of(log: SqliteLog, begun: Path) -> dict[int, Content]:
    """Return what tables hold after each transaction of somebody who never stops, by the place they name."""
    path = copied(begun, begun.with_name("stages.db"))
    found = [content(path)]
    update_tables(log, path, between_transactions(lambda: found.append(content(path))))
    found.append(content(path))
    return {each["log_position"][0]["seq"]: each for each in found}


def test_the_journal_of_a_killed_writer_is_not_rolled_back_into_new_tables(tmp_path: Path) -> None:
    with busy_desk() as day:
        whole, path = at_once(day.log), tmp_path / "tables.db"
        update_tables(day.log, path)
        disturb(path)
        kill_within_a_transaction(path)
        assert path.with_name("tables.db-journal").stat().st_size

        rebuild_tables(day.log, path)

        assert content(path) == whole


def test_the_write_ahead_log_that_a_reader_keeps_of_old_tables_is_not_read_into_new_ones(tmp_path: Path) -> None:
    with busy_desk() as day:
        whole, path = at_once(day.log), tmp_path / "tables.db"
        update_tables(day.log, path)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("PRAGMA journal_mode=WAL")
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM orders").fetchone()
            disturb(path)
            assert path.with_name("tables.db-wal").stat().st_size

            rebuild_tables(day.log, path)

            assert content(path) == whole


def kill_within_a_transaction(path: Path) -> None:
    """Let a process die that has written pages of a transaction into the file, and not committed it."""
    code = (
        "import os, signal, sqlite3, sys\n"
        "tables = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "tables.execute('PRAGMA cache_size=1')\n"
        "tables.execute('BEGIN')\n"
        "for table in ('orders', 'fills', 'positions'):\n"
        "    tables.execute(f\"UPDATE {table} SET account = 'somebody-quite-different'\")\n"
        "tables.execute('CREATE TABLE big(number, content)')\n"
        "tables.executemany('INSERT INTO big VALUES (?, ?)', [(each, 'x' * 4000) for each in range(500)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -signal.SIGKILL


@pytest.mark.parametrize("make", [update_tables, rebuild_tables])
@pytest.mark.parametrize("begun", [False, True])
def test_two_who_write_the_same_tables_at_once_do_not_harm_each_other(
    begun: bool, make: Wrapping, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy_desk() as day:
        whole, path, others = at_once(day.log), tmp_path / "tables.db", count()
        if begun:
            cut_off_after(path, day.log, 20)
        monkeypatch.setattr(tables, "CHUNK", 30)

        def somebody_else() -> None:
            if next(others) == 1:
                make(day.log, path)

        with suppress(errors.LogError):  # to give way is fine
            make(day.log, path, between_transactions(somebody_else))

        assert next(others) > 1
        assert content(path) == whole
        assert list(tmp_path.iterdir()) == [path]


def test_rebuild_tables_swaps_in_complete_tables_while_another_rebuild_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy_desk() as day, ThreadPoolExecutor(1) as executor:
        whole, path, last = at_once(day.log), tmp_path / "tables.db", day.log.head().seq
        monkeypatch.setattr(tables, "CHUNK", 30)
        begun, swapped = Event(), Event()

        def pause() -> None:
            begun.set()
            assert swapped.wait(20)

        def let_another_begin(events: Iterable[Recorded], _: int) -> Iterator[Recorded]:
            yield from events
            others.append(executor.submit(rebuild_tables, SqliteLog(day.path), path, between_transactions(pause)))
            assert begun.wait(20)

        others = list[Future[int]]()
        try:
            assert rebuild_tables(day.log, path, let_another_begin) == last
            assert content(path) == whole
        finally:
            swapped.set()
        with suppress(errors.LogError):  # to give way is fine
            others[0].result(20)
        assert content(path) == whole


@pytest.mark.parametrize("make", [update_tables, rebuild_tables])
@pytest.mark.parametrize("kind", ["a diary", "a letter", "the log", "checkpoints", "a diary that sounds like ours"])
def test_update_and_rebuild_tables_refuse_a_foreign_file(kind: str, make: Make) -> None:
    with busy_desk() as day:
        path = somebody_elses(kind, day)
        before = path.read_bytes()

        with pytest.raises(errors.LogError, match=re.escape(str(path))):
            make(day.log, path)

        assert path.read_bytes() == before


def somebody_elses(kind: str, day: PlayedDesk) -> Path:
    path = day.path.with_name("tables.db")
    if kind == "the log":
        return day.path
    if kind == "checkpoints":
        advance(day.log)
        return cache_path(day.log)
    if kind == "a letter":
        path.write_text("Dear diary, today nobody wrote to me.\n" * 100, encoding="utf-8")
        return path
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"CREATE TABLE {'diary' if kind == 'a diary' else 'log_position'}(day TEXT, mood TEXT)")
    return path


@pytest.mark.parametrize("make", [update_tables, rebuild_tables])
def test_update_and_rebuild_tables_make_nothing_of_a_missing_log(make: Make, tmp_path: Path) -> None:
    with pytest.raises(errors.LogMissing, match=r"nowhere\.db"):
        make(SqliteLog(tmp_path / "nowhere.db"), tmp_path / "tables.db")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [update_tables, rebuild_tables])
@pytest.mark.parametrize("place", ["no/such/folder/tables.db", ""], ids=["no folder", "a folder"])
def test_update_and_rebuild_tables_name_the_folder_that_is_missing(place: str, make: Make, tmp_path: Path) -> None:
    with busy_desk() as day, pytest.raises(errors.LogError, match=re.escape(str(tmp_path))):
        make(day.log, tmp_path / place)


def test_an_empty_file_becomes_tables(tmp_path: Path) -> None:
    with busy_desk() as day:
        (tmp_path / "tables.db").touch()

        update_tables(day.log, tmp_path / "tables.db")

        assert content(tmp_path / "tables.db") == at_once(day.log)
