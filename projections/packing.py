"""
The state of positions as bytes and back, and what tells that it is what was kept.

States stand in series. `fifo` is what was held by that method. `fifo+days` is that and what each trading day brought,
kept less often, the more there is of it; `fifo+tip` is the last of these, which the next checkpoints go on from.
"""

import hashlib
import sqlite3
import zlib
from collections.abc import Callable

import msgspec
from msgspec import Struct

from oms_es.errors import DamagedLog
from oms_es.projections.holdings import Book, Booked, Brought, Day, DayKey, Held, Instrument, Mark, fold
from oms_es.projections.positions import Positions
from oms_es.vocabulary import CostMethod

VERSION = f"7.{Positions.version}"
DAYS, TIP = "+days", "+tip"  # what the names of series end in
Place = tuple[int, int]  # effective_at, seq
Earlier = Callable[[Book], list[Booked]]
BEGINNING: Place = (-1, 0)
# What a cache that was damaged, or does not fit the log, can raise on its way to an answer.
UNUSABLE = (
    sqlite3.Error, msgspec.MsgspecError, DamagedLog, ValueError, LookupError, TypeError, ArithmeticError, AssertionError
)  # fmt: skip


class State(Struct, frozen=True, omit_defaults=True):
    """What a checkpoint keeps of positions."""

    held: list[Held]
    marks: dict[str, Mark]
    instruments: dict[str, Instrument]
    days: list[tuple[DayKey, Day]] = []
    brought: list[tuple[tuple[str, str, str], Brought]] = []


_encode = msgspec.msgpack.Encoder(order="sorted").encode
_decode = msgspec.msgpack.Decoder(State).decode


def read_series(method: CostMethod, *, days: bool) -> tuple[str, ...]:
    """Return the series that an answer may begin with, the one that ends last first."""
    return (method.value + TIP, method.value + DAYS) if days else (method.value,)


def packed(positions: Positions, *, days: bool = False) -> bytes:
    """Return the settled state of positions as bytes; with `days` also what each trading day brought."""
    held = [each for _, each in positions.sorted()]
    state = State(held, positions.marks.settled, positions.instruments.settled)
    if days:
        state = msgspec.structs.replace(
            state, days=sorted(positions.days.items()), brought=sorted(positions.brought.items())
        )
    return _encode(state)


def unpacked(state: bytes, method: CostMethod, earlier: Earlier | None = None) -> Positions:
    """Return positions that go on from a state; without what each day brought, unless the state has it."""
    kept = _decode(state)
    books = {held.book: held for held in kept.held}

    def all_of(book: Book) -> list[Booked]:
        found, held = earlier(book) if earlier is not None else [], books.get(book)
        if held is not None:  # what the fills come to is known: none can be missing
            check(fold(found, method) == (held.lots, held.gross, held.fees))
        return found

    positions = Positions(method, None if earlier is None else all_of)
    for held in kept.held:
        positions.held[held.book] = held
        positions.register(held.book)
    for symbol, mark in kept.marks.items():
        positions.marks[symbol] = mark
    for symbol, instrument in kept.instruments.items():
        positions.instruments[symbol] = instrument
    for day_key, day in kept.days:
        positions.days[day_key] = day
    for account_key, brought in kept.brought:
        positions.brought[account_key] = brought
    positions.settle()
    return positions


def digest(series: str, place: Place, state: bytes) -> bytes:
    """Return what a checkpoint's state is checked against."""
    return hashlib.sha256(f"{VERSION}|{series}|{place}|".encode() + state).digest()


def check(right: bool) -> None:
    """Refuse a cache that is not what was kept."""
    if not right:
        raise sqlite3.DatabaseError("a checkpoint is not what was kept")


def marked(*values: object) -> int:
    """Return what a row of the cache is checked against."""
    return zlib.crc32("|".join(map(str, values)).encode())
