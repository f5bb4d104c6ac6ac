"""
Read a day: the orders, the position at two moments, and the P&L of a log. Nothing is written.

Make a log first: `oms demo --log day.db`.
"""

import sys
from collections import Counter

from oms_es import OrderManagementSystem

MOMENT = "2024-03-15T14:05:00Z"


def main(log: str) -> None:
    """Print what the log knows."""
    oms = OrderManagementSystem(log=log)  # no close is needed; a query writes nothing

    states = Counter(order.state.value for order in oms.get_all_orders())
    print("orders:", ", ".join(f"{count} {state}" for state, count in sorted(states.items())))

    for order in oms.get_all_orders():
        if order.error_message:
            print(f"refused: {order.order_id}: {order.error_message}")

    for position in oms.positions(as_of=MOMENT):
        print(f"effective at {MOMENT}: {position.quantity} {position.symbol}")
    for position in oms.positions(known_at=MOMENT):
        print(f"known at {MOMENT}: {position.quantity} {position.symbol}")

    for method in ("fifo", "lifo", "average"):
        realized = sum(position.realized_pnl for position in oms.positions(method=method))
        print(f"realized by {method}: {realized}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "day.db")
