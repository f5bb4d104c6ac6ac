"""
Forgeries of a log by the hundreds, without and with recomputing the chain, with and without a signed checkpoint.

Each forgery is repeated by its attack and its seed: `forge(log, copy, attack, seed, recompute=…)`.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from oms_es.log.sqlite import SqliteLog
from oms_es.proof import verify
from oms_es.proof.checkpoint import sign_head, write_note
from oms_es.proof.keys import SigningKey, create
from tests.golden_days import restore
from tests.proof.forging import ATTACKS, forge

MANY = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the log of three days, a key, and a checkpoint of the whole log."""
    log: SqliteLog = restore("three_days", tmp_path / "day.db")
    create("desk", tmp_path / "desk.key")
    write_note(sign_head(log, [SigningKey.load(tmp_path / "desk.key")]), tmp_path / "head.ckpt")
    log.close()
    return tmp_path


def unnoticed(folder: Path, attack: str, seeds: int, *, recompute: bool) -> tuple[list[int], list[int], list[int]]:
    """Return the seeds of forgeries not noticed without a checkpoint, with one, and named at a wrong seq."""
    alone, anchored, misplaced = list[int](), list[int](), list[int]()
    checkpoint, key = [folder / "head.ckpt"], [folder / "desk.key.pub"]
    for seed in range(seeds):
        forged = forge(folder / "day.db", folder / "forged.db", attack, seed, recompute=recompute)
        if verify(forged.path, quick=True).is_sound:
            alone.append(seed)
        found = verify(forged.path, checkpoint, key, quick=True)
        if found.is_sound:
            anchored.append(seed)
        elif not recompute and found.first_bad_seq != forged.first:
            misplaced.append(seed)
    return alone, anchored, misplaced


@pytest.mark.torture
@pytest.mark.parametrize("recompute", [False, True], ids=["naive", "recomputed"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_forgery_passes_a_checkpoint(
    attack: str, recompute: bool, folder: Path, figure: Callable[[str], None]
) -> None:
    alone, anchored, misplaced = unnoticed(folder, attack, MANY, recompute=recompute)

    who = "with a recomputed chain" if recompute else "without recomputing"
    figure(
        f"forging: {attack:<9} {who:<23} {MANY} forgeries, seeds 0 to {MANY - 1}: not noticed with a checkpoint "
        f"{len(anchored)}, by the chain alone {len(alone)}"
        + ("" if recompute else f", wrong first seq {len(misplaced)}")
    )
    assert anchored == []
    assert misplaced == []
    if recompute or attack == "truncate":
        assert len(alone) > MANY // 10, "the control: the chain alone must not notice these"
    else:
        assert alone == []
