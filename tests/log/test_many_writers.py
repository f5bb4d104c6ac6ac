"""Four processes that trade on one log: no limit is exceeded at any moment, nothing acknowledged is lost or doubled."""

import asyncio
import json
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from oms_es.domain.events import Event, FillAdded, OrderAmended, OrderSubmitted, StateChanged
from oms_es.domain.order import is_order_event
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.builder import advance
from oms_es.projections.snapshots.positions_at import cache_path
from oms_es.projections.state import State
from oms_es.vocabulary import OrderState
from tests.desk import child, desk, digest_of, ruled

WRITERS = ("A", "B", "C", "D")
MOST_OPEN = 10
MOST_HELD = Fraction(250)
RULES: dict[str, Any] = {
    "risk": {"max_open_orders": MOST_OPEN, "max_position_size": 250, "max_daily_loss": None},
    "trading": {"max_skew": None},
    "system": {"risk_check_timeout": 60_000},
}
# One writer: orders on both sides, a few at a time; fills, cancels, amendments; each acknowledged command is told.
TRADING = """
import asyncio, json, random, sys
from oms_es import OrderManagementSystem, Settings
from oms_es.errors import InvalidTransition, OmsError, OrderRejected

path, name, count, rules = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
dice = random.Random(name)
told, refused, errors, heard, latest = [], [], [], [], {}

async def carried_out(command_id, work):
    try:
        await work
    except OrderRejected:
        refused.append(command_id)
    except InvalidTransition:
        return  # the order was done before
    except OmsError as error:
        errors.append(f"{type(error).__name__}: {error}")
        return
    told.append(command_id)

async def one(oms, number):
    order_id, command_id = f"{name}-{number}", f"{name}-{number}-submit"
    side, quantity = dice.choice(["buy", "sell"]), dice.choice([10, 30, 50, 80])
    order = oms.submit_order("AAA", side, "limit", quantity, 10, order_id, command_id=command_id)
    await carried_out(command_id, order)
    if command_id in refused:
        return 1
    done = 1
    for step, what in enumerate(dice.choice([["fill"], ["fill"], ["half", "cancel"], ["amend", "fill"], ["cancel"]])):
        command_id = f"{name}-{number}-{step}"
        match what:
            case "cancel":
                work = oms.cancel_order(order_id, command_id=command_id)
            case "amend":
                work = oms.amend_order(order_id, quantity=quantity + 40, command_id=command_id)
            case _:
                filled = quantity // 2 if what == "half" else quantity
                work = oms.add_fill(order_id, filled, 10, f"t{step}", command_id=command_id)
        await carried_out(command_id, work)
        done += 1
    return done

async def main():
    oms = OrderManagementSystem(Settings.from_mapping(rules), log=path)
    oms.add_order_callback(lambda order: heard.append(
        [order.order_id, order.state.value, str(order.quantity), str(order.filled_quantity)]))
    print("ready", flush=True)
    sys.stdin.readline()
    number = done = 0
    while done < count:
        done += sum(await asyncio.gather(*(one(oms, number + each) for each in range(4))))
        number += 4
    print("done", flush=True)
    sys.stdin.readline()  # until all have ended
    oms.get_open_orders()  # takes in what the others have appended
    await oms.close()
    print(json.dumps({"told": told, "refused": refused, "errors": errors, "heard": heard, "done": done,
                      "retries": oms.sequencer.retries}), flush=True)

asyncio.run(main())
"""


def trade(path: Path, count: int) -> tuple[dict[str, dict[str, Any]], float]:
    """Let the writers trade at the same time; return what each of them tells, and how long they took."""
    writers = {name: child(TRADING, path, name, count, json.dumps(RULES), cwd=path.parent) for name in WRITERS}
    try:
        for process in writers.values():
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        begun = time.perf_counter()
        for word in ("", "done\n"):
            for process in writers.values():
                assert process.stdin is not None
                assert process.stdout is not None
                if word:
                    assert process.stdout.readline() == word, process.stderr and process.stderr.read()
                else:
                    process.stdin.write("go\n")
                    process.stdin.flush()
        seconds = time.perf_counter() - begun
        found = {name: process.communicate("end\n", timeout=120) for name, process in writers.items()}
    finally:
        for process in writers.values():
            process.kill()
            process.wait()
    for out, err in found.values():
        assert out, err
        assert "database is locked" not in out
    return {name: json.loads(out) for name, (out, _) in found.items()}, seconds


class Fold:
    """Open orders and the position, in a few lines of their own; only what this test does to orders."""

    def __init__(self) -> None:
        self.orders: dict[str, dict[str, Any]] = {}
        self.position = Fraction(0)

    def take(self, event: object) -> None:
        match event:
            case OrderSubmitted():
                sign = 1 if event.side.value == "buy" else -1
                self.orders[event.order_id] = {
                    "sign": sign,
                    "quantity": Fraction(event.quantity),
                    "filled": Fraction(0),
                }
            case StateChanged():
                self.orders[event.order_id]["state"] = event.new.value
            case OrderAmended():
                self.orders[event.order_id]["quantity"] = Fraction(event.quantity)
            case FillAdded():
                order = self.orders[event.order_id]
                order["filled"] += Fraction(event.fill_quantity)
                self.position += order["sign"] * Fraction(event.fill_quantity)

    def open_orders(self) -> list[dict[str, Any]]:
        return [order for order in self.orders.values() if order.get("state") in ("pending", "working")]

    def admits(self, event: Event) -> bool:
        """Return whether an order that adds risk was let through by this event: what reduces passes every limit."""
        if not isinstance(event, StateChanged) or event.new is not OrderState.PENDING:
            return False
        order = self.orders[event.order_id]
        against = -order["sign"] * self.position
        same = sum((o["quantity"] - o["filled"] for o in self.open_orders() if o["sign"] == order["sign"]), Fraction(0))
        return not (against > 0 and same <= against)  # `same` counts the order itself

    def worst(self, sign: int) -> Fraction:
        """Return the position if everything open on a side is filled, seen from that side."""
        left = sum((o["quantity"] - o["filled"] for o in self.open_orders() if o["sign"] == sign), Fraction(0))
        return sign * self.position + left


def check_limits(log: SqliteLog) -> int:
    """Fold the log; at no prefix of it is a limit exceeded. Return how often open orders stood at the limit."""
    fold, at_limit = Fold(), 0
    for recorded in log.read():
        fold.take(recorded.event)
        count = len(fold.open_orders())
        assert count <= MOST_OPEN or not fold.admits(recorded.event), f"seq {recorded.seq}: {count} orders are open"
        assert max(fold.worst(1), fold.worst(-1)) <= MOST_HELD, f"seq {recorded.seq}: {fold.worst(1)}, {fold.worst(-1)}"
        at_limit += count == MOST_OPEN
    return at_limit


def views(log: SqliteLog) -> Iterable[list[str]]:
    """Return what a callback is to be told, event by event."""
    state = State()
    for recorded in log.read():
        state.replay([recorded])
        event = recorded.event
        if is_order_event(event):
            order = state.orders.order((event.account, event.order_id))  # type: ignore[attr-defined]
            assert order is not None
            yield [order.order_id, order.state.value, str(order.quantity), str(order.filled_quantity)]


def check(path: Path, count: int) -> None:
    asyncio.run(desk(path, settings=ruled(**RULES)).record_mark("AAA", 10))  # the rules, before anybody trades
    told, seconds = trade(path, count)
    log = SqliteLog.existing(path)

    assert [line for each in told.values() for line in each["errors"]] == []
    at_limit = check_limits(log)
    ids = Counter(recorded.command_id for recorded in log.read() if recorded.command_id)
    acknowledged = [command_id for each in told.values() for command_id in each["told"]]
    assert set(ids.values()) == {1}
    assert Counter(acknowledged) == ids
    expected = list(views(log))
    assert [each["heard"] == expected for each in told.values()] == [True] * len(WRITERS)
    assert digest_of(path) == State().replay(log.read()).digest()

    refused, done = sum(len(each["refused"]) for each in told.values()), sum(each["done"] for each in told.values())
    assert refused
    print(
        f"\n{len(WRITERS)} writers: {done} commands, {refused} of them refused, {log.head().seq} events "
        f"({at_limit} of them at the limit of open orders) in {seconds:.1f} s: {done / seconds:,.0f} commands/s, "
        f"{sum(each['retries'] for each in told.values())} decisions made again",
        file=sys.stderr,
    )
    log.close()


def test_checkpoints_that_another_process_is_making_are_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "day.db"
    asyncio.run(desk(path).record_mark("AAA", 10))
    with closing(SqliteLog.existing(path)) as log:
        advance(log)
        with closing(sqlite3.connect(cache_path(log), isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")

            assert advance(log) == 0

            assert cache_path(log).exists()
            other.execute("COMMIT")


def test_four_processes_on_one_log_never_exceed_a_limit_and_lose_nothing(tmp_path: Path) -> None:
    check(tmp_path / "day.db", 150)


@pytest.mark.torture
def test_ten_thousand_commands_of_four_processes_never_exceed_a_limit_and_lose_nothing(tmp_path: Path) -> None:
    check(tmp_path / "day.db", 2_500)
