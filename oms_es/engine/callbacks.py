"""
Order, position and quarantine callbacks. They run after the commit, in log order; each has its own queue.

A callback that raises is logged; one that hangs delays no other. A synchronous one runs in its own thread, so it cannot
block the event loop. A command waits up to `PATIENCE` for synchronous callbacks, but not for one that was slow before.
A queue has a bound: beyond it the oldest call is dropped, new commands wait, or the callback is disconnected.
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
from contextvars import ContextVar
from functools import partial
from typing import TypeAlias

from msgspec import Struct

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillAdded, FillBusted, FillCorrected, FillQuarantined, QuarantineResolved
from oms_es.domain.order import Order, is_order_event
from oms_es.projections.state import State
from oms_es.projections.views import OMSOrder, Position, QuarantineChange, order_view, position_view, quarantine_change

OrderCallback: TypeAlias = Callable[[OMSOrder], Awaitable[None] | None]
PositionCallback: TypeAlias = Callable[[Position], Awaitable[None] | None]
QuarantineCallback: TypeAlias = Callable[[QuarantineChange], Awaitable[None] | None]
_QUARANTINE = frozenset({FillQuarantined, QuarantineResolved})
PATIENCE = 0.05  # seconds
_in_callback = ContextVar("oms_es_in_callback", default=False)  # its own commands never wait for room in its queue
_log = logging.getLogger("oms_es")


class Notice(Struct, frozen=True):
    """The order and position right after an event; None without a callback for it."""

    order: Order | None = None
    position: Position | None = None
    quarantine: QuarantineChange | None = None


_NOTHING = Notice()


class _Queue:
    """
    One callback and the views it has not been called with yet.

    Args:
        callback: the function to call.
        most: how many calls may wait; 0: any number.
        when_full: `drop_oldest`, `block` or `disconnect`.
    """

    def __init__(self, callback: Callable[..., Awaitable[None] | None], most: int, when_full: str) -> None:
        self._callback = callback
        self._most, self._when_full = most, when_full
        self._has_room = asyncio.Event()
        self._disconnected = False
        self.dropped = 0
        self._waiting: deque[object] = deque()
        self._task: asyncio.Task[None] | None = None
        called = getattr(callback, "__call__", callback)  # noqa: B004 - of an object that can be called
        self._is_async = inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(called)
        self._thread: _Thread | None = None
        self.is_slow = False

    def put(self, what: object) -> None:
        if self._disconnected:
            self.dropped += 1
            return
        if self.is_full and self._when_full == "disconnect":
            self._disconnected, self.dropped = True, self.dropped + len(self._waiting) + 1
            self._waiting.clear()
            _log.error("%s was disconnected: %d calls waited for it", self._name, self._most)
            return
        if self.is_full and self._when_full == "drop_oldest":
            self._waiting.popleft()
            self.dropped += 1
            if self.dropped & (self.dropped - 1) == 0:  # at 1, 2, 4, 8, …
                _log.warning("%s is too slow: %d calls were dropped", self._name, self.dropped)
        self._waiting.append(what)
        self.wake()

    @property
    def is_full(self) -> bool:
        """Return whether as many calls wait as may."""
        return 0 < self._most <= len(self._waiting)

    @property
    def is_blocking(self) -> bool:
        """Return whether new commands have to wait for it."""
        return self._when_full == "block" and self.is_full

    @property
    def waiting(self) -> int:
        """Return the number of calls that wait."""
        return len(self._waiting)

    @property
    def _name(self) -> str:
        return f"callback {getattr(self._callback, '__qualname__', type(self._callback).__name__)}"

    async def room(self) -> None:
        """Wait until it is no longer full."""
        _log.warning("commands wait for %s, which is too slow", self._name)
        while self.is_full:
            self._has_room.clear()
            await self._has_room.wait()

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
        _in_callback.set(True)
        while self._waiting:
            what = self._waiting.popleft()
            self._has_room.set()
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
    _in_callback.set(True)
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
    """
    All registered callbacks.

    Args:
        most: how many calls may wait for each; 0: any number.
        when_full: what happens then: `drop_oldest`, `block` (new commands wait) or `disconnect`.
    """

    def __init__(self, most: int = 0, when_full: str = "drop_oldest") -> None:
        self._bound = (most, when_full)
        self._orders: list[_Queue] = []
        self._positions: list[_Queue] = []
        self._quarantine: list[_Queue] = []
        self.quarantine_changed: Callable[[QuarantineChange], None] = lambda _: None

    def add_quarantine_callback(self, callback: QuarantineCallback) -> None:
        """Call `callback` after every change of the quarantine."""
        self._quarantine.append(_Queue(callback, *self._bound))

    def add_order_callback(self, callback: OrderCallback) -> None:
        """Call `callback` after every event of an order, with the order right after it."""
        self._orders.append(_Queue(callback, *self._bound))

    def add_position_callback(self, callback: PositionCallback) -> None:
        """Call `callback` after every change of a position."""
        self._positions.append(_Queue(callback, *self._bound))

    def notice(self, state: State, recorded: Recorded) -> Notice:
        """Return the views for the callbacks of an event that was just applied."""
        event = recorded.event
        quarantine = None
        if type(event) in _QUARANTINE:
            quarantine = quarantine_change(event, len(state.orders.all_waiting()))  # type: ignore[arg-type]
        elif not self._orders and not self._positions:
            return _NOTHING
        order = position = None
        if self._orders and is_order_event(event):
            order = state.orders.order((event.account, event.order_id))  # type: ignore[attr-defined]
            order = None if order is None or order.merged_into else order  # it is shown as the order that it is now
        if self._positions and isinstance(event, FillAdded | FillBusted | FillCorrected):
            held = state.positions.touched
            position = None if held is None else position_view(state.positions, held)
        is_empty = order is None and position is None and quarantine is None
        return _NOTHING if is_empty else Notice(order, position, quarantine)

    def publish(self, notices: Sequence[Notice]) -> None:
        """Queue the views for every callback, in log order."""
        for notice in notices:
            if notice is _NOTHING:
                continue
            if notice.quarantine is not None:
                self.quarantine_changed(notice.quarantine)
                for each in self._quarantine:
                    each.put(notice.quarantine)
            if notice.order is not None:
                view = order_view(notice.order)
                for each in self._orders:
                    each.put(view)
            if notice.position is not None:
                for each in self._positions:
                    each.put(notice.position)

    def wake(self) -> None:
        """Run the callbacks for events that were applied outside the event loop."""
        for each in self._all:
            each.wake()

    @property
    def anybody(self) -> bool:
        """Return whether a callback is registered."""
        return bool(self._orders or self._positions or self._quarantine)

    @property
    def is_blocking(self) -> bool:
        """Return whether a new command has to wait; never one that comes from a callback."""
        return self.anybody and not _in_callback.get() and any(each.is_blocking for each in self._all)

    async def room(self) -> None:
        """Wait until no callback makes new commands wait."""
        for each in self._all:
            if each.is_blocking:
                await each.room()

    def counts(self) -> tuple[int, int]:
        """Return how many calls wait, and how many were dropped."""
        return sum(each.waiting for each in self._all), sum(each.dropped for each in self._all)

    @property
    def _all(self) -> list[_Queue]:
        return [*self._orders, *self._positions, *self._quarantine]

    async def told(self) -> None:
        """Wait up to `PATIENCE` for the synchronous callbacks; a slow one is not waited for again."""
        prompt = [each for each in self._all if each.is_prompt]
        tasks = {each.task: each for each in prompt if each.task is not None and not each.task.done()}
        if tasks:
            _, slow = await asyncio.wait(tasks, timeout=PATIENCE)
            for task in slow:
                tasks[task].is_slow = True

    async def idle(self, grace: float = 1.0) -> None:
        """Wait until every callback has run, `grace` seconds at most."""
        tasks = [each.task for each in self._all if each.task and not each.task.done()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
