"""
Orders, fills, positions, P&L and raw events as files: JSON lines, CSV, or Parquet (extra `oms_es[parquet]`).

Money and quantities are text in canonical form, in Parquet decimals (`oms_es.queries.arrow`): nothing is rounded.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import IO, Any

from msgspec import Struct
from msgspec.structs import replace

from oms_es.decimals import text
from oms_es.errors import LogError
from oms_es.files import replacing
from oms_es.identifiers import escaped
from oms_es.log.hash_chain import StoredRow
from oms_es.projections.rows import DAY, FILL, ORDER, POSITION, timed
from oms_es.projections.snapshots.fill_index import FILL_TOPICS
from oms_es.queries.arrow import write_parquet
from oms_es.queries.filters import Names
from oms_es.queries.queries import Basis, Queries, order_rows
from oms_es.timestamps import iso

WHAT = ("orders", "fills", "positions", "pnl", "events")
FORMATS = ("jsonl", "csv", "parquet")
# The columns of each export: the same whatever the rows contain, so that files of two days fit together.
COLUMNS: dict[str, tuple[str, ...]] = {
    "orders": ORDER.columns,
    "fills": (*FILL.columns, "trading_day"),
    "positions": POSITION.columns,
    "pnl": DAY.columns,
    "events": (
        *("seq", "originator_id", "originator_version", "topic", "account", "symbol", "order_id", "origin"),
        *("occurred_at", "effective_at", "recorded_at", "trading_day", "command_id", "state", "chain"),
    ),
}


class ExportFilter(Struct, frozen=True, kw_only=True):
    """The filter of an export; None accepts all."""

    day: str | None = None  # trading day
    symbol: Names = None
    account: Names = None
    order_id: str | None = None

    def takes(self, row: dict[str, Any]) -> bool:
        """Return whether a row belongs to the export; a column that the row does not have is not compared."""
        only = {"trading_day": self.day, "symbol": self.symbol, "account": self.account, "order_id": self.order_id}
        wanted = {name: (value,) if isinstance(value, str) else value for name, value in only.items() if name in row}
        return all(values is None or row[name] in values for name, values in wanted.items())

    def needs_rows(self, what: str) -> bool:
        """Return whether stored rows of the log are needed to apply the filter."""
        by_order = self.order_id is not None and what in ("positions", "pnl")
        return by_order or (self.day is not None and what in ("orders", "positions"))


class _Export(Struct, frozen=True):
    """Rows that are made again for each iteration, so that a large export need not be in memory."""

    rows: Callable[[], Iterator[dict[str, Any]]]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.rows()


def export_rows(
    what: str, queries: Queries, basis: Basis, stored: Callable[[], Iterable[StoredRow]], narrowed: ExportFilter
) -> Iterable[dict[str, Any]]:
    """
    Return the rows of an export, as plain values; each iteration reads them again.

    Args:
        what: one of `WHAT`.
        queries: the log to read.
        basis: the time, and the cost method.
        stored: returns the stored rows of the log, for raw events and for the days of fills.
        narrowed: the filter.
    """
    return _Export(lambda: _narrowed(what, queries, basis, stored, narrowed))


def _narrowed(
    what: str, queries: Queries, basis: Basis, stored: Callable[[], Iterable[StoredRow]], narrowed: ExportFilter
) -> Iterator[dict[str, Any]]:
    found = list(stored()) if what in ("orders", "fills", "positions", "pnl") and narrowed.needs_rows(what) else []
    if what == "positions" and narrowed.day is not None:  # the positions at the end of the day
        end = max((row.seq for row in found if row.trading_day == narrowed.day), default=0)
        basis = replace(basis, seq=min(basis.seq, end))
    rows = (row for row in _rows(what, queries, basis, stored) if narrowed.takes(row))
    accepts = _row_filter(what, found, narrowed)
    return ({name: _value(value) for name, value in row.items()} for row in rows if accepts(row))


def _rows(
    what: str, queries: Queries, basis: Basis, stored: Callable[[], Iterable[StoredRow]]
) -> Iterable[dict[str, Any]]:
    if what == "orders":
        return order_rows(queries.orders(basis))
    if what == "fills":
        days = {row.seq: row.trading_day for row in stored() if row.topic == "FillAdded"}
        return ({**row, "trading_day": days[row["seq"]]} for row in queries.fills(basis))
    if what == "positions":
        return map(timed, queries.positions(basis).rows())
    if what == "pnl":
        return queries.days(basis)
    as_of = basis.as_of
    return _events(row for row in stored() if row.seq <= basis.seq and (as_of is None or row.effective_at <= as_of))


def _row_filter(what: str, found: list[StoredRow], narrowed: ExportFilter) -> Callable[[dict[str, Any]], bool]:
    """Return a filter for rows without a column for the trading day, or for the order."""
    if what == "orders" and narrowed.day is not None:  # orders with an event on that day
        streams = {row.originator_id for row in found if row.trading_day == narrowed.day}
        return lambda row: f"order/{row['account']}/{row['order_id']}" in streams
    if what in ("positions", "pnl") and narrowed.order_id is not None:  # those that the fills of the order changed
        names = ("account", "symbol") if what == "positions" else ("account", "symbol", "trading_day")
        changed = {
            (row.account, json.loads(row.state)["symbol"], row.trading_day)[: len(names)]
            for row in found
            if row.topic in FILL_TOPICS and row.originator_id == f"order/{row.account}/{narrowed.order_id}"
        }
        return lambda row: tuple(row[name] for name in names) in changed
    return lambda _: True


def _events(stored: Iterable[StoredRow]) -> Iterator[dict[str, Any]]:
    symbols: dict[str, str] = {}  # of orders: only their submission must have it
    for row in stored:
        body: dict[str, Any] = {}
        with suppress(ValueError):
            body = json.loads(row.state)
        kind, _, rest = row.originator_id.partition("/")
        symbol = rest if kind == "market" else body.get("symbol") or symbols.get(row.originator_id)
        if kind == "order" and symbol:
            symbols[row.originator_id] = symbol
        order_id = rest.partition("/")[2] if kind == "order" else body.get("order_id")
        times = {name: iso(getattr(row, name)) for name in ("occurred_at", "effective_at", "recorded_at")}
        content = {"state": row.state.decode("utf-8", "replace"), "chain": row.chain.hex()}
        values = {**row._asdict(), **times, **content, "symbol": symbol, "order_id": order_id}
        yield {name: values[name] for name in COLUMNS["events"]}


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return "; ".join(f"{name}={_value(each)}" for name, each in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else value


def write(rows: Iterable[dict[str, Any]], what: str, form: str, target: Path | IO[str]) -> int:
    """
    Write rows in a form; return their number.

    Raises:
        ParquetMissing: the extra is not installed.
        LogError: the file cannot be written.
    """
    if form == "parquet":
        if not isinstance(target, Path):
            raise LogError("parquet is not text: name a file for it (-o FILE)")
        with replacing(target) as fresh:
            return write_parquet(rows, COLUMNS[what], fresh)
    if not isinstance(target, Path):
        return _write_text(rows, what, form, target)
    with replacing(target) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:
        return _write_text(rows, what, form, file)


def _write_text(rows: Iterable[dict[str, Any]], what: str, form: str, file: IO[str]) -> int:
    count = 0
    table = csv.DictWriter(file, COLUMNS[what], lineterminator="\n")
    if form == "csv":
        table.writeheader()
    for row in rows:
        count += 1
        if form == "jsonl":
            file.write(json.dumps(row, ensure_ascii=True) + "\n")
        else:
            table.writerow({name: _safe(value) for name, value in row.items()})
    return count


# The beginning of a formula, in full width too, at the start of a cell or of a part that a spreadsheet makes a cell:
# one that reads ; or | as the separator cuts there, inside quotes too.
_FORMULA = re.compile(r"(^|[;|])(\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)


def _safe(value: Any) -> Any:
    """
    Return a cell that no spreadsheet reads as a formula, and no terminal as a control or bidirectional character.

    Those characters are escaped as in JSON; a formula gets an apostrophe. Numbers are not changed.
    """
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return _FORMULA.sub(r"\1\2'", escaped(value))
