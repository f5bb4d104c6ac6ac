"""
A process that is killed at its N-th write, in each kind of work: what was acknowledged is there, and work goes on.

strace kills the process in the system call, so that no line of ours runs after it. One process with everything imported
forks a child per kind of work; each is killed at its own N-th call.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from oms_es.audit.copies import back_up
from oms_es.audit.replay import replay
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.builder import advance
from oms_es.projections.tables import update_tables
from oms_es.proof.verify import verify
from tests.desk import BUY, FREE, Clock, desk, facts_file, submitted, trade
from tests.torture.tracing import environment, need_strace

FEW = [("pwrite64", 7)]
MANY = [("pwrite64", number) for number in range(1, 121)] + [("fdatasync", number) for number in range(1, 31)]
PARTS = 10  # for the workers

WORK = """
import asyncio, os, sys
from pathlib import Path
from oms_es.audit.copies import back_up, salvage
from oms_es.audit.day_archive import pack
from oms_es.importers.facts import Defaults, read_facts
from oms_es.importers.importer import import_facts
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.builder import advance
from oms_es.projections.tables import update_tables
from oms_es.vocabulary import CostMethod
from tests.desk import BUY, DAY, FREE, Clock, desk, trade

folder = Path(sys.argv[1])

def acknowledged(line):
    os.write(1, (line + "\\n").encode())

async def trading(log, work):
    oms = desk(log, Clock(), FREE)
    for number in range(8):
        await trade(oms, f"n-{number}", BUY, 10, 10)
        acknowledged(f"{work} {oms.log.head().seq}")
    await oms.close()

async def importing(log, work):
    oms = desk(log, Clock(), FREE)
    await import_facts(oms.sequencer, lambda: read_facts(folder / "facts.jsonl", Defaults()))
    acknowledged(f"{work} {oms.log.head().seq}")
    await oms.close()

async def closing(log, work):
    oms = desk(log, Clock(), FREE)
    await oms.close_day(DAY)
    acknowledged(f"{work} {oms.log.head().seq}")
    await oms.halt()
    acknowledged(f"{work} {oms.log.head().seq}")
    await oms.close()

WORKS = {
    "trade": lambda log: asyncio.run(trading(log, "trade")),
    "import": lambda log: asyncio.run(importing(log, "import")),
    "close-day": lambda log: asyncio.run(closing(log, "close-day")),
    "checkpoint": lambda log: advance(SqliteLog(log), every=5),
    "tables": lambda log: update_tables(SqliteLog(log), log.with_name("tables.db")),
    "archive": lambda log: pack(SqliteLog(log), DAY, log.with_name("day.omsday"), CostMethod.FIFO, "1"),
    "backup": lambda log: back_up(log, log.with_name("backup.db")),
    "salvage": lambda log: salvage(log, log.with_name("saved.db")),
}

for work, run in WORKS.items():
    child = os.fork()
    if not child:
        run(folder / work / "day.db")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    acknowledged(f"{work} {'killed' if os.WIFSIGNALED(status) else 'ended' if not status else 'failed'}")
"""
WORKS = ("trade", "import", "close-day", "checkpoint", "tables", "archive", "backup", "salvage")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a log of a short day, in one file."""
    path = tmp_path_factory.mktemp("base") / "day.db"

    async def play() -> None:
        async with desk(path, Clock(), FREE) as oms:
            for number in range(12):
                await trade(oms, f"o-{number}", BUY, 10, 10)

    asyncio.run(play())
    back_up(path, path.with_name("whole.db"))
    return path.with_name("whole.db")


def killed_at(base: Path, folder: Path, call: str, number: int) -> dict[str, list[str]]:
    """Run every kind of work, each killed at its N-th call; return the lines of each."""
    facts_file(folder / "facts.jsonl", *(submitted(n, f"i-{n}") for n in range(60)))
    for work in WORKS:
        (folder / work).mkdir()
        back_up(base, folder / work / "day.db")
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}", "-o", os.devnull]
    done = subprocess.run(
        ["strace", "-f", *inject, sys.executable, "-c", WORK, str(folder)],
        check=False,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    lines: dict[str, list[str]] = {work: [] for work in WORKS}
    for line in done.stdout.splitlines():
        work, _, rest = line.partition(" ")
        lines[work].append(rest)
    return lines


def refuse_loss(folder: Path, lines: list[str]) -> None:
    """Check the log, and each file that has its name: sound, by whole commands, with everything acknowledged."""
    log = SqliteLog.existing(folder / "day.db")
    try:
        seqs = [int(line) for line in lines if line.isdigit()]
        assert log.head().seq >= max(seqs, default=0), "an acknowledged command is lost"
        assert replay(log.read(), check=True).divergent == [], "a command is there by half"
        advance(log, every=5)
        update_tables(log, folder / "tables.db")
    finally:
        log.close()
    assert verify(folder / "day.db").is_sound
    for name in ("backup.db", "saved.db"):
        if (folder / name).exists():
            assert verify(folder / name).is_sound, f"{name} has its name, and is not whole"


def endure(base: Path, tmp_path: Path, points: list[tuple[str, int]], figure: Callable[[str], None]) -> None:
    need_strace()
    killed: Counter[str] = Counter()
    for number, (call, at) in enumerate(points):
        folder = tmp_path / str(number)
        folder.mkdir()
        lines = killed_at(base, folder, call, at)
        for work in WORKS:
            assert lines[work][-1] in {"killed", "ended"}, (work, lines[work])
            killed[work] += lines[work][-1] == "killed"
            refuse_loss(folder / work, lines[work])
        shutil.rmtree(folder)
    figure(f"{killed.total()} kills at the N-th write or fsync, none loses a command: {dict(killed)}")
    assert killed.total() > len(points)


def test_a_process_that_is_killed_in_a_write_loses_nothing_acknowledged(
    base: Path, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    endure(base, tmp_path, FEW, figure)


@pytest.mark.torture
@pytest.mark.parametrize("part", range(PARTS))
def test_no_kill_in_any_write_loses_an_acknowledged_command(
    part: int, base: Path, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    endure(base, tmp_path, MANY[part::PARTS], figure)
