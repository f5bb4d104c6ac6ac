"""The same orders in a stock `eventsourcing` application: what our figures are divided by."""

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

COMMANDS = 3  # submit, acknowledge, fill


class StockOrder(Aggregate):
    """An order as the library's documentation would write it."""

    @event("Submitted")
    def __init__(self, symbol: str, side: str, quantity: Decimal, price: Decimal) -> None:
        self.symbol, self.side, self.quantity, self.price = symbol, side, quantity, price
        self.state, self.filled = "pending", Decimal(0)

    @event("Acknowledged")
    def acknowledge(self) -> None:
        """Note that the venue has the order."""
        self.state = "working"

    @event("Filled")
    def fill(self, quantity: Decimal, price: Decimal, trade_id: str) -> None:
        """Add an execution."""
        self.filled += quantity
        self.last = (price, trade_id)


def application(path: Path) -> Application[Any]:
    """Return an application with its events in an SQLite file."""
    env: Any = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}
    return Application(env=env)


def trade(number: int, saved: Callable[[StockOrder], object]) -> StockOrder:
    """Submit, acknowledge and fill one order; `saved` is called after each of the three."""
    order = StockOrder("AAPL", "buy", Decimal(10), Decimal("100.25"))
    saved(order)
    order.acknowledge()
    saved(order)
    order.fill(Decimal(10), Decimal("100.25"), f"t-{number}")
    saved(order)
    return order


def saves(path: Path, orders: int) -> tuple[float, float]:
    """Return saves a second and CPU microseconds a save, one transaction each."""
    app = application(path)
    wall, cpu = time.perf_counter(), time.process_time()
    for number in range(orders):
        trade(number, app.save)
    count = orders * COMMANDS
    found = count / (time.perf_counter() - wall), (time.process_time() - cpu) / count * 1e6
    app.close()
    return found


def store(path: Path, orders: int) -> Application[Any]:
    """Return an application with so many orders, 100 to a transaction."""
    app = application(path)
    for begin in range(0, orders, 100):
        app.save(*(trade(number, lambda _: None) for number in range(begin, min(begin + 100, orders))))
    return app


def replayed(app: Application[Any], *, fold: bool = True) -> float:
    """Return events a second: rows read and decoded by the library's mapper, and folded into aggregates."""
    begun, count, start = time.perf_counter(), 0, 1
    found: dict[Any, Any] = {}
    while page := app.recorder.select_notifications(start, 2000):
        for each in page:
            event: Any = app.mapper.to_domain_event(each)
            if fold:
                found[each.originator_id] = event.mutate(found.get(each.originator_id))
        count += len(page)
        start = page[-1].id + 1
    return count / (time.perf_counter() - begun)
