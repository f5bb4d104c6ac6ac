"""The state of positions as bytes and back, and what tells that it is what was kept."""

import hashlib
from collections.abc import Callable

import msgspec
from msgspec import Struct

from oms_es.projections.position_state import BookedFill, Instrument, Mark, PositionKey, PositionState, fold
from oms_es.projections.positions import Positions
from oms_es.projections.snapshots.integrity import Place, check
from oms_es.projections.snapshots.pnl_index import NO_DAYS, StagedDays, Sums
from oms_es.vocabulary import CostMethod

VERSION = f"9.{Positions.version}"
Earlier = Callable[[PositionKey], list[BookedFill]]


class PositionsSnapshot(Struct, frozen=True):
    """What a checkpoint keeps of positions; what each trading day brought stands in rows of its own."""

    held: list[PositionState]
    marks: dict[str, Mark]
    instruments: dict[str, Instrument]
    days: Sums


_encode = msgspec.msgpack.Encoder(order="sorted").encode
_decode = msgspec.msgpack.Decoder(PositionsSnapshot).decode


def encode_positions(positions: Positions, days: Sums = NO_DAYS) -> bytes:
    """Return the committed state of positions as bytes, with what the rows of its days come to."""
    held = [each for _, each in positions.sorted()]
    return _encode(PositionsSnapshot(held, positions.marks.committed, positions.instruments.committed, days))


def decode_positions(
    state: bytes, method: CostMethod, earlier: Earlier | None = None, days: StagedDays | None = None
) -> tuple[Positions, Sums]:
    """
    Return positions that go on from a state, and what the rows of its days come to.

    Args:
        state: what was packed.
        method: by which cost method.
        earlier: the fills booked before the state, by book; None where nothing restates them.
        days: where what each trading day has brought so far is fetched; None where nobody asks.
    """
    kept = _decode(state)
    books = {held.book: held for held in kept.held}

    def all_of(book: PositionKey) -> list[BookedFill]:
        found, held = earlier(book) if earlier is not None else [], books.get(book)
        if held is not None:  # what the fills come to is known: none can be missing
            check(fold(found, method) == (held.lots, held.gross, held.fees))
        return found

    positions = Positions(method, None if earlier is None else all_of)
    if days is not None:
        positions.days = days
    for held in kept.held:
        positions.held[held.book] = held
        positions.register(held.book)
    for symbol, mark in kept.marks.items():
        positions.marks[symbol] = mark
    for symbol, instrument in kept.instruments.items():
        positions.instruments[symbol] = instrument
    positions.commit()
    return positions, kept.days


def digest(method: CostMethod, place: Place, state: bytes) -> bytes:
    """Return what a checkpoint's state is checked against."""
    return hashlib.sha256(f"{VERSION}|{method.value}|{place}|".encode() + state).digest()
