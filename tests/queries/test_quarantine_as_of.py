"""The quarantine at any moment."""

from decimal import Decimal

import pytest

from oms_es import errors
from oms_es.queries.queries import AsOf, Queries
from oms_es.timestamps import SECOND
from tests.queries.played_desk import ALFA, PlayedDesk, trade

D = Decimal


async def test_an_accepted_fill_is_not_in_quarantine_as_of_its_own_moment(day: PlayedDesk) -> None:
    await trade(day, "buy", 10, 100)
    waiting = []
    for order_id, trade_id in (("o-0", "over"), ("nobody", "unknown")):
        with pytest.raises(errors.FillQuarantinedError) as told:
            await day.oms.add_fill(order_id, 5, 100, trade_id)
        waiting.append(told.value.quarantine_id)
    moment = day.now
    day.now += 60 * SECOND
    for quarantine_id in waiting:
        await day.oms.resolve_quarantined(quarantine_id, True, symbol=ALFA, side="buy")
    queries = Queries(day.log)

    orders = queries.orders(queries.basis(AsOf(as_of=moment)))

    assert orders.all_waiting() == []
    assert orders.exposed("default", ALFA).buys == 0
    assert {order.order_id: order.filled_quantity for order in orders.sorted()} == {"o-0": 15, "nobody": 5}


async def test_a_rejected_fill_is_in_quarantine_until_it_was_rejected(day: PlayedDesk) -> None:
    await trade(day, "buy", 10, 100)
    with pytest.raises(errors.FillQuarantinedError) as told:
        await day.oms.add_fill("o-0", 5, 100, "over")
    between = day.now
    day.now += 60 * SECOND
    await day.oms.resolve_quarantined(told.value.quarantine_id, False)
    queries = Queries(day.log)

    for when in (AsOf(as_of=between), AsOf(known_at=between)):
        (waits,) = queries.waiting(queries.basis(when))
        assert waits.fill.quarantine_id == told.value.quarantine_id
        assert [waits] == queries.orders(queries.basis(when)).all_waiting()
    assert queries.waiting(queries.basis(AsOf(as_of=day.now))) == []
    assert queries.waiting(queries.basis(AsOf())) == []


async def test_an_accepted_fill_is_in_quarantine_until_its_order_was_submitted(day: PlayedDesk) -> None:
    with pytest.raises(errors.FillQuarantinedError) as told:
        await day.oms.add_fill("o-0", 5, 100, "early")
    between = day.now
    day.now += 60 * SECOND
    await day.oms.submit_order(ALFA, "buy", "market", 10, None, "o-0")
    submitted = day.now
    day.now += 60 * SECOND
    await day.oms.resolve_quarantined(told.value.quarantine_id, True, symbol=ALFA, side="buy")
    queries = Queries(day.log)

    for moment, count in ((between, 1), (submitted, 0), (day.now, 0)):
        basis = queries.basis(AsOf(as_of=moment))
        assert queries.waiting(basis) == queries.orders(basis).all_waiting()
        assert (len(queries.waiting(basis)), len(day.oms.positions(as_of=moment))) == (count, 1 - count)
