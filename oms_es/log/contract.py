"""The interface of a log, for every storage."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias, TypeVar

from oms_es.domain.envelope import Draft, Recorded
from oms_es.errors import DamagedLog
from oms_es.identifiers import escaped
from oms_es.log.codec import CODEC, CodecError
from oms_es.log.hash_chain import Head, StoredRow
from oms_es.log.insert import NEXT, NewRow
from oms_es.vocabulary import Origin

WrapEvents: TypeAlias = Callable[[Iterable[Recorded], int], Iterable[Recorded]]  # events, and the seq of the last one
Row = TypeVar("Row", Recorded, StoredRow)


class WrapRows(Protocol):
    """A function that wraps events or stored rows, to show progress."""

    def __call__(self, rows: Iterable[Row], last: int, /) -> Iterable[Row]:
        """Return the rows up to the seq `last`."""


def unwrapped(rows: Iterable[Row], _: int, /) -> Iterable[Row]:
    """Return the rows as they are; a program that shows progress passes a function that wraps them."""
    return rows


class Log(Protocol):
    """An append-only sequence of events; `seq` starts at 1 and has no gaps."""

    def head(self) -> Head:
        """Return the head of the log; seq 0 when it is empty."""

    @property
    def is_quick(self) -> bool:
        """Return whether an append is short enough to run in the event loop."""

    def peek(self) -> Head:
        """Return the head of the log, without checking that the path still names the same file."""

    def append(self, drafts: Sequence[Draft], decided_on: int, *, wait: bool = True) -> int:
        """
        Write all drafts or none, durably; return the seq of the last event in the log.

        Args:
            drafts: in order.
            decided_on: the seq of the head at the decision.
            wait: whether to wait for another writer; if not, `LogBusy` is raised at once.

        Raises:
            HeadMoved: another writer has appended since the decision.
            LogWriteFailed, LogReadOnly, LogBusy: nothing was written.
        """

    def read(
        self, after: int = 0, until: int | None = None, topics: Collection[str] | None = None
    ) -> Iterator[Recorded]:
        """Return the events with `after` < seq <= `until`, in order, filtered by `topics`."""

    def stream(self, originator_id: str) -> list[Recorded]:
        """Return the events of one stream, in order."""

    def order_streams(self, order_id: str) -> list[str]:
        """Return the names of the streams of orders with this id, one per account."""

    def command(self, command_id: str) -> list[Recorded]:
        """Return the events of the command with this id; [] when there is none."""

    def known_commands(self, command_ids: Collection[str]) -> set[str]:
        """Return those of the command ids that are in the log."""

    def recorded_by(self, moment: int) -> int:
        """Return the seq of the last event recorded up to a time (ns UTC); 0 for none."""

    def last_of_day(self, trading_day: str) -> int:
        """Return the seq of the last event booked on a trading day; 0 for none."""

    def latest(self, after: int) -> tuple[int, int]:
        """Return the latest `recorded_at` and `effective_at` of the events after a seq; 0 for none."""

    def lock(self) -> None:
        """Take the write lock until the next `append` of this object, or `unlock`."""

    def unlock(self) -> None:
        """Release the write lock; do nothing without one."""

    def close(self) -> None:
        """Close the log."""


def new_row(draft: Draft) -> NewRow:
    """Return the draft as a row without its seq and chain; its version is `NEXT`."""
    event = draft.event
    return (
        event.originator_id,
        NEXT,
        type(event).__name__,
        CODEC.encode(event),
        getattr(event, "account", ""),
        draft.origin.value,
        draft.occurred_at,
        draft.effective_at,
        draft.recorded_at,
        draft.trading_day,
        draft.command_id,
    )


def to_recorded(row: StoredRow) -> Recorded:
    """
    Return the event of a row, with its metadata.

    Raises:
        DamagedLog: the row is invalid; names its seq.
    """
    try:
        event = CODEC.decode(row.originator_id, row.topic, row.state)
        origin = Origin(row.origin)
    except (CodecError, ValueError) as error:
        raise DamagedLog(f"seq {row.seq}: {escaped(str(error))}") from None
    return Recorded(
        row.seq,
        row.originator_id,
        row.originator_version,
        event,
        row.account,
        origin,
        row.occurred_at,
        row.effective_at,
        row.recorded_at,
        row.trading_day,
        row.command_id,
    )
