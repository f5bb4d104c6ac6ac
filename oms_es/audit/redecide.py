"""
Decides the recorded commands again, each on the state before it, by the decision rules of its time.

The events must be the recorded ones. A step back of our clock and a check that took too long are used as recorded.
Events from a settings file, and days that the first decision rules closed, are input and are not decided.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from oms_es.domain.command_of import command_of
from oms_es.domain.commands import Command, Request
from oms_es.domain.envelope import Draft, Recorded
from oms_es.domain.events import (
    AmendRefused,
    ClockAccepted,
    DayClosed,
    Event,
    FillQuarantined,
    PolicyChanged,
    StateChanged,
    TradingLevelChanged,
)
from oms_es.domain.order import Order
from oms_es.domain.policy import DECISION_RULES_VERSION, Policy
from oms_es.engine.admin_commands import FILE_CHANGED, FIRST, NEWER_RULES
from oms_es.engine.command_handler import handle
from oms_es.engine.decision_time import DecisionTime
from oms_es.engine.order_lookup import resolve_order
from oms_es.errors import OmsError
from oms_es.projections.projection import plain
from oms_es.projections.state import State
from oms_es.timestamps import SECOND
from oms_es.vocabulary import EVERY_ACCOUNT, Origin


def is_input(event: Event) -> bool:
    """Return whether the first event of a command is input from outside, and was not decided."""
    if isinstance(event, PolicyChanged):
        return bool(event.from_file) or event.reason in (FIRST, FILE_CHANGED) or event.reason.startswith(NEWER_RULES)
    if isinstance(event, TradingLevelChanged):
        return event.from_file
    return isinstance(event, DayClosed) and event.rules < 2  # the first decision rules computed other digests


class Divergence(Struct, frozen=True, kw_only=True):
    """A command that is decided differently now."""

    seq: int
    command: str
    recorded: list[dict[str, Any]]
    decided: list[dict[str, Any]]
    error: str | None = None  # raised instead of a decision
    state: dict[str, Any]  # the order and the position before


def by_command(events: Iterable[Recorded]) -> Iterator[list[Recorded]]:
    """Yield the events of each command."""
    group: list[Recorded] = []
    for each in events:
        if each.begins_command and group:
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def redecide(state: State, group: list[Recorded]) -> Divergence | None:
    """
    Decide one command again.

    Args:
        state: the state before it; it is not changed.
        group: the events that were recorded.

    Returns:
        None when the decision is the same; where the log holds no version of the rules, by any version.
    """
    if is_input(group[0].event):
        return None
    found = [_divergence(state, group, version) for version in rules_of(state)]
    return found[0] if all(found) else None


def rules_of(state: State) -> tuple[int, ...]:
    """Return the version of the decision rules of a log; all of them, newest first, where it holds none."""
    known = state.policies.rules.get(EVERY_ACCOUNT)
    return tuple(range(DECISION_RULES_VERSION, 1, -1)) if known is None else (known,)


def _divergence(state: State, group: list[Recorded], rules: int) -> Divergence | None:
    first = group[0]
    command = command_of([each.event for each in group])
    request = request_of(group, command)
    drafts, error = list[Draft](), None
    try:
        drafts = handle(state, request, resolve_order(state, request, rules), decision_time_of(state, group, rules))
    except OmsError as refusal:
        error = f"{type(refusal).__name__}: {refusal}"
    has_calendar = state.policies.is_set
    if _content(group, has_calendar=has_calendar) == _content(drafts, has_calendar=has_calendar):
        return None
    return Divergence(
        seq=first.seq,
        command=type(command).__name__,
        recorded=[_as_json(each, has_calendar=has_calendar) for each in group],
        decided=[_as_json(each, has_calendar=has_calendar) for each in drafts],
        error=error,
        state=_state_for(state, first.event),
    )


def request_of(group: list[Recorded], command: Command) -> Request:
    """Return the request of a recorded command; only a fill of an unknown order must be located again."""
    first, (*_, last) = group[0], group
    unknown = isinstance(last.event, FillQuarantined) and not last.event.order_known
    return Request(
        command=command,
        command_id=first.command_id or None,
        occurred_at=first.occurred_at,
        origin=Origin.IMPORT if first.origin is Origin.IMPORT else Origin.COMMAND,
        is_located=not unknown,
    )


def decision_time_of(state: State, group: list[Recorded], rules: int = DECISION_RULES_VERSION) -> DecisionTime:
    """Return the time of a decision from its recorded events; `rules` is the version that decides."""
    first = group[0]
    calendar = state.policies.policy(EVERY_ACCOUNT) if state.policies.is_set else Policy()
    violations = recorded_violations(group)
    behind = 1 if getattr(first.event, "clamped", False) else 0
    if clock := next((text for text in violations if text.startswith("CLOCK")), None):
        behind = int(clock.split(" s behind")[0].split()[-1]) * SECOND
    now = first.decided_at
    if isinstance(first.event, ClockAccepted):
        now, behind = state.clock, state.clock - first.decided_at
    overtime = next((text for text in violations if text.startswith("RISK_TIMEOUT")), None)
    return DecisionTime(
        now=now,
        behind=behind,
        head=first.recorded_at,
        overtime=overtime,
        rules=rules,
        calendar=calendar,
        closed=state.days.all_closed,
        ended=state.days.all_ended,
    )


def recorded_violations(group: Iterable[Recorded | Draft]) -> tuple[str, ...]:
    """Return the violations that refused a command; () when it was accepted."""
    refusals = (each.event for each in group if isinstance(each.event, StateChanged | AmendRefused))
    return next((event.violations for event in refusals if event.violations), ())


def _content(events: Sequence[Recorded | Draft], *, has_calendar: bool) -> list[tuple[Event, int, str]]:
    """Return what must be the same: events and times; the trading day only where the log holds the calendar."""
    return [(_unversioned(each.event), each.effective_at, each.trading_day if has_calendar else "") for each in events]


def _unversioned(event: Event) -> Event:
    """Return the event with the current version of the rules in place of the one that decided it."""
    return replace(event, rules=DECISION_RULES_VERSION) if isinstance(event, PolicyChanged | DayClosed) else event


def _as_json(each: Recorded | Draft, *, has_calendar: bool) -> dict[str, Any]:
    """Return an event as text fields, to be compared with another."""
    body = msgspec.to_builtins(each.event, builtin_types=(str,))
    row = {"event": type(each.event).__name__, **plain(body), "effective_at": each.effective_at}
    return {**row, "trading_day": each.trading_day} if has_calendar else row


def _state_for(state: State, event: Event) -> dict[str, Any]:
    account, order, symbol = subject_of(state, event)
    return {
        "order": None if order is None else f"{order.state.value}, filled {order.filled_quantity} of {order.quantity}",
        "position": state.positions.position(account, symbol) if account and symbol else None,
        "open_orders": state.orders.open_count.get(account) if account else None,
    }


def subject_of(state: State, event: Event) -> tuple[str, Order | None, str | None]:
    """Return the account, the order and the symbol of an event; "" and None for those that it has not."""
    account, order_id = getattr(event, "account", ""), getattr(event, "order_id", None)
    order = None if order_id is None else state.orders.order((account, order_id))
    return account, order, getattr(event, "symbol", None) or (None if order is None else order.symbol)
