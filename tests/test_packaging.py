"""What is installed: the one name `oms_es`, beside a program that has a `cli` and `projections` of its own."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.xdist_group("packaging")  # one worker builds the one wheel

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "oms_es", "projections", "cli")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel that was built from an sdist of a copy of the sources, so that the repository stays clean."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", copy / "dist", cwd=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def packed(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def bot(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a venv in which another program owns `cli` and `projections`, and into which we were installed."""
    home = tmp_path_factory.mktemp("bot")
    venv.create(home, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    for name in ("cli", "projections"):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(f"OWNER = 'the bot, {name}'\n")
    # The dependencies are lent by the environment that runs this test, so that no network is needed.
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "lent.pth").write_text("\n".join(sorted(lent)))
    run(sys.executable, "-m", "pip", "--python", home, "install", "--no-deps", "--no-index", "--quiet", wheel, cwd=home)
    return home


def test_the_wheel_has_one_top_level_name(packed: set[str]) -> None:
    names = {path.split("/")[0] for path in packed}

    assert {name for name in names if not name.endswith(".dist-info")} == {"oms_es"}


def test_the_wheel_has_every_module_of_the_repository(packed: set[str]) -> None:
    inside = {"oms_es": "oms_es", "projections": "oms_es/projections", "cli": "oms_es/cli"}
    modules = {
        f"{prefix}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, prefix in inside.items()
        for path in (ROOT / folder).rglob("*.py")
    }

    assert {path for path in packed if path.endswith(".py")} == modules


def test_the_wheel_ships_its_types_and_the_days_of_the_demo(packed: set[str]) -> None:
    days = {path.relative_to(ROOT).as_posix() for path in (ROOT / "oms_es/days").rglob("*") if path.is_file()}

    assert any(day.endswith(".jsonl") for day in days)
    assert days | {"oms_es/py.typed"} <= packed


def test_the_installed_command_shows_its_help(bot: Path) -> None:
    assert "Usage" in run(bot / "bin" / "oms", "--help", cwd=bot)


def test_our_parts_are_imported_below_our_own_name(bot: Path) -> None:
    code = "import oms_es.cli, oms_es.projections; print(oms_es.cli.__file__, oms_es.projections.__file__)"

    for file in run(bot / "bin" / "python", "-c", code, cwd=bot).split():
        assert Path(file).is_relative_to(bot)


@pytest.mark.parametrize("name", ["cli", "projections"])
def test_the_names_of_the_program_that_embeds_us_stay_its_own(bot: Path, name: str) -> None:
    code = f"import oms_es.{name}, {name}; print({name}.OWNER)"

    assert run(bot / "bin" / "python", "-c", code, cwd=bot) == f"the bot, {name}\n"
