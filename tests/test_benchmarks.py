"""The benchmarks' own arithmetic: ratios of rounds, bounds, and what counts as a loss."""

import json
import runpy
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from benchmarks.figures import Figure, Result, losses, measure, put_table, save, table
else:  # the folder is in no package
    found = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "figures.py")))
    Figure, Result, measure, table = found.Figure, found.Result, found.measure, found.table
    losses, put_table, save = found.losses, found.put_table, found.save


def rounds(*samples: tuple[float, float], **options: object) -> list[Result]:
    number = count()
    figure = Figure(name="f", base="b", unit="ms", sample=lambda: samples[next(number)], rounds=len(samples), **options)  # type: ignore[arg-type]
    return measure([figure])


def test_figures_take_turns_and_ratios_are_those_of_one_round() -> None:
    order: list[str] = []

    def sample(name: str) -> tuple[float, float]:
        order.append(name)
        return 2.0 * len(order), float(len(order))

    figures = [
        Figure(name=name, base="b", unit="ms", sample=lambda name=name: sample(name), rounds=turns)  # type: ignore[misc]
        for name, turns in (("a", 3), ("b", 2))
    ]

    found = measure(figures)

    assert order == ["a", "b", "a", "b", "a"]
    assert [each.ratio for each in found] == [2.0, 2.0]


@pytest.mark.parametrize(("before", "now", "higher", "lost"), [
    ((1.0, 1.2), (1.25, 1.5), False, False),  # within the noise
    ((1.0, 1.2), (1.4, 1.5), False, True),
    ((1.0, 1.2), (1.1, 9.0), False, False),  # one round was as before
    ((1.0, 1.2), (0.1, 0.2), False, False),  # better
    ((1.0, 1.2), (0.7, 0.8), True, True),
    ((1.0, 1.2), (0.7, 1.0), True, False),
])  # fmt: skip
def test_a_loss_is_a_figure_whose_every_round_is_worse(
    before: tuple[float, float], now: tuple[float, float], higher: bool, lost: bool, tmp_path: Path
) -> None:
    save(rounds(*((each, 1.0) for each in before), higher_is_better=higher), tmp_path / "f.json", "command")
    earlier = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))

    found = losses(rounds(*((each, 1.0) for each in now), higher_is_better=higher), earlier)

    assert bool(found) is lost


def test_the_table_says_whether_a_bound_is_met_and_replaces_the_one_before(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("begin\n<!-- table -->\nold\n<!-- end of the table -->\nend\n", encoding="utf-8")

    put_table(rounds((3.0, 2.0), must=1.6), page)
    put_table(rounds((4.0, 2.0), must=1.6), page)

    text = page.read_text(encoding="utf-8")
    assert "| f | 4 ms | 2 ms: b | 2 | 2 to 2 | ≤ 1.6, not met |" in text
    assert "old" not in text
    assert text.startswith("begin\n")
    assert text.endswith("\nend\n")
    assert ", met |" in table(rounds((3.0, 2.0), must=1.5))
