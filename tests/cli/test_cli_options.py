"""Options of the command line: each is given once, and a group's own options count for its commands."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from oms_es.cli import app
from tests.cli.test_cli import Oms, commands


def single_valued() -> Iterator[tuple[str, str, int]]:
    """Yield every option that takes one value: its command, its name, and how many words its value has."""
    root: Any = typer.main.get_command(app)
    for name in commands():
        command = root
        for word in name.split():
            command = command.commands[word]
        for each in command.params:
            if each.param_type_name == "option" and not (each.is_flag or each.multiple):
                yield name, each.opts[0], each.nargs


@pytest.mark.parametrize(("command", "option", "words"), list(single_valued()))
def test_an_option_that_is_given_twice_is_wrong_usage(oms: Oms, command: str, option: str, words: int) -> None:
    value = ["1"] * words

    refused = oms([*command.split(), option, *value, option, *value], code=2)

    assert option in refused.stderr
    assert "used 2 times; it takes one value" in refused.stderr
    assert refused.stdout == ""


def test_a_flag_that_is_given_twice_says_the_same(oms: Oms) -> None:
    oms("mark ADA 1")

    assert oms("positions --json --json").stdout == oms("positions --json").stdout


def test_help_answers_although_an_option_is_given_twice(oms: Oms) -> None:
    assert "--symbol" in oms("positions --symbol A --symbol B --help").stdout


def test_a_command_may_name_another_log_than_the_group_before_it(oms: Oms, tmp_path: Path) -> None:
    oms(["--log", str(tmp_path / "one.db"), "mark", "ADA", "1", "--log", str(tmp_path / "other.db")])

    assert not (tmp_path / "one.db").exists()
    assert (tmp_path / "other.db").exists()
