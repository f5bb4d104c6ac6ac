"""The golden days come to one digest on every Python from 3.11 that is on the machine."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden_days import BOXES, REPLAYING, boxed, from_box

ROOT = Path(__file__).resolve().parents[2]


def others() -> list[str]:
    """Return the commands of other Pythons that run here."""
    found = []
    for minor in range(11, 20):
        command = shutil.which(f"python3.{minor}")
        if command and minor != sys.version_info.minor:
            runs = subprocess.run([command, "-c", "import ensurepip"], capture_output=True, check=False)
            found += [command] if runs.returncode == 0 else []
    return found


@pytest.mark.parametrize("python", others() or [pytest.param("", marks=pytest.mark.skip(reason="no other Python"))])
def test_another_python_comes_to_the_same_digests(python: str, tmp_path: Path) -> None:
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True)
    own = tmp_path / "venv" / "bin" / "python"
    subprocess.run([own, "-m", "pip", "install", "-q", "--disable-pip-version-check", _copy(tmp_path)], check=True)

    boxes = [boxed(day, trading_day) for day, trading_day in BOXES]
    done = subprocess.run([own, "-c", REPLAYING, *boxes], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == [from_box(box) for box in boxes]


def _copy(folder: Path) -> Path:
    """Copy what is installed: a build leaves its traces beside the sources."""
    target = folder / "source"
    target.mkdir()
    for name in ("oms_es", "projections", "cli"):
        shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target)
    return target
