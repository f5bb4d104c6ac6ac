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

NOT_OURS = (".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build", "dist", "*.egg-info", "*.db*", ".cov*")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository, so that the repository itself stays clean."""
    copy = tmp_path_factory.mktemp("checkout") / "oms_es"
    return shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*NOT_OURS))


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    """Return a wheel that was built from an sdist."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", checkout / "dist", cwd=checkout)
    (built,) = (checkout / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the sdist from which the wheel was built."""
    (archive,) = wheel.parent.glob("*.tar.gz")
    folder = tmp_path_factory.mktemp("sdist")
    shutil.unpack_archive(archive, folder, filter="data")
    (inside,) = folder.iterdir()
    return inside


@pytest.fixture(scope="module")
def packed(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def bot(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a venv in which another program owns `cli` and `projections`, and into which we were installed."""
    home = borrowing_venv(tmp_path_factory.mktemp("bot"))
    for name in ("cli", "projections"):
        (site(home) / name).mkdir()
        (site(home) / name / "__init__.py").write_text(f"OWNER = 'the bot, {name}'\n")
    return install(home, wheel)


def borrowing_venv(home: Path) -> Path:
    """Return a venv that uses the dependencies of the environment that runs this test; no network is needed."""
    venv.create(home, with_pip=False)
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site(home) / "lent.pth").write_text("\n".join(sorted(lent)))
    return home


def site(home: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(home)}))


def install(home: Path, *what: str | Path) -> Path:
    pip = (sys.executable, "-m", "pip", "--python", home, "install", "--no-deps", "--no-index", "--quiet")
    run(*pip, "--no-build-isolation", *what, cwd=home)
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


def test_the_tests_of_an_sdist_run_in_it(bot: Path, unpacked: Path) -> None:
    chosen = (
        "tests/test_layers.py", "tests/test_docs.py", "tests/test_architecture_page.py",
        "tests/system/test_golden.py",
    )  # fmt: skip

    run(bot / "bin" / "python", "-P", "-m", "pytest", "-q", "-x", *chosen, cwd=unpacked)


def test_the_sdist_has_every_file_of_the_repository(checkout: Path, unpacked: Path) -> None:
    made = ("dist/", "build/", "oms_es.egg-info/", "install/editable/", "oms_es/cli/", "oms_es/projections/")
    files = (path for path in checkout.rglob("*") if path.is_file() and "__pycache__" not in path.parts)  # of a build
    ours = {path.relative_to(checkout).as_posix() for path in files}

    missing = {file for file in ours if not (unpacked / file).exists() and not file.startswith(made)}

    assert missing == set()


def test_type_checkers_read_the_types_of_an_editable_install(checkout: Path, tmp_path: Path) -> None:
    home = install(borrowing_venv(tmp_path / "home"), "-e", checkout)
    (tmp_path / "bot.py").write_text("from oms_es.cli import main\nreveal_type(main)\n")

    python = home / "bin" / "python"
    shown = run(sys.executable, "-m", "mypy", "--python-executable", python, "bot.py", cwd=tmp_path)

    assert 'Revealed type is "def ()"' in shown
    assert (site(home) / "oms_es_types.pth").read_text() == f"{checkout / 'install/editable'}\n"


def test_an_sdist_is_installed_in_editable_mode_without_the_links(unpacked: Path, tmp_path: Path) -> None:
    home = install(borrowing_venv(tmp_path / "home"), "-e", unpacked)

    assert "Usage" in run(home / "bin" / "oms", "--help", cwd=tmp_path)
