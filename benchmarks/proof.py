"""What proof costs: verification, signed checkpoints, the check of the chain while a log is replayed."""

import asyncio
import sqlite3
import tempfile
import time
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks import stock
from benchmarks.figures import Figure
from benchmarks.reading import Logs
from benchmarks.writing import LIMITS, client
from oms_es import OrderManagementSystem, Settings
from oms_es.log.decoding import SELECT
from oms_es.log.hash_chain import genesis
from oms_es.log.row_hashes import RowHashes
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.state import State
from oms_es.proof import verify
from oms_es.proof.keys import create
from oms_es.proof.merkle import Frontier

CLIENTS = 64
ORDERS = 40  # of a client, three commands each: enough events for several checkpoints
EVERY = 10_000  # events between two signed checkpoints


def figures(logs: Logs) -> list[Figure]:
    """Return the figures of proof, as CPU time, because other work on the machine would be measured with the clock."""
    return [
        Figure(
            name="verify",
            base="a raw scan with the same hashes",
            unit="µs of CPU an event",
            sample=lambda: (_verify(logs.small.path, quick=False), raw_scan(logs.small)),
            must=1.5,
        ),
        Figure(
            name="verify --quick",
            base="a raw scan with the same hashes",
            unit="µs of CPU an event",
            sample=lambda: (_verify(logs.small.path, quick=True), raw_scan(logs.small)),
            must=1.5,
        ),
        Figure(
            name="commands with signed checkpoints",
            base="the same commands without",
            unit="µs of CPU a command",
            sample=_signing,
            must=1.03,
            rounds=9,
        ),
        Figure(
            name="replay that checks the chain",
            base="the same replay with --no-verify",
            unit="µs of CPU an event",
            sample=lambda: (_replay(logs.small, verified=True), _replay(logs.small, verified=False)),
        ),
    ]


def raw_scan(log: SqliteLog) -> float:
    """Return the CPU time of an event for reading every column, leaf, chain and Merkle tree, with no other check."""
    meta = log.meta()
    assert meta is not None, "the log has events"
    with closing(sqlite3.connect(log.path)) as db:
        begun = time.process_time()
        hashes = RowHashes(meta.secret, lambda: dict(db.execute("SELECT id, name FROM names")))
        frontier, chain, events = Frontier(), genesis(meta.log_id), 0
        for row in db.execute(f"{SELECT} ORDER BY e.seq"):
            leaf = hashes.leaf(row)
            chain = sha256(chain + leaf).digest()
            frontier.add(leaf)
            events += 1
        spent = time.process_time() - begun
    assert chain == log.head().chain, "the scan computes the chain of the log"
    return spent / events * 1e6


def _verify(path: Path, *, quick: bool) -> float:
    begun = time.process_time()
    found = verify(path, quick=quick)
    assert found.is_sound, found.detail
    return (time.process_time() - begun) / found.events * 1e6


def _replay(log: SqliteLog, *, verified: bool) -> float:
    begun = time.process_time()
    State().replay(log.read_verified() if verified else log.read())
    return (time.process_time() - begun) / log.head().seq * 1e6


_turn = 0


def _signing() -> tuple[float, float]:
    """Return the CPU time of a command with and without checkpoints; the two take turns in being first."""
    global _turn  # noqa: PLW0603 - the rounds of one figure
    _turn += 1
    order = (True, False) if _turn % 2 else (False, True)
    spent = {signed: _trading(signed=signed) for signed in order}
    return spent[True], spent[False]


def _trading(*, signed: bool) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder, proof = Path(name), dict[str, Any]()
        if signed:
            create("desk", folder / "desk.key")
            paths = {"key": str(folder / "desk.key"), "checkpoints": str(folder / "day.ckpts")}
            proof = {"proof": {**paths, "every_events": str(EVERY)}}
        spent = asyncio.run(_measured(folder / "oms.db", Settings.from_mapping({**LIMITS, **proof})))
        assert not signed or (folder / "day.ckpts").exists(), "checkpoints were signed"
        return spent


async def _measured(path: Path, settings: Settings) -> float:
    begun = time.process_time()
    async with OrderManagementSystem(settings, log=path) as oms:
        await oms.record_mark("AAPL", "100")
        await asyncio.gather(*(client(oms, name, ORDERS) for name in range(CLIENTS)))
    return (time.process_time() - begun) / (CLIENTS * ORDERS * stock.COMMANDS) * 1e6
