"""Mappings and lists whose writes are pending until they are committed, and can be rolled back."""

from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


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
