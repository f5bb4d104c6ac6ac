"""A command, rebuilt from the events it gave: for telling a repetition from a conflict, and for deciding it again."""

from msgspec.structs import replace

from oms_es.commands import (
    AddFill,
    AmendOrder,
    BustFill,
    CancelOrder,
    ChangeState,
    CloseDay,
    Command,
    CorrectFill,
    DefineInstrument,
    RecordMark,
    ReduceOrder,
    ResolveQuarantined,
    SetLevel,
    SetLimits,
    SubmitOrder,
)
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
from oms_es.vocabulary import OrderState


def rebuild(events: list[Event]) -> Command:
    """Return the command that gave these events; times are no part of it."""
    for event in events:
        command = _asked(event)
        if command is not None:
            return command
    assert isinstance(events[0], StateChanged), f"no command gives only {type(events[0]).__name__}"
    return _state_asked(events[0])


def _asked(event: Event) -> Command | None:
    """Return what was asked, if this is the event that tells."""
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
            )
        case FillAdded() | FillQuarantined(correction=False):
            return _fill_asked(event)
        case OrderAmended() | AmendRefused():
            return _amend_asked(event)
        case FillBusted() | FillCorrected() | FillQuarantined():
            return _correction_asked(event)
        case QuarantineResolved():
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


def _rule_asked(event: Event) -> Command | None:
    match event:
        case MarkRecorded():
            return RecordMark(actor=event.actor, symbol=event.symbol, price=event.price)
        case InstrumentDefined():
            return DefineInstrument(
                actor=event.actor, symbol=event.symbol, multiplier=event.multiplier, currency=event.currency
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


def _fill_asked(event: FillAdded | FillQuarantined) -> AddFill:
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
    )


def _amend_asked(event: OrderAmended | AmendRefused) -> Command:
    if isinstance(event, OrderAmended) and event.asked_reduction is not None:
        return ReduceOrder(
            account=event.account, actor=event.actor, order_id=event.order_id, quantity=event.asked_reduction
        )
    return AmendOrder(
        account=event.account,
        actor=event.actor,
        order_id=event.order_id,
        quantity=event.asked_quantity,
        price=event.asked_price,
    )


def _correction_asked(event: FillBusted | FillCorrected | FillQuarantined) -> Command:
    assert event.trade_id is not None, "a fill without a trade id cannot be named, so it is never busted or corrected"
    if isinstance(event, FillBusted):
        return BustFill(
            account=event.account,
            actor=event.actor,
            order_id=event.order_id,
            trade_id=event.trade_id,
            reason=event.reason,
        )
    return CorrectFill(
        account=event.account,
        actor=event.actor,
        order_id=event.order_id,
        trade_id=event.trade_id,
        fill_quantity=event.asked_quantity,
        fill_price=event.asked_price,
        fee=event.asked_fee,
        reason=event.reason,
    )


def same_content(asked: Command, before: Command) -> bool:
    """Return whether two commands ask for the same thing; who asks is no part of it."""
    if type(asked) is not type(before):
        return False
    if isinstance(asked, AddFill) and isinstance(before, AddFill):
        # A fill of a known order may name its symbol and side, or leave them to the order.
        asked = replace(asked, symbol=asked.symbol or before.symbol, side=asked.side or before.side)
        before = replace(before, symbol=before.symbol or asked.symbol, side=before.side or asked.side)
    return replace(asked, actor="") == replace(before, actor="")
