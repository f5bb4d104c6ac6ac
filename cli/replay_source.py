"""The events of a replay: those of a log from its first event on, or those of a day archive."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple, TypeAlias

import typer

from oms_es.audit.day_archive import DayArchive, unpack
from oms_es.audit.replay import end_of_day
from oms_es.cli.context import OpenLog
from oms_es.cli.options import LogOptions
from oms_es.cli.progress import events_with_progress
from oms_es.domain.envelope import Recorded
from oms_es.errors import InvalidInput
from oms_es.projections.snapshots.state_codec import decode_state, encode_state
from oms_es.projections.snapshots.state_store import load_state
from oms_es.projections.state import State
from oms_es.queries.queries import AsOf
from oms_es.vocabulary import CostMethod

Archive: TypeAlias = Annotated[
    Path | None, typer.Argument(metavar="[ARCHIVE]", help="A day archive of `oms export -o day.omsday`, not a log.")
]


class Source(NamedTuple):
    """Events, and the state before the first of them."""

    opening: Callable[[], State]  # a new copy of that state for each call
    events: Callable[[frozenset[str] | None], Iterator[Recorded]]  # all, or those of some topics
    first_seq: int
    last_seq: int
    day: str | None  # the trading day that is reported; None: all of them
    history: Callable[[str], list[Recorded]]  # the events of a stream that the source contains
    opened: OpenLog | None  # the log; None for an archive
    chain: str | None = None  # of an archive, after its last event; hex
    archive: DayArchive | None = None


@contextmanager
def open_source(
    archive: Path | None,
    options: LogOptions,
    day: str | None = None,
    *,
    from_zero: bool = True,
    verified: bool = False,
) -> Iterator[Source]:
    """
    Open a day archive, or a log up to the end of a trading day.

    Without `from_zero`, a day of a log starts from the state after the last closed day before it, if an earlier replay
    saved that state beside the log. With `verified`, all events are read with a check of the hash chain.

    Raises:
        BadBox: the file is not a day archive, or it was changed.
        LogMissing, NotALog, NewerLog, DamagedLog: the path has no log that can be read.
        InvalidInput: `day` is not the day of the archive.
    """
    if archive is not None:
        yield _of_archive(archive, day)
        return
    with options.open() as opened:
        last = opened.queries.basis(AsOf()).seq
        if day is not None:
            last = min(last, end_of_day(opened.log, day))
        method = opened.first_method()
        state = None
        if day is not None and last and not from_zero:
            state = load_state(opened.log, "day", opened.log.first_of_day(day))
        packed, seq = (None, 0) if state is None else (encode_state(state), state.committed_seq)
        yield Source(
            opening=lambda: State(method) if packed is None else decode_state(packed),
            events=lambda topics: (
                opened.log.read_verified(seq, last)
                if verified and topics is None
                else opened.log.read(seq, last, topics)
            ),
            first_seq=seq + 1,
            last_seq=last,
            day=day,
            history=opened.log.stream,
            opened=opened,
        )


def _of_archive(path: Path, wanted: str | None) -> Source:
    found = unpack(path, events_with_progress)
    day = found.manifest.trading_day
    if wanted not in (None, day):
        raise InvalidInput(f"--day: the archive contains {day}, not {wanted}")
    state = encode_state(found.opening)
    return Source(
        opening=lambda: decode_state(state),
        events=lambda topics: (e for e in found.events if topics is None or type(e.event).__name__ in topics),
        first_seq=found.manifest.first_seq,
        last_seq=found.manifest.last_seq,
        day=day,
        history=lambda stream: [each for each in found.events if each.originator_id == stream],
        opened=None,
        chain=found.manifest.chain,
        archive=found,
    )


def by_method(opening: Callable[[], State], method: CostMethod | None) -> State:
    """Return a state with the chosen cost method; None is the method of the log's policy."""
    state = opening()
    if method is None:
        return state
    if state.committed_seq:
        raise InvalidInput(
            "--method: the lots in a day archive are those of the log's policy; no other method can be used"
        )
    return State(method, follows=False)
