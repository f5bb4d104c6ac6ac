"""What a command makes of an order: every rule of the design's section 5, over the spec's seven states."""

from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from oms_es.api.refusals import raise_known_fill, raise_refusal
from oms_es.decimals import ZERO, text
from oms_es.domain.commands import CorrectFill, ReduceOrder, ResolveQuarantined
from oms_es.domain.decision_context import DecisionContext
from oms_es.domain.events import (
    Event,
    FillAdded,
    FillCorrected,
    FillQuarantined,
    OrderAmended,
    OrderSubmitted,
    StateChanged,
)
from oms_es.domain.order import Order
from oms_es.domain.order_rules import decide
from oms_es.errors import (
    AmbiguousOrder,
    CommandConflict,
    FillQuarantinedError,
    InvalidInput,
    InvalidTransition,
    OmsError,
    OrderRejected,
    UnknownFill,
    UnknownOrder,
    UnknownQuarantine,
)
from oms_es.timestamps import SECOND
from oms_es.vocabulary import OrderSide, OrderState, OrderType, Origin, QuarantineReason, TimeInForce
from tests.builders import (
    BUY,
    HISTORIES,
    NOON,
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
    mark,
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

REFUSAL = "OPEN_ORDERS: 10 orders are open, the limit is 10"

# --- the spec's table ---

ALLOWED = {row.values[0]["from"]: row.values[0]["to"].split() for row in table("transitions")}
PAIRS = list(product(OrderState, OrderState))


@pytest.mark.parametrize(("old", "new"), PAIRS, ids=[f"{old.value} to {new.value}" for old, new in PAIRS])
def test_the_venue_can_report_the_transitions_of_the_spec_and_no_other(old: OrderState, new: OrderState) -> None:
    history = HISTORIES[old]

    if new is old:
        assert outcome(history, change_state(new)) == []
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


def test_an_impossible_transition_names_what_would_have_been_possible() -> None:
    with pytest.raises(ValueError, match="cannot go from pending to filled") as refusal:
        outcome(PENDING, change_state(S.FILLED))

    assert (
        str(refusal.value) == "order 'o-1' cannot go from pending to filled (from pending: failed, rejected, working)"
    )


@pytest.mark.parametrize("state", OrderState)
def test_the_states_that_nothing_leaves_are_the_ends(state: OrderState) -> None:
    assert state.is_terminal == (not ALLOWED[state.value])
    assert known_order(HISTORIES[state]).state is state


def test_what_the_venue_says_is_kept() -> None:
    acknowledged = change_state(S.WORKING, external_order_id="v-1")
    refused = change_state(S.REJECTED, external_order_id="v-2", error_message="no such symbol")

    first = outcome(PENDING, acknowledged)
    order = known_order([*PENDING, *first, *outcome([*PENDING, *first], refused)])

    assert first == [moved(S.PENDING, S.WORKING, reported=True, external_order_id="v-1")]
    assert order.external_order_ids == ("v-1", "v-2")
    assert order.error_message == "no such symbol"


# --- one order, by hand ---


def after(history: str) -> list[Event]:
    """Return the events of commands given in words, each decided on what stands before it."""
    events: list[Event] = []
    for words in filter(None, history.split(", ")):
        order = order_of(events)
        events += decide(said(words, waiting(order)), order, DecisionContext())
    return events


def waiting(order: Order | None) -> list[str]:
    return [] if order is None else [each.fill.quarantine_id for each in order.waiting]


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


def summary(order: Order | None) -> str:
    if order is None:
        return "no order"
    return f"{order.state.value} {text(order.filled_quantity)}/{text(order.quantity)} {text(order.open_quantity)}"


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
def test_fills_of_orders_nobody_placed_here_are_kept_apart_or_open_an_external_order(row: dict[str, str]) -> None:
    desk = Desk()
    desk.say(*filter(None, row["history"].split(", ")))

    try:
        found = told(desk.say(row["command"]))
    except OmsError as error:
        found = type(error).__name__

    assert found == row["events"]
    assert summary(desk.state.orders.orders.committed.get(("default", ORDER))) == row["then"]


# --- submitting ---


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


@pytest.mark.parametrize(
    "other",
    [
        {"symbol": "BBB"},
        {"side": SELL},
        {"quantity": num("101")},
        {"price": num("10.01")},
        {"order_type": OrderType.MARKET, "price": None},
        {"reduce_only": True},
        {"time_in_force": TimeInForce.DAY},
    ],
)
def test_an_order_id_is_used_for_one_content_only(other: dict[str, Any]) -> None:
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


def test_an_order_id_is_free_in_another_account() -> None:
    desk = Desk()
    desk.perform(submit())

    events = desk.perform(submit("7", account="b"))

    assert told(events) == "buy 7@10; idle>pending"


# --- fills ---


def test_a_fill_says_what_was_executed_of_what() -> None:
    (event,) = outcome(WORKING, add_fill("40", "9.99", "t1", fee="-0.5", actor="gateway"))

    assert event == filled("40", "9.99", "t1", fee="-0.5", actor="gateway")


def test_the_fill_that_completes_an_order_also_ends_it() -> None:
    events = outcome(WORKING, add_fill("100"))

    assert events == [filled("100"), moved(S.WORKING, S.FILLED)]


def test_averages_and_fees_follow_the_fills_as_they_stand() -> None:
    history = (
        "buy 100@10, fill 40@10 t1 fee=1, fill 20@13 t2 fee=-0.25, fill 10@99 t3 fee=5, bust t3, correct t1 40@9 fee=2"
    )

    order = known_order(after(history))

    # 40 x 9 + 20 x 13 = 620 for 60
    assert text(order.avg_fill_price) == "10.333333333333333333"
    assert text(order.filled_cost) == "620"
    assert text(order.fees) == "1.75"
    assert text(order.remaining_quantity) == "40"
    assert [(fill.busted, fill.corrected) for fill in order.fills] == [(False, True), (False, False), (True, False)]


def test_an_order_without_fills_has_an_average_of_nothing() -> None:
    assert known_order(WORKING).avg_fill_price == ZERO
    assert known_order(after("buy 100@10, ack, fill 40@10 t1, bust t1")).avg_fill_price == ZERO


@pytest.mark.parametrize("wrong", [{"symbol": "BBB"}, {"side": SELL}, {"symbol": "BBB", "side": SELL}])
def test_a_fill_that_names_another_symbol_or_side_than_its_order_moves_nothing(wrong: dict[str, Any]) -> None:
    (event,) = outcome(WORKING, add_fill(**wrong))

    assert isinstance(event, FillQuarantined)
    assert summary(order_of([*WORKING, event])) == "working 0/100 100"


def test_a_fill_may_name_the_symbol_and_side_of_its_order() -> None:
    assert outcome(WORKING, add_fill(symbol="AAA", side=BUY)) == [filled()]


def test_a_quarantined_fill_is_kept_whole_and_raised_with_its_id_and_reason() -> None:
    (event,) = outcome(WORKING, add_fill("101", "10", "t1", fee="2", actor="gateway"))

    assert isinstance(event, FillQuarantined)
    assert (event.why, event.fill_quantity, event.fill_price) == (QuarantineReason.OVERFILL, num("101"), num("10"))
    assert (event.trade_id, event.fee, event.actor) == ("t1", num("2"), "gateway")
    assert (event.symbol, event.side) == ("AAA", BUY)
    with pytest.raises(ValueError, match=event.quarantine_id) as raised:
        raise_refusal(add_fill("101"), [event], known_order(WORKING))
    assert isinstance(raised.value, FillQuarantinedError)
    assert (raised.value.quarantine_id, raised.value.reason) == (event.quarantine_id, "overfill")


def test_every_fill_in_quarantine_has_an_id_of_its_own() -> None:
    desk = Desk()
    desk.perform(submit())
    desk.perform(submit(order_id="o-2"))
    desk.perform(submit(account="b"))
    for order_id, account in (("o-1", "default"), ("o-2", "default"), ("o-1", "b"), ("o-3", "default"), ("o-3", "b")):
        for trade in ("t1", "t2", None, None):
            desk.perform(add_fill("101", trade=trade, order_id=order_id, account=account))

    assert len(desk.waiting()) == len(set(desk.waiting())) == 20


def test_the_id_of_a_fill_in_quarantine_is_worked_out_again_by_a_replay() -> None:
    first, second = Desk(), Desk()
    for desk in (first, second):
        desk.say("buy 100@10", "fill 101@10", "fill 101@10 t1")

    assert first.waiting() == second.waiting()
    assert len(first.waiting()) == 2


def test_a_repeated_fill_of_an_unknown_order_is_told_where_it_waits() -> None:
    desk = Desk()
    desk.say("fill 40@10 t1", "fill 50@10 t2")
    first, second = add_fill("40", trade="t1"), add_fill("50", trade="t2")
    for fill, quarantine_id in zip((first, second), desk.waiting(), strict=True):
        with pytest.raises(FillQuarantinedError) as waits:
            raise_known_fill(desk.state, fill)
        assert (waits.value.reason, waits.value.quarantine_id) == ("unknown_order", quarantine_id)
    desk.say("refuse 1")

    with pytest.raises(UnknownOrder):
        raise_known_fill(desk.state, first)
    with pytest.raises(FillQuarantinedError):
        raise_known_fill(desk.state, second)


@pytest.mark.parametrize(
    ("history", "command", "message"),
    [
        (
            "buy 100@10, ack, fill 40@10 t1",
            "bust t2",
            "trade 't2' of order 'o-1' is not among its fills (standing: t1)",
        ),
        (
            "buy 100@10, fill 40@10 t1, bust t1",
            "correct t1 30",
            "trade 't1' of order 'o-1' is busted already (standing: none)",
        ),
        ("buy 100@10, fill 4@10 t2, fill 4@10 t1, fill 4@10", "correct t3 5", "(standing: t1, t2)"),
    ],
)
def test_a_fill_that_is_not_there_is_named_with_those_that_are(history: str, command: str, message: str) -> None:
    with pytest.raises(UnknownFill) as refusal:
        outcome(after(history), said(command))

    assert message in str(refusal.value)


# --- the price band, from the log ---


def test_the_price_band_is_that_of_the_policy_and_the_mark_is_the_last_one() -> None:
    desk = Desk(price_band="0.1")
    desk.perform(mark("50"))
    desk.perform(mark("100"))
    desk.perform(submit(price=None))

    assert told(desk.say("fill 1@110 t1")) == "pending>working; fill 1@110 t1"
    assert told(desk.say("fill 1@110.01 t2")) == "waits 1@110.01 t2 price_band"
    assert told(desk.say("fill 1@50 t3")) == "waits 1@50 t3 price_band"


def test_the_mark_of_another_symbol_is_no_reference() -> None:
    desk = Desk(price_band="0.1")
    desk.perform(mark("50", "BBB"))
    desk.perform(submit(price=None))

    assert told(desk.say("fill 1@999 t1")) == "pending>working; fill 1@999 t1"


def test_an_external_order_is_checked_against_the_mark() -> None:
    desk = Desk(price_band="0.5")
    desk.perform(mark("10"))

    assert told(desk.say("fill 1@15.01 t1 symbol=AAA side=buy")) == "waits 1@15.01 t1 price_band"
    assert told(desk.say("accept 1")) == (
        "accepted; buy 1@market external; idle>pending; pending>working; fill 1@15.01 t1 forced"
    )
    assert told(desk.say("fill 1@15.01 t2")) == "waits 1@15.01 t2 price_band"
    assert told(desk.say("fill 1@15 t3")) == "fill 1@15 t3"


def test_an_external_order_is_marked_as_another_sessions_and_is_no_open_order() -> None:
    desk = Desk()

    desk.say("fill 40@10 t1 symbol=AAA side=sell")

    assert [each.origin for each in desk.log] == [Origin.EXTERNAL] * 4
    order = desk.order()
    assert order.is_external
    with pytest.raises(InvalidTransition, match="another session's"):
        desk.say("amend 90")
    assert (order.is_open, desk.state.orders.open_count.committed.get("default", 0)) == (False, 0)


# --- amendments ---


def test_an_amendment_records_what_was_asked_beside_what_came_of_it() -> None:
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


def test_imports_are_judged_neither_by_limits_nor_by_the_price_band() -> None:
    desk = Desk(
        max_position_size="10", max_order_quantity="10", max_open_orders="0", price_band="0", max_daily_loss="0"
    )
    desk.perform(halt())

    told_of = [
        told(desk.say(words, origin=Origin.IMPORT, occurred_at=NOON - 9 * 10**15))
        for words in ("buy 100@10", "fill 40@99 t1", "amend 500", "reduce 10", "fill 461@10 t2", "cancel")
    ]

    assert told_of == [
        "buy 100@10; idle>pending; pending>working",
        "fill 40@99 t1",
        "amended 500@10",
        "amended 490@10",
        "waits 461@10 t2 overfill",
        "working>cancelled",
    ]
    assert {each.origin for each in desk.log[2:]} == {Origin.IMPORT}
    assert {each.occurred_at for each in desk.log[2:]} == {NOON - 9 * 10**15}


# --- quarantine ---


def test_what_waits_is_decided_once() -> None:
    desk = Desk()
    desk.say("buy 100@10", "fill 101@10 t1")
    (quarantine_id,) = desk.waiting()
    decision = ResolveQuarantined(order_id=ORDER, quarantine_id=quarantine_id, accept=False)
    desk.perform(decision)

    for accept in (True, False):
        with pytest.raises(UnknownQuarantine, match=quarantine_id):
            desk.perform(replace(decision, accept=accept))
    with pytest.raises(UnknownQuarantine, match="q-0"):
        desk.perform(replace(decision, quarantine_id="q-0"))


def test_an_accepted_fill_stands_at_the_time_it_was_executed() -> None:
    desk = Desk()
    desk.say("buy 100@10", "ack")
    executed = NOON + SECOND
    desk.now = NOON + 2 * SECOND
    desk.say("fill 101@10 t1", occurred_at=executed)
    desk.now = NOON + 3600 * SECOND

    desk.say("accept 1")

    resolved, fill, done = desk.log[-3:]
    assert (resolved.occurred_at, fill.occurred_at, done.occurred_at) == (desk.now, executed, executed)
    assert {each.recorded_at for each in (resolved, fill, done)} == {desk.now}


def test_an_accepted_fill_of_an_unknown_order_opens_it_when_it_was_executed() -> None:
    desk = Desk()
    executed = NOON - 3600 * SECOND
    desk.say("fill 40@10 t1", occurred_at=executed)

    desk.say("accept 1 symbol=AAA side=buy")

    assert [each.effective_at for each in desk.log[-4:]] == [executed] * 4
    assert desk.order().submitted_at == executed


def test_nothing_of_an_order_takes_effect_before_it_was_placed() -> None:
    desk = Desk()
    desk.say("buy 100@10")

    desk.say("fill 40@10 t1", occurred_at=NOON - SECOND)

    fill = desk.log[-1]
    assert isinstance(fill.event, FillAdded)
    assert (fill.occurred_at, fill.effective_at) == (NOON - SECOND, NOON)


def test_a_correction_in_quarantine_is_recorded_as_one() -> None:
    history = after("buy 100@10, ack, fill 40@10 t1, correct t1 101@11")
    quarantined = history[-1]

    accepted = outcome(history, said("accept 1", waiting(order_of(history))))

    assert isinstance(quarantined, FillQuarantined)
    assert quarantined.correction
    corrected = accepted[1]
    assert isinstance(corrected, FillCorrected)
    assert (corrected.old_quantity, corrected.old_price) == (num("40"), num("10"))
    assert corrected.quarantine_id == quarantined.quarantine_id
    assert waiting(order_of([*history, *accepted])) == []


# --- which order an id names ---


def found_by(desk: Desk, order_id: str, account: str | None = None) -> str:
    key = desk.state.orders.find(order_id, account)
    return "nothing" if key is None else "/".join(key)


def test_an_order_is_found_by_every_id_that_the_venue_gave_it() -> None:
    desk = Desk()
    desk.perform(submit())
    desk.perform(change_state(S.WORKING, external_order_id="v-1"))

    desk.perform(change_state(S.CANCELLED, order_id="v-1", external_order_id="v-2"))

    assert [found_by(desk, each) for each in ("o-1", "v-1", "v-2", "v-3")] == [*["default/o-1"] * 3, "nothing"]
    assert desk.order().state is S.CANCELLED


def test_commands_of_every_kind_find_an_order_by_the_venues_id() -> None:
    desk = Desk()
    desk.perform(submit())
    desk.perform(change_state(S.WORKING, external_order_id="v-1"))

    desk.perform(add_fill(order_id="v-1"), any_account=True)
    desk.perform(amend("60", order_id="v-1"), any_account=True)
    desk.perform(cancel(order_id="v-1"), any_account=True)

    assert summary(desk.order()) == "cancelled 40/60 0"
    assert list(desk.state.orders.orders) == [("default", "o-1")]


def test_our_own_order_id_comes_before_the_venues() -> None:
    desk = Desk()
    desk.perform(submit())
    desk.perform(submit(order_id="v-1"))
    desk.perform(change_state(S.WORKING, external_order_id="v-1"))

    assert found_by(desk, "v-1") == "default/v-1"


def test_an_id_of_several_orders_is_ambiguous_until_the_account_is_named() -> None:
    desk = Desk()
    desk.perform(submit())
    desk.perform(submit(account="b"))

    with pytest.raises(AmbiguousOrder, match="account="):
        found_by(desk, "o-1")
    assert found_by(desk, "o-1", "b") == "b/o-1"
    assert found_by(desk, "o-1", "c") == "nothing"
    with pytest.raises(AmbiguousOrder):
        desk.perform(cancel(), any_account=True)


def test_a_venues_id_of_several_orders_is_ambiguous() -> None:
    desk = Desk()
    for order_id, account in (("o-1", "default"), ("o-2", "default"), ("o-3", "b")):
        desk.perform(submit(order_id=order_id, account=account))
        desk.perform(change_state(S.WORKING, order_id=order_id, account=account, external_order_id="v-1"))

    for named in (None, "default"):
        with pytest.raises(AmbiguousOrder):
            found_by(desk, "v-1", named)
    assert found_by(desk, "v-1", "b") == "b/o-3"
    with pytest.raises(AmbiguousOrder):
        desk.perform(add_fill(order_id="v-1"), any_account=True)


def test_a_fill_that_overtakes_the_acknowledgement_is_booked_by_it_and_counts_once() -> None:
    desk = Desk()
    desk.perform(submit())
    desk.perform(add_fill(order_id="v-1"))

    acknowledged = desk.perform(change_state(S.WORKING, external_order_id="v-1"))
    again = [desk.perform(add_fill(order_id=order_id), any_account=True) for order_id in ("v-1", "o-1", "v-1")]

    assert told(acknowledged) == "pending>working; accepted; fill 40@10 t1"
    assert again == [[], [], []]
    assert desk.waiting() == []
    assert summary(desk.order()) == "working 40/100 60"


def test_a_fill_that_overtakes_the_acknowledgement_under_the_venues_id_counts_once_when_told_again_under_ours() -> None:
    desk = Desk()
    desk.perform(submit())
    desk.perform(add_fill(order_id="v-1", symbol="AAA", side=BUY))
    desk.perform(change_state(S.WORKING, external_order_id="v-1"))

    desk.perform(add_fill(order_id="o-1"))

    assert desk.state.positions.position("default", "AAA") == num("40")


def test_a_submit_never_looks_for_a_venues_id() -> None:
    desk = Desk()
    desk.perform(submit())
    desk.perform(change_state(S.WORKING, external_order_id="v-1"))

    desk.perform(submit("7", order_id="v-1"))

    assert sorted(desk.state.orders.orders) == [("default", "o-1"), ("default", "v-1")]


# --- every command on every state ---

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


# --- what a decision about a waiting fill rests on ---


def test_an_accepted_correction_leaves_what_it_did_not_ask_for_as_it_is_by_then() -> None:
    desk = Desk()
    desk.say("buy 100@10", "fill 50@10 t1")
    desk.perform(CorrectFill(order_id=ORDER, trade_id="t1", fill_quantity=num("120")))
    desk.perform(CorrectFill(order_id=ORDER, trade_id="t1", fill_price=num("11")))

    desk.say("accept 1")

    (fill,) = desk.order().fills
    assert (fill.quantity, fill.price) == (num("120"), num("11"))


def test_a_correction_that_waits_already_is_not_queued_again() -> None:
    desk = Desk()
    desk.say("buy 100@10", "fill 100@10 t1")
    for _ in range(3):
        desk.perform(CorrectFill(order_id=ORDER, trade_id="t1", fill_quantity=num("101")))

    assert len(desk.waiting()) == 1
    assert desk.state.orders.exposed("default", "AAA").buys == num("1")  # what it adds to the fill


def test_a_waiting_fill_counts_only_beyond_what_is_open_of_its_order() -> None:
    desk = Desk(price_band="0.5")
    desk.say("buy 100@10", "ack")
    desk.perform(add_fill("40", price="1000", trade="t1"))  # a wild price: it waits
    assert desk.state.orders.exposed("default", "AAA").buys == num("100")

    desk.perform(add_fill("130", trade="t2"))
    assert desk.state.orders.exposed("default", "AAA").buys == num("170")

    desk.say("cancel")
    assert desk.state.orders.exposed("default", "AAA").buys == num("170")  # all that waits, now that nothing is open
    desk.say("refuse 1", "refuse 1")
    assert desk.state.orders.exposed("default", "AAA").buys == num("0")


def test_a_fill_told_of_the_other_side_is_not_booked_as_the_orders_own_unless_somebody_says_so() -> None:
    desk = Desk()
    desk.say("buy 100@10", "ack")
    desk.perform(add_fill("40", trade="t1", side=OrderSide.SELL))
    (waiting,) = desk.waiting()

    with pytest.raises(InvalidInput, match="was told as sell AAA, but order 'o-1' is buy AAA"):
        desk.perform(ResolveQuarantined(order_id="", quarantine_id=waiting, accept=True))
    desk.perform(ResolveQuarantined(order_id="", quarantine_id=waiting, accept=True, side=OrderSide.BUY))

    assert desk.state.positions.position("default", "AAA") == num("40")


def test_a_fill_told_under_an_id_that_came_to_name_two_orders_can_still_be_rejected() -> None:
    desk = Desk()
    for order_id in ("o-1", "o-2"):
        desk.perform(submit(order_id=order_id))
        desk.perform(change_state(OrderState.WORKING, order_id=order_id, external_order_id="V-1"))
    desk.perform(add_fill("40", trade="t1", order_id="V-1"))
    (waiting,) = desk.waiting()

    desk.perform(ResolveQuarantined(order_id="", quarantine_id=waiting, accept=False))

    assert desk.waiting() == []
