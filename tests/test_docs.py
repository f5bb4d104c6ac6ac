"""The documents say what the code does."""

import re
from pathlib import Path

from oms_es.domain.risk_checks import CHECKS

ROOT = Path(__file__).resolve().parents[1]


def test_the_table_of_limits_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| (.*?) \|$", (ROOT / "docs/limits.md").read_text(), re.MULTILINE)

    coded = [(rule.code, rule.description, ", ".join(f"`{key}`" for key in rule.keys) or "—") for rule in CHECKS]

    assert rows[:-1] == coded
    assert rows[-1][0] == "RISK_TIMEOUT"  # measured around the checks, not one of them


def test_nothing_in_the_repository_names_a_machine_it_was_made_on() -> None:
    texts = {
        path: path.read_text(encoding="utf-8", errors="ignore")
        for folder in (
            "oms_es",
            "projections",
            "cli",
            "tests",
            "docs",
            "examples",
            "install",
            "benchmarks",
            "replay_fixtures",
        )
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in {".py", ".md", ".txt", ".jsonl", ".sql"}
    }

    named = [path.name for path, text in texts.items() if re.search(r"(?<![\w.])/(work|root|home)/\w", text)]

    assert named == []
