"""Durable commands a second with many clients at once, beside one save of a stock application for each command."""

import asyncio
import statistics
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from oms_es import OrderManagementSystem, OrderState, Settings

CLIENTS = (256, 32, 8)
ROUNDS = 5
COMMANDS = 3  # submit, acknowledge, fill
LIMITS = {
    "risk": {"max_position_size": "1000000", "max_daily_loss": "1000000", "max_open_orders": 100_000},
    "trading": {"max_skew": "1000000", "min_quote_size": "0.01"},
}


class _Order(Aggregate):
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


def main() -> None:
    """Print commands a second and CPU time a command, ours and the stock application's, in turn."""
    for clients in CLIENTS:
        ours, cpu, stock = [], [], []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as folder:
                rate, spent = asyncio.run(
                    _measure(Path(folder) / "oms.db", clients, per_client=max(6, 3000 // clients))
                )
                ours.append(rate)
                cpu.append(spent)
                stock.append(_stock(Path(folder) / "stock.db", 100))
        ratio = statistics.median(a / b for a, b in zip(ours, stock, strict=True))
        print(
            f"{clients} clients: {statistics.median(ours):,.0f} commands/s, {statistics.median(cpu):.0f} µs CPU each; "
            f"stock {statistics.median(stock):,.0f} saves/s; ratio {ratio:.1f}"
        )
        sys.stdout.flush()


async def _measure(path: Path, clients: int, per_client: int) -> tuple[float, float]:
    async with OrderManagementSystem(Settings.from_mapping(LIMITS), log=path) as oms:
        await oms.record_mark("AAPL", "100")
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(_client(oms, name, per_client) for name in range(clients)))
        commands = clients * per_client * COMMANDS
        return commands / (time.perf_counter() - wall), (time.process_time() - cpu) / commands * 1e6


async def _client(oms: OrderManagementSystem, name: int, orders: int) -> None:
    side = "buy" if name % 2 else "sell"
    for number in range(orders):
        order_id = f"o-{name}-{number}"
        await oms.submit_order("AAPL", side, "limit", "10", "100.25", order_id)
        await oms.update_order_state(order_id, OrderState.WORKING)
        await oms.add_fill(order_id, "10", "100.25", f"t-{name}-{number}", "0.01")


def _stock(path: Path, orders: int) -> float:
    app: Application[str] = Application(
        env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}  # type: ignore[arg-type]
    )
    begun = time.perf_counter()
    for number in range(orders):
        order = _Order("AAPL", "buy", Decimal(10), Decimal("100.25"))
        app.save(order)
        order.acknowledge()
        app.save(order)
        order.fill(Decimal(10), Decimal("100.25"), f"t-{number}")
        app.save(order)
    rate = orders * COMMANDS / (time.perf_counter() - begun)
    app.close()
    return rate
