"""A day archive with the signed checkpoint that covers it."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from oms_es.audit.archive_check import verify_archive
from oms_es.audit.day_archive import pack, unpack
from oms_es.errors import InvalidNote
from oms_es.log.sqlite import SqliteLog
from oms_es.proof.checkpoint import sign_head, signed, write_note
from oms_es.proof.keys import SigningKey, VerifierKey, create
from oms_es.proof.merkle import Frontier
from oms_es.vocabulary import CostMethod
from tests.cli.test_cli import Oms
from tests.golden_days import restore

DAYS = ("2024-03-06", "2024-03-07", "2024-03-08")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a log of three days, a key, and a checkpoint of its end."""
    folder = tmp_path_factory.mktemp("anchor")
    log = restore("three_days", folder / "day.db")
    create("desk", folder / "desk.key")
    write_note(sign_head(log, [SigningKey.load(folder / "desk.key")]), folder / "head.ckpt")
    log.close()
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def packed(folder: Path, day: str, checkpoints: str | None = "head.ckpt") -> Path:
    log = SqliteLog.existing(folder / "day.db")
    file = None if checkpoints is None else folder / checkpoints
    pack(log, day, folder / "day.omsday", CostMethod.FIFO, "1", file)
    return folder / "day.omsday"


@pytest.mark.parametrize("day", DAYS)
def test_each_day_is_anchored_by_a_later_checkpoint(day: str, folder: Path) -> None:
    key = VerifierKey.load(folder / "desk.key.pub")

    found = verify_archive(packed(folder, day), [key])

    assert (found.status, found.exit_code, found.checkpoints[0].key) == ("anchored", 0, "desk")
    assert verify_archive(folder / "day.omsday", []).status == "unanchored"
    assert verify_archive(packed(folder, day, None), [key]).exit_code == 3


def test_the_checkpoint_of_the_last_event_of_a_day_anchors_it_without_a_path(folder: Path) -> None:
    last = unpack(packed(folder, DAYS[0], None)).manifest.last_seq
    log, frontier = SqliteLog.existing(folder / "day.db"), Frontier()
    for _, leaf in log.verified(0, last):
        frontier.add(leaf)
    meta = log.meta()
    assert meta is not None
    key = SigningKey.load(folder / "desk.key")
    write_note(signed(meta.log_id, frontier, [key]), folder / "head.ckpt", append=True)

    archive = unpack(packed(folder, DAYS[0]))

    assert archive.anchor is not None
    assert archive.anchor.path == []
    assert archive.anchored([key.verifier]) == (last, "desk")


def test_a_day_after_the_last_checkpoint_cannot_be_anchored(folder: Path) -> None:
    log = SqliteLog.existing(folder / "day.db")
    meta = log.meta()
    assert meta is not None
    write_note(signed(meta.log_id, Frontier(), [SigningKey.load(folder / "desk.key")]), folder / "old.ckpt")

    with pytest.raises(InvalidNote, match="no checkpoint of this log with at least"):
        packed(folder, DAYS[2], "old.ckpt")


def repacked(path: Path, member: str, change: Any) -> Path:
    """Write an archive again with one member changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[member] = change(members[member])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_the_rows_of_another_day_are_not_anchored_by_the_anchor_of_this_one(folder: Path) -> None:
    with zipfile.ZipFile(packed(folder, DAYS[1])) as archive:
        anchor = archive.read("anchor.json")

    found = verify_archive(
        repacked(packed(folder, DAYS[2]), "anchor.json", lambda _: anchor), [VerifierKey.load(folder / "desk.key.pub")]
    )

    assert (found.status, found.exit_code, found.kind) == ("mismatch", 1, "signature")


def test_a_changed_archive_is_a_mismatch_and_another_file_unreadable(folder: Path) -> None:
    path = repacked(packed(folder, DAYS[1]), "rows.jsonl", lambda rows: rows.replace(b"0", b"1", 1))

    assert verify_archive(path, []).exit_code == 1
    assert verify_archive(folder / "day.db", []).exit_code == 4
    assert verify_archive(folder / "missing", []).exit_code == 4


def test_replay_and_verify_state_whether_an_archive_is_anchored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    oms = Oms(folder / "day.db")
    oms(f"export --day {DAYS[1]} -o day.omsday --checkpoint head.ckpt")

    assert "signed by desk" in oms("replay day.omsday --key desk.key.pub").stderr
    assert "not anchored: no key was named" in oms("replay day.omsday").stderr
    assert oms.json("verify day.omsday --key desk.key.pub")["status"] == "anchored"
    oms("verify day.omsday", code=3)
    create("desk", folder / "other.key")
    assert "it is signed by desk" in oms("replay day.omsday --key other.key.pub", code=1).stderr
    oms(f"export --day {DAYS[1]} -o day.omsday")
    assert "not anchored: the archive has no checkpoint" in oms("replay day.omsday").stderr
