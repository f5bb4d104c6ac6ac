"""A bot of 25 lines: a gateway keeps its log equal to a simulated venue that loses answers and messages."""

import asyncio
import sys

from oms_es import OrderManagementSystem
from oms_es.venues import Gateway, Pacing
from oms_es.venues.simulated import SimulatedVenue, Troubles, instrument


async def main(log: str) -> None:
    """Quote both sides of a falling price, then report the position and the state of the gateway."""
    troubles = Troubles(partial_fills=0.3, duplicates=0.2, drops=0.2, lost_answers=0.1)
    venue = SimulatedVenue(seed=7, instruments=[instrument("ADAUSDM", "ADA", "USDM", step="0.01")], troubles=troubles)
    async with OrderManagementSystem(log=log) as oms, Gateway(oms, venue, pacing=Pacing(ask_again=0.01)) as gateway:
        for price in ("0.650", "0.648", "0.645"):
            quotes = [await gateway.submit("ADAUSDM", side, "limit", "50", price) for side in ("buy", "sell")]
            venue.set_price("ADAUSDM", price)
            for order in quotes:
                await gateway.cancel(order.order_id)
        status = await gateway.reconcile()
        print(oms.get_position("ADAUSDM"), f"{status.submits} submits, breaks: {list(status.breaks)}", sep="\n")


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "venue-bot.db"))
