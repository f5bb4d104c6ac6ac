"""What stands in a write-ahead log beyond what SQLite counts: a commit that may come back, or nothing."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from oms_es.log.sqlite import SqliteLog
from oms_es.log.wal import may_hold_commit
from tests.desk import mark


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """Return the folder of a log after its second commit, beside which lies the write-ahead log after the third."""
    with closing(SqliteLog(tmp_path / "day.db")) as log:
        log.append([mark("X", 0)], 0)  # the first commit of a writer is checkpointed at once
        log._writer().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        log.append([mark("X")], 1)
        for name in ("day.db-wal", "day.db-shm"):
            shutil.copy(tmp_path / name, tmp_path / f"one-{name}")
        log.append([mark("X", 2)], 2)
        shutil.copy(tmp_path / "day.db-wal", tmp_path / "two-day.db-wal")
    return tmp_path


def placed(folder: Path, content: bytes) -> Path:
    """Put a write-ahead log of this content beside the index after the second commit."""
    shutil.copy(folder / "one-day.db-shm", folder / "test.db-shm")
    ahead = folder / "test.db-wal"
    ahead.write_bytes(content)
    return ahead


def test_what_sqlite_counts_is_no_commit_beyond_it(one: Path) -> None:
    assert not may_hold_commit(placed(one, (one / "one-day.db-wal").read_bytes()))


def test_a_whole_commit_beyond_what_sqlite_counts_is_found(one: Path) -> None:
    assert may_hold_commit(placed(one, (one / "two-day.db-wal").read_bytes()))


def test_every_part_of_a_commit_is_none(one: Path) -> None:
    first, both = ((one / name).read_bytes() for name in ("one-day.db-wal", "two-day.db-wal"))
    for size in range(len(first), len(both), 997):
        assert not may_hold_commit(placed(one, both[:size]))
    assert not may_hold_commit(placed(one, both[:-1] + bytes([both[-1] ^ 1])))


def test_sqlite_finds_a_commit_where_we_do(one: Path) -> None:
    first, both = ((one / name).read_bytes() for name in ("one-day.db-wal", "two-day.db-wal"))
    for content, events in ((first, 2), (both[:-1], 2), (both, 3)):
        recovered = one / "recovered.db"
        shutil.copy(one / "day.db", recovered)
        Path(f"{recovered}-wal").write_bytes(content)
        Path(f"{recovered}-shm").unlink(missing_ok=True)
        with closing(sqlite3.connect(recovered)) as connection:
            found = connection.execute("SELECT count(*) FROM events").fetchone()
        assert found == (events,)
        assert may_hold_commit(placed(one, content)) == (events == 3)


def test_what_cannot_be_found_out_may_be_a_commit(one: Path, tmp_path: Path) -> None:
    assert may_hold_commit(tmp_path / "nowhere-wal")
    ahead = placed(one, (one / "one-day.db-wal").read_bytes())
    (one / "test.db-shm").write_bytes(b"")
    assert may_hold_commit(ahead)


def test_a_write_ahead_log_without_a_header_holds_none(one: Path) -> None:
    assert not may_hold_commit(placed(one, b""))
    assert not may_hold_commit(placed(one, (one / "two-day.db-wal").read_bytes()[:31]))
