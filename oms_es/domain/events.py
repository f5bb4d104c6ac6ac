"""
Events: what has happened, in the past tense. The log contains nothing else.

An event is frozen, flat and complete: a replay needs nothing else. Its class name is its topic in the log for ever;
a field added later has a default, and a default never changes. The fields of its stream (`order/<account>/<order_id>`
and so on) come first: the log writes them as the name of the stream, not in the body.

Quantities are in base units, prices in quote units per base unit, fees in quote units (negative is a rebate).
"""

from decimal import Decimal
from typing import ClassVar

from msgspec import Struct

from oms_es.decimals import ONE, ZERO
from oms_es.vocabulary import OrderSide, OrderState, OrderType, QuarantineReason, TimeInForce, TradingLevel


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of all events."""

    stream: ClassVar[str]  # the kind of stream: the first part of its name

    @property
    def originator_id(self) -> str:
        """Return the name of the event's stream."""
        raise NotImplementedError


class OrderEvent(Event, frozen=True, kw_only=True):
    """The base of the events of one order."""

    stream = "order"
    account: str
    order_id: str  # FIX ClOrdID 11
    clamped: bool = False  # our clock was behind the log: recorded_at is that of the event before
    clock: int | None = None  # our clock, ns UTC, where recorded_at is ahead of it since `ClockAccepted`
    actor: str = ""  # sender of the command
    late_for: str | None = None  # the trading day it happened on, which was closed before it was reported
    ahead: bool = False  # reported with a time ahead of our clock; effective when it was recorded

    @property
    def originator_id(self) -> str:
        """Return the name of the stream."""
        return f"order/{self.account}/{self.order_id}"


class OrderSubmitted(OrderEvent, frozen=True, kw_only=True):
    """An order was submitted; its state is IDLE until the first `StateChanged`."""

    symbol: str  # FIX Symbol 55
    side: OrderSide  # FIX Side 54
    quantity: Decimal  # > 0 (FIX OrderQty 38)
    price: Decimal | None = None  # limit price (FIX Price 44); None at market
    order_type: OrderType = OrderType.LIMIT  # FIX OrdType 40
    time_in_force: TimeInForce = TimeInForce.GTC  # FIX TimeInForce 59
    reduce_only: bool = False
    external: bool = False  # another session's order, known only from its fills; they make up its quantity
    stop_price: Decimal | None = None  # of a stop or stop-limit order (FIX StopPx 99)
    oco_group: str | None = None  # one fills, the others are cancelled: the group counts once, by its largest order
    tags: dict[str, str] = {}  # strategy, trader, desk, …


class StateChanged(OrderEvent, frozen=True, kw_only=True):
    """The state of the order changed (FIX OrdStatus 39)."""

    old: OrderState
    new: OrderState
    reason: str = ""
    reported: bool = False  # the venue reported it (`update_order_state`); else it is our decision
    violations: tuple[str, ...] = ()  # every limit that the order violates
    external_order_id: str | None = None  # FIX OrderID 37
    error_message: str | None = None  # FIX Text 58
    revived: bool = False  # FAILED, whose outcome was unknown, has one now
    from_report: bool = False  # by `apply_report`, which ignores a state that does not fit
    asked_state: OrderState | None = None  # the reported state, where it became another one


class ExternalIdAssigned(OrderEvent, frozen=True, kw_only=True):
    """A venue's id of the order became known (FIX OrderID 37), without a change of state."""

    external_order_id: str
    reported: OrderState | None = None  # the state that the venue reported with it; None: only the id
    refused_in: OrderState | None = None  # the state of the order, if it did not allow the reported one
    error_message: str | None = None  # FIX Text 58, reported with it
    is_replaced: bool = False  # a replace has put it out of use before it was known
    client_id: str | None = None  # the client id of a chain of replaces that it was reported with
    is_client_id: bool = False  # no venue's id, but a client id of a chain of replaces (FIX ClOrdID 11 after 41)


class MergedFill(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fill of an external order that became a fill of ours; part of `OrdersMerged`."""

    seq: int  # of the `FillAdded` that booked it
    booked_as: str  # the order id of that event
    fill_quantity: Decimal
    fill_price: Decimal
    occurred_at: int  # ns UTC, at the venue
    trade_id: str | None = None
    fee: Decimal = ZERO
    multiplier: Decimal = ONE
    currency: str = "USD"
    late: bool = False
    forced: bool = False
    busted: bool = False
    corrected: bool = False
    inferred: bool = False
    trade_ids: tuple[str, ...] = ()
    fee_currency: str = ""
    fee_in_base: bool = False
    liquidity: str | None = None


class OrdersMerged(OrderEvent, frozen=True, kw_only=True):
    """
    An external order was identified as an order of ours; recorded in both streams, the position is unchanged.

    In the stream of our order, `merged` names the external order and `fills` are its fills; in the stream of the
    external order, `into` names ours.
    """

    merged: str | None = None
    into: str | None = None
    fills: tuple[MergedFill, ...] = ()
    external_order_ids: tuple[str, ...] = ()  # those of the external order


class OrderAmended(OrderEvent, frozen=True, kw_only=True):
    """The order's total quantity or its price changed (FIX OrderCancelReplace)."""

    quantity: Decimal  # the new total, never below the filled quantity
    price: Decimal | None = None
    asked_quantity: Decimal | None = None  # the new total in the command
    asked_price: Decimal | None = None
    asked_reduction: Decimal | None = None  # the reduction of the open quantity in the command
    reported: bool = False  # the venue replaced the order; else it is our command
    new_order_id: str | None = None  # the client id that names the order since (FIX ClOrdID 11)
    external_order_id: str | None = None  # the venue's id since


class AmendRefused(OrderEvent, frozen=True, kw_only=True):
    """A limit refused the amendment; the order is unchanged."""

    violations: tuple[str, ...]
    asked_quantity: Decimal | None = None
    asked_price: Decimal | None = None
    replaces: bool = False  # the refused command was a replace request
    asked_order_id: str | None = None  # its client id


class CancelRequested(OrderEvent, frozen=True, kw_only=True):
    """The venue was asked to cancel the order, which counts as open until it confirms."""

    reason: str = ""
    reported: bool = False  # the venue reported the request (FIX Pending Cancel)


class CancelRejected(OrderEvent, frozen=True, kw_only=True):
    """The venue rejected a cancel (FIX OrderCancelReject); the order is open as before."""

    reason: str = ""


class ReplaceRequested(OrderEvent, frozen=True, kw_only=True):
    """The venue was asked to replace the order; until it answers, the larger of both quantities counts."""

    quantity: Decimal | None = None  # the new total; None: unchanged
    price: Decimal | None = None
    new_order_id: str | None = None  # the client id of the replacement (FIX ClOrdID 11)
    reported: bool = False  # the venue reported the request (FIX Pending Replace)


class ReplaceRejected(OrderEvent, frozen=True, kw_only=True):
    """The venue rejected a replace (FIX OrderCancelReject); the order is unchanged."""

    reason: str = ""


class FillAdded(OrderEvent, frozen=True, kw_only=True):
    """The venue executed part or all of the order."""

    symbol: str
    side: OrderSide
    fill_quantity: Decimal  # > 0 (FIX LastQty 32)
    fill_price: Decimal  # FIX LastPx 31
    trade_id: str | None = None  # unique per account and order (FIX ExecID 17)
    fee: Decimal = ZERO
    multiplier: Decimal = ONE  # of the instrument when the fill was recorded
    currency: str = "USD"
    late: bool = False  # recorded after the order was CANCELLED or FAILED, or after its trading day was closed
    forced: bool = False  # it broke a rule and was accepted anyway, by the settings or by a person
    quarantine_id: str | None = None  # its id while it was in quarantine
    asked_fee: Decimal | None = None  # fee in the report that identified its order, if it differs from `fee`
    fee_currency: str = ""  # of the fee (FIX CommCurrency 479); "": that of the instrument
    fee_in_base: bool = False  # the fee is in the base asset: it changes the quantity held
    liquidity: str | None = None  # maker or taker (FIX LastLiquidityInd 851)
    inferred: bool = False  # from a cumulative quantity (FIX CumQty 14); its executions replace it
    corrects: str | None = None  # the trade id of the fill that this one has corrected, before that was reported


class FillBusted(OrderEvent, frozen=True, kw_only=True):
    """The venue busted the fill (FIX ExecType H, TradeCancel)."""

    symbol: str
    side: OrderSide
    trade_id: str
    fill_quantity: Decimal  # with all corrections, as the price and the fee
    fill_price: Decimal
    fee: Decimal = ZERO
    reason: str = ""
    booked_as: str | None = None  # the order id that the fill was booked under, if its order was merged later
    asked_trade_id: str | None = None  # the id in the command, if it is not the booked one
    inferred: bool = False  # an inferred fill, replaced by the real ones that follow
    fee_currency: str = ""  # as in `FillAdded`
    fee_in_base: bool = False


class FillCorrected(OrderEvent, frozen=True, kw_only=True):
    """The venue corrected the fill (FIX ExecType G, TradeCorrect); old and new values are recorded."""

    symbol: str
    side: OrderSide
    trade_id: str
    fill_quantity: Decimal
    fill_price: Decimal
    old_quantity: Decimal
    old_price: Decimal
    fee: Decimal = ZERO
    old_fee: Decimal = ZERO
    multiplier: Decimal = ONE  # as in the `FillAdded`
    reason: str = ""
    forced: bool = False
    quarantine_id: str | None = None
    asked_quantity: Decimal | None = None  # in the command, as the two fields below; None: unchanged
    asked_price: Decimal | None = None
    asked_fee: Decimal | None = None
    booked_as: str | None = None  # as in `FillBusted`
    completes: bool = False  # the trade was reported again, now with its fee
    correction_id: str | None = None  # the id of the correction, which names the fill from now on (FIX ExecID 17)
    asked_trade_id: str | None = None  # as in `FillBusted`, like `inferred`
    inferred: bool = False
    fee_currency: str = ""
    fee_in_base: bool = False


class QuarantineEvent(Event, frozen=True, kw_only=True):
    """The base of the events of quarantine; in the order's stream, or in the account's if the order is unknown."""

    stream = "quarantine"
    account: str
    order_id: str
    quarantine_id: str
    order_known: bool = True
    clamped: bool = False  # as in `OrderEvent`, like the fields below
    clock: int | None = None
    actor: str = ""
    late_for: str | None = None
    ahead: bool = False

    @property
    def originator_id(self) -> str:
        """Return the name of the stream."""
        return f"order/{self.account}/{self.order_id}" if self.order_known else f"quarantine/{self.account}"


class FillQuarantined(QuarantineEvent, frozen=True, kw_only=True):
    """A fill that breaks a rule was put in quarantine; order and position are unchanged."""

    why: QuarantineReason
    fill_quantity: Decimal
    fill_price: Decimal
    trade_id: str | None = None
    fee: Decimal = ZERO
    symbol: str | None = None
    side: OrderSide | None = None
    correction: bool = False  # it is the new content of the fill `trade_id`
    reason: str = ""
    bust: bool = False  # it busts the fill `trade_id`, which was not reported yet
    correction_id: str | None = None  # as in `FillCorrected`
    fee_currency: str = ""  # as in `FillAdded`, like the fields below
    liquidity: str | None = None
    inferred: bool = False
    asked_quantity: Decimal | None = None  # of a correction, as the two fields below
    asked_price: Decimal | None = None
    asked_fee: Decimal | None = None


class QuarantineResolved(QuarantineEvent, frozen=True, kw_only=True):
    """A fill in quarantine was accepted or rejected; if accepted, `FillAdded` or `FillCorrected` follows."""

    accepted: bool
    symbol: str | None = None
    side: OrderSide | None = None
    reason: str = ""
    linked: bool = False  # resolved because the order of the fill became known, not by a person


class MarketEvent(Event, frozen=True, kw_only=True):
    """The base of the events of a symbol, valid for every account."""

    stream = "market"
    symbol: str
    clamped: bool = False  # as in `OrderEvent`, like the fields below
    clock: int | None = None
    actor: str = ""
    late_for: str | None = None
    ahead: bool = False

    @property
    def originator_id(self) -> str:
        """Return the name of the stream."""
        return f"market/{self.symbol}"


class MarkRecorded(MarketEvent, frozen=True, kw_only=True):
    """A mark price was recorded, for unrealized P&L and for checks that need a market price."""

    price: Decimal


class InstrumentDefined(MarketEvent, frozen=True, kw_only=True):
    """The multiplier, currency, assets and steps of a symbol were defined."""

    multiplier: Decimal = ONE  # quote units per price unit and base unit
    currency: str = "USD"
    base: str = ""  # the asset that is bought and sold; "": not stated, as in the fields below
    quote: str = ""  # the asset that is paid
    quantity_step: Decimal | None = None  # quantities of orders are multiples of it
    price_step: Decimal | None = None
    min_quantity: Decimal | None = None  # of an order


class AccountEvent(Event, frozen=True, kw_only=True):
    """The base of the events of an account, or of every account ("*")."""

    account: str
    clamped: bool = False  # as in `OrderEvent`, like the field below
    clock: int | None = None
    actor: str = ""

    @property
    def originator_id(self) -> str:
        """Return the name of the stream."""
        return f"{self.stream}/{self.account}"


class PolicyChanged(AccountEvent, frozen=True, kw_only=True):
    """Limits and rules changed; keys as in the settings, values as text."""

    stream = "policy"
    values: dict[str, str | tuple[str, ...] | None]
    from_file: tuple[str, ...] = ()  # the keys among them that come from a settings file
    rules: int = 1  # the version of the decision rules from here on
    reason: str = ""


class TradingLevelChanged(AccountEvent, frozen=True, kw_only=True):
    """The level of the emergency stop was set."""

    stream = "policy"
    level: TradingLevel
    reason: str = ""
    from_file: bool = False


class ClockAccepted(AccountEvent, frozen=True, kw_only=True):
    """Our clock, `clock`, was accepted although the log's last event was recorded by a clock far ahead of it."""

    stream = "clock"
    ahead_ns: int  # by which the log was ahead
    reason: str = ""


class DayClosed(AccountEvent, frozen=True, kw_only=True):
    """A trading day was closed, with digests of its results."""

    stream = "day"
    trading_day: str
    first_seq: int
    last_seq: int
    digests: dict[str, str]  # of positions, pnl, limits, open_orders when it was closed
    begins_at: int = 0  # ns UTC, inclusive; 0 in logs of early releases
    ends_at: int = 0  # ns UTC, exclusive; 0 in logs of early releases
    code: str = ""  # the version of the program that closed it
    log_format: int = 1
    rules: int = 1
    reason: str = ""
    forced: bool = False  # closed although fills were in quarantine


class CommandChangedNothing(AccountEvent, frozen=True, kw_only=True):
    """A command with a command id changed nothing; recorded so that the id cannot be used with other content."""

    stream = "command"
    command: str  # the class name of the command
    asked: dict[str, str | bool | None]  # the fields of the command, decimals as text
    ahead: bool = False  # reported with a time ahead of our clock; effective when it was recorded


EVENTS: tuple[type[Event], ...] = (
    OrderSubmitted,
    StateChanged,
    ExternalIdAssigned,
    OrdersMerged,
    FillAdded,
    OrderAmended,
    AmendRefused,
    CancelRequested,
    CancelRejected,
    ReplaceRequested,
    ReplaceRejected,
    FillBusted,
    FillCorrected,
    FillQuarantined,
    QuarantineResolved,
    MarkRecorded,
    InstrumentDefined,
    PolicyChanged,
    TradingLevelChanged,
    DayClosed,
    CommandChangedNothing,
    ClockAccepted,
)
