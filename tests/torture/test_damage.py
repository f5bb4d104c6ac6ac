"""
Damaged files: flipped bits, swapped and zeroed pages, an old file over the new one, caches of another state.

`verify` finds every damage that changes an event; where it finds none, every event and every answer is as before.
"""

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from oms_es.audit.copies import back_up
from oms_es.log.hash_chain import StoredRow
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.builder import advance
from oms_es.proof.checkpoint import sign_head, write_note
from oms_es.proof.keys import SigningKey, create
from oms_es.proof.verify import verify
from oms_es.queries.queries import AsOf, Queries
from oms_es.vocabulary import CostMethod
from tests.desk import BUY, FREE, Clock, desk, trade

FEW, MANY = 24, 600  # damages
PAGE = 4096
KINDS = ("flip", "flip", "flip", "zero", "swap", "old", "caches")


class Base(NamedTuple):
    """A log, an earlier copy of it, and a checkpoint of the log that is stored elsewhere."""

    log: Path
    old: Path
    note: Path
    key: Path
    rows: list[StoredRow]
    answers: list[object]


def answers(path: Path) -> list[object]:
    with closing(SqliteLog(path)) as log:
        queries = Queries(log)
        bases = [queries.basis(moment, CostMethod.FIFO) for moment in (AsOf(), AsOf(at_seq=60))]
        return [queries.positions(basis).rows() for basis in bases]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("base")
    live, log, old = (folder / name for name in ("live.db", "day.db", "old.db"))

    async def play() -> None:
        async with desk(live, Clock(), FREE) as oms:
            for number in range(60):
                await trade(oms, f"o-{number}", BUY, 10, 10)
                if number == 30:
                    back_up(live, old)

    asyncio.run(play())
    back_up(live, log)
    create("desk", folder / "desk.key")
    with closing(SqliteLog(log)) as opened:
        write_note(sign_head(opened, [SigningKey.load(folder / "desk.key")]), folder / "head.ckpt")
        rows = list(opened.rows())
    for each in (log, old):
        with closing(SqliteLog(each)) as opened:
            advance(opened, every=5)
    return Base(log, old, folder / "head.ckpt", folder / "desk.key.pub", rows, answers(log))


def damaged(base: Base, folder: Path, kind: str, chance: random.Random) -> Path:
    """Return a damaged copy of the log, with its caches."""
    path = folder / "day.db"
    for ending in ("", ".checkpoints"):
        shutil.copy(f"{base.log}{ending}", f"{path}{ending}")
    content = bytearray(path.read_bytes())
    first, second = (chance.randrange(len(content) // PAGE) * PAGE for _ in range(2))
    match kind:
        case "flip":
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        case "zero":
            content[first : first + PAGE] = bytes(PAGE)
        case "swap":
            one, other = content[first : first + PAGE], content[second : second + PAGE]
            content[first : first + PAGE], content[second : second + PAGE] = other, one
        case "old":
            content = bytearray(base.old.read_bytes())
        case "caches":
            shutil.copy(f"{base.old}.checkpoints", f"{path}.checkpoints")
    path.write_bytes(content)
    return path


def outcome(base: Base, path: Path) -> str:
    """Return "found", or "unchanged" if every event and every answer is as before."""
    found = verify(path, [base.note], [base.key])
    if not found.is_sound:
        return "found"
    with closing(SqliteLog(path)) as log:
        assert list(log.rows()) == base.rows, "an event was changed, and verify found nothing"
    assert answers(path) == base.answers, "an answer was changed, and verify found nothing"
    return "unchanged"


def endure(base: Base, tmp_path: Path, count: int, figure: Callable[[str], None]) -> None:
    seen: Counter[str] = Counter()
    for seed in range(count):
        chance, kind = random.Random(seed), KINDS[seed % len(KINDS)]
        folder = tmp_path / str(seed)
        folder.mkdir()
        found = outcome(base, damaged(base, folder, kind, chance))
        seen[f"{kind} {found}"] += 1
        assert (kind, found) not in {("old", "unchanged"), ("caches", "found")}
        shutil.rmtree(folder)
    figure(f"{count} damages, none changes an event or an answer unseen: {dict(sorted(seen.items()))}")


def test_damage_is_found_or_changes_nothing(base: Base, tmp_path: Path, figure: Callable[[str], None]) -> None:
    endure(base, tmp_path, FEW, figure)


@pytest.mark.torture
def test_no_damage_changes_an_event_or_an_answer_unseen(
    base: Base, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    endure(base, tmp_path, MANY, figure)
