"""The documents say what the code does."""

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from oms_es.cli.app import app
from oms_es.domain.risk_checks import CHECKS

ROOT = Path(__file__).resolve().parents[1]


def test_the_table_of_limits_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| (.*?) \|$", (ROOT / "docs/limits.md").read_text(), re.MULTILINE)

    coded = [(rule.code, rule.description, ", ".join(f"`{key}`" for key in rule.keys) or "—") for rule in CHECKS]

    assert rows[:-1] == coded
    assert rows[-1][0] == "RISK_TIMEOUT"  # measured around the checks, not one of them


NUMBERS = {11: "eleven", 12: "twelve", 13: "thirteen", 14: "fourteen", 15: "fifteen", 16: "sixteen"}


def test_the_pages_name_the_number_of_checks() -> None:
    counts = [
        word
        for page in ("README.md", "docs/features.md")
        for word in re.findall(r"(\w+) checks and a timeout", (ROOT / page).read_text())
    ]

    assert counts == [NUMBERS[len(CHECKS)]] * 2


def test_nothing_in_the_repository_names_a_machine_it_was_made_on() -> None:
    texts = {
        path: path.read_text(encoding="utf-8", errors="ignore")
        for folder in (
            "oms_es", "projections", "cli", "tests", "docs", "examples", "install", "benchmarks", "replay_fixtures",
        )
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in {".py", ".md", ".txt", ".jsonl", ".sql"}
    }  # fmt: skip

    named = [path.name for path, text in texts.items() if re.search(r"(?<![\w.])/(work|root|home)/\w", text)]

    assert named == []


def test_the_tutorial_shows_what_its_commands_print(tmp_path: Path) -> None:
    tutorial = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    sessions = re.findall(r"^```shell-session\n\$ oms (.*?)\n(.*?)^```", tutorial, flags=re.MULTILINE | re.DOTALL)
    environment = {"OMS_LOG": str(tmp_path / "day.db"), "COLUMNS": "200"}
    CliRunner().invoke(app, ["demo", "--log", environment["OMS_LOG"]], catch_exceptions=False)

    assert len(sessions) == 8
    for command, shown in sessions:
        words, _, pattern = command.partition(" | grep -o ")
        printed = CliRunner().invoke(app, shlex.split(words), env=environment).stdout
        found = "".join(f"{each}\n" for each in re.findall(pattern.strip("'"), printed)) if pattern else printed
        assert found == shown, command
