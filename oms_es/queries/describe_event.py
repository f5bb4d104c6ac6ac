"""Events in words, for histories."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from oms_es.decimals import text
from oms_es.domain.events import (
    AmendRefused,
    CommandChangedNothing,
    DayClosed,
    Event,
    ExternalIdAssigned,
    FillAdded,
    FillBusted,
    FillCorrected,
    FillQuarantined,
    InstrumentDefined,
    MarkRecorded,
    OrderAmended,
    OrdersMerged,
    OrderSubmitted,
    PolicyChanged,
    QuarantineResolved,
    StateChanged,
    TradingLevelChanged,
)
from oms_es.vocabulary import TimeInForce


def describe_event(event: Event) -> str:
    """Return an event in words."""
    words = _WORDS.get(type(event))
    return "" if words is None else words(event)


def _amended(event: OrderAmended) -> str:
    return f"now {_at(event.quantity, event.price)}"


def _amend_refused(event: AmendRefused) -> str:
    return f"to {_at(event.asked_quantity, event.asked_price)} refused: {'; '.join(event.violations)}"


def _busted(event: FillBusted) -> str:
    return _with(f"trade {event.trade_id} busted: {_at(event.fill_quantity, event.fill_price)}", event.reason)


def _quarantined(event: FillQuarantined) -> str:
    return f"{_trade(event)}: {event.why.value}; quarantined as {event.quarantine_id}"


def _resolved(event: QuarantineResolved) -> str:
    return _with(f"{event.quarantine_id} {'accepted' if event.accepted else 'rejected'}", event.reason)


def _assigned(event: ExternalIdAssigned) -> str:
    found = f"the venue's id is {event.external_order_id}"
    return _with(
        found if event.reported is None else f"{found}, reported {event.reported.value}", event.error_message or ""
    )


def _policy(event: PolicyChanged) -> str:
    return _with(", ".join(f"{key}={_value(value)}" for key, value in event.values.items()), event.reason)


def _closed(event: DayClosed) -> str:
    return _with(f"{event.trading_day}, seq {event.first_seq} to {event.last_seq}", event.reason)


def _value(value: str | tuple[str, ...] | None) -> str:
    if value is None:
        return "null"
    return value if isinstance(value, str) else ",".join(value)


def _submitted(event: OrderSubmitted) -> str:
    found = f"{event.side.value} {text(event.quantity)} {event.symbol} {event.order_type.value}"
    found += "" if event.price is None else f" {text(event.price)}"
    found += "" if event.time_in_force is TimeInForce.GTC else f", {event.time_in_force.value}"
    found += ", reduce only" if event.reduce_only else ""
    return f"{found}, external" if event.external else found


def _state_changed(event: StateChanged) -> str:
    found = f"{event.old.value} -> {event.new.value}"
    found += "" if event.external_order_id is None else f", the venue's id is {event.external_order_id}"
    return _with(found, event.reason, event.error_message or "", *event.violations)


def _merged(event: OrdersMerged) -> str:
    if event.into is not None:
        return f"is the same as order {event.into}"
    count = len(event.fills)
    return f"takes over {count} {'fill' if count == 1 else 'fills'} of {event.merged}"


def _fill(event: FillAdded) -> str:
    found = _trade(event)
    found += ", late" if event.late else ""
    found += ", forced" if event.forced else ""
    return found if event.quarantine_id is None else f"{found}, from quarantine {event.quarantine_id}"


def _corrected(event: FillCorrected) -> str:
    old, new = _at(event.old_quantity, event.old_price), _at(event.fill_quantity, event.fill_price)
    found = f"trade {event.trade_id}: {old} -> {new}"
    found += "" if event.fee == event.old_fee else f", fee {text(event.old_fee)} -> {text(event.fee)}"
    return _with(found, event.reason)


def _trade(event: FillAdded | FillQuarantined) -> str:
    found = _at(event.fill_quantity, event.fill_price)
    found += "" if event.trade_id is None else f", trade {event.trade_id}"
    return f"{found}, fee {text(event.fee)}" if event.fee else found


def _at(quantity: Decimal | None, price: Decimal | None) -> str:
    shown = "" if quantity is None else text(quantity)
    return shown if price is None else f"{shown} @ {text(price)}".lstrip()


def _with(found: str, *reasons: str) -> str:
    why = "; ".join(reason for reason in reasons if reason)
    return f"{found}: {why}" if why else found


_WORDS: dict[type[Event], Callable[[Any], str]] = {
    OrderSubmitted: _submitted,
    StateChanged: _state_changed,
    ExternalIdAssigned: _assigned,
    OrdersMerged: _merged,
    FillAdded: _fill,
    OrderAmended: _amended,
    AmendRefused: _amend_refused,
    FillBusted: _busted,
    FillCorrected: _corrected,
    FillQuarantined: _quarantined,
    QuarantineResolved: _resolved,
    MarkRecorded: lambda event: text(event.price),
    InstrumentDefined: lambda event: f"times {text(event.multiplier)}, in {event.currency}",
    PolicyChanged: _policy,
    TradingLevelChanged: lambda event: _with(event.level.value, event.reason),
    DayClosed: _closed,
    CommandChangedNothing: lambda event: f"{event.command} changed nothing",
}
