"""Answers as rows for JSON and tables: exact decimals, times as ISO text, null for no value."""

from enum import Enum
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from oms_es.domain.envelope import Recorded
from oms_es.projections.policies import Policies
from oms_es.projections.positions import Positions
from oms_es.projections.rows import timed
from oms_es.queries.describe_event import describe_event
from oms_es.timestamps import iso
from oms_es.vocabulary import EVERY_ACCOUNT

Row = dict[str, Any]
STOP = "risk.emergency_stop"


def position_rows(positions: Positions, now: int) -> list[Row]:
    """Return positions by account and symbol; the age of a mark is counted to `now`, ns UTC."""
    ages = {symbol: max(0, now - mark.at) for symbol, mark in positions.marks.items()}
    return [{**timed(row), "mark_age_ns": ages.get(row["symbol"])} for row in positions.rows()]


def event_row(recorded: Recorded) -> Row:
    """Return an event of the log, in words and with all its fields."""
    return {**event_words(recorded), "data": _plain(asdict(recorded.event))}


def event_words(recorded: Recorded) -> Row:
    """Return an event of the log in words, with its times."""
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
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Struct):
        return _plain(asdict(value))
    return value.value if isinstance(value, Enum) else value


def limit_rows(policies: Policies, account: str | None) -> list[Row]:
    """Return the limits in force for every account and for each account with its own, or for one account."""
    own = {*policies.values, *policies.levels}
    accounts = [account] if account is not None else sorted(own | ({EVERY_ACCOUNT} if own else set()))
    return [
        {
            "account": each,
            "level": policies.level(each).value,
            "own_level": policies.own_level(each).value,
            # The emergency stop of a settings file became a level; the level is in force.
            "values": {key: value for key, value in sorted(policies.merged(each).items()) if key != STOP},
        }
        for each in accounts
    ]
