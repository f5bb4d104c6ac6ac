"""What a venue reports about an order or a fill (FIX ExecutionReport and OrderCancelReject)."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import asdict, replace

from oms_es.decimals import ZERO, decimal
from oms_es.domain.validation import Number, choice, currency_of, named, not_negative, positive
from oms_es.errors import InvalidInput
from oms_es.identifiers import reason, shown
from oms_es.timestamps import instant
from oms_es.vocabulary import FillKind, Liquidity, OrderSide, OrderType, ReportStatus


class FillReport(Struct, frozen=True, kw_only=True):
    """
    An execution, a correction or a bust, as a venue reports it; at least one of the order's ids is needed.

    Decimals may also be an int or decimal text, enums their value, times ISO text or an aware datetime.
    """

    external_order_id: str | None = None  # the venue's id of the order (FIX OrderID 37)
    order_id: str | None = None  # our id, the client id (FIX ClOrdID 11)
    trade_id: str | None = None  # of this execution or correction (FIX ExecID 17)
    trade_ref_id: str | None = None  # of the fill that it corrects or busts (FIX ExecRefID 19)
    kind: FillKind | str = FillKind.TRADE
    symbol: str | None = None
    side: OrderSide | str | None = None
    quantity: Number | None = None  # base units, > 0 (FIX LastQty 32)
    price: Number | None = None  # quote units per base unit (FIX LastPx 31)
    fee: Number | None = None  # negative is a rebate (FIX Commission 12)
    fee_currency: str = ""  # "": that of the instrument (FIX CommCurrency 479)
    liquidity: Liquidity | str | None = None  # maker or taker
    occurred_at: Any = None  # None: now


class OrderReport(Struct, frozen=True, kw_only=True):
    """The state of an order as a venue reports it; None is "not reported". Accepts values as `FillReport` does."""

    status: ReportStatus | str
    external_order_id: str | None = None  # the venue's id of the order (FIX OrderID 37)
    order_id: str | None = None  # our id, the client id (FIX ClOrdID 11)
    original_order_id: str | None = None  # the client id before a replace (FIX OrigClOrdID 41)
    symbol: str | None = None
    side: OrderSide | str | None = None
    order_type: OrderType | str | None = None
    quantity: Number | None = None  # the total (FIX OrderQty 38)
    price: Number | None = None
    stop_price: Number | None = None
    filled_quantity: Number | None = None  # cumulative (FIX CumQty 14)
    avg_fill_price: Number | None = None  # of the filled quantity (FIX AvgPx 6)
    reason: str = ""  # FIX Text 58
    occurred_at: Any = None  # None: now
    fills: tuple[FillReport, ...] | None = None  # every fill of the order so far, or some of them


Report: TypeAlias = FillReport | OrderReport


def checked_report(report: object) -> Report:
    """
    Return a report with exact values.

    Raises:
        InvalidInput: a value that cannot be, or no id of the order.
    """
    if isinstance(report, FillReport):
        return _checked_fill(report)
    if isinstance(report, OrderReport):
        return _checked_order(report)
    raise InvalidInput(f"report: expected an OrderReport or a FillReport, got {type(report).__name__}")


def _checked_fill(report: FillReport, *, has_order: bool = False) -> FillReport:
    kind = choice(FillKind, report.kind, "kind")
    if not has_order and report.external_order_id is None and report.order_id is None:
        raise InvalidInput("external_order_id: a report needs this id or order_id")
    is_trade = kind is FillKind.TRADE
    if is_trade and (report.quantity is None or report.price is None):
        raise InvalidInput("quantity: a trade needs a quantity and a price")
    if not is_trade and report.trade_ref_id is None:
        raise InvalidInput(f"trade_ref_id: a {kind.value} needs the id of its fill")
    return FillReport(
        **_names(report),
        trade_id=named(report.trade_id, "trade_id"),
        trade_ref_id=named(report.trade_ref_id, "trade_ref_id"),
        kind=kind,
        quantity=None if report.quantity is None else positive(report.quantity, "quantity"),
        price=_number(report.price, "price"),
        fee=_number(report.fee, "fee"),
        fee_currency=currency_of(report.fee_currency),
        liquidity=None if report.liquidity is None else choice(Liquidity, report.liquidity, "liquidity"),
        occurred_at=None if report.occurred_at is None else instant(report.occurred_at, "occurred_at"),
    )


def _checked_order(report: OrderReport) -> OrderReport:
    if report.external_order_id is None and report.order_id is None and report.original_order_id is None:
        raise InvalidInput("external_order_id: a report needs this id, order_id or original_order_id")
    fills = report.fills
    if fills is not None and not isinstance(fills, tuple | list):
        raise InvalidInput(f"fills: expected a tuple of FillReport, got {type(fills).__name__}")
    for each in fills or ():
        if not isinstance(each, FillReport):
            raise InvalidInput(f"fills: expected FillReport, got {type(each).__name__}")
    filled, average = report.filled_quantity, report.avg_fill_price
    return OrderReport(
        **_names(report),
        status=choice(ReportStatus, report.status, "status"),
        original_order_id=named(report.original_order_id, "original_order_id"),
        order_type=None if report.order_type is None else choice(OrderType, report.order_type, "order_type"),
        quantity=None if report.quantity is None else not_negative(report.quantity, "quantity"),
        price=_number(report.price, "price"),
        stop_price=_number(report.stop_price, "stop_price"),
        filled_quantity=None if filled is None else not_negative(filled, "filled_quantity"),
        avg_fill_price=_number(average, "avg_fill_price"),
        reason=reason(report.reason),
        occurred_at=None if report.occurred_at is None else instant(report.occurred_at, "occurred_at"),
        fills=None if fills is None else tuple(_checked_fill(each, has_order=True) for each in fills),
    )


def _names(report: Report) -> dict[str, Any]:
    return {
        "external_order_id": named(report.external_order_id, "external_order_id"),
        "order_id": named(report.order_id, "order_id"),
        "symbol": named(report.symbol, "symbol"),
        "side": None if report.side is None else choice(OrderSide, report.side, "side"),
    }


def _number(value: object, name: str) -> Decimal | None:
    return None if value is None else decimal(value, name)


def report_of(fields: Mapping[str, Any]) -> Report:
    """
    Return the report of a JSON object: one with a `status` is of an order, any other is of a fill.

    Raises:
        InvalidInput: an unknown key, or a value that cannot be.
    """
    kind: type[Report] = OrderReport if "status" in fields else FillReport
    unknown = sorted(fields.keys() - set(kind.__struct_fields__))
    if unknown:
        known = ", ".join(kind.__struct_fields__)
        raise InvalidInput(f"{shown(unknown[0])} is not a field of a report (known: {known})")
    values = dict(fields)
    if kind is OrderReport and values.get("fills") is not None:
        values["fills"] = tuple(_fill_of(each) for each in _list(values["fills"]))
    return checked_report(kind(**values))


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidInput(f"fills: expected a list, got {type(value).__name__}")
    return value


def _fill_of(fields: object) -> FillReport:
    if not isinstance(fields, dict) or (fields.keys() - set(FillReport.__struct_fields__)):
        raise InvalidInput(f"fills: {shown(fields)} is not a fill (known: {', '.join(FillReport.__struct_fields__)})")
    return FillReport(**fields)


def fills_of(report: OrderReport) -> list[FillReport]:
    """Return the listed fills in order of execution, with the ids, symbol and side of their order."""
    found = []
    for each in report.fills or ():
        own = {name: value for name, value in asdict(each).items() if value is not None}
        inherited = {name: value for name, value in _names(report).items() if name not in own}
        found.append(replace(each, **inherited) if inherited else each)
    return sorted(found, key=lambda each: each.kind is not FillKind.TRADE)  # busts and corrections after their fills


def fee_of(report: FillReport) -> Decimal:
    """Return the fee of a checked report; 0 if it is not reported."""
    return report.fee if isinstance(report.fee, Decimal) else ZERO
