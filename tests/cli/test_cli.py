"""The command line: what each command answers, to a person, to a program, and with which exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from oms_es import __version__
from oms_es.cli import app
from oms_es.cli.app import BELOW, COMMANDS
from tests.builders import table
from tests.cli.command_line import Oms, on

__all__ = ["Oms", "commands"]


# --- help ---


def commands() -> list[str]:
    found = [name for below in COMMANDS.values() for name in below]
    return ["", *found, *(f"{name} {each}" for name, below in BELOW.items() for each in below)]


@pytest.mark.parametrize("command", commands())
def test_help_shows_an_example_of_every_command(oms: Oms, command: str) -> None:
    shown = " ".join(oms(f"{command} --help").stdout.split())

    assert f"For example: oms {command or 'demo'}" in shown


@pytest.mark.parametrize("words", ["", "import"])
def test_without_a_command_help_is_shown(oms: Oms, words: str) -> None:
    assert oms(words).stdout.startswith("Usage: ")


def test_help_lists_the_commands_by_subject(oms: Oms) -> None:
    lines = oms("").stdout.partition("\nTrade:\n")[2].splitlines()

    listed = ["Trade:", *(line if line.endswith(":") else line.split()[0] for line in lines if line)]
    assert listed == [word for subject, below in COMMANDS.items() for word in (f"{subject}:", *below)]


def test_the_summary_of_a_command_begins_its_own_help() -> None:
    root: Any = typer.main.get_command(app)

    for commands in COMMANDS.values():
        for name, (_, summary) in commands.items():
            assert root.commands[name].get_short_help_str(200) == summary


def test_help_of_all_commands_imports_the_module_of_none() -> None:
    listed = "import sys; from oms_es.cli import app; app(['--help'], standalone_mode=False); print(*sys.modules)"

    modules = subprocess.run([sys.executable, "-c", listed], capture_output=True, check=True, text=True).stdout.split()

    assert not {"oms_es.cli.options", "oms_es.api.oms", "oms_es.domain.events", "eventsourcing"} & set(modules)


def test_a_query_imports_neither_the_engine_nor_pydantic(demo: Oms) -> None:
    query = ["positions", "--symbol", "BOLT", "--log", str(demo.log)]
    listed = f"import sys; from oms_es.cli import app; app({query}, standalone_mode=False); print(*sys.modules)"

    shown = subprocess.run([sys.executable, "-c", listed], capture_output=True, check=True, text=True).stdout.split()

    assert "BOLT" in shown
    assert not {"oms_es.engine.sequencer", "oms_es.api.oms", "asyncio", "pydantic", "yaml"} & set(shown)


def test_no_summary_in_help_is_longer_than_50_characters_or_cut(oms: Oms) -> None:
    summaries = [
        line.strip().partition("  ")[2].strip()
        for command in ("", *BELOW)
        for line in oms(f"{command} --help", COLUMNS="80")
        .stdout.partition("  Show this message and exit.\n")[2]
        .splitlines()
        if line.startswith("  ")
    ]

    assert len(summaries) == len(commands()) - 1
    assert [each for each in summaries if len(each) > 50 or not each.endswith(".") or each.endswith("..")] == []


@pytest.mark.parametrize("command", commands())
def test_h_is_help_for_every_command(oms: Oms, command: str) -> None:
    assert oms(f"{command} -h").stdout == oms(f"{command} --help").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed_for_a_shell(shell: str, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}

    run_program("--install-completion", shell, **home)

    scripts = [each.read_text() for each in tmp_path.rglob("*") if each.is_file()]
    assert any("_OMS_COMPLETE" in script for script in scripts)


def test_completion_offers_the_commands_that_begin_so() -> None:
    asked = {"_OMS_COMPLETE": "complete_bash", "COMP_WORDS": "oms pos", "COMP_CWORD": "1"}

    assert run_program(**asked).split() == ["positions"]


def test_python_m_oms_es_is_oms(oms: Oms) -> None:
    shown = oms("--help").stdout.replace("Usage: root", "Usage: oms")

    assert run_program("--help").split() == shown.split()  # each has the width of its terminal


def run_program(*words: str, **environment: str) -> str:
    """Run `python -m oms_es` and return its standard output."""
    command = [sys.executable, "-m", "oms_es", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.stderr == ""
    return done.stdout


def test_oms_version_shows_the_version(oms: Oms) -> None:
    assert oms("--version").stdout == f"oms_es {__version__}\n"


def test_positions_are_drawn_with_numbers_to_the_right_and_the_age_of_the_mark(day: Oms) -> None:
    shown = day("positions --as-of 2024-03-15T16:31:00Z")

    assert shown.stdout == (
        "account  symbol  quantity  avg price  cost basis  realized  before fees   fees  mark  age  unrealized\n"
        "default  ADA           80      0.445        35.6      1.01            1  -0.01  0.48   2h         2.8\n"
        "zeta     BTC          -20      60000    -1200000         0            0      0     -    -           -\n"
    )


QUESTIONS = ("positions", "orders", "fills", "order b-3", "pnl", "daily", "history BOLT", "why position BOLT")
OTHER_QUESTIONS = (
    "quarantine", "limits", "diff seq:46 now", "diff seq:46 now --by order", "why order b-3", "positions --method all",
    "instrument BOLT", "replay", "replay --check", "tail --no-follow", "bisect 'true'",
)  # fmt: skip


@pytest.mark.parametrize("moment", ["--at-seq 900", "--as-of 2200-01-01T00:00:00Z", "--known-at 2200-01-01T00:00:00Z"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_moment_past_the_end_of_the_log_is_reported(demo: Oms, question: str, moment: str) -> None:
    assert "is past the end of the log (seq 68, " in demo(f"{question} {moment}").stderr
    assert demo.json(f"{question} {moment}")["basis"]["past_end"] is True


def test_queries_write_nothing(demo: Oms) -> None:
    before = demo.log.read_bytes()

    for question in (*QUESTIONS, *OTHER_QUESTIONS):
        demo(question)
        demo(f"{question} --json")

    assert demo.log.read_bytes() == before


# --- which log, which settings ---


def test_the_log_of_the_settings_is_the_one_for_commands_and_questions(oms: Oms, tmp_path: Path) -> None:
    (tmp_path / "oms.yaml").write_text("log: {path: mine.db}\nrisk: {max_position_size: 30}\n")

    oms("submit ADA buy market 20", OMS_LOG="")
    refused = oms("submit ADA buy market 20", code=1, OMS_LOG="")

    assert (tmp_path / "mine.db").exists()
    assert "limit of 30" in refused.stderr
    assert len(json.loads(oms("orders --json", OMS_LOG="").stdout)["orders"]) == 2


# --- exit codes ---


@pytest.mark.parametrize("row", table("cli_errors"))
def test_an_error_is_one_line_and_an_exit_code(row: dict[str, str], oms: Oms, logs: dict[str, Path]) -> None:
    Path("day.csv").touch()
    result = on(row["log"], oms, logs)(row["words"], int(row["code"]))

    assert row["shown"] in result.stderr
    if row["log"] != "names":  # an answer about a name that does not occur, and a word beside it
        assert result.stdout == ""
        assert any(line.startswith("oms: ") for line in result.stderr.splitlines())
    assert row["log"] != "empty" or not oms.log.exists()


def test_an_argument_that_is_no_text_is_shown_escaped(day: Oms) -> None:
    assert "no order '\\udcff'" in day("order \udcff", code=1).stderr


def breaks(error: BaseException) -> Callable[..., None]:
    def raises(*_: object) -> None:
        raise error

    return raises


def test_a_bug_is_one_line_without_a_traceback(day: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oms_es.queries.queries.Queries.basis", breaks(RuntimeError("on purpose\x1b[2J")))
    monkeypatch.setattr("oms_es.log.sqlite.SqliteLog.append", breaks(RuntimeError("on purpose")))

    result = day("positions", code=1)

    assert (result.stdout, len(result.stderr.splitlines())) == ("", 1)
    assert "bug in oms: RuntimeError: on purpose\\u001b[2J" in result.stderr
    assert len(day("mark ADA 1", code=1).stderr.splitlines()) == 1


def test_oms_debug_shows_where_the_bug_is(day: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oms_es.queries.queries.Queries.basis", breaks(RuntimeError("on purpose")))

    result = CliRunner().invoke(app, ["positions"], env={"OMS_LOG": str(day.log), "OMS_DEBUG": "1"})

    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "in raises" in result.stderr


def test_an_interruption_ends_with_130(day: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oms_es.queries.queries.Queries.basis", breaks(KeyboardInterrupt()))

    assert day("positions", code=130).output == ""
