"""A day replayed, checked, closed, packed and replayed from its box, and a claim searched: how long, and one digest."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmarks.days import facts
from oms_es import OrderManagementSystem, Settings
from oms_es.audit.bisect import Turn, bisect
from oms_es.audit.day_archive import pack, unpack
from oms_es.audit.expression import Expression
from oms_es.audit.replay import end_of_day, replay
from oms_es.importers.facts import Defaults, read_facts
from oms_es.importers.importer import import_facts
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.state import State
from oms_es.vocabulary import CostMethod

T = TypeVar("T")
REAL = Path(__file__).resolve().parents[2] / "shared" / "acceptance" / "amzn-2012-06-21.full.jsonl.gz"
MADE_UP = 100_000  # events


def main() -> None:
    """Go through a real day where there is one, else through a made-up one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "day.db"
        if REAL.exists():
            print("AMZN on 2012-06-21")
            _timed("import", lambda: _import_real(path))
        else:
            print("a made-up day")
            _timed("import", lambda: _import_made_up(path))
        log = SqliteLog.existing(path)
        day = max({row.trading_day for row in log.rows()})
        _go_through(log, day, Path(folder) / "day.omsday")
        log.close()


def _import_real(path: Path) -> None:
    _fill(path, lambda: read_facts(REAL, Defaults()))


def _import_made_up(path: Path) -> None:
    _fill(path, lambda: (fact for fact in facts(MADE_UP)))


def _fill(path: Path, read: Callable[..., object]) -> None:
    async def fill() -> None:
        oms = OrderManagementSystem(Settings.default(), log=path)
        await import_facts(oms.sequencer, read)  # type: ignore[arg-type]
        await oms.close()

    asyncio.run(fill())


def _close(path: Path, day: str) -> None:
    async def close() -> None:
        async with OrderManagementSystem(Settings.default(), log=path) as oms:
            await oms.close_day(day)

    asyncio.run(close())


def _go_through(log: SqliteLog, day: str, box: Path) -> None:
    events = log.head().seq
    plain = _timed("replay", lambda: replay(log.read(), State(), day=day), events)
    checked = _timed("replay --check", lambda: replay(log.read(), State(), day=day, check=True), events)
    assert checked.checked is not None
    print(f"{'':16}{checked.checked.total():,} commands decided again, {len(checked.divergent)} divergent")
    _timed("close-day", lambda: _close(log.path, day), events)
    end = end_of_day(log, day)
    closed = _timed("replay again", lambda: replay(log.read(until=end), State(), day=day), events)
    _timed("export box", lambda: pack(log, day, box, CostMethod.FIFO, "benchmark"), events)
    print(f"{'':16}{box.stat().st_size:,} bytes")
    found = _timed("open box", lambda: unpack(box), events)
    from_box = _timed("replay box", lambda: replay(found.events, found.opening, day=day, check=True), events)
    digests = {each.days[-1].digest for each in (plain, checked, closed, from_box)}
    print(f"{'':16}digest {' and '.join(sorted(digests))}; differing since the closing: {closed.days[-1].differing}")
    last = _last_sell(log)
    for claim in (Expression(f'not state("{last}") == "filled"'), Expression('abs(position("AMZN")) <= 1000000')):
        turn = _timed("bisect", lambda claim=claim: _searched(log, claim), events)
        print(f"{'':16}{claim.source}: {'holds' if turn is None else f'false after seq {turn.at.seq:,}'}")


def _searched(log: SqliteLog, claim: Expression) -> Turn | None:
    return bisect(claim, State, lambda topics: log.read(topics=topics), log.stream)


def _last_sell(log: SqliteLog) -> str:
    """Return the order that was filled last: a claim about it is looked at nearly to the end."""
    found = [each.event for each in log.read(topics={"FillAdded"})]
    return str(getattr(found[-1], "order_id", ""))


def _timed(what: str, work: Callable[[], T], events: int | None = None) -> T:
    begun = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begun
    rate = "" if events is None else f"  {seconds / events * 1e6:6.1f} us an event"
    print(f"{what:14}{seconds:8.2f} s{rate}", flush=True)
    return result
