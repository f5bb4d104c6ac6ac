"""Warnings about fills in quarantine: at each change, when the log is opened, and again while one waits."""

import asyncio
import logging
import weakref
from collections.abc import Callable

from oms_es.engine.log_context import about
from oms_es.identifiers import escaped
from oms_es.projections.state import State
from oms_es.projections.views import QuarantineChange

_log = logging.getLogger("oms_es")
_MOST_NAMED = 5


class QuarantineAlerts:
    """
    Log lines about the quarantine.

    Args:
        state: returns the current state; only a weak reference to its object is held.
        every: seconds until the next warning while a fill waits; 0: none.
    """

    def __init__(self, state: Callable[[], State], every: int) -> None:
        self._state = weakref.WeakMethod(state)
        self._every = every
        self._timer: asyncio.TimerHandle | None = None

    def changed(self, change: QuarantineChange) -> None:
        """Log a change of the quarantine as a warning."""
        trade = "a fill" if change.trade_id is None else f"trade {change.trade_id}"
        if change.state == "waiting":
            what = f"{trade} of order {change.order_id} is in quarantine as {change.quarantine_id}: {change.why}"
        else:
            what = f"{change.quarantine_id} of order {change.order_id} is {change.state}"
        names = about(
            account=change.account,
            order_id=change.order_id,
            quarantine_id=change.quarantine_id,
            trade_id=change.trade_id,
            waiting=change.waiting,
        )
        _log.warning("%s", escaped(f"{what}; {change.waiting} in quarantine"), extra=names)
        self._begin()

    def opened(self, state: State) -> None:
        """Log the fills that wait in a log that was just read."""
        self._remind(state)

    def end(self) -> None:
        """Log nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # begun with the next change
        if self._every and (self._timer is None or self._timer.cancelled()):
            again = weakref.WeakMethod(self._again)
            self._timer = loop.call_later(self._every, lambda: (call := again()) and call())

    def _again(self) -> None:
        self._timer = None
        state = self._state()
        if state is not None:
            self._remind(state())

    def _remind(self, state: State) -> None:
        waiting = state.orders.all_waiting()
        if not waiting:
            return
        names = ", ".join(each.fill.quarantine_id for each in waiting[:_MOST_NAMED])
        more = "" if len(waiting) <= _MOST_NAMED else ", …"
        message = "fills wait in quarantine: %d (%s%s); accept or reject them"
        _log.warning(message, len(waiting), names, more, extra=about(waiting=len(waiting)))
        self._begin()
