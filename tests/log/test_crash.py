"""Killed at any moment: what was acknowledged is there, no command is there by half, and the work can go on."""

import asyncio
import random
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from oms_es.audit.redecide import by_command
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import Event
from oms_es.log.sqlite import SqliteLog
from tests.desk import child, desk, digest_of, fact, facts_file, filled, submitted, take_in
from tests.tampering import broken_links

FEW = range(2)
MANY = range(2, 100)

IMPORTING = """
import asyncio, sys
from pathlib import Path
from oms_es.importers import importer as door
from oms_es.importers.facts import Defaults, read_facts
from tests.desk import desk

door.CHUNK = 25  # more transactions to be killed in
log, file = Path(sys.argv[1]), Path(sys.argv[2])

def acknowledged():
    for number, fact in enumerate(read_facts(file, Defaults())):
        if number % door.CHUNK == 0:
            print(number)  # the facts before it are durable: the next chunk is only read then
        yield fact

async def main():
    readings = iter([lambda: read_facts(file, Defaults()), acknowledged])  # to check, and to import
    await door.import_facts(desk(log).sequencer, lambda: next(readings)())

asyncio.run(main())
"""

TRADING = """
import asyncio, sys
from pathlib import Path
from oms_es import OrderRejected
from tests.desk import START, BUY, SELL, LIMIT, desk, ruled

log, rounds = Path(sys.argv[1]), int(sys.argv[2])

async def strategy(oms, name):
    async def told(command, what):
        try:
            await what(command_id=command)
        except OrderRejected:
            pass
        print(command)

    for number in range(rounds):
        order_id = f"{name}-{number}"
        side = (BUY, SELL)[number % 2]

        def submit(quantity, order_id=order_id):
            return lambda **more: oms.submit_order(f"S{name}", side, LIMIT, quantity, 10, order_id, **more)

        await told(f"submit {order_id}", submit(100))
        await told(f"partly {order_id}", lambda **more: oms.add_fill(order_id, 40, 10, f"a-{number}", **more))
        await told(f"amend {order_id}", lambda **more: oms.amend_order(order_id, quantity=90 + number % 3, **more))
        if number % 4:
            await told(f"fill {order_id}", lambda **more: oms.add_fill(order_id, 50 + number % 3, 11, **more))
        else:
            await told(f"cancel {order_id}", lambda **more: oms.cancel_order(order_id, **more))
        await told(f"refuse {order_id}", submit(10**6, f"{order_id}-too-big"))
        await told(f"mark {order_id}", lambda **more: oms.record_mark(f"S{name}", 10 + number, **more))

async def main():
    rules = ruled(risk={"max_open_orders": None, "max_daily_loss": None})
    oms = desk(log, clock=lambda: START, settings=rules)
    print("ready")
    await asyncio.gather(*(strategy(oms, name) for name in "ABCDE"))

asyncio.run(main())
"""

# What each command comes to, whole.
WHOLE = {
    "submit": ["OrderSubmitted", "StateChanged"], "partly": ["StateChanged", "FillAdded"], "amend": ["OrderAmended"],
    "fill": ["FillAdded", "StateChanged"], "cancel": ["StateChanged"], "refuse": ["OrderSubmitted", "StateChanged"],
    "mark": ["MarkRecorded"], "": ["PolicyChanged"],
}  # fmt: skip


def killed(code: str, *arguments: object, after_lines: int, then_seconds: float, cwd: Path) -> list[str]:
    """Run `code` until it has said so many lines, kill it a moment later, and return all that it has said."""
    with child(code, *arguments, cwd=cwd) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = [process.stdout.readline() for _ in range(after_lines)]
        time.sleep(then_seconds)
        process.kill()
        said += process.stdout.readlines()
        assert "" not in said, f"it ended by itself: {process.stderr.read()}"
    assert process.returncode == -9, "it was through before it was killed"
    return [line.strip() for line in said if line.endswith("\n")]


def commands(path: Path) -> list[tuple[str, list[Recorded]]]:
    """Return each command id of a log and its events, once the chain is checked."""
    assert broken_links(path) == []
    with closing(SqliteLog(path)) as log:
        return [(group[0].command_id or "", group) for group in by_command(log.read())]


# --- an import ---


@dataclass(frozen=True)
class History:
    """A file of facts, and what importing it undisturbed comes to."""

    file: Path
    ids: list[str]
    commands: dict[str, list[Event]]
    digest: str


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    folder = tmp_path_factory.mktemp("undisturbed")
    lines: list[str] = []
    for number in range(400):
        seq, name = 10 * number, f"o-{number}"
        lines += [
            fact(seq, "mark", symbol="X", price=str(100 + number % 7)),
            submitted(seq + 1, name, side=("buy", "sell")[number % 2], price="100"),
            filled(seq + 2, name, "40", str(95 + number % 11), fee="0.01"),
            fact(seq + 3, "reduce", order_id=name, qty="10"),
            filled(seq + 4, name, ("50", "500")[number % 9 == 0], "100"),
        ]
    file = facts_file(folder / "facts.jsonl", *lines)

    async def undisturbed() -> None:
        async with desk(folder / "day.db") as oms:
            await take_in(oms, file)

    asyncio.run(undisturbed())
    whole = {name: [each.event for each in events] for name, events in commands(folder / "day.db")}
    return History(file, list(whole), whole, digest_of(folder / "day.db"))


def kill_an_import(history: History, path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(2):  # the second one is killed while it goes on where the first was
        said = killed(
            IMPORTING, path, history.file, after_lines=chance.randint(1, 30), then_seconds=chance.uniform(0, 0.01),
            cwd=path.parent,
        )  # fmt: skip
        left = {name: [each.event for each in events] for name, events in commands(path)}
        acknowledged = int(said[-1])
        assert list(left) == history.ids[: len(left)]
        assert len(left) >= acknowledged
        assert all(events == history.commands[name] for name, events in left.items())

    async def complete() -> None:
        async with desk(path) as oms:
            told = await take_in(oms, history.file)
            assert told.skipped == len(left)
            assert told.facts == len(history.ids)

    asyncio.run(complete())
    assert digest_of(path) == history.digest
    assert [name for name, _ in commands(path)] == history.ids


@pytest.mark.parametrize("seed", FEW)
def test_an_import_that_was_killed_is_completed_by_importing_again(history: History, tmp_path: Path, seed: int) -> None:
    kill_an_import(history, tmp_path / "day.db", seed)


@pytest.mark.torture
@pytest.mark.parametrize("seed", MANY)
def test_an_import_may_be_killed_at_any_moment(history: History, tmp_path: Path, seed: int) -> None:
    kill_an_import(history, tmp_path / "day.db", seed)


# --- trading ---

ROUNDS = 40


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the digest of all orders after trading that nobody disturbed."""
    path = tmp_path_factory.mktemp("undisturbed") / "day.db"
    trade_to_the_end(path)
    return orders_digest(path)


def trade_to_the_end(path: Path) -> None:
    with child(TRADING, path, ROUNDS, cwd=path.parent) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err


def orders_digest(path: Path) -> str:
    oms = desk(path)
    try:
        return oms.sequencer.state.orders.digest()
    finally:
        oms.sequencer.close()


def kill_trading(path: Path, undisturbed: str, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(2):  # the second one repeats what the first has done, and goes on
        said = killed(
            TRADING, path, ROUNDS * 1000, after_lines=chance.choice([1, 2, chance.randint(1, 6 * 5 * ROUNDS // 2)]),
            then_seconds=chance.uniform(0, 0.01), cwd=path.parent,
        )  # fmt: skip
        left = {name: [type(each.event).__name__ for each in events] for name, events in commands(path)}
        assert set(said[1:]) <= left.keys(), "an acknowledged command is lost"
        assert {name: WHOLE[name.partition(" ")[0]] for name in left} == left, "a command is there by half"

    trade_to_the_end(path)
    assert orders_digest(path) == undisturbed


@pytest.mark.parametrize("seed", FEW)
def test_trading_that_was_killed_has_kept_what_it_acknowledged(tmp_path: Path, undisturbed: str, seed: int) -> None:
    kill_trading(tmp_path / "day.db", undisturbed, seed)


@pytest.mark.torture
@pytest.mark.parametrize("seed", MANY)
def test_trading_may_be_killed_at_any_moment(tmp_path: Path, undisturbed: str, seed: int) -> None:
    kill_trading(tmp_path / "day.db", undisturbed, seed)
