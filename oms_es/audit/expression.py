"""
A small language for claims about the state, like `abs(position("AMZN")) <= 1000 and daily_pnl() > -500`.

Numbers are exact decimals, text stands in quotes. There are comparisons, `and`, `or`, `not`, `+ - *`, parentheses and
the functions below; nothing else, and nothing of Python's. An error shows the place with a caret under it.
"""

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import NamedTuple

from oms_es.decimals import ZERO, absolute, canonical, minus, negate, plus, text, times
from oms_es.domain.events import (
    Event,
    FillAdded,
    FillBusted,
    FillCorrected,
    FillQuarantined,
    MarkRecorded,
    OrderSubmitted,
    PolicyChanged,
    QuarantineResolved,
    StateChanged,
)
from oms_es.errors import InvalidInput
from oms_es.projections.position_state import PositionState
from oms_es.projections.state import State
from oms_es.queries.known_names import Name

Value = Decimal | str | bool | None
MAX_LENGTH = 1000
MAX_DEPTH = 50
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,18}(?:\.\d{1,18})?)|(?P<text>\"[^\"\n]*\"|'[^'\n]*')|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign><=|>=|==|!=|[<>()+*,-]))",
    re.ASCII,
)
_COMPARE: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class ExpressionError(InvalidInput):
    """The claim cannot be read, or cannot be judged; the message shows where."""


class EvaluationPoint:
    """What a claim is judged on: the state after an event, and the trading day of that event."""

    def __init__(self, state: State, trading_day: str) -> None:
        self.state = state
        self.trading_day = trading_day
        self._accounts: list[str] = []
        self._sizes = (-1, -1)

    def accounts(self) -> list[str]:
        """Return every account that has traded or has had an order; accounts only ever come."""
        traded, ordered = self.state.positions.symbols, self.state.orders.open_count
        sizes = (len(traded), len(ordered))
        if sizes != self._sizes:
            self._accounts, self._sizes = sorted({*traded, *ordered}), sizes
        return self._accounts


class Token(NamedTuple):
    """A word of the claim, and where it stands."""

    kind: str
    text: str
    place: int


Node = Callable[[EvaluationPoint], Value]


class Expression:
    """
    A claim that was read, to be judged at many moments.

    Args:
        source: the text of the claim.

    Raises:
        ClaimError: it cannot be read.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.lives_on: set[type[Event]] = set()  # the events that can change whether it is true
        self.of_the_day = False  # and whether another trading day can
        self.parts: set[str] = set()  # of the state that it speaks of
        self.names: list[Name] = []  # symbols, accounts, orders and currencies that it names
        self._depth = 0
        if len(source) > MAX_LENGTH:
            raise ExpressionError(f"the claim has {len(source)} characters; {MAX_LENGTH} are enough")
        self._tokens = self._split()
        self._next = 0
        self._root = self._either()
        if self._peek().kind != "end":
            raise self._error(self._peek(), "expected the end, or `and`, `or`, a comparison")

    def holds(self, moment: EvaluationPoint) -> bool:
        """
        Return whether the claim is true at a moment; a figure that does not exist makes a comparison false.

        Raises:
            ClaimError: it is not a claim but a figure.
        """
        value = self._root(moment)
        if not isinstance(value, bool):
            raise ExpressionError(
                f"{self.source}\n^ this gives {shown(value)}, not true or false; compare it with something"
            )
        return value

    # --- reading ---

    def _split(self) -> list[Token]:
        tokens, place = [], 0
        while self.source[place:].strip():
            found = _TOKEN.match(self.source, place)
            if found is None:
                start = place + len(self.source[place:]) - len(self.source[place:].lstrip())
                raise self._error(Token("", "", start), "this is not part of the language")
            kind = found.lastgroup or ""
            tokens.append(Token(kind, found[kind], found.start(kind)))
            place = found.end()
        return [*tokens, Token("end", "", len(self.source))]

    def _error(self, token: Token, why: str) -> ExpressionError:
        line = self.source.replace("\n", " ").replace("\t", " ")
        return ExpressionError(f"{why}\n  {line}\n  {' ' * token.place}^")

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> Token | None:
        token = self._peek()
        if token.kind in ("name", "sign") and token.text in texts:
            self._next += 1
            return token
        return None

    def _expect(self, sign: str) -> None:
        if self._take(sign) is None:
            raise self._error(self._peek(), f"expected `{sign}`")

    def _either(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(self._peek(), "nested too deeply")
        left = self._both()
        while token := self._take("or"):
            left = self._joined(token, left, self._both(), any)
        self._depth -= 1
        return left

    def _both(self) -> Node:
        left = self._negated()
        while token := self._take("and"):
            left = self._joined(token, left, self._negated(), all)
        return left

    def _joined(self, token: Token, left: Node, right: Node, how: Callable[[list[bool]], bool]) -> Node:
        def judge(moment: EvaluationPoint) -> Value:
            sides = left(moment), right(moment)
            if not all(isinstance(side, bool) for side in sides):
                raise self._error(token, f"`{token.text}` joins claims, not figures")
            return how([bool(side) for side in sides])

        return judge

    def _negated(self) -> Node:
        token = self._take("not")
        if token is None:
            return self._compared()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(token, "nested too deeply")
        inner = self._negated()
        self._depth -= 1

        def judge(moment: EvaluationPoint) -> Value:
            value = inner(moment)
            if not isinstance(value, bool):
                raise self._error(token, "`not` takes a claim, not a figure")
            return not value

        return judge

    def _compared(self) -> Node:
        left = self._sum()
        token = self._take("==", "!=", *_COMPARE)
        if token is None:
            return left
        right, found = self._sum(), token

        def judge(moment: EvaluationPoint) -> Value:
            one, other = left(moment), right(moment)
            if one is None or other is None:
                return False
            if type(one) is not type(other):
                raise self._error(found, f"{shown(one)} and {shown(other)} cannot be compared")
            if found.text in ("==", "!="):
                return (one == other) is (found.text == "==")
            if not isinstance(one, Decimal) or not isinstance(other, Decimal):
                raise self._error(found, f"`{found.text}` compares numbers")
            return _COMPARE[found.text](one, other)

        return judge

    def _sum(self) -> Node:
        left = self._product()
        while token := self._take("+", "-"):
            left = self._calculated(token, left, self._product(), plus if token.text == "+" else minus)
        return left

    def _product(self) -> Node:
        left = self._single()
        while token := self._take("*"):
            left = self._calculated(token, left, self._single(), times)
        return left

    def _calculated(self, token: Token, left: Node, right: Node, how: Callable[[Decimal, Decimal], Decimal]) -> Node:
        def calculate(moment: EvaluationPoint) -> Value:
            one, other = left(moment), right(moment)
            if one is None or other is None:
                return None
            if not isinstance(one, Decimal) or not isinstance(other, Decimal):
                raise self._error(token, f"`{token.text}` takes numbers")
            try:
                return canonical(how(one, other))
            except ArithmeticError:
                raise self._error(token, "the number grows beyond what is exact") from None

        return calculate

    def _single(self) -> Node:
        token = self._peek()
        self._next += 1
        if token.kind == "number":
            number = Decimal(token.text)
            return lambda _: number
        if token.kind == "text":
            return lambda _: token.text[1:-1]
        if token.kind == "name":
            return self._call(token)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(token, "nested too deeply")
        if token.text == "-":
            inner = self._single()
            self._depth -= 1
            return self._calculated(token, lambda _: ZERO, inner, lambda _, value: negate(value))
        if token.text == "(":
            inner = self._either()
            self._expect(")")
            self._depth -= 1
            return inner
        self._next -= 1
        raise self._error(token, "expected a number, a text, a function or `(`")

    def _call(self, token: Token) -> Node:
        if token.text in ("true", "false"):
            return lambda _: token.text == "true"
        known = FUNCTIONS.get(token.text)
        if known is None:
            raise self._error(token, f"no function {token.text}; there are: {', '.join(sorted(FUNCTIONS))}")
        self.lives_on.update(known.lives_on)
        self.of_the_day |= known.of_the_day
        self.parts.update(known.parts)
        self._expect("(")
        given: list[Node] = []
        begun = self._next
        while self._take(")") is None:
            if given:
                self._expect(",")
            given.append(self._either())
        self._note_names(known, self._tokens[begun : self._next - 1])
        if not known.least <= len(given) <= known.most:
            counts = f"{known.least}" if known.least == known.most else f"{known.least} to {known.most}"
            raise self._error(token, f"{token.text} takes {counts} arguments, not {len(given)}")

        def call(moment: EvaluationPoint) -> Value:
            values = [each(moment) for each in given]
            if any(value is None for value in values):
                return None
            if not all(isinstance(value, known.takes) for value in values):
                raise self._error(token, f"{token.text} takes {'numbers' if known.takes is Decimal else 'texts'}")
            try:
                return known.gives(moment, *values)
            except _Mixed as mixed:
                raise self._error(token, f"{token.text} would add up {mixed}, which do not add up") from None

        return call

    def _note_names(self, function: "Function", tokens: list[Token]) -> None:
        """Remember the names among the arguments of a function; an order with the account that is given with it."""
        named = [each.text[1:-1] for each in tokens if each.kind == "text"]
        for kind, text_of_it in zip(function.names, named, strict=False):
            account = named[1] if kind == "order" and len(named) > 1 else None
            self.names.append(Name(kind, text_of_it, account))


class Function(NamedTuple):
    """What a claim can ask for."""

    gives: Callable[..., Value]
    least: int
    most: int
    takes: type
    says: str
    lives_on: tuple[type[Event], ...] = ()  # what can change it
    of_the_day: bool = False  # another trading day changes it too
    names: tuple[str, ...] = ()  # what its texts name

    @property
    def parts(self) -> set[str]:
        """Return the parts of the state that it looks at; an account is one that has traded or has had an order."""
        if not self.lives_on:
            return set()
        if set(self.lives_on) <= {*_BOOKED, MarkRecorded}:
            return {"positions"}
        return {"orders"}


class _Mixed(Exception):
    """Money of several currencies."""


def _money(found: Iterable[tuple[str, Decimal | None]]) -> Value:
    """Return the sum of money, given with its currency."""
    listed = list(found)
    currencies = sorted({currency for currency, _ in listed})
    if len(currencies) > 1:
        raise _Mixed(" and ".join(currencies))
    return _sum_of([value for _, value in listed])


def _sum_of(values: list[Decimal | None]) -> Value:
    total = ZERO
    for value in values:
        if value is None:
            return None
        total = plus(total, value)
    return canonical(total)


def _position(at: EvaluationPoint, symbol: str, account: str | None = None) -> Value:
    held = at.state.positions
    return _sum_of([held.position(name, symbol) for name in _accounts(at, account)])


def _realized(at: EvaluationPoint, symbol: str, account: str | None = None) -> Value:
    return _money((held.currency, held.realized) for held in _held(at, symbol, account))


def _unrealized(at: EvaluationPoint, symbol: str, account: str | None = None) -> Value:
    positions, held = at.state.positions, _held(at, symbol, account)
    return _money((each.currency, positions.unrealized(each.book)) for each in held if each.quantity)


def _held(at: EvaluationPoint, symbol: str, account: str | None) -> list[PositionState]:
    return [held for name in _accounts(at, account) for held in at.state.positions.held_in(name, symbol)]


def _daily(at: EvaluationPoint, account: str | None = None, currency: str | None = None) -> Value:
    positions = at.state.positions
    return _money(
        (each, positions.daily_pnl(name, at.trading_day, each))
        for name in _accounts(at, account)
        for each in positions.currencies(name)
        if currency in (None, each)
    )


def _accounts(at: EvaluationPoint, account: str | None) -> list[str]:
    return [account] if account is not None else at.accounts()


def _open_orders(at: EvaluationPoint, account: str | None = None) -> Value:
    return Decimal(sum(at.state.orders.open_count.get(name) or 0 for name in _accounts(at, account)))


def _mark(at: EvaluationPoint, symbol: str) -> Value:
    mark = at.state.positions.marks.get(symbol)
    return None if mark is None else mark.price


def _state(at: EvaluationPoint, order_id: str, account: str | None = None) -> Value:
    key = at.state.orders.find(order_id, account)
    order = None if key is None else at.state.orders.order(key)
    return None if order is None else order.state.value


def _filled(at: EvaluationPoint, order_id: str, account: str | None = None) -> Value:
    key = at.state.orders.find(order_id, account)
    order = None if key is None else at.state.orders.order(key)
    return None if order is None else order.filled_quantity


_FILLS = (FillAdded, FillBusted, FillCorrected)
_BOOKED = (*_FILLS, PolicyChanged)  # another cost method realizes something else
_QUARANTINE = (FillQuarantined, QuarantineResolved, FillAdded)
_HELD, _OF_ORDER = ("symbol", "account"), ("order", "account")
FUNCTIONS: dict[str, Function] = {
    "position": Function(_position, 1, 2, str, "signed quantity held of a symbol", _FILLS, names=_HELD),
    "realized_pnl": Function(_realized, 1, 2, str, "realized P&L in a symbol, net of fees", _BOOKED, names=_HELD),
    "unrealized_pnl": Function(
        _unrealized, 1, 2, str, "unrealized P&L in a symbol at its last mark", (*_BOOKED, MarkRecorded), names=_HELD
    ),
    "daily_pnl": Function(
        _daily, 0, 2, str, "realized P&L of the trading day (account, currency)", _BOOKED, True, ("account", "currency")
    ),
    "open_orders": Function(_open_orders, 0, 1, str, "how many orders are open", (StateChanged,), names=("account",)),
    "quarantined": Function(
        lambda at: Decimal(len(at.state.orders.all_waiting())), 0, 0, str, "fills that wait", _QUARANTINE
    ),
    "mark": Function(_mark, 1, 1, str, "the last mark of a symbol", (MarkRecorded,), names=("symbol",)),
    "state": Function(
        _state, 1, 2, str, "the state of an order, as text", (OrderSubmitted, StateChanged), names=_OF_ORDER
    ),
    "filled": Function(
        _filled, 1, 2, str, "what is filled of an order", (OrderSubmitted, StateChanged, *_FILLS), names=_OF_ORDER
    ),
    "abs": Function(lambda _, value: absolute(value), 1, 1, Decimal, "the size of a number"),
    "min": Function(lambda _, *values: min(values), 1, 9, Decimal, "the smallest"),
    "max": Function(lambda _, *values: max(values), 1, 9, Decimal, "the largest"),
}


def shown(value: Value) -> str:
    """Return a value as the language writes it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    return text(value) if isinstance(value, Decimal) else f'"{value}"'
