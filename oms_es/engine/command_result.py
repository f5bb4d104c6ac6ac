"""The result of a command: its events, and the order after them."""

from collections.abc import Sequence

from oms_es.domain.commands import Command
from oms_es.domain.events import Event
from oms_es.domain.order import Order


class CommandResult:
    """The outcome of a request: its events, and the order after them."""

    __slots__ = ("command", "events", "first_seq", "order", "repeated")

    def __init__(self, command: Command, events: Sequence[Event], order: Order | None, *, repeated: bool) -> None:
        self.command = command
        self.events = events
        self.order = order
        self.repeated = repeated
        self.first_seq = 0  # of the events; 0 for a repetition
