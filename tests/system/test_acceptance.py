"""
Amazon's day of 2012-06-21 against figures that other software worked out.

Source: ../shared/acceptance (exact fractions, no code shared with this project); how each figure was made is told in
its README. Figures that end within 15 decimals are compared exactly, averages within 1e-9.
"""

import asyncio
import gzip
import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from oms_es import OMSOrder, OrderManagementSystem, OrderState, Position
from oms_es.audit.bisect import bisect
from oms_es.audit.day_archive import pack, unpack
from oms_es.audit.expression import Expression
from oms_es.audit.replay import end_of_day, replay
from oms_es.cli.app import app
from oms_es.decimals import minus, text
from oms_es.domain.events import FillAdded
from oms_es.importers.importer import Imported
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.projection import plain
from oms_es.projections.state import State
from oms_es.projections.tables import update_tables
from oms_es.vocabulary import CostMethod
from tests.desk import Clock, desk, take_in

pytestmark = pytest.mark.xdist_group("acceptance")  # one worker imports the one day

DAYS = ("p20", "full")
DAYS_IN_BRIEF = ("p20", pytest.param("full", marks=pytest.mark.torture))
INSTANTS = range(5)
MOMENTS = [("p20", number) for number in INSTANTS] + [
    pytest.param("full", number, marks=() if number == 2 else pytest.mark.torture) for number in INSTANTS
]
METHODS = ("fifo", "lifo", "average")
CLOSE = Decimal("1e-9")


@dataclass(frozen=True)
class Day:
    """A day that was imported, and what it has to come to."""

    oms: OrderManagementSystem
    told: Imported
    expected: dict[str, Any]


class Days:
    """The days, each imported once, when it is first asked for."""

    def __init__(self, source: Path, folder: Path) -> None:
        self._source = source
        self._folder = folder
        self._days: dict[str, Day] = {}

    def day(self, name: str) -> Day:
        if name not in self._days:
            stem = self._source / f"amzn-2012-06-21.{name}"
            expected = json.loads(gzip.decompress(Path(f"{stem}.expected.json.gz").read_bytes()))
            oms = desk(self._folder / f"{name}.db", Clock())
            told = asyncio.run(take_in(oms, Path(f"{stem}.jsonl.gz")))
            self._days[name] = Day(oms, told, expected)
        return self._days[name]

    def close(self) -> None:
        for day in self._days.values():
            asyncio.run(day.oms.close())


@pytest.fixture(scope="module")
def days(shared_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    made = Days(shared_path / "acceptance", tmp_path_factory.mktemp("acceptance"))
    yield made
    made.close()


def orders_sha256(orders: Iterable[OMSOrder]) -> str:
    """Return the digest that the README of the acceptance data defines."""
    lines = (
        f"{each.order_id}|{each.state.value}|{text(each.filled_quantity)}|{text(each.open_quantity)}" for each in orders
    )
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def assert_orders(orders: list[OMSOrder], expected: dict[str, Any]) -> None:
    """Compare orders with what they have to be, in sum and by the digest over each of them."""
    assert len(orders) == expected["orders"]
    assert Counter(each.state.value for each in orders) == expected["states"]
    working = [each for each in orders if each.state is OrderState.WORKING]
    assert sum(bool(each.filled_quantity) for each in working) == expected["partially_filled_open"]
    (open_,) = expected["open_by_symbol"].values()
    assert len(working) == open_["open_orders"]
    for side in ("buy", "sell"):
        quantity = sum(each.open_quantity for each in working if each.side.value == side)
        assert quantity == Decimal(open_[f"{side}_open_qty"])
    if "open_orders" in expected:
        assert {each.order_id: text(each.open_quantity) for each in working} == expected["open_orders"]
    (figures,) = expected["symbols"].values()
    fills = [(each.side.value, fill) for each in orders for fill in each.fills]
    assert len(fills) == figures["fills"]
    for side in ("buy", "sell"):
        assert sum(fill["quantity"] for way, fill in fills if way == side) == Decimal(figures[f"{side}_qty"])
        notional = sum(fill["quantity"] * fill["price"] for way, fill in fills if way == side)
        assert notional == Decimal(figures[f"{side}_notional"])
    assert orders_sha256(orders) == expected["orders_sha256"]


def assert_position(position: Position, method: str, expected: dict[str, Any]) -> None:
    """Compare a position with what it has to be by a cost method."""
    figures = expected["symbols"][position.symbol]
    exact = method != "average"
    assert position.quantity == Decimal(figures["position"])
    assert position.fees == Decimal(figures["fees"])
    assert position.realized_pnl == minus(position.gross_realized_pnl, position.fees)
    same(position.gross_realized_pnl, figures[f"{method}_realized"], exact=exact)
    assert minus(position.gross_realized_pnl, position.cost_basis) == Decimal(figures["cash_flow"])
    assert position.mark_price == Decimal(figures["mark"])
    same(position.unrealized_pnl, figures[f"{method}_unrealized"], exact=exact)
    if method == "fifo":
        assert position.cost_basis == Decimal(figures["fifo_open_cost"])
    if method == "average":
        same(position.avg_price, figures["average_price"], exact=False)


def same(found: Decimal | None, expected: str, *, exact: bool) -> None:
    assert found is not None
    if exact:
        assert found == Decimal(expected)
    else:
        assert abs(found - Decimal(expected)) <= CLOSE


@pytest.mark.parametrize("name", DAYS)
def test_every_fact_of_the_day_is_taken_in(days: Days, name: str) -> None:
    day = days.day(name)

    kinds = day.expected["kinds"]
    assert day.told.facts == sum(kinds.values())
    assert (day.told.orders, day.told.fills, day.told.marks) == (kinds["submit"], kinds["fill"], kinds["mark"])
    assert (day.told.skipped, day.told.quarantined, day.told.refused, day.told.problems) == (0, 0, 0, [])


@pytest.mark.parametrize("name", DAYS)
def test_the_orders_of_the_day_end_as_they_have_to(days: Days, name: str) -> None:
    day = days.day(name)

    assert_orders(day.oms.get_all_orders(), day.expected["end"])


@pytest.mark.parametrize("name", DAYS)
def test_each_order_of_the_day_ends_as_it_has_to(days: Days, name: str) -> None:
    day = days.day(name)
    found = {each.order_id: each for each in day.oms.get_all_orders()}
    assert found.keys() == day.expected["orders"].keys()

    for order_id, expected in day.expected["orders"].items():
        order = found[order_id]
        assert order.state.value == expected["state"], order_id
        assert order.filled_quantity == Decimal(expected["filled_qty"]), order_id
        assert order.open_quantity == Decimal(expected["open_qty"]), order_id
        assert order.fees == Decimal(expected["fees"]), order_id
        assert len(order.fills) == expected["fills"], order_id
        average = Decimal(expected["avg_fill_price"] or 0)
        assert abs(order.avg_fill_price - average) <= CLOSE, order_id
        notional = sum(fill["quantity"] * fill["price"] for fill in order.fills)
        assert notional == Decimal(expected["notional"]), order_id


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", DAYS)
def test_the_day_ends_with_the_right_position_by_each_method(days: Days, name: str, method: str) -> None:
    day = days.day(name)

    (position,) = day.oms.positions(method=method)

    assert_position(position, method, day.expected["end"])


@pytest.mark.parametrize("name", DAYS)
def test_the_live_position_is_the_one_of_the_default_method(days: Days, name: str) -> None:
    day = days.day(name)

    position = day.oms.get_position("AMZN")

    assert position is not None
    assert_position(position, "fifo", day.expected["end"])


@pytest.mark.parametrize(("name", "number"), MOMENTS)
def test_the_orders_as_of_an_instant_are_as_they_have_to_be(days: Days, name: str, number: int) -> None:
    day = days.day(name)
    expected = day.expected["as_of"][number]

    assert_orders(day.oms.orders(as_of=expected["as_of"]), expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", INSTANTS)
@pytest.mark.parametrize("name", DAYS)
def test_the_position_as_of_an_instant_is_as_it_has_to_be(days: Days, name: str, number: int, method: str) -> None:
    day = days.day(name)
    expected = day.expected["as_of"][number]

    (position,) = day.oms.positions(as_of=expected["as_of"], method=method)

    assert_position(position, method, expected)


@pytest.mark.parametrize("name", DAYS)
def test_a_moment_after_the_end_is_the_end(days: Days, name: str) -> None:
    day = days.day(name)

    found = day.oms.positions(as_of="2100-01-01T00:00:00Z")

    assert found.basis.past_end
    assert_position(found[0], "fifo", day.expected["end"])
    assert not day.oms.positions(as_of=day.expected["last_ts"]).basis.past_end


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("name", "number"), MOMENTS)
def test_the_command_line_answers_the_same(days: Days, name: str, number: int, method: str) -> None:
    day = days.day(name)
    expected = day.expected["as_of"][number]
    (figures,) = expected["symbols"].values()
    assert isinstance(day.oms.log, SqliteLog)
    words = ["positions", "--as-of", expected["as_of"], "--method", method, "--json", "--log", str(day.oms.log.path)]

    (row,) = json.loads(CliRunner().invoke(app, words).stdout)["positions"]

    exact = method != "average"
    assert row["quantity"] == figures["position"]
    same(Decimal(row["gross_realized_pnl"]), figures[f"{method}_realized"], exact=exact)
    same(Decimal(row["unrealized_pnl"]), figures[f"{method}_unrealized"], exact=exact)
    assert row["mark_price"] == figures["mark"]


@pytest.mark.parametrize("name", DAYS_IN_BRIEF)
def test_the_tables_hold_the_same(days: Days, name: str, tmp_path: Path) -> None:
    day = days.day(name)
    (figures,) = day.expected["end"]["symbols"].values()
    assert isinstance(day.oms.log, SqliteLog)

    update_tables(day.oms.log, tmp_path / "tables.db")

    tables = sqlite3.connect(tmp_path / "tables.db")
    (row,) = tables.execute("SELECT quantity, gross_realized_pnl, unrealized_pnl FROM positions")
    states = dict(tables.execute("SELECT state, count(*) FROM orders GROUP BY state"))
    tables.close()
    assert row == (figures["position"], figures["fifo_realized"], figures["fifo_unrealized"])
    assert states == day.expected["end"]["states"]


@pytest.mark.parametrize("name", DAYS_IN_BRIEF)
def test_the_day_replayed_checked_closed_packed_and_replayed_from_its_box_has_one_digest(
    name: str, days: Days, tmp_path: Path
) -> None:
    day = days.day(name)
    assert isinstance(day.oms.log, SqliteLog)
    with closing(sqlite3.connect(day.oms.log.path)) as source, closing(sqlite3.connect(tmp_path / "day.db")) as copy:
        source.backup(copy)
    log = SqliteLog.existing(tmp_path / "day.db")

    before = replay(log.read(), State(), day="2012-06-21", check=True)
    asyncio.run(desk(log.path, Clock()).close_day("2012-06-21"))
    after = replay(log.read(until=end_of_day(log, "2012-06-21")), State(), day="2012-06-21", check=True)
    pack(log, "2012-06-21", tmp_path / "day.omsday", CostMethod.FIFO, "1")
    box = unpack(tmp_path / "day.omsday")
    from_box = replay(box.events, box.opening, day="2012-06-21", check=True)

    assert before.checked is not None
    assert (before.divergent, after.divergent, from_box.divergent) == ([], [], [])
    assert before.checked.total() == day.told.facts
    assert len({each.days[0].digest for each in (before, after, from_box)}) == 1
    assert (after.days[0].closed, after.days[0].differing) == (True, [])
    assert plain(from_box.rows()) == plain(after.rows())
    log.close()


def test_bisect_finds_the_first_moment_at_which_the_position_went_beyond(days: Days) -> None:
    log = days.day("p20").oms.log
    moved, beyond = Decimal(0), 0
    for each in log.read(topics={"FillAdded"}):
        assert isinstance(each.event, FillAdded)
        moved += each.event.fill_quantity * each.event.side.sign
        beyond = beyond or (each.seq if abs(moved) > 200 else 0)

    turn = bisect(Expression('abs(position("AMZN")) <= 200'), State, partial(log.read, 0, None), log.stream)

    assert turn is not None
    assert turn.at.seq == beyond > 0
    assert turn.before["positions"] != turn.after["positions"]
    assert turn.history[-1] == turn.at
