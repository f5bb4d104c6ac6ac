"""An adapter of one's own in 60 lines; its venue is a dictionary, where others have HTTP calls."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator

from oms_es import FillReport, OMSOrder, OrderManagementSystem, OrderReport
from oms_es.venues import Connected, Gateway, Instrument, Refused

BOOK: dict[str, OrderReport] = {}  # the venue: its orders by their ids there


class OwnVenue:
    """Every limit order is executed at once, in full."""

    def __init__(self) -> None:
        self._news: asyncio.Queue[OrderReport] = asyncio.Queue()

    async def instruments(self) -> list[Instrument]:
        return [Instrument(symbol="ADAUSDM", base="ADA", quote="USDM")]

    async def prepare(self, _: OMSOrder) -> None:
        return None  # the venue uses our order id; else return the venue's id, before the order is live

    async def place(self, order: OMSOrder) -> OrderReport:
        if order.price is None:
            raise Refused("only limit orders")  # it did nothing; without a clear answer raise Unsure
        external, filled = f"V-{order.order_id}", order.quantity
        ids = {"external_order_id": external, "order_id": order.order_id, "symbol": order.symbol, "side": order.side}
        fill = FillReport(**ids, trade_id="T-1", quantity=filled, price=order.price, occurred_at=time.time_ns())
        report = BOOK[external] = OrderReport(**ids, status="filled", filled_quantity=filled, fills=(fill,))
        self._news.put_nowait(report)
        return report

    async def cancel(self, order: OMSOrder) -> None:
        raise Refused(f"order {order.order_id} is not open")

    async def order(self, *, external_order_id: str | None = None, order_id: str | None = None) -> OrderReport | None:
        return BOOK.get(external_order_id or f"V-{order_id}")

    async def open_orders(self) -> list[OrderReport]:
        return [report for report in BOOK.values() if report.status == "working"]

    async def fills(self, since: int) -> list[FillReport]:
        return [fill for report in BOOK.values() for fill in report.fills or () if fill.occurred_at >= since]

    async def stream(self) -> AsyncIterator[OrderReport | Connected]:
        yield Connected()
        while True:
            yield await self._news.get()


async def main(log: str) -> None:
    """Submit an order and show its position."""
    async with OrderManagementSystem(log=log) as oms, Gateway(oms, OwnVenue()) as gateway:
        print((await gateway.submit("ADAUSDM", "buy", "limit", "100", "0.65")).state.value, oms.get_position("ADAUSDM"))


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "own-venue.db"))
