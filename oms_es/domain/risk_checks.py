"""
Risk checks: one pure function per check, which returns None when the order passes.

The text of a violation starts with a code that never changes, then the measured value, then the limit. All checks
run, so that a rejection lists every violation.
"""

from collections.abc import Callable
from decimal import Decimal

from msgspec import Struct

from oms_es.decimals import ZERO, minus, multiples_around, negate, plus, text, times
from oms_es.domain.policy import DECISION_RULES_VERSION as VERSION
from oms_es.domain.policy import Policy
from oms_es.vocabulary import OrderSide, OrderType, TradingLevel


class Proposal(Struct, frozen=True, kw_only=True):
    """The input of the checks: a new order, or the change that an amendment makes to one."""

    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal  # added to the open quantity; 0 for an amendment that adds nothing
    total: Decimal  # the order's total quantity
    price: Decimal | None
    reduce_only: bool = False
    amends: bool = False
    oco_group: str | None = None  # of a new order


class Exposure(Struct, frozen=True, kw_only=True):
    """A snapshot of an account's position and open orders in one symbol; base units."""

    position: Decimal = ZERO  # + long, - short
    open_buys: Decimal = ZERO  # quantity that open orders and fills in quarantine can still buy
    open_sells: Decimal = ZERO
    open_orders: int = 0  # of the account, over all symbols
    daily_pnl: Decimal = ZERO  # of the account's trading day so far, in the symbol's currency
    level: TradingLevel = TradingLevel.NORMAL
    mark: Decimal | None = None
    multiplier: Decimal = Decimal(1)
    recent_orders: int = 0  # submits and amends in the last second
    clock_behind: int = 0  # seconds by which our clock is behind the log's head
    group_open: Decimal = ZERO  # the part of the open quantity on its side that the order's OCO group makes up
    quantity_step: Decimal | None = None  # of the instrument, as the two fields below
    price_step: Decimal | None = None
    min_quantity: Decimal | None = None

    def worst_case(self, order: Proposal) -> Decimal:
        """Return the position after a complete fill of the order and all open orders on its side."""
        added = max(ZERO, minus(order.quantity, self.group_open)) if self.group_open else order.quantity
        if order.side is OrderSide.BUY:
            return plus(plus(self.position, self.open_buys), added)
        return minus(minus(self.position, self.open_sells), added)

    def reduced_by(self, order: Proposal) -> bool:
        """Return whether the order only reduces the position, after the open orders on its side."""
        opposite = self.position < 0 if order.side is OrderSide.BUY else self.position > 0
        return opposite and order.quantity <= self.left_after(order)

    def left_after(self, order: Proposal) -> Decimal:
        """Return the quantity that orders on this side can still close; negative if none is left."""
        if order.side is OrderSide.BUY:
            left = minus(negate(self.position), self.open_buys)
        else:
            left = minus(self.position, self.open_sells)
        return plus(left, self.group_open) if self.group_open else left


Check = Callable[[Proposal, Exposure, Policy], str | None]


def position_size(order: Proposal, exposure: Exposure, limits: Policy) -> str | None:
    """Refuse an order that can lead to a position above `risk.max_position_size`."""
    if limits.max_position_size is None or not order.quantity:
        return None
    after = exposure.worst_case(order).copy_abs()
    if after <= limits.max_position_size or exposure.reduced_by(order):
        return None
    return f"POSITION_SIZE: {text(after)} {order.symbol} would exceed the limit of {text(limits.max_position_size)}"


def daily_loss(order: Proposal, exposure: Exposure, limits: Policy) -> str | None:
    """Refuse an order that adds risk when the trading day's loss is at least `risk.max_daily_loss`."""
    adds_nothing = order.amends and not order.quantity
    if limits.max_daily_loss is None or adds_nothing or exposure.reduced_by(order):
        return None
    loss = negate(exposure.daily_pnl)
    if loss < limits.max_daily_loss:
        return None
    return f"DAILY_LOSS: {text(loss)} lost today has reached the limit of {text(limits.max_daily_loss)}"


def position_skew(order: Proposal, exposure: Exposure, limits: Policy) -> str | None:
    """Refuse an order that increases a position above `trading.max_skew`."""
    held = exposure.position.copy_abs()
    if limits.max_skew is None or held <= limits.max_skew or not order.quantity or exposure.reduced_by(order):
        return None
    if exposure.worst_case(order).copy_abs() <= held:
        return None
    return f"POSITION_SKEW: {text(held)} {order.symbol} is held, beyond the limit of {text(limits.max_skew)}"


def order_quantity(order: Proposal, exposure: Exposure, limits: Policy) -> str | None:
    """Refuse a quantity below `trading.min_quote_size`, or above `risk.max_order_quantity` unless it reduces."""
    if order.amends and not order.quantity:
        return None  # only the price changes; the quantity was checked before
    least, most, reduces = limits.min_quote_size, limits.max_order_quantity, exposure.reduced_by(order)
    closes = reduces and order.quantity == exposure.left_after(order)
    if least is not None and order.total < least and not closes:
        size = f"{text(order.total)} {order.symbol}"
        return f"ORDER_QUANTITY: {size} is below the minimum of {text(least)} (trading.min_quote_size)"
    if most is not None and order.total > most and not reduces:
        size = f"{text(order.total)} {order.symbol}"
        return f"ORDER_QUANTITY: {size} is above the maximum of {text(most)} (risk.max_order_quantity)"
    return None


def order_step(order: Proposal, exposure: Exposure, _: Policy) -> str | None:
    """Refuse a quantity or a limit price off the instrument's step, and a quantity below its minimum."""
    if exposure.quantity_step is None and exposure.price_step is None and exposure.min_quantity is None:
        return None  # nearly always
    if order.quantity or not order.amends:
        least = exposure.min_quantity
        closes = exposure.reduced_by(order) and order.quantity == exposure.left_after(order)
        if least is not None and order.total < least and not closes:
            return f"ORDER_QUANTITY: {text(order.total)} is below the minimum of {text(least)} of {order.symbol}"
        if off := _off_step(order.total, exposure.quantity_step):
            return f"ORDER_QUANTITY: {off}"
    if order.price is not None and (off := _off_step(order.price, exposure.price_step)):
        return f"ORDER_QUANTITY: the price {off}"
    return None


def _off_step(value: Decimal, step: Decimal | None) -> str:
    if step is None:
        return ""
    low, high = multiples_around(value, step)
    if low == high:
        return ""
    return f"{text(value)} is not a multiple of {text(step)}; the nearest are {text(low)} and {text(high)}"


def order_quantity_before_3(order: Proposal, exposure: Exposure, limits: Policy) -> str | None:
    """Check the quantity by versions 1 and 2 of the rules, whose maximum also applies to reducing orders."""
    if order.amends and not order.quantity:
        return None
    least, most = limits.min_quote_size, limits.max_order_quantity
    closes = order.total == exposure.position.copy_abs() and exposure.reduced_by(order)
    if least is not None and order.total < least and not closes:
        return f"ORDER_QUANTITY: {text(order.total)} {order.symbol} is below the minimum of {text(least)}"
    if most is not None and order.total > most:
        return f"ORDER_QUANTITY: {text(order.total)} {order.symbol} is above the maximum of {text(most)}"
    return None


def order_notional(order: Proposal, exposure: Exposure, limits: Policy) -> str | None:
    """Refuse an order with a notional above `risk.max_order_notional`."""
    most = limits.max_order_notional
    if most is None:
        return None
    price = exposure.mark if order.order_type is OrderType.MARKET else order.price
    if price is None:
        return f"ORDER_NOTIONAL: a market order in {order.symbol} without a mark cannot be valued (limit {text(most)})"
    notional = times(times(order.total, price.copy_abs()), exposure.multiplier)
    if notional <= most:
        return None
    return f"ORDER_NOTIONAL: {text(notional)} in {order.symbol} is above the limit of {text(most)}"


def open_orders(order: Proposal, exposure: Exposure, limits: Policy) -> str | None:
    """Refuse an order when `risk.max_open_orders` orders are open."""
    if limits.max_open_orders is None or order.amends or exposure.open_orders < limits.max_open_orders:
        return None
    return f"OPEN_ORDERS: {exposure.open_orders} orders are open, the limit is {limits.max_open_orders}"


def emergency_stop(order: Proposal, exposure: Exposure, _: Policy) -> str | None:
    """Refuse every order at level HALTED, and orders that do not reduce at REDUCE_ONLY."""
    if exposure.level is TradingLevel.HALTED:
        return "EMERGENCY_STOP: trading is halted"
    if exposure.level is TradingLevel.REDUCE_ONLY and not exposure.reduced_by(order):
        return f"EMERGENCY_STOP: only orders that reduce the position of {text(exposure.position)} are let through"
    return None


def price_collar(order: Proposal, exposure: Exposure, limits: Policy) -> str | None:
    """Refuse a limit price that differs from the mark by more than `risk.price_collar`."""
    mark, collar = exposure.mark, limits.price_collar
    if collar is None or mark is None or order.price is None:
        return None
    if minus(order.price, mark).copy_abs() <= times(collar, mark.copy_abs()):
        return None
    return f"PRICE_COLLAR: {text(order.price)} is further than {text(collar)} of the mark {text(mark)} from it"


def order_rate(_: Proposal, exposure: Exposure, limits: Policy) -> str | None:
    """Refuse an order when the last second had `risk.max_orders_per_second` submits and amends."""
    most = limits.max_orders_per_second
    if most is None or exposure.recent_orders < most:
        return None
    return f"ORDER_RATE: {exposure.recent_orders} orders in the last second, the limit is {most}"


def restricted_symbol(order: Proposal, _: Exposure, limits: Policy) -> str | None:
    """Refuse a symbol in `risk.restricted`."""
    return f"RESTRICTED_SYMBOL: {order.symbol} is on the list" if order.symbol in limits.restricted else None


def reduce_only(order: Proposal, exposure: Exposure, _: Policy) -> str | None:
    """Refuse an order with `reduce_only` that does not reduce the position."""
    if not order.reduce_only or exposure.reduced_by(order):
        return None
    return f"REDUCE_ONLY: {text(order.quantity)} {order.symbol} does not reduce a position of {text(exposure.position)}"


def clock(_: Proposal, exposure: Exposure, limits: Policy) -> str | None:
    """Refuse an order when our clock is more than `day.max_clock_step` behind the log."""
    if exposure.clock_behind <= limits.max_clock_step:
        return None
    return f"CLOCK: our clock is {exposure.clock_behind} s behind the log, the limit is {limits.max_clock_step} s"


class RiskCheck(Struct, frozen=True):
    """A check with its code, its settings and its inputs."""

    code: str  # never changes
    check: Check
    keys: tuple[str, ...]  # paths in the settings
    reads: tuple[str, ...]  # fields of `Exposure`
    description: str
    setting: str = ""  # named at the end of a violation
    binds_reducing: bool = False  # whether it can refuse an order that reduces a position
    before_3: Check | None = None  # the check of rules before version 3, if different


CHECKS: tuple[RiskCheck, ...] = (
    RiskCheck(
        "POSITION_SIZE",
        position_size,
        ("risk.max_position_size",),
        ("position", "open_buys", "open_sells"),
        "the position, if every open order on that side and this one are filled, stays within the limit",
        "risk.max_position_size",
    ),
    RiskCheck(
        "DAILY_LOSS",
        daily_loss,
        ("risk.max_daily_loss", "daily_loss.basis"),
        ("daily_pnl",),
        "the trading day's loss is below the limit",
        "risk.max_daily_loss",
    ),
    RiskCheck(
        "POSITION_SKEW",
        position_skew,
        ("trading.max_skew",),
        ("position", "open_buys", "open_sells"),
        "a position beyond the limit is not increased",
        "trading.max_skew",
    ),
    RiskCheck(
        "ORDER_QUANTITY",
        order_quantity,
        ("trading.min_quote_size", "risk.max_order_quantity"),
        ("position",),
        "the quantity is at least the minimum or closes the position exactly, and at most the maximum",
        "trading.min_quote_size",
        binds_reducing=True,
        before_3=order_quantity_before_3,
    ),
    RiskCheck(
        "ORDER_QUANTITY",
        order_step,
        (),
        ("position", "open_buys", "open_sells"),
        "quantity and limit price are multiples of the instrument's steps, and the quantity is at least its minimum",
        binds_reducing=True,
    ),
    RiskCheck(
        "ORDER_NOTIONAL",
        order_notional,
        ("risk.max_order_notional",),
        ("mark", "multiplier"),
        "quantity times price (a market order: times the last mark) stays within the limit",
        "risk.max_order_notional",
    ),
    RiskCheck(
        "OPEN_ORDERS",
        open_orders,
        ("risk.max_open_orders",),
        ("open_orders",),
        "the account has fewer orders open than the limit",
        "risk.max_open_orders",
    ),
    RiskCheck(
        "EMERGENCY_STOP",
        emergency_stop,
        (),
        ("level", "position", "open_buys", "open_sells"),
        "trading is not halted; at reduce_only the order reduces a position",
        "risk.emergency_stop",
        binds_reducing=True,
    ),
    RiskCheck(
        "PRICE_COLLAR",
        price_collar,
        ("risk.price_collar",),
        ("mark",),
        "a limit price is not further from the last mark than this fraction of it",
        "risk.price_collar",
        binds_reducing=True,
    ),
    RiskCheck(
        "ORDER_RATE",
        order_rate,
        ("risk.max_orders_per_second",),
        ("recent_orders",),
        "submits and amends of the last second, refused ones included, are below the limit",
        "risk.max_orders_per_second",
    ),
    RiskCheck(
        "RESTRICTED_SYMBOL",
        restricted_symbol,
        ("risk.restricted",),
        (),
        "the symbol is not on the list",
        "risk.restricted",
    ),
    RiskCheck(
        "REDUCE_ONLY",
        reduce_only,
        (),
        ("position", "open_buys", "open_sells"),
        "an order submitted as reduce_only reduces a position",
        "reduce_only",
    ),
    RiskCheck(
        "CLOCK",
        clock,
        ("day.max_clock_step",),
        ("clock_behind",),
        "our clock is not further behind the log than the limit",
        "day.max_clock_step",
    ),
)


def violations(order: Proposal, exposure: Exposure, limits: Policy, version: int = VERSION) -> tuple[str, ...]:
    """
    Return every violation of an order, in the order of `CHECKS`; () when it passes.

    Args:
        order: the order, or the change of an amendment.
        exposure: the account's position and open orders.
        limits: the policy of the account.
        version: of the decision rules; before 3, some limits refused orders that reduce, and no text named a setting.
    """
    if version < 3:
        earlier = ((rule.before_3 or rule.check)(order, exposure, limits) for rule in CHECKS)
        return tuple(each for each in earlier if each is not None)
    broken = [rule for rule in CHECKS if rule.check(order, exposure, limits) is not None]  # most often none
    found = (violation(rule, order, exposure, limits, version) for rule in broken)
    return tuple(each for each in found if each is not None)


def violation(
    rule: RiskCheck, order: Proposal, exposure: Exposure, limits: Policy, version: int = VERSION
) -> str | None:
    """Return the violation of one check; None when the order passes."""
    if version < 3:
        return (rule.before_3 or rule.check)(order, exposure, limits)
    broken = rule.check(order, exposure, limits)
    if broken is None or (not rule.binds_reducing and exposure.reduced_by(order)):
        return None
    named = not rule.setting or any(f"({key})" in broken for key in rule.keys)
    found = broken if named else f"{broken} ({rule.setting})"
    for key, in_force in limits.overridden:
        found = found.replace(f"({key})", f"({in_force})")
    return found
