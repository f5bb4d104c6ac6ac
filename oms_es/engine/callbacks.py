"""
Order and position callbacks. They run after the commit, in log order; each has its own queue.

A callback that raises is logged; one that hangs delays no other. A synchronous one runs in its own thread, so it cannot
block the event loop. A command waits up to `PATIENCE` for synchronous callbacks, but not for one that was slow before.
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
    """The order and position right after an event; None without a callback for it."""

    order: Order | None = None
    position: Position | None = None


_NOTHING = Notice()


class _Queue:
    """One callback and the views it has not been called with yet."""

    def __init__(self, callback: Callable[..., Awaitable[None] | None]) -> None:
        self._callback = callback
        self._waiting: deque[object] = deque()
        self._task: asyncio.Task[None] | None = None
        called = getattr(callback, "__call__", callback)  # noqa: B004 - of an object that can be called
        self._is_async = inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(called)
        self._thread: _Thread | None = None
        self.is_slow = False

    def put(self, what: object) -> None:
        self._waiting.append(what)
        self.wake()

    def wake(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # it runs when `wake` is called inside a loop
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
        """Return whether a command waits for it."""
        return not self._is_async and not self.is_slow

    @property
    def task(self) -> "asyncio.Task[None] | None":
        return self._task


class _Thread:
    """A thread for one synchronous callback; it is a daemon, so it never keeps a process from ending."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        weakref.finalize(self, self._calls.put, None)
        threading.Thread(target=_serve, args=(self._calls,), name="oms-callback", daemon=True).start()

    async def call(self, function: Callable[[object], object], what: object) -> object:
        """Call the function in the thread; return its result or raise its error."""
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
    with suppress(RuntimeError):  # the loop is closed by now
        loop.call_soon_threadsafe(answer)


def _resolve(future: "asyncio.Future[object]", result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))


class Callbacks:
    """All registered callbacks."""

    def __init__(self) -> None:
        self._orders: list[_Queue] = []
        self._positions: list[_Queue] = []

    def add_order_callback(self, callback: OrderCallback) -> None:
        """Call `callback` after every event of an order, with the order right after it."""
        self._orders.append(_Queue(callback))

    def add_position_callback(self, callback: PositionCallback) -> None:
        """Call `callback` after every change of a position."""
        self._positions.append(_Queue(callback))

    def notice(self, state: State, recorded: Recorded) -> Notice:
        """Return the views for the callbacks of an event that was just applied."""
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
        """Queue the views for every callback, in log order."""
        if not self.anybody:
            return
        for notice in notices:
            if notice.order is not None:
                view = order_view(notice.order)
                for each in self._orders:
                    each.put(view)
            if notice.position is not None:
                for each in self._positions:
                    each.put(notice.position)

    def wake(self) -> None:
        """Run the callbacks for events that were applied outside the event loop."""
        for each in (*self._orders, *self._positions):
            each.wake()

    @property
    def anybody(self) -> bool:
        """Return whether a callback is registered."""
        return bool(self._orders or self._positions)

    async def told(self) -> None:
        """Wait up to `PATIENCE` for the synchronous callbacks; a slow one is not waited for again."""
        prompt = [each for each in (*self._orders, *self._positions) if each.is_prompt]
        tasks = {each.task: each for each in prompt if each.task is not None and not each.task.done()}
        if tasks:
            _, slow = await asyncio.wait(tasks, timeout=PATIENCE)
            for task in slow:
                tasks[task].is_slow = True

    async def idle(self, grace: float = 1.0) -> None:
        """Wait until every callback has run, `grace` seconds at most."""
        tasks = [each.task for each in (*self._orders, *self._positions) if each.task and not each.task.done()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
