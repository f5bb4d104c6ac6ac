"""
Telling others what has happened: after the commit, in log order, each callback on a line of its own.

A callback that fails is logged; one that hangs waits alone: nobody else, and no command, waits with it.
"""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from oms_es.envelope import Recorded
from oms_es.events import FillAdded, FillBusted, FillCorrected
from oms_es.order import Order, is_order_event
from oms_es.projections.world import World
from oms_es.views import OMSOrder, Position, order_view, position_view

OrderCallback: TypeAlias = Callable[[OMSOrder], Awaitable[None] | None]
PositionCallback: TypeAlias = Callable[[Position], Awaitable[None] | None]
_log = logging.getLogger("oms_es")


class Notice(Struct, frozen=True):
    """An event's order and position, as they were right after it; None where nobody listens."""

    order: Order | None = None
    position: Position | None = None


_NOTHING = Notice()


class _Line:
    """One callback, and what it has not been told yet."""

    def __init__(self, callback: Callable[..., Awaitable[None] | None]) -> None:
        self._callback = callback
        self._waiting: deque[object] = deque()
        self._task: asyncio.Task[None] | None = None

    def tell(self, what: object) -> None:
        self._waiting.append(what)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # told with the next event inside a loop
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            what = self._waiting.popleft()
            try:
                result = self._callback(what)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                _log.exception("a callback failed")

    @property
    def task(self) -> "asyncio.Task[None] | None":
        return self._task


class Callbacks:
    """Everybody who wants to be told."""

    def __init__(self) -> None:
        self._orders: list[_Line] = []
        self._positions: list[_Line] = []

    def add_order_callback(self, callback: OrderCallback) -> None:
        """Tell `callback` of every event of an order, with the order as it was right after it."""
        self._orders.append(_Line(callback))

    def add_position_callback(self, callback: PositionCallback) -> None:
        """Tell `callback` of every change of a position."""
        self._positions.append(_Line(callback))

    def notice(self, world: World, recorded: Recorded) -> Notice:
        """Return what listeners are to be told of an event that was just applied."""
        event = recorded.event
        order = position = None
        if self._orders and is_order_event(event):
            order = world.orders.order((event.account, event.order_id))  # type: ignore[attr-defined]
        if self._positions and isinstance(event, FillAdded | FillBusted | FillCorrected):
            held = world.positions.touched
            position = None if held is None else position_view(world.positions, held)
        return Notice(order, position) if order is not None or position is not None else _NOTHING

    def publish(self, notices: Sequence[Notice]) -> None:
        """Tell everybody, in log order."""
        for notice in notices:
            if notice.order is not None:
                view = order_view(notice.order)
                for line in self._orders:
                    line.tell(view)
            if notice.position is not None:
                for line in self._positions:
                    line.tell(notice.position)

    async def idle(self, grace: float = 1.0) -> None:
        """Wait until everybody was told, `grace` seconds at most."""
        tasks = [line.task for line in (*self._orders, *self._positions) if line.task and not line.task.done()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
