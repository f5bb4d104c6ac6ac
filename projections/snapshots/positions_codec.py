"""The state of positions as bytes and back, and its digest."""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from oms_es.projections.position_state import BookedFill, Instrument, Mark, PositionKey, PositionState, fold
from oms_es.projections.positions import Positions
from oms_es.projections.snapshots.integrity import Cache, Place, check
from oms_es.projections.snapshots.pnl_index import NO_DAYS, Sums
from oms_es.vocabulary import CostMethod

VERSION = f"11.{Positions.version}"
Earlier = Callable[[PositionKey], list[BookedFill]]


class PositionsSnapshot(Struct, frozen=True):
    """The positions of a checkpoint; the P&L of each trading day is in rows of its own."""

    held: list[PositionState]
    marks: dict[str, Mark]
    instruments: dict[str, Instrument]
    days: Sums


_encode = msgspec.msgpack.Encoder(order="sorted").encode
_decode = msgspec.msgpack.Decoder(PositionsSnapshot).decode


def encode_positions(positions: Positions, days: Sums = NO_DAYS) -> bytes:
    """Return the committed state of positions as bytes, with the sums of the rows of its days."""
    held = [each for _, each in positions.sorted()]
    return _encode(PositionsSnapshot(held, positions.marks, positions.instruments, days))


def decode_positions(state: bytes, method: CostMethod, earlier: Earlier | None = None) -> tuple[Positions, Sums]:
    """
    Return positions that continue from a state, and the sums of the rows of its days.

    Args:
        state: bytes of `encode_positions`.
        method: the cost method.
        earlier: returns the fills of a book before the state; None where no bust or correction follows.
    """
    snapshot = _decode(state)
    books = {held.book: held for held in snapshot.held}

    def all_of(book: PositionKey) -> list[BookedFill]:
        found, held = earlier(book) if earlier is not None else [], books.get(book)
        if held is not None:  # their result is known, so none can be missing
            check(fold(found, method) == (held.lots, held.gross, held.fees))
        return found

    positions = Positions(method, None if earlier is None else all_of)
    for held in snapshot.held:
        positions.held[held.book] = held
        positions.register(held.book)
    for symbol, mark in snapshot.marks.items():
        positions.marks[symbol] = mark
    for symbol, instrument in snapshot.instruments.items():
        positions.instruments[symbol] = instrument
    positions.commit()
    return positions, snapshot.days


def digest(cache: Cache, method: CostMethod, place: Place, state: bytes) -> bytes:
    """Return the digest of the state of a checkpoint."""
    return cache.digest(VERSION, method.value, place, state=state)
