"""
DeltaDeFi's orders and executions as reports, in both dialects: v1 (SDK 1.1) and v0 (SDK 0.1 and older documents).

Source: the models of the PyPI package `deltadefi`, and the venue's documentation of April 2026.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from oms_es.decimals import ONE, ZERO, divide, minus, times
from oms_es.domain.reports import FillReport, OrderReport
from oms_es.errors import InvalidInput
from oms_es.timestamps import SECOND, instant
from oms_es.venues.contract import Instrument
from oms_es.vocabulary import OrderSide, ReportStatus

RATE_BP = 10  # the usual commission, in basis points
_STATUS = {
    "building": ReportStatus.PENDING,
    "processing": ReportStatus.PENDING,
    "open": ReportStatus.WORKING,
    "partially_filled": ReportStatus.WORKING,
    "closed": ReportStatus.FILLED,
    "fully_filled": ReportStatus.FILLED,
    "cancelled": ReportStatus.CANCELLED,
    "partially_cancelled": ReportStatus.CANCELLED,
    "failed": ReportStatus.REJECTED,
}
_ROLES = {"maker", "taker"}


class Token(Struct, frozen=True):
    """A token: its name, the unit in which amounts of it are named, and the decimals of that unit."""

    name: str
    unit: str
    decimals: int


class Pair(Struct, frozen=True):
    """A trading pair."""

    symbol: str
    base: Token
    quote: Token
    quantity_decimals: int
    price_decimals: int
    min_quantity: Decimal | None

    def instrument(self) -> Instrument:
        """Return what the venue requires of orders in this pair."""
        return Instrument(
            symbol=self.symbol,
            base=self.base.name,
            quote=self.quote.name,
            quantity_step=Decimal(1).scaleb(-self.quantity_decimals),
            price_step=Decimal(1).scaleb(-self.price_decimals),
            min_quantity=self.min_quantity,
        )


def loads(text: str | bytes) -> Any:
    """Return the content of JSON; a number with a fraction is a Decimal of its text."""
    return json.loads(text, parse_float=Decimal)


def pairs(config: Mapping[str, Any]) -> dict[str, Pair]:
    """Return the pairs of the market configuration by symbol."""
    return {pair.symbol: pair for pair in map(_pair, config["trading_pairs"])}


def _pair(body: Mapping[str, Any]) -> Pair:
    symbol = body["symbol"]
    base, quote = body["base_token"], body["quote_token"]
    names = _names(symbol, base, quote)
    least = base.get("min_qty", body.get("min_base_qty"))
    return Pair(
        symbol=symbol,
        base=Token(names[0], base["unit"], int(base["decimals"])),
        quote=Token(names[1], quote["unit"], int(quote["decimals"])),
        quantity_decimals=int(base["max_qty_dp"]),
        price_decimals=int(body["price_max_dp"]),
        min_quantity=None if least is None else number(least),
    )


def _names(symbol: str, base: Mapping[str, Any], quote: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of the tokens: as stated, or the parts of the symbol, or their units."""
    first, second = (token.get("symbol") or ("ADA" if token["unit"] == "lovelace" else "") for token in (base, quote))
    first = first or (symbol.removesuffix(second) if second else base["unit"])
    return first, second or symbol.removeprefix(first) or quote["unit"]


def number(value: object) -> Decimal:
    """Return an amount: text in v1, in v0 also a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise InvalidInput(f"the venue sent {value!r} instead of a number")
    return Decimal(value)


def order_report(body: Mapping[str, Any], known: Mapping[str, Pair]) -> OrderReport:
    """Return the report of an order in either dialect, with its executions where the venue lists them."""
    old = "order_id" in body and "id" not in body
    external, side = str(body["order_id" if old else "id"]), _side(body.get("side"))
    symbol = body.get("symbol")
    quantity = _optional(body.get("orig_qty" if old else "base_qty"))
    filled = _optional(body.get("executed_qty" if old else "executed_base_qty")) or ZERO
    price = _optional(body.get("price"))
    records = body.get("fills" if old else "order_execution_records")
    fills = None
    if records is not None:
        rate = int(body.get("commission_rate_bp") or RATE_BP)
        fills = tuple(fill_report(each, external, symbol, side, known, rate) for each in records)
    average = _optional(body.get("executed_price"))
    return OrderReport(
        status=_status(str(body["status"]), quantity, filled),
        external_order_id=external,
        symbol=symbol,
        side=side,
        order_type=body.get("type"),
        quantity=quantity or None,
        price=price if price and body.get("type") != "market" else None,
        filled_quantity=filled,
        avg_fill_price=divide(average, ONE) if average and filled else None,  # to 18 places
        reason=str(body.get("reason") or ""),
        occurred_at=_moment(body, "updated_at", "update_time", "created_at", "create_time"),
        fills=fills,
    )


def _status(word: str, quantity: Decimal | None, filled: Decimal) -> ReportStatus:
    status = _STATUS.get(word)
    if status is None:
        raise InvalidInput(f"the venue sent the unknown order status {word!r}")
    if status is ReportStatus.FILLED and quantity and filled < quantity:
        return ReportStatus.CANCELLED  # closed with less than its quantity
    return ReportStatus.CANCELLED if status is ReportStatus.REJECTED and filled else status


def fill_report(
    record: Mapping[str, Any],
    external: str,
    symbol: str | None,
    side: OrderSide | None,
    known: Mapping[str, Pair],
    rate: int = RATE_BP,
) -> FillReport:
    """Return the report of an execution record in either dialect."""
    quantity = number(_first(record, "filled_base_qty", "filled_amount", "executed_qty"))
    price = number(_first(record, "execution_price", "executed_price"))
    side = side or _side(record.get("side"))
    fee, currency = _fee(record, known.get(symbol or ""), side, quantity, price, rate)
    role = record.get("role")
    return FillReport(
        external_order_id=external,
        trade_id=str(_first(record, "id", "execution_id")),
        symbol=symbol,
        side=side,
        quantity=quantity,
        price=price,
        fee=fee,
        fee_currency=currency,
        liquidity=role if role in _ROLES else None,
        occurred_at=_moment(record, "created_at", "create_time", "created_time"),
    )


def _fee(
    record: Mapping[str, Any], pair: Pair | None, side: OrderSide | None, quantity: Decimal, price: Decimal, rate: int
) -> tuple[Decimal, str]:
    """
    Return the fee and its currency.

    The venue names an asset's smallest unit (`lovelace`) although the amount may be in whole tokens: the scale is the
    one that is nearer to rate x quantity.
    """
    amount = number(_first(record, "commission", "fee_amount", "fee_charged", default="0"))
    unit = str(record.get("commission_unit") or record.get("fee_unit") or "")
    if pair is None:
        return amount, "ADA" if unit == "lovelace" else unit
    in_base = unit in {pair.base.unit, pair.base.name} or (not unit and side is OrderSide.BUY)
    token = pair.base if in_base else pair.quote
    if unit and unit not in {token.unit, token.name}:
        return amount, unit
    expected = times(times(quantity, ONE if in_base else price), Decimal(rate).scaleb(-4))
    scaled = amount.scaleb(-token.decimals)
    is_scaled = abs(minus(scaled, expected)) < abs(minus(amount, expected))
    return scaled if is_scaled and unit == token.unit else amount, token.name


def stream_reports(message: Mapping[str, Any], known: Mapping[str, Pair]) -> Iterator[OrderReport | FillReport]:
    """Yield the reports in a message of the account stream; balances and unknown kinds have none."""
    if isinstance(message.get("order"), Mapping):
        yield order_report(message["order"], known)
    parts = message.get("data")
    for part in parts if isinstance(parts, list) else ():
        for order in part.get("orders") or ():
            yield order_report(order, known)
        for record in part.get("order_filling_records") or ():
            yield fill_report(record, str(record["order_id"]), record.get("symbol"), None, known)


def _side(word: object) -> OrderSide | None:
    return OrderSide(str(word).lower()) if word else None


def _optional(value: object) -> Decimal | None:
    return None if value in (None, "") else number(value)


def _first(body: Mapping[str, Any], *names: str, default: object = None) -> object:
    return next((body[name] for name in names if body.get(name) is not None), default)


def _moment(body: Mapping[str, Any], *names: str) -> int | None:
    """Return a time in ns UTC: ISO text in v1, whole seconds in v0."""
    value = _first(body, *names)
    if value is None:
        return None
    return instant(value, names[0]) if isinstance(value, str) else int(number(value)) * SECOND
