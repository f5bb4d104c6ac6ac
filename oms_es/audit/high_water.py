"""High-water marks of exposure and daily loss per trading day, with the limit in force."""

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct, field

from oms_es.decimals import ZERO, minus, negate, plus
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import Event, MarkRecorded, OrderEvent, QuarantineEvent, StateChanged
from oms_es.domain.policy import Policy
from oms_es.projections.state import State


class HighWaterMark(Struct):
    """The largest value of a figure, and the limit in force then."""

    most: Decimal = ZERO
    limit: Decimal | None = None
    seq: int = 0  # of the event after which it was so large; 0 while it was never above 0

    def take(self, value: Decimal, limit: Decimal | None, seq: int) -> None:
        """Raise the mark to the value if that is larger."""
        if value > self.most:
            self.most, self.limit, self.seq = value, limit, seq
        elif not self.seq:
            self.limit = limit


class HighWaterMarks(Struct):
    """The high-water marks of a trading day."""

    worst_loss: dict[str, HighWaterMark] = field(default_factory=dict)  # by account/currency
    # The largest position that open orders could make, by account/symbol.
    exposure: dict[str, HighWaterMark] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)  # of the last look at each account

    def take(self, state: State, group: Iterable[Recorded], account: str | None = None) -> None:
        """Raise the marks after the events of a command; those of one account, or of all."""
        touched, at = set[tuple[str, str]](), None
        for at in group:
            if not self._only_lowers(state, at.event):
                touched |= _touched(state, at)
        for own, symbol in sorted(touched):
            if at is not None and account in (None, own):
                self._raise(state, own, symbol, at)

    def _only_lowers(self, state: State, event: Event) -> bool:
        """Return whether an event cannot raise a mark; with a changed limit, the marks are looked at all the same."""
        if type(event) is not StateChanged or (event.new.is_open and not event.old.is_open):
            return False
        return self.policies.get(event.account) is state.policies.policy(event.account)

    def _raise(self, state: State, account: str, symbol: str, at: Recorded) -> None:
        policy = self.policies[account] = state.policies.policy(account)
        policy = policy.of(symbol, state.positions.currency(symbol))
        sides = state.orders.exposed(account, symbol)
        held = state.positions.position(account, symbol)
        worst = max(plus(held, sides.buys).copy_abs(), minus(held, sides.sells).copy_abs(), held.copy_abs())
        self.exposure.setdefault(f"{account}/{symbol}", HighWaterMark()).take(worst, policy.max_position_size, at.seq)
        currencies = {each.currency for each in state.positions.held_in(account, symbol)}
        for currency in sorted(currencies or {state.positions.currency(symbol)}):
            loss = negate(state.positions.daily_pnl(account, at.trading_day, currency, policy.basis))
            most = state.policies.policy(account).of("", currency).max_daily_loss
            self.worst_loss.setdefault(f"{account}/{currency}", HighWaterMark()).take(loss, most, at.seq)


def _touched(state: State, at: Recorded) -> set[tuple[str, str]]:
    """Return the accounts and symbols whose exposure or loss an event can have changed."""
    event = at.event
    if isinstance(event, MarkRecorded):  # where unrealized P&L counts, a mark can be a loss
        holders = state.positions.holders.get(event.symbol) or ()
        return {(name, event.symbol) for name in holders if state.policies.policy(name).basis == "total"}
    if isinstance(event, OrderEvent | QuarantineEvent):
        order = state.orders.order((event.account, event.order_id))
        return set() if order is None else {(order.account, order.symbol)}
    return set()
