"""Compare the schema of a file with ours: a foreign trigger could drop events."""

import logging
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from functools import lru_cache
from typing import TypeAlias

from oms_es.errors import ForeignSchema
from oms_es.identifiers import escaped
from oms_es.log import schema

DECLARED = "OMS_LOG_TABLES"  # environment: names of additional tables, of the user's own projections
Object: TypeAlias = tuple[str, str]  # type, name
_MOST = 5  # differences named in a message
_log = logging.getLogger("oms_es")
_declared: set[str] = set()

# The tables that the recorders of `eventsourcing` create beside ours; {} is the table's name.
_TRACKING = "CREATE TABLE tracking (application_name TEXT, notification_id INTEGER, PRIMARY KEY {}) WITHOUT ROWID"
_LIBRARY = {_TRACKING.format("(application_name)"), _TRACKING.format("(application_name, notification_id)")}
_STORED = (
    "CREATE TABLE {} (originator_id TEXT, originator_version INTEGER, topic TEXT, state BLOB, "
    "PRIMARY KEY (originator_id, originator_version)) WITHOUT ROWID"
)


class SchemaCheck:
    """The check of one file, repeated only after SQLite reports a change of the schema."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._checked: int | None = None  # the schema cookie of the last successful check

    def is_current(self, connection: sqlite3.Connection) -> bool:
        """Return whether the schema is unchanged since the last successful check."""
        return self._checked is not None and _cookie(connection) == self._checked

    def refuse(self, connection: sqlite3.Connection) -> None:
        """
        Refuse to write into a file whose schema is not ours; call it inside the transaction.

        Raises:
            ForeignSchema: names each missing, changed or foreign object.
        """
        cookie = _cookie(connection)
        if cookie == self._checked:
            return
        found = differences(connection)
        if found:
            raise ForeignSchema(f"{self._path} cannot be written: {_named(found)}{_advice(found)}")
        self._checked = cookie


def warn(connection: sqlite3.Connection, path: str) -> None:
    """Log a warning if the schema of a file is not ours; it can still be read."""
    found = differences(connection)
    if found:
        _log.warning("%s is read, but cannot be written: %s", path, _named(found))


def differences(connection: sqlite3.Connection) -> list[str]:
    """Describe each missing, changed or foreign object; [] when the schema is ours."""
    stored, ours = _objects(connection), _expected()
    found = [f"{kind} {name} is missing" for kind, name in ours.keys() - stored.keys()]
    for (kind, name), sql in stored.items():
        if (kind, name) in ours:
            if sql != ours[kind, name]:
                found.append(f"{kind} {name} was changed")
        elif not _is_known(connection, kind, name, sql):
            found.append(f"{kind} {escaped(name)} is foreign")
    return sorted(found)


def declare(statements: Iterable[str]) -> None:
    """Accept the tables of these CREATE statements, which a recorder of this process uses in the log's file."""
    with closing(sqlite3.connect(":memory:")) as made:
        for statement in statements:
            with suppress(sqlite3.Error):  # a statement that depends on other tables is not accepted
                made.execute(statement)
        _declared.update(name for kind, name in _objects(made) if kind == "table")


def _is_known(connection: sqlite3.Connection, kind: str, name: str, sql: str) -> bool:
    """Return whether the object is a table of the library, or a table or index of a declared projection."""
    ours = {table for known, table in _expected() if known == "table"}
    query = "SELECT tbl_name FROM sqlite_master WHERE type = ? AND name = ?"
    (table,) = connection.execute(query, (kind, name)).fetchone() or ("",)
    if kind == "table" and (sql in _LIBRARY or (name.startswith("stored_") and sql == _STORED.format(name))):
        return True
    declared = _declared | {each.strip() for each in os.environ.get(DECLARED, "").split(",")}
    return kind in {"table", "index"} and table in declared and table not in ours


def _objects(connection: sqlite3.Connection) -> dict[Object, str]:
    """Return the SQL of each object in the schema, without SQLite's own (indexes of keys, statistics)."""
    columns = ", ".join(f"CAST({name} AS BLOB)" for name in ("type", "name", "coalesce(sql, '')"))  # it may be damaged
    query = f"SELECT {columns} FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"  # noqa: S608
    rows = ([column.decode(errors="replace") for column in row] for row in connection.execute(query))
    return {(kind, name): " ".join(sql.split()) for kind, name, sql in rows}


@lru_cache(maxsize=1)
def _expected() -> dict[Object, str]:
    with closing(sqlite3.connect(":memory:")) as made:
        schema.create(made)
        return _objects(made)


def _cookie(connection: sqlite3.Connection) -> int:
    (cookie,) = connection.execute("PRAGMA schema_version").fetchone()
    return int(cookie)


def _named(found: list[str]) -> str:
    more = f", and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return ", ".join(found[:_MOST]) + more


def _advice(found: list[str]) -> str:
    tables = any(each.startswith("table ") and each.endswith("is foreign") for each in found)
    return f" (a table of your own projection is accepted when {DECLARED} names it)" if tables else ""
