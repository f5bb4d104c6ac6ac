"""Queries of the log through the API: the rows of `--json`, as lists, dictionaries and Arrow tables."""

import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from oms_es import InvalidInput, OrderManagementSystem, Settings, UnknownOrder
from oms_es.projections.projection import plain
from oms_es.queries.result import QueryResult
from oms_es.timestamps import instant
from tests.cli.command_line import Oms
from tests.golden_days import restore

Ask = Callable[[OrderManagementSystem], QueryResult[Any]]
AT = "2024-03-05T10:00:00Z"
D = Decimal


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the log of the golden day with late fills, busts, corrections and refusals."""
    path = tmp_path_factory.mktemp("awkward") / "day.db"
    restore("awkward_day", path).close()
    return path


@pytest.fixture
def day(restored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(restored, tmp_path / "day.db"))


def opened(path: Path) -> OrderManagementSystem:
    return OrderManagementSystem(Settings.default(), log=path)


QUERIES: dict[str, tuple[str, Ask]] = {
    "positions": ("positions", lambda oms: oms.positions()),
    f"positions --as-of {AT} --method lifo": ("positions", lambda oms: oms.positions(as_of=AT, method="lifo")),
    "orders": ("orders", lambda oms: oms.orders()),
    "orders --open": ("orders", lambda oms: oms.orders(only_open=True)),
    "orders --state filled": ("orders", lambda oms: oms.orders(state="filled")),
    "fills": ("fills", lambda oms: oms.fills()),
    f"fills --symbol ALFA --as-of {AT}": ("fills", lambda oms: oms.fills(symbol="ALFA", as_of=AT)),
    "pnl": ("days", lambda oms: oms.pnl()),
    "history ALFA": ("changes", lambda oms: oms.history("ALFA")),
    "history ALFA --method average --at-seq 40": (
        "changes",
        lambda oms: oms.history("ALFA", method="average", at_seq=40),
    ),
    "why position ALFA": ("positions", lambda oms: oms.why_position("ALFA")),
    "why order a-2": ("verdicts", lambda oms: oms.why_order("a-2")),
    "quarantine": ("quarantine", lambda oms: oms.quarantine()),
    "quarantine --at-seq 30": ("quarantine", lambda oms: oms.quarantine(at_seq=30)),
    "diff seq:20 now": ("positions", lambda oms: oms.diff("seq:20")["positions"]),
    f"diff {AT} now --known --by order": ("orders", lambda oms: oms.diff(AT, known=True, by="order")["orders"]),
}


@pytest.mark.parametrize("command", QUERIES)
def test_the_rows_of_a_query_are_those_of_the_command_line(command: str, day: Path) -> None:
    key, ask = QUERIES[command]

    found = ask(opened(day))

    assert plain(found.to_dicts()) == Oms(day).json(command)[key]


def test_lots_are_those_of_why_position_with_their_account(day: Path) -> None:
    oms = opened(day)

    lots = oms.lots("ALFA", method="fifo").to_dicts()

    held = oms.why_position("ALFA", method="fifo")
    assert lots
    assert [{name: each[name] for name in ("seq", "quantity", "cost")} for each in lots] == [
        {name: lot[name] for name in ("seq", "quantity", "cost")} for row in held for lot in row["lots"]
    ]
    assert {each["account"] for each in lots} == {row["account"] for row in held if row["lots"]}


def test_a_query_is_filtered_by_several_names_by_time_and_by_number(day: Path) -> None:
    oms = opened(day)
    fills = oms.fills()
    middle = fills[len(fills) // 2]["occurred_at"]

    assert oms.fills(symbol=["ALFA", "BETA"]) == [row for row in fills if row["symbol"] in ("ALFA", "BETA")]
    assert not [*oms.fills(symbol=[]), *oms.orders(account="nobody")]
    assert oms.fills(start=middle) == [row for row in fills if instant(row["occurred_at"]) >= instant(middle)]
    assert oms.fills(end=middle) == [row for row in fills if instant(row["occurred_at"]) <= instant(middle)]
    assert (oms.fills(limit=2), oms.fills(limit=-2)) == (fills[:2], fills[-2:])
    assert (
        oms.orders(state=["filled", "cancelled"], limit=2).to_dicts()
        == [row for row in oms.orders().to_dicts() if row["state"] in ("filled", "cancelled")][:2]
    )
    assert oms.pnl(start="2024-03-06T00:00:00Z") == []
    assert len(oms.pnl(start=AT, end=AT)) == len(oms.pnl(day="2024-03-05")) > 0


@pytest.mark.parametrize(("ask", "told"), [
    (lambda oms: oms.fills(limit=0), "limit: 0"),
    (lambda oms: oms.fills(limit="2"), "limit: '2'"),
    (lambda oms: oms.fills(start=AT, end="2024-03-04T00:00:00Z"), "end: it is before start"),
    (lambda oms: oms.orders(state="open"), "state: 'open' is not one of"),
    (lambda oms: oms.position_series("often"), "every: 'often' is not a span of time"),
    (lambda oms: oms.diff("seq:x"), "'seq:x' is not an event"),
    (lambda oms: oms.diff("yesterday"), "first: 'yesterday' is not a timestamp"),
    (lambda oms: oms.diff("seq:1", by="day"), "by: 'day' is not one of symbol, order"),
    (lambda oms: oms.history("\n"), "symbol"),
])  # fmt: skip
def test_an_invalid_argument_of_a_query_is_refused(ask: Ask, told: str, day: Path) -> None:
    with pytest.raises(InvalidInput, match=told):
        ask(opened(day))


def test_why_order_of_an_unknown_order_is_refused(day: Path) -> None:
    with pytest.raises(UnknownOrder, match="nope"):
        opened(day).why_order("nope")


# --- Arrow ---


@pytest.mark.parametrize(
    "command", [each for each in QUERIES if each.split()[0] in ("positions", "orders", "fills", "pnl")]
)
def test_an_arrow_table_has_exact_decimals_and_timestamps(command: str, day: Path) -> None:
    found = QUERIES[command][1](opened(day))

    table = found.to_arrow()

    rows = found.to_dicts()
    assert table.num_rows == len(rows) > 0
    for name in table.column_names:
        values, kind = [row[name] for row in rows], table.schema.field(name).type
        if pyarrow.types.is_timestamp(kind):
            assert (kind.unit, kind.tz) == ("ns", "UTC")
            texts = [None if value is None else instant(value) for value in values]
            assert table[name].cast(pyarrow.int64()).to_pylist() == texts
        elif pyarrow.types.is_decimal(kind):
            assert table[name].to_pylist() == values
            assert (kind.bit_width, kind.scale) == (128, 18)
        else:
            assert not any(isinstance(value, Decimal | float) for value in values)
    assert pyarrow.types.is_decimal(table.schema.field("fees" if "fees" in table.column_names else "fee").type)


def test_an_empty_arrow_table_has_the_columns_of_a_full_one(day: Path) -> None:
    oms = opened(day)

    for ask in (oms.positions, oms.orders, oms.fills, oms.pnl):
        assert ask(account="nobody").to_arrow().schema == ask().to_arrow().schema


async def test_a_number_with_more_digits_makes_its_column_wider_and_is_never_rounded(tmp_path: Path) -> None:
    oms = OrderManagementSystem(Settings.from_mapping({"fills": {"price_band": None}}), log=tmp_path / "day.db")
    for symbol, quantity, price in (
        ("ETH", "20.000000000000000001", "0.000000000000000003"),
        ("IRR", "9" * 18, "9" * 18),
    ):
        await oms.set_limits(max_position_size=None, max_daily_loss=None, max_skew=None)
        await oms.submit_order(symbol, "buy", "market", quantity, order_id=symbol)
        await oms.add_fill(symbol, quantity, price, "t")

    small, both = oms.fills(symbol="ETH").to_arrow(), oms.fills().to_arrow()

    assert small["notional"].to_pylist() == [D("0.000000000000000060000000000000000003")]
    assert small.schema.field("notional").type == pyarrow.decimal128(38, 36)
    assert both.schema.field("notional").type == pyarrow.decimal256(76, 36)
    assert both["notional"].to_pylist() == [D("0.000000000000000060000000000000000003"), D((10**18 - 1) ** 2)]
    assert both.schema.field("price").type == pyarrow.decimal128(38, 18)


def test_rows_inside_a_row_have_no_table(day: Path) -> None:
    with pytest.raises(InvalidInput, match="use to_dicts"):
        opened(day).why_position("ALFA").to_arrow()


async def test_orders_that_are_sorted_in_slices_are_in_the_same_order(
    day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oms = opened(day)
    whole = oms.orders()

    monkeypatch.setattr("oms_es.projections.orders._SLICE", 2)

    assert oms.orders() == whole
    assert len(whole) > 4
