"""Events in words, for histories."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from oms_es.decimals import text
from oms_es.domain import events
from oms_es.timestamps import SECOND, iso
from oms_es.vocabulary import TimeInForce


def describe_event(event: events.Event) -> str:
    """Return an event in words."""
    words = _WORDS.get(type(event))
    return "" if words is None else words(event)


def _submitted(event: events.OrderSubmitted) -> str:
    found = f"{event.side.value} {text(event.quantity)} {event.symbol} {event.order_type.value}"
    found += "" if event.price is None else f" {text(event.price)}"
    found += "" if event.time_in_force is TimeInForce.GTC else f", {event.time_in_force.value}"
    found += ", reduce only" if event.reduce_only else ""
    return f"{found}, external" if event.external else found


def _state_changed(event: events.StateChanged) -> str:
    found = f"{event.old.value} -> {event.new.value}"
    found += ", revived" if event.revived else ""
    found += "" if event.external_order_id is None else f", the venue's id is {event.external_order_id}"
    return _with(found, event.reason, event.error_message or "", *event.violations)


def _assigned(event: events.ExternalIdAssigned) -> str:
    found = f"the {'client' if event.is_client_id else 'venue'}'s id is {event.external_order_id}"
    found += "" if event.reported is None else f", reported {event.reported.value}"
    return _with(found, event.error_message or "")


def _merged(event: events.OrdersMerged) -> str:
    if event.into is not None:
        return f"is the same as order {event.into}"
    count = len(event.fills)
    return f"takes over {count} {'fill' if count == 1 else 'fills'} of {event.merged}"


def _amended(event: events.OrderAmended) -> str:
    found = f"now {_at(event.quantity, event.price)}"
    found += ", replaced by the venue" if event.reported else ""
    ids = [each for each in (event.new_order_id, event.external_order_id) if each is not None]
    return f"{found}, as {', '.join(ids)}" if ids else found


def _cancel_requested(event: events.CancelRequested) -> str:
    return _with("cancel requested" + (", as the venue reports" if event.reported else ""), event.reason)


def _replace_requested(event: events.ReplaceRequested) -> str:
    found = f"replace requested, to {_at(event.quantity, event.price)}"
    found += "" if event.new_order_id is None else f", as {event.new_order_id}"
    return found + (", as the venue reports" if event.reported else "")


def _fill(event: events.FillAdded) -> str:
    found = _trade(event)
    found += ", inferred" if event.inferred else ""
    found += ", late" if event.late else ""
    found += ", forced" if event.forced else ""
    return found if event.quarantine_id is None else f"{found}, from quarantine {event.quarantine_id}"


def _corrected(event: events.FillCorrected) -> str:
    old, new = _at(event.old_quantity, event.old_price), _at(event.fill_quantity, event.fill_price)
    found = f"trade {event.trade_id}: {old} -> {new}"
    found += "" if event.correction_id is None else f", now trade {event.correction_id}"
    found += "" if event.fee == event.old_fee else f", fee {text(event.old_fee)} -> {text(event.fee)}"
    return _with(found, event.reason)


def _policy(event: events.PolicyChanged) -> str:
    return _with(", ".join(f"{key}={_value(value)}" for key, value in event.values.items()), event.reason)


_WORDS: dict[type[events.Event], Callable[[Any], str]] = {
    events.OrderSubmitted: _submitted,
    events.StateChanged: _state_changed,
    events.ExternalIdAssigned: _assigned,
    events.OrdersMerged: _merged,
    events.FillAdded: _fill,
    events.OrderAmended: _amended,
    events.AmendRefused: lambda event: (
        f"to {_at(event.asked_quantity, event.asked_price)} refused: {'; '.join(event.violations)}"
    ),
    events.CancelRequested: _cancel_requested,
    events.CancelRejected: lambda event: _with("cancel rejected", event.reason),
    events.ReplaceRequested: _replace_requested,
    events.ReplaceRejected: lambda event: _with("replace rejected", event.reason),
    events.FillBusted: lambda event: _with(
        f"trade {event.trade_id} busted: {_at(event.fill_quantity, event.fill_price)}", event.reason
    ),
    events.FillCorrected: _corrected,
    events.FillQuarantined: lambda event: f"{_trade(event)}: {event.why.value}; quarantined as {event.quarantine_id}",
    events.QuarantineResolved: lambda event: _with(
        f"{event.quarantine_id} {'accepted' if event.accepted else 'rejected'}", event.reason
    ),
    events.MarkRecorded: lambda event: text(event.price),
    events.InstrumentDefined: lambda event: f"times {text(event.multiplier)}, in {event.currency}",
    events.PolicyChanged: _policy,
    events.TradingLevelChanged: lambda event: _with(event.level.value, event.reason),
    events.ClockAccepted: lambda event: _with(
        f"our clock is {iso(event.clock)}, the log was {event.ahead_ns // SECOND} s ahead", event.reason
    ),
    events.DayClosed: lambda event: _with(
        f"{event.trading_day}, seq {event.first_seq} to {event.last_seq}", event.reason
    ),
    events.CommandChangedNothing: lambda event: f"{event.command} changed nothing",
}


def _trade(event: events.FillAdded | events.FillQuarantined) -> str:
    if isinstance(event, events.FillQuarantined) and event.bust:
        return f"bust of trade {event.trade_id}"
    found = _at(event.fill_quantity, event.fill_price)
    found += "" if event.trade_id is None else f", trade {event.trade_id}"
    return f"{found}, fee {text(event.fee)} {event.fee_currency}".rstrip() if event.fee else found


def _at(quantity: Decimal | None, price: Decimal | None) -> str:
    shown = "" if quantity is None else text(quantity)
    return shown if price is None else f"{shown} @ {text(price)}".lstrip()


def _value(value: str | tuple[str, ...] | None) -> str:
    if value is None:
        return "null"
    return value if isinstance(value, str) else ",".join(value)


def _with(found: str, *reasons: str) -> str:
    why = "; ".join(reason for reason in reasons if reason)
    return f"{found}: {why}" if why else found
