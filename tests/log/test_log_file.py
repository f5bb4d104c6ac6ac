"""The log in a file: append-only for everybody, durable, careful with what is no log, and honest about damage."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from oms_es.domain.events import MarkRecorded
from oms_es.errors import DamagedLog, HeadMoved, LogBusy, LogError, LogMissing, LogWriteFailed, NewerLog, NotALog
from oms_es.log import open_connections
from oms_es.log.codec import CODEC
from oms_es.log.hash_chain import StoredRow, genesis, sealed
from oms_es.log.memory import MemoryLog
from oms_es.log.open_connections import open_reader, open_writer
from oms_es.log.sqlite import SqliteLog
from tests.desk import ROOT, D, child, desk, draft, mark

TABLES = ("events", "names", "streams", "meta")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a log of five marks that was closed and lies in one file."""
    made = tmp_path / "day.db"
    write_marks(made)
    return made


def write_marks(path: Path) -> None:
    log = SqliteLog(path)
    log.append([mark("X", 1, "c-1"), mark("X", 2, None), mark("Y", 3, "fact:00aa")], 0)
    log.append([mark("X", 4), mark("Z", 5, "c-5")], 3)
    log.close()
    in_one_file(path)


def in_one_file(path: Path) -> None:
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def run(path: Path, *statements: str) -> list[tuple[Any, ...]]:
    """Carry out SQL as any other program would; return the rows of the last statement."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        rows: list[tuple[Any, ...]] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows
    finally:
        connection.close()


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {table: run(path, f"SELECT * FROM {table} ORDER BY 1") for table in TABLES}


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows_of(path: Path) -> list[StoredRow]:
    log = SqliteLog.existing(path)
    try:
        return list(log.rows())
    finally:
        log.close()


def assert_chained(path: Path) -> None:
    """Check the chain of a file from end to end."""
    log = SqliteLog.existing(path)
    try:
        meta = log.meta()
        assert meta is not None
        chain = genesis(meta.log_id)
        for number, row in enumerate(log.rows(), 1):
            assert row.seq == number
            assert row == sealed(row, chain, meta.secret)
            chain = row.chain
    finally:
        log.close()


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
def test_what_stands_in_the_log_cannot_be_changed_with_sql(path: Path, statement: str) -> None:
    before = contents(path)

    with pytest.raises(sqlite3.DatabaseError):
        run(path, statement)

    assert contents(path) == before


# --- durable ---


def test_a_writer_has_a_write_ahead_log_and_syncs_every_commit(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "day.db")
    try:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    finally:
        connection.close()


def test_the_log_writes_through_such_a_writer(path: Path) -> None:
    log = SqliteLog(path)
    log.append([mark("X")], 5)

    assert log._writing is not None
    assert log._writing.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert log._writing.execute("PRAGMA synchronous").fetchone() == (2,)
    log.close()


def test_less_durability_is_had_only_by_name(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "day.db", "normal")
    try:
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
    finally:
        connection.close()


def test_a_reader_cannot_write(path: Path) -> None:
    connection = open_reader(path)
    try:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("CREATE TABLE extra(x)")
    finally:
        connection.close()


# --- what is no log ---


def not_a_database(path: Path) -> None:
    path.write_text("time,price\n1,2\n" * 100)


def half_a_header(path: Path) -> None:
    path.write_bytes(b"SQLite form")


def somebody_elses(path: Path) -> None:
    run(path, "CREATE TABLE meta(key, value)", "INSERT INTO meta VALUES ('format', 1)", "CREATE TABLE trades(x)")


def newer(path: Path) -> None:
    write_marks(path)
    tampered(path, "UPDATE meta SET value = 2 WHERE key = 'format'")


def without_its_secret(path: Path) -> None:
    write_marks(path)
    tampered(path, "DELETE FROM meta WHERE key = 'secret'")


def tampered(path: Path, *statements: str) -> None:
    """Change a log as somebody could who drops its triggers first."""
    names = [name for (name,) in run(path, "SELECT name FROM sqlite_master WHERE type = 'trigger'")]
    run(path, *(f"DROP TRIGGER {name}" for name in names), "PRAGMA foreign_keys = OFF", *statements)
    in_one_file(path)


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

    with pytest.raises(error, match=r"other\.db"):
        SqliteLog.existing(path)
    with pytest.raises(error, match=r"other\.db"):
        log.head()
    with pytest.raises(error, match=r"other\.db"):
        list(log.read())
    with pytest.raises(error, match=r"other\.db"):
        log.append([mark("X")], 0)

    log.close()
    assert fingerprint(path) == before


def test_a_newer_format_is_told_with_both_numbers(tmp_path: Path) -> None:
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


def test_questions_to_a_log_that_is_not_there_make_none(tmp_path: Path) -> None:
    ask_everything(tmp_path / "day.db")

    assert list(tmp_path.iterdir()) == []


def test_questions_leave_every_byte_of_the_log_as_it_was(path: Path) -> None:
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
    write_marks(path)
    before = fingerprint(path)
    path.chmod(file_mode)
    open_folder.chmod(folder_mode)

    told = as_somebody(path)

    assert told == ["read [1, 2, 3, 4, 5]", "LogReadOnly True"]
    assert fingerprint(path) == before


def test_a_log_that_may_not_be_read_is_a_typed_error(open_folder: Path) -> None:
    path = open_folder / "day.db"
    write_marks(path)
    path.chmod(0o000)
    if os.getuid() == 0:
        os.chown(path, 0, 0)

    assert as_somebody(path) == ["LogReadOnly True"]


def test_a_reader_of_immutable_media_sees_the_log(path: Path) -> None:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        assert connection.execute("SELECT count(*), max(seq) FROM journal").fetchone() == (5, 5)
    finally:
        connection.close()


# --- dump and restore ---


def dumped_by_the_shell(path: Path, to: Path) -> None:
    shell = shutil.which("sqlite3")
    if shell is None:
        pytest.skip("the sqlite3 shell is not installed")
    script = subprocess.run([shell, path, ".dump"], capture_output=True, check=True).stdout
    subprocess.run([shell, to], input=script, capture_output=True, check=True)


def dumped_by_python(path: Path, to: Path) -> None:
    source, target = sqlite3.connect(path), sqlite3.connect(to)
    try:
        target.executescript("\n".join(source.iterdump()))
    finally:
        source.close()
        target.close()


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
    assert_chained(restored)
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
    log = SqliteLog.existing(path)

    with pytest.raises(DamagedLog, match=rf"seq {seq}\b"):
        list(log.read())

    log.close()


@pytest.mark.parametrize(
    "change", [case[2] for case in DAMAGED if case[0] in ("the day has no name", "a name is bytes")]
)
def test_the_ends_of_damaged_days_are_a_typed_error_too(path: Path, change: str) -> None:
    tampered(path, *change.split("; "))
    log = SqliteLog.existing(path)

    with pytest.raises(DamagedLog, match=r"seq \d+: no trading day has key \d+"):
        log.ends_of_days(log.head().seq, CODEC.topics)

    log.close()


def test_a_changed_body_breaks_the_chain_at_its_seq(path: Path) -> None:
    tampered(path, 'UPDATE events SET state = CAST(\'{"price":"99"}\' AS BLOB) WHERE seq = 3')
    log = SqliteLog.existing(path)
    meta = log.meta()
    assert meta is not None
    chain, broken = genesis(meta.log_id), []

    for row in log.rows():
        if row != sealed(row, chain, meta.secret):
            broken.append(row.seq)
        chain = row.chain

    log.close()
    assert broken == [3]


# --- several at once ---


def test_two_that_write_by_turns_keep_keys_and_versions_right(tmp_path: Path) -> None:
    one, other = SqliteLog(tmp_path / "day.db"), SqliteLog(tmp_path / "day.db")
    told, head = MemoryLog(), 0
    turns = [(one, "XY"), (other, "XZ"), (other, "W"), (one, "ZWX"), (other, "VX"), (one, "VV"), (other, "XYZ")]

    for log, symbols in turns:
        drafts = [mark(symbol, head + number) for number, symbol in enumerate(symbols)]
        told.append(drafts, head)
        log.append(drafts, head)
        head += len(drafts)

    assert list(one.read()) == list(other.read()) == list(told.read())
    assert one.head() == other.head()
    one.close()
    other.close()
    assert_chained(tmp_path / "day.db")


def test_an_append_that_came_too_late_does_not_spoil_the_next(tmp_path: Path) -> None:
    one, other = SqliteLog(tmp_path / "day.db"), SqliteLog(tmp_path / "day.db")
    one.append([mark("X")], 0)
    other.append([mark("X"), mark("Y")], 1)

    for drafts in ([mark("X")], [mark("NEW"), mark("X")]):
        with pytest.raises(HeadMoved):
            one.append(drafts, 1)
    one.append([mark("X"), mark("NEW")], 3)

    added = [(r.originator_id, r.originator_version) for r in other.read(after=3)]
    assert added == [("market/X", 3), ("market/NEW", 1)]
    one.close()
    other.close()
    assert_chained(tmp_path / "day.db")


APPENDING = """
import sys
from oms_es.errors import HeadMoved
from oms_es.log.sqlite import SqliteLog
from tests.desk import mark
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
log = SqliteLog(path)
print("ready", flush=True)
sys.stdin.readline()
moved = 0
for number in range(count):
    while True:
        try:
            log.append([mark("SHARED", number, f"{name}-{number}"), mark(name, number, None)], log.head().seq)
            break
        except HeadMoved:
            moved += 1
print(moved)
"""


def appended_at_once(path: Path, count: int) -> int:
    """Let two processes append at the same moment; return how often the log had moved under one of them."""
    both = [child(APPENDING, path, name, count, cwd=path.parent) for name in ("A", "B")]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], told[0][1] + told[1][1]
    return sum(int(out) for out, _ in told)


def assert_nothing_lost(path: Path, count: int) -> None:
    """Check a log of five marks, to which A and B have each appended `count` pairs."""
    log = SqliteLog.existing(path)
    read = list(log.read())[5:]
    assert [each.seq for each in read] == list(range(6, 4 * count + 6))
    assert [each.originator_version for each in log.stream("market/SHARED")] == list(range(1, 2 * count + 1))
    for name in ("A", "B"):
        ids = [each.command_id for each in read if (each.command_id or "").startswith(f"{name}-")]
        assert ids == [f"{name}-{number}" for number in range(count)]
        assert [each.originator_version for each in log.stream(f"market/{name}")] == list(range(1, count + 1))
    pairs = zip(read[::2], read[1::2], strict=True)
    assert all(second.originator_id == f"market/{(first.command_id or '')[0]}" for first, second in pairs)
    log.close()
    assert_chained(path)


def test_two_processes_append_at_once_and_nothing_is_lost(path: Path) -> None:
    moved = appended_at_once(path, 150)

    assert_nothing_lost(path, 150)
    assert moved > 0, "they never met, so this has shown nothing"


def test_the_first_append_waits_for_whoever_makes_the_file_at_the_same_moment(tmp_path: Path) -> None:
    maker = sqlite3.connect(tmp_path / "day.db", isolation_level=None, check_same_thread=False)
    maker.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.3, maker.execute, ["ROLLBACK"])
    done.start()
    log = SqliteLog(tmp_path / "day.db")
    try:
        assert log.append([mark("X")], 0) == 1
    finally:
        log.close()
        done.join()
        maker.close()


def test_a_lock_that_is_never_released_is_a_typed_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_connections, "LOCK_TIMEOUT", 0.1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    log = SqliteLog(path)

    with pytest.raises(LogBusy, match=r"day\.db"):
        log.append([mark("X")], 5)
    holder.execute("ROLLBACK")
    holder.close()

    assert log.head().seq == 5
    assert log.append([mark("X")], 5) == 6
    log.close()


def test_nobody_else_appends_while_the_log_is_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_connections, "LOCK_TIMEOUT", 0.1)
    one, other = SqliteLog(path), SqliteLog(path)

    one.lock()
    with pytest.raises(LogBusy):
        other.append([mark("X")], 5)
    assert other.head().seq == 5
    one.append([mark("X")], 5)
    other.append([mark("Y")], 6)
    one.lock()
    with pytest.raises(HeadMoved):
        one.append([mark("X")], 6)
    other.append([mark("Z")], 7)
    one.lock()
    one.unlock()
    other.append([mark("Z")], 8)

    assert one.head().seq == 9
    one.close()
    other.close()
    assert_chained(path)


def test_a_full_disk_is_a_typed_error_and_leaves_nothing_behind(path: Path) -> None:
    log = SqliteLog(path)
    log.append([mark("X")], 5)
    assert log._writing is not None
    log._writing.execute("PRAGMA max_page_count = 1")  # SQLite keeps it at what is used: not one page more

    with pytest.raises(LogWriteFailed, match="full"):
        log.append([mark(f"NEW {number}", number) for number in range(2000)], 6)

    log._writing.execute("PRAGMA max_page_count = 1000000")
    assert log.head().seq == 6
    assert log.stream("market/NEW 0") == []
    log.append([mark("NEW 0"), mark("X")], 6)
    assert [(each.seq, each.originator_version) for each in log.read(after=6)] == [(7, 1), (8, 5)]
    log.close()
    assert_chained(path)


def test_the_write_ahead_log_shrinks_when_a_long_reader_has_ended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oms_es.log.open_connections.MOST_AHEAD", 100_000)
    ahead = path.with_name(path.name + "-wal")
    many = [draft(MarkRecorded(symbol="X", price=D(1), actor="a" * 1000), None)] * 800
    with closing(SqliteLog.existing(path)) as log, closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        for _ in range(6):
            log.append(many, log.head().seq)
        grown = ahead.stat().st_size
        reader.execute("COMMIT")
        for _ in range(2):  # the first moves its pages to the log, the second begins it anew
            log.append(many, log.head().seq)

        assert grown > 4_200_000  # so many bytes that SQLite moves the pages at each commit
        assert ahead.stat().st_size < grown / 2


def test_a_log_that_was_dropped_without_a_close_lets_go_of_its_file(path: Path) -> None:
    log = SqliteLog(path)
    log.append([mark("X")], 5)
    assert log.head().seq == 6

    del log  # a ResourceWarning would be an error here

    assert run(path, "SELECT max(seq) FROM events") == [(6,)]
