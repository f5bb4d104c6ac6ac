"""Linked orders in answers as of a moment and under command ids; the rest of linking is in `scenarios/linking.txt`."""

from pathlib import Path
from typing import Any

import pytest

from oms_es import OrderManagementSystem
from oms_es.audit.replay import replay
from oms_es.errors import CommandConflict, InvalidTransition
from oms_es.log.sqlite import SqliteLog
from tests.desk import ADA, BUY, START, Clock, D, desk, submit, topics_of, work

SECOND = 10**9


async def external(oms: OrderManagementSystem, **more: Any) -> Any:
    """Report a fill of 40 under a venue's id that nobody knows."""
    return await oms.add_fill("V-1", 40, 10, "t1", symbol=ADA, side=BUY, **more)


async def test_merged_fills_are_in_every_answer_as_the_orders_own(path: Path) -> None:
    async with desk(path) as oms:
        await work(oms)
        await external(oms)
        linked = await oms.link_order("o-1", "V-1")
        assert [row["trade_id"] for row in linked.fills] == ["t1"]
        assert [each.order_id for each in oms.get_all_orders()] == ["o-1"]
    async with desk(path) as oms:
        await oms.bust_fill("o-1", "t1")
        await oms.add_fill("o-1", 5, 10, "t2")
        for as_of in (None, START + 3600 * SECOND):
            assert [each.quantity for each in oms.positions(as_of=as_of)] == [5]
        assert [each.quantity for each in oms.orders(as_of=START + 3600 * SECOND)] == [100]
        assert oms.orders().basis.seq == oms.log.head().seq


async def test_a_bust_of_a_merged_fill_counts_as_of_a_moment_before_the_merge(path: Path) -> None:
    clock = Clock(tick=0)
    async with desk(path, clock) as oms:
        await work(oms)
        clock.move(10)
        await external(oms)
        clock.move(20)
        await oms.link_order("o-1", "V-1")
        clock.move(10)
        await oms.bust_fill("o-1", "t1", occurred_at=START + 20 * SECOND)

        orders = oms.orders(as_of=START + 25 * SECOND)

        assert [(each.order_id, each.filled_quantity) for each in orders] == [("V-1", D(0)), ("o-1", D(0))]


async def test_a_waiting_fill_that_its_repetition_completes_counts_as_of_its_own_moment(
    oms: OrderManagementSystem,
) -> None:
    with pytest.raises(ValueError, match="quarantine"):
        await oms.add_fill("V-9", 40, 10, "t1", occurred_at=START - 60 * SECOND)

    opened = await oms.add_fill("V-9", 40, 10, "t1", symbol=ADA, side=BUY)

    assert (opened.external, opened.filled_quantity) == (True, D(40))
    assert [each.quantity for each in oms.positions(as_of=START - 30 * SECOND)] == [40]


async def test_a_repeated_command_answers_with_the_order_that_it_was_merged_into(oms: OrderManagementSystem) -> None:
    await work(oms)
    await external(oms, command_id="c-1")
    await oms.link_order("o-1", "V-1")
    await oms.bust_fill("o-1", "t1")

    again = await external(oms, command_id="c-1")

    assert (again.order_id, again.filled_quantity) == ("o-1", 0)


async def test_an_impossible_state_is_refused_again_under_its_command_id(oms: OrderManagementSystem) -> None:
    await submit(oms)
    await oms.add_fill("o-1", 100, 10, "t1")
    refusals = []
    for _ in range(2):
        with pytest.raises(InvalidTransition) as refusal:
            await oms.update_order_state("o-1", "cancelled", external_order_id="V-1", command_id="c-1")
        refusals.append(str(refusal.value))

    assert refusals[0] == refusals[1]


IN_VAIN: dict[str, Any] = {
    "correct": lambda oms, **k: oms.correct_fill("o-1", "t1", fill_quantity=k.pop("n", 40), **k),
    "define": lambda oms, **k: oms.define_instrument("NEW", multiplier=k.pop("n", 1), **k),
    "ack": lambda oms, **k: oms.update_order_state("o-1", "working" if k.pop("n", 0) == 0 else "rejected", **k),
    "link": lambda oms, **k: oms.link_order("o-1", f"V-{k.pop('n', 1)}", **k),
}


@pytest.mark.parametrize("step", IN_VAIN.values(), ids=IN_VAIN)
async def test_a_command_that_changes_nothing_is_remembered_with_its_command_id(step: Any, path: Path) -> None:
    async with desk(path) as oms:
        await work(oms)
        await oms.link_order("o-1", "V-1")
        await oms.add_fill("o-1", 40, 10, "t1")
        first, again = [await step(oms, command_id="c-1") for _ in range(2)]
    async with desk(path) as oms:
        with pytest.raises(CommandConflict):
            await step(oms, command_id="c-1", n=7)

        assert again == first
        assert topics_of(oms.log).count("CommandChangedNothing") == 1
        assert replay(SqliteLog(path).read(), check=True).divergent == []
