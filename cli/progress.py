"""Progress as a wrapped iterator: on a terminal it draws a bar, anywhere else it is the iterator itself."""

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from oms_es.log.contract import Row

if TYPE_CHECKING:
    from oms_es.importers.facts import Fact
    from oms_es.proof.rows import Page

ReadFacts: TypeAlias = "Callable[[], Iterator[Fact]]"
SHORT = 20_000  # events that are read before a bar would be seen


def events_with_progress(events: Iterable[Row], last: int, /) -> Iterable[Row]:
    """Return the events or stored rows up to seq `last`; on a terminal many of them draw a bar."""
    return _drawn(events, last) if last > SHORT and sys.stderr.isatty() else events


def _drawn(events: Iterable[Row], last: int) -> Iterator[Row]:
    rest = iter(events)
    first = next(rest, None)
    if first is None:
        return
    total, whole = last - first.seq + 1, chain([first], rest)
    if total <= SHORT:
        yield from whole
        return
    from oms_es.cli.progress_bar import draw  # noqa: PLC0415 - most commands draw no bar and need not wait for it

    yield from draw(whole, "events", total=total, done=lambda _, each: each.seq - first.seq)


def pages_with_progress(pages: "Iterable[Page]", last: int) -> "Iterable[Page]":
    """Return the pages of rows up to seq `last`; on a terminal many of them draw a bar."""
    if last <= SHORT or not sys.stderr.isatty():
        return pages
    from oms_es.cli.progress_bar import draw  # noqa: PLC0415

    return draw(pages, "events", total=last, done=lambda _, page: page[0][0], step=1)


def facts_with_progress(read: ReadFacts) -> ReadFacts:
    """Return `read`, which is called twice; on a terminal the checking and then the importing draw a bar."""
    if not sys.stderr.isatty():
        return read
    from oms_es.cli.progress_bar import draw  # noqa: PLC0415

    total: int | None = None

    def checked() -> "Iterator[Fact]":
        nonlocal total
        number = 0
        for fact in draw(read(), "facts", "checking" if total is None else "importing", total):
            number += 1
            yield fact
        total = number

    return checked
