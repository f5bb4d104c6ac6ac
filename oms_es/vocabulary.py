"""The words of the domain, as they stand in the log, in JSON and in the API (FIX tags in comments)."""

from enum import Enum


class OrderSide(str, Enum):
    """Which way an order or a fill moves the position (FIX Side 54)."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """Return +1 for a buy, -1 for a sell."""
        return 1 if self is OrderSide.BUY else -1


class OrderType(str, Enum):
    """How an order is priced (FIX OrdType 40)."""

    LIMIT = "limit"
    MARKET = "market"


class OrderState(str, Enum):
    """Where an order is in its life (FIX OrdStatus 39)."""

    IDLE = "idle"
    PENDING = "pending"
    WORKING = "working"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FAILED = "failed"

    @property
    def is_terminal(self) -> bool:
        """Return whether the order is done."""
        return not TRANSITIONS[self]

    @property
    def is_open(self) -> bool:
        """Return whether something may still be executed: PENDING or WORKING."""
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


class TimeInForce(str, Enum):
    """How long an order stands (FIX TimeInForce 59); recorded and shown, acted on by the venue."""

    GTC = "gtc"
    DAY = "day"
    IOC = "ioc"
    FOK = "fok"
    GTD = "gtd"


class TradingLevel(str, Enum):
    """What the emergency stop lets through."""

    NORMAL = "normal"
    REDUCE_ONLY = "reduce_only"
    HALTED = "halted"


class CostMethod(str, Enum):
    """Which open lots a closing fill takes first."""

    FIFO = "fifo"
    LIFO = "lifo"
    AVERAGE = "average"


class Origin(str, Enum):
    """Who decided an event."""

    COMMAND = "command"  # we did, under our limits
    IMPORT = "import"  # history: a fact, not judged
    EXTERNAL = "external"  # another session's order, met through its fill


class QuarantineReason(str, Enum):
    """Why a fill waits for a person instead of moving the position."""

    CONFLICT = "conflict"  # the trade id is known with other content
    OVERFILL = "overfill"  # more than the order's quantity
    ORDER_DONE = "order_done"  # the order is FILLED or REJECTED
    PRICE_BAND = "price_band"  # too far from the limit price or the mark
    UNKNOWN_ORDER = "unknown_order"  # no such order, and no symbol and side to open one
    AMBIGUOUS_ORDER = "ambiguous_order"  # the venue's id names several orders, and none of them alone fits


DEFAULT_ACCOUNT = "default"
EVERY_ACCOUNT = "*"
