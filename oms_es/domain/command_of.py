"""Rebuild a command from its events, to detect a repetition and to decide it again in an audit."""

import msgspec
from msgspec.structs import replace

from oms_es.domain.commands import (
    AcceptClock,
    AddFill,
    AmendOrder,
    BustFill,
    CancelOrder,
    ChangeState,
    CloseDay,
    Command,
    CorrectFill,
    DefineInstrument,
    LinkOrder,
    RecordMark,
    ReduceOrder,
    RejectCancel,
    RejectReplace,
    ReplaceOrder,
    ReportState,
    RequestCancel,
    RequestReplace,
    ResolveQuarantined,
    SetLevel,
    SetLimits,
    SubmitOrder,
)
from oms_es.domain.events import (
    AmendRefused,
    CancelRejected,
    CancelRequested,
    ClockAccepted,
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
    OrderSubmitted,
    PolicyChanged,
    QuarantineResolved,
    ReplaceRejected,
    ReplaceRequested,
    StateChanged,
    TradingLevelChanged,
)
from oms_es.vocabulary import OrderState


def command_of(events: list[Event]) -> Command:
    """Return the command that produced these events; a command contains no times."""
    first = events[0]
    if isinstance(first, StateChanged) and first.from_report:
        return _report_asked(first)
    if isinstance(first, StateChanged) and first.reported:  # the events after it are consequences
        return _state_asked(first)
    for event in events:
        command = _asked(event)
        if command is not None:
            return command
    assert isinstance(events[0], StateChanged), f"no command produces only {type(events[0]).__name__}"
    return _state_asked(events[0])


def _asked(event: Event) -> Command | None:
    """Return the command, if this event identifies it."""
    match event:
        case OrderSubmitted(external=False):
            return SubmitOrder(
                account=event.account,
                actor=event.actor,
                order_id=event.order_id,
                symbol=event.symbol,
                side=event.side,
                order_type=event.order_type,
                quantity=event.quantity,
                price=event.price,
                reduce_only=event.reduce_only,
                time_in_force=event.time_in_force,
                stop_price=event.stop_price,
                oco_group=event.oco_group,
                tags=event.tags,
            )
        case CommandChangedNothing():
            return _command_without_change(event)
        case ExternalIdAssigned():
            return _link_asked(event)
        case FillAdded() | FillQuarantined() | FillCorrected() | FillBusted():
            return _fill_command_asked(event)
        case OrderAmended() | AmendRefused():
            return _amend_asked(event)
        case CancelRequested() | CancelRejected() | ReplaceRequested() | ReplaceRejected():
            return _request_asked(event)
        case QuarantineResolved(linked=False):
            return ResolveQuarantined(
                account=event.account,
                actor=event.actor,
                order_id=event.order_id,
                quarantine_id=event.quarantine_id,
                accept=event.accepted,
                symbol=event.symbol,
                side=event.side,
                reason=event.reason,
            )
        case _:
            return _rule_asked(event)


def _fill_command_asked(event: FillAdded | FillQuarantined | FillCorrected | FillBusted) -> Command | None:
    match event:
        case FillBusted(inferred=True) | FillCorrected(inferred=True):
            return None  # the real fill follows
        case FillAdded() | FillQuarantined(correction=False, bust=False):
            return _fill_asked(event)
        case FillCorrected(completes=True):
            return _fee_asked(event)
        case _:
            return _correction_asked(event)


def _rule_asked(event: Event) -> Command | None:
    match event:
        case MarkRecorded():
            return RecordMark(actor=event.actor, symbol=event.symbol, price=event.price)
        case InstrumentDefined():
            return DefineInstrument(
                actor=event.actor,
                symbol=event.symbol,
                multiplier=event.multiplier,
                currency=event.currency,
                base=event.base,
                quote=event.quote,
                quantity_step=event.quantity_step,
                price_step=event.price_step,
                min_quantity=event.min_quantity,
            )
        case DayClosed():
            return CloseDay(
                account=event.account,
                actor=event.actor,
                trading_day=event.trading_day,
                code=event.code,
                reason=event.reason,
                force=event.forced,
            )
        case PolicyChanged():
            return SetLimits(account=event.account, actor=event.actor, values=event.values, reason=event.reason)
        case ClockAccepted():
            return AcceptClock(account=event.account, actor=event.actor, reason=event.reason)
        case TradingLevelChanged():
            return SetLevel(account=event.account, actor=event.actor, level=event.level, reason=event.reason)
        case _:
            return None


def _state_asked(event: StateChanged) -> Command:
    if event.new is OrderState.CANCELLED and not event.reported:
        return CancelOrder(account=event.account, actor=event.actor, order_id=event.order_id, reason=event.reason)
    return ChangeState(
        account=event.account,
        actor=event.actor,
        order_id=event.order_id,
        new=event.new,
        external_order_id=event.external_order_id,
        error_message=event.error_message,
    )


def _report_asked(event: StateChanged) -> ReportState:
    return ReportState(
        account=event.account,
        actor=event.actor,
        order_id=event.order_id,
        new=event.new if event.asked_state is None else event.asked_state,
        external_order_id=event.external_order_id,
        reason=event.reason,
        error_message=event.error_message,
    )


def _request_asked(event: CancelRequested | CancelRejected | ReplaceRequested | ReplaceRejected) -> Command:
    names = {"account": event.account, "actor": event.actor, "order_id": event.order_id}
    match event:
        case CancelRequested():
            return RequestCancel(**names, reason=event.reason, reported=event.reported)
        case CancelRejected():
            return RejectCancel(**names, reason=event.reason)
        case ReplaceRejected():
            return RejectReplace(**names, reason=event.reason)
        case _:
            return RequestReplace(
                **names,
                quantity=event.quantity,
                price=event.price,
                new_order_id=event.new_order_id,
                reported=event.reported,
            )


def _fill_asked(event: FillAdded | FillQuarantined) -> AddFill:
    asked_fee = event.asked_fee if isinstance(event, FillAdded) else None
    return AddFill(
        account=event.account,
        actor=event.actor,
        order_id=event.order_id,
        fill_quantity=event.fill_quantity,
        fill_price=event.fill_price,
        trade_id=event.trade_id,
        fee=event.fee if asked_fee is None else asked_fee,
        symbol=event.symbol,
        side=event.side,
        fee_currency=event.fee_currency,
        liquidity=event.liquidity,
        inferred=event.inferred,
    )


def _fee_asked(event: FillCorrected) -> AddFill:
    return AddFill(
        account=event.account,
        actor=event.actor,
        order_id=event.order_id,
        fill_quantity=event.fill_quantity,
        fill_price=event.fill_price,
        trade_id=event.trade_id,
        fee=event.fee,
        symbol=event.symbol,
        side=event.side,
        fee_currency=event.fee_currency,
    )


def _link_asked(event: ExternalIdAssigned) -> Command:
    if event.reported is None:
        return LinkOrder(
            account=event.account,
            actor=event.actor,
            order_id=event.order_id,
            external_order_id=event.external_order_id,
            is_client_id=event.is_client_id,
            is_replaced=event.is_replaced,
            client_id=event.client_id,
        )
    return ChangeState(
        account=event.account,
        actor=event.actor,
        order_id=event.order_id,
        new=event.reported,
        external_order_id=event.external_order_id,
        error_message=event.error_message,
    )


def changed_nothing(command: Command) -> CommandChangedNothing:
    """Return the event of a command that changed nothing, which records its id and its content."""
    fields = msgspec.to_builtins(command)
    asked = {name: value for name, value in fields.items() if name not in ("account", "actor")}
    return CommandChangedNothing(
        account=command.account, actor=command.actor, command=type(command).__name__, asked=asked
    )


def _command_without_change(event: CommandChangedNothing) -> Command:
    kind = _RECORDED[event.command]
    return msgspec.convert({**event.asked, "account": event.account, "actor": event.actor}, kind)


_RECORDED: dict[str, type[Command]] = {
    kind.__name__: kind
    for kind in (
        BustFill,
        CancelOrder,
        ChangeState,
        CorrectFill,
        DefineInstrument,
        LinkOrder,
        RejectCancel,
        RejectReplace,
        RequestCancel,
        RequestReplace,
    )
}


def _amend_asked(event: OrderAmended | AmendRefused) -> Command:
    if isinstance(event, OrderAmended) and event.asked_reduction is not None:
        return ReduceOrder(
            account=event.account, actor=event.actor, order_id=event.order_id, quantity=event.asked_reduction
        )
    if isinstance(event, OrderAmended) and event.reported:
        return ReplaceOrder(
            account=event.account,
            actor=event.actor,
            order_id=event.order_id,
            quantity=event.asked_quantity,
            price=event.asked_price,
            new_order_id=event.new_order_id,
            external_order_id=event.external_order_id,
        )
    if isinstance(event, AmendRefused) and event.replaces:
        return RequestReplace(
            account=event.account,
            actor=event.actor,
            order_id=event.order_id,
            quantity=event.asked_quantity,
            price=event.asked_price,
            new_order_id=event.asked_order_id,
        )
    return AmendOrder(
        account=event.account,
        actor=event.actor,
        order_id=event.order_id,
        quantity=event.asked_quantity,
        price=event.asked_price,
    )


def _correction_asked(event: FillBusted | FillCorrected | FillQuarantined) -> Command:
    assert event.trade_id is not None, "a fill without a trade id is never busted or corrected"
    trade_id = event.trade_id
    if not isinstance(event, FillQuarantined) and event.asked_trade_id is not None:
        trade_id = event.asked_trade_id
    if isinstance(event, FillBusted) or (isinstance(event, FillQuarantined) and event.bust):
        return BustFill(
            account=event.account,
            actor=event.actor,
            order_id=event.order_id,
            trade_id=trade_id,
            reason=event.reason,
        )
    return CorrectFill(
        account=event.account,
        actor=event.actor,
        order_id=event.order_id,
        trade_id=trade_id,
        fill_quantity=event.asked_quantity,
        fill_price=event.asked_price,
        fee=event.asked_fee,
        reason=event.reason,
        correction_id=event.correction_id,
    )


def same_content(asked: Command, before: Command) -> bool:
    """Return whether two commands have the same content; the actor is not compared."""
    if type(asked) is not type(before):
        return False
    if isinstance(asked, AddFill) and isinstance(before, AddFill):
        # A fill of a known order may omit its symbol and side.
        asked = replace(asked, symbol=asked.symbol or before.symbol, side=asked.side or before.side)
        before = replace(before, symbol=before.symbol or asked.symbol, side=before.side or asked.side)
    return replace(asked, actor="") == replace(before, actor="")
