"""What several tests of the log, the API and the importers share: a clock, short words, a log that can be held up."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from oms_es import (
    FillQuarantinedError,
    OMSOrder,
    OrderManagementSystem,
    OrderRejected,
    OrderSide,
    OrderState,
    OrderType,
    Position,
    Settings,
)
from oms_es.domain.envelope import Draft, Recorded
from oms_es.domain.events import Event, MarkRecorded
from oms_es.importers.facts import Defaults, read_facts
from oms_es.importers.importer import Imported, import_facts
from oms_es.log.contract import Log
from oms_es.log.hash_chain import Head
from oms_es.log.sqlite import SqliteLog
from oms_es.timestamps import SECOND, instant
from oms_es.vocabulary import Origin

ROOT = Path(__file__).resolve().parents[1]
START = instant("2025-06-16T12:00:00Z")
DAY = "2025-06-16"
BUY, SELL = OrderSide.BUY, OrderSide.SELL
LIMIT, MARKET = OrderType.LIMIT, OrderType.MARKET
ADA = "ADAUSDM"
D = Decimal


class Clock:
    """A clock that stands still until it is told to move; each reading is `tick` ns after the last."""

    def __init__(self, now: int = START, tick: int = 1) -> None:
        self.now = now
        self.tick = tick

    def __call__(self) -> int:
        self.now += self.tick
        return self.now

    def move(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


def desk(
    log: str | Path | Log, clock: Callable[[], int] | None = None, settings: str | Path | Settings | None = None
) -> OrderManagementSystem:
    """Return an OMS over `log` whose settings are the defaults unless others are given."""
    return OrderManagementSystem(settings or Settings.default(), log=log, clock=clock or Clock())


def digest(oms: OrderManagementSystem) -> str:
    return oms.sequencer.state.digest()


def ruled(**sections: dict[str, Any]) -> Settings:
    """Return settings such as `ruled(risk={"max_position_size": 500})`."""
    return Settings.from_mapping(sections)


FREE = ruled(
    risk={"max_position_size": None, "max_daily_loss": None, "max_open_orders": None},
    trading={"min_quote_size": None, "max_skew": None},
    system={"order_history_retention": 0},
)


async def submit(oms: OrderManagementSystem, order_id: str | None = "o-1", **changes: Any) -> OMSOrder:
    """Submit a buy of 100 ADA at 10, or what `changes` make of it."""
    order = {"symbol": ADA, "side": BUY, "order_type": LIMIT, "quantity": D(100), "price": D(10), **changes}
    return await oms.submit_order(order_id=order_id, **order)


async def work(oms: OrderManagementSystem, order_id: str = "o-1", **changes: Any) -> OMSOrder:
    """Submit an order as `submit` does, and let the venue acknowledge it."""
    await submit(oms, order_id, **changes)
    return await oms.update_order_state(order_id, OrderState.WORKING, account=changes.get("account"))


async def trade(
    oms: OrderManagementSystem, order_id: str, side: OrderSide, quantity: int, price: int, **more: Any
) -> None:
    """Submit an order and fill it at once."""
    await submit(oms, order_id, side=side, quantity=quantity, price=price, **more)
    await oms.add_fill(order_id, quantity, price, f"t-{order_id}", account=more.get("account"))


def order_of(oms: OrderManagementSystem, order_id: str, account: str | None = None) -> OMSOrder:
    """Return an order that is there."""
    found = oms.get_order(order_id, account=account)
    assert found is not None
    return found


def position_of(oms: OrderManagementSystem, symbol: str = ADA, account: str | None = None) -> Position:
    """Return a position that is there."""
    found = oms.get_position(symbol, account=account)
    assert found is not None
    return found


def events_of(log: Log) -> list[Event]:
    return [recorded.event for recorded in log.read()]


def topics_of(log: Log) -> list[str]:
    return [type(event).__name__ for event in events_of(log)]


def these(*values: object) -> tuple[object, ...]:
    """Return the values side by side, for comparing Decimals with plain numbers."""
    return values


def codes(violations: Iterable[str]) -> list[str]:
    """Return the codes that a refusal names."""
    return [violation.partition(":")[0] for violation in violations]


async def refusal(order: Awaitable[object]) -> list[str]:
    """Return the codes with which an order is refused; [] when it is not."""
    try:
        await order
    except OrderRejected as error:
        return codes(error.violations)
    return []


async def quarantined(fill: Awaitable[object]) -> FillQuarantinedError:
    """Return the error of a fill that is quarantined."""
    try:
        await fill
    except FillQuarantinedError as error:
        return error
    raise AssertionError("the fill was not quarantined")


def is_safe(output: str) -> bool:
    """Return whether text holds nothing that a terminal would obey."""
    return all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in output)


def draft(event: Event, command_id: str | None = "", at: int = START, **changes: Any) -> Draft:
    """Return a draft in which every time is `at` unless it is given."""
    values: dict[str, Any] = {
        "origin": Origin.COMMAND,
        "occurred_at": at,
        "effective_at": at,
        "recorded_at": at,
        "trading_day": DAY,
        **changes,
    }
    return Draft(event=event, command_id=command_id, **values)


def mark(symbol: str = ADA, price: int | str = 1, command_id: str | None = "", **changes: Any) -> Draft:
    """Return the draft of a mark: the smallest event there is."""
    return draft(MarkRecorded(symbol=symbol, price=D(price)), command_id, **changes)


class Watched:
    """
    A log that passes everything on to the one inside, counts appends, and can be held up or made to fail.

    `before` is called in each append before anything is written, `after` when the inner append has returned.
    """

    def __init__(self, inner: Log) -> None:
        self.inner = inner
        self.sizes: list[int] = []  # events per append that was carried out
        self.before: Callable[[Sequence[Draft], int], None] = lambda _drafts, _head: None
        self.after: Callable[[], None] = lambda: None

    def head(self) -> Head:
        return self.inner.head()

    is_quick = False  # so that an append may block in `before` and `after`

    def peek(self) -> Head:
        return self.head()

    def append(self, drafts: Sequence[Draft], decided_on: int, *, wait: bool = True) -> int:
        self.before(drafts, decided_on)
        last = self.inner.append(drafts, decided_on, wait=wait)
        self.sizes.append(len(drafts))
        self.after()
        return last

    def read(
        self, after: int = 0, until: int | None = None, topics: Collection[str] | None = None
    ) -> Iterator[Recorded]:
        return self.inner.read(after, until, topics)

    def order_streams(self, order_id: str) -> list[str]:
        return self.inner.order_streams(order_id)

    def recorded_by(self, moment: int) -> int:
        return self.inner.recorded_by(moment)

    def last_of_day(self, trading_day: str) -> int:
        return self.inner.last_of_day(trading_day)

    def latest(self, after: int) -> tuple[int, int]:
        return self.inner.latest(after)

    def stream(self, originator_id: str) -> list[Recorded]:
        return self.inner.stream(originator_id)

    def command(self, command_id: str) -> list[Recorded]:
        return self.inner.command(command_id)

    def known_commands(self, command_ids: Collection[str]) -> set[str]:
        return self.inner.known_commands(command_ids)

    def lock(self) -> None:
        self.inner.lock()

    def unlock(self) -> None:
        self.inner.unlock()

    def close(self) -> None:
        self.inner.close()


class Gate:
    """Holds an append up, from when it has come until it is let through."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, *_: object) -> None:
        self.reached.set()
        assert self.opened.wait(20), "nobody opened the gate"


async def reached(gate: Gate) -> None:
    """Wait until an append has come to the gate; the loop runs meanwhile."""
    assert await asyncio.to_thread(gate.reached.wait, 20), "no append came"


async def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Return once something holds; a test that waits in vain fails where it looks next."""
    for _ in range(int(seconds / 0.01)):
        if holds():
            return
        await asyncio.sleep(0.01)


def fact(seq: int, kind: str, ts: str = "2012-06-21T13:30:00Z", **fields: Any) -> str:
    """Return a fact as its line."""
    return json.dumps({"seq": seq, "ts": ts, "kind": kind, **fields}, ensure_ascii=False)


def submitted(seq: int, order_id: str = "a", qty: str = "100", price: str | None = "10", **fields: Any) -> str:
    """Return the fact of a buy of 100 X at 10, or what the fields make of it."""
    order = {"symbol": "X", "side": "buy", "order_type": "limit", "qty": qty, "price": price, **fields}
    return fact(seq, "submit", order_id=order_id, **order)


def filled(seq: int, order_id: str = "a", qty: str = "100", price: str = "10", **fields: Any) -> str:
    """Return the fact of a fill, with the trade id `t<seq>` unless it is given."""
    return fact(seq, "fill", order_id=order_id, qty=qty, price=price, **{"trade_id": f"t{seq}", **fields})


def facts_file(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


async def take_in(oms: OrderManagementSystem, path: Path, **defaults: str) -> Imported:
    """Import a file of facts."""
    return await import_facts(oms.sequencer, lambda: read_facts(path, Defaults(**defaults)))


def digest_of(path: Path) -> str:
    """Return the digest of everything a log file comes to."""
    oms = desk(SqliteLog.existing(path))
    try:
        return oms.sequencer.state.digest()
    finally:
        oms.sequencer.close()


def child(code: str, *arguments: object, cwd: Path) -> "subprocess.Popen[str]":
    """Start a Python process that can import this project; what it reads and writes is text."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
