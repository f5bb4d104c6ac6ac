"""The write model of one process: the state, folded from the log once, with retention and checkpoints."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillAdded, FillBusted, FillCorrected
from oms_es.domain.order import Order, evolve
from oms_es.engine.callbacks import Callbacks
from oms_es.engine.checkpoint_worker import CheckpointWorker
from oms_es.engine.quarantine_alerts import QuarantineAlerts
from oms_es.engine.settings import Settings
from oms_es.errors import LogError
from oms_es.log.contract import Log
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.policies import first_method
from oms_es.projections.snapshots.state_store import LEAST, load_state, save_state
from oms_es.projections.state import State
from oms_es.timestamps import SECOND
from oms_es.vocabulary import Origin

FAR = 600 * SECOND  # a fill reported later than this is far back in the past


class WriteModel:
    """
    The state after everything in the log.

    Args:
        log: the event store.
        settings: for how long completed orders stay in memory, and how often checkpoints are made.
        callbacks: they report changes of the quarantine.
    """

    def __init__(self, log: Log, settings: Settings, callbacks: Callbacks) -> None:
        self._log = log
        self._method = settings.policy.method
        self._retention = settings.order_history_retention * SECOND
        self._verified_rows = settings.verified_rows
        self._checkpoints = CheckpointWorker(log, settings.position_snapshot_interval)
        self._state: State | None = None
        self._retired_at = 0
        self._has_late_events = False
        self._stored_seq = 0  # seq of the state that is stored beside the log
        self._has_rules = False  # whether the state was folded by the cost method of the log's first policy
        self.alerts = QuarantineAlerts(self.current, settings.quarantine_reminder)
        callbacks.quarantine_changed = self.alerts.changed

    @property
    def is_open(self) -> bool:
        """Return whether the log was read."""
        return self._state is not None

    @property
    def state(self) -> State:
        """Return the state; reads the log the first time."""
        if self._state is None:
            self._state = self._folded()
            self._checkpoints.begin(self._state.committed_seq, self._state.recorded_at)
            self.alerts.opened(self._state)
        return self._state

    def current(self) -> State:
        """Return the state, for those who hold only a weak reference."""
        return self.state

    def note_late_event(self, recorded: Recorded) -> None:
        """Note an event that changes positions far back in the past."""
        restates = isinstance(recorded.event, FillBusted | FillCorrected)
        if restates or (isinstance(recorded.event, FillAdded) and recorded.decided_at - recorded.effective_at > FAR):
            self._has_late_events |= recorded.origin is not Origin.IMPORT

    def commit(self) -> None:
        """Commit the state; retire completed orders and make checkpoints where due."""
        state = self.state
        state.commit()
        if state.policies.is_set and not self._has_rules:
            self._has_rules = True
            if first_method(self._log, self._method) is not self._method and state.positions.held:
                self._state = state = self._folded()  # another process recorded the first policy after an import
        self._retire(state)
        if self._has_late_events:
            self._has_late_events = False
            self._checkpoints.reset_to_start()
        self._checkpoints.after(state.committed_seq, state.recorded_at)

    def close(self, *, committed: bool, stopped: bool = False) -> None:
        """
        Make the last checkpoints, and store the state for the next opening if `committed` and large enough.

        With `stopped` (the end of the log is uncertain) nothing is made or stored.
        """
        self.alerts.end()
        state = self._state
        if state is None:
            return
        self._checkpoints.finish(0 if stopped else state.committed_seq)
        if stopped:
            return
        worth_it = committed and self._has_rules and state.committed_seq - self._stored_seq >= LEAST
        with suppress(LogError):  # a cache is not worth an error at the end
            if worth_it and isinstance(self._log, SqliteLog) and self._log.head().seq:
                save_state(self._log, "live", state)
                self._stored_seq = state.committed_seq

    def _folded(self) -> State:
        """Fold the log, from the stored state where there is one, else from zero."""
        state = load_state(self._log, "live", self._log.head().seq + 1) if isinstance(self._log, SqliteLog) else None
        if state is None:
            state = State(first_method(self._log, self._method))
        else:
            state.orders.retired = 1  # the log may have orders that are not in it
        self._stored_seq = state.committed_seq
        state.orders.reload = partial(self._reload, state)
        state.replay(self._tail(state.committed_seq))
        self._has_rules = state.policies.is_set
        self._retire(state)
        return state

    def _tail(self, after: int) -> Iterator[Recorded]:
        """Return the events after a seq; check the hash chain of them, and of the last rows of the log."""
        if not isinstance(self._log, SqliteLog):
            return self._log.read(after=after)
        begin = self._log.head().seq - self._verified_rows
        for _ in self._log.verified(max(0, begin), after) if begin < after else ():
            pass
        return self._log.read_verified(after)

    def _reload(self, state: State, key: tuple[str, str]) -> Order | None:
        order: Order | None = None
        applied = state.committed_seq  # events of other processes after it are applied in their turn
        for each in self._log.stream(f"order/{key[0]}/{key[1]}"):
            if each.seq > applied:
                break
            order = evolve(order, each.event, each.occurred_at, each.recorded_at, each.seq)
        return order

    def _retire(self, state: State) -> None:
        """Drop completed orders from memory after `system.order_history_retention`; checked once a minute at most."""
        if state.recorded_at - self._retired_at >= min(self._retention, 60 * SECOND):
            self._retired_at = state.recorded_at
            state.orders.retire(state.recorded_at - self._retention)
