"""
A disk that fails, a process that is killed, a log file that vanishes: at any write and any fsync of a child process.

Whatever happens, no acknowledged command is lost, none is there twice, and no answer is wrong. The faults are made by
a small library that is compiled here and preloaded into the child (`faults.c`).
"""

import asyncio
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from oms_es.log.sqlite import SqliteLog
from tests.desk import ROOT, desk, mark, position_of, ruled
from tests.tampering import broken_links

COMMANDS = 12
FEW = range(4)
MANY = range(100, 420)

TRADING = """
import asyncio, sys
from oms_es import OrderManagementSystem
from oms_es.errors import OmsError
from tests.desk import BUY, LIMIT, START, desk
from tests.log.test_faults import COMMANDS, RULES

async def one(oms, name):
    try:
        await oms.submit_order("X", BUY, LIMIT, 2, 10, name)
        await oms.add_fill(name, 2, 10, f"t-{name}")
        print("ack", name, flush=True)
    except OmsError as error:
        print("error", type(error).__name__, name, flush=True)

async def main():
    oms = desk(sys.argv[1], settings=RULES)
    for number in range(0, COMMANDS, 3):
        await asyncio.gather(*(one(oms, f"o-{number + each}") for each in range(3)))
        try:
            oms.log._writer().execute("PRAGMA wal_autocheckpoint=4")
        except OmsError:
            pass
        try:
            orders = sorted(f"{order.order_id}:{order.filled_quantity}" for order in oms.get_all_orders())
            print("held", *orders, flush=True)
        except OmsError as error:
            print("unanswered", type(error).__name__, flush=True)
    try:
        await oms.close()
    except OmsError as error:
        print("unclosed", type(error).__name__, flush=True)
    print("end", flush=True)

asyncio.run(main())
"""
RULES = ruled(
    risk={"max_position_size": None, "max_open_orders": None}, trading={"max_skew": None, "min_quote_size": 1}
)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and at which call."""

    call: str
    match: str
    at: int
    action: str

    @property
    def moves_the_file(self) -> bool:
        return self.action in {"unlink", "replace", "link", "unwal"}


def fault(seed: int) -> Fault:
    chance = random.Random(seed)
    action = ("eio", "kill", "eio", "full", "short", "unlink", "replace", "link", "unwal", "kill")[seed % 10]
    call = "write" if action in {"full", "short"} else chance.choice(["sync", "write"])
    match = chance.choice(["day.db-wal", "day.db-wal", "day.db"])
    most = {("sync", "day.db-wal"): 14, ("write", "day.db-wal"): 90, ("sync", "day.db"): 8, ("write", "day.db"): 50}
    return Fault(call, match, chance.randint(1, most[call, match]), action)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the compiled faults."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sys.platform != "linux":
        pytest.skip("faults are preloaded: this needs Linux and a C compiler")
    made = tmp_path_factory.mktemp("faults") / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    return made


def disturbed(library: Path, path: Path, what: Fault) -> list[str]:
    """Trade in a child in which `what` goes wrong; return the lines that it said."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "LD_PRELOAD": str(library),
        "FAULT_CALL": what.call,
        "FAULT_MATCH": what.match,
        "FAULT_AT": str(what.at),
        "FAULT_ACTION": what.action,
        "FAULT_LOG": str(path),
        "FAULT_ASIDE": str(path.with_name("aside")),
        "FAULT_OTHER": str(path.with_name("other")),
    }
    command = [sys.executable, "-c", TRADING, str(path)]
    done = subprocess.run(
        command, check=False, env=environment, cwd=path.parent, capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == (-9 if what.action == "kill" and "!\n" in done.stdout else 0), done.stderr
    return done.stdout.splitlines()


def put_back(path: Path) -> None:
    """Undo what was done to the file, as a person would who finds it."""
    aside, second = path.with_name("aside"), Path(f"{path}.second")
    if aside.exists():
        os.replace(aside, path)
    second.unlink(missing_ok=True)


def orders_in(path: Path) -> Counter[str]:
    """Return how often each order is in the log with its fill, once the chain is checked."""
    assert broken_links(path) == []
    with closing(SqliteLog(path)) as log:
        return Counter(row.originator_id.rpartition("/")[2] for row in log.rows() if row.topic == "FillAdded")


def acknowledged(lines: list[str]) -> set[str]:
    return {line.split()[1] for line in lines if line.startswith("ack ")}


def refuse_wrong_answers(lines: list[str]) -> None:
    """
    Check each answer of the child: every acknowledged fill is in it, and no other.

    Only a command that committed before the file was found changed may be seen: its error says that this is unknown.
    """
    known, unknown = set[str](), set[str]()
    for line in lines:
        kind, *rest = line.split()
        if kind == "ack":
            known.add(rest[0])
        elif kind == "error" and rest[0] == "LogFileChanged":
            unknown.add(rest[1])
        elif kind == "held":
            filled = {each.partition(":")[0] for each in rest if each.endswith(":2")}
            assert filled >= known, f"an answer lacks {known - filled}"
            assert filled <= known | unknown, f"an answer shows {filled - known}, which was not acknowledged"


async def repeated(path: Path) -> set[str]:
    """Ask for everything again with the same ids; return the orders that are filled."""
    async with desk(path, settings=RULES) as oms:
        for number in range(COMMANDS):
            name = f"o-{number}"
            await oms.submit_order("X", "buy", "limit", 2, 10, name)
            await oms.add_fill(name, 2, 10, f"t-{name}")
        assert position_of(oms, "X").quantity == 2 * COMMANDS
        return {order.order_id for order in oms.get_all_orders() if order.filled_quantity == 2}


def endure(library: Path, folder: Path, what: Fault) -> list[str]:
    path = folder / "day.db"
    other = SqliteLog(folder / "other")
    other.append([mark("X")], 0)
    other.close()

    lines = disturbed(library, path, what)

    refuse_wrong_answers(lines)
    unmade = (what.match, what.at) == ("day.db", 1)  # it vanishes before it was a log: another is begun in its place
    if "!" in lines and what.moves_the_file and not unmade:
        assert not acknowledged(lines[lines.index("!") :]), "acknowledged in a file that nobody finds again"
    if not unmade:
        put_back(path)
    left = orders_in(path)
    assert acknowledged(lines) <= left.keys(), "an acknowledged command is lost"
    assert set(left.values()) <= {1}, "a command is there twice"

    assert asyncio.run(repeated(path)) == {f"o-{number}" for number in range(COMMANDS)}
    assert orders_in(path) == {f"o-{number}": 1 for number in range(COMMANDS)}
    return lines


@pytest.mark.parametrize("seed", FEW)
def test_no_fault_loses_or_doubles_an_acknowledged_command(library: Path, tmp_path: Path, seed: int) -> None:
    endure(library, tmp_path, fault(seed))


@pytest.mark.torture
@pytest.mark.parametrize("seed", MANY)
def test_no_fault_anywhere_loses_or_doubles_an_acknowledged_command(library: Path, tmp_path: Path, seed: int) -> None:
    endure(library, tmp_path, fault(seed))


def errors(lines: list[str]) -> Iterator[str]:
    return (line.split()[1] for line in lines if line.startswith("error "))


def test_after_a_failed_fsync_the_outcome_is_unknown_and_the_writer_stops(library: Path, tmp_path: Path) -> None:
    lines = endure(library, tmp_path, Fault("sync", "day.db-wal", 5, "eio"))  # of a COMMIT, not of a checkpoint

    assert set(errors(lines)) == {"LogWriteUncertain"}
    assert not acknowledged(lines[lines.index("!") :])


def test_after_a_full_disk_the_same_process_goes_on(library: Path, tmp_path: Path) -> None:
    lines = endure(library, tmp_path, Fault("write", "day.db-wal", 20, "full"))

    assert set(errors(lines)) == {"LogWriteFailed"}
    assert acknowledged(lines[lines.index("!") :])


@pytest.mark.parametrize("action", ["unlink", "replace", "link", "unwal"])
def test_a_log_file_that_vanishes_stops_the_writer(library: Path, tmp_path: Path, action: str) -> None:
    lines = endure(library, tmp_path, Fault("sync", "day.db-wal", 3, action))

    assert set(errors(lines)) == {"LogFileChanged"}
