"""The simulated venue: the same seed has the same outcome, and a gateway ends with what it has, whatever it does."""

from pathlib import Path
from typing import Any

import pytest

from oms_es import OmsError
from oms_es.venues.simulated import SimulatedVenue, Troubles
from tests.desk import D
from tests.venues.scripted import ADA, PAIR, connected

ALL = Troubles(partial_fills=0.5, rejects=0.1, duplicates=0.3, drops=0.3, lost_answers=0.2)


async def day(path: Path, seed: int, **options: Any) -> tuple[list[Any], list[Any], Any]:
    """Trade a little; return what the log and the venue have."""
    venue = SimulatedVenue(seed, instruments=[PAIR], fee_rate="0.001", troubles=ALL, **options)
    async with connected(path, venue) as (oms, gateway):
        for step in range(12):
            side = "buy" if step % 3 else "sell"
            try:
                order = await gateway.submit(ADA, side, "limit", "100", "0.65", order_id=f"o-{step}")
                if step % 4 == 0:
                    await gateway.cancel(order.order_id)
            except OmsError:
                pass
            venue.set_price(ADA, D("0.65") + D(step % 5 - 2) / 100)
        venue.troubles = Troubles()
        await gateway.reconcile()
        ours = sorted((f["trade_id"], f["quantity"], f["fee"]) for o in oms.orders() for f in o.fills)
        theirs = sorted((f.trade_id, f.quantity, f.fee) for o in venue._orders.values() for f in o.fills)
        return ours, theirs, oms.get_position(ADA)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("assigns_ids", [False, True])
async def test_a_day_with_every_trouble_ends_as_at_the_venue(tmp_path: Path, seed: int, assigns_ids: bool) -> None:
    ours, theirs, position = await day(tmp_path / "bot.db", seed, assigns_ids=assigns_ids)

    assert ours == theirs
    assert position is not None


async def test_a_market_order_needs_a_price_and_is_executed_at_it(tmp_path: Path) -> None:
    venue = SimulatedVenue(instruments=[PAIR])
    async with connected(tmp_path / "bot.db", venue) as (_, gateway):
        with pytest.raises(OmsError, match="no price"):
            await gateway.submit(ADA, "buy", "market", "100")
        venue.set_price(ADA, "0.7")

        order = await gateway.submit(ADA, "buy", "market", "100")

    assert (order.filled_quantity, order.avg_fill_price) == (D(100), D("0.7"))
