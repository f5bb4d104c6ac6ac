"""
The base of all projections: handlers say which events they live on; state is cells whose writes can be taken back.

Live, replay and time travel call the same `apply`. What `apply` writes is staged until `settle`: the sequencer decides
on staged state, everybody else reads settled state, and an append that fails is undone by `discard`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from oms_es.decimals import text
from oms_es.envelope import Recorded
from oms_es.errors import DamagedLog
from oms_es.events import Event
from oms_es.identifiers import escaped

K = TypeVar("K")
V = TypeVar("V")
P = TypeVar("P", bound="Projection")
Handler = Callable[[Any, Any, Recorded], None]


class Cells(Generic[K, V]):
    """A mapping of immutable values whose writes wait until they are settled."""

    __slots__ = ("_hidden", "_staged", "settled")

    def __init__(self) -> None:
        self.settled: dict[K, V] = {}
        self._staged: dict[K, V] = {}
        self._hidden: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return the latest value, staged or settled."""
        if self._staged:
            found = self._staged.get(key)
            if found is not None:
                return found
        return self.settled.get(key)

    def __setitem__(self, key: K, value: V) -> None:
        self._staged[key] = value

    def settle(self) -> None:
        """Make what is staged visible to readers."""
        if self._staged:
            self.settled.update(self._staged)
            self._staged.clear()

    def discard(self) -> None:
        """Forget what is staged."""
        self._staged.clear()

    def staged(self) -> list[K]:
        """Return the keys that are written and not settled yet."""
        return list(self._staged)

    def hide(self) -> None:
        """Show what is settled only; called again, show what is staged as well."""
        self._staged, self._hidden = self._hidden, self._staged

    def items(self) -> list[tuple[K, V]]:
        """Return what is settled."""
        return list(self.settled.items())

    def __iter__(self) -> Iterator[K]:
        return iter(self.settled)

    def __len__(self) -> int:
        return len(self.settled)


class Trails(Generic[K, V]):
    """Sequences that only grow (one per key), whose growth waits until it is settled."""

    __slots__ = ("_replaced", "_settled", "_trails")

    def __init__(self) -> None:
        self._trails: dict[K, list[V]] = {}
        self._settled: dict[K, int] = {}  # lengths to go back to, of the trails that have grown
        self._replaced: dict[K, list[V]] = {}  # what stood before a replacement

    def append(self, key: K, value: V) -> None:
        """Add to the trail of `key`."""
        trail = self._trails.setdefault(key, [])
        if key not in self._replaced:
            self._settled.setdefault(key, len(trail))
        trail.append(value)

    def replace(self, key: K, trail: list[V]) -> None:
        """Put another trail in the place of the one that was."""
        if key not in self._replaced:
            old = self._trails.get(key, [])
            self._replaced[key] = old[: self._settled.pop(key, len(old))]
        self._trails[key] = trail

    def get(self, key: K) -> list[V]:
        """Return the trail, staged growth included; not to be changed."""
        return self._trails.get(key, [])

    def items(self) -> list[tuple[K, list[V]]]:
        """Return every trail."""
        return list(self._trails.items())

    def settle(self) -> None:
        """Keep what has grown."""
        self._settled.clear()
        self._replaced.clear()

    def discard(self) -> None:
        """Go back to what was settled last."""
        for key, length in self._settled.items():
            self._restore(key, self._trails[key][:length])
        for key, trail in self._replaced.items():
            self._restore(key, trail)
        self.settle()

    def _restore(self, key: K, trail: list[V]) -> None:
        if trail:
            self._trails[key] = trail
        else:  # an empty one would be as good as none, and counted as one
            self._trails.pop(key, None)


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
        """Take one event in; what it changes is staged."""
        handler = self.handlers.get(type(recorded.event))
        if handler is None:
            return
        try:
            handler(self, recorded.event, recorded)
        except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            what, why = type(recorded.event).__name__, escaped(str(error))
            raise DamagedLog(f"seq {recorded.seq}: {what} does not fit what stands before it: {why}") from error

    def replay(self: P, events: Iterable[Recorded]) -> P:
        """Take in many events, settle, and return self."""
        for recorded in events:
            self.apply(recorded)
        self.settle()
        return self

    def settle(self) -> None:
        """Make what is staged visible to readers."""
        for part in self._parts():
            part.settle()

    def discard(self) -> None:
        """Forget what is staged."""
        for part in self._parts():
            part.discard()

    def _parts(self) -> list[Cells[Any, Any] | Trails[Any, Any]]:
        found: list[Cells[Any, Any] | Trails[Any, Any]] | None = self.__dict__.get("_own_parts")
        if found is None:  # they are made once and never replaced
            found = self.__dict__["_own_parts"] = [p for p in vars(self).values() if isinstance(p, Cells | Trails)]
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
