"""
Why an order was let through or refused: every check worked out again, on the log as it stood before the order.

The inputs, the limit and its version in force stand beside each result, and the whole is compared with what was
recorded: a difference means that the log or the rules are not what they were.
"""

from typing import Any

from msgspec import Struct

from oms_es.audit.redecide import decision_time_of, rules_of
from oms_es.domain import risk_checks
from oms_es.domain.command_of import command_of
from oms_es.domain.commands import OrderCommand
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import AmendRefused, OrderAmended, OrderSubmitted, StateChanged
from oms_es.domain.order import Order
from oms_es.domain.policy import Policy, Value
from oms_es.domain.risk_checks import Exposure, Proposal
from oms_es.engine.command_handler import proposal_of
from oms_es.log.contract import Log
from oms_es.projections.state import State
from oms_es.timestamps import SECOND, iso
from oms_es.vocabulary import EVERY_ACCOUNT, CostMethod, Origin

_GIVEN = ("RISK_TIMEOUT", "CLOCK")  # of the moment: a replay takes them as they were recorded


class Verdict(Struct, frozen=True, kw_only=True):
    """One judgement of an order: its submission, or an amendment."""

    seq: int
    recorded_at: int
    trading_day: str
    asked: str  # the command in words
    limits_seq: int  # the event that set the limits in force; 0: none had
    exposure: Exposure
    checks: list[dict[str, Any]]  # code, holds, limits, inputs, text
    recorded: tuple[str, ...]  # the violations in the log
    recomputed: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Return whether judging again comes to what was recorded."""
        return self.recorded == self.recomputed


def why_order(log: Log, order: Order, method: CostMethod) -> list[Verdict]:
    """Return every judgement of an order, oldest first; none for imported and external ones."""
    state, verdicts = State(method), []
    for events in _judged(log.stream(f"order/{order.account}/{order.order_id}")):
        first = events[0]
        state.replay(log.read(after=state.seq, until=first.seq - 1))
        verdict = _verdict(state, events)
        if verdict is not None:
            verdicts.append(verdict)
    return verdicts


def _judged(stream: list[Recorded]) -> list[list[Recorded]]:
    """Return the events of the stream by command: those that limits had a say in."""
    commands: list[list[Recorded]] = []
    for each in stream:
        if each.begins_command:
            commands.append([each])
        elif commands:
            commands[-1].append(each)
    asked = (OrderSubmitted, OrderAmended, AmendRefused)
    return [c for c in commands if c[0].origin is Origin.COMMAND and isinstance(c[0].event, asked)]


def _verdict(state: State, events: list[Recorded]) -> Verdict | None:
    first, command = events[0], command_of([each.event for each in events])
    assert isinstance(command, OrderCommand), "only orders are judged"
    proposal = proposal_of(command, state.orders.order((command.account, command.order_id)))
    if proposal is None:
        return None
    recorded = _recorded(events)
    behind = decision_time_of(state, events).behind // SECOND
    exposure = state.exposure(command.account, proposal.symbol, first.trading_day, first.recorded_at, behind)
    policy = state.policies.policy(command.account)
    kept = tuple(each for each in recorded if each.partition(":")[0] in _GIVEN)
    versions = rules_of(state)
    found = [(*_computed(proposal, exposure, policy, version), *kept) for version in versions]
    agreeing = [(version, each) for version, each in zip(versions, found, strict=True) if each == recorded]
    version, recomputed = agreeing[0] if agreeing else (versions[0], found[0])
    return Verdict(
        seq=first.seq,
        recorded_at=first.recorded_at,
        trading_day=first.trading_day,
        asked=_asked(proposal),
        limits_seq=max(state.policies.changed_at.get(scope) or 0 for scope in (EVERY_ACCOUNT, command.account)),
        exposure=exposure,
        checks=[
            _check_row(rule, proposal, exposure, policy, _values(state, command.account), version)
            for rule in risk_checks.CHECKS
        ],
        recorded=recorded,
        recomputed=recomputed,
    )


def _computed(proposal: Proposal, exposure: Exposure, policy: Policy, version: int) -> tuple[str, ...]:
    """Return the violations that follow from the log; those of the moment are taken as they were recorded."""
    found = risk_checks.violations(proposal, exposure, policy, version)
    return tuple(each for each in found if each.partition(":")[0] not in _GIVEN)


def _recorded(events: list[Recorded]) -> tuple[str, ...]:
    for each in events:
        if isinstance(each.event, StateChanged | AmendRefused) and each.event.violations:
            return each.event.violations
    return ()


def _values(state: State, account: str) -> dict[str, Value]:
    every, own = state.policies.values.get(EVERY_ACCOUNT), state.policies.values.get(account)
    return {**(every or {}), **(own or {})}


def _check_row(
    rule: risk_checks.RiskCheck,
    proposal: Proposal,
    exposure: Exposure,
    policy: Policy,
    values: dict[str, Value],
    version: int,
) -> dict[str, Any]:
    broken = risk_checks.violation(rule, proposal, exposure, policy, version)
    return {
        "code": rule.code,
        "holds": broken is None,
        "says": rule.says,
        "limits": {key: values.get(key) for key in rule.keys},
        "inputs": {name: _plain(getattr(exposure, name)) for name in rule.reads},
        "text": broken,
    }


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _asked(proposal: Proposal) -> str:
    words = "amend to" if proposal.amends else proposal.order_type.value
    price = "" if proposal.price is None else f" @ {proposal.price:f}"
    return f"{words} {proposal.side.value} {proposal.total:f} {proposal.symbol}{price}"


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as it stands in JSON."""
    return {
        "seq": verdict.seq,
        "recorded_at": iso(verdict.recorded_at),
        "trading_day": verdict.trading_day,
        "asked": verdict.asked,
        "limits_seq": verdict.limits_seq,
        "checks": verdict.checks,
        "recorded": list(verdict.recorded),
        "recomputed": list(verdict.recomputed),
        "agrees": verdict.agrees,
    }
