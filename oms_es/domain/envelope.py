"""An event in its envelope: what goes to the log (`Draft`) and what comes back from it (`Recorded`)."""

from msgspec import Struct

from oms_es.domain.events import Event
from oms_es.vocabulary import Origin


class Draft(Struct, frozen=True, kw_only=True):
    """An event that was decided and is not yet in the log; times are ns UTC."""

    event: Event
    origin: Origin
    occurred_at: int  # when it was so at the venue
    effective_at: int  # the later of occurred_at and the order's submission
    recorded_at: int  # our clock, never backwards
    trading_day: str  # ISO date, worked out once
    command_id: str | None  # of the first event of a command: its id, "" for none; None on those that follow

    def recorded_as(self, seq: int) -> "Recorded":
        """Return it as it will stand in the log; its place in its stream is told by the log alone, and 0 here."""
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
    """An event as the log holds it."""

    seq: int  # its place in the log, from 1, gapless
    originator_id: str  # the stream
    originator_version: int  # its place in the stream, from 1
    event: Event
    account: str
    origin: Origin
    occurred_at: int
    effective_at: int
    recorded_at: int
    trading_day: str
    command_id: str | None

    @property
    def begins_command(self) -> bool:
        """Return whether this is the first event of its command."""
        return self.command_id is not None
