"""A small disk that is really full: caches give way to the log, and a halt is recorded although nothing else is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oms_es.log import room
from oms_es.log.sqlite import SqliteLog
from tests.desk import ROOT, mark

TRADING = """
import asyncio, sys
from pathlib import Path
from oms_es import OrderManagementSystem
from oms_es.errors import LogWriteFailed
from oms_es.log import room
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.builder import advance
from tests.desk import FREE, Clock

log = Path(sys.argv[1]) / "day.db"

def beside():
    return sorted(each.name for each in log.parent.iterdir())

async def marks(oms, number):
    await asyncio.gather(*(oms.record_mark(f"{number}-{each}-" + 110 * "S", each) for each in range(250)))

async def main():
    oms, single, done = OrderManagementSystem(FREE, log=log, clock=Clock()), 0, 1
    await marks(oms, 0)
    least, room.LEAST_FREE = room.LEAST_FREE, 0  # so that there are caches on so small a disk
    advance(SqliteLog(log))
    room.LEAST_FREE = least
    print("caches", *beside())
    try:
        while True:
            await marks(oms, done)
            done += 1
    except LogWriteFailed:
        pass
    try:
        while True:  # less at once may still find room
            await oms.record_mark("S", single)
            single += 1
    except LogWriteFailed:
        print("full", *beside())
    await oms.halt(reason="the disk is full")
    print("halted", *beside())
    print("events", oms.log.head().seq, 2 + single + 250 * done)
    await oms.close()

asyncio.run(main())
"""
MOUNT = 'mount -t tmpfs -o size=3m tmpfs "$0" && exec "$@"'


def on_a_small_disk(folder: Path) -> dict[str, list[str]]:
    """Run `TRADING` where `folder` is a disk of 3 MiB of its own; skip the test where none can be mounted."""
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*inside, MOUNT, folder, "true"], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here, so nothing is claimed about a full one")
    done = subprocess.run(
        [*inside, MOUNT, folder, sys.executable, "-c", TRADING, folder],
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}


def test_on_a_full_disk_caches_give_way_and_a_halt_is_recorded(tmp_path: Path) -> None:
    lines = on_a_small_disk(tmp_path)

    assert {"day.db.checkpoints", "day.db.reserve"} <= set(lines["caches"])
    assert "day.db.reserve" in lines["full"]
    assert "day.db.checkpoints" not in lines["full"]
    assert "day.db.reserve" not in lines["halted"]
    assert lines["events"][0] == lines["events"][1]


def test_a_file_of_another_program_with_the_name_of_a_cache_is_not_deleted_for_room(path: Path) -> None:
    SqliteLog(path).append([mark()], 0)
    foreign, ours = Path(f"{path}.checkpoints"), Path(f"{path}.states")
    foreign.write_bytes(b"something else")
    import sqlite3

    with sqlite3.connect(ours) as made:
        made.execute("CREATE TABLE states(kind)")
    made.close()

    assert room.delete_caches(path)
    assert (foreign.exists(), ours.exists()) == (True, False)
    assert not room.delete_caches(path)


def test_caches_are_not_written_while_little_of_the_disk_is_free(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oms_es.projections.snapshots.builder import advance

    log = SqliteLog(path)
    log.append([mark()], 0)
    monkeypatch.setattr(room, "LEAST_FREE", 2**62)
    assert (advance(log), Path(f"{path}.checkpoints").exists()) == (0, False)
    monkeypatch.undo()
    assert (advance(log), Path(f"{path}.checkpoints").exists()) == (1, True)
    log.close()
