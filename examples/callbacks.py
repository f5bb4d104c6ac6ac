"""
Callbacks: the program hears of each order and each position after the commit, in log order.

It also hears of what other processes append: start it, then use `oms submit` on the same log.
"""

import asyncio
import sys

from oms_es import FillQuarantinedError, OMSOrder, OrderManagementSystem, Position


def show_order(order: OMSOrder) -> None:
    """Print an order; this function is synchronous, so it runs in its own thread."""
    print(f"order {order.order_id}: {order.state.value}, {order.filled_quantity} of {order.quantity} filled\n", end="")


async def show_position(position: Position) -> None:
    """Print a position; this function is a coroutine, so it runs in the loop."""
    print(f"position {position.symbol}: {position.quantity}, realized {position.realized_pnl}\n", end="")


async def main(log: str) -> None:
    """Trade a little; every line is printed by a callback."""
    async with OrderManagementSystem(log=log) as oms:
        oms.add_order_callback(show_order)
        oms.add_position_callback(show_position)
        order = (await oms.submit_order("ADAUSDM", "buy", "limit", "100", "0.45")).order_id
        await oms.update_order_state(order, "working")
        await oms.add_fill(order, "60", "0.45", trade_id="t-1")
        await oms.add_fill(order, "60", "0.45", trade_id="t-1")  # reported twice: counts once, no callback
        try:
            await oms.add_fill(order, "60", "0.45", trade_id="t-2")  # more than the order has left
        except FillQuarantinedError as error:
            print(error)
        await oms.cancel_order(order, reason="end of the example")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "callbacks.db"))
