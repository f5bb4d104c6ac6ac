"""The whole state after the events of one log: decisions, queries and audits read it."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

from oms_es.decimals import ZERO
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import Event, PolicyChanged
from oms_es.domain.risk_checks import Exposure
from oms_es.projections.order_rate import Rates
from oms_es.projections.orders import Orders
from oms_es.projections.policies import Policies
from oms_es.projections.positions import Positions
from oms_es.projections.projection import UNFIT, Projection, canonical_json, damaged
from oms_es.projections.rows import digest_row, order_row
from oms_es.projections.trading_days import Days
from oms_es.projections.undo import UndoLog
from oms_es.vocabulary import EVERY_ACCOUNT, CostMethod, OrderSide


class State:
    """
    Orders, positions and rules after the same event.

    Args:
        method: the cost method until a policy names one, or throughout.
        follows: whether positions go by the method of the policy in force, as decisions do.
    """

    def __init__(self, method: CostMethod = CostMethod.FIFO, *, follows: bool = True) -> None:
        self.undo = undo = UndoLog()
        self.orders = Orders(undo)
        self.positions = Positions(method, undo=undo)
        self.policies = Policies(undo)
        self.rates = Rates(undo)
        self.days = Days(undo)
        self._follows = follows
        self.seq = 0  # of the last event, committed or not
        self.committed_seq = 0
        self.recorded_at = 0
        self.clock = 0  # our clock at the last event: `recorded_at`, unless a clock behind it was accepted
        self._committed_times = (0, 0)  # recorded_at and clock
        self._handlers: dict[type[Event], tuple[Callable[[Any, Recorded], None], ...]] = {}
        self._parts: tuple[Projection, ...] = (self.orders, self.positions, self.policies, self.rates, self.days)

    def apply(self, recorded: Recorded) -> None:
        """Fold one event; its changes can be undone until `commit`."""
        event = recorded.event
        kind = type(event)
        self.days.count(recorded)
        handlers = self._handlers.get(kind)
        if handlers is None:
            handlers = self._handlers[kind] = self._handlers_of(kind)
        try:
            for handler in handlers:
                handler(event, recorded)
        except UNFIT as error:
            raise damaged(recorded, error) from error
        if kind is PolicyChanged and self._follows:
            method = self.policies.policy(EVERY_ACCOUNT).method
            if self.policies.is_set and method is not self.positions.method:
                self.positions.follow(method, recorded)
        self.seq = recorded.seq
        self.recorded_at = max(self.recorded_at, recorded.recorded_at)
        clock = event.clock  # type: ignore[attr-defined] # a field of every base, after those of the stream
        self.clock = self.recorded_at if clock is None else clock

    def restrict(self, names: Collection[str]) -> frozenset[str]:
        """Fold from here on only some parts (`orders`, `positions`, …); return the topics that they need."""
        self._parts = tuple(getattr(self, name) for name in sorted({*names, "policies"}))
        self._handlers.clear()
        return frozenset[str]().union(*(part.topics() for part in self._parts))

    def _handlers_of(self, kind: type[Event]) -> tuple[Callable[[Any, Recorded], None], ...]:
        """Return what folds a kind of event, in the order of the parts."""
        return tuple(MethodType(part.handlers[kind], part) for part in self._parts if kind in part.handlers)

    def replay(self, events: Iterable[Recorded]) -> "State":
        """Fold many events, commit, and return self."""
        apply, steps = self.apply, self.undo.steps
        with self.undo.off():
            for recorded in events:
                apply(recorded)
                if steps:
                    steps.clear()
        self.commit()
        return self

    def commit(self) -> None:
        """Make the changes permanent."""
        self.undo.commit()
        self.committed_seq, self._committed_times = self.seq, (self.recorded_at, self.clock)

    def rollback(self) -> None:
        """Undo the changes since the last commit."""
        self.undo.rollback()
        self.seq, (self.recorded_at, self.clock) = self.committed_seq, self._committed_times

    @contextmanager
    def durable(self) -> Iterator["State"]:
        """Show the committed state inside the `with` block; no event is applied and nothing awaited in it."""
        latest = self.seq, self.recorded_at, self.clock
        self.seq, (self.recorded_at, self.clock) = self.committed_seq, self._committed_times
        try:
            with self.undo.undone():
                yield self
        finally:
            self.seq, self.recorded_at, self.clock = latest

    def digest(self) -> str:
        """Return one digest over all parts: equal logs have equal digests, on every machine."""
        parts = (f"{type(part).__name__}:{part.version}:{part.digest()}" for part in self._parts)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def closing_digests(self) -> dict[str, str]:
        """Return digests of positions, P&L, rules and open orders: those that the closing of a day records."""
        open_orders = [digest_row(order_row(order)) for order in self.orders.sorted_open()]
        content = {
            "positions": [[digest_row(row) for row in self.positions.rows()], self.positions.lots()],
            "pnl": self.positions.day_rows(),
            "limits": self.policies.rows(),
            "open_orders": open_orders,
        }
        return {name: hashlib.sha256(canonical_json(value)).hexdigest() for name, value in content.items()}

    def exposure(
        self,
        account: str,
        symbol: str,
        trading_day: str,
        now: int,
        clock_behind: int = 0,
        oco: tuple[str, OrderSide] | None = None,
    ) -> Exposure:
        """
        Return what risk is judged on.

        Args:
            account: whose order it is.
            symbol: what it trades.
            trading_day: the day that `now` is booked on.
            now: the moment of the decision, ns UTC.
            clock_behind: seconds that our clock is behind the log's head.
            oco: the OCO group of the order, and its side.
        """
        policy = self.policies.policy(account).of(symbol, self.positions.currency(symbol))
        sides = self.orders.exposed(account, symbol)
        mark = self.positions.marks.get(symbol)
        pnl = ZERO
        instrument = self.positions.instrument(symbol)
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
            multiplier=instrument.multiplier,
            recent_orders=self.rates.count(account, now),
            clock_behind=clock_behind,
            group_open=ZERO if oco is None else self.orders.group_open(account, symbol, *oco),
            quantity_step=instrument.quantity_step,
            price_step=instrument.price_step,
            min_quantity=instrument.min_quantity,
        )
