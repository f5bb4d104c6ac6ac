"""The progress bar on standard error."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

T = TypeVar("T")
STEP = 1000  # things between two updates of the bar


class _Rate(ProgressColumn):
    def __init__(self, noun: str) -> None:
        super().__init__()
        self._noun = noun

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} {self._noun}/s" if task.speed else "")


def draw(
    things: Iterable[T],
    noun: str,
    title: str = "",
    total: int | None = None,
    done: Callable[[int, T], int] = lambda number, _: number,
    step: int = STEP,
) -> Iterator[T]:
    """Yield the things and draw a bar meanwhile; `done` returns how much of `total` is done before a thing."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), _Rate(noun))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        for number, thing in enumerate(things):
            if number % step == 0:
                bar.update(task, completed=done(number, thing))
            yield thing
