"""
Why an order was accepted or refused: every risk check again, on the state before the order.

Each result comes with its inputs and the limit in force. All of it is compared with the recorded violations: a
difference means that the log or the rules have changed since.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from oms_es.audit.archive_log import ArchiveLog
from oms_es.audit.redecide import by_command, decision_time_of, recorded_violations, rules_of
from oms_es.domain import risk_checks
from oms_es.domain.command_of import command_of
from oms_es.domain.commands import OrderCommand
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import AmendRefused, OrderAmended, OrderSubmitted
from oms_es.domain.order import Order
from oms_es.domain.policy import Value
from oms_es.domain.risk_checks import Exposure, Proposal
from oms_es.engine.command_handler import proposal_of
from oms_es.errors import InvalidInput
from oms_es.identifiers import shown
from oms_es.log.contract import Log
from oms_es.projections.state import State
from oms_es.timestamps import SECOND, iso
from oms_es.vocabulary import EVERY_ACCOUNT, CostMethod, Origin

_MEASURED = ("RISK_TIMEOUT", "CLOCK")  # measured when the order was submitted: used as recorded


class Verdict(Struct, frozen=True, kw_only=True):
    """The risk checks of an order at its submission, or at an amendment."""

    seq: int
    recorded_at: int
    trading_day: str
    asked: str  # the command as text
    limits_seq: int  # the event that set the limits in force; 0: none
    exposure: Exposure
    checks: list[dict[str, Any]]  # rows of `_check_row`
    recorded: tuple[str, ...]  # violations in the log
    recomputed: tuple[str, ...]  # violations now

    @property
    def agrees(self) -> bool:
        """Return whether the checks give the recorded violations again."""
        return self.recorded == self.recomputed


def why_order(log: Log, order: Order, method: CostMethod) -> list[Verdict]:
    """Return every verdict on an order, oldest first; none for imported and external orders."""
    state, verdicts = State(method), []
    if isinstance(log, ArchiveLog):
        state = log.opening()
        if state.orders.order((order.account, order.order_id)) is not None:
            raise InvalidInput(f"order {shown(order.order_id)} was submitted before the archive begins; ask the log")
    for events in judged(log.stream(f"order/{order.account}/{order.order_id}")):
        first = events[0]
        state.replay(log.read(after=state.seq, until=first.seq - 1))
        verdict = verdict_on(state, events)
        if verdict is not None:
            verdicts.append(verdict)
    return verdicts


def judged(stream: list[Recorded]) -> list[list[Recorded]]:
    """Return the events of each command of a stream that limits could refuse."""
    asked = (OrderSubmitted, OrderAmended, AmendRefused)
    commands = [each for each in by_command(stream) if each[0].begins_command]
    return [each for each in commands if each[0].origin is Origin.COMMAND and isinstance(each[0].event, asked)]


def verdict_on(state: State, events: list[Recorded]) -> Verdict | None:
    """Return the verdict on one command about an order, on the state before it; None when limits do not apply."""
    first, command = events[0], command_of([each.event for each in events])
    assert isinstance(command, OrderCommand), "only orders are judged"
    proposal = proposal_of(command, state.orders.order((command.account, command.order_id)))
    if proposal is None:
        return None
    recorded = recorded_violations(events)
    behind = decision_time_of(state, events).behind // SECOND
    oco = None if proposal.oco_group is None else (proposal.oco_group, proposal.side)
    exposure = state.exposure(command.account, proposal.symbol, first.trading_day, first.decided_at, behind, oco)
    policy = state.policies.policy(command.account).of(proposal.symbol, state.positions.currency(proposal.symbol))
    limits = state.policies.merged(command.account)
    limits = limits | {key: limits[in_force] for key, in_force in policy.overridden}
    measured = tuple(each for each in recorded if _is_measured(each))
    found = []  # by each version of the rules that may have decided
    for version in rules_of(state):
        computed = risk_checks.violations(proposal, exposure, policy, version)
        found.append((version, (*(each for each in computed if not _is_measured(each)), *measured)))
    version, recomputed = next((each for each in found if each[1] == recorded), found[0])
    return Verdict(
        seq=first.seq,
        recorded_at=first.recorded_at,
        trading_day=first.trading_day,
        asked=_asked(proposal),
        limits_seq=max(state.policies.changed_at.get(scope) or 0 for scope in (EVERY_ACCOUNT, command.account)),
        exposure=exposure,
        checks=[
            _check_row(rule, exposure, limits, risk_checks.violation(rule, proposal, exposure, policy, version))
            for rule in risk_checks.CHECKS
        ],
        recorded=recorded,
        recomputed=recomputed,
    )


def _is_measured(violation: str) -> bool:
    return violation.partition(":")[0] in _MEASURED


def _check_row(
    rule: risk_checks.RiskCheck, exposure: Exposure, limits: dict[str, Value], violation: str | None
) -> dict[str, Any]:
    inputs = {name: getattr(exposure, name) for name in rule.reads}
    return {
        "code": rule.code,
        "holds": violation is None,
        "says": rule.description,
        "limits": {key: limits.get(key) for key in rule.keys},
        "inputs": {name: getattr(value, "value", value) for name, value in inputs.items()},  # of an enum its text
        "text": violation,
    }


def _asked(proposal: Proposal) -> str:
    words = "amend to" if proposal.amends else proposal.order_type.value
    price = "" if proposal.price is None else f" @ {proposal.price:f}"
    return f"{words} {proposal.side.value} {proposal.total:f} {proposal.symbol}{price}"


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as in JSON."""
    row = {name: value for name, value in asdict(verdict).items() if name != "exposure"}
    lists = {"recorded": list(verdict.recorded), "recomputed": list(verdict.recomputed)}
    return {**row, "recorded_at": iso(verdict.recorded_at), **lists, "agrees": verdict.agrees}
