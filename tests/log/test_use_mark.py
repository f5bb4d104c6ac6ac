"""A copy of a log that lacks its write-ahead log is recognised; a log that was closed is not taken for one."""

import logging
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from oms_es.log import use_mark
from oms_es.log.open_connections import open_reader
from oms_es.log.sqlite import SqliteLog
from tests.desk import mark


def lacks_ahead(path: Path) -> bool:
    with closing(open_reader(path)) as reader:
        return use_mark.lacks_ahead(reader, path)


def copied(path: Path, *endings: str) -> Path:
    """Copy a log with the files of these endings."""
    target = path.with_name(f"copy{'-'.join(endings)}.db")
    for ending in ("", *endings):
        shutil.copy(f"{path}{ending}", f"{target}{ending}")
    return target


def test_a_copy_of_a_log_in_use_without_its_write_ahead_log_is_recognised(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(SqliteLog(path)) as log:
        for seq in range(3):
            log.append([mark()], seq)
        bare, whole = copied(path), copied(path, "-wal")
        assert not lacks_ahead(path)
    caplog.clear()

    assert (lacks_ahead(whole), caplog.messages) == (False, [])
    assert lacks_ahead(bare)
    (warning,) = caplog.messages
    assert warning.startswith(f"{bare} was in use when it was copied or left, and has no write-ahead log beside it")
    assert SqliteLog(bare).head().seq == 1
    assert SqliteLog(whole).head().seq == 3


@pytest.mark.parametrize("ending", ["closed", "dropped"])
def test_a_log_that_was_closed_is_whole_without_a_write_ahead_log(ending: str, path: Path) -> None:
    log = SqliteLog(path)
    log.append([mark()], 0)
    if ending == "closed":
        log.close()
    del log

    bare = copied(path)

    assert not lacks_ahead(bare)
    assert SqliteLog(bare).head().seq == 1


def test_a_writer_marks_the_log_again_after_another_one_has_closed_it(path: Path) -> None:
    with closing(SqliteLog(path)) as first:
        first.append([mark()], 0)
        with closing(SqliteLog(path)) as second:
            second.append([mark()], 1)
        first.append([mark()], 2)

        assert lacks_ahead(copied(path))


def test_a_mark_is_not_part_of_the_events(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with closing(SqliteLog(path)) as log:
        log.append([mark()], 0)
    with closing(SqliteLog(path)) as log:
        log.append([mark()], 1)
        assert log.head().seq == 2

    assert caplog.messages == []
