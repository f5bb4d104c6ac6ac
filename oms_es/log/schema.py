"""The tables of a log file, and checks that a file is a log."""

import secrets
import sqlite3
import uuid
from typing import NamedTuple

from oms_es.errors import DamagedLog, NewerLog, NotALog
from oms_es.log.hash_chain import FORMAT

# Names (topics, accounts, origins, days, prefixes of stream names) are stored once in `names`, stream names once in
# `streams`; `events` contains their keys. The view `journal` shows the names.
TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE names(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE streams(
  id INTEGER PRIMARY KEY,
  prefix INTEGER NOT NULL REFERENCES names(id),
  name TEXT NOT NULL,
  UNIQUE(name, prefix)
);
CREATE TABLE events(
  seq INTEGER PRIMARY KEY,
  originator_id INTEGER NOT NULL REFERENCES streams(id),
  originator_version INTEGER NOT NULL,
  topic INTEGER NOT NULL REFERENCES names(id),
  state BLOB NOT NULL,
  account INTEGER NOT NULL REFERENCES names(id),
  origin INTEGER NOT NULL REFERENCES names(id),
  occurred_at INTEGER NOT NULL,
  effective_at INTEGER,
  recorded_at INTEGER NOT NULL,
  trading_day INTEGER NOT NULL REFERENCES names(id),
  command_id,
  chain BLOB NOT NULL,
  UNIQUE(originator_id, originator_version)
);
CREATE UNIQUE INDEX events_command ON events(command_id) WHERE command_id > '';
CREATE VIEW journal AS
SELECT e.seq, p.name || s.name AS originator_id, e.originator_version, t.name AS topic,
       CAST(e.state AS TEXT) AS state, a.name AS account, o.name AS origin, e.occurred_at,
       coalesce(e.effective_at, e.occurred_at) AS effective_at, e.recorded_at, d.name AS trading_day,
       CASE typeof(e.command_id) WHEN 'blob' THEN 'fact:' || lower(hex(e.command_id)) ELSE e.command_id END
         AS command_id,
       lower(hex(e.chain)) AS chain
FROM events e JOIN streams s ON s.id = e.originator_id JOIN names p ON p.id = s.prefix
JOIN names t ON t.id = e.topic JOIN names a ON a.id = e.account JOIN names o ON o.id = e.origin
JOIN names d ON d.id = e.trading_day;
CREATE TRIGGER events_follow BEFORE INSERT ON events
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM events)
  OR EXISTS (SELECT 1 FROM events WHERE originator_id = NEW.originator_id
             AND originator_version = NEW.originator_version)
  OR EXISTS (SELECT 1 FROM events WHERE command_id = NEW.command_id AND command_id > '')
BEGIN SELECT RAISE(ABORT, 'the log is append-only: seq follows the last, a version and a command come once'); END;
CREATE TRIGGER names_once BEFORE INSERT ON names
WHEN EXISTS (SELECT 1 FROM names WHERE id = NEW.id OR name = NEW.name)
BEGIN SELECT RAISE(ABORT, 'the log is append-only: a name comes once'); END;
CREATE TRIGGER streams_once BEFORE INSERT ON streams
WHEN EXISTS (SELECT 1 FROM streams WHERE id = NEW.id OR (name = NEW.name AND prefix = NEW.prefix))
BEGIN SELECT RAISE(ABORT, 'the log is append-only: a stream comes once'); END;
CREATE TRIGGER meta_once BEFORE INSERT ON meta
WHEN EXISTS (SELECT 1 FROM meta WHERE key = NEW.key)
BEGIN SELECT RAISE(ABORT, 'the log is append-only: what identifies it comes once'); END;
"""
APPEND_ONLY = "".join(
    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'the log is append-only: no {verb} of {table}'); END;\n"
    for table in ("events", "names", "streams", "meta")
    for verb in ("UPDATE", "DELETE")
)


class Meta(NamedTuple):
    """The identity of a log."""

    format: int
    log_id: str
    secret: bytes  # salts the leaves, so that a proof of one row reveals nothing about another


def create(connection: sqlite3.Connection, meta: Meta | None = None) -> None:
    """Create the tables, inside the caller's transaction; with `meta` those of a log with that identity."""
    meta = meta or Meta(FORMAT, uuid.uuid4().hex, secrets.token_bytes(32))
    for statement in _statements(TABLES + APPEND_ONLY):
        connection.execute(statement)
    connection.executemany("INSERT INTO meta VALUES (?, ?)", meta._asdict().items())


def _statements(script: str) -> list[str]:
    found, waiting = [], ""
    for line in script.splitlines():
        waiting += line + "\n"
        if sqlite3.complete_statement(waiting):
            found.append(waiting)
            waiting = ""
    return found


def exists(connection: sqlite3.Connection) -> bool:
    """Return whether the tables of a log exist."""
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return {"meta", "events", "names", "streams"} <= names


def is_empty(connection: sqlite3.Connection) -> bool:
    """Return whether the database has no tables."""
    return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def read_meta(connection: sqlite3.Connection, path: str) -> Meta:
    """
    Return the identity of the log.

    Raises:
        NotALog, NewerLog, DamagedLog: the file is not a log that can be read.
    """
    if not exists(connection):
        raise NotALog(f"{path} is an SQLite database, but not a log of oms_es (it lacks the tables meta, events, …)")
    values = dict(connection.execute("SELECT key, value FROM meta"))
    version, log_id, secret = values.get("format"), values.get("log_id"), values.get("secret")
    if not isinstance(version, int) or not isinstance(log_id, str) or not isinstance(secret, bytes):
        raise DamagedLog(f"{path}: the table meta lacks a usable format, log_id or secret")
    if version > FORMAT:
        raise NewerLog(f"{path} has format {version}; this version reads formats up to {FORMAT}: upgrade oms_es")
    return Meta(version, log_id, secret)
