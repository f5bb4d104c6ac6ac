"""The usage examples and integrations of the spec run as printed."""

import asyncio
import re
import textwrap
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms_es import OrderManagementSystem, OrderState
from tests.desk import ADA, BUY, LIMIT, D, desk

Oms = OrderManagementSystem


def examples(spec: str) -> dict[str, str]:
    """Return the code of the spec's usage examples by title, the import path changed."""
    usage = spec.partition("## Usage Examples")[2].partition("## Integration Points")[0]
    found = re.findall(r"### (.+?)\n\n```python\n(.+?)```", usage, re.DOTALL)
    return {title: code.replace("from bot.oms import", "from oms_es import") for title, code in found}


async def carried_out(code: str, **names: object) -> dict[str, Any]:
    scope: dict[str, Any] = dict(names)
    body = textwrap.indent(code, "    ")
    exec(compile(f"async def example():\n{body}\n    return locals()\n", "the spec", "exec"), scope)
    found: dict[str, Any] = await scope["example"]()
    return found


@pytest.fixture
def spec_examples(shared_path: Path) -> dict[str, str]:
    found = examples((shared_path / "spec/order-management-system.md").read_text(encoding="utf-8"))
    assert list(found) == ["Basic Order Submission", "Fill Processing", "Portfolio Monitoring"]
    return found


def test_the_specs_first_example_submits_an_order(
    spec_examples: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    found = asyncio.run(carried_out(spec_examples["Basic Order Submission"]))

    assert capsys.readouterr().out == f"Order submitted: {found['order'].order_id}\n"
    assert found["order"].state is OrderState.PENDING
    assert (tmp_path / "oms.db").is_file()


def test_the_specs_first_example_catches_a_rejection_as_a_value_error(
    spec_examples: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "oms.yaml").write_text("risk:\n  max_position_size: 50\n")

    asyncio.run(carried_out(spec_examples["Basic Order Submission"]))

    assert capsys.readouterr().out.startswith("Order rejected: Order rejected: POSITION_SIZE: 100 ")


async def test_the_specs_second_example_books_a_fill(
    spec_examples: dict[str, str], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk(path) as oms:
        await oms.submit_order(ADA, BUY, LIMIT, D(100), D("0.45"), "order_123")
        await carried_out(spec_examples["Fill Processing"], oms=oms, Decimal=Decimal)

    assert capsys.readouterr().out == "Fill ratio: 50.0%\nRemaining: 50\n"


async def test_the_specs_third_example_shows_the_portfolio(
    spec_examples: dict[str, str], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk(path) as oms:
        await oms.submit_order(ADA, BUY, LIMIT, D(100), D("0.45"), "order_123")
        await oms.add_fill("order_123", D(50), D("0.451"), "trade_456", D("0.01"))
        await oms.record_mark(ADA, D("0.461"))
        await carried_out(spec_examples["Portfolio Monitoring"], oms=oms)

    assert capsys.readouterr().out.splitlines() == [
        "Total positions: 1", "Open orders: 1", "Daily P&L: -0.01", "Position: 50 ADA", "Average price: $0.451",
        "Unrealized P&L: $0.5",
    ]  # fmt: skip


async def test_the_specs_integrations_find_the_attributes_they_use(oms: Oms) -> None:
    order = await oms.submit_order(
        symbol=ADA, side=BUY, order_type=LIMIT, quantity=Decimal(str(12.5)), price=Decimal(str(0.45))
    )
    assert (order.symbol, order.side, order.order_type) == (ADA, BUY, LIMIT)
    assert order.price is not None
    assert (int(order.quantity), float(order.price)) == (12, 0.45)
    await oms.add_fill(
        order_id=order.order_id, fill_quantity=D("2.5"), fill_price=D("0.44"), trade_id="t", fee=D("0.01")
    )
