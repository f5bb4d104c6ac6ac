"""What the tests of the command line share: `oms` in an empty folder, or over a copy of a log that is made once."""

from pathlib import Path

import pytest

from tests.cli.command_line import Oms, on


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the logs that were made so far, by name; `on` makes the others."""
    return {"": tmp_path_factory.mktemp("logs")}


@pytest.fixture
def oms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oms:
    """Return `oms` in an empty folder, without a log."""
    monkeypatch.chdir(tmp_path)
    return Oms(tmp_path / "day.db")


@pytest.fixture
def day(oms: Oms, logs: dict[str, Path]) -> Oms:
    return on("day", oms, logs)


@pytest.fixture
def demo(oms: Oms, logs: dict[str, Path]) -> Oms:
    return on("demo", oms, logs)


@pytest.fixture
def golden(oms: Oms, logs: dict[str, Path]) -> Oms:
    """Return the golden day on which everything goes wrong: late fills, busts, corrections, refusals."""
    return on("awkward_day", oms, logs)
