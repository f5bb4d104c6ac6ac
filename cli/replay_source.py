"""What is gone through again: a log from its first event on, or a day that travels in a box."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from oms_es.audit.day_archive import unpack
from oms_es.audit.replay import end_of_day
from oms_es.cli.context import Asked, asking
from oms_es.cli.results import checked_day
from oms_es.domain.envelope import Recorded
from oms_es.errors import InvalidInput
from oms_es.projections.snapshots.state_codec import dumped, restored
from oms_es.projections.snapshots.state_store import kept
from oms_es.projections.state import World
from oms_es.queries.queries import When
from oms_es.vocabulary import CostMethod


class Source(NamedTuple):
    """Events, and the state before the first of them."""

    opening: Callable[[], World]  # a state of one's own, each time it is asked for
    events: Callable[[frozenset[str] | None], Iterator[Recorded]]  # all, or those of some topics
    first_seq: int
    last_seq: int
    day: str | None  # the trading day that is reported; None: all of them
    history: Callable[[str], list[Recorded]]  # the events of a stream, as far as they are there
    asked: Asked | None  # the log; None for a box


@contextmanager
def source(
    box: Path | None, log: Path | None, config: Path | None, day: str | None = None, *, from_zero: bool = True
) -> Iterator[Source]:
    """
    Open a box, or a log up to the end of the trading day that is named.

    Unless it is to be from zero, a day of a log opens with the state of the last day that was closed before it, if a
    replay has left that beside the log.

    Raises:
        BadBox: the box is none, or not what was packed.
        LogMissing, NotALog, NewerLog, DamagedLog: what stands where the log should be.
        InvalidInput: a day that is none, or another than the box holds.
    """
    wanted = checked_day(day)
    if box is not None:
        yield _of_box(box, wanted)
        return
    with asking(log, config) as asked:
        last = asked.questions.basis(When()).seq
        if wanted is not None:
            last = min(last, end_of_day(asked.log, wanted))
        begins_with = asked.first_method()
        state = None
        if wanted is not None and last and not from_zero:
            state = kept(asked.log, "day", asked.log.first_of_day(wanted))
        packed, seq = (None, 0) if state is None else (dumped(state), state.settled_seq)
        yield Source(
            opening=lambda: World(begins_with) if packed is None else restored(packed),
            events=lambda topics: asked.log.read(seq, last, topics),
            first_seq=seq + 1,
            last_seq=last,
            day=wanted,
            history=asked.log.stream,
            asked=asked,
        )


def _of_box(path: Path, wanted: str | None) -> Source:
    found = unpack(path)
    packed = found.manifest.trading_day
    if wanted not in (None, packed):
        raise InvalidInput(f"--day: the box holds {packed}, not {wanted}")
    state = dumped(found.opening)
    return Source(
        opening=lambda: restored(state),
        events=lambda topics: (e for e in found.events if topics is None or type(e.event).__name__ in topics),
        first_seq=found.manifest.first_seq,
        last_seq=found.manifest.last_seq,
        day=packed,
        history=lambda stream: [each for each in found.events if each.originator_id == stream],
        asked=None,
    )


def by_method(opening: Callable[[], World], method: CostMethod | None) -> World:
    """Return a state that goes by the method asked for, whatever the log's rules say; None leaves it to them."""
    world = opening()
    if method is None:
        return world
    if world.settled_seq:
        raise InvalidInput("--method: a box opens with lots that the log's own rules made; it goes by them")
    return World(method, follows=False)
