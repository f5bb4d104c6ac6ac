"""
The base of all projections: handlers say which events they live on; state is cells whose writes can be taken back.

Live, replay and time travel call the same `apply`. What `apply` writes is pending until `commit`: the sequencer decides
on pending state, everybody else reads committed state, and an append that fails is undone by `rollback`.
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
from oms_es.projections.staging import StagedDict, StagedLists

P = TypeVar("P", bound="Projection")
Handler = Callable[[Any, Any, Recorded], None]


def on(*events: type[Event]) -> Callable[[Handler], Handler]:
    """Mark a method as the handler of these events."""

    def mark(handler: Handler) -> Handler:
        handler.__dict__["events"] = events
        return handler

    return mark


class Projection:
    """State that follows from events; reads no other projection, no clock and no file."""

    version: ClassVar[int] = 1  # another number means: rebuild what was kept of it
    handlers: ClassVar[dict[type[Event], Handler]] = {}

    def __init_subclass__(cls) -> None:
        marked = [value for value in vars(cls).values() if hasattr(value, "events")]
        cls.handlers = {event: handler for handler in marked for event in handler.events}

    @classmethod
    def topics(cls) -> frozenset[str]:
        """Return the topics it lives on: all that needs to be read for it."""
        return frozenset(event.__name__ for event in cls.handlers)

    def apply(self, recorded: Recorded) -> None:
        """Take one event in; what it changes is pending."""
        handler = self.handlers.get(type(recorded.event))
        if handler is None:
            return
        try:
            handler(self, recorded.event, recorded)
        except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            what, why = type(recorded.event).__name__, escaped(str(error))
            raise DamagedLog(f"seq {recorded.seq}: {what} does not fit what stands before it: {why}") from error

    def replay(self: P, events: Iterable[Recorded]) -> P:
        """Take in many events, commit, and return self."""
        for recorded in events:
            self.apply(recorded)
        self.commit()
        return self

    def commit(self) -> None:
        """Make pending changes visible to readers."""
        for part in self._parts():
            part.commit()

    def rollback(self) -> None:
        """Drop pending changes."""
        for part in self._parts():
            part.rollback()

    def _parts(self) -> list[StagedDict[Any, Any] | StagedLists[Any, Any]]:
        found: list[StagedDict[Any, Any] | StagedLists[Any, Any]] | None = self.__dict__.get("_own_parts")
        if found is None:  # they are made once and never replaced
            found = self.__dict__["_own_parts"] = [
                p for p in vars(self).values() if isinstance(p, StagedDict | StagedLists)
            ]
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Return everything it knows as plain rows, in an order of their own; what `digest` is over."""
        raise NotImplementedError

    def digest(self) -> str:
        """Return the SHA-256 of the rows in canonical JSON: equal states have equal digests, on every machine."""
        return hashlib.sha256(canonical_json(self.rows())).hexdigest()


def canonical_json(value: object) -> bytes:
    """Return JSON with sorted keys and decimals as canonical text."""
    return msgspec.json.encode(plain(value), order="sorted")


def plain(value: Any) -> Any:
    """Return a value of dicts and lists with decimals as canonical text."""
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
