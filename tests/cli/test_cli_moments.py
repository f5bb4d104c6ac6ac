"""Moments, zones, filters and series on the command line."""

from pathlib import Path

import pytest

from oms_es.timestamps import brief
from tests.cli.command_line import Oms


@pytest.mark.parametrize(("moment", "instant"), [
    ("14:05", "2024-03-15T14:05:00Z"),
    ("'2024-03-15 14:05'", "2024-03-15T14:05:00Z"),
    ("seq:46", "2024-03-15T14:06:00Z"),
    ("46", "2024-03-15T14:06:00Z"),
    ("2024-03-15", "2024-03-15T23:59:59.999999999Z"),
    ("10:05 --tz America/New_York", "2024-03-15T14:05:00Z"),
])  # fmt: skip
def test_a_moment_on_the_command_line_is_the_instant_that_it_means(demo: Oms, moment: str, instant: str) -> None:
    found, exact = demo.json(f"positions --as-of {moment}"), demo.json(f"positions --as-of {instant}")

    assert found == exact
    assert brief(found["basis"]["as_of"]) == instant


def test_an_ambiguous_moment_is_refused_with_its_choices(tmp_path: Path) -> None:
    oms = Oms(tmp_path / "days.db")
    for day in ("2024-03-14", "2024-03-15"):
        (tmp_path / "day.jsonl").write_text(
            f'{{"seq":1,"ts":"{day}T13:30:00Z","kind":"mark","symbol":"A","price":"1"}}\n', encoding="utf-8"
        )
        oms(["import", "facts", str(tmp_path / "day.jsonl")])

    refused = oms("positions --as-of 14:05", code=2)

    assert "write 2024-03-14 14:05 or 2024-03-15 14:05" in refused.stderr


def test_times_are_shown_in_the_zone_and_the_basis_names_it(demo: Oms) -> None:
    shown = demo("fills --symbol ACME --limit 1 --as-of 10:05 --tz America/New_York")

    assert "2024-03-15T09:30:04.121-04:00" in shown.stdout
    assert shown.stderr.startswith("1 of 5 fills as of 2024-03-15T10:05:00-04:00, ")
    assert shown.stderr.splitlines()[0].endswith(", times in America/New_York")
    for command in ("history ACME", "order a-1", "why position ACME", "quarantine"):
        assert "T09:" in demo(f"{command} --tz America/New_York --as-of 10:05").output or command == "quarantine"
    assert demo.json("fills --tz America/New_York") == demo.json("fills")


def test_the_zone_is_that_of_the_logs_trading_day(tmp_path: Path) -> None:
    oms = Oms(tmp_path / "day.db")
    (tmp_path / "oms.yaml").write_text("day: {timezone: America/New_York}\n", encoding="utf-8")
    oms(["mark", "ADA", "5", "--occurred-at", "2024-03-15T14:00:00Z", "--config", str(tmp_path / "oms.yaml")])
    oms("submit ADA buy market 20 --order-id o-1 --occurred-at 2024-03-15T14:00:00Z")

    shown = oms("positions --as-of '2024-03-15 10:00'")

    assert "as of 2024-03-15T10:00:00-04:00" in shown.stderr
    assert ", times in America/New_York\n" in shown.stderr


def test_rows_are_filtered_by_several_names_and_by_time(demo: Oms) -> None:
    fills = demo.json("fills")["fills"]

    both = demo.json("fills --symbol ACME --symbol BOLT --account default")["fills"]
    assert both == fills
    late = demo.json("fills --from 14:00")["fills"]
    assert late == [row for row in fills if row["occurred_at"] >= "2024-03-15T14:00:00"]
    assert 0 < len(late) < len(fills)
    assert demo.json("fills --to 14:00 --limit -2")["fills"] == [row for row in fills if row not in late][-2:]
    assert demo.json("orders --state cancelled --state filled")["orders"] == [
        row for row in demo.json("orders")["orders"] if row["state"] in ("cancelled", "filled")
    ]
    changes = demo.json("history ACME")["changes"]
    assert demo.json("history ACME --from 14:00")["changes"] == [
        row for row in changes if row["occurred_at"] >= "2024-03-15T14:00:00"
    ]
    assert demo.json("pnl --from 2024-03-15 --to 2024-03-15") == demo.json("pnl")
    assert demo.json("pnl --from 2024-03-16")["days"] == []


def test_a_name_among_several_that_the_log_does_not_contain_is_reported(demo: Oms) -> None:
    refused = demo("fills --symbol ACME --symbol BOLD", code=1)

    assert "no symbol 'BOLD' in this log (did you mean 'BOLT'?)" in refused.stderr
    assert len(refused.stdout.splitlines()) == 7
    assert demo("fills --symbol ACME --symbol BOLD --allow-empty").stdout == refused.stdout


def test_a_series_has_the_positions_as_of_each_point(demo: Oms) -> None:
    rows = demo.json("positions --every 20m --from 13:40 --to 14:25 --symbol BOLT --method lifo")["positions"]

    at = [row.pop("at")[11:16] for row in rows]
    assert at == ["13:40", "14:00", "14:20", "14:25"]
    for clock, row in zip(at, rows, strict=True):
        assert demo.json(f"positions --as-of {clock} --symbol BOLT --method lifo")["positions"] == [row]
    days = demo.json("pnl --every 1h --symbol BOLT")["days"]
    assert days[-1].pop("at")
    assert days[-1] == demo.json("pnl --symbol BOLT")["days"][0]
    assert "2024-03-15T14:20:00Z" in demo("positions --every 20m --method all").stdout
