"""
The API without `await`, for scripts and notebooks.

    from oms_es.sync import OrderManagementSystem

    with OrderManagementSystem(log="day.db") as oms:
        order = oms.submit_order("ADAUSDM", "buy", "limit", "100", "0.45")

An event loop in a thread of its own does the work, so that it can be used where another loop runs, as in a notebook.
"""

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from oms_es.api.oms import OrderManagementSystem as Oms
from oms_es.api.risk_manager import RiskManager
from oms_es.engine.metrics import Metrics

P = ParamSpec("P")
T = TypeVar("T")


def _waited(
    method: Callable[Concatenate[Oms, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["OrderManagementSystem", P], T]:
    """Return the method of the same name, which returns when the command is durable."""

    @wraps(method)
    def call(self: "OrderManagementSystem", /, *args: P.args, **options: P.kwargs) -> T:
        return self._run(method(self._oms, *args, **options))

    return call


def _direct(method: Callable[Concatenate[Oms, P], T]) -> Callable[Concatenate["OrderManagementSystem", P], T]:
    """Return the method of the same name, which runs in the thread of the event loop."""

    @wraps(method)
    def call(self: "OrderManagementSystem", /, *args: P.args, **options: P.kwargs) -> T:
        async def run() -> T:
            return method(self._oms, *args, **options)

        return self._run(run())

    return call


class OrderManagementSystem:
    """
    `oms_es.OrderManagementSystem` with methods that return their results; the arguments and errors are the same.

    Callbacks run in the thread of the event loop, and must not call a method of this object.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="oms-loop", daemon=True)
        self._thread.start()
        self._end = weakref.finalize(self, _end, self._loop, self._thread)
        try:
            self._oms = self._run(_made(args, options))
        except BaseException:
            self._end()
            raise

    def _run(self, job: Coroutine[Any, Any, T]) -> T:
        if not self._end.alive:
            job.close()
            raise RuntimeError("this OrderManagementSystem is closed")
        return asyncio.run_coroutine_threadsafe(job, self._loop).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for running commands, close the log and end the thread; optional, every result is already durable."""
        if self._end.alive:
            self._run(self._oms.close())
            self._end()

    # --- commands ---

    submit_order = _waited(Oms.submit_order)
    update_order_state = _waited(Oms.update_order_state)
    link_order = _waited(Oms.link_order)
    cancel_order = _waited(Oms.cancel_order)
    amend_order = _waited(Oms.amend_order)
    accept_clock = _waited(Oms.accept_clock)
    apply_report = _waited(Oms.apply_report)
    request_cancel = _waited(Oms.request_cancel)
    reject_cancel = _waited(Oms.reject_cancel)
    request_replace = _waited(Oms.request_replace)
    reject_replace = _waited(Oms.reject_replace)
    add_fill = _waited(Oms.add_fill)
    bust_fill = _waited(Oms.bust_fill)
    correct_fill = _waited(Oms.correct_fill)
    resolve_quarantined = _waited(Oms.resolve_quarantined)
    record_mark = _waited(Oms.record_mark)
    define_instrument = _waited(Oms.define_instrument)
    close_day = _waited(Oms.close_day)
    halt = _waited(Oms.halt)
    resume = _waited(Oms.resume)

    def set_limits(
        self,
        *,
        account: str | None = None,
        actor: str = "",
        reason: str = "",
        command_id: str | None = None,
        **changes: Any,
    ) -> None:
        """Change limits, of every account or of one; see `oms_es.OrderManagementSystem.set_limits`."""
        self._run(self._oms.set_limits(account=account, actor=actor, reason=reason, command_id=command_id, **changes))

    # --- queries ---

    get_order = _direct(Oms.get_order)
    get_all_orders = _direct(Oms.get_all_orders)
    get_open_orders = _direct(Oms.get_open_orders)
    get_position = _direct(Oms.get_position)
    get_all_positions = _direct(Oms.get_all_positions)
    get_portfolio_summary = _direct(Oms.get_portfolio_summary)
    positions = _direct(Oms.positions)
    orders = _direct(Oms.orders)
    fills = _direct(Oms.fills)
    pnl = _direct(Oms.pnl)
    position_series = _direct(Oms.position_series)
    pnl_series = _direct(Oms.pnl_series)
    history = _direct(Oms.history)
    diff = _direct(Oms.diff)
    why_position = _direct(Oms.why_position)
    why_order = _direct(Oms.why_order)
    lots = _direct(Oms.lots)
    quarantine = _direct(Oms.quarantine)

    # --- callbacks and the rest ---

    add_order_callback = _direct(Oms.add_order_callback)
    add_position_callback = _direct(Oms.add_position_callback)
    add_quarantine_callback = _direct(Oms.add_quarantine_callback)

    @property
    def risk_manager(self) -> RiskManager:
        """Return the risk checks and the daily P&L."""
        return self._oms.risk_manager

    @property
    def metrics(self) -> Metrics:
        """Return latencies and sizes, measured from the first use of this property."""
        return self._oms.metrics


async def _made(args: tuple[Any, ...], options: dict[str, Any]) -> Oms:
    return Oms(*args, **options)


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join()
        loop.close()
