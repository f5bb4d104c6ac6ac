"""docs/architecture.md names files and packages that exist, and every package."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`([\w./]+/[\w./]*|[\w/]+\.(?:py|md|txt))`", PAGE)))


@pytest.mark.parametrize("path", PATHS)
def test_a_file_that_the_page_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_map_names_every_package() -> None:
    packages = {
        f"{init.parent.relative_to(ROOT).as_posix()}/"
        for folder in ("oms_es", "projections", "cli")
        for init in (ROOT / folder).rglob("__init__.py")
    }

    assert packages - {"oms_es/"} <= set(PATHS)


@pytest.mark.parametrize(("file", "name"), [
    ("oms_es/domain/order_rules.py", "def decide("),
    ("oms_es/domain/order.py", "def evolve("),
    ("oms_es/domain/events.py", "EVENTS"),
    ("oms_es/domain/risk_checks.py", "CHECKS"),
    ("oms_es/domain/policy.py", "KEYS: dict"),
    ("oms_es/domain/policy.py", "class Policy("),
    ("oms_es/domain/policy.py", "DECISION_RULES_VERSION ="),
    ("projections/projection.py", "version: ClassVar"),
    ("oms_es/domain/commands.py", "class AddFill("),
    ("oms_es/api/fills.py", "def add_fill("),
    ("oms_es/engine/sequencer.py", "def perform("),
    ("oms_es/engine/sequencer.py", "def _batch("),
    ("oms_es/log/sqlite.py", "def append("),
    ("oms_es/queries/queries.py", "class Queries"),
    ("oms_es/queries/queries.py", "def basis("),
    ("cli/commands/queries.py", "def orders("),
])  # fmt: skip
def test_a_name_is_where_the_page_says(file: str, name: str) -> None:
    assert name in (ROOT / file).read_text(encoding="utf-8")
