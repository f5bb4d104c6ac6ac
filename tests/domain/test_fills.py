"""Fills of an order: sums, price band, quarantine and its decisions."""

import pytest
from msgspec.structs import replace

from oms_es.api.refusals import raise_known_fill, raise_refusal
from oms_es.decimals import text
from oms_es.domain.commands import ResolveQuarantined
from oms_es.domain.events import FillCorrected, FillQuarantined
from oms_es.errors import (
    FillQuarantinedError,
    InvalidTransition,
    UnknownOrder,
    UnknownQuarantine,
)
from oms_es.vocabulary import Origin, QuarantineReason
from tests.builders import (
    BUY,
    ORDER,
    WORKING,
    Desk,
    add_fill,
    filled,
    known_order,
    num,
    order_of,
    outcome,
    said,
    submit,
)
from tests.domain.order_words import after, waiting


def test_add_fill_records_quantity_price_fee_and_trade_id() -> None:
    (event,) = outcome(WORKING, add_fill("40", "9.99", "t1", fee="-0.5", actor="gateway"))

    assert event == filled("40", "9.99", "t1", fee="-0.5", actor="gateway")


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


def test_a_repeated_fill_of_an_unknown_order_raises_its_quarantine_id() -> None:
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
