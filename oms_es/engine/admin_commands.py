"""Commands about what rules: marks, instruments, limits, the emergency stop, the closing of days."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from oms_es.decimals import text
from oms_es.domain.command_of import changed_nothing
from oms_es.domain.commands import (
    AcceptClock,
    AddFill,
    AmendOrder,
    CloseDay,
    Command,
    CorrectFill,
    DefineInstrument,
    RecordMark,
    Request,
    SetLevel,
    SetLimits,
    SubmitOrder,
)
from oms_es.domain.envelope import Draft
from oms_es.domain.events import (
    ClockAccepted,
    DayClosed,
    Event,
    InstrumentDefined,
    MarkRecorded,
    PolicyChanged,
    TradingLevelChanged,
)
from oms_es.domain.order_fills import QuarantinedFill
from oms_es.domain.policy import DECISION_RULES_VERSION, Value, differing
from oms_es.engine.decision_time import DecisionTime, drafts
from oms_es.errors import DayNotClosable, InstrumentInUse, InvalidInput
from oms_es.identifiers import shown
from oms_es.projections.policies import Policies
from oms_es.projections.position_state import Instrument
from oms_es.projections.state import State
from oms_es.vocabulary import EVERY_ACCOUNT, Origin, TradingLevel

_ACCOUNTING = ("accounting.", "day.")  # the settings that define figures and trading days; none of them is a limit
_LIMITS = (  # the keys with a default that limits something; the first rules of every release have had all of them
    "risk.max_position_size",
    "risk.max_daily_loss",
    "risk.max_open_orders",
    "trading.min_quote_size",
    "trading.max_skew",
    "fills.price_band",
)
FIRST = "the settings of the first command"
NEWER_RULES = "this release decides by rules of version "  # and which
FILE_CHANGED = "the settings file has changed"


def handle_admin_command(
    state: State, request: Request, command: Command, moment: DecisionTime, occurred_at: int
) -> list[Draft]:
    """
    Return what a command about rules puts into the log; [] for a repetition.

    Raises:
        InstrumentInUse, DayNotClosable, InvalidInput: it cannot be carried out.
    """
    event: Event
    match command:
        case RecordMark():
            event = MarkRecorded(symbol=command.symbol, price=command.price, actor=command.actor)
        case DefineInstrument():
            return _define(state, command, request, moment)
        case CloseDay():
            return _close(state, command, request, moment)
        case SetLimits():
            event = PolicyChanged(
                account=command.account,
                values=command.values,
                rules=DECISION_RULES_VERSION,
                reason=command.reason,
                actor=command.actor,
            )
        case AcceptClock():
            return _accept_clock(command, request, moment)
        case SetLevel():
            event = TradingLevelChanged(
                account=command.account, level=command.level, reason=command.reason, actor=command.actor
            )
        case _:
            raise AssertionError(f"no rule for {type(command).__name__}")
    return drafts([(event, occurred_at, occurred_at)], request, moment)


def _accept_clock(command: AcceptClock, request: Request, moment: DecisionTime) -> list[Draft]:
    """Return the acceptance of our clock; the time of recording remains ahead of it until our clock is there."""
    if not moment.behind:
        raise InvalidInput("our clock is not behind the log, so there is nothing to accept")
    accepted = replace(moment, now=moment.now - moment.behind, behind=0, head=moment.recorded_at)
    event = ClockAccepted(
        account=EVERY_ACCOUNT, ahead_ns=moment.behind, reason=command.reason, actor=command.actor, clock=accepted.now
    )
    return drafts([(event, accepted.now, accepted.now)], request, accepted)


def _define(state: State, command: DefineInstrument, request: Request, moment: DecisionTime) -> list[Draft]:
    """Return the definition; [] when it changes nothing."""
    symbol, positions = command.symbol, state.positions
    was, new = positions.instrument(symbol), _instrument_of(command)
    if was == new:
        return remembered(command, request, moment)
    same_money = (was.multiplier, was.currency) == (new.multiplier, new.currency)
    holders = positions.holders.get(symbol) or ()
    open_in = [account for account in holders if any(held.quantity for held in positions.held_in(account, symbol))]
    if open_in and not same_money:
        raise InstrumentInUse(
            f"{shown(symbol)} is held in {', '.join(open_in)}, booked with multiplier {text(was.multiplier)} in "
            f"{was.currency}; close the positions before it becomes another instrument"
        )
    event = InstrumentDefined(
        symbol=symbol,
        multiplier=command.multiplier,
        currency=command.currency,
        base=command.base,
        quote=command.quote,
        quantity_step=command.quantity_step,
        price_step=command.price_step,
        min_quantity=command.min_quantity,
        actor=command.actor,
    )
    return drafts([(event, moment.now, moment.now)], request, moment)


def _instrument_of(command: DefineInstrument) -> Instrument:
    return Instrument(
        command.multiplier,
        command.currency,
        command.base,
        command.quote,
        command.quantity_step,
        command.price_step,
        command.min_quantity,
    )


def _close(state: State, command: CloseDay, request: Request, moment: DecisionTime) -> list[Draft]:
    """Return the closing of a day; [] when it was closed before in the same way."""
    day, span = command.trading_day, state.days.spans.get(command.trading_day)
    waiting = [each for each in state.orders.all_waiting() if _day_of(state, each, moment) <= day]
    if state.days.closed.get(day) is not None:
        raise DayNotClosable(f"{shown(day)} was closed before, by seq {state.days.closed.get(day)}")
    if span is None:
        known = ", ".join(sorted(state.days.spans)[-3:]) or "none"
        raise DayNotClosable(f"no event is booked on {shown(day)} (the last days: {known})")
    if day > moment.day_by_roll(moment.now):
        raise DayNotClosable(f"{shown(day)} has not begun")
    if command.force and not command.reason:
        raise DayNotClosable("to force the closing of a day, give a reason")
    if waiting and not command.force:
        raise DayNotClosable(
            f"{len(waiting)} fills of {shown(day)} or before wait in quarantine; decide about them, or force the "
            "closing and give a reason"
        )
    begins_at, ends_at = moment.span_of(day)
    event = DayClosed(
        account=EVERY_ACCOUNT,
        trading_day=day,
        first_seq=span.first_seq,
        last_seq=span.last_seq,
        begins_at=begins_at,
        ends_at=ends_at,
        digests=state.closing_digests(),
        code=command.code,
        rules=DECISION_RULES_VERSION,
        reason=command.reason,
        forced=bool(waiting),
        actor=command.actor,
    )
    return drafts([(event, moment.now, moment.now)], request, moment)


def _day_of(state: State, waiting: QuarantinedFill, moment: DecisionTime) -> str:
    """Return the trading day that a waiting fill was booked on; an archive of an early release does not have it."""
    return state.orders.waiting_day.get(waiting.fill.quarantine_id) or moment.day_by_roll(waiting.recorded_at)


def remembered(command: Command, request: Request, moment: DecisionTime) -> list[Draft]:
    """Return the event that records the command id of a command that changes nothing."""
    own_id = isinstance(command, SubmitOrder | AddFill)  # known by order id and trade id
    if not request.command_id or own_id or request.origin is not Origin.COMMAND or moment.rules < 3:
        return []
    occurred_at = moment.now if request.occurred_at is None else request.occurred_at
    return drafts([(changed_nothing(command), occurred_at, occurred_at)], request, moment)


def newer_rules(state: State, now: Callable[[], DecisionTime]) -> list[Draft]:
    """Return the event that records the newer decision rules; [] on a log without rules, or with these."""
    if (state.policies.rules.get(EVERY_ACCOUNT) or DECISION_RULES_VERSION) >= DECISION_RULES_VERSION:
        return []
    moment = now()
    event = PolicyChanged(
        account=EVERY_ACCOUNT, values={}, rules=DECISION_RULES_VERSION, reason=f"{NEWER_RULES}{DECISION_RULES_VERSION}"
    )
    return drafts([(event, moment.now, moment.now)], Request(command=Command(account=EVERY_ACCOUNT)), moment)


def records_limits(request: Request) -> bool:
    """Return whether a command records the limits of the settings after an import: it is judged, or sets limits."""
    judged = isinstance(request.command, SubmitOrder | AmendOrder | AddFill | CorrectFill | SetLimits)
    return judged and request.origin is not Origin.IMPORT


def lacks_limits(policies: Policies) -> bool:
    """Return whether the log has no limits yet, except those that a settings file names."""
    values, named = policies.values.get(EVERY_ACCOUNT), policies.from_file
    if values is None:
        return True
    is_whole = all(key in values for key in _LIMITS)
    return not is_whole and all(key in named or key.startswith(_ACCOUNTING) for key in values)


def initial_policy(
    state: State, values: dict[str, Value], named: Sequence[str], moment: DecisionTime, *, limits: bool = True
) -> list[Draft]:
    """
    Return the policy events that the first command of a session records.

    On a log without a policy: all settings. If it is not empty and no limit judges the command (`limits` is False),
    only the calendar, the cost method and the keys of the settings file, so that an import gets no limits by default.
    On a log with a policy: the keys of the settings file whose value differs from the last one recorded from a file,
    so that an operator's change is in force until the file changes. With them goes the version of the decision rules.
    """
    in_force = state.policies.values.get(EVERY_ACCOUNT) or {}
    changed = differing(values, state.policies.from_file, named)
    first = lacks_limits(state.policies)
    if first:
        whole = limits or not state.seq
        wanted = {key: value for key, value in values.items() if whole or key.startswith(_ACCOUNTING)}
        changed = {key: value for key, value in wanted.items() if key not in in_force} | changed
    newer = (state.policies.rules.get(EVERY_ACCOUNT) or DECISION_RULES_VERSION) < DECISION_RULES_VERSION
    if not changed and not newer:
        return []
    from_file = tuple(key for key in named if key in changed)
    expected = limits or not state.seq or not from_file  # else it is logged as a change
    is_first = first and expected and not any(key in in_force for key in changed)
    reason = FIRST if is_first else FILE_CHANGED if changed else f"{NEWER_RULES}{DECISION_RULES_VERSION}"
    events: list[Event] = [
        PolicyChanged(
            account=EVERY_ACCOUNT, values=changed, from_file=from_file, rules=DECISION_RULES_VERSION, reason=reason
        )
    ]
    stop, before = changed.get("risk.emergency_stop"), state.policies.from_file.get("risk.emergency_stop")
    if stop == "true" or (stop, before) == ("false", "true"):  # a file that never pulled the stop does not release it
        level = TradingLevel.HALTED if stop == "true" else TradingLevel.NORMAL
        events.append(
            TradingLevelChanged(account=EVERY_ACCOUNT, level=level, reason="risk.emergency_stop", from_file=True)
        )
    request = Request(command=Command(account=EVERY_ACCOUNT))
    return drafts([(event, moment.now, moment.now) for event in events], request, moment)
