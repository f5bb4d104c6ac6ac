"""A repeated command returns its first outcome and appends nothing."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from oms_es import CommandConflict, FillQuarantinedError, OMSOrder, OrderManagementSystem, OrderRejected, TradingLevel
from oms_es.domain.events import FillQuarantined
from oms_es.timestamps import SECOND
from tests.desk import (
    ADA,
    BUY,
    SELL,
    START,
    Clock,
    D,
    desk,
    events_of,
    position_of,
    quarantined,
    refusal,
    submit,
    topics_of,
    work,
)

Oms = OrderManagementSystem
Act = Callable[[Oms], Awaitable[Any]]


async def a_history(oms: Oms) -> None:
    """Leave orders in every state that the commands below need, and two fills in quarantine."""
    await submit(oms, "pending")
    for name in ("working", "to-cancel", "to-amend", "to-fill", "over"):
        await work(oms, name)
    await oms.add_fill("working", 40, 10, "t-1")
    await quarantined(oms.add_fill("over", 500, 10, "t-over"))
    await quarantined(oms.add_fill("unknown", 5, 10, "t-unknown"))
    await oms.record_mark(ADA, 10)
    await oms.set_limits(max_open_orders=None)


async def waiting(oms: Oms, order_id: str) -> str:
    """Return under which id a fill of this order waits."""
    found = [each for each in oms.sequencer.state.orders.all_waiting() if each.fill.order_id == order_id]
    if found:
        return found[0].fill.quarantine_id
    told = [event for event in events_of(oms.log) if isinstance(event, FillQuarantined)]
    return next(event.quarantine_id for event in told if event.order_id == order_id)


async def resolve(oms: Oms, order_id: str, accept: bool, **more: Any) -> OMSOrder | None:
    return await oms.resolve_quarantined(await waiting(oms, order_id), accept, command_id="c", **more)


COMMANDS: dict[str, Act] = {
    "submit": lambda oms: submit(oms, "new", command_id="c"),
    "submit without an order id": lambda oms: submit(oms, None, command_id="c"),
    "submit that is refused": lambda oms: submit(oms, "new", quantity=10**6, command_id="c"),
    "acknowledge": lambda oms: oms.update_order_state("pending", "working", external_order_id="V", command_id="c"),
    "fill with a trade id": lambda oms: oms.add_fill("to-fill", 100, 10, "t", D("0.1"), command_id="c"),
    "fill without one": lambda oms: oms.add_fill("to-fill", 10, 10, command_id="c"),
    "fill of a pending order": lambda oms: oms.add_fill("pending", 100, 10, command_id="c"),
    "fill that is quarantined": lambda oms: oms.add_fill("to-fill", 101, 10, "t", command_id="c"),
    "fill of another session": lambda oms: oms.add_fill("x", 5, 10, "t", symbol=ADA, side=BUY, command_id="c"),
    "fill of an unknown order": lambda oms: oms.add_fill("x", 5, 10, "t", command_id="c"),
    "cancel": lambda oms: oms.cancel_order("to-cancel", "no need", command_id="c"),
    "amend": lambda oms: oms.amend_order("to-amend", quantity=120, price="9.5", command_id="c"),
    "amend to what is filled": lambda oms: oms.amend_order("working", quantity=40, command_id="c"),
    "amend that is refused": lambda oms: oms.amend_order("to-amend", quantity=10**6, command_id="c"),
    "bust": lambda oms: oms.bust_fill("working", "t-1", reason="error", command_id="c"),
    "correct": lambda oms: oms.correct_fill("working", "t-1", fill_price=11, command_id="c"),
    "correct that is quarantined": lambda oms: oms.correct_fill("working", "t-1", fill_quantity=999, command_id="c"),
    "accept from quarantine": lambda oms: resolve(oms, "over", accept=True, reason="agreed"),
    "reject from quarantine": lambda oms: resolve(oms, "over", accept=False),
    "accept an unknown order's": lambda oms: resolve(oms, "unknown", accept=True, symbol=ADA, side=SELL),
    "reject an unknown order's": lambda oms: resolve(oms, "unknown", accept=False),
    "mark": lambda oms: oms.record_mark(ADA, 12, command_id="c"),
    "limits": lambda oms: oms.set_limits(max_position_size=7000, command_id="c"),
    "halt": lambda oms: oms.halt(TradingLevel.REDUCE_ONLY, reason="tea", command_id="c"),
    "resume": lambda oms: oms.resume(command_id="c"),
}


async def outcome(act: Awaitable[Any]) -> tuple[object, ...]:
    """Return what a caller is told, the moment apart: a refusal raises again."""
    try:
        told = await act
    except (OrderRejected, FillQuarantinedError) as error:
        return type(error), str(error)
    return (dataclasses.asdict(told),) if isinstance(told, OMSOrder) else (told,)


@pytest.mark.parametrize("act", COMMANDS.values(), ids=COMMANDS)
async def test_a_command_repeated_after_a_restart_gives_the_first_outcome_and_appends_nothing(
    path: Path, act: Act
) -> None:
    async with desk(path) as oms:
        await a_history(oms)
        before = oms.log.head().seq
        first = await outcome(act(oms))
        head = oms.log.head()
        assert head.seq > before
    async with desk(path) as oms:
        assert await outcome(act(oms)) == first
        assert oms.log.head() == head


@pytest.mark.parametrize("act", COMMANDS.values(), ids=COMMANDS)
async def test_a_command_repeated_by_another_process_gives_the_first_outcome_and_appends_nothing(
    path: Path, act: Act
) -> None:
    async with desk(path) as one, desk(path) as other:
        await a_history(one)
        other.get_all_orders()
        first = await outcome(act(one))
        head = one.log.head()
        assert await outcome(act(other)) == first
        assert await outcome(act(one)) == first
        assert one.log.head() == head


@pytest.mark.parametrize("act", COMMANDS.values(), ids=COMMANDS)
async def test_a_command_twice_in_one_batch_is_carried_out_once(path: Path, act: Act) -> None:
    async with desk(path.with_name("once.db")) as oms:
        await a_history(oms)
        alone = await outcome(act(oms))
        once = topics_of(oms.log)
    async with desk(path) as oms:
        await a_history(oms)
        first, second = await asyncio.gather(outcome(act(oms)), outcome(act(oms)))
        assert first == second
        assert len(first) == len(alone)
        assert topics_of(oms.log) == once


@pytest.mark.parametrize("act", COMMANDS.values(), ids=COMMANDS)
async def test_a_command_id_of_another_command_is_a_conflict(oms: Oms, act: Act) -> None:
    await a_history(oms)
    await oms.record_mark("ELSE", 5, command_id="c")
    head = oms.log.head()
    with pytest.raises(CommandConflict, match="c"):
        await act(oms)
    assert oms.log.head() == head


CHANGED: dict[str, tuple[Act, Act]] = {
    "quantity": (COMMANDS["submit"], lambda oms: submit(oms, "new", quantity=101, command_id="c")),
    "price": (COMMANDS["submit"], lambda oms: submit(oms, "new", price=11, command_id="c")),
    "order id": (COMMANDS["submit"], lambda oms: submit(oms, "newer", command_id="c")),
    "account": (COMMANDS["submit"], lambda oms: submit(oms, "new", account="b", command_id="c")),
    "drawn order": (
        COMMANDS["submit without an order id"],
        lambda oms: submit(oms, None, quantity=101, command_id="c"),
    ),
    "state": (COMMANDS["acknowledge"], lambda oms: oms.update_order_state("pending", "failed", command_id="c")),
    "fee": (COMMANDS["fill without one"], lambda oms: oms.add_fill("to-fill", 10, 10, None, 1, command_id="c")),
    "fill price": (COMMANDS["fill without one"], lambda oms: oms.add_fill("to-fill", 10, 11, command_id="c")),
    "reason": (COMMANDS["cancel"], lambda oms: oms.cancel_order("to-cancel", "another", command_id="c")),
    "other order": (COMMANDS["cancel"], lambda oms: oms.cancel_order("to-amend", "no need", command_id="c")),
    "new quantity": (COMMANDS["amend"], lambda oms: oms.amend_order("to-amend", quantity=121, command_id="c")),
    "corrected price": (
        COMMANDS["correct"],
        lambda oms: oms.correct_fill("working", "t-1", fill_price=12, command_id="c"),
    ),
    "mark price": (COMMANDS["mark"], lambda oms: oms.record_mark(ADA, 13, command_id="c")),
    "limit": (COMMANDS["limits"], lambda oms: oms.set_limits(max_position_size=7001, command_id="c")),
    "level": (COMMANDS["halt"], lambda oms: oms.halt(reason="tea", command_id="c")),
    "verdict": (COMMANDS["reject from quarantine"], COMMANDS["accept from quarantine"]),
}


@pytest.mark.parametrize(("first", "then"), CHANGED.values(), ids=CHANGED)
async def test_a_command_id_with_other_content_is_a_conflict(oms: Oms, first: Act, then: Act) -> None:
    await a_history(oms)
    await first(oms)
    head = oms.log.head()
    with pytest.raises(CommandConflict, match="'c'"):
        await then(oms)
    assert oms.log.head() == head


async def test_occurred_at_is_no_part_of_the_content_of_a_command(path: Path) -> None:
    clock = Clock()
    async with desk(path, clock) as oms:
        first = await submit(oms, "o-1", command_id="c-1", occurred_at=START - SECOND)
        clock.move(3600)
        again = await submit(oms, "o-1", command_id="c-1", occurred_at=START + 100 * SECOND)
        assert again == first
        assert topics_of(oms.log).count("OrderSubmitted") == 1


@pytest.mark.parametrize("restart", [False, True])
async def test_a_repeated_submit_is_recognised_by_its_order_id(path: Path, restart: bool) -> None:
    oms = desk(path)
    await submit(oms, "o-1")
    await oms.amend_order("o-1", quantity=150)
    assert await refusal(submit(oms, "big", quantity=10**6)) == ["POSITION_SIZE"]
    if restart:
        await oms.close()
        oms = desk(path)
    head = oms.log.head()

    assert (await submit(oms, "o-1")).quantity == 150
    assert await refusal(submit(oms, "big", quantity=10**6)) == ["POSITION_SIZE"]
    for change in ({"quantity": 150}, {"price": 11}, {"side": SELL}, {"symbol": "X"}, {"reduce_only": True}):
        with pytest.raises(CommandConflict, match="o-1"):
            await submit(oms, "o-1", **change)
    assert oms.log.head() == head
    await oms.close()


@pytest.mark.parametrize("restart", [False, True])
async def test_a_repeated_fill_is_recognised_by_its_trade_id(path: Path, restart: bool) -> None:
    oms = desk(path)
    await work(oms, "o-1")
    await work(oms, "o-2")
    await asyncio.gather(oms.add_fill("o-1", 40, 10, "t-1", D("0.1")), oms.add_fill("o-1", 40, 10, "t-1", D("0.1")))
    if restart:
        await oms.close()
        oms = desk(path)
    head = oms.log.head()

    assert (await oms.add_fill("o-1", "40.0", 10, "t-1", D("0.10"))).filled_quantity == 40
    assert oms.log.head() == head
    assert (await oms.add_fill("o-2", 40, 10, "t-1", D("0.1"))).filled_quantity == 40, "another order's trade"
    waits = await quarantined(oms.add_fill("o-1", 41, 10, "t-1", D("0.1")))
    assert waits.reason == "conflict"
    assert position_of(oms, ADA).quantity == 80
    await oms.close()
