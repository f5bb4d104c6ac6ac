"""The columns of tables: their titles and cells. Their rows are those of JSON."""

from decimal import Decimal

from oms_es.cli.render import Column, Row, age, any_value, average, instant, number, pairs, words
from oms_es.decimals import text
from oms_es.vocabulary import DEFAULT_ACCOUNT, OrderState, TimeInForce

_ENDED_EARLY = (OrderState.CANCELLED.value, OrderState.REJECTED.value, OrderState.FAILED.value)
_ACCOUNT = Column("account", words("account"), usual=DEFAULT_ACCOUNT)


def _order_note(row: Row) -> str:
    notes = [name.replace("_", " ") for name in ("external", "reduce_only") if row[name]]
    notes += [] if row["time_in_force"] == TimeInForce.GTC.value else [row["time_in_force"]]
    notes += [f"{row['waiting']} in quarantine"] if row["waiting"] else []
    notes += [row["error_message"]] if row["error_message"] else []
    notes += [row["reason"]] if row["reason"] and row["state"] in _ENDED_EARLY else []
    return "; ".join([*notes, *row["violations"]])


ORDERS = (
    Column("order", words("order_id")),
    _ACCOUNT,
    Column("symbol", words("symbol")),
    Column("side", words("side")),
    Column("type", words("order_type")),
    Column("quantity", number("quantity"), right=True),
    Column("price", number("price"), right=True),
    Column("state", words("state")),
    Column("filled", number("filled_quantity"), right=True),
    Column("open", number("open_quantity"), right=True),
    Column("avg price", average("avg_fill_price"), right=True),
    Column("fees", number("fees"), right=True),
    Column("note", _order_note, usual=""),
)

POSITIONS = (
    _ACCOUNT,
    Column("symbol", words("symbol")),
    Column("quantity", number("quantity"), right=True),
    Column("avg price", average("avg_price"), right=True),
    Column("cost basis", number("cost_basis"), right=True),
    Column("realized", number("realized_pnl"), right=True),
    Column("before fees", number("gross_realized_pnl"), right=True),
    Column("fees", number("fees"), right=True),
    Column("mark", number("mark_price"), right=True),
    Column("age", lambda row: age(row["mark_age_ns"]), right=True),
    Column("unrealized", number("unrealized_pnl"), right=True),
    Column("in", words("currency"), usual="USD"),
)


METHODS = (*POSITIONS[:2], Column("method", words("method")), *POSITIONS[2:])


def _fill_note(row: Row) -> str:
    return ", ".join(name for name in ("late", "forced", "busted", "corrected") if row[name])


FILLS = (
    Column("seq", number("seq"), right=True),
    Column("executed", instant("occurred_at")),
    _ACCOUNT,
    Column("order", words("order_id")),
    Column("symbol", words("symbol")),
    Column("side", words("side")),
    Column("quantity", number("quantity"), right=True),
    Column("price", number("price"), right=True),
    Column("fee", number("fee"), right=True),
    Column("trade", words("trade_id")),
    Column("note", _fill_note, usual=""),
)

QUARANTINE = (
    Column("id", words("quarantine_id")),
    _ACCOUNT,
    Column("order", words("order_id")),
    Column("why", words("why")),
    Column("symbol", words("symbol")),
    Column("side", words("side")),
    Column("quantity", number("quantity"), right=True),
    Column("price", number("price"), right=True),
    Column("fee", number("fee"), right=True),
    Column("trade", words("trade_id")),
    Column("executed", instant("occurred_at")),
    Column("note", lambda row: "a correction" if row["correction"] else "", usual=""),
)

HISTORY = (
    Column("seq", number("seq"), right=True),
    Column("when", instant("occurred_at")),
    Column("event", words("event")),
    Column("what", words("what")),
)

LIMITS = (
    Column("for", words("account")),
    Column("limit", words("key")),
    Column("value", words("value")),
)

INSTRUMENTS = (
    Column("symbol", words("symbol")),
    Column("multiplier", number("multiplier"), right=True),
    Column("in", words("currency")),
)

IMPORTED = tuple(
    Column(name, number(name), right=True)
    for name in ("facts", "events", "orders", "fills", "marks", "skipped", "quarantined", "refused")
)

LEFT_OUT = (
    Column("rows", words("rows")),
    Column("applied", number("applied"), right=True),
    Column("left out", number("left_out"), right=True),
    Column("why", words("why"), usual=""),
)

# --- P&L, history, differences ---


def _used(row: Row) -> str:
    return "-" if row["used"] is None else f"{text((row['used'] * 100).quantize(Decimal('0.1')))}%"


PNL = (
    Column("day", words("trading_day")),
    Column("account", words("account"), usual=DEFAULT_ACCOUNT),
    Column("symbol", words("symbol"), usual=""),
    Column("realized", number("realized_pnl"), right=True),
    Column("before fees", number("gross_realized_pnl"), right=True),
    Column("fees", number("fees"), right=True),
    Column("unrealized", number("unrealized_pnl"), right=True),
    Column("change", number("unrealized_change"), right=True),
    Column("total", number("total_pnl"), right=True),
    Column("fills", number("fills"), right=True),
    Column("in", words("currency"), usual="USD"),
)

PNL_METHODS = (*PNL[:3], Column("method", words("method")), *PNL[3:])

DAILY = (
    Column("day", words("trading_day")),
    Column("account", words("account")),
    Column("in", words("currency")),
    Column("realized", number("realized_pnl"), right=True),
    Column("before fees", number("gross_realized_pnl"), right=True),
    Column("fees", number("fees"), right=True),
    Column("unrealized change", number("unrealized_change"), right=True),
    Column("total", number("total_pnl"), right=True),
    Column("loss", number("loss"), right=True),
    Column("limit", number("max_daily_loss"), right=True),
    Column("used", _used, right=True),
)

CHANGES = (
    Column("seq", number("seq"), right=True),
    Column("when", instant("occurred_at")),
    _ACCOUNT,
    Column("event", words("event"), usual="FillAdded"),
    Column("order", words("order_id")),
    Column("trade", words("trade_id"), usual=""),
    Column("side", words("side")),
    Column("fill", number("fill_quantity"), right=True),
    Column("price", number("fill_price"), right=True),
    Column("fee", number("fee"), right=True),
    Column("change", number("change"), right=True),
    Column("quantity", number("quantity"), right=True),
    Column("cost basis", number("cost_basis"), right=True),
    Column("realized", number("realized_pnl"), right=True),
    Column("in all", number("total_realized_pnl"), right=True),
)


DIFFERENCES = (
    Column("day", words("trading_day"), usual=""),
    _ACCOUNT,
    Column("symbol", words("symbol")),
    Column("order", words("order_id"), usual=""),
    Column("figure", words("figure")),
    Column("from", any_value("from"), right=True),
    Column("to", any_value("to"), right=True),
    Column("change", any_value("change"), right=True),
)

LOTS = (
    Column("lot of fill", words("seq"), right=True),
    Column("when", words("when")),
    Column("order", words("order_id")),
    Column("trade", words("trade_id"), usual=""),
    Column("quantity", number("quantity"), right=True),
    Column("price", average("price"), right=True),
    Column("cost", number("cost"), right=True),
)

MATCHES = (
    Column("closed by fill", words("closed_by_seq"), right=True),
    Column("when", words("when")),
    Column("order", words("closed_by_order_id")),
    Column("trade", words("closed_by_trade_id"), usual=""),
    Column("opened by fill", words("opened_by_seq"), right=True),
    Column("of order", words("opened_by_order_id")),
    Column("quantity", number("quantity"), right=True),
    Column("cost", number("cost"), right=True),
    Column("proceeds", number("proceeds"), right=True),
    Column("realized", number("realized_pnl"), right=True),
)

PAID = (
    Column("fee of fill", words("seq"), right=True),
    Column("when", words("when")),
    Column("order", words("order_id")),
    Column("trade", words("trade_id"), usual=""),
    Column("fee", number("fee"), right=True),
)

CHECKS = (
    Column("check", words("code")),
    Column("holds", lambda row: "yes" if row["holds"] else "NO"),
    Column("limits", lambda row: pairs(row["limits"])),
    Column("looked at", lambda row: pairs(row["inputs"])),
    Column("why", words("text"), usual=""),
)

CHECKED = (
    Column("decided again", words("kind")),
    Column("count", number("count"), right=True),
)

STATES = (
    Column("figure", words("figure")),
    Column("before", any_value("before"), right=True),
    Column("after", any_value("after"), right=True),
)

# --- what if ---

FLIPS = (
    Column("seq", number("seq"), right=True),
    _ACCOUNT,
    Column("order", words("order_id")),
    Column("asked", words("asked")),
    Column("was", words("was")),
    Column("would be", words("now")),
)

LOST = (
    Column("fill that could not be", number("seq"), right=True),
    _ACCOUNT,
    Column("order", words("order_id")),
    Column("trade", words("trade_id"), usual=""),
    Column("symbol", words("symbol")),
    Column("side", words("side")),
    Column("quantity", words("quantity"), right=True),
    Column("price", words("price"), right=True),
)

WHAT_IF_PNL = (
    Column("day", words("trading_day")),
    _ACCOUNT,
    Column("symbol", words("symbol")),
    Column("realized", any_value("realized_pnl"), right=True),
    Column("would be", any_value("realized_pnl_what_if"), right=True),
    Column("change", any_value("change"), right=True),
    Column("unrealized", any_value("unrealized_pnl"), right=True),
    Column("would be", any_value("unrealized_pnl_what_if"), right=True),
    Column("in", words("currency"), usual="USD"),
)

_REACHED = (
    Column("limit", any_value("limit"), right=True),
    Column("would be", any_value("most_what_if"), right=True),
    Column("limit", any_value("limit_what_if"), right=True),
)

WHAT_IF_EXPOSURE = (
    Column("day", words("trading_day")),
    _ACCOUNT,
    Column("symbol", words("symbol")),
    Column("largest exposure", any_value("most"), right=True),
    *_REACHED,
)

WHAT_IF_LOSS = (
    Column("day", words("trading_day")),
    _ACCOUNT,
    Column("in", words("currency")),
    Column("worst daily loss", any_value("most"), right=True),
    *_REACHED,
)
