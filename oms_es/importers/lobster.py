"""
LOBSTER message files (lobsterdata): a NASDAQ day, one order event a row, as facts.

Columns: seconds after midnight in New York, type, order id, size, price x 10000, direction of the resting order
(1 buy, -1 sell). Types: 1 new limit order, 2 partial cancel, 3 deletion, 4 execution, 5 execution of a hidden order,
6 cross trade, 7 trading halt. Events of orders from before the file are counted only.
The `orderbook` file's row i is best ask, ask size, bid, bid size after message i.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import asdict

from oms_es.decimals import divide, plus, quotient, text
from oms_es.errors import ImportFailed, InvalidInput
from oms_es.identifiers import identifier, shown
from oms_es.importers.facts import Defaults, Fact, lines, to_fact
from oms_es.timestamps import SECOND, instant, iso

ZONE = ZoneInfo("America/New_York")
_UNITS = Decimal(10000)
_NO_QUOTE = 9_999_999_999
_DAY = 86400


class Left(Struct):
    """Counts of the rows of the file, by kind; also of those that did not become facts."""

    rows: int = 0
    submissions: int = 0
    executions: int = 0
    reductions: int = 0
    deletions: int = 0
    marks: int = 0
    earlier_executions: int = 0  # of orders from before the file
    earlier_reductions: int = 0
    earlier_deletions: int = 0
    hidden_executions: int = 0
    cross_trades: int = 0
    halts: int = 0
    uneven_deletions: int = 0  # applied, though the deleted size is not the open quantity

    def rows_out(self) -> dict[str, int]:
        """Return the counts as in JSON."""
        return asdict(self)


class Message(Struct, frozen=True):
    """One row of a message file."""

    at: int  # ns UTC
    kind: int
    order_id: str
    size: int
    price: str
    side: str


class LobsterDay:
    """
    The files of a day as facts; `read` may be called several times.

    Args:
        messages: the message file.
        symbol: the symbol of the file.
        day: the date of the file.
        book: the orderbook file, for one mark a minute; None: no marks.
        defaults: account and id prefix.
    """

    def __init__(self, messages: Path, symbol: str, day: date, book: Path | None, defaults: Defaults) -> None:
        self._messages, self._book, self._defaults = messages, book, defaults
        self._symbol = identifier(symbol, "symbol")
        self._midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - wall-clock time, zoned in _moment
        self.left = Left()

    def read(self) -> Iterator[Fact]:
        """
        Yield the facts of the day, in the order of the file.

        Raises:
            ImportFailed: a row is damaged; names file, line and reason.
        """
        self.left = Left()
        quotes = None if self._book is None else lines(self._book)
        open_sizes: dict[str, int] = {}
        minute = -1
        for number, line in lines(self._messages):
            try:
                message = self._message(line)
                self.left.rows += 1
                if quotes is not None:
                    quote = self._quote(quotes, number)
                    if quote is not None and message.at // (60 * SECOND) > minute:
                        minute = message.at // (60 * SECOND)
                        self.left.marks += 1
                        yield self._fact(number, message.at, kind="mark", price=quote)
                body = self._body(message, number, open_sizes)
                if body is not None:
                    yield self._fact(number, message.at, **body)
            except InvalidInput as error:
                raise ImportFailed(f"{self._messages}:{number}: {error}") from None
        if quotes is not None and next(quotes, None) is not None:
            raise ImportFailed(f"{self._book}: has more rows than {self._messages} ({self.left.rows})")

    def _fact(self, number: int, at: int, **body: Any) -> Fact:
        return to_fact({"seq": number, "ts": iso(at), "symbol": self._symbol, **body}, number, self._defaults)

    def _message(self, line: bytes) -> Message:
        if not line.endswith(b"\n"):
            raise InvalidInput("the row is cut off: it does not end in a newline")
        fields = _fields(line, 6)
        seconds, kind, order_id, size, price, direction = fields
        if kind not in ("1", "2", "3", "4", "5", "6", "7"):
            raise InvalidInput(f"type: {shown(kind)} is not one of 1 to 7")
        if direction not in ("1", "-1"):
            raise InvalidInput(f"direction: {shown(direction)} is neither 1 nor -1")
        whole = _whole(price, "price")
        return Message(
            at=self._moment(seconds),
            kind=int(kind),
            order_id=str(_whole(order_id, "order id")),
            size=_whole(size, "size"),
            price=text(quotient(Decimal(whole), _UNITS)),
            side="buy" if direction == "1" else "sell",
        )

    def _moment(self, seconds: str) -> int:
        whole, point, fraction = seconds.partition(".")
        digits = whole.isascii() and whole.isdigit() and (not point or (fraction.isascii() and fraction.isdigit()))
        if not digits or len(fraction) > 9 or len(whole) > 5 or int(whole) >= _DAY:
            raise InvalidInput(f"time: {shown(seconds)} is not seconds after midnight like 34200.017459617")
        local = (self._midnight + timedelta(seconds=int(whole))).replace(tzinfo=ZONE)
        return instant(local) + int(fraction.ljust(9, "0"))

    def _body(self, message: Message, number: int, open_sizes: dict[str, int]) -> dict[str, str] | None:
        """Return the fields of the fact; None for a row that is only counted."""
        if message.kind in (5, 6, 7):
            self.left.hidden_executions += message.kind == 5
            self.left.cross_trades += message.kind == 6
            self.left.halts += message.kind == 7
            return None
        order = {"order_id": message.order_id, "side": message.side, "qty": str(message.size)}
        if message.kind == 1:
            self.left.submissions += 1
            open_sizes[message.order_id] = message.size
            return {"kind": "submit", "order_type": "limit", "price": message.price, **order}
        if message.order_id not in open_sizes:
            self.left.earlier_reductions += message.kind == 2
            self.left.earlier_deletions += message.kind == 3
            self.left.earlier_executions += message.kind == 4
            return None
        if message.kind == 3:
            self.left.deletions += 1
            self.left.uneven_deletions += message.size != open_sizes[message.order_id]
            return {"kind": "cancel", **order}
        open_sizes[message.order_id] -= message.size
        if message.kind == 2:
            self.left.reductions += 1
            return {"kind": "reduce", **order}
        self.left.executions += 1
        return {"kind": "fill", "price": message.price, "trade_id": f"{self._symbol}-{number}", **order}

    def _quote(self, quotes: Iterator[tuple[int, bytes]], number: int) -> str | None:
        """Return the mid price of best bid and ask after message `number`; None if a side is empty."""
        found = next(quotes, None)
        if found is None:
            raise ImportFailed(f"{self._book}: ends before row {number}, which {self._messages} has")
        try:
            fields = _fields(found[1], 4, at_least=True)
            ask, ask_size, bid, bid_size = (_whole(field, "quote") for field in fields[:4])
        except InvalidInput as error:
            raise ImportFailed(f"{self._book}:{number}: {error}") from None
        if not ask_size or not bid_size or _NO_QUOTE in (abs(ask), abs(bid)):
            return None
        return text(divide(plus(Decimal(ask), Decimal(bid)), Decimal(20000)))


def _fields(line: bytes, count: int, *, at_least: bool = False) -> list[str]:
    try:
        fields = line.decode("ascii").strip().split(",")
    except UnicodeDecodeError:
        raise InvalidInput("the row has bytes that are not ASCII text") from None
    if len(fields) != count and not (at_least and len(fields) > count and len(fields) % count == 0):
        raise InvalidInput(f"{len(fields)} columns instead of {count}: {shown(line.decode('ascii').strip())}")
    return fields


def _whole(field: str, name: str) -> int:
    if not field.removeprefix("-").isdigit() or not field.isascii() or len(field) > 18:
        raise InvalidInput(f"{name}: {shown(field)} is not a whole number")
    return int(field)
