"""Which order or position an id names."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from oms_es import AmbiguousOrder, OmsError, OrderManagementSystem, OrderState, UnknownOrder
from tests.desk import ADA, BUY, order_of, position_of, submit, trade, work

Oms = OrderManagementSystem
Act = Callable[[Oms], Awaitable[Any]]


async def test_every_command_finds_an_order_by_its_external_order_id(oms: Oms) -> None:
    await submit(oms, "o-1")
    await oms.update_order_state("o-1", OrderState.WORKING, external_order_id="V-1")
    assert order_of(oms, "V-1").order_id == "o-1"
    assert (await oms.add_fill("V-1", 40, 10, "t-1")).order_id == "o-1"
    assert (await oms.correct_fill("V-1", "t-1", fill_price=11)).avg_fill_price == 11
    assert (await oms.bust_fill("V-1", "t-1")).filled_quantity == 0
    assert (await oms.amend_order("V-1", quantity=50)).quantity == 50
    assert (await oms.cancel_order("V-1")).order_id == "o-1"
    assert (await oms.add_fill("o-1", 10, 10, "t-2")).fills[-1]["late"] is True


async def test_an_id_in_two_accounts_is_ambiguous_until_the_account_is_named(oms: Oms) -> None:
    await work(oms, "o-1", account="a")
    await work(oms, "o-1", account="b", quantity=70)
    attempts: list[Act] = [
        lambda o: o.cancel_order("o-1"), lambda o: o.add_fill("o-1", 1, 10), lambda o: o.amend_order("o-1", price=11),
        lambda o: o.update_order_state("o-1", OrderState.CANCELLED), lambda o: o.bust_fill("o-1", "t"),
        lambda o: o.correct_fill("o-1", "t", fee=1),
    ]  # fmt: skip
    for attempt in attempts:
        with pytest.raises(AmbiguousOrder, match="account"):
            await attempt(oms)
    with pytest.raises(AmbiguousOrder):
        oms.get_order("o-1")

    assert order_of(oms, "o-1", account="b").quantity == 70
    assert (await oms.cancel_order("o-1", account="a")).account == "a"
    assert (await oms.add_fill("o-1", 5, 10, account="b")).filled_quantity == 5
    assert oms.get_order("o-1", account="c") is None
    with pytest.raises(UnknownOrder):
        await oms.cancel_order("o-1", account="c")


async def test_a_position_of_two_accounts_is_ambiguous_until_the_account_is_named(oms: Oms) -> None:
    await trade(oms, "o-1", BUY, 10, 10, account="a")
    await trade(oms, "o-1", BUY, 20, 10, account="b")
    with pytest.raises(OmsError, match="account"):
        oms.get_position(ADA)
    assert position_of(oms, ADA, account="b").quantity == 20
    assert [each.account for each in oms.get_all_positions()] == ["a", "b"]
