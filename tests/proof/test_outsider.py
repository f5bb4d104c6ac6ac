"""An outsider's verifier and the product agree on every row, root, note and path."""

import asyncio
import json
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from oms_es.errors import InvalidNote, OmsError
from oms_es.log.sqlite import SqliteLog
from oms_es.proof.checkpoint import Checkpoint, sign_head, signed, write_note
from oms_es.proof.keys import SigningKey, VerifierKey, create
from oms_es.proof.merkle import Frontier, Tree
from oms_es.proof.prove import check_proof, prove_consistency, prove_order
from oms_es.proof.tree_head import frontier_of
from oms_es.timestamps import SECOND
from tests.desk import ADA, FREE, START, Clock, desk, submit
from tests.golden_days import SPANS, restore
from tests.proof import outsider

TOOL = Path(__file__).resolve().parents[2] / "tools/verify_proof.py"
LOGS = [*((day, release) for day in SPANS for release in ("", "rules_2")), ("random", "1"), ("random", "2")]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    path = tmp_path_factory.mktemp("key") / "desk.key"
    create("desk", path)
    return SigningKey.load(path)


def log_of(kind: str, which: str, path: Path) -> SqliteLog:
    if kind != "random":
        return restore(kind, path, which)
    asyncio.run(random_day(path, random.Random(which)))
    return SqliteLog.existing(path)


async def random_day(path: Path, dice: random.Random) -> None:
    """Trade at random, under ids of every kind."""
    texts = ["x", "ünï-✓", "a" * 64, "fact:00", "fact:0a0b", "FACT:0A", "0"]
    async with desk(path, Clock(tick=SECOND), FREE) as oms:
        for number in range(60):
            order_id, at = dice.choice(texts) + str(dice.randrange(9)), START - dice.choice([0, 10**9, 10**18])
            command_id = dice.choice([None, f"{dice.choice(texts)}{number:02}"])
            with suppress(OmsError):
                match dice.randrange(4):
                    case 0 | 1:
                        await submit(oms, order_id, command_id=command_id, account=dice.choice(["default", "b.2"]))
                    case 2:
                        await oms.add_fill(order_id, dice.randrange(1, 99), dice.randrange(1, 20), occurred_at=at)
                    case _:
                        await oms.record_mark(dice.choice([ADA, "BTC"]), dice.randrange(1, 20), command_id=command_id)


def tree_of(log: SqliteLog) -> Tree:
    return Tree([leaf for _, leaf in log.verified()])


@pytest.mark.parametrize(("kind", "which"), LOGS)
def test_an_outsider_has_the_same_rows_roots_notes_and_paths(
    kind: str, which: str, tmp_path: Path, key: SigningKey
) -> None:
    log = log_of(kind, which, tmp_path / "day.db")
    theirs, tree, size = outsider.read(log.path), tree_of(log), log.head().seq

    assert [row.chain for row in log.rows()] == theirs.chain
    assert [leaf for _, leaf in log.verified()] == theirs.leaves
    frontier = Frontier()
    for events, leaf in enumerate(theirs.leaves, 1):
        frontier.add(leaf)
        if events % 7 == 0 or events == size:
            assert outsider.root(theirs.leaves[:events]) == frontier.root() == tree.root(events)
            assert outsider.path(events // 2, theirs.leaves[:events]) == tree.inclusion(events // 2, events)
            assert outsider.consistency(events, theirs.leaves) == tree.consistency(events, size)
    note = sign_head(log, [key]).note
    assert outsider.checked_note(note, str(key.verifier)) == (theirs.log_id, size, frontier.root())
    file = tmp_path / "head.ckpt"
    write_note(sign_head(log, [key]), file)
    orders = sorted({row.originator_id for row in log.rows() if row.originator_id.startswith("order/")})
    for stream in orders:
        _, account, order_id = stream.split("/", 2)
        proof = prove_order(log, order_id, file, account)
        assert outsider.checked_order(proof, str(key.verifier)) == len(log.stream_rows(stream))


# --- proofs ---


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> tuple[Any, Any]:
    """Return a proof of an order, and one of consistency."""
    folder = tmp_path_factory.mktemp("proofs")
    log = restore("ordinary_day", folder / "day.db")
    log_id, frontier = frontier_of(log)
    early = Frontier()
    for _, leaf in log.verified(0, 20):
        early.add(leaf)
    write_note(signed(log_id, early, [key]), folder / "old.ckpt")
    write_note(signed(log_id, frontier, [key]), folder / "new.ckpt")
    order = next(row for row in log.rows() if row.topic == "FillAdded").originator_id.split("/", 2)[2]
    return prove_order(log, order, folder / "new.ckpt"), prove_consistency(
        log, folder / "old.ckpt", folder / "new.ckpt"
    )


def changed(proof: Any, *where: Any, to: Any) -> Any:
    """Return a copy of a proof with one field changed."""
    copy = json.loads(json.dumps(proof))
    part = copy
    for each in where[:-1]:
        part = part[each]
    part[where[-1]] = to(part[where[-1]]) if callable(to) else to
    return copy


def forged(proof: Any) -> list[Any]:
    other = "A" * 43 + "="
    if "path" in proof:
        return [
            changed(proof, "path", to=lambda path: path[:-1]),
            changed(proof, "path", to=lambda path: [*path, other]),
            changed(proof, "path", 0, to=other),
            {**proof, "old": proof["new"]},
            {**proof, "new": proof["old"]},
            changed(proof, "old", to=lambda note: note.replace("\n20\n", "\n19\n")),
            changed(proof, "log_id", to="other"),
            changed(proof, "path", to=None),
        ]
    return [
        changed(proof, "events", 0, "state", to="e30="),
        changed(proof, "events", 0, "recorded_at", to=lambda at: at + 1),
        changed(proof, "events", 0, "recorded_at", to=1.5),
        changed(proof, "events", 0, "command_id", to="other"),
        changed(proof, "events", 0, "salt", to="00" * 16),
        changed(proof, "events", 0, "index", to=0),
        changed(proof, "events", 1, "originator_version", to=3),
        changed(proof, "events", 0, "path", 0, to=other),
        changed(proof, "events", 0, "path", to=lambda path: path[:-1]),
        changed(proof, "events", to=lambda rows: rows[1:]),
        changed(proof, "events", to=lambda rows: rows[:-1]),
        changed(proof, "events", to=[]),
        changed(proof, "order", "order_id", to="other"),
        changed(proof, "complete", "stream_events", to=99),
        changed(proof, "checkpoint", to=lambda note: note.replace("— desk ", "— disk ")),
        changed(proof, "format", to=2),
        {name: proof[name] for name in proof if name != "order"},
    ]


def test_a_proof_is_accepted_and_every_change_of_it_refused(proofs: tuple[Any, Any], key: SigningKey) -> None:
    for proof in proofs:
        assert check_proof(proof, [key.verifier]).key == "desk"
        for number, each in enumerate(forged(proof)):
            with pytest.raises(InvalidNote):
                print(number, check_proof(each, [key.verifier]))


def test_a_proof_signed_by_another_key_is_refused(proofs: tuple[Any, Any], tmp_path: Path) -> None:
    other = create("desk", tmp_path / "other.key")

    for proof in proofs:
        with pytest.raises(InvalidNote, match="not by desk"):
            check_proof(proof, [other])


def test_the_proof_of_an_order_contains_nothing_else_of_the_log(proofs: tuple[Any, Any]) -> None:
    order, _ = proofs

    assert list(order) == ["version", "log_id", "format", "checkpoint", "order", "events", "complete"]
    assert list(order["events"][0]) == [
        "seq", "originator_id", "originator_version", "topic", "state", "account", "origin", "occurred_at",
        "effective_at", "recorded_at", "trading_day", "command_id", "salt", "index", "path",
    ]  # fmt: skip
    assert {each["originator_id"] for each in order["events"]} == {f"order/default/{order['order']['order_id']}"}


def test_the_tool_for_auditors_agrees_and_is_short(proofs: tuple[Any, Any], key: SigningKey, tmp_path: Path) -> None:
    source = TOOL.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 100
    assert "import oms_es" not in source
    (tmp_path / "desk.pub").write_text(f"{key.verifier}\n")
    same = {**proofs[1], "old": proofs[1]["new"], "path": []}
    (tmp_path / "same.json").write_text(json.dumps(same))
    files = {tmp_path / "same.json": True}
    for number, proof in enumerate(proofs):
        for which, each in enumerate([proof, *forged(proof)]):
            path = tmp_path / f"{number}-{which:02}.json"
            path.write_text(json.dumps(each))
            files[path] = which == 0
    program = (
        "import runpy, sys\n"
        "for path in sys.argv[3:]:\n"
        "    sys.argv[1:3] = [path, sys.argv[2]]\n"
        "    try: runpy.run_path(TOOL, run_name='__main__')\n"
        "    except SystemExit as end: print('@', path, end.code)\n"
        "    else: print('@', path)\n"
    ).replace("TOOL", repr(str(TOOL)))
    arguments = [sys.executable, "-W", "ignore", "-c", program, "-", str(tmp_path / "desk.pub"), *map(str, files)]
    printed = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout

    answers = dict(line[2:].partition(" ")[::2] for line in printed.splitlines() if line.startswith("@ "))
    assert {path: not answers[str(path)] for path in files} == files
    assert all(text == "" or text.startswith("NOT proven: ") for text in answers.values())


def test_the_events_after_a_checkpoint_are_left_out(tmp_path: Path, key: SigningKey) -> None:
    log = restore("ordinary_day", tmp_path / "day.db")
    fill = next(row for row in log.rows() if row.topic == "FillAdded")
    frontier = Frontier()
    for _, leaf in log.verified(0, fill.seq - 1):
        frontier.add(leaf)
    log_id, _ = frontier_of(log)
    note: Checkpoint = signed(log_id, frontier, [key])
    write_note(note, tmp_path / "early.ckpt")

    proof = prove_order(log, fill.originator_id.split("/", 2)[2], tmp_path / "early.ckpt")

    before = [row.seq for row in log.stream_rows(fill.originator_id) if row.seq < fill.seq]
    assert [each["seq"] for each in proof["events"]] == before
    assert "cannot be known" in check_proof(proof, [VerifierKey.parse(str(key.verifier))]).statement
