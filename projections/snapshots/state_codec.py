"""The whole state as bytes and back: the opening state of a day archive."""

from decimal import Decimal
from typing import Any

import msgspec

from oms_es.decimals import minus, text, times
from oms_es.domain.accounting import summed
from oms_es.domain.contents import Content, Contents
from oms_es.domain.order import Order
from oms_es.domain.policy import Value
from oms_es.projections.orders import Key, OpenQuantities, UnknownOrderFills
from oms_es.projections.position_state import (
    BookedFill,
    DailyPnl,
    DayKey,
    Instrument,
    Mark,
    PositionDay,
    PositionKey,
    PositionState,
)
from oms_es.projections.state import State
from oms_es.projections.trading_days import DaySpan
from oms_es.projections.undo import Table, UndoLists
from oms_es.vocabulary import CostMethod, TradingLevel

# The content of each cell, as pairs of key and value; a cell that is missing here is an error, not a silent loss.
_CELLS: dict[str, Any] = {
    "orders.orders": list[tuple[Key, Order]],
    "orders.accounts": list[tuple[str, tuple[str, ...]]],
    "orders.external": list[tuple[str, tuple[Key, ...]]],
    "orders.open_count": list[tuple[str, int]],
    "orders.open_sides": list[tuple[Key, OpenQuantities]],
    "orders.waiting_sides": list[tuple[Key, OpenQuantities]],
    "orders.waiting": list[tuple[str, tuple[str, ...]]],
    "orders.unknown": list[tuple[Key, UnknownOrderFills]],
    "orders.unknown_count": list[tuple[str, int]],
    "orders.groups": list[tuple[Key, tuple[Key, ...]]],
    "orders.merged": list[tuple[Key, Key]],
    "orders.waiting_day": list[tuple[str, str]],
    "positions.held": list[tuple[PositionKey, PositionState]],
    "positions.books": list[tuple[Key, tuple[PositionKey, ...]]],
    "positions.marks": list[tuple[str, Mark]],
    "positions.instruments": list[tuple[str, Instrument]],
    "positions.days": list[tuple[DayKey, PositionDay]],
    "positions.brought": list[tuple[tuple[str, str, str], DailyPnl]],
    "positions.holders": list[tuple[str, tuple[str, ...]]],
    "positions.symbols": list[tuple[str, tuple[str, ...]]],
    "positions._booked": list[tuple[PositionKey, list[BookedFill]]],
    "policies.values": list[tuple[str, dict[str, Value]]],
    "policies.from_file": list[tuple[str, Value]],
    "policies.levels": list[tuple[str, TradingLevel]],
    "policies.rules": list[tuple[str, int]],
    "policies.changed_at": list[tuple[str, int]],
    "rates.recent": list[tuple[str, list[int]]],
    "days.spans": list[tuple[str, DaySpan]],
    "days.closed": list[tuple[str, int]],
    "days.ended": list[tuple[str, tuple[int, int]]],
}
VERSION = 4
_FIRST = ("positions.held", "positions._booked", "positions.days")
_DERIVED = {("orders", "open"), ("positions", "_points")}  # worked out again from the others
_PARTS = ("orders", "positions", "policies", "rates", "days")


def encode_state(state: State) -> bytes:
    """Return the committed state as JSON: the same bytes for the same state on every machine."""
    cells: dict[str, Any] = {name: sorted(cell.items()) for name, cell in _cells(state).items()}
    cells["rates.recent"] = sorted(state.rates.stored())
    content = {
        "state": VERSION,
        "method": state.positions.method,
        "seq": state.committed_seq,
        "recorded_at": state.recorded_at,
        **cells,
    }
    if state.clock != state.recorded_at:  # left out elsewhere, so that archives are the same as before
        content["clock"] = state.clock
    return msgspec.json.encode(content, order="deterministic", enc_hook=_as_set)


def _as_set(value: Any) -> Any:
    assert isinstance(value, Contents), f"no form of {type(value).__name__} is stored"
    return frozenset(value)


def _from_set(kind: type[Any], value: Any) -> Any:
    assert kind is Contents, f"no form of {kind.__name__} is stored"
    return Contents(msgspec.convert(value, list[Content]))


def decode_state(stored: bytes) -> State:
    """
    Return the state from the bytes of `encode_state`.

    Raises:
        msgspec.ValidationError: the bytes are not such a state.
    """
    content = msgspec.json.decode(stored, type=dict[str, msgspec.Raw])
    version = msgspec.json.decode(content.get("state", b"1"), type=int)
    if version > VERSION:
        raise msgspec.ValidationError(f"it has version {version}; this version reads up to {VERSION}: upgrade oms_es")
    if version == 1:
        content = _from_first(content)
    if version < 3:  # no order was merged yet
        content = {**content, "orders.merged": msgspec.Raw(b"[]")}
    if version < 4:  # no order was in a group yet
        content = {**content, "orders.groups": msgspec.Raw(b"[]")}
    state = State(msgspec.json.decode(content["method"], type=CostMethod))
    for name, cell in _cells(state).items():
        for key, value in msgspec.json.decode(content[name], type=_CELLS[name], dec_hook=_from_set):
            if isinstance(cell, UndoLists):
                cell.replace(key, value)
            else:
                cell[key] = value
    state.seq = msgspec.json.decode(content["seq"], type=int)
    state.recorded_at = msgspec.json.decode(content["recorded_at"], type=int)
    state.clock = msgspec.json.decode(content.get("clock", content["recorded_at"]), type=int)
    state.days.summarize()
    state.orders.find_open()
    state.commit()
    return state


def _from_first(content: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Convert a state of version 1, whose positions had no books and whose lots no units."""
    old: dict[str, Any] = {name: msgspec.json.decode(content[name]) for name in _FIRST}
    currencies = {tuple(key): held["currency"] for key, held in old["positions.held"]}
    brought: dict[tuple[str, str, str], DailyPnl] = {}
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
        brought[key] = brought.get(key, DailyPnl()).after(realized, Decimal(day["moved"]))
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


def _cells(state: State) -> dict[str, Table[Any, Any] | UndoLists[Any, Any]]:
    found = {
        f"{part}.{name}": cell
        for part in _PARTS
        for name, cell in vars(getattr(state, part)).items()
        if isinstance(cell, Table | UndoLists) and (part, name) not in _DERIVED
    }
    assert found.keys() == _CELLS.keys(), f"cells and types differ: {found.keys() ^ _CELLS.keys()}"
    return found
