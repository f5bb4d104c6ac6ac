"""
What has happened, in the past tense: the only thing the log ever holds.

An event is frozen, flat and complete: a replay needs nothing else. Its class name is its topic in the log for ever;
a field added later has a default, and a default never changes. The fields of its stream (`order/<account>/<order_id>`
and so on) come first: the log writes them once, as the stream's name, and not again in the body.

Quantities are in base units, prices in quote units per base unit, fees in quote units (negative is a rebate).
"""

from decimal import Decimal
from typing import ClassVar

from msgspec import Struct

from oms_es.decimals import ONE, ZERO
from oms_es.vocabulary import OrderSide, OrderState, OrderType, QuarantineReason, TimeInForce, TradingLevel


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of everything the log holds."""

    stream: ClassVar[str]  # the kind of stream: the first part of its name

    @property
    def originator_id(self) -> str:
        """Return the name of the stream the event belongs into."""
        raise NotImplementedError


class OrderEvent(Event, frozen=True, kw_only=True):
    """Something that happened to one order."""

    stream = "order"
    account: str
    order_id: str  # FIX ClOrdID 11
    clamped: bool = False  # our clock had run backwards: recorded_at is the log's last
    actor: str = ""  # who asked
    late_for: str | None = None  # it was so on this trading day, which was closed before it was told
    ahead: bool = False  # reported with a time ahead of our clock; effective when it was recorded

    @property
    def originator_id(self) -> str:
        """Return the name of the stream."""
        return f"order/{self.account}/{self.order_id}"


class OrderSubmitted(OrderEvent, frozen=True, kw_only=True):
    """Somebody wants this order; the state is IDLE until a `StateChanged` says more."""

    symbol: str  # FIX Symbol 55
    side: OrderSide  # FIX Side 54
    quantity: Decimal  # > 0 (FIX OrderQty 38)
    price: Decimal | None = None  # limit price (FIX Price 44); None at market
    order_type: OrderType = OrderType.LIMIT  # FIX OrdType 40
    time_in_force: TimeInForce = TimeInForce.GTC  # FIX TimeInForce 59
    reduce_only: bool = False
    external: bool = False  # another session's: met through its fill, its quantity grows with its fills


class StateChanged(OrderEvent, frozen=True, kw_only=True):
    """The order went from one state to another (FIX OrdStatus 39)."""

    old: OrderState
    new: OrderState
    reason: str = ""
    reported: bool = False  # the venue said so (`update_order_state`); else we decided it
    violations: tuple[str, ...] = ()  # every limit that refused it
    external_order_id: str | None = None  # FIX OrderID 37
    error_message: str | None = None  # FIX Text 58


class ExternalIdAssigned(OrderEvent, frozen=True, kw_only=True):
    """A venue's id of the order became known (FIX OrderID 37), apart from a change of state."""

    external_order_id: str
    reported: OrderState | None = None  # the state that the venue reported with it; None: only the id
    refused_in: OrderState | None = None  # the state of the order, where it could not go to the reported one
    error_message: str | None = None  # FIX Text 58, reported with it


class MergedFill(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fill that one order takes over from another, as `OrdersMerged` keeps it."""

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


class OrdersMerged(OrderEvent, frozen=True, kw_only=True):
    """
    An external order turned out to be an order of ours; recorded in both streams, the position is as before.

    In the stream of our order, `merged` names the external order and `fills` are what it brings along; in the stream
    of the external order, `into` names ours.
    """

    merged: str | None = None
    into: str | None = None
    fills: tuple[MergedFill, ...] = ()
    external_order_ids: tuple[str, ...] = ()  # those of the external order


class OrderAmended(OrderEvent, frozen=True, kw_only=True):
    """The order's total quantity or its price is another now."""

    quantity: Decimal  # the new total, never below what is filled
    price: Decimal | None = None
    asked_quantity: Decimal | None = None  # the new total that was asked for
    asked_price: Decimal | None = None
    asked_reduction: Decimal | None = None  # asked as "take this off the open quantity"


class AmendRefused(OrderEvent, frozen=True, kw_only=True):
    """A limit refused the amendment; the order is as it was."""

    violations: tuple[str, ...]
    asked_quantity: Decimal | None = None
    asked_price: Decimal | None = None


class FillAdded(OrderEvent, frozen=True, kw_only=True):
    """The venue executed part or all of the order."""

    symbol: str
    side: OrderSide
    fill_quantity: Decimal  # > 0 (FIX LastQty 32)
    fill_price: Decimal  # FIX LastPx 31
    trade_id: str | None = None  # unique per account and order (FIX ExecID 17)
    fee: Decimal = ZERO
    multiplier: Decimal = ONE  # of the instrument as it was defined then
    currency: str = "USD"
    late: bool = False  # it came after the order was CANCELLED or FAILED, or after its trading day was closed
    forced: bool = False  # it broke a rule and was taken all the same (settings, or a person)
    quarantine_id: str | None = None  # it waited in quarantine under this id
    asked_fee: Decimal | None = None  # of the report that told whose fill it is, where it is another than the fee


class FillBusted(OrderEvent, frozen=True, kw_only=True):
    """The venue took the fill back (FIX ExecType H, TradeCancel)."""

    symbol: str
    side: OrderSide
    trade_id: str
    fill_quantity: Decimal  # what is taken back, as it stood last
    fill_price: Decimal
    fee: Decimal = ZERO
    reason: str = ""
    booked_as: str | None = None  # the order id that the fill was booked under, where the orders were merged since


class FillCorrected(OrderEvent, frozen=True, kw_only=True):
    """The venue changed the fill (FIX ExecType G, TradeCorrect); what it was is kept beside what it is."""

    symbol: str
    side: OrderSide
    trade_id: str
    fill_quantity: Decimal
    fill_price: Decimal
    old_quantity: Decimal
    old_price: Decimal
    fee: Decimal = ZERO
    old_fee: Decimal = ZERO
    multiplier: Decimal = ONE  # as when the fill was added
    reason: str = ""
    forced: bool = False
    quarantine_id: str | None = None
    asked_quantity: Decimal | None = None  # what was asked; None kept what it was
    asked_price: Decimal | None = None
    asked_fee: Decimal | None = None
    booked_as: str | None = None  # as in `FillBusted`
    completes: bool = False  # the trade was reported again, now with its fee


class QuarantineEvent(Event, frozen=True, kw_only=True):
    """Something about a fill that waits; in the order's stream, or in the account's where the order is unknown."""

    stream = "quarantine"
    account: str
    order_id: str
    quarantine_id: str
    order_known: bool = True
    clamped: bool = False  # our clock had run backwards: recorded_at is the log's last
    actor: str = ""  # who asked
    late_for: str | None = None  # it was so on this trading day, which was closed before it was told
    ahead: bool = False  # reported with a time ahead of our clock; effective when it was recorded

    @property
    def originator_id(self) -> str:
        """Return the name of the stream."""
        return f"order/{self.account}/{self.order_id}" if self.order_known else f"quarantine/{self.account}"


class FillQuarantined(QuarantineEvent, frozen=True, kw_only=True):
    """A fill that breaks a rule: kept, and waiting for a person; order and position have not moved."""

    why: QuarantineReason
    fill_quantity: Decimal
    fill_price: Decimal
    trade_id: str | None = None
    fee: Decimal = ZERO
    symbol: str | None = None
    side: OrderSide | None = None
    correction: bool = False  # it is the new content of the fill `trade_id`
    reason: str = ""
    asked_quantity: Decimal | None = None  # of a correction
    asked_price: Decimal | None = None
    asked_fee: Decimal | None = None


class QuarantineResolved(QuarantineEvent, frozen=True, kw_only=True):
    """Somebody decided about a fill in quarantine; an accepted one follows as `FillAdded` or `FillCorrected`."""

    accepted: bool
    symbol: str | None = None
    side: OrderSide | None = None
    reason: str = ""
    linked: bool = False  # not a person's decision: it became known which order the fill belongs to


class MarketEvent(Event, frozen=True, kw_only=True):
    """Something about a symbol, for every account."""

    stream = "market"
    symbol: str
    clamped: bool = False  # our clock had run backwards: recorded_at is the log's last
    actor: str = ""  # who asked
    late_for: str | None = None  # it was so on this trading day, which was closed before it was told
    ahead: bool = False  # reported with a time ahead of our clock; effective when it was recorded

    @property
    def originator_id(self) -> str:
        """Return the name of the stream."""
        return f"market/{self.symbol}"


class MarkRecorded(MarketEvent, frozen=True, kw_only=True):
    """What one unit was worth, for unrealized P&L and for checks that need a market price."""

    price: Decimal


class InstrumentDefined(MarketEvent, frozen=True, kw_only=True):
    """What one unit of the symbol stands for."""

    multiplier: Decimal = ONE  # quote units per price unit and base unit
    currency: str = "USD"


class AccountEvent(Event, frozen=True, kw_only=True):
    """Something about an account, or about every account ("*")."""

    account: str
    clamped: bool = False  # our clock had run backwards: recorded_at is the log's last
    actor: str = ""  # who asked

    @property
    def originator_id(self) -> str:
        """Return the name of the stream."""
        return f"{self.stream}/{self.account}"


class PolicyChanged(AccountEvent, frozen=True, kw_only=True):
    """The limits and rules that decide from here on; keys as in the settings, values as text."""

    stream = "policy"
    values: dict[str, str | tuple[str, ...] | None]
    from_file: tuple[str, ...] = ()  # the keys among them that a settings file holds
    rules: int = 1  # the version of the rules that decide
    reason: str = ""


class TradingLevelChanged(AccountEvent, frozen=True, kw_only=True):
    """The emergency stop was pulled or released."""

    stream = "policy"
    level: TradingLevel
    reason: str = ""
    from_file: bool = False


class DayClosed(AccountEvent, frozen=True, kw_only=True):
    """A trading day was closed, with what it came to."""

    stream = "day"
    trading_day: str
    first_seq: int
    last_seq: int
    digests: dict[str, str]  # of positions, pnl, limits, open_orders as they stood
    begins_at: int = 0  # ns UTC; what was so from here on
    ends_at: int = 0  # and before here belongs to the day; both 0 where an early release has closed it
    code: str = ""  # the version of the program that closed it
    log_format: int = 1
    rules: int = 1
    reason: str = ""
    forced: bool = False  # closed although fills were waiting in quarantine


class CommandChangedNothing(AccountEvent, frozen=True, kw_only=True):
    """A command with a command id found done what it asked for; recorded so that its id stands for this content."""

    stream = "command"
    command: str  # the name of its class
    asked: dict[str, str | bool | None]  # its fields, decimals as text
    ahead: bool = False  # reported with a time ahead of our clock; effective when it was recorded


EVENTS: tuple[type[Event], ...] = (
    OrderSubmitted,
    StateChanged,
    ExternalIdAssigned,
    OrdersMerged,
    FillAdded,
    OrderAmended,
    AmendRefused,
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
)
