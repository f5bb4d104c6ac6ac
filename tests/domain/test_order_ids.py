"""Which order an id names: ours before the venue's, per account."""

import pytest

from oms_es.errors import AmbiguousOrder
from tests.builders import BUY, Desk, S, add_fill, amend, cancel, change_state, num, submit, told
from tests.domain.order_words import summary


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
