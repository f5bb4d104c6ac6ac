"""Every program in examples/ runs, and runs again on the log that it made."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli import Oms

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(example: str, log: Path, *, warns: str = "") -> list[str]:
    command = [sys.executable, "-W", "error", str(EXAMPLES / example), str(log)]
    done = subprocess.run(command, cwd=log.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(warns in line for line in done.stderr.splitlines()) if warns else done.stderr == ""
    return done.stdout.splitlines()


def test_the_market_maker_is_filled_until_a_limit_refuses_its_bids(tmp_path: Path) -> None:
    first, again = (run("market_maker.py", tmp_path / "bot.db") for _ in range(2))

    assert first[0] == "0.450: holds 50 at 0.448, unrealized 0.1"
    assert sum("POSITION_SIZE" in line for line in first) == 4
    assert first[-1].startswith("0.443: holds 200 at")
    assert again[0].endswith("would exceed the limit of 200 (risk.max_position_size)")


def test_the_callbacks_hear_of_each_event_once(tmp_path: Path) -> None:
    first, again = (run("callbacks.py", tmp_path / "bot.db", warns="quarantine") for _ in range(2))

    assert [line for line in first if line.startswith("position")] == ["position ADAUSDM: 60, realized 0"]
    assert [line for line in again if line.startswith("position")] == ["position ADAUSDM: 120, realized 0"]
    states = [line.partition(": ")[2] for line in first if line.startswith("order")]
    assert states.count("working, 60 of 100 filled") == 2  # the fill, and the one in quarantine
    assert states[-1] == "cancelled, 60 of 100 filled"


def test_a_day_is_read_without_a_write(tmp_path: Path) -> None:
    log = tmp_path / "day.db"
    Oms(log)(f"demo --log {log}")
    before = log.read_bytes()

    shown = run("read_day.py", log, warns="quarantine")

    assert shown[0] == "orders: 1 cancelled, 5 filled, 1 pending, 2 rejected, 4 working"
    assert "effective at 2024-03-15T14:05:00Z: 80 BOLT" in shown
    assert "known at 2024-03-15T14:05:00Z: 95 BOLT" in shown
    assert shown[-3:] == ["realized by fifo: 34.25", "realized by lifo: 35.05", "realized by average: 34.41"]
    assert log.read_bytes() == before


def test_the_bot_at_a_venue_ends_as_the_venue_does(tmp_path: Path) -> None:
    first, again = (run("venue_bot.py", tmp_path / "bot.db") for _ in range(2))

    assert first[-1].startswith("6 submits, ")
    assert first[-1].endswith("breaks: []")
    assert again[-1] == first[-1]


def test_the_adapter_of_ones_own_fills_an_order(tmp_path: Path) -> None:
    first, again = (run("own_venue.py", tmp_path / "bot.db") for _ in range(2))

    assert first[0].startswith("filled Position(symbol='ADAUSDM', quantity=Decimal('100')")
    assert again[0].startswith("filled Position(symbol='ADAUSDM', quantity=Decimal('200')")


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(example: Path) -> None:
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 60
