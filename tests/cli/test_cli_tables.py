"""Commands that go through the whole log: tables, checkpoints, replays, and following it live."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from oms_es.domain.events import OrderSubmitted
from tests.cli.test_cli import Oms


def held(path: Path) -> dict[str, str]:
    with sqlite3.connect(path) as tables:
        return dict(tables.execute("SELECT symbol, quantity FROM positions"))


# --- tables and checkpoints ---


def test_tables_have_the_positions_of_oms_positions(demo: Oms, tmp_path: Path) -> None:
    done = demo.json("tables desk.db")

    assert (done["events"], done["seq"]) == (68, 68)
    assert done["seconds"] >= 0
    assert held(tmp_path / "desk.db") == demo.held()


def test_tables_are_made_anew(demo: Oms, tmp_path: Path) -> None:
    demo("tables desk.db")
    with sqlite3.connect(tmp_path / "desk.db") as tables:
        tables.execute("UPDATE positions SET quantity = '1'")

    assert demo.json("rebuild desk.db")["events"] == 68
    assert demo.json("rebuild new.db")["events"] == 68
    assert held(tmp_path / "desk.db") == held(tmp_path / "new.db") == demo.held()


def test_checkpoints_are_made_anew(demo: Oms) -> None:
    checkpoints = demo.log.with_name("day.db.checkpoints")
    checkpoints.write_bytes(b"nonsense")
    before = demo.log.read_bytes()

    done = demo.json("rebuild")

    assert (done["events"], done["seq"]) == (68, 68)
    assert checkpoints.read_bytes().startswith(b"SQLite format 3")
    assert demo.log.read_bytes() == before
    assert demo.held() == {"ACME": "10", "BOLT": "-30"}


@pytest.mark.parametrize("command", ["tables", "rebuild"])
@pytest.mark.parametrize(("file", "told"), [
    ("day.db", "is the log itself"), ("other.db", "not one of tables made by oms"),
    ("notes.txt", "not a database"), ("none/desk.db", "there is no folder none"), ("folder", "is a folder"),
])  # fmt: skip
def test_nothing_else_is_overwritten_by_tables(demo: Oms, tmp_path: Path, command: str, file: str, told: str) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE mine (x)")
    (tmp_path / "notes.txt").write_text("what must not be lost, and is longer than the header of a database " * 9)
    (tmp_path / "folder").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    refused = demo(f"{command} {file}", code=1)

    assert told in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("name", ["day.db", "day.db-wal", "day.db.checkpoints"])
def test_an_export_never_writes_over_the_log_or_the_files_beside_it(name: str, demo: Oms) -> None:
    Path(name).touch()
    before = demo.log.read_bytes()

    assert "belongs to the log" in demo(f"export --what fills -o {name}", code=2).stderr
    assert demo.log.read_bytes() == before


def test_a_damaged_day_archive_is_refused_in_words(oms: Oms) -> None:
    Path("x.omsday").write_bytes(b"no box")

    assert "is not a day archive" in oms("replay x.omsday", code=1).stderr


# --- replay ---


def test_a_checked_replay_counts_what_was_decided_again(golden: Oms) -> None:
    check = golden.json("replay --check")["check"]

    assert check["divergent"] == 0
    assert check["commands"] == sum(check["kinds"].values()) > 20
    shown = golden("replay --check")
    assert ["AddFill", str(check["kinds"]["AddFill"])] in [line.split() for line in shown.stdout.splitlines()]
    assert f"{check['commands']} commands decided again: all as recorded" in shown.stderr


def test_a_decision_that_comes_out_differently_is_shown_with_the_state_around_it(
    golden: Oms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oms_es.domain.risk_checks.violations", lambda *_: ())

    check = golden.json("replay --check", code=1)["check"]
    shown = golden("replay --check", code=1)

    assert check["divergent"] == 2
    assert f"seq {check['first']['seq']}: {check['first']['command']} is decided differently now" in shown.stdout
    assert any(line.startswith("  - ") for line in shown.stdout.splitlines())
    assert any(line.startswith("  + ") for line in shown.stdout.splitlines())
    assert "    position: " in shown.stdout
    assert "2 DECIDED DIFFERENTLY NOW" in shown.stderr


def test_a_timeline_is_a_line_an_event_at_the_pace_of_the_day(demo: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("oms_es.cli.commands.replay.time.sleep", pauses.append)

    fast = demo("replay --speed max").stdout
    assert pauses == []
    paced = demo("replay --speed 60").stdout

    assert fast == paced
    assert len([line for line in fast.splitlines() if line[:6].strip().isdigit()]) == 68
    assert max(pauses) == 1
    assert min(pauses) == pytest.approx(0.001 / 60, rel=0.01)  # the quarantined fill, 1 ms after the one before it


# --- tail ---


def test_every_event_of_a_log_has_its_words(golden: Oms) -> None:
    golden("limits set max_skew=null restricted=ALFA,BETA --reason drill")
    golden("instrument GAMMA --multiplier 10 --currency EUR")

    lines = golden("tail --no-follow --after 0").stdout.splitlines()

    assert all(len(line.split()) >= 5 for line in lines)
    assert lines[-2].endswith("risk.restricted=ALFA,BETA, trading.max_skew=null: drill") or "max_skew=null" in lines[-2]
    assert lines[-1].endswith("market/GAMMA  times 10, in EUR")


def test_a_tail_follows_what_another_process_appends_until_it_is_stopped(demo: Oms) -> None:
    # A shell hands SIGINT down ignored to what it runs in the background; whoever sits before `oms tail` has it.
    before = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{before}; from oms_es.cli.app import main; main()"]
    arguments = ["tail", "--after", "68", "--json", "--log", str(demo.log)]
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    ) as following:
        try:
            time.sleep(1)
            demo("submit ACME buy limit 20 49 --order-id new")
            assert following.stdout is not None
            seen = [json.loads(following.stdout.readline()) for _ in range(3)]
            following.send_signal(signal.SIGINT)
            rest, told = following.communicate(timeout=20)
        finally:
            following.kill()

    assert [row["event"] for row in seen][-2:] == [OrderSubmitted.__name__, "StateChanged"]
    assert (rest, told, following.returncode) == ("", "", 130)
