"""Several writers of one log file, a lock, a full disk: nothing is lost, and every error is typed."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from oms_es.domain.events import MarkRecorded
from oms_es.errors import HeadMoved, LogBusy, LogWriteFailed
from oms_es.log import open_connections
from oms_es.log.memory import MemoryLog
from oms_es.log.sqlite import SqliteLog
from tests.desk import D, child, draft, mark
from tests.tampering import broken_links, five_marks, run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return five_marks(tmp_path / "day.db")


def test_two_writers_by_turns_append_the_right_versions(tmp_path: Path) -> None:
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
    assert broken_links(tmp_path / "day.db") == []


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
    assert broken_links(tmp_path / "day.db") == []


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
    assert broken_links(path) == []


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


def test_append_of_another_writer_waits_while_the_log_is_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert broken_links(path) == []


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
    assert broken_links(path) == []


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
