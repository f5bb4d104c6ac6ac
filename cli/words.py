"""Events in words: what a history shows beside their names."""

from decimal import Decimal

from oms_es.decimals import text
from oms_es.events import (
    AmendRefused,
    DayClosed,
    Event,
    FillAdded,
    FillBusted,
    FillCorrected,
    FillQuarantined,
    InstrumentDefined,
    MarkRecorded,
    OrderAmended,
    OrderSubmitted,
    PolicyChanged,
    QuarantineResolved,
    StateChanged,
    TradingLevelChanged,
)
from oms_es.vocabulary import TimeInForce


def told(event: Event) -> str:
    """Return what an event says."""
    match event:
        case OrderSubmitted():
            return _submitted(event)
        case StateChanged():
            return _moved(event)
        case FillAdded():
            return _fill(event)
        case OrderAmended():
            return f"now {_at(event.quantity, event.price)}"
        case AmendRefused():
            return f"to {_at(event.asked_quantity, event.asked_price)} refused: {'; '.join(event.violations)}"
        case FillBusted():
            taken = _at(event.fill_quantity, event.fill_price)
            return _with(f"trade {event.trade_id} taken back: {taken}", event.reason)
        case FillCorrected():
            return _corrected(event)
        case FillQuarantined():
            return f"{_trade(event)}: {event.why.value}; waits as {event.quarantine_id}"
        case QuarantineResolved():
            return _with(f"{event.quarantine_id} {'accepted' if event.accepted else 'rejected'}", event.reason)
        case _:
            return _told_of_no_order(event)


def _told_of_no_order(event: Event) -> str:
    match event:
        case MarkRecorded():
            return text(event.price)
        case InstrumentDefined():
            return f"times {text(event.multiplier)}, in {event.currency}"
        case PolicyChanged():
            return _with(", ".join(f"{key}={_value(value)}" for key, value in event.values.items()), event.reason)
        case TradingLevelChanged():
            return _with(event.level.value, event.reason)
        case DayClosed():
            return _with(f"{event.trading_day}, seq {event.first_seq} to {event.last_seq}", event.reason)
        case _:
            return ""


def _value(value: str | tuple[str, ...] | None) -> str:
    if value is None:
        return "null"
    return value if isinstance(value, str) else ",".join(value)


def _submitted(event: OrderSubmitted) -> str:
    found = f"{event.side.value} {text(event.quantity)} {event.symbol} {event.order_type.value}"
    found += "" if event.price is None else f" {text(event.price)}"
    found += "" if event.time_in_force is TimeInForce.GTC else f", {event.time_in_force.value}"
    found += ", reduce only" if event.reduce_only else ""
    return f"{found}, another session's" if event.external else found


def _moved(event: StateChanged) -> str:
    found = f"{event.old.value} -> {event.new.value}"
    found += "" if event.external_order_id is None else f", the venue's id is {event.external_order_id}"
    return _with(found, event.reason, event.error_message or "", *event.violations)


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
