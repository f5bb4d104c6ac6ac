"""A policy that changes the cost method: decided on from the next event on, and the same again in every replay."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from oms_es import OrderManagementSystem, OrderRejected
from oms_es.audit.replay import replay
from oms_es.audit.what_if import what_if
from oms_es.audit.why_order import why_order
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.state import State
from oms_es.vocabulary import CostMethod
from tests.desk import BUY, DAY, SELL, Clock, desk, facts_file, filled, position_of, ruled, submitted, take_in, trade

FREE = ruled(risk={"max_position_size": None, "max_daily_loss": 50}, trading={"min_quote_size": None, "max_skew": None})


async def bought_dear_and_cheap_and_sold_between(oms: OrderManagementSystem) -> None:
    """Realize +100 by fifo (bought at 90, sold at 100) and -100 by lifo (bought at 110)."""
    await trade(oms, "o-1", BUY, 10, 90)
    await trade(oms, "o-2", BUY, 10, 110)
    await trade(oms, "o-3", SELL, 10, 100)


def test_the_next_decision_goes_by_the_new_method_even_in_the_same_transaction(tmp_path: Path) -> None:
    oms = desk(tmp_path / "day.db", Clock(), FREE)

    async def run() -> object:
        await bought_dear_and_cheap_and_sold_between(oms)
        await trade(oms, "before", BUY, 1, 100)
        changed, refused = await asyncio.gather(
            oms.set_limits(method="lifo"), trade(oms, "after", BUY, 1, 100), return_exceptions=True
        )
        assert changed is None
        return refused

    refused = asyncio.run(run())

    assert isinstance(refused, OrderRejected)
    assert refused.violations[0].startswith("DAILY_LOSS: 100 ")
    assert position_of(oms, "ADAUSDM").gross_realized_pnl == Decimal(-100)
    for order_id in ("before", "after"):
        order = oms.sequencer.state.orders.order(("default", order_id))
        assert order is not None
        (verdict,) = why_order(oms.log, order, CostMethod.FIFO)
        assert verdict.agrees
    seen = replay(oms.log.read(), check=True)
    assert (seen.divergent, seen.digest) == ([], oms.sequencer.state.digest())


@pytest.mark.parametrize("together", [False, True], ids=["apart", "in one transaction"])
async def test_a_day_closed_under_one_method_comes_to_its_digests_under_the_next(
    together: bool, tmp_path: Path
) -> None:
    oms = desk(tmp_path / "day.db", Clock(), FREE)

    await bought_dear_and_cheap_and_sold_between(oms)
    if together:
        await asyncio.gather(trade(oms, "o-4", BUY, 1, 100), oms.close_day(DAY))
    else:
        await oms.close_day(DAY)
    await oms.set_limits(method="lifo")

    assert replay(oms.log.read()).days[0].differing == []


def test_what_was_imported_is_folded_by_the_first_rules_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "day.db"
    lifo = ruled(accounting={"method": "lifo"}, risk={"max_daily_loss": None})
    oms = desk(path, Clock(), lifo)
    asyncio.run(bought_dear_and_cheap_and_sold_between(oms))

    again = desk(path, Clock(), FREE)  # its own settings say fifo; the log's rules count

    assert again.sequencer.state.digest() == oms.sequencer.state.digest()
    assert again.sequencer.state.digest() == State(CostMethod.LIFO).replay(SqliteLog.existing(path).read()).digest()
    assert oms.sequencer.state.positions.method is CostMethod.LIFO


def test_other_limits_leave_the_method_of_a_log_without_rules_as_it_is(tmp_path: Path) -> None:
    oms = desk(tmp_path / "day.db", Clock(), ruled(accounting={"method": "lifo"}))
    facts = [
        *(submitted(1, "o-1", "10", "90"), filled(2, "o-1", "10", "90")),
        *(submitted(3, "o-2", "10", "110"), filled(4, "o-2", "10", "110")),
        *(submitted(5, "o-3", "10", "100", side="sell"), filled(6, "o-3", "10", "100")),
    ]
    asyncio.run(take_in(oms, facts_file(tmp_path / "day.jsonl", *facts)))

    limits = {"risk.max_position_size": "100000"}  # reached by nobody
    seen = what_if(oms.log.read(), limits, CostMethod.LIFO).rows()

    assert seen["flips"] == []
    assert [(row["realized_pnl"], row["realized_pnl_what_if"]) for row in seen["days"]] == [(-100, -100)]
