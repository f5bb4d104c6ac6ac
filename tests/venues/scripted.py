"""A simulated venue whose next answers a test decides, and a gateway that waits only milliseconds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import structs

from oms_es import OrderManagementSystem, OrderReport, Settings
from oms_es.venues.calls import Pacing
from oms_es.venues.contract import Instrument
from oms_es.venues.gateway import Gateway
from oms_es.venues.simulated import SimulatedVenue
from tests.desk import FREE, D

ADA = "ADAUSDM"
QUICK = Pacing(
    timeout=2.0,
    first_delay=0.001,
    most_delay=0.01,
    tries=4,
    asks=3,
    ask_again=0.005,
    stream_within=0.5,
    reconcile_every=60.0,
    close_within=0.2,
)
PAIR = Instrument(
    symbol=ADA, base="ADA", quote="USDM", quantity_step=D("0.01"), price_step=D("0.0001"), min_quantity=D(5)
)


class Scripted(SimulatedVenue):
    """
    `lose["place"] = ["before", "after"]`: the first call of `place` does not arrive, the answer of the second is lost.

    An exception instead of a word is raised before anything is done.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(instruments=[PAIR], **options)
        self.script: dict[str, list[str | Exception]] = {}
        self.calls: list[str] = []
        self.lists_fills = True  # else only cumulative quantities
        self.gates: dict[str, asyncio.Event] = {}  # a call waits for its event before it is carried out

    async def prepare(self, order: Any) -> str | None:
        return await self._scripted("prepare", super().prepare, order)  # type: ignore[no-any-return]

    async def place(self, order: Any) -> Any:
        return await self._scripted("place", super().place, order)

    async def cancel(self, order: Any) -> None:
        await self._scripted("cancel", super().cancel, order)

    async def order(self, **ids: Any) -> Any:
        return await self._scripted("order", super().order, **ids)

    async def open_orders(self) -> Any:
        return await self._scripted("open_orders", super().open_orders)

    async def fills(self, since: int) -> Any:
        return await self._scripted("fills", super().fills, since) if self.lists_fills else []

    def _report(self, book: Any) -> OrderReport:
        report = super()._report(book)
        return report if self.lists_fills else structs.replace(report, fills=None)

    def _send(self, report: Any) -> None:
        if self.lists_fills or isinstance(report, OrderReport):
            super()._send(report)

    async def _scripted(self, name: str, call: Any, *arguments: Any, **named: Any) -> Any:
        from oms_es.venues.contract import Unsure

        self.calls.append(name)
        if name in self.gates:
            await self.gates[name].wait()
        step = self.script.get(name, []).pop(0) if self.script.get(name) else None
        if isinstance(step, Exception):
            raise step
        if step == "before":
            raise Unsure("the request was lost")
        answer = await call(*arguments, **named)
        if step == "after":
            raise Unsure("the answer was lost")
        return answer


@asynccontextmanager
async def connected(
    path: Path, venue: Any, settings: Settings = FREE, **options: Any
) -> AsyncIterator[tuple[OrderManagementSystem, Gateway]]:
    """Open a log and connect it to a venue."""
    oms = OrderManagementSystem(settings, log=path)
    async with oms, Gateway(oms, venue, **{"pacing": QUICK, "seed": 1, "ready_within": 5, **options}) as gateway:
        yield oms, gateway


async def crash(oms: OrderManagementSystem, gateway: Gateway) -> None:
    """End a gateway at once, as a crash does, but free its tasks."""
    ending = [*gateway._loops, *gateway._placing.tasks]
    for each in ending:
        each.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
    await oms.close()
