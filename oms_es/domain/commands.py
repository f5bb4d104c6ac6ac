"""
What somebody asks for, in the imperative; values are validated and canonical before a command exists.

A command never holds a time to be identified by: the same content twice is the same command.
"""

from decimal import Decimal

from msgspec import Struct

from oms_es.decimals import ZERO
from oms_es.vocabulary import DEFAULT_ACCOUNT, OrderSide, OrderState, OrderType, Origin, TimeInForce, TradingLevel


class Command(Struct, frozen=True, kw_only=True):
    """The base of all commands."""

    account: str = DEFAULT_ACCOUNT
    actor: str = ""


class Request(Struct, frozen=True, kw_only=True):
    """A command, and what comes with it but is no part of what was asked."""

    command: Command
    command_id: str | None = None  # the same id and content again is the same command
    occurred_at: int | None = None  # ns UTC; None: now
    origin: Origin = Origin.COMMAND
    any_account: bool = False  # no account was named: look in every one
    is_located: bool = False  # the account and order id are those of the order: a command read back from the log
    drawn_id: bool = False  # the order id was drawn by us and is no part of what was asked


class OrderCommand(Command, frozen=True, kw_only=True):
    """A command about one order."""

    order_id: str


class SubmitOrder(OrderCommand, frozen=True, kw_only=True):
    """Place an order."""

    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    reduce_only: bool = False
    time_in_force: TimeInForce = TimeInForce.GTC


class ChangeState(OrderCommand, frozen=True, kw_only=True):
    """Record what the venue says of the order."""

    new: OrderState
    external_order_id: str | None = None
    error_message: str | None = None


class LinkOrder(OrderCommand, frozen=True, kw_only=True):
    """Record a venue's id of the order."""

    external_order_id: str


class CancelOrder(OrderCommand, frozen=True, kw_only=True):
    """Give up what is open."""

    reason: str = "User requested"


class AmendOrder(OrderCommand, frozen=True, kw_only=True):
    """Ask for another total quantity or another price; None keeps what it is."""

    quantity: Decimal | None = None
    price: Decimal | None = None


class ReduceOrder(OrderCommand, frozen=True, kw_only=True):
    """Take `quantity` off what is open (a fact of the venue, not a request)."""

    quantity: Decimal


class AddFill(OrderCommand, frozen=True, kw_only=True):
    """Record an execution."""

    fill_quantity: Decimal
    fill_price: Decimal
    trade_id: str | None = None
    fee: Decimal = ZERO
    symbol: str | None = None
    side: OrderSide | None = None


class BustFill(OrderCommand, frozen=True, kw_only=True):
    """Take a fill back."""

    trade_id: str
    reason: str = ""


class CorrectFill(OrderCommand, frozen=True, kw_only=True):
    """Change a fill; None keeps what it is."""

    trade_id: str
    fill_quantity: Decimal | None = None
    fill_price: Decimal | None = None
    fee: Decimal | None = None
    reason: str = ""


class ResolveQuarantined(OrderCommand, frozen=True, kw_only=True):
    """Decide about a fill in quarantine."""

    quarantine_id: str
    accept: bool
    symbol: str | None = None
    side: OrderSide | None = None
    reason: str = ""


class RecordMark(Command, frozen=True, kw_only=True):
    """Record what one unit is worth."""

    symbol: str
    price: Decimal


class DefineInstrument(Command, frozen=True, kw_only=True):
    """Say what one unit of a symbol stands for."""

    symbol: str
    multiplier: Decimal
    currency: str


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


class SetLevel(Command, frozen=True, kw_only=True):
    """Pull or release the emergency stop of an account, or of every account ("*")."""

    level: TradingLevel
    reason: str = ""
