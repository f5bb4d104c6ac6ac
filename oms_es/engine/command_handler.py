"""
The command handler: it decides a request on the state of the log. It is pure, so a replay decides the same again.

    verdict = f(log up to seq, request, the moment of our clock)
"""

from msgspec.structs import replace

from oms_es.decimals import ONE, ZERO, minus
from oms_es.domain import risk_checks
from oms_es.domain.commands import (
    AmendOrder,
    ChangeState,
    Command,
    LinkOrder,
    OrderCommand,
    Request,
    RequestReplace,
    ResolveQuarantined,
    SubmitOrder,
)
from oms_es.domain.decision_context import DecisionContext
from oms_es.domain.envelope import Draft
from oms_es.domain.events import (
    Event,
    FillAdded,
    FillCorrected,
    OrdersMerged,
    OrderSubmitted,
    QuarantineResolved,
)
from oms_es.domain.executions import largest_quantity
from oms_es.domain.order import Order, is_order_event
from oms_es.domain.order_rules import decide
from oms_es.domain.risk_checks import Proposal
from oms_es.engine.admin_commands import handle_admin_command, remembered
from oms_es.engine.decision_time import DecisionTime, drafts
from oms_es.engine.order_lookup import earlier_fills, is_ambiguous
from oms_es.errors import (
    InvalidInput,
)
from oms_es.projections.orders import UnknownOrderFills
from oms_es.projections.state import State
from oms_es.timestamps import SECOND, iso
from oms_es.vocabulary import Origin

# --- deciding ---


def handle(state: State, request: Request, command: Command, moment: DecisionTime) -> list[Draft]:
    """
    Return the events of `command`, whose account and order id `resolve_order` has named; [] for a repetition.

    Raises:
        OmsError: the command is refused, and nothing is recorded.
    """
    occurred_at = _occurred_at(request, moment)
    if isinstance(command, OrderCommand):
        return _handle_order_command(state, request, command, moment, occurred_at)
    return handle_admin_command(state, request, command, moment, occurred_at)


def _occurred_at(request: Request, moment: DecisionTime) -> int:
    if request.occurred_at is None:
        return moment.now
    ahead = request.occurred_at - moment.now
    if moment.rules >= 3:
        return request.occurred_at  # ahead of our clock: recorded as reported, flagged, and effective from now on
    if request.origin is not Origin.IMPORT and ahead > moment.calendar.max_clock_step * SECOND:
        raise InvalidInput(
            f"occurred_at: {iso(request.occurred_at)} is ahead of our clock ({iso(moment.now)}) "
            f"by more than {moment.calendar.max_clock_step} s"
        )
    return request.occurred_at


def _handle_order_command(
    state: State, request: Request, command: OrderCommand, moment: DecisionTime, occurred_at: int
) -> list[Draft]:
    ambiguous = is_ambiguous(state, request, command, moment.rules)
    order = None if ambiguous else state.orders.order((command.account, command.order_id))
    unknown = earlier_fills(state, request, command, order, moment.rules)
    given = _decision_context(state, request, command, order, unknown, moment)
    events = decide(command, order, replace(given, is_ambiguous=True) if ambiguous else given)
    if not events:
        return remembered(command, request, moment)
    timed = _timed(state, command, order, events, unknown, occurred_at)
    external = any(isinstance(event, OrderSubmitted) and event.external for event in events)
    return drafts(timed, request, moment, Origin.EXTERNAL if external or (order and order.is_external) else None)


def _timed(
    state: State,
    command: OrderCommand,
    order: Order | None,
    events: list[Event],
    unknown: UnknownOrderFills,
    occurred_at: int,
) -> list[tuple[Event, int, int]]:
    """Return events with `occurred_at` and `effective_at`; a fill from quarantine has its own times."""
    accepts = isinstance(command, ResolveQuarantined)
    if not accepts and not unknown.waiting and OrdersMerged not in map(type, events):  # nearly always
        submitted_at = occurred_at if order is None else order.submitted_at
        return [(event, occurred_at, max(occurred_at, submitted_at)) for event in events]
    since = (
        {}
        if accepts or not unknown.waiting
        else {each.fill.quarantine_id: each.occurred_at for each in unknown.waiting}
    )
    executed_at = _quarantined_at(state, command) if accepts else occurred_at
    if order is None:  # a fill that has waited for its symbol and side opens its order when it was executed
        waited = (since.get(event.quarantine_id or "") for event in events if isinstance(event, FillAdded))
        executed_at = next((moment for moment in waited if moment is not None), executed_at)
    submitted_at = executed_at if order is None else order.submitted_at
    fills = [fill for event in events if isinstance(event, OrdersMerged) for fill in event.fills]
    merged_at = max((fill.occurred_at for fill in fills), default=0)  # as of a moment, not before the last of them
    timed = []
    for number, event in enumerate(events):
        when = occurred_at if isinstance(event, QuarantineResolved) else executed_at
        if isinstance(event, FillAdded | FillCorrected):
            when = since.get(event.quarantine_id or "", when)
        elif number:
            when = max(when, merged_at)
        timed.append((event, when, max(when, submitted_at) if is_order_event(event) else when))
    return timed


def _quarantined_at(state: State, command: OrderCommand) -> int:
    quarantine_id = getattr(command, "quarantine_id", "")
    for each in state.orders.waiting_of(state.orders.waiting.get(quarantine_id) or ("", "")):
        if each.fill.quarantine_id == quarantine_id:
            return each.occurred_at
    raise AssertionError("decide has found what waits")


# --- the context of a decision ---


def _decision_context(
    state: State,
    request: Request,
    command: OrderCommand,
    order: Order | None,
    unknown: UnknownOrderFills,
    moment: DecisionTime,
) -> DecisionContext:
    policy = state.policies.policy(command.account)
    symbol = order.symbol if order is not None else getattr(command, "symbol", None)
    positions = state.positions
    mark = positions.marks.get(symbol) if symbol else None
    return DecisionContext(
        origin=request.origin,
        violations=_violations(state, request, command, order, moment),
        rules=moment.rules,
        price_band=policy.price_band,
        price_band_floor=policy.price_band_floor,
        accept_exceptions=policy.on_exception == "accept",
        mark=None if mark is None else mark.price,
        multiplier=positions.multiplier(symbol) if symbol else ONE,
        currency=positions.currency(symbol) if symbol else "USD",
        base=positions.base(symbol) if symbol else "",
        unknown_contents=unknown.contents,
        unknown_waiting=unknown.waiting,
        unknown_count=state.orders.unknown_count.get(command.account) or 0,
        external_order=_external_order(state, command),
    )


def _external_order(state: State, command: OrderCommand) -> Order | None:
    """Return the external order that fills under the venue's id in the command have opened."""
    if not isinstance(command, (ChangeState, LinkOrder)) or command.external_order_id is None:
        return None
    name, orders = command.external_order_id, state.orders
    named = [key for key in orders.external.get(name) or () if key[0] == command.account]
    keys = dict.fromkeys(orders.current_key(key) for key in ((command.account, name), *named))
    keys.pop((command.account, command.order_id), None)
    found = [other for key in keys if (other := orders.order(key)) is not None and other.is_external]
    return found[0] if len(found) == 1 else None


def _violations(
    state: State, request: Request, command: OrderCommand, order: Order | None, moment: DecisionTime
) -> tuple[str, ...]:
    if request.origin is Origin.IMPORT:
        return ()
    proposal = proposal_of(command, order)
    if proposal is None:
        return ()
    found = violations_of(state, command.account, proposal, moment)
    return found if moment.overtime is None else (*found, moment.overtime)


def violations_of(state: State, account: str, proposal: Proposal, moment: DecisionTime) -> tuple[str, ...]:
    """Return the limits that an order would violate at this moment."""
    behind = -(-moment.behind // SECOND)
    oco = None if proposal.oco_group is None else (proposal.oco_group, proposal.side)
    exposure = state.exposure(account, proposal.symbol, moment.day_of(moment.now), moment.now, behind, oco)
    limits = state.policies.policy(account).of(proposal.symbol, state.positions.currency(proposal.symbol))
    return risk_checks.violations(proposal, exposure, limits, moment.rules)


def proposal_of(command: OrderCommand, order: Order | None) -> Proposal | None:
    """Return the order or amendment that the risk checks judge; None when there is none."""
    if isinstance(command, SubmitOrder) and order is None:
        return Proposal(
            symbol=command.symbol,
            side=command.side,
            order_type=command.order_type,
            quantity=command.quantity,
            total=command.quantity,
            price=command.price,
            reduce_only=command.reduce_only,
            oco_group=command.oco_group,
        )
    if not isinstance(command, AmendOrder | RequestReplace) or order is None or not order.is_open:
        return None
    if isinstance(command, AmendOrder) or not command.reported:
        wanted = order.quantity if command.quantity is None else command.quantity
        price = order.price if command.price is None else command.price
        if wanted <= order.filled_quantity or (wanted <= order.quantity and price == order.price):
            return None  # it only reduces the order
        return Proposal(
            symbol=order.symbol,
            side=order.side,
            order_type=order.submitted.order_type,
            quantity=max(ZERO, minus(wanted, largest_quantity(order))),
            total=wanted,
            price=price,
            reduce_only=order.submitted.reduce_only,
            amends=True,
        )
    return None


def is_judged(request: Request, command: Command) -> bool:
    """Return whether the risk checks judge the command."""
    return request.origin is not Origin.IMPORT and isinstance(command, SubmitOrder | AmendOrder | RequestReplace)
