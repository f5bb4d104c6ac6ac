"""
The log as a persistence module of `eventsourcing`: `PERSISTENCE_MODULE=oms_es.log`, `SQLITE_DBNAME=day.db`.

An `Application` or `ProjectionRunner` of the library works on the same file as `SqliteLog`: notification ids are the
log's seqs, and `write` inserts every row into the hash chain. SQLite's errors are raised as the library's errors; an
invalid row is `DamagedLog`.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID

from eventsourcing.domain import TAggregateID
from eventsourcing.persistence import ApplicationRecorder, Mapper, Notification, StoredEvent, Subscription, Transcoder
from eventsourcing.sqlite import (
    SQLiteAggregateRecorder,
    SQLiteApplicationRecorder,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteFactory,
    SQLiteProcessRecorder,
    SQLiteRecorder,
    SQLiteTrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType

from oms_es.errors import DamagedLog
from oms_es.log import schema, schema_check
from oms_es.log.completeness import count_between
from oms_es.log.eventsourcing_adapter.datastore import LogDatastore
from oms_es.log.eventsourcing_adapter.mapper import LogMapper, OwnStoredEvent, RowNotification
from oms_es.log.eventsourcing_adapter.subscription import Bell, LogSubscription
from oms_es.log.hash_chain import Head, StoredRow, genesis
from oms_es.log.insert import Keys, NewRow, write
from oms_es.timestamps import trading_day
from oms_es.vocabulary import Origin

Condition: TypeAlias = tuple[str, tuple[Any, ...]]  # SQL, and the values for its question marks

# Left joins, so that a row without its names raises an error and is not skipped.
_SELECT = """
SELECT e.seq, p.name || s.name, e.originator_version, t.name, e.state, a.name, o.name, e.occurred_at,
       coalesce(e.effective_at, e.occurred_at), e.recorded_at, d.name, e.command_id, e.chain
FROM events e LEFT JOIN streams s ON s.id = e.originator_id LEFT JOIN names p ON p.id = s.prefix
LEFT JOIN names t ON t.id = e.topic LEFT JOIN names a ON a.id = e.account LEFT JOIN names o ON o.id = e.origin
LEFT JOIN names d ON d.id = e.trading_day
"""
_STREAM = "(SELECT s.id FROM streams s JOIN names n ON n.id = s.prefix WHERE n.name = ? AND s.name = ?)"
_LAST = "SELECT seq, chain, recorded_at FROM events ORDER BY seq DESC LIMIT 1"
_TYPES = {(int, str, int, str, bytes, str, str, int, int, int, str, kind, bytes) for kind in (NoneType, str, bytes)}


class LogRecorder(SQLiteRecorder):
    """The base of all recorders; the first one creates the log's tables."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        schema_check.declare(self.create_table_statements)  # also the tables of a subclass

    def _create_table(self, c: SQLiteCursor) -> None:
        if schema.is_empty(_connection(c)):
            schema.create(_connection(c))
        super()._create_table(c)


class LogAggregateRecorder(LogRecorder, SQLiteAggregateRecorder):
    """Snapshots, in a separate table: they are a cache and not part of the log."""


class LogTrackingRecorder(LogRecorder, SQLiteTrackingRecorder):
    """The position of a projection; a view subclasses this and writes its rows in the same transaction."""


class LogApplicationRecorder(LogRecorder, SQLiteApplicationRecorder):
    """Events, with any topic and any bytes: the mapper checks them."""

    clock: Callable[[], int] = staticmethod(time.time_ns)

    def __init__(self, datastore: SQLiteDatastore, events_table_name: str = "stored_events") -> None:
        super().__init__(datastore, events_table_name)
        self.select_max_notification_id_statement = "SELECT max(seq) FROM events"
        self.bell = Bell()

    def construct_create_table_statements(self) -> list[str]:
        """Return nothing: the tables are those of `schema`."""
        return []

    def create_table(self) -> None:
        """Create missing tables; on a log that has them this writes nothing and takes no lock."""
        with self.datastore.transaction(commit=False) as c:
            complete = schema.exists(_connection(c)) and not self.create_table_statements
        if not complete:
            super().create_table()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Write all events or none, durably; return their seqs."""
        seqs = super().insert_events(stored_events, **kwargs)
        self.bell.ring()
        return seqs

    def _insert_events(self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        if not stored_events:
            return []
        connection = _connection(c)
        meta = schema.read_meta(connection, self.datastore.pool.db_name)
        last = connection.execute(_LAST).fetchone()
        head = Head(*last) if last else Head(0, genesis(meta.log_id), 0)
        rows = self._rows(stored_events, head)
        write(connection, Keys(), rows, head, meta.secret)
        return list(range(head.seq + 1, head.seq + 1 + len(rows)))

    def _rows(self, stored_events: Sequence[StoredEvent], head: Head) -> list[NewRow]:
        now = max(self.clock(), head.recorded_at)
        return [
            (
                _text(stored.originator_id),
                stored.originator_version,
                stored.topic,
                stored.state,
                stored.account if isinstance(stored, OwnStoredEvent) else "",
                Origin.COMMAND.value,
                now,
                now,
                now,
                trading_day(now),
                None if number else "",
            )
            for number, stored in enumerate(stored_events)
        ]

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return the events of one stream, by version."""
        conditions: list[Condition] = [(f"e.originator_id = {_STREAM}", Keys.split(_text(originator_id)))]
        if gt is not None:
            conditions.append(("e.originator_version > ?", (gt,)))
        if lte is not None:
            conditions.append(("e.originator_version <= ?", (lte,)))
        found = self._select(conditions, f"e.originator_version {'DESC' if desc else 'ASC'}", limit)
        versions = sorted(each.originator_version for each in found)
        if versions and versions[-1] - versions[0] + 1 != len(versions):
            name = self.datastore.pool.db_name
            raise DamagedLog(f"{name}: a version of {str(originator_id)!a} from {versions[0]} on is missing")
        return found

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """
        Return at most `limit` events by seq, from `start` (or after it) to `stop`, filtered by `topics`.

        Raises:
            DamagedLog: a row in this range is missing or invalid; names its seq.
        """
        first = max(1, 1 if start is None else start if inclusive_of_start else start + 1)
        conditions: list[Condition] = [("e.seq >= ?", (first,))]
        if stop is not None:
            conditions.append(("e.seq <= ?", (stop,)))
        if topics:
            marks = ",".join("?" * len(topics))
            conditions.append((f"e.topic IN (SELECT id FROM names WHERE name IN ({marks}))", tuple(topics)))  # noqa: S608
        found = self._select(conditions, "e.seq", limit)
        self._refuse_gaps(first, stop, found[-1].id if found and len(found) == limit else None)
        return found

    def _select(self, conditions: Sequence[Condition], order: str, limit: int | None) -> list[RowNotification]:
        where = " AND ".join(condition for condition, _ in conditions)
        values = [value for _, values in conditions for value in values]
        with self.datastore.transaction(commit=False) as c:
            c.execute(f"{_SELECT} WHERE {where} ORDER BY {order} LIMIT ?", [*values, -1 if limit is None else limit])
            return [self._notification(columns) for columns in c.fetchall()]

    def _notification(self, columns: Iterable[Any]) -> RowNotification:
        row = StoredRow(*columns)
        if tuple(map(type, row)) not in _TYPES or len(row.chain) != 32:
            raise DamagedLog(f"{self.datastore.pool.db_name}: seq {row.seq}: a column is invalid")
        if row.command_id is not None:
            row = row._replace(command_id=Keys.command_text(row.command_id))
        return RowNotification(
            originator_id=self.convert_originator_id(row.originator_id),
            originator_version=row.originator_version,
            topic=row.topic,
            state=row.state,
            id=row.seq,
            row=row,
        )

    def _refuse_gaps(self, first: int, stop: int | None, last: int | None) -> None:
        """Count the rows from `first` to `last`; None: to the end, or to `stop`."""
        with self.datastore.transaction(commit=False) as c:
            connection = _connection(c)
            if last is None:
                (end,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
                last = end if stop is None else min(stop, end)
            if first <= last:
                count_between(connection, first - 1, last, Path(self.datastore.pool.db_name))

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Return the notifications after `gt`, past and new ones, filtered by `topics`."""
        return LogSubscription(self, self.bell, gt, topics)


class LogProcessRecorder(SQLiteProcessRecorder, LogApplicationRecorder):
    """Events and the position in their source, in one transaction."""


def _connection(c: SQLiteCursor) -> sqlite3.Connection:
    connection: sqlite3.Connection = c.sqlite_cursor.connection
    return connection


def _text(originator_id: UUID | str) -> str:
    return originator_id.hex if isinstance(originator_id, UUID) else originator_id


# --- the factory ---


class LogFactory(SQLiteFactory):
    """
    The factory of `PERSISTENCE_MODULE=oms_es.log`; the other settings are those of `eventsourcing.sqlite`.

    Stream ids are text unless ORIGINATOR_ID_TYPE is uuid. The mapper is `LogMapper` unless MAPPER_TOPIC names another;
    the library's own mapper imports whatever a stored topic names, so use it only for logs that you trust.

    Raises:
        OSError: SQLITE_DBNAME is missing or names no file, or a value is invalid.
    """

    aggregate_recorder_class = LogAggregateRecorder
    application_recorder_class = LogApplicationRecorder
    tracking_recorder_class = LogTrackingRecorder
    process_recorder_class = LogProcessRecorder

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        original = self.datastore
        name = original.pool.db_name
        if original.pool.is_sqlite_memory_mode or name.startswith("file:"):
            msg = f"{self.SQLITE_DBNAME} is {name!a}; a log is a file, named by its path"
            raise OSError(msg)
        as_uuid = self.env.get(self.ORIGINATOR_ID_TYPE, "text").lower() == "uuid"
        self.datastore = LogDatastore(
            name,
            lock_timeout=original.pool.lock_timeout,
            single_row_tracking=original.single_row_tracking,
            originator_id_type="uuid" if as_uuid else "text",
        )

    def mapper(
        self, transcoder: Transcoder | None = None, mapper_class: type[Mapper[TAggregateID]] | None = None
    ) -> Mapper[TAggregateID]:
        """Return a `LogMapper`, unless another mapper is named."""
        if mapper_class is None and not self.env.get(self.MAPPER_TOPIC):
            mapper_class = LogMapper  # type: ignore[assignment]
        return super().mapper(transcoder, mapper_class)
