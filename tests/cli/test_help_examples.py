"""Every example of the help runs as it is printed, in the folder of the demo."""

import re
import shutil
from pathlib import Path

import pytest

from tests.cli.test_cli import Oms, commands

TURNS = "oms bisect 'abs(position", "oms bisect 'quarantined() == 0'"  # the claim is false from some event on
BEFORE = (
    "oms key new desk -o desk.key",
    "oms checkpoint --key desk.key --append day.ckpts",
    "oms prove --order a-1 --checkpoint day.ckpts -o a-1.json",
    "oms export --day 2024-03-15 -o day.omsday --checkpoint day.ckpts",
)  # carried out first: others need their files
COLUMNS = "80"


def examples(command: str) -> list[str]:
    """Return the examples in the help of a command, as they are printed on a terminal of 80 columns."""
    shown = Oms(Path("none.db"))(f"{command} --help", COLUMNS=COLUMNS).stdout
    paragraphs = re.findall(r"^ +oms .*(?:\n +\S.*)*", shown.partition("xample:")[2], re.MULTILINE)
    return [example.strip() for example in paragraphs]


ENDLESS = "oms serve"  # until Ctrl-C; tests/report/test_server.py
EXAMPLES = sorted({each for command in commands() for each in examples(command) if not each.startswith(ENDLESS)})


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that `oms demo` makes, with the day archive that an example of `oms export` writes."""
    parent = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(parent))
        Oms(Path("none.db"))("demo")
        (folder,) = parent.iterdir()
        patch.chdir(folder)
        for example in BEFORE:
            Oms(Path("day.db"))(example.removeprefix("oms "))
    return folder


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_help_runs_as_printed(
    example: str, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(shipped, tmp_path / "demo")
    monkeypatch.chdir(folder)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    done = Oms(Path("day.db"))(example.removeprefix("oms "), code=int(example.startswith(TURNS)))

    assert done.output


def test_every_command_has_an_example() -> None:
    assert [command for command in commands() if not examples(command)] == []


def test_an_example_is_one_line_on_a_terminal_of_80_columns() -> None:
    assert [example for example in EXAMPLES if "\n" in example] == []
