"""Reports of a venue: each of them, in whatever order and however often (VENUES of the design, FIX ExecutionReport)."""

from typing import Any

import pytest

from oms_es.audit.redecide import by_command, redecide
from oms_es.domain.commands import (
    ApplyReport,
    RequestCancel,
    RequestReplace,
)
from oms_es.domain.events import (
    CancelRejected,
    CancelRequested,
    Event,
    ExternalIdAssigned,
    OrdersMerged,
    ReplaceRejected,
    ReplaceRequested,
)
from oms_es.domain.reports import FillReport, OrderReport, checked_report
from oms_es.projections.state import State
from tests.builders import ORDER, Desk, limits, num, submit, table, told
from tests.domain.order_words import summary


def report(words: str) -> ApplyReport:
    """Return the report that the words mean."""
    verb, first, *rest = words.split()
    named = dict(word.split("=") for word in rest if "=" in word)
    plain = [word for word in rest if "=" not in word]
    keys = {"id": "order_id", "from": "original_order_id", "ext": "external_order_id", "cum": "filled_quantity"}
    keys |= {"avg": "avg_fill_price", "qty": "quantity"}
    fields: dict[str, Any] = {keys.get(key, key): value for key, value in named.items()}
    if verb == "order":
        return ApplyReport(order_id="", report=checked_report(OrderReport(status=first, **fields)))
    if verb == "bust":
        return ApplyReport(order_id="", report=checked_report(FillReport(kind="bust", trade_ref_id=first, **fields)))
    if verb == "correct":
        fields |= {"kind": "correct", "trade_ref_id": first, "trade_id": plain[0]}
        plain = plain[1:]
    else:
        fields |= {"trade_id": plain[0] if plain else None}
        plain = [first]
    quantity, _, price = plain[0].partition("@")
    return ApplyReport(order_id="", report=checked_report(FillReport(quantity=quantity, price=price, **fields)))


def say(desk: Desk, words: str) -> list[Event]:
    """Carry out a report, a request or another command in words; return its events."""
    verb, *rest = words.split()
    match verb:
        case "request-cancel":
            return desk.perform(RequestCancel(order_id=ORDER))
        case "request-replace":
            return desk.perform(RequestReplace(order_id=ORDER, quantity=num(rest[0]), new_order_id=rest[1]))
        case "no-infer":
            return desk.perform(limits(infer="false"))
        case "order" | "trade" | "bust" | "correct":
            return desk.perform(report(words), any_account=True)
        case _:
            return desk.say(words)


def in_words(events: list[Event]) -> str:
    """Return events in words, those of links and requests too."""
    return "; ".join(_in_words(event) for event in events) or "nothing"


def _in_words(event: Event) -> str:
    match event:
        case ExternalIdAssigned():
            return f"id {event.external_order_id}"
        case OrdersMerged():
            return f"merged {event.merged}" if event.into is None else f"merged into {event.into}"
        case CancelRequested():
            return "cancel requested"
        case CancelRejected():
            return "cancel rejected"
        case ReplaceRequested():
            return f"replace requested {event.quantity} {event.new_order_id}"
        case ReplaceRejected():
            return "replace rejected"
        case _:
            return told([event])


def check_log(desk: Desk) -> None:
    """Decide every command of the log again, and fold the log from zero: both give the same."""
    state = State()
    for group in by_command(desk.log):
        assert redecide(state, group) is None
        state.replay(group)
    assert state.digest() == desk.state.digest()


@pytest.mark.parametrize("row", table("reports"))
def test_reports_give_the_events_and_the_order_worked_out_by_hand(row: dict[str, str]) -> None:
    desk = Desk()
    desk.perform(submit())
    events: list[Event] = []
    for words in row["reports"].split(", "):
        events = say(desk, words)

    assert in_words(events) == row["events of the last one"]
    assert summary(desk.order()) == row["then"]
    last = row["reports"].split(", ")[-1]
    if last.split()[0] in ("order", "trade", "bust", "correct"):
        assert say(desk, last) == []  # a repetition changes nothing
    check_log(desk)
