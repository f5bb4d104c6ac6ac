"""The tables: their content, and that every way to build them gives the same."""

import asyncio
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_es.decimals import text
from oms_es.domain.envelope import Recorded
from oms_es.log.sqlite import SqliteLog
from oms_es.projections import tables
from oms_es.projections.tables import rebuild_tables, update_tables
from oms_es.queries.queries import AsOf, Queries, fill_rows, order_rows
from oms_es.timestamps import SECOND, iso
from tests.golden_days import DATES, DAYS, play
from tests.projections.table_content import Content, at_once, busy_desk, content, disturb, interrupting
from tests.queries.played_desk import ALFA, FEWER, STEPS, Step, desk, trade


@given(steps=STEPS)
@FEWER
def test_the_tables_have_the_rows_of_the_api(steps: list[Step]) -> None:
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


@given(steps=STEPS, stops=st.sets(st.integers(0, 35), max_size=3), chunk=st.sampled_from((10, 30, 5_000)))
@FEWER
def test_tables_updated_in_pieces_equal_tables_made_at_once(steps: list[Step], stops: set[int], chunk: int) -> None:
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


@pytest.mark.parametrize(("question", "index"), [
    ("SELECT * FROM orders WHERE symbol = 'ALFA' AND account = 'main'", "symbol"),
    ("SELECT * FROM orders WHERE state = 'working'", "state"),
    ("SELECT * FROM orders WHERE submitted_at >= '2024-03-04'", "submitted_at"),
    ("SELECT * FROM orders JOIN fills ON order_key = key WHERE state = 'filled'", "order_key"),
    ("SELECT * FROM fills WHERE trade_id = 't-1'", "trade_id"),
    ("SELECT * FROM fills WHERE occurred_at >= '2024-03-04'", "occurred_at"),
    ("SELECT * FROM daily_pnl WHERE trading_day = '2024-03-04'", "trading_day"),
    ("SELECT * FROM quarantine WHERE state = 'waiting'", "state"),
])  # fmt: skip
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
