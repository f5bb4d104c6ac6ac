"""Polling the log for events of other processes while this one is idle."""

import asyncio
import logging
import weakref
from collections.abc import Callable

from oms_es.errors import LogError
from oms_es.log.identity import STOPPING

INTERVAL = 0.1  # seconds until an event of another process is noticed
_log = logging.getLogger("oms_es")


class LogPoller:
    """
    Polls the end of the log once a callback is registered; each poll is one indexed read.

    Args:
        look: applies new events. Only a weak reference is held: polling ends when its object is dropped.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = weakref.WeakMethod(look)
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin polling inside a running event loop; do nothing when it is polling already."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # begun with the next command
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(_watch(self._look))

    def end(self) -> None:
        """End polling."""
        if self._task is not None and not self._task.get_loop().is_closed():
            self._task.cancel()
        self._task = None


async def _watch(look: "weakref.WeakMethod[Callable[[], None]]") -> None:
    while (found := look()) is not None:
        try:
            found()
        except STOPPING as error:  # it stays so until the log is opened again
            _log.error("the log is followed no longer: %s", error)
            return
        except LogError:
            _log.exception("the log cannot be followed at the moment")
        del found  # while nothing happens, nothing is held
        await asyncio.sleep(INTERVAL)
