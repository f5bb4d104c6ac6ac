"""
A power cut at any moment, on a disk that lost, kept or tore whatever was not synced.

After it the log is a prefix of what was written, by whole commits, with every acknowledged command; a backup that has
its name is whole. The control: with `durability: normal` acknowledged commands are lost, so the model does bite.
"""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from oms_es.errors import OmsError
from oms_es.log.hash_chain import StoredRow
from oms_es.log.sqlite import SqliteLog
from oms_es.proof.verify import verify
from tests.desk import mark
from tests.torture.tracing import Call, Disk, everything, need_strace, nothing, some, torn, traced

FEW, MANY, PARTS = 120, 20_000, 10  # states; parts of them, for the workers

WORK = """
import asyncio, sys
from pathlib import Path
from oms_es.audit.copies import back_up
from oms_es.engine.settings import Settings
from oms_es.importers.facts import Defaults, read_facts
from oms_es.importers.importer import import_facts
from tests.desk import BUY, Clock, desk, fact, facts_file, filled, ruled, submitted, trade

folder, durability, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
log, clock = folder / "day.db", Clock()
rules = ruled(risk={"max_position_size": None, "max_open_orders": None}, log={"durability": durability})
facts = facts_file(folder / "facts.jsonl", *(submitted(n, f"i-{n}") for n in range(30)))

def acknowledge(oms):
    sys.stdout.write(f"{oms.log.head().seq}\\n")

async def session(number):
    oms = desk(log, clock, rules)
    for each in range(rounds):
        await asyncio.gather(*(trade(oms, f"o-{number}-{each}-{n}", BUY, 10, 10) for n in range(1 + each % 3)))
        acknowledge(oms)
        oms.log._writer().execute("PRAGMA wal_autocheckpoint=6")
    await import_facts(oms.sequencer, lambda: read_facts(facts, Defaults(id_prefix=f"{number}-")))
    acknowledge(oms)
    await oms.halt(reason="drill")
    await oms.resume()
    acknowledge(oms)
    back_up(log, folder / f"backup-{number}.db")
    await oms.close()

async def main():
    for number in range(2):
        await session(number)

asyncio.run(main())
"""


@dataclass(frozen=True)
class Recorded:
    """The calls of a run, and the rows of the log at its end."""

    folder: str
    calls: list[Call]
    rows: list[StoredRow]


def recorded(folder: Path, durability: str, rounds: int) -> Recorded:
    need_strace()
    folder.mkdir()
    calls = traced(WORK, folder, durability, rounds)
    with closing(SqliteLog(folder / "day.db")) as log:
        rows = list(log.rows())
    assert sum(call.name == "ack" for call in calls) == 2 * (rounds + 2)
    return Recorded(str(folder), calls, rows)


def states(run: Recorded, count: int, seed: int) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Yield for `count` power cuts the seq that was acknowledged last, and the files that are left."""
    points = [number for number, call in enumerate(run.calls) if call.name != "ack"]
    chance = random.Random(seed)
    chosen = [points[each * len(points) // count] for each in range(count)]
    disk, acknowledged, at = Disk(run.folder), 0, 0
    for number, call in enumerate(run.calls):
        disk.take(call)
        if call.name == "ack":
            acknowledged = int(call.data)
        while at < len(chosen) and chosen[at] == number:
            kind = at % 4
            choose = (nothing, everything, some(chance), torn(chance))[kind]
            yield acknowledged, disk.image(choose, None if kind == 1 else chance)
            at += 1


def left(files: dict[str, bytes], folder: Path) -> Path:
    """Write the files of a state into a folder; return the log."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, content in files.items():
        (folder / Path(path).name).write_bytes(content)
    return folder / "day.db"


def outcome(run: Recorded, log: Path, acknowledged: int, *, go_on: bool) -> str:
    """Return "" if the log is right after a power cut, else the kind of error."""
    try:
        with closing(SqliteLog(log)) as opened:
            rows = list(opened.rows())
            if rows != run.rows[: len(rows)]:
                return "another history"
            if len(rows) < acknowledged:
                return "lost"
            if len(rows) < len(run.rows) and run.rows[len(rows)].command_id is None:
                return "half a command"
            if go_on:
                at = rows[-1].recorded_at if rows else run.rows[0].recorded_at
                opened.append([mark("AFTER", at=at)], len(rows))
        if go_on and not verify(log, quick=True).is_sound:
            return "unsound after an append"
    except OmsError as error:
        return f"not readable: {error}"
    return ""


def backups(run: Recorded, folder: Path) -> str:
    """Return "" if each backup that has its name is whole."""
    for path in folder.glob("backup-?.db"):
        with closing(SqliteLog(path)) as log:
            rows = list(log.rows())
        if not rows or rows != run.rows[: len(rows)]:
            return "a backup is not whole"
    return ""


def cut(run: Recorded, count: int, folder: Path, seed: int = 1) -> dict[str, int]:
    """Return how many states went wrong, by the kind of error."""
    wrong: dict[str, int] = {}
    for number, (acknowledged, files) in enumerate(states(run, count, seed)):
        log = left(files, folder)
        found = outcome(run, log, acknowledged, go_on=number % 10 == 0) or backups(run, folder)
        if found:
            wrong[found] = wrong.get(found, 0) + 1
    return wrong


def endure(tmp_path: Path, count: int, rounds: int, seed: int, figure: Callable[[str], None]) -> None:
    run = recorded(tmp_path / "full", "full", rounds)
    assert cut(run, count, tmp_path / "after", seed) == {}

    control = recorded(tmp_path / "normal", "normal", rounds)
    lost = cut(control, count // 4, tmp_path / "after", seed)
    figure(
        f"{count} power cuts at {len(run.calls)} calls, seed {seed}: none wrong; "
        f"control with durability normal: {lost.get('lost', 0)} of {count // 4} lose acknowledged commands"
    )
    assert set(lost) == {"lost"}, "the control loses acknowledged commands, and nothing worse"


def test_a_power_cut_loses_and_halves_no_acknowledged_command(tmp_path: Path, figure: Callable[[str], None]) -> None:
    endure(tmp_path, FEW, 2, 0, figure)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(1, PARTS + 1))
def test_no_power_cut_loses_or_halves_an_acknowledged_command(
    seed: int, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    endure(tmp_path, MANY // PARTS, 4 + seed, seed, figure)
