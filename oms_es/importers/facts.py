"""
Facts: one JSON object a line, numbers as text, in order.

    {"seq":2,"ts":"2012-06-21T13:30:00.154178213Z","kind":"submit","order_id":"1","symbol":"GOOG","side":"buy",
     "order_type":"limit","qty":"100","price":"579.4"}
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from oms_es.decimals import ZERO, decimal
from oms_es.domain.commands import (
    AddFill,
    AmendOrder,
    CancelOrder,
    Command,
    RecordMark,
    ReduceOrder,
    Request,
    SubmitOrder,
)
from oms_es.domain.validation import choice, limit_price, not_negative, positive
from oms_es.errors import ImportFailed, InvalidInput
from oms_es.identifiers import account, identifier, shown
from oms_es.timestamps import instant
from oms_es.vocabulary import DEFAULT_ACCOUNT, OrderSide, OrderType, Origin

KINDS = ("submit", "fill", "reduce", "replace", "cancel", "mark")
_MAX_LINE = 65536
_MAX_SEQ = 2**63
_MAX_EMPTY = 100_000  # empty lines; more of them only in a file with as many others
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder(order="sorted").encode


class Fact(Struct, frozen=True):
    """One line of a file, as a request."""

    line: int
    seq: int
    kind: str
    request: Request


class Defaults(Struct, frozen=True, kw_only=True):
    """Values for fields that the file does not have."""

    account: str = DEFAULT_ACCOUNT
    id_prefix: str = ""  # prefix of every order id, for feeds that use ids again


def read_facts(path: Path, defaults: Defaults) -> Iterator[Fact]:
    """
    Yield the facts of a file (`.gz` is unpacked); empty lines are skipped.

    Raises:
        ImportFailed: the file cannot be read, or a line is not a fact; names file, line and reason.
    """
    for number, line in lines(path):
        if line.strip():
            try:
                yield to_fact(parsed(line), number, defaults)
            except InvalidInput as error:
                raise ImportFailed(f"{path}:{number}: {error}") from None


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """
    Yield the lines of a file with their numbers.

    Raises:
        ImportFailed: the file cannot be read to its end, most lines are empty, or a line is longer than any fact needs.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            number = empty = 0
            while line := file.readline(_MAX_LINE + 1):
                number += 1
                if len(line) > _MAX_LINE:
                    raise ImportFailed(f"{path}:{number}: the line is longer than {_MAX_LINE} bytes")
                empty += line.isspace()
                if empty > max(_MAX_EMPTY, number // 2):  # a small .gz can hold very many of them
                    raise ImportFailed(f"{path}:{number}: {empty:,} lines are empty, more than half of the file")
                yield number, line
    except (OSError, EOFError, zlib.error) as error:  # a gzip file that was cut off ends in EOFError
        raise ImportFailed(f"{path}: cannot be read to its end: {getattr(error, 'strerror', None) or error}") from None


def parsed(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line."""
    try:
        return _decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidInput(f"not a JSON object ({error}); the line begins {shown(_beginning(line))}") from None


def _beginning(line: bytes) -> str:
    return line[:60].decode("utf-8", "replace").rstrip("\r\n")


def to_fact(body: dict[str, Any], line: int, defaults: Defaults) -> Fact:
    """
    Return the fact of a JSON object.

    Raises:
        InvalidInput: a field is missing or not valid; names it.
    """
    seq, kind = body.get("seq"), body.get("kind")
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq < _MAX_SEQ:
        raise InvalidInput(f"seq: {shown(seq)} is not a whole number of 0 or more")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidInput(f"kind: {shown(kind)} is not one of {', '.join(KINDS)}")
    body = _completed(body, defaults)
    request = Request(
        command=_COMMANDS[kind](body),
        command_id=fact_id(seq, body),
        occurred_at=instant(_text(body, "ts"), "ts"),
        origin=Origin.IMPORT,
    )
    return Fact(line, seq, kind, request)


def _completed(body: dict[str, Any], defaults: Defaults) -> dict[str, Any]:
    body = dict(body)
    if body["kind"] != "mark":
        body["account"] = account(body.get("account", defaults.account))
        body["order_id"] = defaults.id_prefix + _text(body, "order_id")
    return body


def fact_id(seq: int, body: dict[str, Any]) -> str:
    """Return the command id of a fact: its seq, and a digest of its whole content."""
    digest = hashlib.sha256(_encode(body)).digest()[:12]
    return "fact:" + (seq.to_bytes(max(4, -(-seq.bit_length() // 8)), "big") + digest).hex()


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        raise InvalidInput(f"{name}: missing; a {body.get('kind')} needs it")
    if name == "ts" and type(value) is int:
        value = str(value)  # `instant` has a message about units
    if not isinstance(value, str):
        raise InvalidInput(f'{name}: {shown(value)} is not text; numbers are written as text, like "100.25"')
    return value


def _optional(body: dict[str, Any], name: str) -> str | None:
    return None if body.get(name) is None else _text(body, name)


def _order(body: dict[str, Any]) -> dict[str, Any]:
    return {"account": body["account"], "order_id": identifier(body["order_id"], "order_id")}


def _submit(body: dict[str, Any]) -> Command:
    kind = choice(OrderType, body.get("order_type", "limit"), "order_type")
    return SubmitOrder(
        **_order(body),
        symbol=identifier(_text(body, "symbol"), "symbol"),
        side=choice(OrderSide, _text(body, "side"), "side"),
        order_type=kind,
        quantity=positive(_text(body, "qty"), "qty"),
        price=limit_price(kind, _optional(body, "price")),
    )


def _fill(body: dict[str, Any]) -> Command:
    symbol, side, trade_id, fee = (_optional(body, name) for name in ("symbol", "side", "trade_id", "fee"))
    return AddFill(
        **_order(body),
        fill_quantity=positive(_text(body, "qty"), "qty"),
        fill_price=decimal(_text(body, "price"), "price"),
        trade_id=None if trade_id is None else identifier(trade_id, "trade_id"),
        fee=ZERO if fee is None else decimal(fee, "fee"),
        symbol=None if symbol is None else identifier(symbol, "symbol"),
        side=None if side is None else choice(OrderSide, side, "side"),
    )


def _reduce(body: dict[str, Any]) -> Command:
    return ReduceOrder(**_order(body), quantity=positive(_text(body, "qty"), "qty"))


def _replace(body: dict[str, Any]) -> Command:
    quantity, price = _optional(body, "qty"), _optional(body, "price")
    if quantity is None and price is None:
        raise InvalidInput("qty: a replace needs a new total qty, a new price, or both")
    return AmendOrder(
        **_order(body),
        quantity=None if quantity is None else not_negative(quantity, "qty"),
        price=None if price is None else decimal(price, "price"),
    )


def _cancel(body: dict[str, Any]) -> Command:
    return CancelOrder(**_order(body), reason="")


def _mark(body: dict[str, Any]) -> Command:
    return RecordMark(symbol=identifier(_text(body, "symbol"), "symbol"), price=decimal(_text(body, "price"), "price"))


_COMMANDS = {
    "submit": _submit,
    "fill": _fill,
    "reduce": _reduce,
    "replace": _replace,
    "cancel": _cancel,
    "mark": _mark,
}
