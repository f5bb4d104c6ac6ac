"""The life of an order: the spec's transitions, the table of histories, submits and amendments."""

from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from oms_es.api.refusals import raise_refusal
from oms_es.domain.commands import ReduceOrder, ResolveQuarantined
from oms_es.domain.decision_context import DecisionContext
from oms_es.domain.events import OrderAmended, OrderSubmitted, StateChanged
from oms_es.domain.order_rules import decide
from oms_es.errors import CommandConflict, InvalidTransition, OmsError, OrderRejected
from oms_es.vocabulary import OrderState, OrderType, Origin, TimeInForce
from tests.builders import (
    HISTORIES,
    ORDER,
    PENDING,
    SELL,
    WORKING,
    Desk,
    S,
    add_fill,
    amend,
    cancel,
    change_state,
    filled,
    halt,
    known_order,
    moved,
    num,
    order_of,
    outcome,
    said,
    submit,
    submitted,
    table,
    told,
)
from tests.domain.order_words import after, summary, waiting

REFUSAL = "OPEN_ORDERS: 10 orders are open, the limit is 10"


ALLOWED = {row.values[0]["from"]: row.values[0]["to"].split() for row in table("transitions")}


PAIRS = list(product(OrderState, OrderState))


@pytest.mark.parametrize(("old", "new"), PAIRS, ids=[f"{old.value} to {new.value}" for old, new in PAIRS])
def test_the_venue_can_report_the_transitions_of_the_spec_and_no_other(old: OrderState, new: OrderState) -> None:
    history = HISTORIES[old]

    if new is old:
        assert outcome(history, change_state(new)) == []
        return
    if (old, new) == (S.FAILED, S.WORKING):  # its outcome was unknown: the venue may still acknowledge it
        assert outcome(history, change_state(new)) == [moved(old, new, reported=True, revived=True)]
        return
    if new.value in ALLOWED[old.value] and new is not S.FILLED:
        assert outcome(history, change_state(new)) == [moved(old, new, reported=True)]
        return
    with pytest.raises(InvalidTransition) as refusal:
        outcome(history, change_state(new))

    message = str(refusal.value)
    assert ORDER in message
    assert f"from {old.value} to {new.value}" in message
    assert all(state in message for state in ALLOWED[old.value])


def test_an_order_is_reported_filled_only_when_its_quantities_say_so() -> None:
    complete = (*WORKING, filled("60"), filled("40", trade="t2"))

    assert outcome(complete, change_state(S.FILLED)) == [moved(S.WORKING, S.FILLED, reported=True)]
    with pytest.raises(InvalidTransition, match="60 of 100"):
        outcome(complete[:-1], change_state(S.FILLED))


@pytest.mark.parametrize("state", OrderState)
def test_the_states_that_nothing_leaves_are_the_ends(state: OrderState) -> None:
    assert state.is_terminal == (not ALLOWED[state.value])
    assert known_order(HISTORIES[state]).state is state


def test_update_order_state_records_the_venues_id_and_error_message() -> None:
    acknowledged = change_state(S.WORKING, external_order_id="v-1")
    refused = change_state(S.REJECTED, external_order_id="v-2", error_message="no such symbol")

    first = outcome(PENDING, acknowledged)
    order = known_order([*PENDING, *first, *outcome([*PENDING, *first], refused)])

    assert first == [moved(S.PENDING, S.WORKING, reported=True, external_order_id="v-1")]
    assert order.external_order_ids == ("v-1", "v-2")
    assert order.error_message == "no such symbol"


def given_by(around: str) -> DecisionContext:
    """Return what `band=0.5 mark=10 accept import refused` says."""
    words = around.split()
    named = dict(word.split("=") for word in words if "=" in word)
    return DecisionContext(
        price_band=num(named["band"]) if "band" in named else None,
        mark=num(named["mark"]) if "mark" in named else None,
        accept_exceptions="accept" in words,
        origin=Origin.IMPORT if "import" in words else Origin.COMMAND,
        violations=(REFUSAL,) if "refused" in words else (),
    )


@pytest.mark.parametrize("row", table("orders"))
def test_a_command_gives_the_events_and_the_order_worked_out_by_hand(row: dict[str, str]) -> None:
    history = after(row["history"])
    order = known_order(history)
    command = said(row["command"], waiting(order))

    try:
        events = decide(command, order, given_by(row["around"]))
    except OmsError as error:
        outcome_told, events = type(error).__name__, []
    else:
        outcome_told = told(events)

    assert outcome_told == row["events"]
    assert summary(order_of([*history, *events])) == row["then"]


@pytest.mark.parametrize("row", table("unknown_orders"))
def test_fills_of_unknown_orders_are_quarantined_or_open_an_external_order(row: dict[str, str]) -> None:
    desk = Desk()
    desk.say(*filter(None, row["history"].split(", ")))

    try:
        found = told(desk.say(row["command"]))
    except OmsError as error:
        found = type(error).__name__

    assert found == row["events"]
    assert summary(desk.state.orders.orders.get(("default", ORDER))) == row["then"]


def test_an_order_is_recorded_and_then_pending() -> None:
    command = submit(reduce_only=True, time_in_force=TimeInForce.IOC, actor="desk")

    events = outcome((), command)

    assert events == [
        submitted(reduce_only=True, time_in_force=TimeInForce.IOC, actor="desk"),
        moved(S.IDLE, S.PENDING, actor="desk"),
    ]


def test_an_order_that_a_limit_refuses_is_recorded_with_everything_that_was_wrong() -> None:
    wrong = (REFUSAL, "EMERGENCY_STOP: trading is halted")

    events = outcome((), submit(), violations=wrong)

    assert events == [submitted(), moved(S.IDLE, S.REJECTED, violations=wrong)]
    assert known_order(events).violations == wrong


def test_an_imported_order_exists_and_works_from_here() -> None:
    assert outcome((), submit(), origin=Origin.IMPORT) == [
        submitted(),
        moved(S.IDLE, S.PENDING),
        moved(S.PENDING, S.WORKING),
    ]


@pytest.mark.parametrize("state", OrderState)
def test_an_order_submitted_again_is_the_same_order_whatever_became_of_it(state: OrderState) -> None:
    assert outcome(HISTORIES[state], submit()) == []
    assert outcome(HISTORIES[state], submit(actor="somebody else")) == []


def test_an_order_is_still_the_same_after_it_was_amended() -> None:
    amended = [*WORKING, *outcome(WORKING, amend("150", "11"))]

    assert outcome(amended, submit("100", "10")) == []
    with pytest.raises(CommandConflict):
        outcome(amended, submit("150", "11"))


@pytest.mark.parametrize("other", [
    {"symbol": "BBB"}, {"side": SELL}, {"quantity": num("101")}, {"price": num("10.01")},
    {"order_type": OrderType.MARKET, "price": None}, {"reduce_only": True}, {"time_in_force": TimeInForce.DAY},
])  # fmt: skip
def test_submit_order_refuses_an_order_id_with_other_content(other: dict[str, Any]) -> None:
    with pytest.raises(CommandConflict, match="o-1"):
        outcome(WORKING, replace(submit(), **other))


def test_a_refused_order_submitted_again_is_refused_again_in_the_same_words() -> None:
    desk = Desk(max_open_orders="0")
    first = desk.perform(submit())
    with pytest.raises(OrderRejected) as refusal:
        raise_refusal(submit(), first, desk.order())
    desk.perform(halt())

    second = desk.perform(submit())

    assert second == []
    with pytest.raises(OrderRejected) as again:
        raise_refusal(submit(), second, desk.order())
    assert str(again.value) == str(refusal.value)
    assert str(again.value).startswith("Order rejected: OPEN_ORDERS: ")
    assert again.value.violations == refusal.value.violations


def test_order_amended_has_the_quantity_and_price_that_were_asked_for() -> None:
    history = [*WORKING, filled("40")]

    (first, _) = outcome(history, amend("30", "11"))
    (second,) = outcome(history, amend(price="11"))

    assert isinstance(first, OrderAmended)
    assert (first.quantity, first.price) == (num("40"), num("11"))
    assert (first.asked_quantity, first.asked_price) == (num("30"), num("11"))
    assert isinstance(second, OrderAmended)
    assert (second.quantity, second.price) == (num("100"), num("11"))
    assert (second.asked_quantity, second.asked_price) == (None, num("11"))


def test_a_refused_amendment_is_recorded_raised_and_changes_nothing() -> None:
    desk = Desk(max_order_quantity="120")
    desk.say("buy 100@10", "ack")

    events = desk.say("amend 121")

    assert told(events) == "amend refused"
    assert summary(desk.order()) == "working 0/100 100"
    with pytest.raises(OrderRejected, match=r"Order rejected: ORDER_QUANTITY: "):
        raise_refusal(amend("121"), events, desk.order())
    assert told(desk.say("amend 120")) == "amended 120@10"


SUITES: list[Any] = [
    submit(),
    submit("99"),
    *(change_state(state) for state in OrderState),
    cancel(),
    amend("150"),
    amend("0"),
    amend(price="11"),
    ReduceOrder(order_id=ORDER, quantity=num("10")),
    add_fill("40", trade="t9"),
    add_fill("101", trade="t9"),
    add_fill("100", trade="t1"),
    said("bust t1"),
    said("correct t1 50"),
    said("correct t1 101"),
    ResolveQuarantined(order_id=ORDER, quarantine_id="q-0", accept=True),
]


@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("command", SUITES, ids=lambda command: type(command).__name__)
def test_a_refusal_is_one_of_ours_and_a_decision_can_always_be_carried_out(command: Any, state: OrderState) -> None:
    history = HISTORIES[state]
    try:
        events = outcome(history, command)
    except OmsError:
        return
    order = order_of([*history, *events])

    assert order is not None
    states = [event for event in events if isinstance(event, StateChanged)]
    assert [event.old for event in states[:1]] in ([], [state])
    assert order.state is (states[-1].new if states else state)
    assert not any(isinstance(event, OrderSubmitted) for event in events)
