"""What leaves the command line is safe to look at, and the program behaves among other programs."""

import json
import os
import shlex
import sqlite3
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from oms_es.cli.layout import Column
from oms_es.cli.render import show_json, show_rows_json, show_table
from tests.cli.test_cli import Oms

OMS = [sys.executable, "-m", "oms_es"]


def run(command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `oms` as a program of its own."""
    return subprocess.run(
        [*OMS, *shlex.split(command)], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("name", ["GOOG\x1b[31m", "GOOG\n", "GOOG\x07", "GOOG\x9b31m", "\x7f"])
def test_control_characters_are_refused_and_never_repeated_raw(oms: Oms, name: str) -> None:
    refused = oms(["submit", name, "buy", "market", "20"], code=2)
    unknown = oms(["positions", name], code=2)

    for output in (refused.stderr, unknown.stderr):
        assert name not in output
        assert not {c for c in output if unicodedata.category(c) == "Cc" and c != "\n"}


def test_files_with_hostile_names_are_named_safely(oms: Oms, tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31mday\u202e.db"

    missing = oms(["positions", "--log", str(path)], code=1)
    demo = oms(["demo", "--log", str(path)])
    path.with_suffix(".jsonl").write_text("{\n")
    damaged = oms(["import", "facts", str(path.with_suffix(".jsonl")), "--log", str(path)], code=1)

    for output in (missing.output, demo.output, damaged.output):
        assert "\x1b" not in output
        assert "\u202e" not in output


def test_columns_stay_aligned_around_wide_letters(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(
        (Column("name", lambda row: row["name"]), Column("n", lambda row: str(row["n"]), right=True)),
        [{"name": "株式", "n": 1}, {"name": "abcd", "n": 22}],
    )

    assert capsys.readouterr().out == "name   n\n株式   1\nabcd  22\n"


def test_json_holds_no_raw_character_beyond_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    everything = "".join(map(chr, range(0x3000))) + "\U000e0041\ud800"

    show_json({"all": everything})
    show_rows_json({"basis": everything}, "rows", [{"all": everything}])

    one, _, many = capsys.readouterr().out.partition("\n")
    assert {c for c in one + many if not " " <= c <= "~"} == {"\n"}
    assert json.loads(one)["all"] == json.loads(many)["rows"][0]["all"] == everything


# --- among other programs ---


def test_rows_go_to_standard_output_and_words_to_standard_error(oms: Oms) -> None:
    oms("submit ADA buy market 20 --order-id o-1")

    done = run(f"orders --log {oms.log}")
    answer = run(f"orders --json --log {oms.log}")

    assert (done.returncode, answer.returncode) == (0, 0)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["order", "o-1"]
    assert done.stderr == answer.stderr == "1 order now, up to seq 3\n"
    assert json.loads(answer.stdout)["orders"][0]["order_id"] == "o-1"


@pytest.mark.usefixtures("oms")
@pytest.mark.parametrize(("command", "code"), [
    ("", 0), ("--help", 0), ("positions --log none.db", 1), ("positions --log .", 1),
    ("positions --as-of now", 2), ("nope", 2), ("import facts none.jsonl", 1),
])  # fmt: skip
def test_the_program_ends_with_the_code_that_says_how_it_went(command: str, code: int) -> None:
    done = run(command)

    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_ids_are_never_cut_or_wrapped_when_piped(oms: Oms) -> None:
    name = "x" * 128
    oms(["submit", name, "buy", "market", "20", "--order-id", name])

    done = run(f"orders --log {oms.log}", COLUMNS="40", TERM="dumb")

    assert len(done.stdout.splitlines()) == 2
    assert done.stdout.count(name) == 2


def test_a_reader_that_has_read_enough_is_no_error(oms: Oms) -> None:
    order = {"ts": "2024-03-15T13:30:00Z", "kind": "submit", "symbol": "A", "side": "buy", "qty": "1", "price": "1"}
    lines = [json.dumps({"seq": number, "order_id": str(number), **order}) for number in range(1000)]
    Path("day.jsonl").write_text("\n".join(lines))
    oms("import facts day.jsonl")
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

    with subprocess.Popen(
        [*OMS, "orders", "--json", "--log", str(oms.log)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()

    assert (process.returncode, said) == (0, b"")


@pytest.mark.parametrize("stream", [">&-", "2>&-", ">/dev/full 2>/dev/null"])
def test_closed_and_full_streams_show_no_traceback(oms: Oms, stream: str) -> None:
    oms("submit ADA buy market 20")
    command = f"{shlex.join(OMS)} orders --log {shlex.quote(str(oms.log))} {stream}"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert done.returncode == ("full" in stream)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_that_knows_no_emoji_is_no_error(oms: Oms, encoding: str) -> None:
    oms(["submit", "\U0001f680", "buy", "market", "20"])

    done = subprocess.run(
        [*OMS, "orders", "--log", str(oms.log)], capture_output=True, check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip

    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)


# --- what is no log, or cannot be written ---


def foreign(path: Path, kind: str) -> None:
    match kind:
        case "text":
            path.write_text("seq,topic\n1,none\n" * 100)
        case "other database":
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE events(seq)")
            connection.close()
        case "folder":
            path.mkdir()
        case _:
            path.touch()


@pytest.mark.parametrize(("kind", "told"), [
    ("text", "is not an SQLite database"),
    ("other database", "is an SQLite database, but not a log of oms_es"),
    ("folder", "is a folder, not a log"),
])  # fmt: skip
@pytest.mark.parametrize("command", ["positions", "mark ADA 5", "import facts day.jsonl", "quarantine", "limits"])
def test_what_is_no_log_is_named_and_left_as_it_was(oms: Oms, kind: str, told: str, command: str) -> None:
    foreign(oms.log, kind)
    Path("day.jsonl").write_text('{"seq":1,"ts":"2024-03-15T13:30:00Z","kind":"mark","symbol":"A","price":"1"}\n')
    before = None if kind == "folder" else oms.log.read_bytes()

    result = oms(command, code=1)

    assert told in result.stderr
    assert kind == "folder" or oms.log.read_bytes() == before


def test_an_empty_file_is_no_log_to_ask_but_one_to_begin(oms: Oms) -> None:
    foreign(oms.log, "empty")

    asked = oms("positions", code=1)
    oms("mark ADA 5")

    assert "there is no log at" in asked.stderr
    assert oms("positions").stderr == "0 positions now, up to seq 2, FIFO\n"


def test_a_missing_log_says_how_to_begin_one(oms: Oms) -> None:
    asked = oms("positions --json", code=1)

    assert asked.stdout == ""
    assert asked.stderr == (
        f"oms: there is no log at {oms.log}; name another with --log PATH or $OMS_LOG, or create one with oms import, "
        "oms submit or oms demo\n"
    )
    assert not oms.log.exists()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write below `folder`; nothing is read-only for root, so root is somebody else meanwhile."""
    somebody = 65534 if os.geteuid() == 0 else os.geteuid()
    for path in (folder, *folder.iterdir()):
        os.chown(path, somebody, -1)
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = os.geteuid()
    os.seteuid(somebody)
    try:
        yield
    finally:
        os.seteuid(before)
        folder.chmod(0o755)


def test_a_read_only_log_can_be_asked_and_not_written() -> None:
    with TemporaryDirectory() as folder:
        oms = Oms(Path(folder) / "day.db")
        oms("submit ADA buy market 20 --order-id o-1")
        oms("fill o-1 5 3")
        with read_only(Path(folder)):
            asked, held, refused = oms("orders"), oms.held(), oms("cancel o-1", code=1)

    assert "o-1" in asked.stdout
    assert held == {"ADA": "5"}
    assert "day.db cannot be written" in refused.stderr


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that takes no files even from root")
def test_a_place_that_takes_no_files_is_named(oms: Oms) -> None:
    refused = oms("mark ADA 5 --log /proc/day.db", code=1)

    assert refused.stderr.startswith("oms: /proc/day.db cannot be ")


def test_a_log_on_which_another_process_writes_can_be_asked(oms: Oms) -> None:
    oms("submit ADA buy market 20")
    with subprocess.Popen([*OMS, "mark", "ADA", "5", "--log", str(oms.log)], stderr=subprocess.PIPE) as writer:
        asked = [oms("orders").exit_code for _ in range(3)]
        writer.communicate()

    assert asked == [0, 0, 0]
    assert writer.returncode == 0
