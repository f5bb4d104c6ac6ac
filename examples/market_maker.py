"""
A market maker: one bid and one ask around a price, against a venue that is a few lines of this file.

It quotes, is filled, and stops when a limit refuses its quotes. A second run continues with the position of the log.
"""

import asyncio
import sys
from collections.abc import Iterator
from decimal import Decimal

from oms_es import OMSOrder, OrderManagementSystem, OrderRejected, Settings

SYMBOL, SIZE, SPREAD = "ADAUSDM", Decimal(50), Decimal("0.002")
LIMITS = Settings.from_mapping({"risk": {"max_position_size": 200}})


def prices() -> Iterator[Decimal]:
    """Yield a price that falls, so that the bids are filled more often than the asks."""
    yield from (Decimal("0.450") - Decimal("0.001") * step for step in range(8))


async def quote(oms: OrderManagementSystem, price: Decimal) -> list[OMSOrder]:
    """Send a bid and an ask; a quote that a limit refuses is left out."""
    quotes = []
    for side, at in (("buy", price - SPREAD), ("sell", price + SPREAD)):
        try:
            order = await oms.submit_order(SYMBOL, side, "limit", SIZE, at)
        except OrderRejected as refusal:
            print(f"  {refusal}")
        else:
            quotes.append(await oms.update_order_state(order.order_id, "working"))
    return quotes


async def main(log: str) -> None:
    """Quote around each price, then report the position."""
    async with OrderManagementSystem(LIMITS, log=log) as oms:
        for price in prices():
            await oms.record_mark(SYMBOL, price)
            for order in await quote(oms, price):
                if order.side == "buy":  # in this market only bids are filled
                    await oms.add_fill(order.order_id, SIZE, price - SPREAD, trade_id=f"{order.order_id}-1", fee="0.01")
                else:
                    await oms.cancel_order(order.order_id, reason="requote")
            if held := oms.get_position(SYMBOL):
                print(f"{price}: holds {held.quantity} at {held.avg_price}, unrealized {held.unrealized_pnl}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "market-maker.db"))
