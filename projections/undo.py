"""
The undo list: what the changes since the last commit have replaced.

State is changed in place. Every change first puts what it replaces on the list; `commit` clears the list, `rollback`
walks it backwards, and `undone` shows the committed state to a reader while a batch is on its way to the disk. A replay
turns the list off, for a state that could not be folded is dropped as a whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Undoable(Protocol):
    """An object with changes on an undo list."""

    def swap(self, key: Any, old: Any) -> Any:
        """Put the replaced value `old` back under `key`; return what puts the change into effect again."""


Step = tuple[Undoable, Any, Any]
_ABSENT: Any = object()  # in place of a value: there was none; None is a value


class UndoLog:
    """The changes since the last commit, the newest last; one list for everything that commits together."""

    __slots__ = ("steps", "tables")

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.tables: list[Table[Any, Any]] = []

    def commit(self) -> None:
        """Make the changes permanent."""
        self.steps.clear()

    def rollback(self, length: int = 0) -> None:
        """Undo the changes, the newest first, until `length` of them are left."""
        steps = self.steps
        while len(steps) > length:
            changed, key, old = steps.pop()
            changed.swap(key, old)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Record no changes inside the `with` block, and commit at its end."""
        tables: list[Table[Any, Any]] = [table for table in self.tables if type(table) is UndoDict]
        for table in tables:
            table.__class__ = Table  # its `__setitem__` is that of dict: a fourth of the time
        try:
            yield
        finally:
            for table in tables:
                table.__class__ = UndoDict
            self.commit()

    @contextmanager
    def tentative(self) -> Iterator[None]:
        """Undo at the end of the `with` block what was changed inside."""
        length = len(self.steps)
        try:
            yield
        finally:
            self.rollback(length)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Show the committed state inside the `with` block; a change made inside is undone at its end."""
        redo = [(changed, key, changed.swap(key, old)) for changed, key, old in reversed(self.steps)]
        steps = self.steps[:]
        self.steps.clear()
        try:
            yield
        finally:
            self.rollback()
            for changed, key, new in reversed(redo):
                changed.swap(key, new)
            self.steps += steps


class Table(dict[K, V]):
    """A dict of immutable values; this class records no changes, `UndoDict` does."""

    __slots__ = ("_steps",)

    def __init__(self, undo: UndoLog) -> None:
        super().__init__()
        self._steps = undo.steps
        undo.tables.append(self)

    def swap(self, key: K, old: Any) -> Any:
        """Put a replaced value back; return the one it takes the place of."""
        current = dict.get(self, key, _ABSENT)
        if old is _ABSENT:
            dict.pop(self, key, None)
        else:
            dict.__setitem__(self, key, old)
        return current

    def load(self, key: K, value: V) -> None:
        """Set a value that follows from committed events: it is not undone."""
        dict.__setitem__(self, key, value)

    def drop(self, key: K) -> None:
        """Remove a key; undone like every other change."""
        old = self.pop(key, _ABSENT)
        if old is not _ABSENT:
            self._steps.append((self, key, old))

    def changed(self) -> list[K]:
        """Return the keys that were changed since the last commit."""
        return list(dict.fromkeys(key for each, key, _ in self._steps if each is self))


class UndoDict(Table[K, V]):
    """A table whose changes can be undone."""

    __slots__ = ()

    def __setitem__(self, key: K, value: V) -> None:
        self._steps.append((self, key, dict.get(self, key, _ABSENT)))
        dict.__setitem__(self, key, value)


class _Item:
    """One value of a list, and its place."""

    __slots__ = ("place", "value")

    def __init__(self, place: int, value: Any) -> None:
        self.place = place
        self.value = value


class UndoLists(Generic[K, V]):
    """A list per key, which grows or is replaced as a whole; both can be undone."""

    __slots__ = ("_lists", "_steps")

    def __init__(self, undo: UndoLog) -> None:
        self._lists: dict[K, list[V]] = {}
        self._steps = undo.steps

    def append(self, key: K, value: V) -> None:
        """Add a value to the list of `key`."""
        values = self._lists.get(key)
        if values is None:
            values = self._lists[key] = []
        self._steps.append((self, key, len(values)))
        values.append(value)

    def replace(self, key: K, values: list[V]) -> None:
        """Set the whole list of `key`."""
        self._steps.append((self, key, self._lists.get(key)))
        self._lists[key] = values

    def assign(self, key: K, place: int, value: V) -> None:
        """Replace one value of the list of `key`."""
        values = self._lists[key]
        self._steps.append((self, key, _Item(place, values[place])))
        values[place] = value

    def get(self, key: K) -> list[V]:
        """Return the list of `key`, which must not be changed."""
        return self._lists.get(key, [])

    def items(self) -> list[tuple[K, list[V]]]:
        """Return every key with its list, without empty lists."""
        return [(key, values) for key, values in self._lists.items() if values]

    def swap(self, key: K, old: int | _Item | tuple[V, ...] | list[V] | None) -> Any:
        """Cut the list back to a length, add values again, or put another list in its place."""
        if isinstance(old, _Item):
            values = self._lists[key]
            current_item = _Item(old.place, values[old.place])
            values[old.place] = old.value
            return current_item
        if isinstance(old, int):
            values = self._lists[key]
            added = tuple(values[old:])
            del values[old:]  # the list itself stays, for other steps may refer to it
            return added
        if isinstance(old, tuple):
            values = self._lists[key]
            values.extend(old)
            return len(values) - len(old)
        current = self._lists.pop(key, None)
        if old is not None:
            self._lists[key] = old
        return current
