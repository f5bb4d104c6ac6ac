"""
Queries of the log to be awaited: they run in a thread, in slices, so that the event loop of a bot does not wait.

After each slice of the log the thread lets go of the interpreter. A query whose caller was cancelled ends at the next
slice. Queries run one after another, on a connection of their own. The collector of reference cycles is off meanwhile:
it would stop every thread for as long as it looks through all that a query has made, which has no cycles.
"""

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from oms_es.api.explanations import Explanations
from oms_es.domain.envelope import Recorded
from oms_es.engine.settings import Settings
from oms_es.errors import OmsError
from oms_es.log.contract import Log
from oms_es.log.sqlite import SqliteLog

SLICE = 256  # events
P = ParamSpec("P")
T = TypeVar("T")


class QueryCancelled(OmsError):
    """The caller of a query no longer waits for it."""


class _SlicedLog(SqliteLog):
    """A log that lets other threads run after each slice of events."""

    cancelled = threading.Event()  # replaced for each query

    def read(
        self, after: int = 0, until: int | None = None, topics: Collection[str] | None = None
    ) -> Iterator[Recorded]:
        """Return the events with `after` < seq <= `until`, in order."""
        for number, each in enumerate(super().read(after, until, topics), 1):
            if not number % SLICE:
                time.sleep(0)
                if self.cancelled.is_set():
                    raise QueryCancelled("the query was cancelled")
            yield each


class _Collector:
    """The collector of reference cycles, which is off while a query of any OMS of the process runs."""

    def __init__(self) -> None:
        self._lock, self._queries, self._was_on = threading.Lock(), 0, False

    @contextmanager
    def off(self) -> Iterator[None]:
        """Turn it off; after the last query turn it on again, if it was on."""
        with self._lock:
            if not self._queries:
                self._was_on = gc.isenabled()
                gc.disable()
            self._queries += 1
        try:
            yield
        finally:
            with self._lock:
                self._queries -= 1
                if not self._queries and self._was_on:
                    if not gc.get_freeze_count():  # what was made counts as old: the next collection skips it
                        gc.freeze()
                        gc.unfreeze()
                    gc.enable()


_COLLECTOR = _Collector()


class _Reader(Explanations):
    def __init__(self, log: Log, settings: Settings) -> None:
        self.log, self.settings = log, settings


def _awaited(
    query: Callable[Concatenate[Explanations, P], T],
) -> Callable[Concatenate["InThread", P], Coroutine[Any, Any, T]]:
    @wraps(query)
    async def call(self: "InThread", /, *args: P.args, **options: P.kwargs) -> T:
        return await self.run(lambda reader: query(reader, *args, **options))

    return call


class InThread:
    """
    The queries of `LogQueries` and `Explanations`, to be awaited.

    Args:
        log: the log; a file is read through a connection of its own.
        settings: the settings of the API.
    """

    def __init__(self, log: Log, settings: Settings) -> None:
        self._log = _SlicedLog(log.path) if isinstance(log, SqliteLog) else log
        self._reader = _Reader(self._log, settings)
        self._thread: ThreadPoolExecutor | None = None

    positions = _awaited(Explanations.positions)
    orders = _awaited(Explanations.orders)
    fills = _awaited(Explanations.fills)
    pnl = _awaited(Explanations.pnl)
    position_series = _awaited(Explanations.position_series)
    pnl_series = _awaited(Explanations.pnl_series)
    history = _awaited(Explanations.history)
    diff = _awaited(Explanations.diff)
    why_position = _awaited(Explanations.why_position)
    why_order = _awaited(Explanations.why_order)
    lots = _awaited(Explanations.lots)
    quarantine = _awaited(Explanations.quarantine)

    async def run(self, query: Callable[[Explanations], T]) -> T:
        """Run a query in the thread and return its result."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "oms-query")
        cancelled = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, partial(self._query, query, cancelled)
            )
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def _query(self, query: Callable[[Explanations], T], cancelled: threading.Event) -> T:
        if isinstance(self._log, _SlicedLog):
            self._log.cancelled = cancelled
        with _COLLECTOR.off():
            return query(self._reader)

    def close(self) -> None:
        """Cancel running queries, end the thread and close its connection."""
        if isinstance(self._log, _SlicedLog):
            self._log.cancelled.set()
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._thread = None
        if isinstance(self._log, _SlicedLog):
            self._log.close()
