"""Fills of an order: sums, price band, quarantine and its decisions."""

from typing import Any

import pytest
from msgspec.structs import replace

from oms_es.api.refusals import raise_known_fill, raise_refusal
from oms_es.decimals import ZERO, text
from oms_es.domain.commands import CorrectFill, ResolveQuarantined
from oms_es.domain.events import FillAdded, FillCorrected, FillQuarantined
from oms_es.errors import (
    FillQuarantinedError,
    InvalidInput,
    InvalidTransition,
    UnknownFill,
    UnknownOrder,
    UnknownQuarantine,
)
from oms_es.timestamps import SECOND
from oms_es.vocabulary import OrderSide, OrderState, Origin, QuarantineReason
from tests.builders import (
    BUY,
    NOON,
    ORDER,
    SELL,
    WORKING,
    Desk,
    S,
    add_fill,
    change_state,
    filled,
    known_order,
    mark,
    moved,
    num,
    order_of,
    outcome,
    said,
    submit,
    told,
)
from tests.domain.order_words import after, summary, waiting


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
            "trade 't2' of order 'o-1' is not among its fills (booked: t1)",
        ),
        (
            "buy 100@10, fill 40@10 t1, bust t1",
            "correct t1 30",
            "trade 't1' of order 'o-1' is busted already (booked: none)",
        ),
        ("buy 100@10, fill 4@10 t2, fill 4@10 t1, fill 4@10", "correct t3 5", "(booked: t1, t2)"),
    ],
)
def test_a_fill_that_is_not_there_is_named_with_those_that_are(history: str, command: str, message: str) -> None:
    with pytest.raises(UnknownFill) as refusal:
        outcome(after(history), said(command))

    assert message in str(refusal.value)


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
    assert (order.is_open, desk.state.orders.open_count.get("default", 0)) == (False, 0)


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

    with pytest.raises(InvalidInput, match="was reported as sell AAA, but order 'o-1' is buy AAA"):
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
