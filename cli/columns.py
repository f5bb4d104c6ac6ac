"""The columns of tables: their titles and cells. Their rows are those of JSON."""

from collections.abc import Callable, Iterable
from decimal import Decimal

from oms_es.cli.layout import Column
from oms_es.cli.render import Row, age, pairs, plainly, shown_time
from oms_es.decimals import short, text
from oms_es.vocabulary import DEFAULT_ACCOUNT, OrderState, TimeInForce

_ENDED_EARLY = (OrderState.CANCELLED.value, OrderState.REJECTED.value, OrderState.FAILED.value)


def _order_note(row: Row) -> str:
    notes = [name.replace("_", " ") for name in ("external", "reduce_only") if row[name]]
    notes += [] if row["time_in_force"] == TimeInForce.GTC.value else [row["time_in_force"]]
    notes += [f"{row['waiting']} in quarantine"] if row["waiting"] else []
    notes += [row["error_message"]] if row["error_message"] else []
    notes += [row["reason"]] if row["reason"] and row["state"] in _ENDED_EARLY else []
    return "; ".join([*notes, *row["violations"]])


def _fill_note(row: Row) -> str:
    return ", ".join(name for name in ("late", "forced", "busted", "corrected") if row[name])


def _used(row: Row) -> str:
    return "-" if row["used"] is None else f"{text((row['used'] * 100).quantize(Decimal('0.1')))}%"


def _text(
    title: str, key: str | None = None, usual: str | None = None, *, right: bool = False, drop: int = 0
) -> Column:
    """Return a column of text; empty where there is none."""
    name = key or title
    return Column(title, lambda row: "" if row[name] is None else str(row[name]), right, usual, drop=drop)


def _number(title: str, key: str | None = None, *, signed: bool = False, drop: int = 0) -> Column:
    """Return a column of exact numbers, or of any values; - where there is none."""
    return Column(title, lambda row: plainly(row[key or title]), right=True, signed=signed, drop=drop)


def _signed(title: str, key: str, drop: int = 0) -> Column:
    """Return a column of P&L."""
    return _number(title, key, signed=True, drop=drop)


def _below(title: str, cell: Callable[[Row], str]) -> Column:
    """Return a column of long texts, which a narrow terminal shows below their rows."""
    return Column(title, cell, usual="", below=True)


def _average(title: str, key: str, drop: int = 0) -> Column:
    """Return a column of derived numbers to ten digits (in JSON they have all of them); - where there is none."""
    return Column(title, lambda row: "-" if row[key] is None else text(short(row[key])), True, drop=drop, average=key)


def exact(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Return the columns with every digit of derived numbers."""
    return tuple(
        each if each.average is None else _number(each.title, each.average, drop=each.drop) for each in columns
    )


def _instant(title: str, key: str) -> Column:
    """Return a column of times, without the zeros at their end."""
    return Column(title, lambda row: shown_time(row[key]))


# --- columns of several tables ---

_ACCOUNT = _text("account", usual=DEFAULT_ACCOUNT, drop=1)
_SYMBOL, _SIDE, _METHOD, _EVENT = map(_text, ("symbol", "side", "method", "event"))
_DAY, _ORDER = _text("day", "trading_day"), _text("order", "order_id")
_TRADE, _TRADE_IF_ANY = _text("trade", "trade_id", drop=6), _text("trade", "trade_id", usual="", drop=6)
_WHEN, _EXECUTED = _instant("when", "occurred_at"), _instant("executed", "occurred_at")
_WHEN_TEXT = _text("when")
_CURRENCY, _CURRENCY_IF_OTHER = _text("in", "currency"), _text("in", "currency", usual="USD")
_SEQ, _QUANTITY, _PRICE, _COST = map(_number, ("seq", "quantity", "price", "cost"))
_FEE, _FEES, _FILLS = _number("fee", drop=5), _number("fees", drop=5), _number("fills", drop=7)
_COST_BASIS, _CHANGE = _number("cost basis", "cost_basis", drop=6), _number("change")
_REALIZED, _BEFORE_FEES = _signed("realized", "realized_pnl"), _signed("before fees", "gross_realized_pnl", drop=9)
_UNREALIZED, _TOTAL = _signed("unrealized", "unrealized_pnl"), _signed("total", "total_pnl")

# --- queries ---

AT = _instant("at", "at")

ORDERS = (
    *(_ORDER, _ACCOUNT, _SYMBOL, _SIDE, _text("type", "order_type", drop=7), _QUANTITY, _PRICE, _text("state")),
    *(_number("filled", "filled_quantity"), _number("open", "open_quantity", drop=3)),
    *(_average("avg price", "avg_fill_price", drop=4), _FEES, _below("note", _order_note)),
)
POSITIONS = (
    *(_ACCOUNT, _SYMBOL, _QUANTITY, _average("avg price", "avg_price"), _COST_BASIS),
    *(_REALIZED, _BEFORE_FEES, _FEES, _number("mark", "mark_price", drop=3)),
    *(Column("age", lambda row: age(row["mark_age_ns"]), right=True, drop=8), _UNREALIZED, _CURRENCY_IF_OTHER),
)
METHODS = (*POSITIONS[:2], _METHOD, *POSITIONS[2:])
FILLS = (
    *(_SEQ, _EXECUTED, _ACCOUNT, _ORDER, _SYMBOL, _SIDE, _QUANTITY, _PRICE, _FEE, _TRADE),
    _below("note", _fill_note),
)
QUARANTINE = (
    *(_text("id", "quarantine_id"), _ACCOUNT, _ORDER, _text("why"), _SYMBOL, _SIDE, _QUANTITY, _PRICE, _FEE, _TRADE),
    *(_EXECUTED, _below("note", lambda row: "a correction" if row["correction"] else "")),
)
HISTORY = (_SEQ, _WHEN, _EVENT, _text("what")._replace(below=True))
PNL = (
    *(_DAY, _ACCOUNT, _text("symbol", usual=""), _REALIZED, _BEFORE_FEES, _FEES, _UNREALIZED),
    *(_signed("change", "unrealized_change", drop=8), _TOTAL, _FILLS, _CURRENCY_IF_OTHER),
)
PNL_METHODS = (*PNL[:3], _METHOD, *PNL[3:])
DAILY = (
    *(_DAY, _text("account"), _CURRENCY, _REALIZED, _BEFORE_FEES, _FEES),
    *(_signed("unrealized change", "unrealized_change", drop=8), _TOTAL, _number("loss")),
    *(_number("limit", "max_daily_loss"), Column("used", _used, right=True)),
)
CHANGES = (
    *(_SEQ, _WHEN, _ACCOUNT, _text("event", usual="FillAdded"), _ORDER, _TRADE_IF_ANY, _SIDE),
    *(_number("fill", "fill_quantity"), _number("price", "fill_price"), _FEE, _number("change"), _QUANTITY),
    *(_COST_BASIS, _REALIZED, _signed("in all", "total_realized_pnl", drop=4)),
)
DIFFERENCES = (
    *(_text("day", "trading_day", usual=""), _ACCOUNT, _SYMBOL, _text("order", "order_id", usual=""), _text("figure")),
    *(_number("from"), _number("to"), _CHANGE),
)
LOTS = (
    *(_text("lot of fill", "seq", right=True), _WHEN_TEXT, _ORDER, _TRADE_IF_ANY, _QUANTITY),
    *(_average("price", "price"), _COST),
)
MATCHES = (
    *(_text("closed by fill", "closed_by_seq", right=True), _WHEN_TEXT, _text("order", "closed_by_order_id")),
    *(_text("trade", "closed_by_trade_id", usual=""), _text("opened by fill", "opened_by_seq", right=True)),
    *(_text("of order", "opened_by_order_id"), _QUANTITY, _COST, _number("proceeds"), _REALIZED),
)
PAID = (_text("fee of fill", "seq", right=True), _WHEN_TEXT, _ORDER, _TRADE_IF_ANY, _FEE)
CHECKS = (
    *(_text("check", "code"), Column("holds", lambda row: "yes" if row["holds"] else "NO")),
    Column("limits", lambda row: pairs(row["limits"]), drop=4),
    Column("looked at", lambda row: pairs(row["inputs"]), below=True),
    _text("why", "text", usual="")._replace(below=True),
)

# --- limits, imports ---

LIMITS = (_text("for", "account"), _text("limit", "key"), _text("value"))
TAG = _text("tag")
INSTRUMENTS = (_SYMBOL, _number("multiplier"), _CURRENCY)
IMPORTED = tuple(map(_number, ("facts", "events", "orders", "fills", "marks", "skipped", "quarantined", "refused")))
_REASON = _text("why", usual="")._replace(below=True)
LEFT_OUT = (_text("rows"), _number("applied"), _number("left out", "left_out"), _REASON)

# --- replay ---

CHECKED = (_text("decided again", "kind"), _number("count"))
STATES = (_text("figure"), _number("before"), _number("after"))
FLIPS = (_SEQ, _ACCOUNT, _ORDER, _text("asked"), _text("was"), _text("would be", "now"))
LOST = (
    *(_number("fill that could not be", "seq"), _ACCOUNT, _ORDER, _TRADE_IF_ANY, _SYMBOL, _SIDE),
    *(_number("quantity"), _number("price")),
)
WHAT_IF_PNL = (
    *(
        _DAY,
        _ACCOUNT,
        _SYMBOL,
        _number("realized", "realized_pnl"),
        _number("would be", "realized_pnl_what_if"),
        _CHANGE,
    ),
    *(_UNREALIZED, _number("would be", "unrealized_pnl_what_if"), _CURRENCY_IF_OTHER),
)
_REACHED = (_number("limit"), _number("would be", "most_what_if"), _number("limit", "limit_what_if"))
WHAT_IF_EXPOSURE = (_DAY, _ACCOUNT, _SYMBOL, _number("largest exposure", "most"), *_REACHED)
WHAT_IF_LOSS = (_DAY, _ACCOUNT, _CURRENCY, _number("worst daily loss", "most"), *_REACHED)
