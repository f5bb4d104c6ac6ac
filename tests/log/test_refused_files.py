"""Paths that are no regular file, the permissions of what is written, and names that a power cut must not take."""

import asyncio
import os
import re
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from oms_es import Settings
from oms_es.audit.day_archive import BadDayArchive, unpack
from oms_es.errors import NotALog, OmsError, SettingsError
from oms_es.files import replacing
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.builder import advance
from oms_es.projections.snapshots.positions_at import cache_path
from tests.desk import desk, mark, ruled

OPENS: dict[str, tuple[Callable[[Path], object], type[OmsError]]] = {
    "log to read": (SqliteLog.existing, NotALog),
    "log to write": (lambda path: SqliteLog(path).append([mark()], 0), NotALog),
    "settings": (Settings.from_file, SettingsError),
    "archive": (unpack, BadDayArchive),
}


@pytest.mark.parametrize("use", OPENS)
@pytest.mark.parametrize("kind", ["a named pipe", "a device", "a folder"])
def test_a_pipe_a_device_or_a_folder_is_refused_by_its_kind(use: str, kind: str, tmp_path: Path) -> None:
    path = {"a named pipe": tmp_path / "pipe", "a device": Path("/dev/zero"), "a folder": tmp_path}[kind]
    if kind == "a named pipe":
        os.mkfifo(path)
    act, refusal = OPENS[use]

    with pytest.raises(refusal, match=f"{re.escape(str(path))} is {kind}, not a"):
        act(path)


@pytest.mark.parametrize(("settings", "mode"), [(None, 0o600), (ruled(log={"mode": "660"}), 0o660)])
def test_a_new_log_and_its_caches_have_the_permissions_of_the_settings(
    settings: Settings | None, mode: int, path: Path
) -> None:
    was = os.umask(0o022)
    try:

        async def trade() -> None:
            async with desk(path, settings=settings) as oms:
                await oms.record_mark("X", 1)
                beside = [each for each in path.parent.glob("day.db*") if each.suffix not in (".states", ".reserve")]
                assert {stat.S_IMODE(each.stat().st_mode) for each in beside} == {mode}
                assert len(beside) >= 3

        asyncio.run(trade())
        with closing(SqliteLog(path)) as log:
            advance(log)
            assert stat.S_IMODE(cache_path(log).stat().st_mode) == mode
    finally:
        os.umask(was)


def test_a_mode_that_lets_others_read_the_log_is_no_setting() -> None:
    with pytest.raises(SettingsError, match=r"log.mode: '644' is not one of 600, 640, 660"):
        ruled(log={"mode": "644"})


def _synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record in which order files are made durable and renamed."""
    found, sync, rename = list[str](), os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        found.append(f"fsync {os.path.basename(os.readlink(f'/proc/self/fd/{descriptor}')).partition('.new-')[0]}")
        sync(descriptor)

    def replace(old: Path, new: Path) -> None:
        found.append("rename")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the order is read from /proc")
def test_a_written_file_is_renamed_after_it_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _synced(monkeypatch)

    with replacing(tmp_path / "orders.csv") as fresh:
        fresh.write_text("a", encoding="utf-8")

    assert found == ["fsync orders.csv", "rename", f"fsync {tmp_path.name}"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the order is read from /proc")
def test_the_folder_of_a_fresh_log_is_durable_before_its_first_command_is_acknowledged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _synced(monkeypatch)

    with closing(SqliteLog(path)) as log:
        log.append([mark()], 0)
        assert found == [f"fsync {path.parent.name}"]
        log.append([mark()], 1)

    assert found == [f"fsync {path.parent.name}"]
