"""Hearing of what other processes append while this one has nothing to do itself."""

import asyncio
import logging
import weakref
from collections.abc import Callable

from oms_es.errors import LogError
from oms_es.log.identity import STOPPING

INTERVAL = 0.1  # seconds; for so long the append of another process may go unheard
_log = logging.getLogger("oms_es")


class LogPoller:
    """
    Looks at the end of the log now and then, once somebody listens; it costs one indexed read each time.

    Args:
        look: takes in what has come. Only a weak hold is kept on it: whoever is dropped is watched no longer.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = weakref.WeakMethod(look)
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Watch from here on, if this is called inside a loop; called again, see to it that the watch goes on."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # begun with the next command
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(_watch(self._look))

    def end(self) -> None:
        """Watch no longer."""
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
