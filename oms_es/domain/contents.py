"""The contents of reported trades, by which a repeated report is recognised."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec import Struct


class Content(Struct, frozen=True, array_like=True, order=True):
    """The content of a reported trade, for detecting repetitions; symbol and side are "" if not reported."""

    trade_id: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    symbol: str = ""  # missing in snapshots of earlier releases
    side: str = ""

    def is_of(self, symbol: str, side: str) -> bool:
        """Return whether the report is consistent with this symbol and side."""
        return ("" in (self.symbol, symbol) or self.symbol == symbol) and ("" in (self.side, side) or self.side == side)


class Contents:
    """
    An immutable set of contents, found by trade id; the cost of adding one does not depend on their number.

    The versions of a set share one list, and a version is a length of it. The longest version appends to the list; a
    shorter one (after a rollback) copies it first.
    """

    __slots__ = ("_by_trade", "_shared", "_size")

    def __init__(self, contents: Iterable[Content] = ()) -> None:
        self._shared = list(dict.fromkeys(contents))
        self._size = len(self._shared)
        self._by_trade: dict[str, list[int]] = {}
        for number, each in enumerate(self._shared):
            self._by_trade.setdefault(each.trade_id, []).append(number)

    def of(self, trade_id: str | None) -> list[Content]:
        """Return the contents with a trade id."""
        numbers = self._by_trade.get(trade_id) if trade_id is not None else None
        return [self._shared[number] for number in numbers if number < self._size] if numbers else []

    def added(self, content: Content | None) -> "Contents":
        """Return the set with one more content."""
        if content is None or content in self.of(content.trade_id):
            return self
        if self._size == len(self._shared) and self._size:
            longer = object.__new__(Contents)
            longer._shared, longer._by_trade = self._shared, self._by_trade
        else:  # the shared list has gone another way, or this is the empty set that all orders begin with
            longer = Contents(self)
        longer._by_trade.setdefault(content.trade_id, []).append(self._size)
        longer._shared.append(content)
        longer._size = self._size + 1
        return longer

    def __iter__(self) -> Iterator[Content]:
        return iter(self._shared[: self._size])

    def __len__(self) -> int:
        return self._size

    def __eq__(self, other: object) -> bool:
        return set(self) == set(other) if isinstance(other, Contents) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self))
