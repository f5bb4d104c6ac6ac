"""A bot between crashes and a venue full of troubles; `python -m tests.venues.chaos` runs as many seeds as wanted."""

import re
import subprocess
import sys

import pytest

from tests.desk import ROOT


def chaos(*options: object) -> dict[str, int]:
    """Run seeds in their own process, and return what happened in all of them."""
    command = [sys.executable, "-m", "tests.venues.chaos", *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    return {name: int(count.replace(",", "")) for count, name in re.findall(r"([\d,]+) ([a-z ]+)[,;\n]", done.stdout)}


@pytest.mark.xdist_group("chaos")
def test_after_crashes_and_troubles_the_log_is_equal_to_the_venue() -> None:
    counts = chaos("--seeds", 2)

    assert counts["crashes"] == 6
    assert counts["fills"] > 10
    assert counts["runs with a difference"] == 0


@pytest.mark.torture
@pytest.mark.parametrize("first", range(1_000, 3_000, 250))
def test_after_many_more_crashes_and_troubles_too(first: int) -> None:
    counts = chaos("--seeds", 250, "--first", first)

    assert counts["crashes"] == 750
    assert counts["runs with a difference"] == 0
