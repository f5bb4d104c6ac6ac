"""What it costs to write through `oms ingest`, as a program in another language does."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks import stock
from benchmarks.figures import Figure

ORDERS = 2_000
CONFIG = "risk: {max_position_size: null, max_open_orders: null}\ntrading: {min_quote_size: null, max_skew: null}\n"


def figures() -> list[Figure]:
    """Return the figures of `oms ingest`."""
    return [
        Figure(
            name="lines of oms ingest",
            base="one stock save each",
            unit="lines/s",
            sample=_lines,
            higher_is_better=True,
            rounds=3,
        )
    ]


def _lines() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        return _ingest(Path(folder)), stock.saves(Path(folder) / "stock.db", 150)[0]


def _ingest(folder: Path) -> float:
    """Return lines answered a second, after the process has answered its first line."""
    (folder / "oms.yaml").write_text(CONFIG, encoding="utf-8")
    lines = [line for number in range(ORDERS) for line in _order(number)]
    command = [sys.executable, "-m", "oms_es", "ingest", "--log", "day.db"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps({"command": "mark", "symbol": "AAPL", "price": "100"}), file=process.stdin, flush=True)
        process.stdout.readline()
        begun = time.perf_counter()
        writer = threading.Thread(target=_write, args=(process.stdin, lines))
        writer.start()
        answers = sum('"ok": true' in process.stdout.readline() for _ in lines)
        seconds = time.perf_counter() - begun
        writer.join()
    assert answers == len(lines)
    return answers / seconds


def _order(number: int) -> list[str]:
    order_id, side = f"o-{number}", "buy" if number % 2 else "sell"
    order = {"order_id": order_id, "symbol": "AAPL", "side": side, "order_type": "limit", "quantity": "10"}
    fill = {"order_id": order_id, "fill_quantity": "10", "fill_price": "100.25", "trade_id": f"t-{number}"}
    return [
        json.dumps({"command": "submit", **order, "price": "100.25"}),
        json.dumps({"command": "ack", "order_id": order_id}),
        json.dumps({"command": "fill", **fill}),
    ]


def _write(stream: object, lines: list[str]) -> None:
    with stream:  # type: ignore[attr-defined]
        stream.write("".join(f"{line}\n" for line in lines))  # type: ignore[attr-defined]
