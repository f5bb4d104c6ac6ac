"""Backups of a log in use, restored logs, and the sound part of a damaged one: whole commands, verified."""

import asyncio
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from oms_es import OrderManagementSystem
from oms_es.audit.copies import Copied, back_up, restore, salvage
from oms_es.errors import DamagedLog, InvalidInput, LogMissing, NotALog
from oms_es.log.sqlite import SqliteLog
from oms_es.proof.verify import UNANCHORED, verify
from oms_es.timestamps import SECOND
from tests.desk import BUY, START, desk, digest_of, mark, trade

LATER = START + 3600 * SECOND


@pytest.fixture
def traded(path: Path) -> Iterator[Path]:
    """Return a log of three filled orders, which is still in use."""

    async def play(oms: OrderManagementSystem) -> None:
        for number in range(3):
            await trade(oms, f"o-{number}", BUY, 10, 10)

    oms = desk(path)
    asyncio.run(play(oms))
    yield path
    oms.sequencer.close()


def head(path: Path) -> Copied:
    with closing(SqliteLog(path)) as log:
        return Copied(log.head().seq, log.head().chain.hex())


def spoil(path: Path, *statements: str) -> None:
    """Change a closed log with SQL that its triggers would refuse."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            connection.execute(statement)


def files(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def test_a_backup_of_a_log_in_use_has_every_event_in_one_private_file(traded: Path, tmp_path: Path) -> None:
    copy = tmp_path / "backup" / "day.db"
    copy.parent.mkdir()

    found = back_up(traded, copy)

    assert found == head(traded)
    assert files(copy.parent) == {"day.db"}
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert verify(copy).status == UNANCHORED
    assert digest_of(copy) == digest_of(traded)


def test_a_backup_while_another_connection_appends_is_a_whole_prefix(traded: Path, tmp_path: Path) -> None:
    with closing(SqliteLog(traded)) as writer:
        seq = writer.head().seq
        for number in range(20):
            seq = writer.append([mark("X", number, at=LATER), mark("Y", number, at=LATER)], seq)
            if number % 5 == 0:
                assert back_up(traded, tmp_path / f"{number}.db").events == seq


@pytest.mark.parametrize("copy", [back_up, restore])
def test_a_copy_never_overwrites_a_file(copy: object, traded: Path, tmp_path: Path) -> None:
    existing = tmp_path / "other.db"
    existing.write_bytes(b"precious")

    with pytest.raises(InvalidInput, match="exists already and is not overwritten"):
        copy(traded, existing)  # type: ignore[operator]

    assert existing.read_bytes() == b"precious"


def test_a_restored_log_continues_where_the_backup_ends_and_has_no_caches_of_another(
    traded: Path, tmp_path: Path
) -> None:
    back_up(traded, tmp_path / "backup.db")
    restored = tmp_path / "restored.db"
    for ending in (".frontier", "-shm"):
        Path(f"{restored}{ending}").write_bytes(b"old")
    with closing(sqlite3.connect(f"{restored}.states")) as cache:
        cache.execute("CREATE TABLE states(kind)")

    found = restore(tmp_path / "backup.db", restored)

    assert {each for each in files(tmp_path) if each.startswith("restored")} == {"restored.db"}
    with closing(SqliteLog(restored)) as log:
        assert log.append([mark()], found.events) == found.events + 1


def test_nothing_is_restored_beside_the_last_events_of_another_log(traded: Path, tmp_path: Path) -> None:
    Path(f"{tmp_path / 'new.db'}-wal").write_bytes(b"x" * 100)

    with pytest.raises(LogMissing, match="contains the last events of one"):
        restore(traded, tmp_path / "new.db")

    assert "new.db" not in files(tmp_path)


DAMAGE = {
    "a changed price": "UPDATE events SET state = replace(state, '\"10\"', '\"11\"') WHERE seq = 5",
    "a missing row": "DELETE FROM events WHERE seq = 5",
    "a changed time": "UPDATE events SET recorded_at = recorded_at + 1 WHERE seq = 5",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("copy", [back_up, restore])
def test_a_damaged_log_is_not_copied(copy: object, damage: str, traded: Path, tmp_path: Path) -> None:
    spoil(traded, DAMAGE[damage])

    with pytest.raises(DamagedLog, match=r"day.db is damaged, so it was not copied: .*seq 5.*oms salvage"):
        copy(traded, tmp_path / "copy.db")  # type: ignore[operator]

    assert not [each for each in files(tmp_path) if each.startswith("copy")]


@pytest.mark.parametrize("damage", DAMAGE)
def test_salvage_saves_the_whole_commands_before_the_damage(damage: str, traded: Path, tmp_path: Path) -> None:
    with closing(SqliteLog(traded)) as log:
        rows = list(log.rows())
    begins = max(row.seq for row in rows if row.command_id is not None and row.seq < 5)
    last = 4 if rows[4].command_id is not None and damage != "a missing row" else begins - 1
    spoil(traded, DAMAGE[damage])

    found = salvage(traded, tmp_path / "saved.db")

    assert found.copy == Copied(last, rows[last - 1].chain.hex())
    assert found.lost_from == last + 1
    assert found.why is not None
    assert "seq 5" in found.why
    assert verify(tmp_path / "saved.db").status == UNANCHORED
    with closing(SqliteLog(tmp_path / "saved.db")) as saved:
        assert list(saved.rows()) == rows[:last]
        assert saved.append([mark()], last) == last + 1


def test_salvage_of_a_sound_log_has_everything(traded: Path, tmp_path: Path) -> None:
    found = salvage(traded, tmp_path / "saved.db")

    assert (found.copy, found.lost_from, found.why) == (head(traded), None, None)
    assert digest_of(tmp_path / "saved.db") == digest_of(traded)


def test_salvage_reads_past_what_sqlite_itself_refuses(path: Path, tmp_path: Path) -> None:
    with closing(SqliteLog(path)) as log:
        log.append([mark(f"S{number}", number) for number in range(2000)], 0)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = bytes(4096)  # one page of zeros
    path.write_bytes(content)

    found = salvage(path, tmp_path / "saved.db")

    assert 0 < found.copy.events < 2000
    assert found.lost_from == found.copy.events + 1
    assert verify(tmp_path / "saved.db").events == found.copy.events


@pytest.mark.parametrize(("content", "error"), [(b"", NotALog), (b"hello" * 100, NotALog), (None, LogMissing)])
def test_what_is_no_log_cannot_be_saved(
    content: bytes | None, error: type[Exception], path: Path, tmp_path: Path
) -> None:
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(error):
        salvage(path, tmp_path / "saved.db")

    assert "saved.db" not in files(tmp_path)
