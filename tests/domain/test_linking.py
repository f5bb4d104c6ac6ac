"""Fills that come before their order is known, and venue's ids that come late (design, section 5)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from oms_es import OMSOrder, OrderManagementSystem
from oms_es.audit.replay import replay
from oms_es.errors import AmbiguousOrder, CommandConflict, FillQuarantinedError, InvalidTransition
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.state import State
from oms_es.projections.tables import update_tables
from oms_es.vocabulary import OrderState
from tests.desk import ADA, BUY, SELL, START, Clock, D, desk, submit, topics_of, work

SECOND = 10**9


def run(path: Path, *steps: Any) -> list[Any]:
    """Carry out calls such as `lambda oms: oms.add_fill(...)`; an error stands in the place of its answer."""

    async def session() -> list[Any]:
        found = []
        async with desk(path) as oms:
            for step in steps:
                try:
                    found.append(await step(oms))
                except (FillQuarantinedError, AmbiguousOrder, CommandConflict, InvalidTransition) as error:
                    found.append(error)
        return found

    return asyncio.run(session())


def fill(order_id: str, quantity: int = 40, trade: str | None = "t1", **changes: Any) -> Any:
    return lambda oms: oms.add_fill(order_id, quantity, changes.pop("price", 10), trade, **changes)


def ack(order_id: str, external_id: str | None, state: str = "working", **changes: Any) -> Any:
    return lambda oms: oms.update_order_state(order_id, state, external_order_id=external_id, **changes)


def link(order_id: str, external_id: str, **changes: Any) -> Any:
    return lambda oms: oms.link_order(order_id, external_id, **changes)


def order(path: Path, order_id: str) -> OMSOrder:
    found = ask(path, lambda oms: oms.get_order(order_id))
    assert found is not None
    return found  # type: ignore[no-any-return]


def ask(path: Path, question: Any) -> Any:
    async def session() -> Any:
        async with desk(path) as oms:
            return question(oms)

    return asyncio.run(session())


def held(path: Path) -> Any:
    position = ask(path, lambda oms: oms.get_position(ADA))
    return 0 if position is None else position.quantity


def redecide(path: Path) -> None:
    """Fold the log from zero, decide every command again, and keep the tables: all must come to the same."""
    log = SqliteLog.existing(path)
    seen = replay(log.read(), check=True)
    assert seen.divergent == []
    assert State().replay(log.read()).digest() == seen.digest
    update_tables(log, path.with_name("tables.db"))
    log.close()


# --- an acknowledgement tells whose fill it is ---


def test_an_acknowledgement_books_the_fill_that_waits_under_its_venue_id(path: Path) -> None:
    _, waits, acknowledged, again = run(path, submit, fill("V-1", 100), ack("o-1", "V-1"), fill("o-1", 100))

    assert isinstance(waits, FillQuarantinedError)
    assert (acknowledged.state, acknowledged.filled_quantity) == (OrderState.FILLED, 100)
    assert again.filled_quantity == 100
    assert held(path) == 100
    redecide(path)


def test_the_fees_of_two_reports_of_a_waiting_fill_are_one_fee(path: Path) -> None:
    run(path, submit, fill("V-1", fee="0.4"), ack("o-1", "V-1"), fill("o-1"), fill("V-1", fee="0.4"))

    assert order(path, "o-1").fees == D("0.4")
    assert ask(path, lambda oms: oms.get_position(ADA)).fees == D("0.4")
    redecide(path)


def test_a_waiting_fill_that_breaks_a_rule_of_its_order_goes_on_waiting(path: Path) -> None:
    *_, acknowledged = run(path, submit, fill("V-1", 101), ack("o-1", "V-1"))

    assert (acknowledged.state, acknowledged.filled_quantity) == (OrderState.WORKING, 0)
    assert len(ask(path, lambda oms: oms.sequencer.state.orders.all_waiting())) == 1
    redecide(path)


def test_a_fill_reported_under_both_ids_before_the_link_counts_once(path: Path) -> None:
    run(path, work, fill("V-1", 30), fill("o-1", 30), link("o-1", "V-1"))

    assert order(path, "o-1").filled_quantity == held(path) == 30
    assert ask(path, lambda oms: oms.sequencer.state.orders.all_waiting()) == []
    redecide(path)


def test_a_repetition_with_symbol_and_side_opens_the_external_order_of_a_waiting_fill(path: Path) -> None:
    _, opened = run(path, fill("V-9", occurred_at=START - 60 * SECOND), fill("V-9", symbol=ADA, side=BUY))

    assert (opened.external, opened.filled_quantity, held(path)) == (True, 40, 40)
    assert [each.quantity for each in ask(path, lambda oms: oms.positions(as_of=START - 30 * SECOND))] == [40]
    redecide(path)


# --- external orders that turn out to be ours ---


def test_linking_merges_the_external_order_and_moves_no_position(path: Path) -> None:
    *_, linked = run(
        path,
        work,
        fill("o-1", 10, "t0"),
        fill("V-1", 40, "t1", symbol=ADA, side=BUY),
        fill("V-1", 20, "t2"),
        link("o-1", "V-1"),
    )

    assert (linked.filled_quantity, linked.open_quantity, linked.state) == (70, 30, OrderState.WORKING)
    assert held(path) == 70
    assert [each.order_id for each in ask(path, lambda oms: oms.get_all_orders())] == ["o-1"]
    assert ask(path, lambda oms: oms.get_order("V-1")).order_id == "o-1"
    assert [row["trade_id"] for row in linked.fills] == ["t0", "t1", "t2"]
    redecide(path)


def test_merged_fills_complete_the_order_and_can_be_busted_and_corrected_under_either_id(path: Path) -> None:
    _, _, _, linked, busted, corrected = run(
        path,
        submit,
        fill("V-1", 60, "t1", symbol=ADA, side=BUY),
        fill("V-1", 40, "t2"),
        ack("o-1", "V-1"),
        lambda oms: oms.bust_fill("V-1", "t1"),
        lambda oms: oms.correct_fill("o-1", "t2", fill_quantity=30, fill_price=11),
    )

    assert linked.state is OrderState.FILLED
    assert (busted.state, busted.filled_quantity) == (OrderState.WORKING, 40)
    assert corrected.filled_quantity == 30
    position = ask(path, lambda oms: oms.get_position(ADA))
    assert (position.quantity, position.cost_basis) == (30, 330)
    redecide(path)


def test_merged_fills_stand_in_every_answer_as_the_orders_own(path: Path) -> None:
    run(path, work, fill("V-1", 40, symbol=ADA, side=BUY), link("o-1", "V-1"))
    run(path, lambda oms: oms.bust_fill("o-1", "t1"), fill("o-1", 5, "t2"))

    log = SqliteLog.existing(path)
    for as_of in (None, START + 3600 * SECOND):
        found = ask(path, lambda oms, at=as_of: oms.positions(as_of=at))
        assert [each.quantity for each in found] == [5]
    assert [each.quantity for each in ask(path, lambda oms: oms.orders(as_of=START + 3600 * SECOND))] == [100]
    assert ask(path, lambda oms: oms.orders()).basis.seq == log.head().seq
    log.close()
    redecide(path)


def test_a_trade_that_both_orders_have_is_busted_on_the_external_one_and_counts_once(path: Path) -> None:
    run(path, work, fill("V-1", 40, symbol=ADA, side=BUY), fill("o-1", 40))
    assert held(path) == 80  # nobody could know

    (linked,) = run(path, link("o-1", "V-1"))

    assert (linked.filled_quantity, held(path)) == (40, 40)
    redecide(path)


def correct(order_id: str, **changes: Any) -> Any:
    return lambda oms: oms.correct_fill(order_id, "t1", **changes)


def external(order_id: str, quantity: int = 40, trade: str = "t1", **changes: Any) -> Any:
    return fill(order_id, quantity, trade, symbol=ADA, side=BUY, **changes)


DOUBLES: dict[str, tuple[list[Any], str, str]] = {
    "its fee is known under our id": ([fill("o-1", fee="0.5"), external("V-1")], "40", "0.5"),
    "its fee is known under the venue's": ([fill("o-1"), external("V-1", fee="0.5")], "40", "0.5"),
    "corrected under our id": ([fill("o-1"), correct("o-1", fill_quantity=30), external("V-1")], "30", "0"),
    "corrected under the venue's": ([fill("o-1"), external("V-1"), correct("V-1", fill_quantity=30)], "30", "0"),
    "busted under our id": ([fill("o-1"), lambda oms: oms.bust_fill("o-1", "t1"), external("V-1")], "0", "0"),
    "the copy of a conflict": ([fill("o-1"), fill("o-1", 50), external("V-1", 50)], "40", "0"),
    "it has a second venue id": ([fill("o-1"), external("W-1"), link("W-1", "V-1")], "40", "0"),
    "merged into another external order": (
        [fill("o-1", 10, "t0"), external("V-1"), external("X-1", 20, "t2"), link("X-1", "V-1")],
        "70",
        "0",
    ),
}


@pytest.mark.parametrize("case", DOUBLES)
def test_a_trade_that_was_reported_under_both_ids_counts_once_after_the_link(case: str, path: Path) -> None:
    steps, quantity, fees = DOUBLES[case]

    *_, linked = run(path, work, *steps, link("o-1", "V-1"))

    assert (linked.filled_quantity, linked.fees) == (D(quantity), D(fees))
    assert held(path) == D(quantity)
    assert [each.order_id for each in ask(path, lambda oms: oms.get_all_orders())] == ["o-1"]
    redecide(path)


def test_what_waits_in_the_stream_of_an_order_that_was_merged_twice_can_be_decided(path: Path) -> None:
    *_, waits, _, _, _ = run(
        path, work, external("V-1"), fill("V-1", 50), external("X-1", 20, "t2"), link("X-1", "V-1"), link("o-1", "X-1")
    )

    (accepted,) = run(path, lambda oms: oms.resolve_quarantined(waits.quarantine_id, accept=True))

    assert (accepted.order_id, accepted.filled_quantity, held(path)) == ("o-1", 70, 70)
    redecide(path)


def test_a_repeated_command_answers_with_the_order_that_it_was_merged_into(path: Path) -> None:
    first = external("V-1", command_id="c-1")

    *_, again = run(path, work, first, link("o-1", "V-1"), lambda oms: oms.bust_fill("o-1", "t1"), first)

    assert (again.order_id, again.filled_quantity) == ("o-1", 0)


async def test_a_bust_of_a_merged_fill_counts_as_of_a_moment_before_the_merge(path: Path) -> None:
    clock = Clock(tick=0)

    async with desk(path, clock) as oms:
        await work(oms)
        clock.move(10)
        await oms.add_fill("V-1", 40, 10, "t1", symbol=ADA, side="buy")
        clock.move(20)
        await oms.link_order("o-1", "V-1")
        clock.move(10)
        await oms.bust_fill("o-1", "t1", occurred_at=START + 20 * SECOND)
        orders = oms.orders(as_of=START + 25 * SECOND)

    assert [(each.order_id, each.filled_quantity) for each in orders] == [("V-1", D(0)), ("o-1", D(0))]
    redecide(path)


@pytest.mark.parametrize(("symbol", "side", "quantity"), [("OTHER", BUY, 40), (ADA, SELL, 40), (ADA, BUY, 101)])
def test_an_external_order_that_cannot_be_the_same_stays_on_its_own(
    symbol: str, side: Any, quantity: int, path: Path
) -> None:
    *_, linked = run(path, work, fill("V-1", quantity, symbol=symbol, side=side), link("o-1", "V-1"))

    assert (linked.filled_quantity, linked.external_order_id) == (0, "V-1")
    assert len(ask(path, lambda oms: oms.get_all_orders())) == 2
    redecide(path)


# --- ids in any state ---


@pytest.mark.parametrize("state", ["rejected", "failed", "cancelled", "filled"])
def test_a_venues_id_is_recorded_in_whatever_state_the_order_is(state: str, path: Path) -> None:
    ends = {
        "rejected": lambda oms: oms.update_order_state("o-1", "rejected"),
        "failed": lambda oms: oms.update_order_state("o-1", "failed"),
        "cancelled": lambda oms: oms.cancel_order("o-1"),
        "filled": fill("o-1", 100),
    }
    _, _, linked, again = run(path, submit, ends[state], link("o-1", "V-1"), link("o-1", "V-1"))

    assert (linked.state.value, linked.external_order_id) == (state, "V-1")
    assert again == linked
    assert ask(path, lambda oms: oms.get_order("V-1")).order_id == "o-1"
    redecide(path)


@pytest.mark.parametrize("state", ["filled", "cancelled"])
def test_a_late_acknowledgement_brings_the_id_and_is_no_error(state: str, path: Path) -> None:
    end = fill("o-1", 100) if state == "filled" else lambda oms: oms.cancel_order("o-1")

    *_, late = run(path, submit, end, ack("o-1", "V-1"))

    assert (late.state.value, late.external_order_id) == (state, "V-1")
    redecide(path)


def test_a_state_that_cannot_be_is_refused_and_its_venue_id_is_recorded_all_the_same(path: Path) -> None:
    steps = (ack("o-1", "V-1", "cancelled", command_id="c-1"), ack("o-1", "V-1", "cancelled", command_id="c-1"))

    *_, refused, again = run(path, submit, fill("o-1", 100), *steps)

    assert isinstance(refused, InvalidTransition)
    assert str(again) == str(refused)
    assert order(path, "o-1").external_order_id == "V-1"
    redecide(path)


@pytest.mark.parametrize("state", ["working", "cancelled", "rejected"])
def test_a_state_that_the_order_has_already_changes_nothing_and_raises_nothing(state: str, path: Path) -> None:
    steps = [ack("o-1", None)] if state == "cancelled" else []
    first, again = run(path, submit, *steps, ack("o-1", "V-1", state), ack("o-1", "V-1", state))[-2:]

    assert again == first
    log = SqliteLog.existing(path)
    assert topics_of(log).count("StateChanged") == 2 + len(steps)
    log.close()


# --- a venue's id of several orders ---


def two(second: dict[str, Any]) -> list[Any]:
    """Return the steps of two orders that the venue has given the same number, the first of them done."""
    return [
        submit,
        ack("o-1", "V-1"),
        fill("o-1", 100, "t1"),
        lambda oms: submit(oms, "o-2", **second),
        ack("o-2", "V-1"),
    ]


def test_a_fill_under_a_number_that_was_used_again_goes_to_the_open_order_it_fits(path: Path) -> None:
    *_, booked, again = run(
        path, *two({"symbol": "OTHER"}), fill("V-1", 30, "t1", symbol="OTHER", side=BUY), fill("V-1", 30, "t1")
    )

    assert (booked.order_id, booked.filled_quantity) == ("o-2", 30)
    assert again == booked
    redecide(path)


def test_the_same_trade_number_in_another_symbol_under_a_used_number_is_no_repetition(path: Path) -> None:
    *_, booked = run(path, *two({"symbol": "OTHER"}), fill("V-1", 100, "t1", symbol="OTHER", side=BUY))

    assert (booked.order_id, booked.filled_quantity) == ("o-2", 100)
    redecide(path)


def test_a_fill_that_fits_none_or_several_of_the_orders_is_quarantined(path: Path) -> None:
    *_, none, several = run(
        path,
        *two({"symbol": "OTHER"}),
        lambda oms: submit(oms, "o-3"),
        ack("o-3", "V-1"),
        fill("V-1", 30, "t7", symbol="OTHER", side=SELL),
        fill("V-1", 30, "t8"),
    )

    assert [error.reason for error in (none, several)] == ["ambiguous_order"] * 2
    redecide(path)


def test_an_accepted_fill_of_an_ambiguous_id_moves_the_position(path: Path) -> None:
    *_, waits = run(path, *two({"symbol": "OTHER"}), fill("V-1", 30, "t7", symbol="OTHER", side=SELL))

    (accepted,) = run(path, lambda oms: oms.resolve_quarantined(waits.quarantine_id, accept=True))

    assert (accepted.external, accepted.symbol, accepted.filled_quantity) == (True, "OTHER", 30)
    redecide(path)


def test_a_bust_under_an_ambiguous_id_finds_the_order_that_has_the_trade(path: Path) -> None:
    *_, busted = run(path, *two({"symbol": "OTHER"}), lambda oms: oms.bust_fill("V-1", "t1"))

    assert (busted.order_id, busted.filled_quantity) == ("o-1", 0)


def test_an_id_of_orders_in_several_accounts_asks_for_the_account(path: Path) -> None:
    steps = [lambda oms, name=name: submit(oms, "o-1", account=name) for name in ("a", "b")]
    steps += [lambda oms, name=name: oms.link_order("o-1", "V-1", account=name) for name in ("a", "b")]

    *_, refused, booked = run(path, *steps, fill("V-1"), fill("V-1", account="b"))

    assert isinstance(refused, AmbiguousOrder)
    assert (booked.account, booked.filled_quantity) == ("b", 40)


def test_a_fill_that_was_busted_on_one_order_can_be_reported_to_the_order_it_belongs_to(path: Path) -> None:
    *_, booked = run(
        path,
        work,
        fill("V-1", 40, symbol=ADA, side=BUY),
        lambda oms: oms.bust_fill("V-1", "t1"),
        fill("o-1", 40),
    )

    assert (booked.order_id, booked.filled_quantity, held(path)) == ("o-1", 40, 40)
    redecide(path)


# --- repetitions and conflicts ---


@pytest.mark.parametrize("other", [{"side": SELL}, {"symbol": "OTHER"}, {"symbol": "OTHER", "side": SELL}])
def test_the_same_trade_of_another_symbol_or_side_is_a_conflict(other: dict[str, Any], path: Path) -> None:
    *_, conflict = run(path, work, fill("o-1"), fill("o-1", **other))

    assert conflict.reason == "conflict"
    redecide(path)


def test_an_accepted_conflict_replaces_the_fill(path: Path) -> None:
    *_, conflict = run(path, work, fill("o-1", 40), fill("o-1", 50, price=11, fee=1))

    (accepted,) = run(path, lambda oms: oms.resolve_quarantined(conflict.quarantine_id, accept=True))

    assert (accepted.filled_quantity, accepted.avg_fill_price, accepted.fees) == (50, 11, 1)
    assert held(path) == 50
    redecide(path)


def test_a_fee_that_arrives_later_completes_its_fill(path: Path) -> None:
    *_, completed, older = run(path, work, fill("o-1"), fill("o-1", fee="0.5"), fill("o-1"))

    assert (completed.filled_quantity, completed.fees) == (40, D("0.5"))
    assert older == completed
    redecide(path)


def test_a_bust_reported_twice_is_a_repetition(path: Path) -> None:
    bust = lambda oms: oms.bust_fill("o-1", "t1")  # noqa: E731

    *_, first, again = run(path, work, fill("o-1"), bust, bust)

    assert again == first
    assert held(path) == 0


# --- commands that change nothing ---

IN_VAIN: dict[str, Any] = {
    "correct": lambda oms, **k: oms.correct_fill("o-1", "t1", fill_quantity=k.pop("n", 40), **k),
    "define": lambda oms, **k: oms.define_instrument("NEW", multiplier=k.pop("n", 1), **k),
    "ack": lambda oms, **k: oms.update_order_state("o-1", "working" if k.pop("n", 0) == 0 else "rejected", **k),
    "link": lambda oms, **k: oms.link_order("o-1", f"V-{k.pop('n', 1)}", **k),
}


@pytest.mark.parametrize("name", IN_VAIN)
def test_a_command_that_changes_nothing_is_remembered_with_its_command_id(name: str, path: Path) -> None:
    step = IN_VAIN[name]
    run(path, work, link("o-1", "V-1"), fill("o-1", 40))

    first, again = run(path, lambda oms: step(oms, command_id="c-1"), lambda oms: step(oms, command_id="c-1"))
    (other,) = run(path, lambda oms: step(oms, command_id="c-1", n=7))

    assert again == first
    assert isinstance(other, CommandConflict)
    log = SqliteLog.existing(path)
    assert topics_of(log).count("CommandChangedNothing") == 1
    log.close()
    redecide(path)


# --- our clock is behind the venue's ---


async def test_everything_that_is_reported_ahead_of_our_clock_is_recorded_and_flagged(path: Path) -> None:
    clock = Clock(tick=0)
    ahead = START + 8 * SECOND

    async def session(oms: OrderManagementSystem) -> None:
        await submit(oms)
        await oms.update_order_state("o-1", "working", external_order_id="V-1", occurred_at=ahead)
        await oms.add_fill("o-1", 40, 10, "t1", occurred_at=ahead)
        await oms.bust_fill("o-1", "t1", occurred_at=ahead)
        await oms.add_fill("X-1", 5, 10, "t9", symbol="OTHER", side="buy", occurred_at=ahead)
        await oms.record_mark(ADA, 11, occurred_at=ahead)
        await oms.cancel_order("o-1", occurred_at=ahead)

    async with desk(path, clock) as oms:
        await session(oms)

    log = SqliteLog.existing(path)
    told = [each for each in log.read() if each.occurred_at == ahead]
    assert len(told) == 9
    assert all(each.event.ahead for each in told)  # type: ignore[attr-defined]
    assert {each.effective_at for each in told} == {START}
    log.close()
    redecide(path)
