"""Answers as rows, ready for JSON: decimals as they are, times as ISO text, null where there is nothing."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from oms_es.cli.describe_event import describe_event
from oms_es.domain.envelope import Recorded
from oms_es.domain.order import QuarantinedFill
from oms_es.projections.policies import Policies
from oms_es.projections.positions import Positions
from oms_es.timestamps import iso
from oms_es.vocabulary import EVERY_ACCOUNT, TradingLevel

Row = dict[str, Any]


def position_rows(positions: Positions, now: int) -> list[Row]:
    """Return what is held, by account and symbol; a mark's age is counted to `now`, ns UTC."""
    rows = positions.rows()
    for row in rows:
        marked_at = row["mark_at"]
        row["mark_at"] = None if marked_at is None else iso(marked_at)
        row["mark_age_ns"] = None if marked_at is None else max(0, now - marked_at)
        row["updated_at"] = iso(row["updated_at"])
    return rows


def quarantine_row(waiting: QuarantinedFill, now: int) -> Row:
    """Return a fill in quarantine; its age is counted to `now`, ns UTC."""
    fill = waiting.fill
    return {
        "quarantine_id": fill.quarantine_id,
        "account": fill.account,
        "order_id": fill.order_id,
        "order_known": fill.order_known,
        "why": fill.why.value,
        "symbol": fill.symbol,
        "side": None if fill.side is None else fill.side.value,
        "quantity": fill.fill_quantity,
        "price": fill.fill_price,
        "fee": fill.fee,
        "trade_id": fill.trade_id,
        "correction": fill.correction,
        "occurred_at": iso(waiting.occurred_at),
        "recorded_at": iso(waiting.recorded_at),
        "age_ns": max(0, now - waiting.occurred_at),
        "seq": waiting.seq,
    }


def event_row(recorded: Recorded) -> Row:
    """Return an event of the log, with what it says in words and in full."""
    return {
        "seq": recorded.seq,
        "event": type(recorded.event).__name__,
        "occurred_at": iso(recorded.occurred_at),
        "effective_at": iso(recorded.effective_at),
        "recorded_at": iso(recorded.recorded_at),
        "trading_day": recorded.trading_day,
        "origin": recorded.origin.value,
        "command_id": recorded.command_id or None,
        "what": describe_event(recorded.event),
        "data": _plain(asdict(recorded.event)),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Struct):
        return _plain(asdict(value))
    return value.value if isinstance(value, Enum) else value


def limit_rows(policies: Policies, account: str | None) -> list[Row]:
    """Return the limits in force for every account, and for each that has its own; or for the one that is named."""
    own = {*policies.values, *policies.levels}
    accounts = [account] if account is not None else sorted(own | ({EVERY_ACCOUNT} if own else set()))
    every = policies.values.get(EVERY_ACCOUNT, {})
    return [
        {
            "account": each,
            "level": policies.level(each).value,
            "own_level": (policies.levels.get(each) or TradingLevel.NORMAL).value,
            "values": _values({**every, **policies.values.get(each, {})}),
        }
        for each in accounts
    ]


def _values(values: Mapping[str, Any]) -> Row:
    # What a settings file said of the emergency stop has become a level, and the level is what is in force.
    return {key: values[key] for key in sorted(values) if key != "risk.emergency_stop"}
