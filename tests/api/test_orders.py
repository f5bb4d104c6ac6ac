"""Amendments through the API, and the errors that the spec promises."""

from pathlib import Path

import pytest

import oms_es
from oms_es import (
    InvalidInput,
    InvalidTransition,
    OmsError,
    OrderManagementSystem,
    OrderRejected,
    OrderState,
    UnknownOrder,
)
from tests.desk import D, codes, desk, order_of, submit, these, topics_of, work

Oms = OrderManagementSystem

# --- the spec's transitions and the ones beyond ---


async def test_amend_order_takes_the_new_total_quantity_and_completes_a_filled_order(oms: Oms) -> None:
    await work(oms, "o-1")
    await oms.add_fill("o-1", 40, 10)
    order = await oms.amend_order("o-1", quantity=120, price="9.5")
    assert these(order.quantity, order.open_quantity, order.price) == (120, 80, D("9.5"))
    order = await oms.amend_order("o-1", quantity=30)
    assert these(order.quantity, order.state) == (40, OrderState.FILLED)
    await work(oms, "o-2")
    assert (await oms.amend_order("o-2", quantity=0)).state is OrderState.CANCELLED
    with pytest.raises(InvalidTransition):
        await oms.amend_order("o-2", quantity=10)
    with pytest.raises(InvalidInput):
        await oms.amend_order("o-1")


async def test_a_refused_amend_order_is_recorded_and_leaves_the_order_unchanged(oms: Oms) -> None:
    before = await work(oms, "o-1")
    with pytest.raises(OrderRejected, match="POSITION_SIZE") as error:
        await oms.amend_order("o-1", quantity=10_001)
    assert error.value.order.quantity == 100
    after = order_of(oms, "o-1")
    assert (after.quantity, after.price, after.state) == (before.quantity, before.price, before.state)
    assert topics_of(oms.log)[-1] == "AmendRefused"
    assert (await oms.amend_order("o-1", quantity=10_000)).quantity == 10_000


# --- errors ---


async def test_errors_are_the_value_errors_that_the_spec_promises(path: Path) -> None:
    async with desk(path) as oms:
        with pytest.raises(ValueError, match=r"^Order rejected: POSITION_SIZE: ") as refused:
            await submit(oms, "big", quantity=20_000)
        assert isinstance(refused.value, OrderRejected)
        assert refused.value.order.state is OrderState.REJECTED
        assert codes(refused.value.violations) == ["POSITION_SIZE"]
        await submit(oms, "o-1")
        with pytest.raises(ValueError, match="pending to filled"):
            await oms.update_order_state("o-1", OrderState.FILLED)
        with pytest.raises(ValueError, match="other content"):
            await submit(oms, "o-1", quantity=50)
        with pytest.raises(ValueError, match="quarantine"):
            await oms.add_fill("o-1", 999, 10)
        with pytest.raises(LookupError, match="nobody"):
            await oms.cancel_order("nobody")

    for name in ("OrderRejected", "InvalidTransition", "CommandConflict", "FillQuarantinedError", "InvalidInput"):
        assert issubclass(getattr(oms_es, name), ValueError)
        assert issubclass(getattr(oms_es, name), OmsError)


async def test_an_error_message_escapes_characters_that_deceive_a_terminal(oms: Oms) -> None:
    with pytest.raises(UnknownOrder) as error:
        await oms.cancel_order("o-\u202e1")
    assert "\u202e" not in str(error.value)
    assert "\\u202e" in str(error.value)
