"""What all tests share: how hard hypothesis tries, and where the material from outside is."""

import asyncio
import functools
import inspect
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from typer.main import get_command

from oms_es import OrderManagementSystem
from tests.desk import desk


def _work_in_memory(folder: str = "/dev/shm") -> None:
    """Make temporary files in memory, where SQLite waits for no disk; tests/log, about the disk, has its own."""
    if "TMPDIR" in os.environ or not Path(folder).is_dir() or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return
    if shutil.disk_usage(folder).free > 4 * 2**30:
        os.environ["TMPDIR"], tempfile.tempdir = folder, None


_work_in_memory()

HANGS = 300  # seconds after which a test fails instead of waiting for ever

settings.register_profile("ci", max_examples=60, derandomize=True, deadline=None)
settings.register_profile("torture", max_examples=3_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", max_examples=25, deadline=None, phases=[Phase.generate])  # a look, nothing shrunk
settings.load_profile("ci")  # `--hypothesis-profile=…` comes later and wins

POSIX = re.compile(r"\bos\.fork|\bimport pty\b|\.gete?uid|\.chmod|symlink|SIGKILL|\"(?:ba)?sh\"|/bin/")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out on Windows the files that need fork, a terminal, POSIX permissions, links or a shell."""
    if os.name == "nt" and collection_path.match("test_*.py"):
        return bool(POSIX.search(collection_path.read_text(encoding="utf-8"))) or None
    return None


@pytest.fixture(scope="session")
def shared_path() -> Path:
    """Return the folder of data and expected results that stands beside the repository."""
    path = Path(__file__).resolve().parents[2] / "shared"
    if not path.is_dir():
        pytest.skip("the folder ../shared with outside data is not there")
    return path


@pytest.fixture(scope="session", autouse=True)
def _one_command_tree() -> Iterator[None]:
    """Build the commands of `oms` once; typer's CliRunner builds all of them for each call, which takes longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", functools.cache(get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def _settings_of_nobody() -> Iterator[None]:
    """Keep the settings and the log of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMS_CONFIG", raising=False)
        patch.delenv("OMS_LOG", raising=False)
        yield


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Return the event loop of a test that is a coroutine; fixtures of the same test use it too."""
    with asyncio.Runner() as loop:
        yield loop


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the log of the test is."""
    return tmp_path / "day.db"


@pytest.fixture
def oms(path: Path, runner: asyncio.Runner) -> Iterator[OrderManagementSystem]:
    """Return an OMS with default settings over a log that is created by its first command."""
    made = desk(path)
    yield made
    runner.run(made.close())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests recorded, such as those of tests/torture."""
    for report in (each for kind in ("passed", "failed") for each in terminalreporter.stats.get(kind, [])):
        for line in (value for name, value in getattr(report, "user_properties", ()) if name == "figure"):
            terminalreporter.write_line(f"{report.nodeid}: {line}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a test that is a coroutine have an event loop."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.fixturenames.insert(0, "runner")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Await a test that is a coroutine."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    runner = pyfuncitem.funcargs["runner"]
    assert isinstance(runner, asyncio.Runner)
    runner.run(asyncio.wait_for(pyfuncitem.obj(**arguments), HANGS))
    return True
