"""
Figures: each is a ratio of our value to that of something fixed, measured beside it in the same round.

A machine is never equally fast twice, so only ratios are compared between runs. The rounds of all figures take turns.
"""

import json
import platform
import sqlite3
import statistics
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from os import cpu_count
from pathlib import Path
from typing import Any

from msgspec import Struct

_BEGIN, _END = "<!-- table -->", "<!-- end of the table -->"
NOISE = 0.1  # a change below this part of a ratio is no change, however close together the rounds were


class Figure(Struct, frozen=True, kw_only=True):
    """Something to measure."""

    name: str
    base: str  # what it is divided by
    unit: str  # of both values
    sample: Callable[[], tuple[float, float]]  # one round: our value, and that of the base
    higher_is_better: bool = False
    must: float | None = None  # the bound of the ratio
    rounds: int = 5


class Result(Struct, frozen=True, kw_only=True):
    """The rounds of one figure."""

    name: str
    base: str
    unit: str
    ours: float  # median
    fixed: float  # median of the base
    ratio: float  # median of the ratios of the rounds
    low: float  # smallest ratio
    high: float  # largest ratio
    higher_is_better: bool
    must: float | None

    @property
    def is_met(self) -> bool | None:
        """Return whether the bound is met; None without a bound."""
        if self.must is None:
            return None
        return self.ratio >= self.must if self.higher_is_better else self.ratio <= self.must


def measure(figures: Iterable[Figure]) -> list[Result]:
    """Return the results; the figures take turns, round by round."""
    wanted = list(figures)
    samples: dict[str, list[tuple[float, float]]] = {each.name: [] for each in wanted}
    for number in range(max((each.rounds for each in wanted), default=0)):
        for each in wanted:
            if number < each.rounds:
                _show(f"round {number + 1}: {each.name}")
                samples[each.name].append(each.sample())
    _show("")
    return [_result(each, samples[each.name]) for each in wanted]


def _show(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _result(figure: Figure, samples: list[tuple[float, float]]) -> Result:
    ratios = [ours / fixed for ours, fixed in samples]
    return Result(
        name=figure.name,
        base=figure.base,
        unit=figure.unit,
        ours=statistics.median(ours for ours, _ in samples),
        fixed=statistics.median(fixed for _, fixed in samples),
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        higher_is_better=figure.higher_is_better,
        must=figure.must,
    )


def table(results: Iterable[Result]) -> str:
    """Return the results as a Markdown table."""
    lines = ["| figure | ours | beside it | ratio | rounds | bound |", "|---|---|---|---|---|---|"]
    for each in results:
        sign = "≥" if each.higher_is_better else "≤"
        mark = {None: "", True: ", met", False: ", not met"}[each.is_met]
        bound = "" if each.must is None else f"{sign} {each.must:g}{mark}"
        fixed = f"{_number(each.fixed)} {each.unit}: {each.base}"
        rounds = f"{_number(each.low)} to {_number(each.high)}"
        lines.append(
            f"| {each.name} | {_number(each.ours)} {each.unit} | {fixed} | {_number(each.ratio)} | {rounds} | {bound} |"
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def put_table(results: Iterable[Result], page: Path) -> None:
    """Replace the table of a Markdown page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n{table(results)}\n{_END}{after}", encoding="utf-8")


def save(results: Iterable[Result], path: Path, command: str) -> None:
    """Write the results, with the machine and the command that made them, as JSON."""
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        "machine": {
            "cores": cpu_count(),
            "system": platform.system(),
            "processor": platform.machine(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
        },
        "figures": {each.name: _plain(each) for each in results},
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _plain(result: Result) -> dict[str, Any]:
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name in result.__struct_fields__
        if name != "name"
        for value in (getattr(result, name),)
    }


def losses(results: Iterable[Result], earlier: dict[str, Any]) -> list[str]:
    """Return a line for each figure of which every round is worse than every round before, by more than the noise."""
    found = []
    for each in results:
        before = earlier["figures"].get(each.name)
        if before is None:
            continue
        if each.higher_is_better:
            is_lost = each.high < before["low"] * (1 - NOISE)
        else:
            is_lost = each.low > before["high"] * (1 + NOISE)
        if is_lost:
            found.append(f"{each.name}: {_number(before['ratio'])} before, {_number(each.ratio)} now")
    return found
