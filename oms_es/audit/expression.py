"""
Claims about the state, like `abs(position("AMZN")) <= 1000 and daily_pnl() > -500`.

A small language of its own: exact decimal numbers, text in quotes, comparisons, `and`, `or`, `not`, `+ - *`,
parentheses and the functions of `FUNCTIONS`. Nothing is passed to Python's parser or evaluated by it. Every error shows
its place with a caret.
"""

import operator
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from oms_es.decimals import ZERO, absolute, canonical, minus, plus, text, times
from oms_es.domain import events
from oms_es.domain.order import Order
from oms_es.errors import ExpressionError
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


class _Mistake(Exception):
    """A value that an operator or a function does not accept; the message explains it."""


class EvaluationPoint:
    """The state after an event, and the trading day of that event: what an expression is evaluated on."""

    def __init__(self, state: State, trading_day: str) -> None:
        self.state = state
        self.trading_day = trading_day
        self._accounts: list[str] = []
        self._sizes = (-1, -1)

    def accounts(self, account: str | None) -> list[str]:
        """Return one account, or for None every account that has traded or has had an order."""
        if account is not None:
            return [account]
        traded, ordered = self.state.positions.symbols, self.state.orders.open_count
        sizes = (len(traded), len(ordered))  # no account is ever removed
        if sizes != self._sizes:
            self._accounts, self._sizes = sorted({*traded, *ordered}), sizes
        return self._accounts


class Token(NamedTuple):
    """A word of the expression, and the place of its first character."""

    kind: str
    text: str
    place: int


Step = tuple[Token, Callable[..., Value], int]  # where a mistake is shown, the operation, the number of its operands


class Expression:
    """
    A claim, parsed once and evaluated at many points.

    Args:
        source: the text of the claim.

    Raises:
        ExpressionError: it cannot be parsed.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.depends_on: set[type[events.Event]] = set()  # the events that can change its value
        self.of_the_day = False  # whether a new trading day can change its value, too
        self.parts: set[str] = set()  # the parts of the state that it reads
        self.names: list[Name] = []  # symbols, accounts, orders and currencies that it names
        if len(source) > MAX_LENGTH:
            raise ExpressionError(f"the claim has {len(source)} characters; at most {MAX_LENGTH} are accepted")
        self._steps: list[Step] = []  # in the order of evaluation: operands first
        self._tokens = self._split()
        self._next = 0
        self._parse(0, 0)
        if self._peek().kind != "end":
            raise self._error(self._peek(), "expected the end, or `and`, `or`, a comparison")

    def holds(self, at: EvaluationPoint) -> bool:
        """
        Return whether the claim is true at a point; a figure that does not exist makes its comparison false.

        Raises:
            ExpressionError: the value is not true or false, or a part of it cannot be evaluated.
        """
        stack: list[Value] = []
        for token, apply, operands in self._steps:
            start = len(stack) - operands
            try:
                stack[start:] = [apply(at, *stack[start:])]
            except _Mistake as mistake:
                raise self._error(token, str(mistake)) from None
        (value,) = stack
        if not isinstance(value, bool):
            raise ExpressionError(
                f"{self.source}\n^ this gives {shown(value)}, not true or false; compare it with something"
            )
        return value

    # --- parsing: operators by precedence ---

    def _split(self) -> list[Token]:
        tokens, place = [], 0
        while rest := self.source[place:].lstrip():
            found = _TOKEN.match(self.source, place)
            if found is None:
                raise self._error(Token("", "", len(self.source) - len(rest)), "this is not part of the language")
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
        if token.kind not in ("name", "sign") or token.text not in texts:
            return None
        self._next += 1
        return token

    def _expect(self, sign: str) -> None:
        if self._take(sign) is None:
            raise self._error(self._peek(), f"expected `{sign}`")

    def _parse(self, lowest: int, depth: int) -> None:
        """Parse an operand, and the binary operators after it whose level is `lowest` or above."""
        highest = _PRODUCT
        if lowest <= _COMPARISON and (token := self._take("not")):
            self._nest(token, _COMPARISON, depth)
            self._steps.append((token, _not, 1))
            highest = _AND
        else:
            self._operand(depth)
        while lowest <= _LEVELS.get(self._peek().text, -1) <= highest and (token := self._take(*_LEVELS)):
            level = _LEVELS[token.text]
            self._parse(level + 1, depth)
            self._steps.append((token, partial(_APPLY[level], token.text), 2))
            highest = _AND if level == _COMPARISON else level  # comparisons are not chained

    def _nest(self, token: Token, lowest: int, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise self._error(token, "nested too deeply")
        self._parse(lowest, depth + 1)

    def _operand(self, depth: int) -> None:
        token = self._peek()
        self._next += 1
        match token.kind, token.text:
            case "number", digits:
                self._constant(token, Decimal(digits))
            case "text", quoted:
                self._constant(token, quoted[1:-1])
            case "name", ("true" | "false") as word:
                self._constant(token, word == "true")
            case "name", _:
                self._call(token, depth)
            case "sign", "-":
                self._nest(token, _PRODUCT + 1, depth)
                self._steps.append((token, lambda at, value: _calculate("-", at, ZERO, value), 1))
            case "sign", "(":
                self._nest(token, 0, depth)
                self._expect(")")
            case _:
                raise self._error(token, "expected a number, a text, a function or `(`")

    def _constant(self, token: Token, value: Value) -> None:
        self._steps.append((token, lambda _: value, 0))

    def _call(self, token: Token, depth: int) -> None:
        function = FUNCTIONS.get(token.text)
        if function is None:
            raise self._error(token, f"no function {token.text}; there are: {', '.join(sorted(FUNCTIONS))}")
        self._expect("(")
        first, count = self._next, 0
        while self._take(")") is None:
            if count:
                self._expect(",")
            self._nest(token, 0, depth)
            count += 1
        if not function.least <= count <= function.most:
            counts = f"{function.least}" if function.least == function.most else f"{function.least} to {function.most}"
            raise self._error(token, f"{token.text} takes {counts} arguments, not {count}")
        self._steps.append((token, partial(_call, token.text, function), count))
        self.depends_on.update(function.depends_on)
        self.of_the_day |= function.of_the_day
        self.parts.update(function.parts)
        texts = [each.text[1:-1] for each in self._tokens[first : self._next - 1] if each.kind == "text"]
        for kind, name in zip(function.names, texts, strict=False):
            account = texts[1] if kind == "order" and len(texts) > 1 else None
            self.names.append(Name(kind, name, account))


# --- operators ---


def _join(word: str, _: EvaluationPoint, one: Value, other: Value) -> bool:
    if not isinstance(one, bool) or not isinstance(other, bool):
        raise _Mistake(f"`{word}` joins claims, not figures")
    return (one and other) if word == "and" else (one or other)


def _not(_: EvaluationPoint, value: Value) -> bool:
    if not isinstance(value, bool):
        raise _Mistake("`not` takes a claim, not a figure")
    return not value


def _compare(sign: str, _: EvaluationPoint, one: Value, other: Value) -> bool:
    if one is None or other is None:
        return False
    if type(one) is not type(other):
        raise _Mistake(f"{shown(one)} and {shown(other)} cannot be compared")
    if sign not in ("==", "!=") and not isinstance(one, Decimal):
        raise _Mistake(f"`{sign}` compares numbers")
    return _COMPARE[sign](one, other)


def _calculate(sign: str, _: EvaluationPoint, one: Value, other: Value) -> Decimal | None:
    if one is None or other is None:
        return None
    if not isinstance(one, Decimal) or not isinstance(other, Decimal):
        raise _Mistake(f"`{sign}` takes numbers")
    try:
        return canonical(_CALCULATE[sign](one, other))
    except ArithmeticError:
        raise _Mistake("the number has more digits than exact arithmetic allows") from None


def _call(name: str, function: "Function", at: EvaluationPoint, *values: Value) -> Value:
    if None in values:
        return None
    if not all(isinstance(value, function.takes) for value in values):
        raise _Mistake(f"{name} takes {'numbers' if function.takes is Decimal else 'texts'}")
    return function.compute(at, *values)


_COMPARE: dict[str, Callable[..., bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne
}  # fmt: skip
_CALCULATE = {"+": plus, "-": minus, "*": times}
# Levels of precedence, and the function of each.
_OR, _AND, _COMPARISON, _SUM, _PRODUCT = range(5)
_LEVELS = {"or": _OR, "and": _AND, **dict.fromkeys(_COMPARE, _COMPARISON), "+": _SUM, "-": _SUM, "*": _PRODUCT}
_APPLY: tuple[Callable[..., Value], ...] = (_join, _join, _compare, _calculate, _calculate)


# --- functions ---


class Function(NamedTuple):
    """A function of the language."""

    compute: Callable[..., Value]
    least: int  # arguments
    most: int
    takes: type  # of each argument
    names: tuple[str, ...] = ()  # the kinds of names that its texts are
    depends_on: tuple[type[events.Event], ...] = ()  # the events that can change its value
    of_the_day: bool = False  # a new trading day changes its value, too

    @property
    def parts(self) -> set[str]:
        """Return the parts of the state that it reads."""
        if not self.depends_on:
            return set()
        return {"positions"} if set(self.depends_on) <= {*_BOOKED, events.MarkRecorded} else {"orders"}


def _money(amounts: Iterable[tuple[str, Decimal | None]]) -> Value:
    """Return the sum of amounts, each with its currency."""
    listed = list(amounts)
    currencies = sorted({currency for currency, _ in listed})
    if len(currencies) > 1:
        raise _Mistake(f"it would add up {' and '.join(currencies)}, which do not add up")
    return _sum(value for _, value in listed)


def _sum(values: Iterable[Decimal | None]) -> Value:
    total = ZERO
    for value in values:
        if value is None:
            return None
        total = plus(total, value)
    return canonical(total)


def _position(at: EvaluationPoint, symbol: str, account: str | None = None) -> Value:
    return _sum(at.state.positions.position(name, symbol) for name in at.accounts(account))


def _realized(at: EvaluationPoint, symbol: str, account: str | None = None) -> Value:
    return _money((held.currency, held.realized) for held in _held(at, symbol, account))


def _unrealized(at: EvaluationPoint, symbol: str, account: str | None = None) -> Value:
    positions, held = at.state.positions, _held(at, symbol, account)
    return _money((each.currency, positions.unrealized(each.book)) for each in held if each.quantity)


def _held(at: EvaluationPoint, symbol: str, account: str | None) -> list[PositionState]:
    return [held for name in at.accounts(account) for held in at.state.positions.held_in(name, symbol)]


def _daily(at: EvaluationPoint, account: str | None = None, currency: str | None = None) -> Value:
    positions = at.state.positions
    return _money(
        (each, positions.daily_pnl(name, at.trading_day, each))
        for name in at.accounts(account)
        for each in positions.currencies(name)
        if currency in (None, each)
    )


def _open_orders(at: EvaluationPoint, account: str | None = None) -> Value:
    return Decimal(sum(at.state.orders.open_count.get(name) or 0 for name in at.accounts(account)))


def _quarantined(at: EvaluationPoint) -> Value:
    return Decimal(len(at.state.orders.all_waiting()))


def _mark(at: EvaluationPoint, symbol: str) -> Value:
    mark = at.state.positions.marks.get(symbol)
    return None if mark is None else mark.price


def _of_order(figure: Callable[[Order], Value]) -> Callable[..., Value]:
    """Return the function that gives a figure of an order."""

    def compute(at: EvaluationPoint, order_id: str, account: str | None = None) -> Value:
        key = at.state.orders.find(order_id, account)
        order = None if key is None else at.state.orders.order(key)
        return None if order is None else figure(order)

    return compute


_FILLS = (events.FillAdded, events.FillBusted, events.FillCorrected)
_BOOKED = (*_FILLS, events.PolicyChanged)  # with another cost method, the realized P&L is another
_VALUED = (*_BOOKED, events.MarkRecorded)
_QUARANTINE = (events.FillQuarantined, events.QuarantineResolved, events.FillAdded)
_ORDER = (events.OrderSubmitted, events.StateChanged)
_OF_SYMBOL, _OF_ORDER = ("symbol", "account"), ("order", "account")
FUNCTIONS: dict[str, Function] = {
    "position": Function(_position, 1, 2, str, _OF_SYMBOL, _FILLS),  # signed quantity
    "realized_pnl": Function(_realized, 1, 2, str, _OF_SYMBOL, _BOOKED),  # net of fees
    "unrealized_pnl": Function(_unrealized, 1, 2, str, _OF_SYMBOL, _VALUED),  # at the last mark
    "daily_pnl": Function(_daily, 0, 2, str, ("account", "currency"), _BOOKED, of_the_day=True),  # realized
    "open_orders": Function(_open_orders, 0, 1, str, ("account",), (events.StateChanged,)),  # their number
    "quarantined": Function(_quarantined, 0, 0, str, (), _QUARANTINE),  # number of fills
    "mark": Function(_mark, 1, 1, str, ("symbol",), (events.MarkRecorded,)),  # the last one
    "state": Function(_of_order(lambda order: order.state.value), 1, 2, str, _OF_ORDER, _ORDER),
    "filled": Function(_of_order(lambda order: order.filled_quantity), 1, 2, str, _OF_ORDER, (*_ORDER, *_FILLS)),
    "abs": Function(lambda _, value: absolute(value), 1, 1, Decimal),
    "min": Function(lambda _, *values: min(values), 1, 9, Decimal),
    "max": Function(lambda _, *values: max(values), 1, 9, Decimal),
}


def shown(value: Value) -> str:
    """Return a value as the language writes it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    return text(value) if isinstance(value, Decimal) else f'"{value}"'
