"""How far an import, or a walk through the log, has come: a bar on a terminal, nothing anywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

from oms_es.importers.door import Progress
from oms_es.importers.facts import Fact

Read: TypeAlias = Callable[[], Iterator[Fact]]
Events: TypeAlias = Callable[[int, int], None]  # events taken, events in all


def watched(read: Read) -> AbstractContextManager[tuple[Read, Progress | None]]:
    """Return `read`, and who is to be told how far the import has come; both move a bar where a terminal is."""
    if not sys.stderr.isatty():
        return nullcontext((read, None))
    from oms_es.cli.bar import drawn  # noqa: PLC0415 - most commands draw no bar and need not wait for it

    return drawn(read)


def counting() -> AbstractContextManager[Events | None]:
    """Return who is to be told how many events of how many were taken; it moves a bar where a terminal is."""
    if not sys.stderr.isatty():
        return nullcontext()
    from oms_es.cli.bar import drawn_events  # noqa: PLC0415

    return drawn_events()
