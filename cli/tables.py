"""What stands in which column: orders, positions, fills, quarantine, limits."""

from oms_es.cli.render import Column, Row, age, average, instant, number, words
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
