"""What `oms doctor` finds: each kind of trouble with a log is named, with what to do about it."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from oms_es.audit.doctor import Report, examine
from oms_es.log import room
from oms_es.log.sqlite import SqliteLog
from oms_es.timestamps import SECOND
from tests.audit.test_copies import spoil
from tests.desk import START, mark

NOW = START + SECOND


@pytest.fixture
def log(path: Path) -> Path:
    """Return a sound, closed log of three marks."""
    with closing(SqliteLog(path)) as made:
        made.append([mark("X", number) for number in range(3)], 0)
    return path


def test_a_sound_log_has_no_finding(log: Path) -> None:
    before = {each.name: each.read_bytes() for each in log.parent.iterdir() if not each.name.endswith(("-wal", "-shm"))}

    report = examine(log, NOW)

    assert (report.findings, report.events, report.chain) == ([], 3, SqliteLog(log).chain_at(3))
    assert {name: (log.parent / name).read_bytes() for name in before} == before


def _moved(log: Path) -> None:
    log.unlink()
    Path(f"{log}-wal").write_bytes(b"x")


def _folder(log: Path) -> None:
    log.unlink()
    log.mkdir()


def _live_copy(log: Path) -> None:
    with closing(SqliteLog(log)) as writer:
        writer.append([mark()], 3)
        writer.append([mark()], 4)
        shutil.copy(log, f"{log}.copy")
    os.replace(f"{log}.copy", log)


def _foreign_cache(log: Path) -> None:
    with closing(sqlite3.connect(f"{log}.states")) as made:
        made.execute("CREATE TABLE invoices(id)")


def _replaced(log: Path) -> None:
    log.unlink()
    with closing(sqlite3.connect(log)) as made:
        made.execute("CREATE TABLE own(id)")


def _add_table(log: Path) -> None:
    with closing(sqlite3.connect(log)) as made:
        made.execute("CREATE TABLE own(id)")


TROUBLE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "missing": (lambda log: log.unlink(), "there is no log at", "restore a backup"),
    "moved, with its last events left": (
        _moved,
        "has the last events of one",
        "move the log back",
    ),
    "a folder": (_folder, "is a folder, not a log", "--log"),
    "empty": (lambda log: log.write_bytes(b""), "is empty", "restore a backup"),
    "zeros": (lambda log: log.write_bytes(bytes(8192)), "begins with zeros", "restore the last backup"),
    "text": (lambda log: log.write_bytes(b"hello"), "is not an SQLite database", "restore the last backup"),
    "another database": (_replaced, "is an SQLite database, but not a log", "--log"),
    "cut off": (lambda log: os.truncate(log, 8192), "malformed", "oms salvage"),
    "an altered row": (
        lambda log: spoil(log, "UPDATE events SET recorded_at = recorded_at + 1 WHERE seq = 2"),
        "altered: seq 2",
        "oms salvage",
    ),
    "a foreign table": (_add_table, "table own is foreign", "OMS_LOG_TABLES"),
    "a copy without its write-ahead log": (_live_copy, "it ends at seq 4", "oms backup"),
    "a second name": (lambda log: os.link(log, f"{log}.2"), "has 2 names", "delete the others"),
    "readable by all": (lambda log: log.chmod(0o644), "can be read by every user (mode 644)", "chmod 600"),
    "a foreign cache": (_foreign_cache, "day.db.states is no cache of oms", "move it away"),
    "a leftover": (lambda log: Path(f"{log}.new-1234").touch(), "left by a process that was killed", "delete it"),
}


def words(report: Report) -> str:
    return "\n".join(f"{each.problem} -> {each.advice}" for each in report.findings)


@pytest.mark.parametrize("kind", TROUBLE)
def test_trouble_is_named_with_what_to_do(kind: str, log: Path) -> None:
    cause, problem, advice = TROUBLE[kind]
    cause(log)

    report = examine(log, NOW)

    assert any(problem in each.problem and advice in each.advice for each in report.findings), words(report)


def test_an_event_from_the_future_is_named(log: Path) -> None:
    report = examine(log, START - 60 * SECOND)

    assert "60 s ahead of this clock" in words(report)
    assert "oms clock accept" in words(report)


def test_a_disk_that_is_nearly_full_is_named(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LEAST_FREE", 2**62)

    assert "MiB free -> make room" in words(examine(log, NOW))
