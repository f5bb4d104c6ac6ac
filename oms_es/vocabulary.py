"""The enums of the domain, with their values in the log, in JSON and in the API."""

from enum import Enum


class OrderSide(str, Enum):
    """The side of an order or a fill (FIX Side 54)."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """Return +1 for a buy, -1 for a sell."""
        return 1 if self is OrderSide.BUY else -1


class OrderType(str, Enum):
    """The type of an order (FIX OrdType 40)."""

    LIMIT = "limit"
    MARKET = "market"
    STOP = "stop"  # a market order from the stop price on
    STOP_LIMIT = "stop_limit"  # a limit order from the stop price on


class OrderState(str, Enum):
    """The state of an order (FIX OrdStatus 39)."""

    IDLE = "idle"
    PENDING = "pending"
    WORKING = "working"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FAILED = "failed"

    @property
    def is_terminal(self) -> bool:
        """Return whether no other state can follow."""
        return not TRANSITIONS[self]

    @property
    def is_open(self) -> bool:
        """Return whether the order can still be filled: PENDING or WORKING."""
        return self in (OrderState.PENDING, OrderState.WORKING)


_S = OrderState
# The spec's table, literally ("Order State Machine").
TRANSITIONS: dict[OrderState, tuple[OrderState, ...]] = {
    _S.IDLE: (_S.PENDING, _S.REJECTED),
    _S.PENDING: (_S.WORKING, _S.REJECTED, _S.FAILED),
    _S.WORKING: (_S.FILLED, _S.CANCELLED, _S.REJECTED),
    _S.FILLED: (),
    _S.CANCELLED: (),
    _S.REJECTED: (),
    _S.FAILED: (),
}


class ReportStatus(str, Enum):
    """The status of an order in a venue's report (FIX OrdStatus 39; `cancel_rejected`: OrderCancelReject)."""

    PENDING = "pending"
    WORKING = "working"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    CANCEL_REJECTED = "cancel_rejected"
    REPLACED = "replaced"


class FillKind(str, Enum):
    """The kind of a reported execution (FIX ExecType 150: F, G, H)."""

    TRADE = "trade"
    CORRECT = "correct"
    BUST = "bust"


class Liquidity(str, Enum):
    """Whether a fill added liquidity or removed it (FIX LastLiquidityInd 851)."""

    MAKER = "maker"
    TAKER = "taker"


class TimeInForce(str, Enum):
    """How long an order is in force (FIX TimeInForce 59); recorded and shown, applied by the venue."""

    GTC = "gtc"
    DAY = "day"
    IOC = "ioc"
    FOK = "fok"
    GTD = "gtd"


class TradingLevel(str, Enum):
    """The level of the emergency stop: which orders are allowed."""

    NORMAL = "normal"
    REDUCE_ONLY = "reduce_only"
    HALTED = "halted"


class CostMethod(str, Enum):
    """Which open lots a fill closes first."""

    FIFO = "fifo"
    LIFO = "lifo"
    AVERAGE = "average"


class Origin(str, Enum):
    """Where an event comes from."""

    COMMAND = "command"  # a command, checked against our limits
    IMPORT = "import"  # imported history: a fact, not checked against the limits
    EXTERNAL = "external"  # an order of another session, known only from its fills


class QuarantineReason(str, Enum):
    """Why a fill is in quarantine and not booked."""

    CONFLICT = "conflict"  # the trade id was reported with other content
    OVERFILL = "overfill"  # more than the order's quantity
    ORDER_DONE = "order_done"  # the order is FILLED or REJECTED
    PRICE_BAND = "price_band"  # too far from the limit price or the mark
    UNKNOWN_ORDER = "unknown_order"  # no such order, and no symbol and side to open one
    UNKNOWN_FILL = "unknown_fill"  # a bust or a correction, reported before its fill
    AMBIGUOUS_ORDER = "ambiguous_order"  # several orders have the venue's id, and not exactly one fits the fill


DEFAULT_ACCOUNT = "default"
EVERY_ACCOUNT = "*"
