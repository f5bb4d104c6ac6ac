"""
A bot that trades through a gateway at a venue full of troubles, and crashes three times.

    python -m tests.venues.chaos --seeds 200

Each seed is one run: four lives of the bot on one log against one server. Two lives are abandoned (their event loop
stops), one is killed as a process, and the last one ends well. Then position, open orders, fills and fees of the log
are compared with the venue's.
"""

import argparse
import asyncio
import logging
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from oms_es import OmsError, OrderManagementSystem, Settings
from oms_es.audit.replay import replay
from oms_es.log.sqlite import SqliteLog
from oms_es.venues.calls import Pacing
from oms_es.venues.contract import Unsure
from oms_es.venues.deltadefi import DeltaDefi
from oms_es.venues.gateway import Gateway
from tests.venues.fake_deltadefi import KEY, FakeDeltaDefi, Faults, sign

ADA = "ADAUSDM"
FAST = Pacing(
    timeout=4.0,
    first_delay=0.002,
    most_delay=0.03,
    tries=6,
    asks=3,
    ask_again=0.04,
    overlap=5.0,
    reconcile_every=0.2,
    close_within=3.0,
)
UNLIMITED = Settings.from_mapping(
    {
        "risk": {"max_position_size": None, "max_daily_loss": None, "max_open_orders": None},
        "trading": {"min_quote_size": None, "max_skew": None},
    }
)
_forking: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
_forking.set_forkserver_preload(["tests.venues.chaos"])


@dataclass
class Outcome:
    """What happened in a run, and what is wrong after it."""

    seed: int
    submits: int = 0
    orders: int = 0
    fills: int = 0
    crashes: int = 0
    cancelled_awaits: int = 0
    calls: int = 0
    wrong: list[str] = field(default_factory=list)


def troubles(chance: random.Random) -> Faults:
    """Return a mixture of troubles; each run has its own."""

    def some(most: float) -> float:
        return chance.choice((0.0, most / 3, most))

    return Faults(
        lost_before=some(0.1),
        lost_after=some(0.15),
        internal=some(0.1),
        busy=some(0.1),
        refused=some(0.1),
        slow=some(0.03),
        dropped=some(0.4),
        repeated=some(0.3),
        delayed=some(0.3),
        cut=some(0.1),
        closed=some(0.1),
        silent=some(0.5),
        wins=some(0.3),
    )


# --- one life of the bot ---


def connect(path: str, port: int) -> tuple[OrderManagementSystem, Gateway]:
    venue = DeltaDefi(
        KEY,
        rest_url=f"http://127.0.0.1:{port}",
        stream_url=f"ws://127.0.0.1:{port}",
        sign=sign,
        calls_per_second=100_000,
        timeout=2.0,
    )
    oms = OrderManagementSystem(UNLIMITED, log=path)
    return oms, Gateway(oms, venue, pacing=FAST, seed=1, ready_within=20)


async def live(path: str, port: int, seed: int, cancelled: list[int]) -> None:
    """Trade until something ends it."""
    chance = random.Random(seed)
    oms, gateway = connect(path, port)
    async with oms, gateway:
        pending: set[asyncio.Task[Any]] = set()
        while True:
            pending = {each for each in pending if not each.done()}
            task = asyncio.create_task(act(oms, gateway, chance))
            pending.add(task)
            await asyncio.sleep(chance.uniform(0, 0.012))
            if chance.random() < 0.25 and task.cancel():
                cancelled.append(1)


async def act(oms: OrderManagementSystem, gateway: Gateway, chance: random.Random) -> None:
    """Submit an order, or cancel one."""
    working = oms.get_open_orders()
    with suppress(OmsError):
        if working and chance.random() < 0.3:
            await gateway.cancel(chance.choice(working).order_id)
        elif len(working) < 12:
            side, price = chance.choice((("buy", "0.64"), ("sell", "0.66")))
            await gateway.submit(ADA, side, "limit", Decimal(chance.randint(500, 9000)) / 100, price)


class Abandoned(threading.Thread):
    """A life whose event loop stops at some await; nothing is closed."""

    def __init__(self, path: str, port: int, seed: int, cancelled: list[int]) -> None:
        super().__init__(daemon=True)
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda *_: None)
        self._life = (path, port, seed, cancelled)

    def run(self) -> None:
        with suppress(RuntimeError, Unsure):
            self.loop.run_until_complete(live(*self._life))

    def abandon(self) -> None:
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.loop.stop)
        self.join()


def killed_life(path: str, port: int, seed: int) -> None:
    logging.disable(logging.CRITICAL)
    with suppress(Unsure):
        asyncio.run(live(path, port, seed, []))


# --- a run ---


async def run(seed: int, folder: Path) -> Outcome:
    """Run four lives of the bot and compare the log with the venue."""
    chance = random.Random(seed)
    path, outcome = str(folder / f"chaos-{seed}.db"), Outcome(seed)
    cancelled: list[int] = []
    async with FakeDeltaDefi(seed, old=chance.random() < 0.3, lists_records=chance.random() < 0.7) as server:
        market = asyncio.create_task(trade(server, chance))
        kinds = ["abandoned", "abandoned", "killed"]
        chance.shuffle(kinds)
        for number, kind in enumerate(kinds):
            server.faults = troubles(chance)
            outcome.crashes += 1
            if kind == "killed":
                process = _forking.Process(target=killed_life, args=(path, server.port, seed * 10 + number))
                await asyncio.to_thread(process.start)
                await more_calls(server, chance)
                await asyncio.to_thread(end, process)
            else:
                thread = Abandoned(path, server.port, seed * 10 + number, cancelled)
                thread.start()
                await more_calls(server, chance)
                await asyncio.to_thread(thread.abandon)
            await asyncio.sleep(chance.uniform(0, 0.02))
        market.cancel()
        server.faults = Faults()
        await settle(path, server, outcome)
    outcome.cancelled_awaits = len(cancelled)
    outcome.calls = len(server.calls)
    return outcome


async def more_calls(server: FakeDeltaDefi, chance: random.Random) -> None:
    """Wait until the bot has made some calls, and a little longer."""
    target = len(server.calls) + chance.randint(3, 80)
    for _ in range(2_000):
        if len(server.calls) >= target:
            break
        await asyncio.sleep(0.005)
    await asyncio.sleep(chance.uniform(0, 0.01))


def end(process: BaseProcess) -> None:
    process.kill()
    process.join()
    process.close()


async def trade(server: FakeDeltaDefi, chance: random.Random) -> None:
    while True:
        await asyncio.sleep(chance.uniform(0, 0.02))
        server.trade()


async def settle(path: str, server: FakeDeltaDefi, outcome: Outcome) -> None:
    """Let the last life reconcile, and compare."""
    oms, gateway = connect(path, server.port)
    async with oms, gateway:
        for _ in range(100):
            with suppress(Unsure):  # a busy machine
                status = await gateway.reconcile()
                if not status.in_flight and not any(each.pending_cancel for each in oms.get_open_orders()):
                    break
            await asyncio.sleep(0.02)
        outcome.wrong = differences(oms, gateway, server)
        outcome.submits = sum(each.external_order_id is not None for each in oms.get_all_orders())
    outcome.orders = len(server.submitted())
    outcome.fills = server.trades
    log = SqliteLog.existing(path)
    try:
        outcome.wrong += [f"divergent: {each}" for each in replay(log.read(), check=True).divergent]
    finally:
        log.close()


def differences(oms: OrderManagementSystem, gateway: Gateway, server: FakeDeltaDefi) -> list[str]:
    """Return how the log differs from the venue."""
    wrong = [f"break: {each}" for each in gateway.status().breaks]
    waiting = oms.sequencer.state.orders.all_waiting()
    if waiting:
        wrong.append(f"quarantine: {[each.fill.why.value for each in waiting]}")
    ours = {each.external_order_id: each for each in oms.get_all_orders() if each.external_order_id is not None}
    for theirs in server.submitted():
        order = ours.get(theirs.id)
        if order is None:
            wrong.append(f"the log has no order {theirs.id} ({theirs.status}, {theirs.filled} filled)")
            continue
        expected = {"open": "working", "closed": "filled", "cancelled": "cancelled"}[theirs.status]
        if (order.state.value, order.filled_quantity) != (expected, theirs.filled):
            wrong.append(
                f"{theirs.id}: {order.state.value}, {order.filled_quantity} filled; at the venue {theirs.status}, "
                f"{theirs.filled} filled"
            )
        mine = sorted((str(f["trade_id"]), f["quantity"], f["price"], f["fee"]) for f in order.fills)
        real = sorted(
            (r["id"], Decimal(r["filled_base_qty"]), Decimal(r["execution_price"]), Decimal(r["commission"]))
            for r in theirs.records
        )
        if mine != real:
            wrong.append(f"{theirs.id}: fills {mine}; at the venue {real}")
    venue_ids = {each.id for each in server.submitted()}
    wrong += [
        f"open, but not at the venue: {each}"
        for each in oms.get_open_orders()
        if each.external_order_id not in venue_ids
    ]
    base, _ = server.balance()
    position = oms.get_position(ADA)
    held = Decimal(0) if position is None else position.quantity
    if held != base:
        wrong.append(f"position {held}; at the venue {base}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=4, help="runs side by side; most of a run is waiting")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None  # abandoned objects complain when they are freed
    outcomes: list[Outcome] = []
    seeds = range(options.first, options.first + options.seeds)
    for number, begin in enumerate(seeds[:: options.at_once], 1):
        outcomes += asyncio.run(several(range(begin, min(begin + options.at_once, seeds.stop))))
        if number % 10 == 0:
            print(summary(outcomes), flush=True)
    print(summary(outcomes))
    sys.exit(any(each.wrong for each in outcomes))


async def several(seeds: range) -> list[Outcome]:
    """Run seeds side by side, each with its own server and log."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        found = await asyncio.gather(*(run(seed, Path(folder)) for seed in seeds))
    for outcome in found:
        for each in outcome.wrong:
            print(f"seed {outcome.seed}: {each}", flush=True)
    return list(found)


def summary(outcomes: list[Outcome]) -> str:
    """Return the sums of all runs."""
    sums = {
        name: sum(getattr(each, name) for each in outcomes)
        for name in ("submits", "orders", "fills", "crashes", "cancelled_awaits", "calls")
    }
    failed = sum(bool(each.wrong) for each in outcomes)
    return (
        f"{len(outcomes)} seeds: {sums['submits']:,} submits, {sums['orders']:,} live orders, {sums['fills']:,} fills, "
        f"{sums['crashes']:,} crashes, {sums['cancelled_awaits']:,} cancelled awaits, {sums['calls']:,} calls; "
        f"{failed} runs with a difference"
    )


if __name__ == "__main__":
    main()
