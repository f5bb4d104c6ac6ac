"""The names that a log contains (symbols, accounts, orders, currencies), and the nearest ones to an unknown name."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import (
    Event,
    FillQuarantined,
    InstrumentDefined,
    MarkRecorded,
    OrderSubmitted,
    PolicyChanged,
    StateChanged,
    TradingLevelChanged,
)
from oms_es.identifiers import shown
from oms_es.projections.state import State
from oms_es.vocabulary import EVERY_ACCOUNT

_EVENTS: dict[str, tuple[type[Event], ...]] = {  # every name of a kind is in one of these
    "symbol": (OrderSubmitted, FillQuarantined, MarkRecorded, InstrumentDefined),
    "account": (OrderSubmitted, FillQuarantined, PolicyChanged, TradingLevelChanged),
    "order": (OrderSubmitted, StateChanged),
    "currency": (InstrumentDefined,),
}
_ASSUMED = "USD"  # the currency of a symbol without a definition
_MOST_COMPARED = 5000  # names
_MOST_LISTED = 5  # names


class Name(NamedTuple):
    """A name in a query."""

    kind: str  # "symbol", "account", "order" or "currency"
    text: str
    account: str | None = None  # of an order, if the query names one


class Unknown(NamedTuple):
    """A name that the log does not contain."""

    name: Name
    near: tuple[str, ...]  # names of that kind that it does contain

    def row(self) -> dict[str, Any]:
        """Return the name as in JSON."""
        return {"kind": self.name.kind, "name": self.name.text, "near": list(self.near)}

    def __str__(self) -> str:
        whose = "" if self.name.account is None else f" of account {shown(self.name.account)}"
        return f"no {self.name.kind} {shown(self.name.text)}{whose}"

    def hint(self) -> str:
        """Return the nearest names as text; empty when there are none."""
        return f" (did you mean {', '.join(map(shown, self.near))}?)" if self.near else ""


class _Names:
    """The names that a state and events contain."""

    def __init__(self, opening: State | None) -> None:
        self._of: dict[str, set[str]] = {kind: set() for kind in _EVENTS}
        self._of["currency"].add(_ASSUMED)
        self._orders: set[tuple[str, str]] = set()  # account and id
        if opening is not None:
            self._open_with(opening)

    def _open_with(self, state: State) -> None:
        positions, orders = state.positions, state.orders
        for each in orders.sorted():
            self._add_symbol_and_account(each.symbol, each.account)
            for order_id in (each.order_id, *each.external_order_ids):
                self._add_order(each.account, order_id)
        for _, held in positions.sorted():
            self._add_symbol_and_account(held.symbol, held.account)
            self._of["currency"].add(held.currency)
        for symbol in (*positions.marks, *positions.instruments):
            self._add_symbol_and_account(symbol, "")
            self._of["currency"].add(positions.currency(symbol))
        self._of["account"] |= {*state.policies.values, *state.policies.levels} - {EVERY_ACCOUNT}

    def add(self, event: Event) -> None:
        """Add the names in an event."""
        account = getattr(event, "account", "")
        self._add_symbol_and_account(getattr(event, "symbol", None), account)
        if isinstance(event, OrderSubmitted):
            self._add_order(account, event.order_id)
        elif isinstance(event, StateChanged) and event.external_order_id is not None:
            self._add_order(account, event.external_order_id)
        elif isinstance(event, InstrumentDefined):
            self._of["currency"].add(event.currency)

    def _add_symbol_and_account(self, symbol: str | None, account: str) -> None:
        if symbol:
            self._of["symbol"].add(symbol)
        if account not in ("", EVERY_ACCOUNT):
            self._of["account"].add(account)

    def _add_order(self, account: str, order_id: str) -> None:
        self._of["order"].add(order_id)
        self._orders.add((account, order_id))

    def __contains__(self, name: Name) -> bool:
        if name.account is not None:
            return (name.account, name.text) in self._orders
        return name.text in self._of[name.kind]

    def near(self, name: Name) -> tuple[str, ...]:
        """Return the names most like this one; all of them if they are few."""
        names = self._of[name.kind] - {name.text}
        if name.account is not None:
            names = {order_id for account, order_id in self._orders if account == name.account}
        close = nearest(name.text, names)
        if not close and len(names) <= _MOST_LISTED and name.kind != "order":
            return tuple(sorted(names))
        return close


def nearest(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names most like a text, ignoring case; of very many names only some are compared."""
    by_case: dict[str, list[str]] = {}
    for each in sorted(names, key=lambda each: (each[:2] != text[:2], each))[:_MOST_COMPARED]:
        by_case.setdefault(each.lower(), []).append(each)
    close = get_close_matches(text.lower(), by_case, n=_MOST_LISTED)
    return tuple(each for found in close for each in by_case[found])[:_MOST_LISTED]


def topics_with(names: Iterable[Name]) -> frozenset[str]:
    """Return the topics of the events that can contain these names."""
    return frozenset(kind.__name__ for name in names for kind in _EVENTS[name.kind])


def unknown_names(names: Sequence[Name], events: Iterable[Recorded], opening: State | None = None) -> list[Unknown]:
    """
    Return those names that neither the events nor the state before them contain.

    Reading ends as soon as every name was found.

    Args:
        names: the names of a query.
        events: those of `topics_with(names)`, in log order.
        opening: the state before them; None: they are the first.
    """
    found = _Names(opening)
    open_names = [name for name in names if name not in found]
    for each in events if open_names else ():
        found.add(each.event)
        open_names = [name for name in open_names if name not in found]
        if not open_names:
            break
    return [Unknown(name, found.near(name)) for name in dict.fromkeys(open_names)]
