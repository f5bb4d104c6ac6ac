"""The whole state as bytes and back: the opening state of a day that travels in a box."""

from decimal import Decimal
from typing import Any

import msgspec

from oms_es.decimals import minus, text, times
from oms_es.domain.accounting import summed
from oms_es.domain.order import Order
from oms_es.domain.policy import Value
from oms_es.projections.orders import Key, Sides, Unknown
from oms_es.projections.position_state import Book, Booked, Brought, Day, DayKey, Held, Instrument, Mark
from oms_es.projections.staging import Cells, Trails
from oms_es.projections.state import World
from oms_es.projections.trading_days import Span
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
    "orders.merged": list[tuple[Key, Key]],
    "orders.waiting_day": list[tuple[str, str]],
    "positions.held": list[tuple[Book, Held]],
    "positions.books": list[tuple[Key, tuple[Book, ...]]],
    "positions.marks": list[tuple[str, Mark]],
    "positions.instruments": list[tuple[str, Instrument]],
    "positions.days": list[tuple[DayKey, Day]],
    "positions.brought": list[tuple[tuple[str, str, str], Brought]],
    "positions.holders": list[tuple[str, tuple[str, ...]]],
    "positions.symbols": list[tuple[str, tuple[str, ...]]],
    "positions._booked": list[tuple[Book, list[Booked]]],
    "policies.values": list[tuple[str, dict[str, Value]]],
    "policies.from_file": list[tuple[str, Value]],
    "policies.levels": list[tuple[str, TradingLevel]],
    "policies.rules": list[tuple[str, int]],
    "policies.changed_at": list[tuple[str, int]],
    "rates.recent": list[tuple[str, tuple[int, ...]]],
    "days.spans": list[tuple[str, Span]],
    "days.closed": list[tuple[str, int]],
    "days.ended": list[tuple[str, tuple[int, int]]],
}
VERSION = 3
_FIRST = ("positions.held", "positions._booked", "positions.days")
_PARTS = ("orders", "positions", "policies", "rates", "days")


def dumped(world: World) -> bytes:
    """Return the settled state of a world as JSON, the same bytes for the same state on every machine."""
    cells = {name: sorted(cell.items()) for name, cell in _cells(world).items()}
    content = {
        "state": VERSION,
        "method": world.positions.method,
        "seq": world.settled_seq,
        "recorded_at": world.recorded_at,
        **cells,
    }
    return msgspec.json.encode(content, order="deterministic")


def restored(state: bytes) -> World:
    """
    Return the world that was dumped.

    Raises:
        msgspec.ValidationError: the bytes are no such state.
    """
    content = msgspec.json.decode(state, type=dict[str, msgspec.Raw])
    version = msgspec.json.decode(content.get("state", b"1"), type=int)
    if version > VERSION:
        raise msgspec.ValidationError(f"it has version {version}; this version reads up to {VERSION}: upgrade oms_es")
    if version == 1:
        content = _from_first(content)
    if version < 3:  # no order was merged yet
        content = {**content, "orders.merged": msgspec.Raw(b"[]")}
    world = World(msgspec.json.decode(content["method"], type=CostMethod))
    for name, cell in _cells(world).items():
        for key, value in msgspec.json.decode(content[name], type=_CELLS[name]):
            if isinstance(cell, Trails):
                cell.replace(key, value)
            else:
                cell[key] = value
    world.seq = msgspec.json.decode(content["seq"], type=int)
    world.recorded_at = msgspec.json.decode(content["recorded_at"], type=int)
    world.settle_all()
    return world


def _from_first(content: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Return a state of version 1, whose positions knew no books and whose lots no units, as one of today."""
    old: dict[str, Any] = {name: msgspec.json.decode(content[name]) for name in _FIRST}
    currencies = {tuple(key): held["currency"] for key, held in old["positions.held"]}
    brought: dict[tuple[str, str, str], Brought] = {}
    for _, held in old["positions.held"]:
        units = [times(Decimal(each["quantity"]), Decimal(held["multiplier"])) for each in held["lots"]]
        sizes = zip(held["lots"], units, strict=True)
        held["lots"] = [[each["quantity"], each["cost"], text(size), each["source"]] for each, size in sizes]
        held["units"] = text(summed(units))
    for _, trail in old["positions._booked"]:
        for booked in trail:
            lot = booked["lot"]
            size = text(times(Decimal(lot["quantity"]), Decimal(booked["multiplier"])))
            booked["lot"] = [lot["quantity"], lot["cost"], size, lot["source"]]
    for (trading_day, account, _), day in old["positions.days"]:
        key = (trading_day, account, day["currency"])
        realized = minus(Decimal(day["gross"]), Decimal(day["fees"]))
        brought[key] = brought.get(key, Brought()).after(realized, Decimal(day["moved"]))
    new = {
        "positions.held": [[[*key, currencies[tuple(key)]], held] for key, held in old["positions.held"]],
        "positions.books": [[key, [[*key, currencies[tuple(key)]]]] for key, _ in old["positions.held"]],
        "positions._booked": [[[*key, currencies[tuple(key)]], trail] for key, trail in old["positions._booked"]],
        "positions.days": [[[*key, day["currency"]], day] for key, day in old["positions.days"]],
        "positions.brought": list(brought.items()),
        "days.ended": [],
        "orders.waiting_day": [],
        "policies.rules": [["*", 1]] if msgspec.json.decode(content["policies.values"]) else [],
    }
    return content | {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in new.items()}


def _cells(world: World) -> dict[str, Cells[Any, Any] | Trails[Any, Any]]:
    found = {
        f"{part}.{name}": cell
        for part in _PARTS
        for name, cell in vars(getattr(world, part)).items()
        if isinstance(cell, Cells | Trails)
    }
    assert found.keys() == _CELLS.keys(), f"not told apart: {found.keys() ^ _CELLS.keys()}"
    return found
