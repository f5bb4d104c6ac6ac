"""What it costs to write: many clients at once, a lone command, an import."""

import asyncio
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import msgspec

from benchmarks import days, stock
from benchmarks.figures import Figure
from oms_es import OrderManagementSystem, OrderState, Settings
from oms_es.importers.facts import Defaults, read_facts
from oms_es.importers.importer import import_facts

LIMITS = {
    "risk": {"max_position_size": "1000000", "max_daily_loss": "1000000", "max_open_orders": 100_000},
    "trading": {"max_skew": "1000000", "min_quote_size": "0.01"},
    "system": {"risk_check_timeout": "3600000"},  # a busy machine refuses nothing
}
LONE = 150  # commands of a round
EVENTS = 20_000  # of an imported day


def figures(clients: tuple[int, ...] = (256, 32, 8)) -> list[Figure]:
    """Return the figures of writing; the bounds are those of the table in docs/performance.md."""
    bounds = {256: 12.0, 32: 8.0, 8: 4.5}
    found = [
        Figure(
            name=f"commands, {each} clients",
            base="one stock save each",
            unit="commands/s",
            sample=lambda each=each: _throughput(each, 0),  # type: ignore[misc]
            higher_is_better=True,
            must=bounds.get(each),
        )
        for each in clients
    ]
    found.append(
        Figure(
            name=f"CPU of a command, {clients[0]} clients",
            base="CPU of one stock save",
            unit="µs",
            sample=lambda: _throughput(clients[0], 1),
        )
    )
    found.append(
        Figure(name="lone command", base="one fsynced commit of one row", unit="ms", sample=_lone, must=1.6, rounds=7)
    )
    found.append(
        Figure(
            name="import",
            base="decode the lines, add up, insert the same rows",
            unit="facts/s",
            sample=_import,
            higher_is_better=True,
            must=0.3,
            rounds=3,
        )
    )
    return found


def _throughput(clients: int, which: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        ours = asyncio.run(_measure(Path(folder) / "oms.db", clients, per_client=max(4, 2000 // clients)))
        return ours[which], stock.saves(Path(folder) / "stock.db", 150)[which]


async def _measure(path: Path, clients: int, per_client: int) -> tuple[float, float]:
    async with OrderManagementSystem(Settings.from_mapping(LIMITS), log=path) as oms:
        await oms.record_mark("AAPL", "100")
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(client(oms, name, per_client) for name in range(clients)))
        commands = clients * per_client * stock.COMMANDS
        return commands / (time.perf_counter() - wall), (time.process_time() - cpu) / commands * 1e6


async def client(oms: OrderManagementSystem, name: int, orders: int) -> None:
    side = "buy" if name % 2 else "sell"
    for number in range(orders):
        order_id = f"o-{name}-{number}"
        await oms.submit_order("AAPL", side, "limit", "10", "100.25", order_id)
        await oms.update_order_state(order_id, OrderState.WORKING)
        await oms.add_fill(order_id, "10", "100.25", f"t-{name}-{number}", "0.01")


def _lone() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder, closing(_bare(Path(folder) / "bare.db")) as bare:
        return asyncio.run(_lone_commands(Path(folder) / "oms.db", bare))


async def _lone_commands(path: Path, bare: sqlite3.Connection) -> tuple[float, float]:
    lone, commits = [], []
    async with OrderManagementSystem(Settings.from_mapping(LIMITS), log=path) as oms:
        for number in range(LONE):
            begun = time.perf_counter()
            await oms.submit_order("S", "buy", "limit", 10, 1, f"l-{number}")
            lone.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            bare.execute("INSERT INTO t(body) VALUES (?)", ("x" * 300,))
            commits.append(time.perf_counter() - begun)
    return statistics.median(lone) * 1e3, statistics.median(commits) * 1e3


def _bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT)")
    return connection


def _import() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "day.jsonl"
        count = days.write_lines(lines, EVENTS)
        path = Path(folder) / "day.db"
        begun = time.perf_counter()
        asyncio.run(_imported(path, lines))
        ours = count / (time.perf_counter() - begun)
        return ours, count / _floor(path, lines, Path(folder) / "floor.db")


async def _imported(path: Path, lines: Path) -> None:
    async with OrderManagementSystem(Settings.default(), log=path) as oms:
        await import_facts(oms.sequencer, lambda: read_facts(lines, Defaults()))


def _floor(path: Path, lines: Path, copy: Path) -> float:
    """Return seconds to decode each line, to add up the fills, and to insert the rows of the import as they are."""
    decode = msgspec.json.Decoder(dict[str, str | int | None]).decode
    held: dict[object, Decimal] = {}
    with closing(sqlite3.connect(path)) as made, closing(sqlite3.connect(copy, isolation_level=None)) as floor:
        for table in ("events", "streams"):
            floor.execute(*made.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone())
        floor.execute("PRAGMA journal_mode=WAL")
        rows = {table: made.execute(f"SELECT * FROM {table}").fetchall() for table in ("streams", "events")}
        begun = time.perf_counter()
        with lines.open("rb") as stream:
            for fact in map(decode, stream):
                if fact["kind"] == "fill":
                    held[fact["symbol"]] = held.get(fact["symbol"], Decimal(0)) + Decimal(str(fact["qty"]))
        for table, content in rows.items():
            insert = f"INSERT INTO {table} VALUES ({','.join('?' * len(content[0]))})"
            for start in range(0, len(content), 2000):
                floor.execute("BEGIN")
                floor.executemany(insert, content[start : start + 2000])
                floor.execute("COMMIT")
        return time.perf_counter() - begun
