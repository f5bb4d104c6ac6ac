"""What is gone through again: a log from its first event on, or a day that travels in a box."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from oms_es.audit.day_archive import unpack
from oms_es.audit.replay import end_of_day
from oms_es.cli.context import OpenLog, open_log
from oms_es.cli.results import checked_day
from oms_es.domain.envelope import Recorded
from oms_es.errors import InvalidInput
from oms_es.projections.snapshots.state_codec import decode_state, encode_state
from oms_es.projections.snapshots.state_store import load_state
from oms_es.projections.state import State
from oms_es.queries.queries import AsOf
from oms_es.vocabulary import CostMethod


class Source(NamedTuple):
    """Events, and the state before the first of them."""

    opening: Callable[[], State]  # a state of one's own, each time it is asked for
    events: Callable[[frozenset[str] | None], Iterator[Recorded]]  # all, or those of some topics
    first_seq: int
    last_seq: int
    day: str | None  # the trading day that is reported; None: all of them
    history: Callable[[str], list[Recorded]]  # the events of a stream, as far as they are there
    opened: OpenLog | None  # the log; None for a box


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
    with open_log(log, config) as opened:
        last = opened.queries.basis(AsOf()).seq
        if wanted is not None:
            last = min(last, end_of_day(opened.log, wanted))
        begins_with = opened.first_method()
        state = None
        if wanted is not None and last and not from_zero:
            state = load_state(opened.log, "day", opened.log.first_of_day(wanted))
        packed, seq = (None, 0) if state is None else (encode_state(state), state.committed_seq)
        yield Source(
            opening=lambda: State(begins_with) if packed is None else decode_state(packed),
            events=lambda topics: opened.log.read(seq, last, topics),
            first_seq=seq + 1,
            last_seq=last,
            day=wanted,
            history=opened.log.stream,
            opened=opened,
        )


def _of_box(path: Path, wanted: str | None) -> Source:
    found = unpack(path)
    packed = found.manifest.trading_day
    if wanted not in (None, packed):
        raise InvalidInput(f"--day: the box holds {packed}, not {wanted}")
    state = encode_state(found.opening)
    return Source(
        opening=lambda: decode_state(state),
        events=lambda topics: (e for e in found.events if topics is None or type(e.event).__name__ in topics),
        first_seq=found.manifest.first_seq,
        last_seq=found.manifest.last_seq,
        day=packed,
        history=lambda stream: [each for each in found.events if each.originator_id == stream],
        opened=None,
    )


def by_method(opening: Callable[[], State], method: CostMethod | None) -> State:
    """Return a state that goes by the method asked for, whatever the log's rules say; None leaves it to them."""
    state = opening()
    if method is None:
        return state
    if state.committed_seq:
        raise InvalidInput("--method: a box opens with lots that the log's own rules made; it goes by them")
    return State(method, follows=False)
