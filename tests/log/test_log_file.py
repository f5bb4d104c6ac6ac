"""The log in a file: append-only for everybody, durable, careful with what is no log, and honest about damage."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from oms_es.errors import DamagedLog, LogError, LogMissing, NewerLog, NotALog
from oms_es.log.codec import CODEC
from oms_es.log.hash_chain import StoredRow
from oms_es.log.open_connections import open_reader, open_writer
from oms_es.log.sqlite import SqliteLog
from tests.desk import ROOT, child, desk, mark
from tests.tampering import broken_links, five_marks, run, tampered

TABLES = ("events", "names", "streams", "meta")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return five_marks(tmp_path / "day.db")


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {table: run(path, f"SELECT * FROM {table} ORDER BY 1") for table in TABLES}


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows_of(path: Path) -> list[StoredRow]:
    with closing(SqliteLog.existing(path)) as log:
        return list(log.rows())


# --- append-only for everybody ---

NEXT = "(SELECT max(seq) + 1 FROM events)"
REST = "topic, state, account, origin, occurred_at, effective_at, recorded_at, trading_day"
FORBIDDEN = (
    *(f"DELETE FROM {table}" for table in TABLES),
    "UPDATE events SET state = x'7b7d' WHERE seq = 2",
    "UPDATE OR REPLACE events SET seq = 1 WHERE seq = 2",
    "UPDATE names SET name = 'evil' WHERE id = 1",
    "UPDATE streams SET name = 'evil' WHERE id = 1",
    "UPDATE meta SET value = 9 WHERE key = 'format'",
    "INSERT OR REPLACE INTO events SELECT * FROM events WHERE seq = 2",
    f"INSERT OR REPLACE INTO events SELECT {NEXT}, originator_id, 99, {REST}, 'c-1', chain FROM events WHERE seq = 2",
    f"INSERT OR REPLACE INTO events SELECT {NEXT}, originator_id, 1, {REST}, NULL, chain FROM events WHERE seq = 1",
    "INSERT OR REPLACE INTO names(id, name) VALUES (1, 'evil')",
    "INSERT OR REPLACE INTO names(id, name) SELECT 99, name FROM names WHERE id = 1",
    "INSERT OR REPLACE INTO streams(id, prefix, name) VALUES (1, 1, 'evil')",
    "INSERT OR REPLACE INTO streams(id, prefix, name) SELECT 99, prefix, name FROM streams WHERE id = 1",
    "INSERT OR REPLACE INTO meta VALUES ('format', 9)",
    "INSERT OR REPLACE INTO meta VALUES ('secret', x'00')",
    "INSERT INTO meta VALUES ('format', 9) ON CONFLICT DO UPDATE SET value = 9",
    "INSERT INTO names(id, name) VALUES (1, 'evil') ON CONFLICT DO UPDATE SET name = 'evil'",
    f"INSERT INTO events SELECT {NEXT} + 1, originator_id, 99, {REST}, NULL, chain FROM events WHERE seq = 1",
    f"INSERT INTO events SELECT NULL, originator_id, 99, {REST}, NULL, chain FROM events WHERE seq = 1",
    f"INSERT INTO events SELECT 0, originator_id, 99, {REST}, NULL, chain FROM events WHERE seq = 1",
    f"INSERT INTO events SELECT {NEXT}, originator_id, 1, {REST}, NULL, chain FROM events WHERE seq = 1",
)


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_rows_of_the_log_cannot_be_changed_with_sql(path: Path, statement: str) -> None:
    before = contents(path)

    with pytest.raises(sqlite3.DatabaseError):
        run(path, statement)

    assert contents(path) == before


# --- durable ---


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_a_writer_has_a_write_ahead_log_and_syncs_every_commit_unless_told_by_name(
    path: Path, durability: str, synchronous: int
) -> None:
    with closing(open_writer(path, durability)) as connection, closing(SqliteLog(path, durability=durability)) as log:
        log.append([mark("X")], 5)
        assert log._writing is not None
        for each in (connection, log._writing):
            assert each.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert each.execute("PRAGMA synchronous").fetchone() == (synchronous,)


def test_a_reader_cannot_write(path: Path) -> None:
    with closing(open_reader(path)) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("CREATE TABLE extra(x)")


# --- what is no log ---


def not_a_database(path: Path) -> None:
    path.write_text("time,price\n1,2\n" * 100)


def half_a_header(path: Path) -> None:
    path.write_bytes(b"SQLite form")


def somebody_elses(path: Path) -> None:
    run(path, "CREATE TABLE meta(key, value)", "INSERT INTO meta VALUES ('format', 1)", "CREATE TABLE trades(x)")


def newer(path: Path) -> None:
    five_marks(path)
    tampered(path, "UPDATE meta SET value = 2 WHERE key = 'format'")


def without_its_secret(path: Path) -> None:
    five_marks(path)
    tampered(path, "DELETE FROM meta WHERE key = 'secret'")


NOT_LOGS = (
    (not_a_database, NotALog), (half_a_header, NotALog), (somebody_elses, NotALog), (newer, NewerLog),
    (without_its_secret, DamagedLog),
)  # fmt: skip


@pytest.mark.parametrize(("make", "error"), NOT_LOGS)
def test_a_file_that_is_no_log_of_ours_is_named_and_left_as_it_was(
    tmp_path: Path, make: Any, error: type[LogError]
) -> None:
    path = tmp_path / "other.db"
    make(path)
    before = fingerprint(path)
    log = SqliteLog(path)

    for use in (
        lambda: SqliteLog.existing(path),
        log.head,
        lambda: list(log.read()),
        lambda: log.append([mark("X")], 0),
    ):
        with pytest.raises(error, match=r"other\.db"):
            use()

    log.close()
    assert fingerprint(path) == before


def test_newer_log_names_both_formats(tmp_path: Path) -> None:
    newer(tmp_path / "day.db")

    with pytest.raises(NewerLog, match=r"format 2\b.* 1\b"):
        SqliteLog.existing(tmp_path / "day.db")


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path)

    with pytest.raises(NotALog, match="folder"):
        SqliteLog.existing(tmp_path)
    with pytest.raises(NotALog, match="folder"):
        log.head()
    with pytest.raises(NotALog, match="folder"):
        log.append([mark("X")], 0)


def test_a_missing_file_is_an_empty_log_until_the_first_append_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "day.db"
    log = SqliteLog(path)

    with pytest.raises(LogMissing, match=r"day\.db"):
        SqliteLog.existing(path)
    assert log.head().seq == 0
    assert list(log.read()) == []
    assert log.meta() is None
    assert list(tmp_path.iterdir()) == []

    log.append([mark("X")], 0)
    assert path.is_file()
    assert log.head().seq == 1
    log.close()


def test_an_empty_file_is_an_empty_log(tmp_path: Path) -> None:
    path = tmp_path / "day.db"
    path.touch()
    log = SqliteLog(path)

    with pytest.raises(LogMissing, match="empty"):
        SqliteLog.existing(path)
    assert log.head().seq == 0

    log.append([mark("X")], 0)
    assert [each.seq for each in log.read()] == [1]
    log.close()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "nowhere" / "day.db")

    with pytest.raises(LogMissing, match="nowhere"):
        log.append([mark("X")], 0)

    assert list(tmp_path.iterdir()) == []


def test_a_log_that_was_cut_off_is_a_typed_error(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])

    with pytest.raises(LogError, match=r"day\.db"):
        list(SqliteLog.existing(path).read())


# --- asking writes nothing ---


def ask_everything(path: Path) -> None:
    oms = desk(path)
    oms.get_order("o-1")
    oms.get_all_orders()
    oms.get_open_orders()
    oms.get_position("X")
    oms.get_all_positions()
    oms.get_portfolio_summary()
    oms.positions(at_seq=1)
    oms.orders()
    assert oms.risk_manager.open_order_count == 0
    oms.sequencer.close()


def test_queries_of_a_missing_log_create_no_file(tmp_path: Path) -> None:
    ask_everything(tmp_path / "day.db")

    assert list(tmp_path.iterdir()) == []


def test_queries_leave_every_byte_of_the_log_as_it_was(path: Path) -> None:
    before = fingerprint(path)

    ask_everything(path)

    assert fingerprint(path) == before
    waiting = path.with_name("day.db-wal")
    assert not waiting.exists() or waiting.stat().st_size == 0


# --- read-only media ---

READ_ONLY = """
import os, sys
from pathlib import Path
from oms_es.log.sqlite import SqliteLog
from oms_es.errors import LogError
from tests.desk import mark
if os.getuid() == 0:  # permissions mean nothing to root
    os.setgid(65534)
    os.setuid(65534)
path = Path(sys.argv[1])
try:
    log = SqliteLog.existing(path)
    print("read", [each.seq for each in log.read()])
    log.append([mark("X")], 5)
    print("written")
except LogError as error:
    print(type(error).__name__, path.name in str(error))
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that other users can come to as well; tmp_path is closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path
        path.chmod(0o755)


def as_somebody(path: Path) -> list[str]:
    process = child(READ_ONLY, path, cwd=ROOT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.splitlines()


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o555), (0o444, 0o777), (0o644, 0o555)])
def test_a_log_on_read_only_media_is_read_and_says_that_it_cannot_be_written(
    open_folder: Path, file_mode: int, folder_mode: int
) -> None:
    path = open_folder / "day.db"
    five_marks(path)
    before = fingerprint(path)
    path.chmod(file_mode)
    open_folder.chmod(folder_mode)

    told = as_somebody(path)

    assert told == ["read [1, 2, 3, 4, 5]", "LogReadOnly True"]
    assert fingerprint(path) == before


def test_a_log_that_may_not_be_read_is_a_typed_error(open_folder: Path) -> None:
    path = open_folder / "day.db"
    five_marks(path)
    path.chmod(0o000)
    if os.getuid() == 0:
        os.chown(path, 0, 0)

    assert as_somebody(path) == ["LogReadOnly True"]


def test_a_reader_of_immutable_media_sees_the_log(path: Path) -> None:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT count(*), max(seq) FROM journal").fetchone() == (5, 5)


# --- dump and restore ---


def dumped_by_the_shell(path: Path, to: Path) -> None:
    shell = shutil.which("sqlite3")
    if shell is None:
        pytest.skip("the sqlite3 shell is not installed")
    script = subprocess.run([shell, path, ".dump"], capture_output=True, check=True).stdout
    subprocess.run([shell, to], input=script, capture_output=True, check=True)


def dumped_by_python(path: Path, to: Path) -> None:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
        target.executescript("\n".join(source.iterdump()))


@pytest.mark.parametrize("dump", [dumped_by_the_shell, dumped_by_python])
def test_a_dump_restores_seq_and_chain_and_goes_on(path: Path, tmp_path: Path, dump: Any) -> None:
    restored = tmp_path / "restored.db"

    dump(path, restored)

    assert rows_of(restored) == rows_of(path)
    log, original = SqliteLog.existing(restored), SqliteLog.existing(path)
    assert log.meta() == original.meta()
    assert log.head() == original.head()
    log.append([mark("X", 6, "c-6")], 5)
    (added,) = log.read(after=5)
    assert (added.seq, added.originator_version) == (6, 4)
    assert [each.seq for each in log.command("fact:00aa")] == [3]
    log.close()
    original.close()
    assert broken_links(restored) == []
    with pytest.raises(sqlite3.DatabaseError):
        run(restored, "DELETE FROM events")


# --- damage ---

DAMAGED = (
    ("a row is gone", 3, "DELETE FROM events WHERE seq = 3"),
    ("the first row is gone", 1, "DELETE FROM events WHERE seq = 1"),
    ("a row was renumbered", 4, "UPDATE events SET seq = 40 WHERE seq = 4"),
    ("the body is no JSON", 3, "UPDATE events SET state = x'00' WHERE seq = 3"),
    ("the body is empty", 3, "UPDATE events SET state = x'' WHERE seq = 3"),
    ("the body is a list", 3, "UPDATE events SET state = CAST('[1]' AS BLOB) WHERE seq = 3"),
    ("a field is missing", 3, "UPDATE events SET state = CAST('{}' AS BLOB) WHERE seq = 3"),
    ("a field is ill-typed", 3, "UPDATE events SET state = CAST('{\"price\":[]}' AS BLOB) WHERE seq = 3"),
    ("a price is no number", 3, 'UPDATE events SET state = CAST(\'{"price":"ten"}\' AS BLOB) WHERE seq = 3'),
    ("the body goes on after its end", 3, "UPDATE events SET state = state || x'7b7d' WHERE seq = 3"),
    ("the body is text", 3, "UPDATE events SET state = CAST(state AS TEXT) WHERE seq = 3"),
    ("the body is a number", 3, "UPDATE events SET state = 7 WHERE seq = 3"),
    ("the topic is unknown", 3, "UPDATE events SET topic = originator_id + 90 WHERE seq = 3"),
    ("the topic is a module", 1, "INSERT INTO names VALUES (70, 'os.system'); UPDATE events SET topic = 70"),
    ("the origin is unknown", 1, "INSERT INTO names VALUES (70, 'heaven'); UPDATE events SET origin = 70"),
    ("the account has no name", 3, "UPDATE events SET account = 90 WHERE seq = 3"),
    ("the day has no name", 3, "UPDATE events SET trading_day = 90 WHERE seq = 3"),
    ("the stream has no name", 3, "UPDATE events SET originator_id = 90 WHERE seq = 3"),
    ("the stream's name is bytes", 3, "UPDATE streams SET name = x'58' WHERE name = 'Y'"),
    ("a name is bytes", 1, "INSERT INTO names VALUES (70, x'58'); UPDATE events SET trading_day = 70"),
    ("the version is text", 3, "UPDATE events SET originator_version = 'two' WHERE seq = 3"),
    ("occurred_at is text", 3, "UPDATE events SET occurred_at = 'noon' WHERE seq = 3"),
    ("occurred_at is no whole number", 3, "UPDATE events SET occurred_at = 1.5 WHERE seq = 3"),
    ("effective_at is text", 3, "UPDATE events SET effective_at = 'noon' WHERE seq = 3"),
    ("recorded_at is bytes", 3, "UPDATE events SET recorded_at = x'00' WHERE seq = 3"),
    ("the command id is a number", 3, "UPDATE events SET command_id = 7 WHERE seq = 3"),
    ("the chain is short", 3, "UPDATE events SET chain = x'00' WHERE seq = 3"),
    ("the chain is text", 3, "UPDATE events SET chain = 'abcdefghijklmnopqrstuvwxyz012345' WHERE seq = 3"),
)


@pytest.mark.parametrize(("seq", "change"), [case[1:] for case in DAMAGED], ids=[case[0] for case in DAMAGED])
def test_damage_is_a_typed_error_that_names_the_seq(path: Path, seq: int, change: str) -> None:
    tampered(path, *change.split("; "))

    with closing(SqliteLog.existing(path)) as log, pytest.raises(DamagedLog, match=rf"seq {seq}\b"):
        list(log.read())


@pytest.mark.parametrize(
    "change", [case[2] for case in DAMAGED if case[0] in ("the day has no name", "a name is bytes")]
)
def test_the_ends_of_damaged_days_are_a_typed_error_too(path: Path, change: str) -> None:
    tampered(path, *change.split("; "))

    with (
        closing(SqliteLog.existing(path)) as log,
        pytest.raises(DamagedLog, match=r"seq \d+: no trading day has key \d+"),
    ):
        log.ends_of_days(log.head().seq, CODEC.topics)


def test_a_changed_body_breaks_the_chain_at_its_seq(path: Path) -> None:
    tampered(path, 'UPDATE events SET state = CAST(\'{"price":"99"}\' AS BLOB) WHERE seq = 3')

    assert broken_links(path) == [3]
