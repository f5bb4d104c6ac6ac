"""
The base of all projections: handlers declare the events that they fold, and every change can be undone.

Live, replay and time travel call the same `apply`. The sequencer decides on the changed state; `commit` makes the
changes permanent, and `rollback` undoes them when the append has failed.
"""

import hashlib
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

import msgspec

from oms_es.decimals import text
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import Event
from oms_es.errors import DamagedLog
from oms_es.identifiers import escaped
from oms_es.projections.undo import UndoLog

P = TypeVar("P", bound="Projection")
Handler = Callable[[Any, Any, Recorded], None]


def on(*events: type[Event]) -> Callable[[Handler], Handler]:
    """Mark a method as the handler of these events."""

    def mark(handler: Handler) -> Handler:
        handler.__dict__["events"] = events
        return handler

    return mark


UNFIT = (AssertionError, ArithmeticError, LookupError, TypeError, ValueError)


def damaged(recorded: Recorded, error: Exception) -> DamagedLog:
    """Return the error of an event that does not follow from those before it."""
    what, why = type(recorded.event).__name__, escaped(str(error))
    return DamagedLog(f"seq {recorded.seq}: {what} does not follow from the events before it: {why}")


class Projection:
    """State that follows from events; reads no other projection, no clock and no file."""

    version: ClassVar[int] = 1  # raised when stored state of this projection must be rebuilt
    handlers: ClassVar[dict[type[Event], Handler]] = {}

    def __init__(self, undo: UndoLog | None = None) -> None:
        self.undo = UndoLog() if undo is None else undo

    def __init_subclass__(cls) -> None:
        marked = [value for value in vars(cls).values() if hasattr(value, "events")]
        cls.handlers = {event: handler for handler in marked for event in handler.events}

    @classmethod
    def topics(cls) -> frozenset[str]:
        """Return the topics that it has handlers for; no other events need to be read."""
        return frozenset(event.__name__ for event in cls.handlers)

    def apply(self, recorded: Recorded) -> None:
        """Fold one event; its changes can be undone until `commit`."""
        handler = self.handlers.get(type(recorded.event))
        if handler is None:
            return
        try:
            handler(self, recorded.event, recorded)
        except UNFIT as error:
            raise damaged(recorded, error) from error

    def replay(self: P, events: Iterable[Recorded]) -> P:
        """Fold many events, commit, and return self."""
        steps = self.undo.steps
        with self.undo.off():
            for recorded in events:
                self.apply(recorded)
                if steps:
                    steps.clear()
        return self

    def commit(self) -> None:
        """Make the changes permanent."""
        self.undo.commit()

    def rollback(self) -> None:
        """Undo the changes since the last commit."""
        self.undo.rollback()

    def set(self, name: str, value: Any) -> None:
        """Change an attribute; undone like every other change."""
        self.undo.steps.append((self, name, self.swap(name, value)))

    def swap(self, name: str, old: Any) -> Any:
        """Set an attribute and return the value it had."""
        current = getattr(self, name)
        setattr(self, name, old)
        return current

    def rows(self) -> list[dict[str, Any]]:
        """Return the whole state as plain rows, in a fixed order; `digest` is the digest of these rows."""
        raise NotImplementedError

    def digest(self) -> str:
        """Return the SHA-256 of the rows in canonical JSON: equal states have equal digests, on every machine."""
        return hashlib.sha256(canonical_json(self.rows())).hexdigest()


def canonical_json(value: object) -> bytes:
    """Return JSON with sorted keys and decimals as canonical text."""
    return msgspec.json.encode(plain(value), order="sorted")


_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


def plain(value: Any) -> Any:
    """Return a value of dicts and lists with decimals as canonical text."""
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, dict):
        return {key: item if type(item) in _AS_THEY_ARE else plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
