"""The page of the demo day, and a browser that shows it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from oms_es.cli.app import app

DAY = "2024-03-15"


def oms(*arguments: str) -> str:
    """Return what a command writes to standard output."""
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def blocks(page: Path) -> dict[str, str]:
    """Return the blocks of inert JSON of a page, by id; `<` is written as \\u003c in them."""
    found = re.findall(
        r'<script type="application/json" id="([\w-]+)">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL
    )
    return {name: text.replace("\\u003c", "<") for name, text in found}


def answer(*arguments: str) -> dict[str, Any]:
    """Return the answer of a query as JSON."""
    found: dict[str, Any] = json.loads(oms(*arguments, "--json"))
    return found


@pytest.fixture(scope="session")
def demo_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the log of the demo day."""
    path = tmp_path_factory.mktemp("demo") / "day.db"
    oms("demo", "--log", str(path))
    return path


@pytest.fixture(scope="session")
def demo_page(demo_log: Path) -> Path:
    """Return the report of the demo day."""
    page = demo_log.with_name("day.html")
    oms("report", "--log", str(demo_log), "-o", str(page))
    return page
