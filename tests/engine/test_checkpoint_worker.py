"""When checkpoints are made beside the work: in an idle moment, after some time at the latest, and at the end."""

from pathlib import Path

import pytest

from oms_es.engine import checkpoint_worker
from oms_es.engine.checkpoint_worker import EVENTS, MOST_EVENTS, CheckpointWorker
from oms_es.log.sqlite import SqliteLog
from tests.desk import START, mark

FOR_EVER = 1_000_000.0


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets an entry each time when checkpoints are made."""
    found: list[int] = []
    monkeypatch.setattr(CheckpointWorker, "_advance", lambda worker: found.append(worker._seq))
    return found


def worker_of(path: Path, interval: int = 3600) -> CheckpointWorker:
    worker = CheckpointWorker(SqliteLog(path), interval)
    worker.begin(0, START)
    return worker


def ended(worker: CheckpointWorker) -> None:
    assert worker._working is not None
    worker._working.result(timeout=60)


def test_checkpoints_are_made_once_nothing_is_committed(
    path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_worker, "IDLE", 0.01)
    monkeypatch.setattr(checkpoint_worker, "POLL", 0.01)
    worker = worker_of(path)

    worker.after(EVENTS - 1, START)
    assert worker._working is None
    worker.after(EVENTS, START)
    ended(worker)

    assert made == [EVENTS]


def test_a_steady_stream_of_commits_does_not_put_checkpoints_off_for_ever(
    path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_worker, "IDLE", FOR_EVER)
    monkeypatch.setattr(checkpoint_worker, "MOST_WAIT", 0.1)
    worker = worker_of(path)

    worker.after(EVENTS, START)
    ended(worker)

    assert made == [EVENTS]


def test_many_events_are_not_left_without_checkpoints(
    path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IDLE", "MOST_WAIT"):
        monkeypatch.setattr(checkpoint_worker, name, FOR_EVER)
    worker = worker_of(path, interval=int(FOR_EVER))

    worker.after(EVENTS, START)
    worker.after(EVENTS + MOST_EVENTS, START)
    ended(worker)

    assert made == [EVENTS + MOST_EVENTS]


@pytest.mark.parametrize(("seq", "expected"), [(0, []), (EVENTS, [EVENTS])])
def test_a_writer_that_has_stopped_makes_no_checkpoints_over_an_uncertain_end(
    path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch, seq: int, expected: list[int]
) -> None:
    monkeypatch.setattr(checkpoint_worker, "IDLE", FOR_EVER)
    worker = worker_of(path)
    worker.after(EVENTS, START)

    worker.finish(seq)

    assert made == expected


def test_an_append_runs_in_the_loop_only_in_an_open_log_on_a_quick_disk(path: Path) -> None:
    log, found = SqliteLog(path), list[bool]()
    found.append(log.is_quick)  # opening may wait for another process

    log.append([mark("X")], 0)
    for seconds in (0.0, 1.0):
        log._commit_seconds = seconds
        found.append(log.is_quick)

    assert found == [False, True, False]
    log.close()
