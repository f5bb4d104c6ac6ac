"""`oms import`: what is taken in, what is left out, and what is said about it."""

import gzip
import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from rich.console import Console
from rich.progress import Progress

from oms_es.cli import progress, progress_bar
from oms_es.domain.envelope import Recorded
from oms_es.importers.facts import Fact
from oms_es.log.sqlite import SqliteLog
from tests.cli.command_line import Oms
from tests.desk import fact, facts_file, filled, submitted

T = TypeVar("T")
LOBSTER_DAY = """\
34200.017459617,5,0,1,2238200,-1
34200.18960767,1,11885113,21,2238100,1
34200.190226476,4,11885113,20,2238100,1
34200.2,2,11885113,1,2238100,1
34201,1,11885114,100,2239500,-1
34202,3,11885114,60,2239500,-1
34203,4,5,10,2239500,-1
34204,3,6,10,2239500,-1
34205,2,7,10,2239500,-1
34206,6,-1,10,2239500,-1
34207,7,0,0,-1,-1
"""
BOOK = "2239500,100,2231800,100\n" * 11


def write(path: str, *lines: str) -> None:
    facts_file(Path(path), *lines)


# --- facts ---


def test_of_many_problems_the_first_twenty_are_listed(oms: Oms) -> None:
    write("day.jsonl", *(fact(seq, "cancel", order_id="nope") for seq in range(1, 1031)))

    shown = oms("import facts day.jsonl").stderr.splitlines()

    assert len(shown) == 22
    assert shown[20] == "and 1,010 more"
    assert len(oms.json("import facts day.jsonl")["problems"]) == 1030


@pytest.mark.parametrize(("line", "why"), [
    ("{", "not a JSON object"),
    ('{"seq":2,"ts":"2024-03-15T13:30:00Z","kind":"mark","symbol":"A","price":1}', "price: '1' is not text"),
    ('{"seq":2,"ts":"2024-03-15T13:30:00Z","kind":"mark","symbol":"A\\u001b[31m","price":"1"}', "\\u001b[31m"),
    ("\x1b[31m", "\\u001b[31m"),
    ("x" * 70_000, "longer than"),
])  # fmt: skip
def test_a_damaged_line_is_named_and_nothing_is_written(oms: Oms, line: str, why: str) -> None:
    write("day.jsonl", submitted(1), line)

    result = oms("import facts day.jsonl", code=1)

    assert result.stdout == ""
    assert result.stderr.startswith("oms: day.jsonl:2: ")
    assert why in result.stderr
    assert "\x1b" not in result.stderr
    assert not oms.log.exists()


def test_a_damaged_line_leaves_a_log_as_it_was(oms: Oms) -> None:
    write("good.jsonl", submitted(1))
    write("bad.jsonl", filled(2), "{")
    oms("import facts good.jsonl")
    before = oms.log.read_bytes()

    oms("import facts bad.jsonl", code=1)

    assert oms.log.read_bytes() == before


def test_packed_files_are_unpacked(oms: Oms) -> None:
    write("day.jsonl", submitted(1), filled(2))
    packed = gzip.compress(Path("day.jsonl").read_bytes())
    Path("day.jsonl.gz").write_bytes(packed)
    Path("cut.jsonl.gz").write_bytes(packed[:-12])

    cut = oms("import facts cut.jsonl.gz", code=1)
    outcome = oms.json("import facts day.jsonl.gz")

    assert "oms: cut.jsonl.gz: cannot be read to its end" in cut.stderr
    assert outcome["fills"] == 1


# --- LOBSTER ---


def test_a_lobster_day_tells_what_was_applied_and_what_was_left_out(oms: Oms) -> None:
    Path("messages.csv").write_text(LOBSTER_DAY)
    Path("book.csv").write_text(BOOK)

    outcome = oms.json("import lobster messages.csv --symbol AMZN --date 2012-06-21 --book book.csv")

    assert list(outcome)[:8] == ["facts", "events", "orders", "fills", "marks", "skipped", "quarantined", "refused"]
    assert [outcome[key] for key in ("facts", "orders", "fills", "marks")] == [6, 2, 1, 1]
    assert outcome["left_out"] == {
        "rows": 11, "submissions": 2, "executions": 1, "reductions": 1, "deletions": 1, "marks": 1,
        "earlier_executions": 1, "earlier_reductions": 1, "earlier_deletions": 1, "hidden_executions": 1,
        "cross_trades": 1, "halts": 1, "uneven_deletions": 1,
    }  # fmt: skip
    assert oms.json("positions --as-of 2012-06-21T13:30:00.190226476Z")["positions"][0]["quantity"] == "20"


def test_what_was_left_out_is_shown_kind_by_kind(oms: Oms) -> None:
    Path("messages.csv").write_text(LOBSTER_DAY)

    shown = oms("import lobster messages.csv --symbol AMZN --date 2012-06-21").stdout.splitlines()[2:]

    assert [line.split("  ")[0] for line in shown] == [
        "rows", "submissions", "executions", "hidden executions", "reductions", "deletions", "uneven deletions",
        "cross trades", "halts",
    ]  # fmt: skip
    assert " ".join(shown[2].split()) == "executions 1 1 of orders from before the file"


def test_a_damaged_lobster_row_is_named_and_nothing_is_written(oms: Oms) -> None:
    Path("messages.csv").write_text(f"{LOBSTER_DAY}34208,9,1,1,1,1\n")

    result = oms("import lobster messages.csv --symbol AMZN --date 2012-06-21", code=1)

    assert result.stderr.startswith("oms: messages.csv:12: type: '9' is not one of 1 to 7")
    assert not oms.log.exists()


# --- progress ---


def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else(oms: Oms) -> None:
    write("day.jsonl", *(submitted(seq, f"o-{seq}") for seq in range(1, 50)))
    command = [sys.executable, "-m", "oms_es", "import", "facts", "day.jsonl", "--log", str(oms.log)]
    ours, theirs = pty.openpty()

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        drawn = read_all(ours)
        rows, _ = process.communicate()
    plain = subprocess.run(command, capture_output=True, check=True)

    assert b"importing" in drawn  # the last state of the bar is drawn however fast or slow the import was
    assert b"\x1b" not in rows + plain.stdout + plain.stderr


def test_the_bar_shows_facts_per_second_once_the_speed_is_known() -> None:
    seconds = [0.0]
    bar = Progress(console=Console(file=io.StringIO()), get_time=lambda: seconds[0])
    name = bar.add_task("importing", total=5000)
    shown = []

    for now, done in ((0, 0), (1, 100), (3, 2569)):
        seconds[0] = now
        bar.update(name, completed=done)
        shown.append(str(progress_bar._Rate("facts").render(bar.tasks[0])))

    assert shown == ["", "", "1,234 facts/s"]


@pytest.mark.parametrize(
    ("terminal", "short", "drawn"),
    [(True, 1499, True), (True, 1500, False), (False, 1499, False)],
    ids=["many events on a terminal", "few events", "no terminal"],
)
def test_only_many_events_on_a_terminal_draw_a_bar(
    oms: Oms, monkeypatch: pytest.MonkeyPatch, terminal: bool, short: int, drawn: bool
) -> None:
    write("day.jsonl", *(submitted(seq, f"o-{seq}") for seq in range(1, 501)))
    oms(f"import facts day.jsonl --log {oms.log}")
    log, bars = SqliteLog.existing(oms.log), list[int]()
    last = log.head().seq

    def draw(events: Iterable[Recorded], _noun: str, *, total: int, done: Callable[[int, Recorded], int]) -> Any:
        bars.append(total)
        found = list(events)
        assert [done(number, each) for number, each in enumerate(found)] == list(range(total))
        return found

    monkeypatch.setattr(progress_bar, "draw", draw)
    monkeypatch.setattr(progress, "SHORT", short)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)

    whole = list(progress.events_with_progress(log.read(), last))
    rest = list(progress.events_with_progress(log.read(last - 10), last))
    log.close()

    assert (len(whole), len(rest), last) == (1500, 10, 1500)
    assert bars == ([1500] if drawn else [])


def read_all(terminal: int) -> bytes:
    found = b""
    try:
        while read := os.read(terminal, 65536):
            found += read
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    return found


def test_an_import_that_is_interrupted_shows_what_was_done_and_is_completed_by_the_same_command(
    oms: Oms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts_file(tmp_path / "day.jsonl", *(submitted(seq, f"o-{seq}") for seq in range(1, 8)))
    passes = 0

    def interrupted(read: Callable[[], Iterator[Fact]]) -> Callable[[], Iterator[Fact]]:
        def facts() -> Iterator[Fact]:
            nonlocal passes
            passes += 1
            for number, each in enumerate(read(), 1):
                if passes == 2 and number == 6:
                    raise KeyboardInterrupt
                yield each

        return facts

    with monkeypatch.context() as patch:
        patch.setattr("oms_es.importers.importer.CHUNK", 2)
        patch.setattr("oms_es.cli.commands.imports.facts_with_progress", interrupted)
        stopped = oms("import facts day.jsonl", code=130)
    completed = oms.json("import facts day.jsonl")

    assert "interrupted after 4 facts, 12 new events (seq 1 to 12); the log is complete up to there" in stopped.stderr
    assert "run the same command again to import the rest" in stopped.stderr
    assert (completed["facts"], completed["skipped"], completed["orders"]) == (7, 4, 3)


def test_packing_and_unpacking_a_day_draw_bars(demo: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    lasts: list[int] = []

    def counted(rows: Iterable[T], last: int) -> Iterable[T]:
        lasts.append(last)
        return rows

    monkeypatch.setattr("oms_es.cli.commands.export.events_with_progress", counted)
    monkeypatch.setattr("oms_es.cli.replay_source.events_with_progress", counted)
    demo("export --day 2024-03-15 -o day.omsday")
    demo("replay day.omsday")

    assert lasts == [0, 68, 68, 68]
