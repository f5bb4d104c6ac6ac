"""The filter of a query: which rows of an answer are returned. The command line and the API have the same one."""

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

from oms_es.domain.order import Order
from oms_es.domain.validation import choice
from oms_es.errors import InvalidInput
from oms_es.timestamps import Calendar, instant
from oms_es.vocabulary import OrderState

Names: TypeAlias = str | Collection[str] | None  # one name, several, or None for all
Row: TypeAlias = dict[str, Any]
T = TypeVar("T")


class RowFilter(Struct, frozen=True, kw_only=True):
    """The filter of a query; None accepts all."""

    symbols: frozenset[str] | None = None
    accounts: frozenset[str] | None = None
    states: frozenset[str] | None = None  # of orders
    start: int | None = None  # ns UTC, included
    end: int | None = None  # ns UTC, included
    limit: int | None = None  # rows: the first ones, or the last ones if it is negative

    @classmethod
    def of(
        cls,
        *,
        symbol: Names = None,
        account: Names = None,
        state: Names = None,
        start: Any = None,
        end: Any = None,
        limit: int | None = None,
    ) -> "RowFilter":
        """Return the filter of the arguments of a caller; raise `InvalidInput` for one that is not valid."""
        states = _names(state)
        if limit is not None and (type(limit) is not int or not limit):
            raise InvalidInput(f"limit: {limit!r} is not a number of rows like 10, or like -10 for the last ten")
        found = cls(
            symbols=_names(symbol),
            accounts=_names(account),
            states=None if states is None else frozenset(choice(OrderState, each, "state").value for each in states),
            start=None if start is None else instant(start, "start"),
            end=None if end is None else instant(end, "end"),
            limit=limit,
        )
        if found.start is not None and found.end is not None and found.end < found.start:
            raise InvalidInput("end: it is before start")
        return found

    @property
    def only_open(self) -> bool:
        """Return whether the filter accepts open orders only."""
        return self.states is not None and all(OrderState(each).is_open for each in self.states)

    def rows(self, rows: Iterable[Row], time: str | None = None) -> list[Row]:
        """Return the rows that the filter accepts; `time` is the key of the time that `start` and `end` are about."""
        bounded = time is not None and (self.start is not None or self.end is not None)
        return self.limited(
            row
            for row in rows
            if self.accepts(row["account"], row.get("symbol"))
            and (not bounded or time is None or self._covers(instant(row[time])))
        )

    def orders(self, orders: Iterable[Order]) -> list[Order]:
        """Return the orders that the filter accepts; `start` and `end` are about their submission."""
        return self.limited(
            each
            for each in orders
            if self.accepts(each.account, each.symbol)
            and (self.states is None or each.state.value in self.states)
            and self._covers(each.submitted_at)
        )

    def named(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows of the symbols and accounts, of any time."""
        return [row for row in rows if self.accepts(row["account"], row["symbol"])]

    def of_days(self, rows: Iterable[Row], calendar: Calendar) -> list[Row]:
        """Return the rows of the trading days from that of `start` to that of `end`, up to the limit."""
        first, last = (None if at is None else calendar.day_of(at) for at in (self.start, self.end))
        return self.limited(
            row
            for row in rows
            if (first is None or row["trading_day"] >= first) and (last is None or row["trading_day"] <= last)
        )

    def accepts(self, account: str, symbol: str | None) -> bool:
        """Return whether the filter accepts an account and a symbol."""
        return (self.accounts is None or account in self.accounts) and (self.symbols is None or symbol in self.symbols)

    def _covers(self, at: int) -> bool:
        return (self.start is None or at >= self.start) and (self.end is None or at <= self.end)

    def limited(self, rows: Iterable[T]) -> list[T]:
        """Return the first rows, or the last ones, up to the limit."""
        if self.limit is None or self.limit < 0:
            return list(rows)[self.limit :] if self.limit is not None else list(rows)
        return list(islice(rows, self.limit))


def _names(names: Names) -> frozenset[str] | None:
    if names is None:
        return None
    return frozenset([names] if isinstance(names, str) else names)
