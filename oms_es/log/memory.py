"""A log in memory, with the same interface as the file; for tests and what-if."""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence

from oms_es.domain.envelope import Draft, Recorded
from oms_es.errors import HeadMoved, LogWriteFailed
from oms_es.log.contract import new_row, to_recorded
from oms_es.log.hash_chain import Head, StoredRow, genesis, sealed


class MemoryLog:
    """Rows in a list, with the same hash chain as a file."""

    def __init__(self, log_id: str = "memory", secret: bytes = b"") -> None:
        self._rows: list[StoredRow] = []
        self._streams: dict[str, list[int]] = {}
        self._commands: dict[str, int] = {}
        self._secret = secret
        self._genesis = genesis(log_id)

    def head(self) -> Head:
        """Return the head of the log."""
        if not self._rows:
            return Head(0, self._genesis, 0)
        last = self._rows[-1]
        return Head(last.seq, last.chain, last.recorded_at)

    is_quick = True

    def peek(self) -> Head:
        """Return the head of the log."""
        return self.head()

    def append(self, drafts: Sequence[Draft], decided_on: int, *, wait: bool = True) -> int:  # noqa: ARG002
        """Write all drafts or none; return the seq of the last event."""
        head = self.head()
        if head.seq != decided_on:
            raise HeadMoved(f"decided on seq {decided_on}, but the log is at {head.seq}")
        for draft in drafts:
            if draft.command_id and draft.command_id in self._commands:
                raise LogWriteFailed(f"command {draft.command_id!a} is already in the log; nothing was written")
        chain, rows, added = head.chain, list[StoredRow](), dict[str, int]()
        for draft in drafts:
            name = draft.event.originator_id
            added[name] = added.get(name, 0) + 1
            version = len(self._streams.get(name, ())) + added[name]
            columns = new_row(draft)[2:]
            row = sealed(StoredRow(head.seq + len(rows) + 1, name, version, *columns, b""), chain, self._secret)
            chain = row.chain
            rows.append(row)
        for row in rows:
            self._rows.append(row)
            self._streams.setdefault(row.originator_id, []).append(row.seq)
            if row.command_id:
                self._commands[row.command_id] = row.seq
        return len(self._rows)

    def read(
        self, after: int = 0, until: int | None = None, topics: Collection[str] | None = None
    ) -> Iterator[Recorded]:
        """Return the events with `after` < seq <= `until`."""
        for row in self._rows[after:until]:
            if topics is None or row.topic in topics:
                yield to_recorded(row)

    def stream(self, originator_id: str) -> list[Recorded]:
        """Return the events of one stream."""
        return [to_recorded(self._rows[seq - 1]) for seq in self._streams.get(originator_id, ())]

    def order_streams(self, order_id: str) -> list[str]:
        """Return the names of the streams of orders with this id."""
        parts = (name.split("/", 2) for name in self._streams)
        return sorted("/".join(each) for each in parts if each[0] == "order" and each[-1] == order_id)

    def command(self, command_id: str) -> list[Recorded]:
        """Return the events of the command with this id."""
        first = self._commands.get(command_id)
        if first is None:
            return []
        found = [self._rows[first - 1]]
        for row in self._rows[first:]:
            if row.command_id is not None:
                break
            found.append(row)
        return [to_recorded(row) for row in found]

    def known_commands(self, command_ids: Collection[str]) -> set[str]:
        """Return those of the command ids that are in the log."""
        return {each for each in command_ids if each in self._commands}

    def rows(self) -> list[StoredRow]:
        """Return all rows."""
        return list(self._rows)

    def recorded_by(self, moment: int) -> int:
        """Return the seq of the last event recorded up to a time; 0 for none."""
        return bisect_right(self._rows, moment, key=lambda row: row.recorded_at)

    def last_of_day(self, trading_day: str) -> int:
        """Return the seq of the last event booked on a trading day; 0 for none."""
        return max((row.seq for row in self._rows if row.trading_day == trading_day), default=0)

    def ends_of_days(self, until: int, topics: Collection[str]) -> dict[str, int]:
        """Return the seq of the last event of these topics up to `until`, by trading day."""
        return {row.trading_day: row.seq for row in self._rows[:until] if row.topic in topics}

    def latest(self, after: int) -> tuple[int, int]:
        """Return the latest `recorded_at` and `effective_at` of the events with seq > `after`."""
        rows = self._rows[after:]
        return max((row.recorded_at for row in rows), default=0), max((row.effective_at for row in rows), default=0)

    def lock(self) -> None:
        """Do nothing: there is no other writer."""

    def unlock(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: there is no file."""
