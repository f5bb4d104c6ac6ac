"""The whole state as bytes and back: the opening state of a day that travels in a box."""

from typing import Any

import msgspec

from oms_es.order import Order
from oms_es.policy import Value
from oms_es.projections.days import Span
from oms_es.projections.orders import Key, Sides, Unknown
from oms_es.projections.positions import Booked, Day, DayKey, Held, Instrument, Mark
from oms_es.projections.projection import Cells, Trails
from oms_es.projections.world import World
from oms_es.vocabulary import CostMethod, TradingLevel

# What stands in each cell of each part, as pairs; a cell that is missing here is an error, not a silent loss.
_CELLS: dict[str, Any] = {
    "orders.orders": list[tuple[Key, Order]],
    "orders.accounts": list[tuple[str, tuple[str, ...]]],
    "orders.external": list[tuple[str, tuple[Key, ...]]],
    "orders.open_count": list[tuple[str, int]],
    "orders.open_sides": list[tuple[Key, Sides]],
    "orders.waiting_sides": list[tuple[Key, Sides]],
    "orders.waiting": list[tuple[str, tuple[str, ...]]],
    "orders.unknown": list[tuple[Key, Unknown]],
    "orders.unknown_count": list[tuple[str, int]],
    "positions.held": list[tuple[Key, Held]],
    "positions.marks": list[tuple[str, Mark]],
    "positions.instruments": list[tuple[str, Instrument]],
    "positions.days": list[tuple[DayKey, Day]],
    "positions.holders": list[tuple[str, tuple[str, ...]]],
    "positions.symbols": list[tuple[str, tuple[str, ...]]],
    "positions._booked": list[tuple[Key, list[Booked]]],
    "policies.values": list[tuple[str, dict[str, Value]]],
    "policies.from_file": list[tuple[str, Value]],
    "policies.levels": list[tuple[str, TradingLevel]],
    "policies.changed_at": list[tuple[str, int]],
    "rates.recent": list[tuple[str, tuple[int, ...]]],
    "days.spans": list[tuple[str, Span]],
    "days.closed": list[tuple[str, int]],
}
_PARTS = ("orders", "positions", "policies", "rates", "days")


def dumped(world: World) -> bytes:
    """Return the settled state of a world as JSON, the same bytes for the same state on every machine."""
    cells = {name: sorted(cell.items()) for name, cell in _cells(world).items()}
    content = {"method": world.positions.method, "seq": world.settled_seq, "recorded_at": world.recorded_at} | cells
    return msgspec.json.encode(content, order="deterministic")


def restored(state: bytes) -> World:
    """
    Return the world that was dumped.

    Raises:
        msgspec.ValidationError: the bytes are no such state.
    """
    content = msgspec.json.decode(state, type=dict[str, msgspec.Raw])
    world = World(msgspec.json.decode(content["method"], type=CostMethod))
    for name, cell in _cells(world).items():
        for key, value in msgspec.json.decode(content[name], type=_CELLS[name]):
            if isinstance(cell, Trails):
                cell.replace(key, value)
            else:
                cell[key] = value
    world.seq = msgspec.json.decode(content["seq"], type=int)
    world.recorded_at = msgspec.json.decode(content["recorded_at"], type=int)
    world.settle()
    return world


def _cells(world: World) -> dict[str, Cells[Any, Any] | Trails[Any, Any]]:
    found = {
        f"{part}.{name}": cell
        for part in _PARTS
        for name, cell in vars(getattr(world, part)).items()
        if isinstance(cell, Cells | Trails)
    }
    assert found.keys() == _CELLS.keys(), f"not told apart: {found.keys() ^ _CELLS.keys()}"
    return found
