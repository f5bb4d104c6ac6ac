"""
Telling others what has happened: after the commit, in log order, each callback on a line of its own.

A callback that fails is logged; one that hangs waits alone. A synchronous one runs in a thread of its own, so that one
that blocks holds up neither the loop nor anybody else; a command waits a moment for it (`PATIENCE`), so that usually
everybody was told when the command returns, and no longer once it has been slow.
"""

import asyncio
import inspect
import logging
import queue
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from msgspec import Struct

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillAdded, FillBusted, FillCorrected
from oms_es.domain.order import Order, is_order_event
from oms_es.projections.state import State
from oms_es.projections.views import OMSOrder, Position, order_view, position_view

OrderCallback: TypeAlias = Callable[[OMSOrder], Awaitable[None] | None]
PositionCallback: TypeAlias = Callable[[Position], Awaitable[None] | None]
PATIENCE = 0.05  # seconds
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
        called = getattr(callback, "__call__", callback)  # noqa: B004 - of an object that can be called
        self._is_async = inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(called)
        self._thread: _Thread | None = None
        self.is_slow = False

    def tell(self, what: object) -> None:
        self._waiting.append(what)
        self.wake()

    def wake(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # told as soon as somebody wakes it inside a loop
        if not self._waiting:
            return
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            what = self._waiting.popleft()
            try:
                result = self._callback(what) if self._is_async else await self._beside(what)
                if inspect.isawaitable(result):
                    await result
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                _log.exception("a callback was cancelled")
            except Exception:
                _log.exception("a callback failed")
        self.is_slow = False

    async def _beside(self, what: object) -> object:
        if self._thread is None:
            self._thread = _Thread()
        return await self._thread.call(self._callback, what)

    @property
    def is_prompt(self) -> bool:
        """Return whether a command may wait a moment for it."""
        return not self._is_async and not self.is_slow

    @property
    def task(self) -> "asyncio.Task[None] | None":
        return self._task


class _Thread:
    """A thread that calls one thing after the other; it keeps no process from ending, however long one takes."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        weakref.finalize(self, self._calls.put, None)
        threading.Thread(target=_serve, args=(self._calls,), name="oms-callback", daemon=True).start()

    async def call(self, function: Callable[[object], object], what: object) -> object:
        """Return what the function returns, or raise what it raises."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._calls.put(partial(_call, function, what, loop, future))
        return await future


def _serve(calls: "queue.SimpleQueue[Callable[[], None] | None]") -> None:
    while (call := calls.get()) is not None:
        call()


def _call(
    function: Callable[[object], object],
    what: object,
    loop: asyncio.AbstractEventLoop,
    future: "asyncio.Future[object]",
) -> None:
    try:
        answer = partial(_resolve, future, function(what), None)
    except BaseException as error:
        answer = partial(_resolve, future, None, error)
    with suppress(RuntimeError):  # the loop is closed by now: nobody waits
        loop.call_soon_threadsafe(answer)


def _resolve(future: "asyncio.Future[object]", result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))


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

    def notice(self, state: State, recorded: Recorded) -> Notice:
        """Return what listeners are to be told of an event that was just applied."""
        if not self._orders and not self._positions:
            return _NOTHING
        event = recorded.event
        order = position = None
        if self._orders and is_order_event(event):
            order = state.orders.order((event.account, event.order_id))  # type: ignore[attr-defined]
            order = None if order is None or order.merged_into else order  # it is shown as the order that it is now
        if self._positions and isinstance(event, FillAdded | FillBusted | FillCorrected):
            held = state.positions.touched
            position = None if held is None else position_view(state.positions, held)
        return Notice(order, position) if order is not None or position is not None else _NOTHING

    def publish(self, notices: Sequence[Notice]) -> None:
        """Tell everybody, in log order."""
        if not self.anybody:
            return
        for notice in notices:
            if notice.order is not None:
                view = order_view(notice.order)
                for line in self._orders:
                    line.tell(view)
            if notice.position is not None:
                for line in self._positions:
                    line.tell(notice.position)

    def wake(self) -> None:
        """Begin to tell what was taken in outside the loop."""
        for line in (*self._orders, *self._positions):
            line.wake()

    @property
    def anybody(self) -> bool:
        """Return whether somebody listens."""
        return bool(self._orders or self._positions)

    async def told(self) -> None:
        """Wait a moment until the synchronous callbacks have returned; one that has not is not waited for again."""
        lines = [line for line in (*self._orders, *self._positions) if line.is_prompt]
        tasks = {line.task: line for line in lines if line.task is not None and not line.task.done()}
        if tasks:
            _, slow = await asyncio.wait(tasks, timeout=PATIENCE)
            for task in slow:
                tasks[task].is_slow = True

    async def idle(self, grace: float = 1.0) -> None:
        """Wait until everybody was told, `grace` seconds at most."""
        tasks = [line.task for line in (*self._orders, *self._positions) if line.task and not line.task.done()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
