"""All that a decision rests on, folded from one log: the sequencer's working state, and what questions are put to."""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from oms_es.decimals import ZERO
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import Event, PolicyChanged
from oms_es.domain.risk_checks import Exposure
from oms_es.projections.order_rate import Rates
from oms_es.projections.orders import Orders, order_row
from oms_es.projections.policies import Policies
from oms_es.projections.positions import Positions
from oms_es.projections.projection import Projection, canonical_json
from oms_es.projections.staging import StagedDict
from oms_es.projections.trading_days import Days
from oms_es.vocabulary import EVERY_ACCOUNT, CostMethod


class State:
    """
    Orders, positions and rules after the same event.

    Args:
        method: the cost method until a policy names one, or throughout.
        follows: whether positions go by the method of the policy in force, as decisions do.
    """

    def __init__(self, method: CostMethod = CostMethod.FIFO, *, follows: bool = True) -> None:
        self.orders = Orders()
        self.positions = Positions(method)
        self.policies = Policies()
        self.rates = Rates()
        self.days = Days()
        self._follows = follows
        self.seq = 0  # of the last event taken in, pending ones included
        self.committed_seq = 0
        self.recorded_at = 0
        self._committed_recorded_at = 0
        self._parts_of: dict[type[Event], tuple[Projection, ...]] = {}
        self._uncommitted: dict[Projection, None] = {}
        self._parts: tuple[Projection, ...] = (self.orders, self.positions, self.policies, self.rates, self.days)

    def apply(self, recorded: Recorded) -> None:
        """Take one event in; what it changes is pending."""
        for part in self._parts_for(type(recorded.event)):
            part.apply(recorded)
        if self._follows and isinstance(recorded.event, PolicyChanged):
            method = self.policies.policy(EVERY_ACCOUNT).method
            if self.policies.is_set and method is not self.positions.method:
                self.positions.follow(method, recorded)
                self._uncommitted[self.positions] = None
        self.seq = recorded.seq
        self.recorded_at = max(self.recorded_at, recorded.recorded_at)

    def restrict(self, names: Collection[str]) -> frozenset[str]:
        """Take in from here on only what some parts live on (`orders`, `positions`, …); return the topics of that."""
        self._parts = tuple(getattr(self, name) for name in sorted({*names, "policies"}))
        self._parts_of.clear()
        return frozenset[str]().union(*(part.topics() for part in self._parts))

    def _parts_for(self, kind: type[Event]) -> tuple[Projection, ...]:
        """Return the parts that live on a kind of event; they are to be committed."""
        found = self._parts_of.get(kind)
        if found is None:
            found = self._parts_of[kind] = tuple(
                part for part in self._parts if kind in part.handlers or part is self.days
            )
        self._uncommitted |= dict.fromkeys(found)
        return found

    def replay(self, events: Iterable[Recorded]) -> "State":
        """Take in many events, commit, and return self."""
        for recorded in events:
            self.apply(recorded)
        self.commit()
        return self

    def commit(self) -> None:
        """Make pending changes visible to readers."""
        for part in self._uncommitted:
            part.commit()
        self._uncommitted.clear()
        self.committed_seq, self._committed_recorded_at = self.seq, self.recorded_at

    def commit_all(self) -> None:
        """Commit every part, also those that no event has changed."""
        self._uncommitted = dict.fromkeys(self._parts)
        self.commit()

    def rollback(self) -> None:
        """Drop pending changes."""
        for part in self._parts:
            part.rollback()
        self._uncommitted.clear()
        self.seq, self.recorded_at = self.committed_seq, self._committed_recorded_at

    @contextmanager
    def durable(self) -> Iterator["State"]:
        """Show what is committed only, for as long as this lasts; no event is applied and nobody waits meanwhile."""
        cells = [cell for part in self._parts for cell in vars(part).values() if isinstance(cell, StagedDict)]
        pending = self.seq, self.recorded_at, self.positions.method
        self.positions.method = self.positions.committed_method
        self.seq, self.recorded_at = self.committed_seq, self._committed_recorded_at
        for cell in cells:
            cell.hide()
        try:
            yield self
        finally:
            self.seq, self.recorded_at, self.positions.method = pending
            for cell in cells:
                cell.hide()

    @contextmanager
    def decided(self) -> Iterator["State"]:
        """Show what is pending as if it were committed, for as long as this lasts; nobody waits meanwhile."""
        cells = [cell for part in self._parts for cell in vars(part).values() if isinstance(cell, StagedDict)]
        committed = [cell.committed for cell in cells]
        for cell in cells:
            cell.committed = {**cell.committed, **{key: cell.get(key) for key in cell.pending()}}
        try:
            yield self
        finally:
            for cell, before in zip(cells, committed, strict=True):
                cell.committed = before

    def digest(self) -> str:
        """Return one digest over all parts: equal logs have equal digests, on every machine."""
        parts = (f"{type(part).__name__}:{part.version}:{part.digest()}" for part in self._parts)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def closing_digests(self) -> dict[str, str]:
        """Return digests of positions, P&L, rules and open orders, pending changes included: those of a closed day."""
        with self.decided():
            return self._closing_digests()

    def _closing_digests(self) -> dict[str, str]:
        open_orders = [order_row(order) for order in self.orders.sorted() if order.is_open]
        content = {
            "positions": [self.positions.rows(), self.positions.lots()],
            "pnl": self.positions.day_rows(),
            "limits": self.policies.rows(),
            "open_orders": open_orders,
        }
        return {name: hashlib.sha256(canonical_json(value)).hexdigest() for name, value in content.items()}

    def exposure(self, account: str, symbol: str, trading_day: str, now: int, clock_behind: int = 0) -> Exposure:
        """
        Return what risk is judged on.

        Args:
            account: whose order it is.
            symbol: what it trades.
            trading_day: the day that `now` is booked on.
            now: the moment of the decision, ns UTC.
            clock_behind: seconds that our clock is behind the log's head.
        """
        policy = self.policies.policy(account)
        sides = self.orders.exposed(account, symbol)
        mark = self.positions.marks.get(symbol)
        pnl = ZERO
        if policy.max_daily_loss is not None:
            currency = self.positions.currency(symbol)
            pnl = self.positions.daily_pnl(account, trading_day, currency, policy.basis)
        return Exposure(
            position=self.positions.position(account, symbol),
            open_buys=sides.buys,
            open_sells=sides.sells,
            open_orders=self.orders.open_count.get(account) or 0,
            daily_pnl=pnl,
            level=self.policies.level(account),
            mark=None if mark is None else mark.price,
            multiplier=self.positions.multiplier(symbol),
            recent_orders=self.rates.count(account, now),
            clock_behind=clock_behind,
        )
