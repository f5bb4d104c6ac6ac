"""The data of the page is that of `--json`, to the byte; a later change of one of the two fails here."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from oms_es.cli.app import app
from oms_es.projections.rows import POSITION
from oms_es.report.columns import chunks, packed, rows_of
from oms_es.report.tracks import reduced
from tests.golden_days import BOXES, boxed, restore
from tests.report.conftest import DAY, answer, blocks, oms

Row = dict[str, Any]


def rows(page: dict[str, str], name: str) -> Iterator[Row]:
    """Yield the rows of a list that is stored in chunks."""
    for n in range(sum(block.startswith(f"{name}-") for block in page)):
        yield from rows_of(json.loads(page[f"{name}-{n}"]))


def at(page: dict[str, str], track: str, seq: int) -> list[Row]:
    """Return the positions of a track at an event, without the columns that only the page has."""
    found: dict[tuple[str, ...], Row] = {}
    for row in rows(page, track):
        if row["seq"] <= seq:
            found[row["account"], row["symbol"], row["currency"]] = row
    return [
        {name: value for name, value in row.items() if name in POSITION.columns} for _, row in sorted(found.items())
    ]


def as_json(some: Iterable[Row]) -> str:
    return json.dumps(list(some), sort_keys=True)


def without_age(positions: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "mark_age_ns"} for row in positions]


@pytest.fixture(scope="module")
def page(demo_page: Path) -> dict[str, str]:
    return blocks(demo_page)


def test_the_positions_and_the_pnl_of_the_page_are_those_of_the_command_line_to_the_byte(
    page: dict[str, str], demo_log: Path
) -> None:
    log = ("--log", str(demo_log), "--json")

    assert page["positions"] + "\n" == oms("positions", *log)
    assert json.loads(page["pnl"])["days"] == json.loads(oms("pnl", "--day", DAY, *log))["days"]


def test_the_orders_fills_and_events_of_the_page_are_those_of_the_command_line(
    page: dict[str, str], demo_log: Path
) -> None:
    log = ("--log", str(demo_log))
    events = [json.loads(line) for line in oms("tail", "--after", "0", "--no-follow", "--json", *log).splitlines()]

    assert list(rows(page, "orders")) == answer("orders", *log)["orders"]
    assert list(rows(page, "fills")) == answer("fills", *log)["fills"]
    for mine, theirs in zip(rows(page, "events"), events, strict=True):
        assert {**theirs, **mine} == theirs


@pytest.mark.parametrize("symbol", ["ACME", "BOLT"])
def test_the_parts_of_a_position_are_those_of_why_position(page: dict[str, str], demo_log: Path, symbol: str) -> None:
    found = [json.loads(text) for name, text in page.items() if name.startswith("why-")]
    mine = [each for each in found if each["symbol"] == symbol]

    theirs = answer("why", "position", symbol, "--log", str(demo_log))["positions"]

    lists = ("lots", "matches", "fees_paid")
    assert [{**each, **{name: list(rows_of(each[name])) for name in lists}} for each in mine] == theirs


@pytest.mark.parametrize("order_id", ["a-2", "a-3", "x-1"])
def test_the_checks_of_an_order_are_those_of_why_order(page: dict[str, str], demo_log: Path, order_id: str) -> None:
    mine = [each for each in json.loads(page["verdicts"]) if each.pop("order_id") == order_id and each.pop("account")]

    assert mine == answer("why", "order", order_id, "--log", str(demo_log))["verdicts"]


@pytest.mark.parametrize("seq", [1, 13, 37, 49, 50, 51, 60, 61, 80])
def test_the_positions_at_an_event_are_those_of_at_seq_by_recording_time(
    page: dict[str, str], demo_log: Path, seq: int
) -> None:
    theirs = answer("positions", "--at-seq", str(seq), "--allow-empty", "--log", str(demo_log))["positions"]

    assert at(page, "track-recorded", seq) == without_age(theirs)


@pytest.mark.parametrize("seq", [14, 37, 49, 50, 51, 60, 61, 80])
def test_the_positions_at_an_event_are_those_of_as_of_by_event_time(
    page: dict[str, str], demo_log: Path, seq: int
) -> None:
    heard = max(row["effective_at"] for row in rows(page, "events") if row["seq"] <= seq)

    theirs = answer("positions", "--as-of", heard, "--log", str(demo_log))["positions"]

    assert at(page, "track-event", seq) == without_age(theirs)


def test_the_area_where_the_clocks_differ_is_from_the_event_time_to_the_recording(page: dict[str, str]) -> None:
    spans = [(span["symbol"], span["from"], span["to"], span["event"]) for span in json.loads(page["day"])["spans"]]

    # The fill of 14:04:59.993 was recorded as event 51, after the cancel of 14:06; the others restate earlier fills.
    assert spans == [("BOLT", 50, 51, "FillAdded"), ("BOLT", 32, 60, "FillCorrected"), ("ACME", 37, 61, "FillBusted")]


@pytest.mark.parametrize(("day", "trading_day"), BOXES)
def test_the_page_of_a_golden_day_is_that_of_its_archive(day: str, trading_day: str, tmp_path: Path) -> None:
    log = tmp_path / "day.db"
    restore(day, log).close()
    oms("report", "--log", str(log), "--day", trading_day, "-o", str(tmp_path / "log.html"))
    oms("report", str(boxed(day, trading_day)), "-o", str(tmp_path / "archive.html"))

    of_log, of_archive = blocks(tmp_path / "log.html"), blocks(tmp_path / "archive.html")

    assert list(rows(of_archive, "track-recorded")) == list(rows(of_log, "track-recorded"))
    assert list(rows(of_archive, "fills")) == list(rows(of_log, "fills"))
    last = json.loads(of_log["day"])["last_seq"]
    theirs = answer("positions", "--at-seq", str(last), "--log", str(log))
    assert json.loads(of_log["positions"]) == theirs


@given(st.lists(st.tuples(st.integers(1, 50_000), st.integers(-9, 9)), min_size=1, max_size=40))
def test_a_chart_of_many_changes_has_the_extremes_of_each_pixel(changes: list[tuple[int, int]]) -> None:
    names = {"account": "a", "symbol": "S", "currency": "USD", "mark_price": None}
    track = [{**names, "seq": seq, "quantity": held, "total_pnl": -held} for seq, held in sorted(changes)]

    drawn = reduced(track, 1, 50_000)

    def extremes(some: list[Row]) -> dict[int, tuple[int, int, int]]:
        pixels: dict[int, list[int]] = {}
        for row in some:
            pixels.setdefault(row["seq"] // 25, []).append(row["quantity"])
        return {pixel: (min(held), max(held), held[-1]) for pixel, held in pixels.items()}

    assert extremes(drawn) == extremes(track)
    assert all(row in track for row in drawn)


@given(st.lists(st.fixed_dictionaries({
    "seq": st.integers(0, 2), "text": st.sampled_from(["a", "b", None]), "flag": st.booleans(),
    "list": st.lists(st.sampled_from("xy"), max_size=2),
})))  # fmt: skip
def test_rows_that_are_stored_column_by_column_come_back_as_they_were(stored: list[Row]) -> None:
    assert as_json(rows_of(packed(stored))) == as_json(stored)  # as JSON, 1 is not true
    assert as_json(row for part in chunks(stored, 3) for row in rows_of(part)) == as_json(stored)


def test_the_page_states_what_a_checkpoint_proves_and_is_not_written_when_it_proves_nothing(
    demo_log: Path, tmp_path: Path
) -> None:
    key, note, page = tmp_path / "desk.key", tmp_path / "head.ckpt", tmp_path / "day.html"
    oms("key", "new", "desk", "-o", str(key))
    oms("checkpoint", "--log", str(demo_log), "--key", str(key), "-o", str(note))
    made = ("report", "--log", str(demo_log), "-o", str(page))

    unsigned = CliRunner().invoke(app, [*made, "--checkpoint", str(note)])
    assert (unsigned.exit_code, page.exists()) == (1, False)
    assert "no checkpoint with a key anchors it" in unsigned.stderr

    oms(*made, "--checkpoint", str(note), "--key", f"{key}.pub")
    assert "in the checkpoint of 81 events, signed by desk; 0 events after it" in page.read_text(encoding="utf-8")
