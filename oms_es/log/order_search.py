"""
Find the orders of a symbol, or the open orders, of any moment: by SQL, without decoding the events of all orders.

The search reads the bodies as text. A body in another form than our encoder's matches every search, so that a search
may return an order too many, which the caller filters out, but never one too few.
"""

import sqlite3
from collections.abc import Collection, Iterator

from msgspec import Struct

from oms_es.domain.events import OrderSubmitted, StateChanged
from oms_es.log.codec import CODEC
from oms_es.log.decoding import SELECT
from oms_es.log.row_hashes import Columns
from oms_es.vocabulary import OrderState

_LATEST = 2**63 - 1
_MANY = 500  # streams in one query
_KNOWN = (
    "SELECT originator_id FROM events WHERE topic = (SELECT id FROM names WHERE name = ?) AND seq <= ? "
    "AND coalesce(effective_at, occurred_at) <= ?"
)
_DONE = [state for state in OrderState if state.is_terminal]


class OrderSearch(Struct, frozen=True, kw_only=True):
    """The orders to find."""

    until: int  # the last event that was known
    moment: int | None = None  # effective by then, ns UTC; None: whenever
    symbols: frozenset[str] | None = None  # None: every symbol
    only_open: bool = False  # pending and working orders only


def find_orders(connection: sqlite3.Connection, search: OrderSearch) -> list[int]:
    """Return the keys of the streams of these orders."""
    found = set(_submitted(connection, search))
    if search.only_open:
        found -= _changed(connection, search, "new") - _changed(connection, search, "old")
    return sorted(found)


def _submitted(connection: sqlite3.Connection, search: OrderSearch) -> Iterator[int]:
    texts = [CODEC.field("symbol", symbol) for symbol in sorted(search.symbols or ())]
    where = ""
    if search.symbols is not None:
        where = f" AND (instr(state, ?) = 0{' OR instr(state, ?)' * len(texts)})"
        texts = [b'"symbol":"', *texts]
    return _keys(connection, where, OrderSubmitted, search, texts)


def _changed(connection: sqlite3.Connection, search: OrderSearch, field: str) -> set[int]:
    """Return the streams with a change from (`old`) or to (`new`) a final state."""
    texts = [CODEC.field(field, state.value) for state in _DONE]
    where = f" AND ({' OR '.join(['instr(state, ?)'] * len(texts))})"
    return set(_keys(connection, where, StateChanged, search, texts))


def _keys(
    connection: sqlite3.Connection, where: str, event: type, search: OrderSearch, texts: list[bytes]
) -> Iterator[int]:
    moment = _LATEST if search.moment is None else search.moment
    values = (event.__name__, search.until, moment, *texts)
    return (key for (key,) in connection.execute(_KNOWN + where, values))


def columns_of(connection: sqlite3.Connection, keys: Collection[int], until: int) -> list[Columns]:
    """Return the columns of the events of these streams up to a seq, in the order of the log."""
    found, wanted = list[Columns](), list(keys)
    for start in range(0, len(wanted), _MANY):
        some = wanted[start : start + _MANY]
        query = f"{SELECT} WHERE e.originator_id IN ({','.join('?' * len(some))}) AND e.seq <= ?"
        found += connection.execute(query, (*some, until)).fetchall()
    return sorted(found)
