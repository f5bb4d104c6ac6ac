"""Bytes a fact takes in the log, part by part, and how fast facts come in."""

import sqlite3
import tempfile
import time
from pathlib import Path

from benchmarks.days import facts, make_log

EVENTS = 100_000


def main() -> None:
    """Print the size of a made-up day, and of each table and index in it."""
    count = sum(1 for _ in facts(EVENTS))
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        log = make_log(Path(folder) / "day.db", EVENTS, checkpoints=False)
        took = time.perf_counter() - begun
        events = log.head().seq
        log.close()
        path = Path(folder) / "day.db"
        whole = path.stat().st_size
        print(f"{count:,} facts, {events:,} events: {whole / count:.0f} bytes a fact, {whole / events:.0f} an event")
        print(f"taken in at {count / took:,.0f} facts a second, {events / took:,.0f} events a second")
        connection = sqlite3.connect(path)
        try:
            for name, size in connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC"):
                print(f"  {name:28} {size / count:6.1f} bytes a fact")
        except sqlite3.OperationalError:
            print("  (this SQLite was built without dbstat: no parts)")
        connection.close()
