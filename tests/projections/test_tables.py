"""The tables for SQL say what the API says, however they came about, and whatever happened to whoever wrote them."""

import asyncio
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
from contextlib import closing, contextmanager, suppress
from decimal import Decimal
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_es import errors
from oms_es.decimals import text
from oms_es.domain.envelope import Recorded
from oms_es.log.sqlite import SqliteLog
from oms_es.projections import tables
from oms_es.projections.snapshots.builder import advance
from oms_es.projections.snapshots.positions_at import cache_path
from oms_es.projections.tables import rebuild_tables, update_tables
from oms_es.queries.queries import AsOf, Queries, fill_rows, order_rows
from oms_es.timestamps import SECOND, iso
from tests.golden_days import DATES, DAYS, play
from tests.queries.played_desk import ALFA, FEWER, STEPS, PlayedDesk, Step, desk, trade

ROOT = Path(__file__).resolve().parents[2]
Content = dict[str, list[dict[str, Any]]]
Make = Callable[[SqliteLog, Path], int]
Progressing = Callable[..., int]  # the same, with a progress


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


# --- what they say ---


@given(steps=STEPS)
@FEWER
def test_the_tables_say_what_the_api_says(steps: list[Step]) -> None:
    with desk() as day:
        day.play(steps)
        path = day.path.with_name("tables.db")

        assert update_tables(day.log, path) == day.log.head().seq

        agrees_with_the_api(content(path), day.log)


def agrees_with_the_api(found: Content, log: SqliteLog) -> None:
    queries = Queries(log)
    basis = queries.basis(AsOf())
    orders = queries.orders(basis)
    same(found["orders"], order_rows(orders), ("account", "order_id"), besides={"fills", "waiting"})
    same(found["fills"], fill_rows(orders), ("seq",), besides={"order_id", "notional"})
    same(found["positions"], queries.positions(basis).rows(), ("account", "symbol"))
    same(found["daily_pnl"], queries.days(basis), ("trading_day", "account", "symbol"))
    asked = {each.fill.quarantine_id: text(each.fill.fill_quantity) for each in orders.all_waiting()}
    waiting = {row["quarantine_id"]: row["quantity"] for row in found["quarantine"] if row["state"] == "waiting"}
    assert waiting == asked
    accepted = {row["quarantine_id"] for row in found["quarantine"] if row["state"] == "accepted"}
    told = {row["quarantine_id"]: row for row in found["quarantine"]}
    taken = [each.event for each in log.read() if getattr(each.event, "accepted", False)]
    assert accepted == {getattr(event, "quarantine_id", None) for event in taken}
    assert len(told) == sum(each.topic == "FillQuarantined" for each in log.rows())


def same(
    found: Iterable[dict[str, Any]],
    asked: Iterable[dict[str, Any]],
    names: tuple[str, ...],
    besides: frozenset[str] | set[str] = frozenset(),
) -> None:
    """Check that the tables hold the rows of an answer, every column of it; `besides`: what they leave out."""
    rows = {tuple(row[name] for name in names): row for row in found}
    answers = {tuple(row[name] for name in names): row for row in asked}
    assert rows.keys() == answers.keys()
    for key, answer in answers.items():
        assert answer.keys() - rows[key].keys() == besides
        assert {name: rows[key][name] for name in answer if name not in besides} == {
            name: cell(name, value) for name, value in answer.items() if name not in besides
        }


def cell(name: str, value: Any) -> Any:
    """Return a figure of the API as it stands in the tables."""
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, list):
        return "; ".join(value) or None
    return iso(value) if name in ("mark_at", "updated_at") and value is not None else value


@pytest.mark.parametrize("day", DATES)
def test_a_golden_day_gives_the_same_figures_through_tables(day: str, tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "day.db")
    asyncio.run(play(day, log))
    update_tables(log, tmp_path / "tables.db")

    found = content(tmp_path / "tables.db")

    agrees_with_the_api(found, log)
    fifo = [row for row in expected(day, "positions") if row["method"] == "fifo"]
    queue = sorted(found["quarantine"], key=lambda row: int(row["seq"]))
    waiting = [{**row, "id": row["quarantine_id"]} for row in queue if row["state"] == "waiting"]
    orders = {row["key"]: row["order_id"] for row in found["orders"]}
    fills = [{**row, "order_id": orders[row["order_key"]]} for row in found["fills"]]
    shown(found["orders"], expected(day, "orders"), besides={"fills", "waiting"})
    shown(fills, expected(day, "fills"), besides={"notional"})
    shown(found["positions"], fifo, besides={"method"})
    shown(waiting, expected(day, "quarantine"))
    log.close()


def expected(day: str, name: str) -> list[dict[str, str]]:
    """Return a table that stands beside a golden day."""
    header, *lines = (DAYS / day / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    if header == "(nothing)":
        return []
    begins = [found.start() for found in re.finditer(r"\S+", header)]
    return [
        {
            header[begin:end].strip(): line[begin:end].strip()
            for begin, end in zip(begins, [*begins[1:], None], strict=True)
        }
        for line in lines
    ]


def shown(
    found: list[dict[str, Any]], wanted: list[dict[str, str]], besides: frozenset[str] | set[str] = frozenset()
) -> None:
    assert len(found) == len(wanted)
    for row, figures in zip(found, wanted, strict=True):
        assert figures.keys() - row.keys() == besides
        assert {name: in_words(name, row[name]) for name in figures if name not in besides} == {
            name: figure for name, figure in figures.items() if name not in besides
        }


def in_words(name: str, value: Any) -> str:
    if name in ("reduce_only", "external", "late", "forced", "busted", "corrected"):
        return "true" if value else "false"
    return "-" if value is None else str(value)


# --- how they came about ---


@given(steps=STEPS, stops=st.sets(st.integers(0, 35), max_size=3), chunk=st.sampled_from((10, 30, 5_000)))
@FEWER
def test_tables_brought_up_in_pieces_are_those_made_at_once(steps: list[Step], stops: set[int], chunk: int) -> None:
    with desk() as day, pytest.MonkeyPatch.context() as patch:
        path, taken = day.path.with_name("pieces.db"), list[int]()
        patch.setattr(tables, "CHUNK", chunk)

        day.play(steps, lambda number: taken.append(update_tables(day.log, path)) if number in stops else None)
        taken.append(update_tables(day.log, path))

        assert sum(taken) == day.log.head().seq
        assert update_tables(day.log, path) == 0
        patch.undo()
        assert content(path) == at_once(day.log)


def test_the_cost_method_of_the_tables_is_that_of_the_log_as_it_stands() -> None:
    with desk() as day:
        path = day.path.with_name("tables.db")
        for side, quantity, price in (("buy", 1, 100), ("buy", 1, 110), ("sell", 1, 120)):
            asyncio.run(trade(day, side, quantity, price))
        update_tables(day.log, path)
        asyncio.run(day.oms.set_limits(method="lifo"))

        update_tables(day.log, path)

        assert [row["gross_realized_pnl"] for row in content(path)["positions"]] == ["10"]
        agrees_with_the_api(content(path), day.log)


def test_what_was_earned_in_one_currency_stays_so_in_the_tables() -> None:
    with desk() as day:
        path = day.path.with_name("tables.db")
        for currency in ("USD", "EUR"):
            asyncio.run(day.oms.define_instrument(ALFA, currency=currency))
            asyncio.run(trade(day, "buy", 1, 100))
            asyncio.run(trade(day, "sell", 1, 110))
            update_tables(day.log, path)
            day.now += 86_400 * SECOND

        assert content(path) == at_once(day.log)
        assert [(row["currency"], row["gross_realized_pnl"]) for row in content(path)["daily_pnl"]] == [
            ("USD", "10"),
            ("EUR", "10"),
        ]


def test_tables_of_an_earlier_version_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with busy_desk() as day:
        path = tmp_path / "tables.db"
        update_tables(day.log, path)
        before = content(path)
        disturb(path)
        monkeypatch.setattr(tables, "VERSION", "the next")

        assert update_tables(day.log, path) == day.log.head().seq

        after = content(path)
        assert after.pop("log_position")[0] == {**before.pop("log_position")[0], "version": "the next"}
        assert after == before
        assert [each.name for each in tmp_path.iterdir()] == ["tables.db"]


def test_old_tables_stand_until_the_new_ones_are_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with busy_desk() as day:
        path = tmp_path / "tables.db"
        update_tables(day.log, path)
        before = content(path)
        monkeypatch.setattr(tables, "CHUNK", 5)

        for broken in (2, 5):
            with pytest.raises(InterruptedError):
                rebuild_tables(day.log, path, interrupting(broken))

            assert content(path) == before
            assert [each.name for each in tmp_path.iterdir()] == ["tables.db"]


def test_tables_of_another_log_are_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "tables.db"
    with busy_desk() as one, busy_desk() as other:
        update_tables(one.log, path)

        update_tables(other.log, path)

        assert content(path) == at_once(other.log)


@pytest.mark.parametrize("goes_on", [False, True], ids=["as it was", "and goes on differently"])
def test_tables_of_a_log_that_was_put_back_are_made_anew(goes_on: bool, tmp_path: Path) -> None:
    path = tmp_path / "tables.db"
    with desk() as day, desk() as back:
        asyncio.run(trade(day, "buy", 1, 100))
        with closing(sqlite3.connect(day.path)) as source, closing(sqlite3.connect(back.path)) as target:
            source.backup(target)
        asyncio.run(trade(day, "buy", 2, 100))
        update_tables(day.log, path)
        if goes_on:
            back.orders = ["", "", ""]
            asyncio.run(trade(back, "sell", 7, 90))
            asyncio.run(trade(back, "sell", 7, 90))
            assert back.log.head().seq > day.log.head().seq

        update_tables(back.log, path)

        assert [row["quantity"] for row in content(path)["positions"]] == ["-13" if goes_on else "1"]
        assert content(path) == at_once(back.log)


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


# --- what happens to whoever writes them ---


def interrupting(number: int) -> Callable[[int, int], None]:
    """Return a progress that breaks off, between two transactions, when it is told something this often."""
    calls = count(1)

    def progress(_done: int, _all: int) -> None:
        if next(calls) == number:
            raise InterruptedError(number)

    return progress


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

        for number in range(12):
            path = copied(first, tmp_path / f"killed-{number}.db")
            ended, _ = writers.write(day.log, path, 1 + calls * number // 12)
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
    update_tables(log, path, lambda *_: found.append(content(path)))
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
    begun: bool, make: Progressing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy_desk() as day:
        whole, path, others = at_once(day.log), tmp_path / "tables.db", count()
        if begun:
            cut_off_after(path, day.log, 20)
        monkeypatch.setattr(tables, "CHUNK", 30)

        def somebody_else(_done: int, _all: int) -> None:
            if next(others) == 1:
                make(day.log, path)

        with suppress(errors.LogError):  # to give way is fine
            make(day.log, path, somebody_else)

        assert next(others) > 1
        assert content(path) == whole
        assert list(tmp_path.iterdir()) == [path]


def test_what_is_swapped_in_is_complete_although_somebody_else_begins_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy_desk() as day, ThreadPoolExecutor(1) as executor:
        whole, path, last = at_once(day.log), tmp_path / "tables.db", day.log.head().seq
        monkeypatch.setattr(tables, "CHUNK", 30)
        begun, swapped = Event(), Event()

        def pause(_done: int, _all: int) -> None:
            begun.set()
            assert swapped.wait(20)

        def let_another_begin(done: int, _all: int) -> None:
            if done == last:
                others.append(executor.submit(rebuild_tables, SqliteLog(day.path), path, pause))
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


# --- where they stand ---


@pytest.mark.parametrize("make", [update_tables, rebuild_tables])
@pytest.mark.parametrize("kind", ["a diary", "a letter", "the log", "checkpoints", "a diary that sounds like ours"])
def test_what_is_somebody_elses_is_left_alone(kind: str, make: Make) -> None:
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
def test_where_no_log_is_no_tables_are_made(make: Make, tmp_path: Path) -> None:
    with pytest.raises(errors.LogMissing, match=r"nowhere\.db"):
        make(SqliteLog(tmp_path / "nowhere.db"), tmp_path / "tables.db")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [update_tables, rebuild_tables])
@pytest.mark.parametrize("place", ["no/such/folder/tables.db", ""], ids=["no folder", "a folder"])
def test_where_tables_cannot_be_made_the_error_says_so(place: str, make: Make, tmp_path: Path) -> None:
    with busy_desk() as day, pytest.raises(errors.LogError, match=re.escape(str(tmp_path))):
        make(day.log, tmp_path / place)


def test_an_empty_file_becomes_tables(tmp_path: Path) -> None:
    with busy_desk() as day:
        (tmp_path / "tables.db").touch()

        update_tables(day.log, tmp_path / "tables.db")

        assert content(tmp_path / "tables.db") == at_once(day.log)


# --- what they are made of ---

MONEY = {
    "orders": {"quantity", "price", "filled_quantity", "remaining_quantity", "open_quantity", "avg_fill_price", "fees"},
    "fills": {"quantity", "price", "fee"},
    "positions": {"quantity", "avg_price", "cost_basis", "realized_pnl", "gross_realized_pnl", "fees", "mark_price",
                  "unrealized_pnl", "multiplier"},
    "daily_pnl": {"realized_pnl", "gross_realized_pnl", "fees", "unrealized_pnl", "unrealized_change", "total_pnl"},
    "quarantine": {"quantity", "price", "fee"},
}  # fmt: skip


@pytest.mark.parametrize("table", MONEY)
def test_money_and_quantities_are_canonical_text(table: str, tmp_path: Path) -> None:
    with busy_desk() as day:
        update_tables(day.log, tmp_path / "tables.db")

    rows = content(tmp_path / "tables.db")[table]
    types = {row["name"]: row["type"] for row in pragma(tmp_path / "tables.db", "table_info", table)}
    cells = [row[name] for row in rows for name in MONEY[table] if row[name] is not None]

    assert {types[name] for name in MONEY[table]} == {"TEXT"}
    assert len(cells) >= len(rows)
    assert all(isinstance(each, str) and text(Decimal(each)) == each for each in cells)


def test_every_reference_holds(tmp_path: Path) -> None:
    with busy_desk() as day:
        update_tables(day.log, path := tmp_path / "tables.db")

        references = {
            (table, row["from"], row["table"], row["to"])
            for table in ("fills", "daily_pnl")
            for row in pragma(path, "foreign_key_list", table)
        }

        assert references == {
            ("fills", "order_key", "orders", "key"),
            ("daily_pnl", "position_key", "positions", "key"),
        }
        assert pragma(path, "foreign_key_check") == []
        assert pragma(path, "integrity_check") == [{"integrity_check": "ok"}]


@pytest.mark.parametrize(
    ("question", "index"),
    [
        ("SELECT * FROM orders WHERE symbol = 'ALFA' AND account = 'main'", "symbol"),
        ("SELECT * FROM orders WHERE state = 'working'", "state"),
        ("SELECT * FROM orders WHERE submitted_at >= '2024-03-04'", "submitted_at"),
        ("SELECT * FROM orders JOIN fills ON order_key = key WHERE state = 'filled'", "order_key"),
        ("SELECT * FROM fills WHERE trade_id = 't-1'", "trade_id"),
        ("SELECT * FROM fills WHERE occurred_at >= '2024-03-04'", "occurred_at"),
        ("SELECT * FROM daily_pnl WHERE trading_day = '2024-03-04'", "trading_day"),
        ("SELECT * FROM quarantine WHERE state = 'waiting'", "state"),
    ],
)
def test_what_is_asked_often_finds_an_index(question: str, index: str, tmp_path: Path) -> None:
    with busy_desk() as day:
        update_tables(day.log, tmp_path / "tables.db")

    with closing(sqlite3.connect(tmp_path / "tables.db")) as database:
        plan = " ".join(row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {question}"))

    assert re.search(rf"USING INDEX \w*{index}", plan), plan


def pragma(path: Path, name: str, table: str = "") -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(f"PRAGMA {name}" + (f"({table})" if table else ""))]


def test_two_runs_at_once_write_each_event_once(tmp_path: Path) -> None:
    log, path = SqliteLog(tmp_path / "day.db"), tmp_path / "desk.db"
    asyncio.run(play("ordinary_day", log))
    update_tables(log, path)
    asyncio.run(play("awkward_day", log))
    late, other = SqliteLog(log.path), SqliteLog(log.path)
    read = late.read

    def overtaken(*args: Any, **options: Any) -> Iterator[Recorded]:
        found = list(read(*args, **options))
        if args:  # it has read what is new: now another run is faster
            update_tables(other, path)
        return iter(found)

    late.read = overtaken  # type: ignore[method-assign]

    update_tables(late, path)

    assert content(path) == content(_fresh(log, tmp_path))


def _fresh(log: SqliteLog, folder: Path) -> Path:
    update_tables(log, folder / "fresh.db")
    return folder / "fresh.db"
