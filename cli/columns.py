"""The columns of tables: their titles and cells. Their rows are those of JSON."""

from decimal import Decimal

from oms_es.cli.render import Column, Row, age, pairs, plainly, shown_time
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


def _text(title: str, key: str | None = None, usual: str | None = None, *, right: bool = False) -> Column:
    """Return a column of text; empty where there is none."""
    name = key or title
    return Column(title, lambda row: "" if row[name] is None else str(row[name]), right, usual)


def _number(title: str, key: str | None = None) -> Column:
    """Return a column of exact numbers, or of any values; - where there is none."""
    return Column(title, lambda row: plainly(row[key or title]), right=True)


def _average(title: str, key: str) -> Column:
    """Return a column of derived numbers to ten digits (in JSON they have all of them); - where there is none."""
    return Column(title, lambda row: "-" if row[key] is None else text(short(row[key])), right=True)


def _instant(title: str, key: str) -> Column:
    """Return a column of times, without the zeros at their end."""
    return Column(title, lambda row: shown_time(row[key]))


# --- columns of several tables ---

_ACCOUNT = _text("account", usual=DEFAULT_ACCOUNT)
_SYMBOL, _SIDE, _METHOD, _EVENT = map(_text, ("symbol", "side", "method", "event"))
_DAY, _ORDER = _text("day", "trading_day"), _text("order", "order_id")
_TRADE, _TRADE_IF_ANY = _text("trade", "trade_id"), _text("trade", "trade_id", usual="")
_WHEN, _EXECUTED = _instant("when", "occurred_at"), _instant("executed", "occurred_at")
_WHEN_TEXT = _text("when")
_CURRENCY, _CURRENCY_IF_OTHER = _text("in", "currency"), _text("in", "currency", usual="USD")
_SEQ, _QUANTITY, _PRICE, _FEE, _FEES, _COST = map(_number, ("seq", "quantity", "price", "fee", "fees", "cost"))
_COST_BASIS, _FILLS, _CHANGE = _number("cost basis", "cost_basis"), _number("fills"), _number("change")
_REALIZED, _BEFORE_FEES = _number("realized", "realized_pnl"), _number("before fees", "gross_realized_pnl")
_UNREALIZED, _TOTAL = _number("unrealized", "unrealized_pnl"), _number("total", "total_pnl")

# --- queries ---

AT = _instant("at", "at")

ORDERS = (
    *(_ORDER, _ACCOUNT, _SYMBOL, _SIDE, _text("type", "order_type"), _QUANTITY, _PRICE, _text("state")),
    *(_number("filled", "filled_quantity"), _number("open", "open_quantity")),
    *(_average("avg price", "avg_fill_price"), _FEES, Column("note", _order_note, usual="")),
)
POSITIONS = (
    *(_ACCOUNT, _SYMBOL, _QUANTITY, _average("avg price", "avg_price"), _COST_BASIS),
    *(_REALIZED, _BEFORE_FEES, _FEES, _number("mark", "mark_price")),
    *(Column("age", lambda row: age(row["mark_age_ns"]), right=True), _UNREALIZED, _CURRENCY_IF_OTHER),
)
METHODS = (*POSITIONS[:2], _METHOD, *POSITIONS[2:])
FILLS = (
    *(_SEQ, _EXECUTED, _ACCOUNT, _ORDER, _SYMBOL, _SIDE, _QUANTITY, _PRICE, _FEE, _TRADE),
    Column("note", _fill_note, usual=""),
)
QUARANTINE = (
    *(_text("id", "quarantine_id"), _ACCOUNT, _ORDER, _text("why"), _SYMBOL, _SIDE, _QUANTITY, _PRICE, _FEE, _TRADE),
    *(_EXECUTED, Column("note", lambda row: "a correction" if row["correction"] else "", usual="")),
)
HISTORY = (_SEQ, _WHEN, _EVENT, _text("what"))
PNL = (
    *(_DAY, _ACCOUNT, _text("symbol", usual=""), _REALIZED, _BEFORE_FEES, _FEES, _UNREALIZED),
    *(_number("change", "unrealized_change"), _TOTAL, _FILLS, _CURRENCY_IF_OTHER),
)
PNL_METHODS = (*PNL[:3], _METHOD, *PNL[3:])
DAILY = (
    *(_DAY, _text("account"), _CURRENCY, _REALIZED, _BEFORE_FEES, _FEES),
    *(_number("unrealized change", "unrealized_change"), _TOTAL, _number("loss"), _number("limit", "max_daily_loss")),
    Column("used", _used, right=True),
)
CHANGES = (
    *(_SEQ, _WHEN, _ACCOUNT, _text("event", usual="FillAdded"), _ORDER, _TRADE_IF_ANY, _SIDE),
    *(_number("fill", "fill_quantity"), _number("price", "fill_price"), _FEE, _number("change"), _QUANTITY),
    *(_COST_BASIS, _REALIZED, _number("in all", "total_realized_pnl")),
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
    *(Column("limits", lambda row: pairs(row["limits"])), Column("looked at", lambda row: pairs(row["inputs"]))),
    _text("why", "text", usual=""),
)

# --- limits, imports ---

LIMITS = (_text("for", "account"), _text("limit", "key"), _text("value"))
INSTRUMENTS = (_SYMBOL, _number("multiplier"), _CURRENCY)
IMPORTED = tuple(map(_number, ("facts", "events", "orders", "fills", "marks", "skipped", "quarantined", "refused")))
LEFT_OUT = (_text("rows"), _number("applied"), _number("left out", "left_out"), _text("why", usual=""))

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
