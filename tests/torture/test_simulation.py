"""
A seeded simulation of the whole: several writers on one log, a store that fails and crashes, clocks that step.

Every command is repeated with the same ids until it is answered. Then: each acknowledged command is in the log exactly
once, every decision is made the same again, live state equals replayed state, and without faults work goes on. The
number of a failing seed repeats it: `simulate(seed)`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from oms_es import OrderManagementSystem
from oms_es.audit.replay import replay
from oms_es.domain.envelope import Draft
from oms_es.domain.events import FillAdded, FillQuarantined, OrderSubmitted
from oms_es.errors import LogError, LogWriteFailed, LogWriteUncertain, OmsError
from oms_es.log.hash_chain import genesis, sealed
from oms_es.log.memory import MemoryLog
from tests.desk import Clock, Watched, desk, refusal, ruled

FEW, MANY = 25, 10_000  # seeds
STEPS = 16  # commands of a seed
RULES = ruled(
    risk={"max_position_size": 40, "max_open_orders": 6, "max_daily_loss": 500}, trading={"min_quote_size": 1}
)


class Store(Watched):
    """A log whose appends fail: before anything is written, or with an unknown outcome, written or not."""

    def __init__(self, inner: MemoryLog, chance: random.Random, share: float) -> None:
        super().__init__(inner)
        self._chance, self.share, self.faults = chance, share, 0

    def append(self, drafts: Sequence[Draft], decided_on: int, *, wait: bool = True) -> int:
        fault = self._chance.choice(("full", "lost", "written")) if self._chance.random() < self.share else ""
        self.faults += bool(fault)
        if fault == "full":
            raise LogWriteFailed("the disk is full; nothing was written")
        if fault == "lost":
            raise LogWriteUncertain("the fsync failed")
        last = self.inner.append(drafts, decided_on, wait=wait)
        if fault == "written":
            raise LogWriteUncertain("the fsync failed")
        return last


class World:
    """Writers on one log, their clock, and what was acknowledged."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.log, self.clock = MemoryLog(), Clock()
        self.share = self.chance.choice((0, 0.1, 0.4))
        self.writers = [self._opened() for _ in range(self.chance.randint(1, 3))]
        self.orders, self.fills = set[str](), set[str]()
        self.faults = 0

    def _opened(self) -> OrderManagementSystem:
        return desk(Store(self.log, self.chance, self.share), self.clock, RULES)

    async def until_answered(self, command: Callable[[OrderManagementSystem], object]) -> bool:
        """Carry out a command on any writer until it is answered; return whether it was accepted."""
        while True:
            number = self.chance.randrange(len(self.writers))
            if self.chance.random() < 0.1:  # the process dies, and another one begins
                self._close(number)
            try:
                await command(self.writers[number])  # type: ignore[misc]
            except LogError as error:
                self.faults += 1
                if isinstance(error, LogWriteUncertain):
                    self._close(number)
            except OmsError:
                return False
            else:
                return True

    def _close(self, number: int) -> None:
        self.writers[number].sequencer.close()
        self.writers[number] = self._opened()

    async def step(self, number: int) -> None:
        chance, side = self.chance, self.chance.choice(("buy", "sell"))
        self.clock.move(chance.choice((0, 0.001, 1, 3, -2, -30)))
        order = chance.choice(sorted(self.orders)) if self.orders else f"o-{number}"
        match chance.choice(("submit", "submit", "fill", "fill", "fill", "cancel", "bust", "mark", "halt", "amend")):
            case "submit":
                order, quantity, price = f"o-{number}", chance.randint(1, 12), chance.randint(8, 12)
                if await self.until_answered(lambda oms: oms.submit_order("X", side, "limit", quantity, price, order)):
                    self.orders.add(order)
            case "fill":
                quantity, trade = chance.randint(1, 12), f"t-{number}"
                if await self.until_answered(lambda oms: oms.add_fill(order, quantity, 10, trade)):
                    self.fills.add(trade)
            case "cancel":
                await self.until_answered(lambda oms: oms.cancel_order(order, command_id=f"c-{number}"))
            case "bust":
                trade = chance.choice(sorted(self.fills)) if self.fills else "none"
                await self.until_answered(lambda oms: oms.bust_fill(order, trade, command_id=f"b-{number}"))
            case "mark":
                price = chance.randint(8, 12)
                await self.until_answered(lambda oms: oms.record_mark("X", price, command_id=f"m-{number}"))
            case "halt":
                level = chance.choice(("halted", "reduce_only"))
                await self.until_answered(lambda oms: oms.halt(level, command_id=f"h-{number}"))
                await self.until_answered(lambda oms: oms.resume(command_id=f"r-{number}"))
            case _:
                quantity = chance.randint(1, 12)
                again = f"a-{number}"
                await self.until_answered(lambda oms: oms.amend_order(order, quantity=quantity, command_id=again))


def check(world: World) -> None:
    chain = genesis("memory")
    for row in world.log.rows():
        assert row == sealed(row, chain, b""), f"seq {row.seq} does not continue the chain"
        chain = row.chain
    events = [each.event for each in world.log.read()]
    orders = Counter(event.order_id for event in events if isinstance(event, OrderSubmitted))
    fills = Counter(event.trade_id for event in events if isinstance(event, FillAdded))
    assert world.orders <= orders.keys(), "an acknowledged order is lost"
    waiting = {event.trade_id for event in events if isinstance(event, FillQuarantined)}
    assert world.fills <= fills.keys() | waiting, "an acknowledged fill is lost"
    assert set(orders.values()) | set(fills.values()) <= {1}, "a command is there twice"

    found = replay(world.log.read(), check=True)
    assert found.divergent == [], found.divergent[0]
    for oms in world.writers:
        assert oms.sequencer.state.digest() == found.digest, "the state of a writer is not that of a replay"


async def live(seed: int) -> World:
    world = World(seed)
    for number in range(STEPS):
        await world.step(number)
    check(world)
    for oms in world.writers:  # no more faults, and a clock that is right again: everybody can work
        assert isinstance(oms.sequencer.log, Store)
        oms.sequencer.log.share = 0
    world.clock.now = max(world.clock.now, world.log.head().recorded_at)
    for number, oms in enumerate(world.writers):
        await oms.record_mark("LAST", number, command_id=f"last-{number}")
        refused = await refusal(oms.submit_order("Y", "buy", "limit", 1, 10, f"last-{number}"))
        assert {*refused} <= {"OPEN_ORDERS", "DAILY_LOSS"}
        oms.sequencer.close()
    return world


def simulate(seed: int) -> int:
    """Run one seed; return how many faults there were."""
    try:
        return asyncio.run(live(seed)).faults
    except Exception as error:
        error.add_note(f"repeat it with tests.torture.test_simulation.simulate({seed})")
        raise


def test_several_writers_on_a_store_that_fails_lose_and_double_nothing() -> None:
    assert sum(simulate(seed) for seed in range(FEW)) > FEW


@pytest.mark.torture
@pytest.mark.parametrize("part", range(10))
def test_no_seed_of_the_simulation_loses_or_doubles_a_command(part: int, figure: Callable[[str], None]) -> None:
    seeds = range(part, MANY, 10)
    faults = sum(simulate(seed) for seed in seeds)
    figure(f"{len(seeds)} seeds from {part} to {MANY - 10 + part}, {faults} faults: nothing lost, doubled or diverging")
    assert faults > len(seeds)
