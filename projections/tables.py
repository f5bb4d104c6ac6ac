"""
A database of plain tables beside the log: orders, fills, positions, daily P&L, quarantine; for SQL and for Datasette.

Each run reads the new events, and writes the changed rows and the seq of the last event in one transaction: if it is
killed at any point, the next run continues from that seq, and nothing is counted twice. Rows come from the same fold as
every other answer. Money and quantities are TEXT, so that nothing is rounded.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import sqlite_utils

from oms_es.decimals import text
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillQuarantined, QuarantineResolved
from oms_es.domain.order import Order
from oms_es.domain.order_fills import QuarantinedFill
from oms_es.errors import LogError, LogMissing
from oms_es.files import replace
from oms_es.log.contract import WrapEvents, unwrapped
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.orders import Orders
from oms_es.projections.policies import policies_of_every_account
from oms_es.projections.position_state import Key, PositionKey
from oms_es.projections.positions import Positions
from oms_es.projections.projection import canonical_json
from oms_es.projections.rows import (
    DAY,
    FILL,
    ORDER,
    POSITION,
    QUARANTINE,
    OrderFill,
    ReadModel,
    kind,
    quarantine_row,
    timed,
)
from oms_es.timestamps import iso
from oms_es.vocabulary import CostMethod

VERSION = f"2.{Orders.version}.{Positions.version}"
_PLACE: dict[str, type] = {"id": int, "version": str, "method": str, "log_id": str, "seq": int, "chain": str}
CHUNK = 5000  # events in one transaction
_TOPICS = Orders.topics() | Positions.topics()


def _columns(model: ReadModel[Any], first: str, last: str = "", without: str = "") -> dict[str, type]:
    """Return the columns of a table: those of a read model, and further ones before and after them."""
    names = (*first.split(), *(name for name in model.columns if name not in without.split()), *last.split())
    return {name: int if kind(name) in ("flag", "count") else str for name in names}


_ORDER = _columns(ORDER, "key account", "submitted_at updated_at seq", without="fills waiting")
_FILL = _columns(
    FILL,
    "seq order_key account symbol side quantity price fee multiplier currency trade_id",
    without="order_id notional",
)
_POSITION = _columns(POSITION, "key")
_DAY = _columns(DAY, "key trading_day account symbol position_key")
_QUARANTINE = _columns(
    QUARANTINE, "", "state resolved_at resolved_by reason seq", without="order_known correction age_ns seq"
)


def update_tables(log: SqliteLog, path: Path, wrap: WrapEvents = unwrapped) -> int:
    """
    Update the tables at `path` to the end of the log; return how many events were applied.

    Tables of an earlier version, or of another log, are rebuilt.

    Raises:
        LogMissing: the log is not there, or empty.
        LogError: the file is no database of tables, or cannot be written.
    """
    if log.head().seq == 0:
        raise LogMissing(f"{log.path} holds no events yet")
    try:
        if not path.exists() or not _go_on(log, path):
            return rebuild_tables(log, path, wrap)
        with closing(sqlite_utils.Database(path)) as tables:
            return _Tables(log, tables).take(wrap)
    except sqlite3.Error as error:
        raise LogError(f"{path}: {error}") from error


def rebuild_tables(log: SqliteLog, path: Path, wrap: WrapEvents = unwrapped) -> int:
    """Build new tables, which replace the old ones when they are complete; return the number of events applied."""
    if log.head().seq == 0:
        raise LogMissing(f"{log.path} holds no events yet")
    if path.exists():
        _refuse_foreign(path)
    _remove_abandoned(path)
    fresh = path.with_name(f"{path.name}.new-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with closing(sqlite_utils.Database(fresh)) as tables:
            taken = _Tables(log, tables).take(wrap)
        _swap_in(fresh, path)
    except sqlite3.Error as error:
        raise LogError(f"{fresh}: {error}") from error
    finally:
        _remove(fresh)
    return taken


def _swap_in(fresh: Path, path: Path) -> None:
    """Put the fresh tables in the place of the old: in one transaction, so that readers stay right."""
    if not path.exists():
        replace(fresh, path)
        return
    with closing(sqlite3.connect(fresh)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)


def _remove_abandoned(path: Path) -> None:
    """Delete what a rebuild that was killed has left behind; what another process is making stays."""
    for left in path.parent.glob(f"{path.name}.new-*"):
        pid = left.name.removeprefix(f"{path.name}.new-").partition("-")[0]
        if pid.isdigit() and not _runs(int(pid)):
            left.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


def _remove(path: Path) -> None:
    for name in (path.name, path.name + "-journal", path.name + "-wal", path.name + "-shm"):
        path.with_name(name).unlink(missing_ok=True)


def _refuse_foreign(path: Path) -> None:
    try:
        with closing(sqlite_utils.Database(path)) as tables:
            names = tables.table_names()
            ours = "log_position" in names and set(tables["log_position"].columns_dict) >= set(_PLACE)
    except sqlite3.Error as error:
        raise LogError(f"{path} is no database of tables: {error}; it is left as it is") from error
    if names and not ours:
        raise LogError(f"{path} is a database, but not one of tables made by oms; it is left as it is")


def _go_on(log: SqliteLog, path: Path) -> bool:
    """Return whether the tables are ours, of this version and of this log."""
    _refuse_foreign(path)
    with closing(sqlite_utils.Database(path)) as tables:
        if "log_position" not in tables.table_names():
            return False
        found = tables.execute("SELECT version, method, log_id, seq, chain FROM log_position").fetchone()
    if found is None:
        return False
    version, method, log_id, seq, chain = found
    meta = log.meta()
    assert meta is not None, "the log is not empty"
    return bool(
        version == VERSION and method == _method(log).value and log_id == meta.log_id and log.chain_at(seq) == chain
    )


class _Changed(NamedTuple):
    """The orders, positions and days that a chunk of events has changed."""

    orders: list[Key]
    positions: list[PositionKey]
    days: set[PositionKey]


class _Tables:
    def __init__(self, log: SqliteLog, tables: sqlite_utils.Database) -> None:
        self._log, self._tables = log, tables
        self._orders, self._positions = Orders(), Positions(_method(log))
        self._seq: int
        if "log_position" not in tables.table_names():
            with tables.atomic():
                _create(tables)
                self._note(0)
        ((self._seq,),) = tables.execute("SELECT seq FROM log_position")

    def take(self, wrap: WrapEvents) -> int:
        """Fold the events that are in the tables, then the new ones, and write what changes; return their number."""
        if self._seq == self._log.head().seq:
            return 0
        self._apply(self._log.read(until=self._seq, topics=_TOPICS))
        self._commit()
        begun, last = self._seq, self._log.head().seq
        events = iter(wrap(self._log.read(self._seq, last, _TOPICS), last))
        while self._seq < last:
            chunk = list(islice(events, CHUNK))
            end = chunk[-1].seq if len(chunk) == CHUNK else last
            self._apply(chunk)
            changed = self._changed()
            self._commit()
            with self._alone() as ours:
                if not ours:  # another run has continued from here, and the next run continues from there
                    return self._seq - begun
                self._write(chunk, changed)
                self._note(end)
            self._seq = end
        return last - begun

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Begin a transaction without other writers; yield whether no other run has written since ours."""
        connection = self._tables.conn
        assert connection is not None, "the database is open"
        connection.execute("BEGIN IMMEDIATE")
        try:
            ((seq,),) = connection.execute("SELECT seq FROM log_position").fetchall()
            yield seq == self._seq
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _apply(self, events: Iterable[Recorded]) -> None:
        for recorded in events:
            self._orders.apply(recorded)
            self._positions.apply(recorded)

    def _commit(self) -> None:
        self._orders.commit()
        self._positions.commit()

    def _note(self, seq: int) -> None:
        meta = self._log.meta()
        assert meta is not None, "the log is not empty"
        values = (1, VERSION, self._positions.method.value, meta.log_id, seq, self._log.chain_at(seq))
        self._tables["log_position"].upsert(dict(zip(_PLACE, values, strict=True)), pk="id")  # type: ignore[union-attr]

    def _changed(self) -> _Changed:
        positions = self._positions
        held = ((name, symbol) for symbol in positions.marks.changed() for name in positions.holders.get(symbol) or ())
        marked = {book for key in held for book in positions.books.get(key) or ()}
        days = {(account, symbol, currency) for _, account, symbol, currency in positions.days.changed()}
        return _Changed(sorted(self._orders.orders.changed()), sorted({*positions.held.changed(), *marked}), days)

    def _write(self, chunk: list[Recorded], changed: _Changed) -> None:
        orders = [order for key in changed.orders if (order := self._orders.orders.get(key))]
        merged = [order for order in orders if order.merged_into]
        orders = [order for order in orders if not order.merged_into]
        self._upsert("orders", "key", (_order_row(order) for order in orders))
        self._upsert("fills", "seq", (fill for order in orders for fill in _fill_rows(order)))
        for order in merged:  # its fills are those of the other order by now
            self._tables["orders"].delete_where("key = ?", [f"{order.account}/{order.order_id}"])  # type: ignore[union-attr]
        held = [self._positions.held.get(key) for key in changed.positions]
        rows = ({"key": "/".join(each.book), **timed(self._positions.row(each))} for each in held if each is not None)
        self._upsert("positions", "key", rows)
        days = ((day, (day["account"], day["symbol"], day["currency"])) for day in self._positions.day_rows())
        self._upsert("daily_pnl", "key", (_day_row(day, key) for day, key in days if key in changed.days))
        self._upsert("quarantine", "quarantine_id", map(_waiting_row, _of(chunk, FillQuarantined)))
        self._upsert("quarantine", "quarantine_id", map(_resolved_row, _of(chunk, QuarantineResolved)))

    def _upsert(self, table: str, pk: str, rows: Iterable[dict[str, Any]]) -> None:
        self._tables[table].upsert_all([_plain(each) for each in rows], pk=pk)  # type: ignore[union-attr]


def _create(tables: sqlite_utils.Database) -> None:
    tables.create_table("log_position", _PLACE, pk="id")
    orders = tables.create_table("orders", _ORDER, pk="key", not_null=("account", "order_id", "symbol", "state"))
    fills = tables.create_table("fills", _FILL, pk="seq", foreign_keys=[("order_key", "orders", "key")])
    tables.create_table("positions", _POSITION, pk="key")
    days = tables.create_table("daily_pnl", _DAY, pk="key", foreign_keys=[("position_key", "positions", "key")])
    waiting = tables.create_table("quarantine", _QUARANTINE, pk="quarantine_id")
    for table, columns in (
        (orders, ("symbol", "account")), (orders, ("state",)), (orders, ("submitted_at",)),
        (fills, ("order_key",)), (fills, ("symbol", "account")), (fills, ("occurred_at",)), (fills, ("trade_id",)),
        (days, ("position_key",)), (days, ("trading_day", "account")), (waiting, ("state",)),
    ):  # fmt: skip
        table.create_index(columns)


def _method(log: SqliteLog) -> CostMethod:
    return policies_of_every_account(log).policy("*").method


def _of(chunk: list[Recorded], kind: type) -> list[Recorded]:
    return [recorded for recorded in chunk if isinstance(recorded.event, kind)]


def _order_row(order: Order) -> dict[str, Any]:
    row = {name: value for name, value in ORDER.row(order).items() if name in _ORDER}
    return {
        "key": f"{order.account}/{order.order_id}",
        **row,
        "violations": "; ".join(order.violations) or None,
        "submitted_at": iso(order.submitted_at),
        "updated_at": iso(order.updated_at),
        "seq": order.last_seq,
    }


def _fill_rows(order: Order) -> Iterable[dict[str, Any]]:
    for fill in order.fills:
        row = {name: value for name, value in FILL.row(OrderFill(order, fill)).items() if name in _FILL}
        yield {**row, "order_key": f"{order.account}/{order.order_id}", "multiplier": fill.multiplier}


def _day_row(day: dict[str, Any], position: PositionKey) -> dict[str, Any]:
    return {"key": "/".join((day["trading_day"], *position)), "position_key": "/".join(position), **day}


def _waiting_row(recorded: Recorded) -> dict[str, Any]:
    fill = recorded.event
    assert isinstance(fill, FillQuarantined), "chosen by kind"
    quarantined = QuarantinedFill(
        fill=fill, occurred_at=recorded.occurred_at, recorded_at=recorded.recorded_at, seq=recorded.seq
    )
    row = quarantine_row(quarantined, recorded.recorded_at)
    return {**{name: value for name, value in row.items() if name in _QUARANTINE}, "state": "waiting"}


def _resolved_row(recorded: Recorded) -> dict[str, Any]:
    event = recorded.event
    assert isinstance(event, QuarantineResolved), "chosen by kind"
    return {
        "quarantine_id": event.quarantine_id,
        "state": "accepted" if event.accepted else "rejected",
        "resolved_at": iso(recorded.recorded_at),
        "resolved_by": event.actor or None,
        "reason": event.reason or None,
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _cell(value) for name, value in values.items()}


def _cell(value: Any) -> Any:
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, dict):
        return canonical_json(value).decode()
    return int(value) if isinstance(value, bool) else value
