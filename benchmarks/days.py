"""A made-up trading history of any length, the same every time."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from oms_es import OrderManagementSystem, Settings
from oms_es.domain.events import FillAdded
from oms_es.importers.facts import Defaults, Fact, to_fact
from oms_es.importers.importer import import_facts
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.snapshots.builder import advance
from oms_es.timestamps import SECOND, iso

START = 1_700_000_000 * SECOND
SYMBOLS = [f"SYM{number}" for number in range(20)]


def facts(events: int, seed: int = 1) -> Iterator[Fact]:
    """Return the facts of `bodies`."""
    return (to_fact(body, number, Defaults()) for number, body in enumerate(bodies(events, seed), 1))


def write_lines(path: Path, events: int) -> int:
    """Write the facts as a file of JSON lines, and return their number."""
    encode, count = msgspec.json.Encoder().encode, 0
    with path.open("wb") as stream:
        for body in bodies(events):
            stream.write(encode(body) + b"\n")
            count += 1
    return count


def bodies(events: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Return facts that come to about so many events: orders, a fifth of them filled, one fill in a hundred late."""
    dice = random.Random(seed)
    now, seq, made = START, 0, 0
    prices = dict.fromkeys(SYMBOLS, 10_000)
    while made < events:
        seq += 1
        now += dice.randrange(SECOND)
        symbol = dice.choice(SYMBOLS)
        prices[symbol] = max(1_000, prices[symbol] + dice.randrange(-9, 10))
        price, qty = f"{prices[symbol] / 100:.2f}", str(dice.randrange(1, 200))
        order: dict[str, Any] = {"order_id": f"o{seq}", "symbol": symbol, "side": dice.choice(["buy", "sell"])}
        yield _fact(seq, now, kind="submit", qty=qty, price=price, **order)
        made += 3
        late = 30 * SECOND if dice.random() < 0.01 else 0
        if dice.random() < 0.2:
            yield _fact(seq, now - late, kind="fill", qty=qty, price=price, trade_id=f"t{seq}", **order)
            made += 2
        else:
            yield _fact(seq, now, kind="cancel", **order)
            made += 1
        if dice.random() < 0.02:
            yield _fact(seq, now, kind="mark", symbol=symbol, price=price)
            made += 1


async def restate(oms: OrderManagementSystem, events: int) -> None:
    """Bust one fill in a thousand events and correct another, all over the history, as they are told at its end."""
    dice = random.Random(7)
    fills = [each.event for each in oms.log.read(topics={"FillAdded"})]
    for number, fill in enumerate(dice.sample(fills, min(len(fills), max(2, events // 5_000)))):
        assert isinstance(fill, FillAdded)
        assert fill.trade_id is not None
        if number % 2:
            await oms.bust_fill(fill.order_id, fill.trade_id)
        else:
            await oms.correct_fill(fill.order_id, fill.trade_id, fee="0.01")


def _fact(seq: int, at: int, **body: Any) -> dict[str, Any]:
    return {"seq": seq, "ts": iso(at), **body}


def make_log(path: Path, events: int, *, checkpoints: bool = True) -> SqliteLog:
    """Return a log of about so many events."""

    clock = itertools.count(START, SECOND // 4)  # read twice an order: about as fast as they follow on each other

    async def fill() -> None:
        log = SqliteLog(path, durability="normal")
        oms = OrderManagementSystem(Settings.default(), log=log, clock=lambda: next(clock))
        await import_facts(oms.sequencer, lambda: facts(events))
        await restate(oms, events)
        await oms.close()

    asyncio.run(fill())
    log = SqliteLog.existing(path)
    if checkpoints:
        advance(log)
    return log
