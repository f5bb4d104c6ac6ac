"""How far an import, or a walk through the log, has come: a bar on a terminal, nothing anywhere else."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

from oms_es.domain.envelope import Recorded
from oms_es.importers.facts import Fact
from oms_es.importers.importer import Progress

Read: TypeAlias = Callable[[], Iterator[Fact]]
Events: TypeAlias = Callable[[int, int], None]  # events taken, events in all
SHORT = 20_000  # events that are read before a bar would be seen


def watched(read: Read) -> AbstractContextManager[tuple[Read, Progress | None]]:
    """Return `read`, and who is to be told how far the import has come; both move a bar where a terminal is."""
    if not sys.stderr.isatty():
        return nullcontext((read, None))
    from oms_es.cli.progress_bar import drawn  # noqa: PLC0415 - most commands draw no bar and need not wait for it

    return drawn(read)


def counting() -> AbstractContextManager[Events | None]:
    """Return who is to be told how many events of how many were taken; it moves a bar where a terminal is."""
    if not sys.stderr.isatty():
        return nullcontext()
    from oms_es.cli.progress_bar import drawn_events  # noqa: PLC0415

    return drawn_events()


def walked(events: Iterable[Recorded], last: int) -> Iterable[Recorded]:
    """Pass events on; where there are many and a terminal is, a bar moves until the event `last` is reached."""
    return _walked(events, last) if last > SHORT and sys.stderr.isatty() else events


def _walked(events: Iterable[Recorded], last: int) -> Iterator[Recorded]:
    with counting() as told:
        for number, recorded in enumerate(events):
            if told is not None and number % 1000 == 0:
                told(recorded.seq, last)
            yield recorded
