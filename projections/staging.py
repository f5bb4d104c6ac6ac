"""Mappings and lists whose writes are pending until they are committed, and can be rolled back."""

from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class StagedDict(Generic[K, V]):
    """A mapping of immutable values whose writes wait until they are committed."""

    __slots__ = ("_hidden", "_pending", "committed")

    def __init__(self) -> None:
        self.committed: dict[K, V] = {}
        self._pending: dict[K, V] = {}
        self._hidden: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return the latest value, pending or committed."""
        if self._pending:
            found = self._pending.get(key)
            if found is not None:
                return found
        return self.committed.get(key)

    def __setitem__(self, key: K, value: V) -> None:
        self._pending[key] = value

    def commit(self) -> None:
        """Make pending changes visible to readers."""
        if self._pending:
            self.committed.update(self._pending)
            self._pending.clear()

    def rollback(self) -> None:
        """Drop pending changes."""
        self._pending.clear()

    def pending(self) -> list[K]:
        """Return the keys that are written and not committed yet."""
        return list(self._pending)

    def hide(self) -> None:
        """Show what is committed only; called again, show what is pending as well."""
        self._pending, self._hidden = self._hidden, self._pending

    def items(self) -> list[tuple[K, V]]:
        """Return what is committed."""
        return list(self.committed.items())

    def __iter__(self) -> Iterator[K]:
        return iter(self.committed)

    def __len__(self) -> int:
        return len(self.committed)


class StagedLists(Generic[K, V]):
    """Sequences that only grow (one per key), whose growth waits until it is committed."""

    __slots__ = ("_committed", "_lists", "_replaced")

    def __init__(self) -> None:
        self._lists: dict[K, list[V]] = {}
        self._committed: dict[K, int] = {}  # lengths to go back to, of the trails that have grown
        self._replaced: dict[K, list[V]] = {}  # what stood before a replacement

    def append(self, key: K, value: V) -> None:
        """Add to the trail of `key`."""
        values = self._lists.setdefault(key, [])
        if key not in self._replaced:
            self._committed.setdefault(key, len(values))
        values.append(value)

    def replace(self, key: K, values: list[V]) -> None:
        """Put another trail in the place of the one that was."""
        if key not in self._replaced:
            old = self._lists.get(key, [])
            self._replaced[key] = old[: self._committed.pop(key, len(old))]
        self._lists[key] = values

    def get(self, key: K) -> list[V]:
        """Return the trail, pending growth included; not to be changed."""
        return self._lists.get(key, [])

    def items(self) -> list[tuple[K, list[V]]]:
        """Return every trail."""
        return list(self._lists.items())

    def commit(self) -> None:
        """Keep what has grown."""
        self._committed.clear()
        self._replaced.clear()

    def rollback(self) -> None:
        """Go back to what was committed last."""
        for key, length in self._committed.items():
            self._restore(key, self._lists[key][:length])
        for key, values in self._replaced.items():
            self._restore(key, values)
        self.commit()

    def _restore(self, key: K, values: list[V]) -> None:
        if values:
            self._lists[key] = values
        else:  # an empty one would be as good as none, and counted as one
            self._lists.pop(key, None)
