"""
Commands, in the imperative; their values are already validated and canonical.

A command contains no time: two commands with the same content are equal.
"""

from decimal import Decimal

from msgspec import Struct

from oms_es.decimals import ZERO
from oms_es.domain.reports import Report
from oms_es.vocabulary import DEFAULT_ACCOUNT, OrderSide, OrderState, OrderType, Origin, TimeInForce, TradingLevel


class Command(Struct, frozen=True, kw_only=True):
    """The base of all commands."""

    account: str = DEFAULT_ACCOUNT
    actor: str = ""


class Request(Struct, frozen=True, kw_only=True):
    """A command with its idempotency key, time and origin, which are not part of its content."""

    command: Command
    command_id: str | None = None  # idempotency key: a repetition has the same id and content
    occurred_at: int | None = None  # ns UTC; None: now
    origin: Origin = Origin.COMMAND
    any_account: bool = False  # no account was named: search all of them
    is_located: bool = False  # account and order id are known to be the order's: the command was rebuilt from the log
    drawn_id: bool = False  # we generated the order id; it is not compared when the command is repeated


class OrderCommand(Command, frozen=True, kw_only=True):
    """The base of the commands of one order."""

    order_id: str


class SubmitOrder(OrderCommand, frozen=True, kw_only=True):
    """Submit an order (FIX NewOrderSingle)."""

    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    reduce_only: bool = False
    time_in_force: TimeInForce = TimeInForce.GTC
    stop_price: Decimal | None = None
    oco_group: str | None = None
    tags: dict[str, str] = {}


class ChangeState(OrderCommand, frozen=True, kw_only=True):
    """Record the order state that the venue reports."""

    new: OrderState
    external_order_id: str | None = None
    error_message: str | None = None


class LinkOrder(OrderCommand, frozen=True, kw_only=True):
    """Record the venue's id of the order (FIX OrderID 37), or a client id of its chain of replaces."""

    external_order_id: str
    is_client_id: bool = False
    is_replaced: bool = False
    client_id: str | None = None


class ReportState(OrderCommand, frozen=True, kw_only=True):
    """Record the order state in a venue's report; one that does not fit the order is ignored."""

    new: OrderState
    external_order_id: str | None = None
    reason: str = ""
    error_message: str | None = None


class CancelOrder(OrderCommand, frozen=True, kw_only=True):
    """Cancel the open quantity of an order."""

    reason: str = "User requested"


class RequestCancel(OrderCommand, frozen=True, kw_only=True):
    """Record that the venue was asked to cancel the order."""

    reason: str = "User requested"
    reported: bool = False


class RejectCancel(OrderCommand, frozen=True, kw_only=True):
    """Record that the venue rejected a cancel."""

    reason: str = ""


class RequestReplace(OrderCommand, frozen=True, kw_only=True):
    """Record that the venue was asked to replace the order; None: unchanged."""

    quantity: Decimal | None = None
    price: Decimal | None = None
    new_order_id: str | None = None
    reported: bool = False


class RejectReplace(OrderCommand, frozen=True, kw_only=True):
    """Record that the venue rejected a replace."""

    reason: str = ""


class ReplaceOrder(OrderCommand, frozen=True, kw_only=True):
    """Record that the venue replaced the order (a fact, not a request); None: unchanged."""

    quantity: Decimal | None = None
    price: Decimal | None = None
    new_order_id: str | None = None
    external_order_id: str | None = None


class AmendOrder(OrderCommand, frozen=True, kw_only=True):
    """Change the total quantity or the price (FIX OrderCancelReplace); None: unchanged."""

    quantity: Decimal | None = None
    price: Decimal | None = None


class ReduceOrder(OrderCommand, frozen=True, kw_only=True):
    """Reduce the open quantity by `quantity` (a fact of the venue, not a request)."""

    quantity: Decimal


class AddFill(OrderCommand, frozen=True, kw_only=True):
    """Record a fill (FIX ExecutionReport)."""

    fill_quantity: Decimal
    fill_price: Decimal
    trade_id: str | None = None
    fee: Decimal = ZERO
    symbol: str | None = None
    side: OrderSide | None = None
    fee_currency: str = ""
    liquidity: str | None = None
    inferred: bool = False  # from a cumulative quantity


class BustFill(OrderCommand, frozen=True, kw_only=True):
    """Bust a fill (FIX TradeCancel)."""

    trade_id: str
    reason: str = ""


class CorrectFill(OrderCommand, frozen=True, kw_only=True):
    """Correct a fill (FIX TradeCorrect); None: unchanged."""

    trade_id: str
    fill_quantity: Decimal | None = None
    fill_price: Decimal | None = None
    fee: Decimal | None = None
    reason: str = ""
    correction_id: str | None = None  # the execution id of the correction (FIX ExecID 17)


class ResolveQuarantined(OrderCommand, frozen=True, kw_only=True):
    """Accept or reject a fill in quarantine."""

    quarantine_id: str
    accept: bool
    symbol: str | None = None
    side: OrderSide | None = None
    reason: str = ""


class ApplyReport(OrderCommand, frozen=True, kw_only=True):
    """Record a venue's report: it becomes further commands, which are carried out and recorded one by one."""

    report: Report


class RecordMark(Command, frozen=True, kw_only=True):
    """Record the mark price of a symbol."""

    symbol: str
    price: Decimal


class DefineInstrument(Command, frozen=True, kw_only=True):
    """Define the multiplier, currency, assets and steps of a symbol."""

    symbol: str
    multiplier: Decimal
    currency: str
    base: str = ""
    quote: str = ""
    quantity_step: Decimal | None = None
    price_step: Decimal | None = None
    min_quantity: Decimal | None = None


class SetLimits(Command, frozen=True, kw_only=True):
    """Change limits of an account, or of every account ("*")."""

    values: dict[str, str | tuple[str, ...] | None]
    reason: str = ""


class CloseDay(Command, frozen=True, kw_only=True):
    """Close a trading day for every account."""

    trading_day: str
    code: str = ""
    reason: str = ""
    force: bool = False


class AcceptClock(Command, frozen=True, kw_only=True):
    """Accept our clock, although the log's last event was recorded by a clock ahead of it."""

    reason: str = ""


class SetLevel(Command, frozen=True, kw_only=True):
    """Set the level of the emergency stop of an account, or of every account ("*")."""

    level: TradingLevel
    reason: str = ""
