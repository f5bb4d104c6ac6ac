"""
Orders, fills, positions, P&L and raw events as files: JSON lines, CSV, or Parquet (extra `oms_es[parquet]`).

Money and quantities are text in canonical form (in Parquet strings too), so that nothing is rounded on the way.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import IO, Any

from msgspec import Struct

from oms_es.decimals import text
from oms_es.errors import LogError, OmsError
from oms_es.instants import iso
from oms_es.log.rows import Row
from oms_es.reading import Basis, Questions, fill_rows, order_rows

WHAT = ("orders", "fills", "positions", "pnl", "events")
FORMATS = ("jsonl", "csv", "parquet")


class ParquetMissing(OmsError, ImportError):
    """pyarrow is not installed."""


class Narrowed(Struct, frozen=True, kw_only=True):
    """What an export is narrowed to; None takes all."""

    day: str | None = None  # trading day
    symbol: str | None = None
    account: str | None = None
    order_id: str | None = None

    def takes(self, row: dict[str, Any]) -> bool:
        """Return whether a row belongs to the export; what a row does not say does not keep it out."""
        wanted = (
            ("trading_day", self.day), ("symbol", self.symbol), ("account", self.account), ("order_id", self.order_id)
        )  # fmt: skip
        return all(value is None or name not in row or row[name] == value for name, value in wanted)


def export_rows(
    what: str, questions: Questions, basis: Basis, stored: Callable[[], Iterable[Row]], narrowed: Narrowed
) -> Iterator[dict[str, Any]]:
    """
    Return the rows of an export, as plain values.

    Args:
        what: one of `WHAT`.
        questions: who is asked.
        basis: the moment.
        stored: gives the stored rows of the log, for raw events and for the days of fills.
        narrowed: which rows.
    """
    rows: Iterable[dict[str, Any]]
    if what == "orders":
        rows = order_rows(questions.orders(basis))
    elif what == "fills":
        days = {row.seq: row.trading_day for row in stored() if row.topic == "FillAdded"}
        rows = ({**row, "trading_day": days[row["seq"]]} for row in fill_rows(questions.orders(basis)))
    elif what == "positions":
        rows = (_timed(row) for row in questions.positions(basis).rows())
    elif what == "pnl":
        rows = questions.days(basis)
    else:
        rows = _events(row for row in stored() if row.seq <= basis.seq)
    return (_plain(row) for row in rows if narrowed.takes(row))


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: None if row[name] is None else iso(row[name]) for name in ("mark_at", "updated_at")}
    return {**row, **times}


def _events(stored: Iterable[Row]) -> Iterator[dict[str, Any]]:
    symbols: dict[str, str] = {}  # of orders: their submission says it, the events after it need not
    for row in stored:
        body: dict[str, Any] = {}
        with suppress(ValueError):
            body = json.loads(row.state)
        kind, _, rest = row.originator_id.partition("/")
        symbol = rest if kind == "market" else body.get("symbol") or symbols.get(row.originator_id)
        if kind == "order" and symbol:
            symbols[row.originator_id] = symbol
        yield {
            "seq": row.seq,
            "originator_id": row.originator_id,
            "originator_version": row.originator_version,
            "topic": row.topic,
            "account": row.account,
            "symbol": symbol,
            "order_id": rest.partition("/")[2] if kind == "order" else body.get("order_id"),
            "origin": row.origin,
            "occurred_at": iso(row.occurred_at),
            "effective_at": iso(row.effective_at),
            "recorded_at": iso(row.recorded_at),
            "trading_day": row.trading_day,
            "command_id": row.command_id,
            "state": row.state.decode("utf-8", "replace"),
            "chain": row.chain.hex(),
        }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, Enum):
        return value.value
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else value


def write(rows: Iterable[dict[str, Any]], form: str, target: Path | IO[str]) -> int:
    """
    Write rows in a form; return how many.

    Raises:
        ParquetMissing: the extra is not installed.
        LogError: the file cannot be written.
    """
    if form == "parquet":
        if not isinstance(target, Path):
            raise LogError("parquet is not text: name a file for it (-o FILE)")
        return _write_parquet(list(rows), target)
    try:
        if isinstance(target, Path):
            with target.open("w", encoding="utf-8", newline="") as file:
                return _write_text(rows, form, file)
        return _write_text(rows, form, target)
    except OSError as error:
        raise LogError(f"{target}: cannot be written: {error.strerror}") from None


def _write_text(rows: Iterable[dict[str, Any]], form: str, file: IO[str]) -> int:
    count, table = 0, None
    for row in rows:
        count += 1
        if form == "jsonl":
            file.write(json.dumps(row, ensure_ascii=True) + "\n")
            continue
        if table is None:
            table = csv.DictWriter(file, list(row), lineterminator="\n")
            table.writeheader()
        table.writerow({name: _safe(value) for name, value in row.items()})
    return count


def _safe(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula; numbers, negative ones too, stay as they are."""
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        Decimal(value)
    except ArithmeticError:
        return f"'{value}"
    return value


def _write_parquet(rows: list[dict[str, Any]], path: Path) -> int:
    try:
        import pyarrow  # noqa: PLC0415 - an extra: needed only here
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise ParquetMissing("parquet needs pyarrow: pip install 'oms_es[parquet]'") from None
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return len(rows)
