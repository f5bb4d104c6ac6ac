"""`verify`: what it finds in a log, with and without signed checkpoints."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from oms_es.log.sqlite import SqliteLog
from oms_es.proof import Verification, verify
from oms_es.proof.checkpoint import Checkpoint, sign_head, write_note
from oms_es.proof.keys import SigningKey, VerifierKey, create
from tests.desk import BUY, DAY, desk, trade
from tests.golden_days import SPANS, restore
from tests.proof.forging import ATTACKS, CHAIN, STATE, forge, recompute_chain
from tests.tampering import LAST, run, short_day, tampered


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a log, a key, and checkpoints of the log at its end and in the middle."""
    folder = tmp_path_factory.mktemp("proof")
    short_day(folder / "day.db")
    create("desk", folder / "desk.key")
    key = SigningKey.load(folder / "desk.key")
    log = SqliteLog.existing(folder / "day.db")
    write_note(sign_head(log, [key]), folder / "head.ckpt")
    write_note(sign_head(log, [key]), folder / "all.ckpts", append=True)
    log.close()
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def verified(folder: Path, *checkpoints: str, keys: bool = True) -> Verification:
    names = checkpoints or ("head.ckpt",)
    return verify(
        folder / "day.db", [folder / name for name in names], [folder / "desk.key.pub"] if keys else [], quick=False
    )


def resign(folder: Path, events: int, name: str = "old.ckpt") -> None:
    """Sign a checkpoint of the first events, as it would have been made then."""
    log = SqliteLog.existing(folder / "day.db")
    from oms_es.proof.merkle import Frontier

    frontier = Frontier()
    for _, leaf in log.verified(0, events):
        frontier.add(leaf)
    meta = log.meta()
    assert meta is not None
    note = Checkpoint(meta.log_id, events, frontier.root()).signed_by(SigningKey.load(folder / "desk.key"))
    write_note(note, folder / name)
    log.close()


def test_a_sound_log_with_a_signed_checkpoint_is_anchored(folder: Path) -> None:
    found = verified(folder)

    log = SqliteLog.existing(folder / "day.db")
    assert found.rows() == {
        "status": "anchored",
        "events": LAST,
        "head_chain": log.chain_at(LAST),
        "first_bad_seq": None,
        "kind": None,
        "detail": None,
        "checkpoints": [{"file": str(folder / "head.ckpt"), "events": LAST, "ok": True, "key": "desk"}],
        "tail": {"events": 0, "seconds": 0},
    }
    assert found.exit_code == 0


def test_without_a_checkpoint_or_its_key_a_sound_log_is_not_anchored(folder: Path) -> None:
    alone, no_key = verify(folder / "day.db"), verified(folder, keys=False)

    assert (alone.status, alone.exit_code, alone.tail_events) == ("unanchored", 3, LAST)
    assert (no_key.status, no_key.checkpoints[0].ok, no_key.checkpoints[0].key) == ("unanchored", True, None)


def test_the_tail_after_the_last_checkpoint_is_reported(folder: Path) -> None:
    resign(folder, 9)

    found = verified(folder, "old.ckpt")

    rows = list(SqliteLog.existing(folder / "day.db").rows())
    assert (found.status, found.tail_events) == ("anchored", LAST - 9)
    assert found.tail_seconds == (rows[-1].recorded_at - rows[8].recorded_at) / 1e9


@pytest.mark.parametrize("day", SPANS)
@pytest.mark.parametrize("release", ["", "rules_2"])
def test_the_golden_logs_of_every_release_verify(day: str, release: str, tmp_path: Path) -> None:
    restore(day, tmp_path / "day.db", release).close()

    assert verify(tmp_path / "day.db").status == "unanchored"


@pytest.mark.parametrize("content", [None, b"", b"no log at all"])
def test_a_file_that_is_no_log_is_unreadable(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "day.db").write_bytes(content)

    found = verify(tmp_path / "day.db")

    assert (found.status, found.exit_code) == ("unreadable", 4)


# --- kinds of damage, by somebody who does not recompute the chain ---

APPENDED = """INSERT INTO events SELECT 14, originator_id, 9, topic, state, account, origin, occurred_at, effective_at,
recorded_at, trading_day, NULL, chain FROM events WHERE seq = 12"""
CASES = [
    ("UPDATE events SET state = CAST(replace(state, '100', '900') AS BLOB) WHERE seq = 2", 2, "altered"),
    ("UPDATE events SET recorded_at = recorded_at + 1 WHERE seq = 5", 5, "altered"),
    ("UPDATE events SET chain = zeroblob(32) WHERE seq = 5", 5, "altered"),
    ("UPDATE events SET chain = 'text' WHERE seq = 13", 13, "altered"),
    ("UPDATE events SET topic = 999 WHERE seq = 4", 4, "altered"),
    ("UPDATE names SET name = 'other' WHERE name = 'OrderSubmitted'", 2, "altered"),
    ("UPDATE streams SET name = 'o-9' WHERE name = 'o-2'", 7, "altered"),
    ("DELETE FROM events WHERE seq = 6", 6, "missing"),
    ("DELETE FROM events WHERE seq = 1", 1, "missing"),
    ("UPDATE events SET seq = 20 WHERE seq = 13", 13, "missing"),
    ("UPDATE events SET seq = -1 WHERE seq = 13", -1, "inserted"),
    (APPENDED, 14, "inserted"),
    ("DELETE FROM events WHERE seq = 13", 13, "truncated"),
    ("DELETE FROM events WHERE seq > 5", 6, "truncated"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "seq", "kind"), CASES)
def test_the_first_bad_seq_and_the_kind_of_damage_are_named(change: str, seq: int, kind: str, folder: Path) -> None:
    tampered(folder / "day.db", "PRAGMA ignore_check_constraints=ON", change)

    found = verified(folder)

    assert (found.status, found.exit_code) == ("mismatch", 1)
    assert (found.first_bad_seq, found.kind) == (seq, kind), found.detail


KINDS = {"swap": "reordered", "truncate": "truncated"}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_forgery_without_recomputing_is_found_at_its_first_seq(attack: str, folder: Path) -> None:
    kinds = set()
    for seed in range(6):
        forged = forge(folder / "day.db", folder / "forged.db", attack, seed, recompute=False)
        found = verify(forged.path, [folder / "head.ckpt"], [folder / "desk.key.pub"], quick=True)

        assert found.status == "mismatch", forged.what
        assert found.first_bad_seq == forged.first, (forged.what, found.detail)
        kinds.add(found.kind)
    assert KINDS.get(attack) in {None, *kinds}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_recomputed_forgery_is_found_by_a_checkpoint_alone(attack: str, folder: Path) -> None:
    resign(folder, 1)
    unseen = 0
    for seed in range(6):
        forged = forge(folder / "day.db", folder / "forged.db", attack, seed, recompute=True)
        alone = verify(forged.path, quick=True)
        files = [folder / "old.ckpt", folder / "head.ckpt"]
        anchored = verify(forged.path, files, [folder / "desk.key.pub"], quick=True)

        unseen += alone.status == "unanchored"
        assert anchored.status == "mismatch", forged.what
        if "written anew" in str(anchored.detail):
            assert anchored.first_bad_seq is not None
            assert anchored.first_bad_seq <= forged.first
    assert unseen, "the control: some of these must be invisible to the chain alone"


def test_after_a_recomputed_forgery_the_stretch_between_two_checkpoints_is_named(folder: Path) -> None:
    resign(folder, 6)
    seed = next(
        seed
        for seed in range(99)
        if forge(folder / "day.db", folder / "forged.db", "alter", seed, recompute=True).first > 6
        and verify(folder / "forged.db", quick=True).is_sound
    )
    shutil.move(folder / "forged.db", folder / "day.db")

    found = verified(folder, "old.ckpt", "head.ckpt")

    assert (found.status, found.kind, found.first_bad_seq) == ("mismatch", "altered", 7), seed
    assert f"written anew somewhere from seq 7 to {LAST}" in str(found.detail)
    assert [each.ok for each in found.checkpoints] == [True, False]


# --- objects, logs, signatures, indexes ---


@pytest.mark.parametrize("statement", [
    "CREATE TRIGGER drops AFTER INSERT ON events BEGIN SELECT 1; END",
    "CREATE VIEW extra AS SELECT * FROM events",
    "CREATE TABLE extra(a)",
    "CREATE INDEX extra ON events(state)",
    "DROP TRIGGER events_no_update",
    "DROP VIEW journal",
])  # fmt: skip
def test_an_object_that_is_not_of_a_log_is_reported(statement: str, folder: Path) -> None:
    run(folder / "day.db", statement)

    found = verified(folder)

    assert (found.status, found.kind, found.first_bad_seq) == ("mismatch", "foreign_object", None)


def test_a_view_in_place_of_a_table_is_never_read(folder: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT * FROM n"
    run(folder / "day.db", "ALTER TABLE events RENAME TO other", f"CREATE VIEW events AS {endless}")

    assert verified(folder).exit_code in {1, 4}


def test_a_checkpoint_of_another_log_is_reported(folder: Path, tmp_path: Path) -> None:
    short_day(tmp_path / "other.db")

    found = verify(tmp_path / "other.db", [folder / "head.ckpt"], [folder / "desk.key.pub"])

    assert (found.status, found.kind) == ("mismatch", "another_log")


def test_a_wrong_signature_key_or_note_is_reported(folder: Path) -> None:
    note = (folder / "head.ckpt").read_text()
    create("desk", folder / "other.key")
    (folder / "events.ckpt").write_text(note.replace(f"\n{LAST}\n", "\n12\n"))
    (folder / "text.ckpt").write_text("nothing")
    key = folder / "desk.key.pub"

    for file, keys in (("head.ckpt", [folder / "other.key.pub"]), ("events.ckpt", [key]), ("text.ckpt", [key]),
                       ("missing.ckpt", [key])):  # fmt: skip
        found = verify(folder / "day.db", [folder / file], keys)
        assert (found.status, found.kind) == ("mismatch", "signature"), file
        assert not found.checkpoints[0].ok


def test_several_signatures_may_follow_and_unknown_ones_are_ignored(folder: Path) -> None:
    create("auditor", folder / "auditor.key")
    log = SqliteLog.existing(folder / "day.db")
    both = sign_head(log, [SigningKey.load(folder / "auditor.key"), SigningKey.load(folder / "desk.key")])
    write_note(both, folder / "both.ckpt")

    for name in ("auditor", "desk"):
        found = verify(log, [folder / "both.ckpt"], [VerifierKey.load(folder / f"{name}.key.pub")])
        assert (found.status, found.checkpoints[0].key) == ("anchored", name)


def test_a_damaged_page_is_reported_with_the_first_row_that_cannot_be_read(folder: Path) -> None:
    path = folder / "day.db"
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    at = content.index(b'"order_id"') if b'"order_id"' in content else content.index(b"ADAUSDM")
    content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)

    found = verified(folder)

    assert found.status == "mismatch"
    assert found.first_bad_seq is not None


def test_an_index_that_lacks_a_row_is_reported_unless_quick(folder: Path) -> None:
    path = folder / "day.db"
    (root,) = run(path, "SELECT rootpage FROM sqlite_master WHERE name = 'events_command'")[0]
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    (size,) = run(path, "PRAGMA page_size")[0]
    content = bytearray(path.read_bytes())
    start = (root - 1) * size
    cells = slice(start + 3, start + 5)  # the number of cells of the page
    content[cells] = (int.from_bytes(content[cells], "big") - 1).to_bytes(2, "big")
    path.write_bytes(content)

    assert "an index of the file is damaged" in str(verified(folder).detail)
    assert verify(path, quick=True).status == "unanchored"


def test_the_digests_of_a_closed_day_show_a_change_although_the_chain_was_computed_again(tmp_path: Path) -> None:
    async def closed_day() -> None:
        async with desk(tmp_path / "day.db") as oms:
            await trade(oms, "o-1", BUY, 100, 10)
            await oms.close_day(DAY)

    asyncio.run(closed_day())
    assert verify(tmp_path / "day.db").status == "unanchored"
    with closing(sqlite3.connect(tmp_path / "day.db", isolation_level=None)) as db:
        rows = [list(row) for row in db.execute("SELECT * FROM events ORDER BY seq")]
        (fill,) = [row for row in rows if b'"fill_price"' in row[STATE]]
        fill[STATE] = fill[STATE].replace(b'"fill_price":"10"', b'"fill_price":"11"')
        recompute_chain(db, rows)
    tampered(
        tmp_path / "day.db",
        *(f"UPDATE events SET state = x'{row[STATE].hex()}', chain = x'{row[CHAIN].hex()}' WHERE seq = {row[0]}"
          for row in rows),
    )  # fmt: skip

    found = verify(tmp_path / "day.db")

    assert (found.kind, found.first_bad_seq) == ("altered", rows[-1][0])
    assert f"the digests of the closed day {DAY} differ: positions" in str(found.detail)
    assert verify(tmp_path / "day.db", quick=True).is_sound
