"""Events with their metadata: before the append (`Draft`) and as read from the log (`Recorded`)."""

from msgspec import Struct

from oms_es.domain.events import Event
from oms_es.vocabulary import Origin


class Draft(Struct, frozen=True, kw_only=True):
    """A decided event that is not yet in the log; times are ns UTC."""

    event: Event
    origin: Origin
    occurred_at: int  # time at the venue
    effective_at: int  # the later of occurred_at and the order's submission
    recorded_at: int  # time of our clock; never decreases
    trading_day: str  # ISO date
    command_id: str | None  # on the first event of a command its id, or ""; None on the other events

    def recorded_as(self, seq: int) -> "Recorded":
        """Return the recorded event; its stream version is 0, for only the log assigns one."""
        return Recorded(
            seq,
            self.event.originator_id,
            0,
            self.event,
            getattr(self.event, "account", ""),
            self.origin,
            self.occurred_at,
            self.effective_at,
            self.recorded_at,
            self.trading_day,
            self.command_id,
        )


class Recorded(Struct, frozen=True):
    """An event with its metadata, as read from the log."""

    seq: int  # position in the log, from 1, gapless
    originator_id: str  # name of the stream
    originator_version: int  # position in the stream, from 1
    event: Event
    account: str
    origin: Origin
    occurred_at: int
    effective_at: int
    recorded_at: int
    trading_day: str
    command_id: str | None

    @property
    def decided_at(self) -> int:
        """Return our clock at the decision: `recorded_at`, unless a clock behind it was accepted."""
        clock: int | None = getattr(self.event, "clock", None)
        return self.recorded_at if clock is None else clock

    @property
    def begins_command(self) -> bool:
        """Return whether this is the first event of its command."""
        return self.command_id is not None
