"""
A desk in plain dicts and fractions, written from the design and not from the code: what the real one has to do.

Methods have the names and arguments of the API; numbers come as text. They return what the caller hears (`Outcome`)
and change the model's state.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import wraps
from typing import Any, NamedTuple, TypeVar

Key = tuple[str, str]
NS = 1_000_000_000
NEXT = {
    "pending": ("working", "rejected", "failed"),
    "working": ("filled", "cancelled", "rejected"),
    "filled": (),
    "cancelled": (),
    "rejected": (),
    "failed": (),
}


class Outcome(NamedTuple):
    """What a caller hears, and whether the log grew."""

    kind: str = "ok"  # or the name of the error
    why: frozenset[str] = frozenset()  # codes of a refusal, the reason of a quarantine
    wrote: bool = True


NOTHING = Outcome(wrote=False)


class Refused(Exception):
    """Nothing is recorded; the error's name is the message."""


@dataclass
class Fill:
    quantity: Fraction
    price: Fraction
    fee: Fraction
    trade: str | None
    booked_as: str = field(default="", compare=False)  # the order it was booked under, if that was merged
    corrected: bool = field(default=False, compare=False)

    @property
    def content(self) -> tuple[Any, ...]:
        return (self.trade, self.quantity, self.price, self.fee)

    def report(self, symbol: str | None, side: str | None) -> "Report":
        """Return what was said of the trade."""
        return Report(self.trade, self.quantity, self.price, self.fee, symbol, side)


class Report(NamedTuple):
    """What was said of a trade; None where nothing was said."""

    trade: str | None
    quantity: Fraction
    price: Fraction
    fee: Fraction
    symbol: str | None
    side: str | None

    def is_of(self, symbol: str | None, side: str | None) -> bool:
        return (None in (self.symbol, symbol) or self.symbol == symbol) and (
            None in (self.side, side) or self.side == side
        )


@dataclass
class Order:
    account: str
    order_id: str
    symbol: str
    side: str
    kind: str
    asked: Fraction
    price: Fraction | None
    reduce_only: bool = False
    external: bool = False
    state: str = "pending"
    fills: list[Fill] = field(default_factory=list)  # standing ones
    busted: list[Fill] = field(default_factory=list)  # taken back
    merged_into: Key | None = None  # an external order that turned out to be one of ours
    names: set[str] = field(default_factory=set)  # the venue's
    codes: frozenset[str] = frozenset()
    total: Fraction = Fraction(0)  # as amended
    first_price: Fraction | None = None  # as submitted

    @property
    def key(self) -> Key:
        return (self.account, self.order_id)

    @property
    def filled(self) -> Fraction:
        return sum((fill.quantity for fill in self.fills), Fraction(0))

    @property
    def quantity(self) -> Fraction:
        return self.filled if self.external else self.total

    @property
    def is_open(self) -> bool:
        return self.state in ("pending", "working") and not self.external

    @property
    def open(self) -> Fraction:
        return max(Fraction(0), self.quantity - self.filled) if self.is_open else Fraction(0)

    @property
    def sign(self) -> int:
        return 1 if self.side == "buy" else -1


@dataclass
class Waiting:
    account: str
    told: str  # the id it was told under
    known: bool
    fill: Fill
    symbol: str | None
    side: str | None
    correction: bool = False
    asked: tuple[str | None, ...] = ()  # of a correction
    why: str = ""


@dataclass
class Booked:
    order_id: str
    trade: str | None
    quantity: Fraction  # signed
    price: Fraction
    fee: Fraction


class Held(NamedTuple):
    quantity: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    gross: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)


def fold(trail: Iterable[Booked]) -> Held:
    """Return what fills come to, the oldest lots closed first."""
    lots: list[list[Fraction]] = []
    gross = fees = Fraction(0)
    for each in trail:
        left, fees = each.quantity, fees + each.fee
        while left and lots and lots[0][0] * left < 0:
            taken = min(abs(left), abs(lots[0][0])) * (1 if left > 0 else -1)
            gross += -taken * (each.price - lots[0][1])
            lots[0][0] += taken
            left -= taken
            if not lots[0][0]:
                lots.pop(0)
        if left:
            lots.append([left, each.price])
    zero = Fraction(0)
    return Held(sum((q for q, _ in lots), zero), sum((q * p for q, p in lots), zero), gross, fees)


def number(value: str | None) -> Fraction | None:
    return None if value is None else Fraction(value)


F = TypeVar("F", bound=Callable[..., Outcome])


def command(method: F) -> F:
    """Turn a refusal into an outcome; what was written moves the head of the log to this moment."""

    @wraps(method)
    def run(self: "Model", **asked: Any) -> Outcome:
        try:
            outcome = method(self, **asked)
        except Refused as error:
            return Outcome(str(error), wrote=False)
        if outcome.wrote:
            self.head = self.moment
        return outcome

    return run  # type: ignore[return-value]


class Model:
    """The state of a log, as the design says that it is."""

    def __init__(self, limits: dict[str, str | None], now: int) -> None:
        self.now = now  # the clock
        self.head = 0  # recorded_at of the last event
        self.orders: dict[Key, Order] = {}
        self.told: dict[Key, set[Report]] = defaultdict(set)  # by order
        self.told_unknown: dict[Key, set[Report]] = defaultdict(set)  # by the id they were reported under
        self.waiting: list[Waiting | None] = []
        self.trails: dict[Key, list[Booked]] = {}
        self.days: dict[Key, Fraction] = defaultdict(Fraction)  # day and account: net of fees
        self.marks: dict[str, Fraction] = {}
        self.limits: dict[str, dict[str, str | None]] = {"*": limits}
        self.levels: dict[str, str] = {}
        self.came: dict[str, list[int]] = defaultdict(list)  # submits and amends, by account
        self.let_through: Key | None = None  # the order that was submitted last, if it adds risk and may go

    # --- the clock ---

    @property
    def moment(self) -> int:
        return max(self.now, self.head)

    @property
    def today(self) -> str:
        return datetime.fromtimestamp(self.moment // NS, UTC).date().isoformat()

    # --- what there is ---

    def limit(self, name: str, account: str) -> Fraction | None:
        own = self.limits.get(account, {})
        return number(own[name] if name in own else self.limits["*"].get(name))

    def accepts_exceptions(self) -> bool:
        return self.limits["*"].get("on_exception") == "accept"

    def find(self, order_id: str, account: str | None) -> Order | None:
        mine = [o for o in self.orders.values() if account in (None, o.account) and o.merged_into is None]
        found = [o for o in mine if o.order_id == order_id] or [o for o in mine if order_id in o.names]
        if len(found) > 1:
            raise Refused("AmbiguousOrder")
        return found[0] if found else None

    def named(self, order_id: str, account: str | None) -> Order:
        order = self.find(order_id, account)
        if order is None:
            raise Refused("UnknownOrder")
        return order

    def held(self, account: str, symbol: str) -> Held:
        return fold(self.trails.get((account, symbol), []))

    def open_side(self, account: str, symbol: str, side: str) -> Fraction:
        """Return what may still move a side: what is open of each order, or what waits of it where that is more."""
        there = (account, symbol, side)
        waiting = [w for w in self.waiting if w and (w.account, w.symbol, w.side) == there]
        total = Fraction(0)
        for order in self.orders.values():
            own = [w for w in waiting if w.known and (w.account, w.told) == order.key]
            if (order.account, order.symbol, order.side) == there:
                total += max(order.open, sum((self._adds(order, w) for w in own), Fraction(0)))
            else:  # told of another symbol or side than the order's
                total += sum((w.fill.quantity for w in own), Fraction(0))
        return total + sum((w.fill.quantity for w in waiting if not w.known), Fraction(0))

    def _adds(self, order: Order, waiting: Waiting) -> Fraction:
        if not waiting.correction:
            return waiting.fill.quantity
        standing = [fill.quantity for fill in order.fills if fill.trade == waiting.fill.trade]
        return max(Fraction(0), waiting.fill.quantity - (standing[-1] if standing else Fraction(0)))

    def open_count(self, account: str) -> int:
        return sum(order.is_open for order in self.orders.values() if order.account == account)

    # --- risk (design, section 7) ---

    def reduces(self, account: str, symbol: str, side: str, quantity: Fraction) -> bool:
        sign = 1 if side == "buy" else -1
        against = -sign * self.held(account, symbol).quantity
        return against > 0 and quantity <= against - self.open_side(account, symbol, side)

    def judged(
        self, order: Order, added: Fraction, total: Fraction, price: Fraction | None, *, amends: bool = False
    ) -> frozenset[str]:
        account, symbol = order.account, order.symbol
        position, reduces = self.held(account, symbol).quantity, self.reduces(account, symbol, order.side, added)
        worst = abs(position + order.sign * (self.open_side(account, symbol, order.side) + added))
        mark = self.marks.get(symbol)
        found: set[str] = set()

        def check(code: str, name: str, breaks: Callable[[Fraction], bool]) -> None:
            limit = self.limit(name, account)
            if limit is not None and breaks(limit):
                found.add(code)

        adds = added > 0
        check("POSITION_SIZE", "max_position_size", lambda most: adds and not reduces and worst > most)
        loss = -self.days[(self.today, account)]
        check("DAILY_LOSS", "max_daily_loss", lambda most: not reduces and (adds or not amends) and loss >= most)
        grows = adds and not reduces and worst > abs(position)
        check("POSITION_SKEW", "max_skew", lambda most: grows and abs(position) > most)
        closes = reduces and added == abs(position) - self.open_side(account, symbol, order.side)
        check("ORDER_QUANTITY", "min_quote_size", lambda least: (adds or not amends) and total < least and not closes)
        grown = adds or not amends
        check("ORDER_QUANTITY", "max_order_quantity", lambda most: grown and not reduces and total > most)
        worth = mark if order.kind == "market" else price
        check(
            "ORDER_NOTIONAL",
            "max_order_notional",
            lambda most: not reduces and (worth is None or total * abs(worth) > most),
        )
        opens = not amends and not reduces
        check("OPEN_ORDERS", "max_open_orders", lambda most: opens and self.open_count(account) >= most)
        check(
            "PRICE_COLLAR",
            "price_collar",
            lambda part: price is not None and mark is not None and abs(price - mark) > part * abs(mark),
        )
        lately = sum(moment > self.moment - NS for moment in self.came[account])
        check("ORDER_RATE", "max_orders_per_second", lambda most: not reduces and lately >= most)
        check("CLOCK", "max_clock_step", lambda most: not reduces and self.head - self.now > most * NS)
        levels = {self.levels.get("*"), self.levels.get(account)}
        if "halted" in levels or ("reduce_only" in levels and not reduces):
            found.add("EMERGENCY_STOP")
        if order.reduce_only and not reduces:
            found.add("REDUCE_ONLY")
        return frozenset(found)

    # --- orders (design, section 5) ---

    @command
    def submit_order(
        self,
        *,
        symbol: str,
        side: str,
        order_type: str,
        quantity: str,
        price: str | None,
        order_id: str,
        account: str | None = None,
        reduce_only: bool = False,
    ) -> Outcome:
        new = Order(
            account or "default",
            order_id,
            symbol,
            side,
            order_type,
            Fraction(quantity),
            number(price),
            reduce_only,
            total=Fraction(quantity),
            first_price=number(price),
        )
        old, self.let_through = self.orders.get(new.key), None
        if old is not None:
            return self._submitted_before(new, old)
        new.codes = self.judged(new, new.total, new.total, new.price)
        if not new.codes and not self.reduces(new.account, new.symbol, new.side, new.total):
            self.let_through = new.key
        self.orders[new.key] = new
        self.came[new.account].append(self.moment)
        if new.codes:
            new.state = "rejected"
            return Outcome("OrderRejected", new.codes)
        return Outcome()

    def _submitted_before(self, new: Order, old: Order) -> Outcome:
        asked = [(o.symbol, o.side, o.kind, o.asked, o.external, o.reduce_only) for o in (new, old)]
        if asked[0] != asked[1] or new.price != old.first_price:
            raise Refused("CommandConflict")
        return Outcome("OrderRejected", old.codes, wrote=False) if old.codes else NOTHING

    @command
    def update_order_state(
        self, *, order_id: str, new_state: str, external_order_id: str | None = None, account: str | None = None
    ) -> Outcome:
        order, name = self.named(order_id, account), external_order_id
        if new_state == "working" and order.state == "pending":
            order.state = "working"
            if name is not None:
                order.names.add(name)
                self._join(order, name)
            return Outcome()
        wrote = name is not None and self._link(order, name)
        if new_state == order.state:
            return Outcome(wrote=wrote)
        if new_state not in NEXT[order.state] or (new_state == "filled" and order.filled < order.quantity):
            late = wrote and new_state == "working" and order.state in ("filled", "cancelled")
            return Outcome("ok" if late else "InvalidTransition", wrote=wrote)
        order.state = new_state
        return Outcome()

    @command
    def link_order(self, *, order_id: str, external_order_id: str, account: str | None = None) -> Outcome:
        return Outcome(wrote=self._link(self.named(order_id, account), external_order_id))

    def _link(self, order: Order, name: str) -> bool:
        if name in order.names:
            return False
        order.names.add(name)
        self._join(order, name)
        return True

    def _join(self, order: Order, name: str) -> None:
        """What was reported under the venue's id before becomes the order's own."""
        waiting = self._reported_before(order, {name})[1]
        named = [o for o in self.orders.values() if o.account == order.account and name in o.names]
        first = self.orders.get((order.account, name))
        found = [self._current(each) for each in ([first] if first else []) + named]
        others = {each.key: each for each in found if each is not order and each.external}
        self._merge(order, next(iter(others.values())) if len(others) == 1 else None)
        for each in waiting:
            self._book_waiting(each, order, Fraction(0))

    def _current(self, order: Order) -> Order:
        while order.merged_into is not None:
            order = self.orders[order.merged_into]
        return order

    def _is_double(self, fill: Fill, other: Order, order: Order) -> bool:
        """Return whether the order knows the trade of a fill of another order already, standing or not."""
        for one in self.told[order.key]:
            for their in self.told[other.key]:
                fees = one.fee == their.fee or 0 in (one.fee, their.fee)
                same = fill.trade == one.trade is not None and one[:3] == their[:3] and fees
                if same and one.is_of(their.symbol, their.side):
                    return True
        return False

    def _restated_by(self, double: Fill, order: Order) -> list[tuple[Fill, Fill]]:
        """Return what the other report of a trade makes of the order's own fill."""
        own = next((each for each in reversed(order.fills) if each.trade == double.trade), None)
        if own is None:
            return []
        if double.corrected and not own.corrected:
            new = replace(own, quantity=double.quantity, price=double.price, fee=double.fee, corrected=True)
        else:
            new = replace(own, fee=own.fee or double.fee, corrected=True)
        return [] if new.content == own.content else [(own, new)]

    def _merge(self, order: Order, other: Order | None) -> None:
        if other is None:
            return
        if (other.symbol, other.side) != (order.symbol, order.side):
            return
        doubled = [fill for fill in other.fills if self._is_double(fill, other, order)]
        restated = [(own, new) for fill in doubled for own, new in self._restated_by(fill, order)]
        more = sum((new.quantity - own.quantity for own, new in restated), Fraction(0))
        total = order.filled + more + sum((f.quantity for f in other.fills if f not in doubled), Fraction(0))
        if not order.external and total > order.quantity:
            return
        for fill in doubled:
            self._restate(other, fill, None)
        for own, new in restated:
            self.told[order.key].add(new.report(order.symbol, order.side))
            self._restate(order, own, new)
        if order.state == "pending" and other.fills:
            order.state = "working"
        other.merged_into = order.key
        for fill in (*other.fills, *other.busted):
            fill.booked_as = fill.booked_as or other.order_id
            if fill.trade is not None:
                self.told[order.key].add(fill.report(order.symbol, order.side))
        order.fills += other.fills
        order.busted += other.busted
        order.names |= other.names
        other.fills, other.busted = [], []
        self._complete(order)

    @command
    def cancel_order(self, *, order_id: str, account: str | None = None) -> Outcome:
        order = self.named(order_id, account)
        if order.state == "cancelled":
            return NOTHING
        if order.state not in ("pending", "working"):
            raise Refused("InvalidTransition")
        order.state = "cancelled"
        return Outcome()

    @command
    def amend_order(
        self, *, order_id: str, quantity: str | None = None, price: str | None = None, account: str | None = None
    ) -> Outcome:
        order = self.named(order_id, account)
        if not order.is_open:
            raise Refused("InvalidTransition")
        if price is not None and order.kind == "market":
            raise Refused("InvalidInput")
        total = order.quantity if quantity is None else Fraction(quantity)
        new_price = order.price if price is None else Fraction(price)
        if total > order.filled and (total > order.quantity or new_price != order.price):
            codes = self.judged(order, max(Fraction(0), total - order.quantity), total, new_price, amends=True)
            if codes:
                self.came[order.account].append(self.moment)
                return Outcome("OrderRejected", codes)
        self.came[order.account].append(self.moment)
        order.total, order.price = max(total, order.filled), new_price
        if total <= order.filled:
            order.state = "filled" if order.filled else "cancelled"
        return Outcome()

    # --- fills ---

    @command
    def add_fill(
        self,
        *,
        order_id: str,
        fill_quantity: str,
        fill_price: str,
        trade_id: str | None,
        fee: str = "0",
        symbol: str | None = None,
        side: str | None = None,
        account: str | None = None,
    ) -> Outcome:
        fill = Fill(Fraction(fill_quantity), Fraction(fill_price), Fraction(fee), trade_id)
        found = self._candidates(order_id, account)
        order = self._meant(found, fill, symbol, side) if len(found) > 1 else found[0] if found else None
        if order is None:
            scopes = {each.account for each in found}
            if len(scopes) > 1:
                raise Refused("AmbiguousOrder")
            key = (scopes.pop() if scopes else account or "default", order_id)
            return self._fill_unknown(key, fill, symbol, side, ambiguous=len(found) > 1)
        before, waiting = self._reported_before(order, {order_id})
        own = {each for each in self.told[order.key] if each.trade == fill.trade}
        known = own | {each for each in before if each.trade == fill.trade} if fill.trade is not None else set()
        report = fill.report(symbol or order.symbol, side or order.side)
        match = [each for each in waiting if self._waits_for_order(each, report)]
        if match and not own:
            return Outcome(wrote=self._book_waiting(match[0], order, fill.fee))
        if any(self._repeats(report, each) for each in known):
            return NOTHING
        booked = [each for each in order.fills if each.trade == fill.trade][-1:] if fill.trade is not None else []
        bare = [each for each in booked if not each.fee and report[1:3] == (each.quantity, each.price)]
        if bare and report.is_of(order.symbol, order.side):
            self.told[order.key].add(report)
            self._restate(order, bare[0], replace(bare[0], fee=fill.fee, corrected=True))
            return Outcome()
        why = "conflict" if known else self._exception(order, fill, symbol, side)
        if why == "conflict" or (why and not self.accepts_exceptions()):
            if fill.trade is not None:
                self.told[order.key].add(report)
            waits = Waiting(order.account, order.order_id, True, fill, symbol or order.symbol, side or order.side)
            return self._wait(waits, why)
        self._execute(order, fill)
        return Outcome()

    def _candidates(self, order_id: str, account: str | None) -> list[Order]:
        """Return the orders that the id of a fill can mean."""
        mine = [o for o in self.orders.values() if account in (None, o.account) and o.merged_into is None]
        own = [o for o in mine if o.order_id == order_id]
        if any(not each.external for each in own):
            return own
        return own + [o for o in mine if order_id in o.names and o not in own]

    def _meant(self, found: list[Order], fill: Fill, symbol: str | None, side: str | None) -> Order | None:
        report = fill.report(symbol, side)
        knows = [
            order
            for order in found
            for each in [any(r[:3] == report[:3] and r.is_of(symbol, side) for r in self._standing_reports(order))]
            if each and fill.trade is not None
        ]
        fits = [order for order in found if order.open and report.is_of(order.symbol, order.side)]
        return knows[0] if len(knows) == 1 else fits[0] if len(fits) == 1 else None

    def _standing_reports(self, order: Order) -> set[Report]:
        """Return what was reported of trades that are booked or wait."""
        trades = {fill.trade for fill in order.fills}
        trades |= {w.fill.trade for w in self.waiting if w and w.known and (w.account, w.told) == order.key}
        return {each for each in self.told[order.key] if each.trade in trades}

    def _reported_before(self, order: Order, asked: set[str]) -> tuple[set[Report], list[Waiting]]:
        """Return what was reported under other ids of the order, and what of it waits."""
        names = {order.order_id, *order.names, *asked}
        told = set[Report]().union(*(self.told_unknown[(order.account, name)] for name in names))
        waiting = [w for name in sorted(names) for w in self.waiting if w and not w.known
                   and (w.account, w.told) == (order.account, name)]  # fmt: skip
        others = [self.orders.get((order.account, name)) for name in sorted(names - {order.order_id})]
        namesakes = [other for other in others if other is not None and other.external]
        if order.external:  # ours, if the venue's id of one of ours is this order's
            namesakes += [o for o in self.orders.values() if o.account == order.account and order.order_id in o.names]
        for other in namesakes:
            merged = self._current(other) is order
            if not merged and other.merged_into is not None:
                continue
            told = told | (self.told[other.key] if merged else self._standing_reports(other))
            if merged:
                waiting += [w for w in self.waiting if w and w.known and (w.account, w.told) == other.key]
        return {each for each in told if each.is_of(order.symbol, order.side)}, waiting

    @staticmethod
    def _repeats(report: Report, known: Report) -> bool:
        same = report[:3] == known[:3] and known.is_of(report.symbol, report.side)
        return same and report.fee in (known.fee, 0)

    @staticmethod
    def _waits_for_order(waiting: Waiting, report: Report) -> bool:
        fill = waiting.fill
        same = fill.trade is not None and fill.content[:3] == report[:3]
        fee = fill.fee == report.fee or 0 in (fill.fee, report.fee)
        waits = waiting.why in ("unknown_order", "ambiguous_order")
        return same and fee and waits and fill.report(waiting.symbol, waiting.side).is_of(report.symbol, report.side)

    def _book_waiting(self, waiting: Waiting, order: Order, fee: Fraction) -> bool:
        """Book a fill whose order became known, unless it breaks a rule; return whether something was recorded."""
        if waiting.why not in ("unknown_order", "ambiguous_order", "price_band"):
            return False
        if not waiting.fill.report(waiting.symbol, waiting.side).is_of(order.symbol, order.side):
            return False
        fill = replace(waiting.fill, fee=waiting.fill.fee or fee)
        report = fill.report(order.symbol, order.side)
        known = {each for each in self.told[order.key] if fill.trade is not None and each.trade == fill.trade}
        if known and not any(self._repeats(report, each) for each in known):
            bare = [each for each in order.fills if each.trade == fill.trade][-1:]
            if not bare or bare[0].fee or bare[0].content[:3] != fill.content[:3]:
                return False
            self.told[order.key].add(report)
            self._restate(order, bare[0], replace(bare[0], fee=fill.fee, corrected=True))
        if not known:
            if self._exception(order, fill, None, None) and not self.accepts_exceptions():
                return False
            self._execute(order, fill)
        self.waiting[self.waiting.index(waiting)] = None
        return True

    def _exception(self, order: Order, fill: Fill, symbol: str | None, side: str | None) -> str:
        if symbol not in (None, order.symbol) or side not in (None, order.side):
            return "conflict"
        if order.state in ("rejected", "filled"):
            return "order_done"
        if not order.external and order.filled + fill.quantity > order.quantity:
            return "overfill"
        return "price_band" if self._is_wild(fill, order.price, order.symbol, order.side, order.account) else ""

    def _is_wild(self, fill: Fill, limit: Fraction | None, symbol: str, side: str, account: str) -> bool:
        band, mark = self.limit("price_band", account), self.marks.get(symbol)
        reference = mark if limit is None else limit
        if band is None or reference is None:
            return False
        worse = (fill.price - reference) * (1 if side == "buy" else -1)
        if limit is not None and worse <= 0:
            return False
        size = max(abs(reference), abs(mark or Fraction(0)))
        return bool(abs(worse) > max(band * size, Fraction(size <= 1)))

    def _fill_unknown(self, key: Key, fill: Fill, symbol: str | None, side: str | None, *, ambiguous: bool) -> Outcome:
        told, report = self.told_unknown[key], fill.report(symbol, side)
        known = {each for each in told if fill.trade is not None and each.trade == fill.trade}
        mine = [w for w in self.waiting if w and not w.known and (w.account, w.told) == key]
        match = [w for w in mine if self._waits_for_order(w, report)]
        if match and not ambiguous and self._open_for_waiting(match[0], fill.fee, symbol, side):
            return Outcome()
        if match or any(self._repeats(report, each) for each in known):
            if key in self.orders:
                return NOTHING
            waits = any(w.fill.content[:3] == report[:3] for w in mine)
            raise Refused("FillQuarantinedError" if waits else "UnknownOrder")
        why = "ambiguous_order" if ambiguous else self._exception_unknown(key[0], fill, known, symbol, side)
        if why:
            if fill.trade is not None:
                told.add(report)
            return self._wait(Waiting(*key, False, fill, symbol, side), why)
        assert symbol is not None
        assert side is not None
        self._open_external(key, fill, symbol, side)
        return Outcome()

    def _exception_unknown(
        self, account: str, fill: Fill, known: set[Report], symbol: str | None, side: str | None
    ) -> str:
        if symbol is None or side is None:
            return "unknown_order"
        if known:
            return "conflict"
        wild = self._is_wild(fill, None, symbol, side, account)
        return "price_band" if wild and not self.accepts_exceptions() else ""

    def _open_for_waiting(self, waiting: Waiting, fee: Fraction, symbol: str | None, side: str | None) -> bool:
        """Open an external order for a fill that waits for nothing but its symbol and side."""
        fill, key = replace(waiting.fill, fee=waiting.fill.fee or fee), (waiting.account, waiting.told)
        if symbol is None or side is None:
            return False
        if self._is_wild(fill, None, symbol, side, key[0]) and not self.accepts_exceptions():
            return False
        self._open_external(key, fill, symbol, side)
        self.waiting[self.waiting.index(waiting)] = None
        return True

    def _open_external(self, key: Key, fill: Fill, symbol: str, side: str) -> None:
        order = Order(*key, symbol, side, "market", fill.quantity, None, external=True, state="working")
        self.orders[key] = order
        self._execute(order, fill)

    def _wait(self, waiting: Waiting, why: str) -> Outcome:
        waiting.why = why
        self.waiting.append(waiting)
        return Outcome("FillQuarantinedError", frozenset({why}))

    def _execute(self, order: Order, fill: Fill) -> None:
        if fill.trade is not None:
            self.told[order.key].add(fill.report(order.symbol, order.side))
        order.state = "working" if order.state == "pending" else order.state
        order.fills.append(fill)
        key = (order.account, order.symbol)
        booked = Booked(order.order_id, fill.trade, order.sign * fill.quantity, fill.price, fill.fee)
        self._book(key, [*self.trails.get(key, []), booked])
        self._complete(order)

    def _book(self, key: Key, trail: list[Booked]) -> None:
        before, after = fold(self.trails.get(key, [])), fold(trail)
        self.days[(self.today, key[0])] += after.gross - after.fees - before.gross + before.fees
        self.trails[key] = trail

    def _complete(self, order: Order) -> None:
        if order.external:
            return
        if order.state == "working" and order.filled >= order.quantity:
            order.state = "filled"
        elif order.state == "filled" and order.filled < order.quantity:
            order.state = "working"

    @command
    def bust_fill(self, *, order_id: str, trade_id: str, account: str | None = None) -> Outcome:
        order = self._named_for(order_id, account, trade_id)
        standing = any(fill.trade == trade_id for fill in order.fills)
        if not standing and any(fill.trade == trade_id for fill in order.busted):
            return NOTHING
        self._restate(order, self._standing(order, trade_id), None)
        return Outcome()

    def _named_for(self, order_id: str, account: str | None, trade: str) -> Order:
        """Return the order of a bust or a correction: of several, the one that has the trade."""
        found = self._candidates(order_id, account)
        if len(found) < 2:
            return self.named(order_id, account)
        knows = [order for order in found if any(fill.trade == trade for fill in (*order.fills, *order.busted))]
        if len(knows) != 1:
            raise Refused("AmbiguousOrder")
        return knows[0]

    @command
    def correct_fill(
        self,
        *,
        order_id: str,
        trade_id: str,
        fill_quantity: str | None = None,
        fill_price: str | None = None,
        fee: str | None = None,
        account: str | None = None,
    ) -> Outcome:
        order = self._named_for(order_id, account, trade_id)
        old = self._standing(order, trade_id)
        new = Fill(
            old.quantity if fill_quantity is None else Fraction(fill_quantity),
            old.price if fill_price is None else Fraction(fill_price),
            old.fee if fee is None else Fraction(fee),
            trade_id,
            old.booked_as,
            True,
        )
        if new == old:
            return NOTHING
        asked = (trade_id, fill_quantity, fill_price, fee)
        if any(w and w.correction and (w.account, w.told) == order.key and w.asked == asked for w in self.waiting):
            return NOTHING
        self.told[order.key].add(new.report(order.symbol, order.side))
        over = new.quantity > old.quantity and order.filled - old.quantity + new.quantity > order.quantity
        if over and not order.external and not self.accepts_exceptions():
            waiting = Waiting(order.account, order.order_id, True, new, order.symbol, order.side, True, asked)
            return self._wait(waiting, "overfill")
        self._restate(order, old, new)
        return Outcome()

    def is_reported(self, order_id: str, account: str | None, trade_id: str) -> bool:
        """Return whether a fill that stands has this trade id, in exactly one order that the id can mean."""
        try:
            self._standing(self._named_for(order_id, account, trade_id), trade_id)
        except Refused as refused:
            return str(refused) == "AmbiguousOrder"
        return True

    def _standing(self, order: Order, trade_id: str) -> Fill:
        for fill in reversed(order.fills):
            if fill.trade == trade_id:
                return fill
        raise Refused("UnknownFill")

    def _restate(self, order: Order, old: Fill, new: Fill | None) -> None:
        place = next(i for i in reversed(range(len(order.fills))) if order.fills[i] is old)
        order.fills[place : place + 1] = [] if new is None else [new]
        order.busted += [old] if new is None else []
        key = (order.account, order.symbol)
        trail = list(self.trails[key])
        place = max(
            i
            for i, each in enumerate(trail)
            if (each.order_id, each.trade) == (old.booked_as or order.order_id, old.trade)
        )
        right = new and replace(trail[place], quantity=order.sign * new.quantity, price=new.price, fee=new.fee)
        trail[place : place + 1] = [right] if right else []
        self._book(key, trail)
        self._complete(order)

    @command
    def resolve_quarantined(
        self, *, quarantine_id: int, accept: bool, symbol: str | None = None, side: str | None = None
    ) -> Outcome:
        waiting = self.waiting[quarantine_id] if quarantine_id < len(self.waiting) else None
        if waiting is None:
            raise Refused("UnknownQuarantine")
        try:
            order = self.find(waiting.told, waiting.account)
        except Refused:  # the venue's id names several by now
            order = self.orders.get((waiting.account, waiting.told))
            order = None if order is None else self._current(order)
        if accept:
            self._accept(waiting, order, symbol or waiting.symbol, side or waiting.side)
        self.waiting[quarantine_id] = None
        return Outcome()

    def _accept(self, waiting: Waiting, order: Order | None, symbol: str | None, side: str | None) -> None:
        fill = waiting.fill
        if waiting.correction:
            assert order is not None
            assert fill.trade is not None
            standing = self._standing(order, fill.trade)
            _, quantity, price, fee = waiting.asked
            asked: dict[str, Any] = {"quantity": number(quantity), "price": number(price), "fee": number(fee)}
            changes = {k: v for k, v in asked.items() if v is not None}
            self._restate(order, standing, replace(standing, **changes, corrected=True))
        elif order is not None:
            if symbol not in (None, order.symbol) or side not in (None, order.side):
                raise Refused("InvalidInput")
            booked = [each for each in order.fills if fill.trade is not None and each.trade == fill.trade]
            if not booked:
                self._execute(order, fill)
            elif booked[-1].content != fill.content:  # it replaces the fill
                self.told[order.key].add(fill.report(order.symbol, order.side))
                self._restate(order, booked[-1], replace(fill, booked_as=booked[-1].booked_as, corrected=True))
        elif symbol is None or side is None:
            raise Refused("InvalidInput")
        else:
            self._open_external((waiting.account, waiting.told), fill, symbol, side)

    # --- the market and the rules ---

    @command
    def record_mark(self, *, symbol: str, price: str) -> Outcome:
        self.marks[symbol] = Fraction(price)
        return Outcome()

    @command
    def halt(self, *, level: str, account: str | None = None) -> Outcome:
        self.levels[account or "*"] = level
        return Outcome()

    @command
    def resume(self, *, account: str | None = None) -> Outcome:
        self.levels[account or "*"] = "normal"
        return Outcome()

    @command
    def set_limits(self, *, account: str | None = None, **changes: str | None) -> Outcome:
        self.limits.setdefault(account or "*", {}).update(changes)
        return Outcome()
