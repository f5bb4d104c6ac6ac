"""Tags of orders: every query can be about the orders with some tags alone (design, section 3)."""

import asyncio
from pathlib import Path

import pytest

from oms_es import InvalidInput, OrderManagementSystem, OrderReport
from oms_es.decimals import ZERO
from tests.cli.command_line import Oms
from tests.desk import FREE, D


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log with two strategies in one symbol, an order without tags, and one that was linked late."""

    async def trade() -> None:
        async with OrderManagementSystem(FREE, log=tmp_path / "x.db") as oms:
            for number, (side, quantity, price, strategy) in enumerate(
                [("buy", 10, 100, "maker"), ("buy", 20, 101, "taker"), ("sell", 10, 103, "maker"), ("buy", 5, 99, None)]
            ):
                tags = None if strategy is None else {"strategy": strategy, "desk": "a"}
                await oms.submit_order("X", side, "limit", quantity, price, f"o-{number}", tags=tags)
                await oms.add_fill(f"o-{number}", quantity, price, "t")
            await oms.add_fill("V-9", 7, 100, "t9", symbol="X", side="buy")
            await oms.submit_order("X", "buy", "limit", 7, 100, "o-9", tags={"strategy": "taker"})
            await oms.apply_report(OrderReport(status="working", order_id="o-9", external_order_id="V-9"))
            await oms.record_mark("X", 110)

    asyncio.run(trade())
    return tmp_path / "x.db"


def test_positions_and_pnl_of_a_tag_are_those_of_its_fills_alone(log: Path) -> None:
    oms = OrderManagementSystem(FREE, log=log)
    (maker,) = oms.positions(tags={"strategy": "maker"})
    (taker,) = oms.positions(tags={"strategy": "taker"})
    (both,) = oms.positions(tags={"desk": "a"})
    (whole,) = oms.positions()

    assert (maker.quantity, maker.realized_pnl, maker.unrealized_pnl) == (ZERO, D(30), ZERO)
    assert (taker.quantity, taker.unrealized_pnl) == (D(27), D(20 * 9 + 7 * 10))  # with the fills of the merged order
    assert (both.quantity, whole.quantity) == (D(20), D(32))
    assert oms.positions(tags={"strategy": "nobody"}) == []
    assert [row["gross_realized_pnl"] for row in oms.pnl(tags={"strategy": "maker"})] == [30]
    assert [each.order_id for each in oms.orders(tags={"strategy": "taker"})] == ["o-1", "o-9"]
    assert [row["order_id"] for row in oms.fills(tags={"desk": "a"})] == ["o-0", "o-1", "o-2"]


def test_positions_and_pnl_by_a_tag_have_its_value_in_each_row(log: Path) -> None:
    oms = OrderManagementSystem(FREE, log=log)

    found = oms.positions(by_tag="strategy")

    assert [(each.tag, each.quantity) for each in found] == [("maker", ZERO), ("taker", D(27))]
    assert [(row["tag"], row["quantity"]) for row in found.to_dicts()] == [("maker", 0), ("taker", 27)]
    assert [(row["tag"], row["fills"]) for row in oms.pnl(by_tag="strategy")] == [("maker", 2), ("taker", 2)]
    assert {row["order_id"]: row["tags"] for row in oms.fills()}["o-0"] == {"strategy": "maker", "desk": "a"}


def test_the_command_line_filters_and_groups_by_tags(log: Path) -> None:
    oms = Oms(log)

    assert oms.held("positions --tag strategy=taker") == {"X": "27"}
    assert oms.held("positions --tag strategy=taker --tag desk=a") == {"X": "20"}
    assert [row["tag"] for row in oms.json("positions --by-tag strategy")["positions"]] == ["maker", "taker"]
    assert [row["order_id"] for row in oms.json("orders --tag strategy=maker")["orders"]] == ["o-0", "o-2"]
    assert [row["gross_realized_pnl"] for row in oms.json("pnl --tag strategy=maker")["days"]] == ["30"]
    assert "--tag: 'strategy' is not NAME=VALUE" in oms("orders --tag strategy", code=2).stderr
    oms("submit X buy limit 10 1 --order-id new --tag strategy=maker --tag desk=b")
    assert oms.json("order new")["order"]["tags"] == {"desk": "b", "strategy": "maker"}


async def test_tags_are_few_names_with_values() -> None:
    async with OrderManagementSystem(FREE, log="unused.db") as oms:
        for wrong in ({"a": ""}, {"": "a"}, {"a": 1}, {str(n): "x" for n in range(17)}, "a=b"):
            with pytest.raises(InvalidInput, match="tags"):
                await oms.submit_order("X", "buy", "limit", 1, 1, tags=wrong)  # type: ignore[arg-type]
