"""The working state of one process: folded from the log once, carried on from there, kept small and checkpointed."""

from contextlib import suppress
from functools import partial

from oms_es.domain.envelope import Recorded
from oms_es.domain.events import FillAdded, FillBusted, FillCorrected
from oms_es.domain.order import Order, evolve
from oms_es.engine.checkpoint_worker import Keeper
from oms_es.engine.settings import Settings
from oms_es.errors import LogError
from oms_es.log.contract import Log
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.policies import first_method
from oms_es.projections.snapshots.state_store import LEAST, keep, kept
from oms_es.projections.state import World
from oms_es.timestamps import SECOND
from oms_es.vocabulary import Origin

FAR = 600 * SECOND  # a fill told later than this reaches far back


class Live:
    """
    The state after everything in the log.

    Args:
        log: what it is folded from.
        settings: how long completed orders stay in memory, and how often checkpoints are made.
    """

    def __init__(self, log: Log, settings: Settings) -> None:
        self._log = log
        self._method = settings.policy.method
        self._retention = settings.order_history_retention * SECOND
        self._keeper = Keeper(log, settings.position_snapshot_interval)
        self._world: World | None = None
        self._retired_at = 0
        self._reaches_back = False
        self._kept_seq = 0  # how far the state that is kept beside the log goes
        self._has_rules = False  # whether the state was folded from the log's own first rules on

    @property
    def is_open(self) -> bool:
        """Return whether the log was read."""
        return self._world is not None

    @property
    def world(self) -> World:
        """Return the state; reads the log the first time."""
        if self._world is None:
            self._world = self._folded()
            self._keeper.begin(self._world.settled_seq, self._world.recorded_at)
        return self._world

    def saw(self, recorded: Recorded) -> None:
        """Notice an event that reaches far back behind what was known of the past."""
        restates = isinstance(recorded.event, FillBusted | FillCorrected)
        if restates or (isinstance(recorded.event, FillAdded) and recorded.recorded_at - recorded.effective_at > FAR):
            self._reaches_back |= recorded.origin is not Origin.IMPORT

    def settle(self) -> None:
        """Make what is staged visible, and look after memory and checkpoints."""
        world = self.world
        world.settle()
        if world.policies.is_set and not self._has_rules:
            self._has_rules = True
            if first_method(self._log, self._method) is not self._method and world.positions.held.settled:
                self._world = world = self._folded()  # another process brought other rules to what was imported before
        self._retire(world)
        if self._reaches_back:
            self._reaches_back = False
            self._keeper.reached_back()
        self._keeper.after(world.settled_seq, world.recorded_at)

    def close(self, *, settled: bool, stopped: bool = False) -> None:
        """
        Make the last checkpoints; keep the state, if `settled` and worth it, for whoever opens the log next.

        With `stopped` (what is in the log is not known) nothing is made or kept.
        """
        world = self._world
        if world is None:
            return
        self._keeper.finish(0 if stopped else world.settled_seq)
        if stopped:
            return
        worth_it = settled and self._has_rules and world.settled_seq - self._kept_seq >= LEAST
        with suppress(LogError):  # a cache is not worth an error at the end
            if worth_it and isinstance(self._log, SqliteLog) and self._log.head().seq:
                keep(self._log, "live", world)
                self._kept_seq = world.settled_seq

    def _folded(self) -> World:
        """Fold the log: on from the state that a process left off with, where there is one, else from zero."""
        world = kept(self._log, "live", self._log.head().seq + 1) if isinstance(self._log, SqliteLog) else None
        if world is None:
            world = World(first_method(self._log, self._method))
        else:
            world.orders.retired = 1  # orders that are not in it may stand in the log
        self._kept_seq = world.settled_seq
        world.orders.reload = partial(self._reload, world)
        world.replay(self._log.read(after=world.settled_seq))
        self._has_rules = world.policies.is_set
        self._retire(world)
        return world

    def _reload(self, world: World, key: tuple[str, str]) -> Order | None:
        order: Order | None = None
        taken = world.settled_seq  # the stream may hold more: what others have added comes when its turn comes
        for each in self._log.stream(f"order/{key[0]}/{key[1]}"):
            if each.seq > taken:
                break
            order = evolve(order, each.event, each.occurred_at, each.recorded_at, each.seq)
        return order

    def _retire(self, world: World) -> None:
        """Let completed orders leave memory after `system.order_history_retention`; looked after now and then."""
        if world.recorded_at - self._retired_at >= min(self._retention, 60 * SECOND):
            self._retired_at = world.recorded_at
            world.orders.retire(world.recorded_at - self._retention)
