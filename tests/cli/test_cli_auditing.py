"""`oms close-day`, `oms export`, and `oms replay` of a box and under other limits, from the shell."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from oms_es.cli.app import app
from tests.golden_days import DATES, restore

DAY = DATES["ordinary_day"]


def oms(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "day.db"
    restore("ordinary_day", path).close()
    return path


def test_a_box_gives_the_report_of_the_log_it_was_packed_from(log: Path, tmp_path: Path) -> None:
    box = tmp_path / "day.omsday"

    packed = oms("export", "--day", DAY, "-o", box, "--log", log)

    assert packed.exit_code == 0, packed.output
    from_box = oms("replay", box, "--check", "--json")
    from_log = oms("replay", "--day", DAY, "--check", "--json", "--log", log)
    assert (from_box.exit_code, from_box.stdout) == (0, from_log.stdout)
    assert json.loads(from_box.stdout)["check"]["divergent"] == 0


def test_a_damaged_box_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "x.omsday").write_bytes(b"no box")

    refused = oms("replay", tmp_path / "x.omsday")

    assert refused.exit_code == 1
    assert "is not a day archive" in refused.stderr


def test_a_day_is_closed_once_and_a_replay_holds_it_to_its_digests(log: Path) -> None:
    closed = oms("close-day", DAY, "--reason", "reconciled", "--actor", "desk", "--log", log, "--json")

    assert closed.exit_code == 0, closed.output
    assert set(json.loads(closed.stdout)["digests"]) == {"positions", "pnl", "limits", "open_orders"}
    (day,) = json.loads(oms("replay", "--day", DAY, "--json", "--log", log).stdout)["days"]
    assert (day["closed"], day["differing"]) == (True, [])
    oms("export", "--day", DAY, "-o", log.with_suffix(".omsday"), "--log", log)
    boxed = oms("replay", log.with_suffix(".omsday"), "--json")
    assert boxed.stdout == oms("replay", "--day", DAY, "--json", "--log", log).stdout
    again = oms("close-day", DAY, "--log", log)
    assert again.exit_code == 1
    assert "closed before" in again.stderr


def test_what_if_shows_which_verdicts_flip_and_says_that_it_is_a_thought_experiment(log: Path, tmp_path: Path) -> None:
    (tmp_path / "tighter.yaml").write_text("risk: {max_position_size: 90}\n", encoding="utf-8")

    shown = oms("replay", "--what-if", tmp_path / "tighter.yaml", "--log", log)
    told = json.loads(oms("replay", "--what-if", tmp_path / "tighter.yaml", "--log", log, "--json").stdout)

    assert shown.exit_code == 0, shown.output
    assert ["4", "o-1", "submit", "accepted", "POSITION_SIZE:"] in [
        line.split()[:5] for line in shown.stdout.splitlines()
    ]
    assert "thought experiment" in shown.stderr
    assert "thought experiment" in told["note"]
    assert [flip["order_id"] for flip in told["flips"]] == ["o-1", "o-5"]


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (("--what", "fills", "--symbol", "BETA"), 4),
        (("--what", "orders", "--order", "o-1"), 1),
        (("--what", "positions", "--as-of", f"{DAY}T09:50:00Z"), 1),
        (("--what", "pnl", "--day", DAY), 2),
        (("--what", "events", "--account", "nobody", "--allow-empty"), 0),
    ],
)
def test_an_export_writes_one_json_object_a_line(words: tuple[str, ...], rows: int, log: Path) -> None:
    done = oms("export", *words, "--log", log)

    assert done.exit_code == 0, done.output
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == rows


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_export_to_a_file_says_how_many_rows_went_there(form: str, log: Path, tmp_path: Path) -> None:
    done = oms("export", "--what", "fills", "--format", form, "-o", tmp_path / f"f.{form}", "--log", log)

    assert done.exit_code == 0, done.output
    assert "9 rows of fills" in done.stderr
    assert (tmp_path / f"f.{form}").stat().st_size > 100


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("export", "--what", "secrets"), "not one of orders"),
        (("export", "--format", "xls"), "not one of jsonl"),
        (("export", "-o", "x.omsday"), "give --day"),
        (("export", "-o", "x.omsday", "--day", DAY, "--symbol", "A"), "and no other filter"),
        (("replay", "--what-if", "nowhere.yaml"), "cannot be read"),
        (("close-day", "1999-01-01"), "no event is booked"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(words: tuple[str, ...], why: str, log: Path) -> None:
    done = oms(*words, "--log", log)

    assert done.exit_code in (1, 2)
    assert why in " ".join(done.stderr.split())


def test_a_box_is_asked_what_a_log_is_asked(log: Path, tmp_path: Path) -> None:
    box, limits = tmp_path / "day.omsday", tmp_path / "tighter.yaml"
    limits.write_text("risk: {max_position_size: 90}\n", encoding="utf-8")
    assert oms("export", "--day", DAY, "-o", box, "--log", log).exit_code == 0

    for words in (("replay", "--what-if", limits, "--json"), ("bisect", 'position("ALFA") <= 80', "--json")):
        from_box, from_log = oms(*words, box), oms(*words, "--log", log)
        assert from_box.exit_code == from_log.exit_code
        assert json.loads(from_box.stdout) == json.loads(from_log.stdout)
    timeline = oms("replay", box, "--speed", "max")
    assert len([line for line in timeline.stdout.splitlines() if "order/default/" in line]) > 30


@pytest.mark.parametrize("name", ["day.db", "day.db-wal", "day.db.checkpoints"])
def test_an_export_never_writes_over_the_log_or_what_stands_beside_it(name: str, log: Path) -> None:
    (log.parent / name).touch()
    before = log.read_bytes()

    done = oms("export", "--what", "fills", "-o", log.parent / name, "--log", log)

    assert done.exit_code == 2
    assert "belongs to the log" in done.stderr
    assert log.read_bytes() == before


def test_a_day_that_is_interrupted_by_another_is_replayed_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "days.db"
    for number, day in enumerate(("2012-06-21", "2012-06-22", "2012-06-21"), start=1):
        file = tmp_path / f"{number}.jsonl"
        order = {
            "order_id": f"o-{number}",
            "symbol": "X",
            "side": "buy",
            "order_type": "limit",
            "qty": "1",
            "price": "1",
        }
        fact = {"seq": number, "ts": f"{day}T10:00:00Z", "kind": "submit", **order}
        file.write_text(json.dumps(fact) + "\n", encoding="utf-8")
        assert oms("import", "facts", file, "--log", path).exit_code == 0
    assert oms("instrument", "X", "--multiplier", "2", "--log", path).exit_code == 0
    assert oms("export", "--day", "2012-06-21", "-o", tmp_path / "day.omsday", "--log", path).exit_code == 0

    from_log = json.loads(oms("replay", "--day", "2012-06-21", "--check", "--json", "--log", path).stdout)
    from_box = json.loads(oms("replay", tmp_path / "day.omsday", "--check", "--json").stdout)

    assert (from_log["days"][0]["events"], from_log["check"]["commands"]) == (6, 2)
    assert from_log == from_box


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("replay", "--what-if", "x.yaml", "--check"), "--what-if goes with --day"),
        (("close-day", "2024-3-4"), "DAY: '2024-3-4' is not a day"),
        (("export", "-o", "x.omsday", "--day", DAY, "--what", "fills"), "and no other filter"),
        (("export", "-o", "x.omsday", "--day", DAY, "--format", "csv"), "and no other filter"),
    ],
)
def test_no_option_is_passed_over_in_silence(words: tuple[str, ...], why: str, log: Path) -> None:
    done = oms(*words, "--log", log)

    assert done.exit_code == 2
    assert why in " ".join(done.stderr.split())
