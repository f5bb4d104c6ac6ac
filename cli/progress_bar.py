"""The bar of an import (checking first, then facts a second), and of a walk through the log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from oms_es.importers.facts import Fact
from oms_es.importers.importer import Progress as Told

Read: TypeAlias = Callable[[], Iterator[Fact]]
_STEP = 1000  # facts between two looks at the bar


class _Rate(ProgressColumn):
    def __init__(self, things: str) -> None:
        super().__init__()
        self._things = things

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} {self._things}/s" if task.speed else "")


@contextmanager
def drawn(read: Read) -> Iterator[tuple[Read, Told]]:
    """Draw a bar on standard error for as long as this lasts."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), _Rate("facts"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        checking = bar.add_task("checking", total=None)
        importing = bar.add_task("importing", total=None, visible=False)

        def checked() -> Iterator[Fact]:
            for number, fact in enumerate(read()):
                if number % _STEP == 0:
                    bar.update(checking, completed=number)
                yield fact

        def told(done: int, total: int) -> None:
            bar.update(checking, visible=False)
            bar.update(importing, visible=True, completed=done, total=total)

        yield checked, told


@contextmanager
def drawn_events() -> Iterator[Callable[[int, int], None]]:
    """Draw a bar on standard error for as long as this lasts; it is moved by telling how many events were taken."""
    columns = (BarColumn(), MofNCompleteColumn(), _Rate("events"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        walking = bar.add_task("", total=None)

        def told(done: int, total: int) -> None:
            bar.update(walking, completed=done, total=total)

        yield told
