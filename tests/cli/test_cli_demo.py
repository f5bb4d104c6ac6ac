"""`oms demo`: its day, its story, and the commands it ends with."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oms_es.cli.commands.demo import program
from tests.cli.test_cli import Oms

MOMENTS = ("--as-of", "--known-at")


def test_the_demo_shows_what_each_of_its_command_lines_answers(oms: Oms) -> None:
    shown = oms(f"demo --log {oms.log}").stdout

    queries = [line for line in shown.splitlines() if line.startswith("$ oms ")]
    assert len(queries) >= 7
    for line in queries[:-1]:  # the last one also shows how long it took
        answer = oms(line.removeprefix("$ oms ")).stdout
        assert answer
        assert answer in shown
    assert shown.count(str(oms.log)) == 2


def test_the_demo_day_has_something_of_everything(oms: Oms) -> None:
    oms(f"demo --log {oms.log}")

    notes = {name for row in oms.json("fills")["fills"] for name in ("late", "busted", "corrected") if row[name]}
    kinds = {event["event"] for row in oms.json("orders")["orders"] for event in events(oms, row["order_id"])}
    refused = {each for order in ("a-2", "a-6") for each in violations(oms, order)}
    bolt = oms.json("positions --method all --symbol BOLT --account default")["methods"]
    effective, known = (oms.held(f"positions --symbol BOLT {moment} 2024-03-15T14:05:00Z") for moment in MOMENTS)

    assert notes == {"late", "busted", "corrected"}
    assert kinds >= {"OrderAmended", "FillQuarantined", "FillBusted", "FillCorrected"}
    assert refused == {"POSITION_SIZE", "ORDER_NOTIONAL", "PRICE_COLLAR", "EMERGENCY_STOP"}
    assert len({rows[0]["cost_basis"] for rows in bolt.values()}) == 3
    assert (effective, known) == ({"BOLT": "80"}, {"BOLT": "95"})
    assert sorted({row["quantity"][0] == "-" for row in oms.json("history BOLT")["changes"]}) == [False, True]
    assert oms.json("replay --check")["check"]["divergent"] == 0


def events(oms: Oms, order_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = oms.json(f"order {order_id}")["events"]
    return found


def violations(oms: Oms, order_id: str) -> list[str]:
    (verdict,) = oms.json(f"why order {order_id}")["verdicts"]
    return [text.partition(":")[0] for text in verdict["recorded"]]


def test_the_demo_begins_a_fresh_log_each_time(oms: Oms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    oms("demo")
    oms("demo")

    assert len(list(tmp_path.glob("oms-demo-*/day.db"))) == 2
    assert not oms.log.exists()


@pytest.mark.parametrize(("started", "shown"), [
    ("bin/oms", "bin/oms"),
    ("somewhere else/oms", "'somewhere else/oms'"),
    (shutil.which("oms", path=str(Path(sys.executable).parent)) or "", "oms"),
    ("oms_es/cli/__main__.py", f"{sys.executable} -m oms_es"),
    ("pytest", "oms"),
])  # fmt: skip
def test_the_demo_names_oms_as_the_shell_finds_it(started: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.setattr("sys.argv", [started])

    assert program() == shown


def test_the_demo_ends_with_commands_that_run_as_printed(tmp_path: Path) -> None:
    oms = Path(sys.executable).with_name("oms")
    environment = {**os.environ, "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "COLUMNS": "100"}
    shown = subprocess.run([oms, "demo"], env=environment, capture_output=True, text=True, check=True).stdout
    commands = shown.partition("To go on in this shell:\n")[2].partition("\nThe examples")[0]

    done = subprocess.run(["sh", "-ec", commands], env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, commands.count(str(oms))) == (0, 3)
    assert "StateChanged" in done.stdout


def test_the_demo_leaves_a_file_that_is_there_alone(oms: Oms) -> None:
    oms.log.write_text("mine")

    refused = oms(f"--log {oms.log} demo", code=1)

    assert "exists already" in refused.stderr
    assert (refused.stdout, oms.log.read_text()) == ("", "mine")


WITHOUT_POSIX = """
import os, sys
for name in ("register_at_fork", "fork", "geteuid", "getuid", "O_CLOEXEC", "pread"):
    delattr(os, name)
from oms_es.cli import main
main()
"""


def test_the_demo_runs_without_the_functions_that_windows_lacks(tmp_path: Path) -> None:
    demo = [sys.executable, "-c", WITHOUT_POSIX, "demo", "--log", "day.db"]

    done = subprocess.run(demo, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.returncode, "decided again" in done.stdout) == (0, True), done.stderr
