"""How far exposure and daily loss have gone, beside the limits that stood then."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from msgspec import Struct, field

from oms_es.decimals import ZERO, minus, negate, plus
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import MarkRecorded, OrderEvent, QuarantineEvent
from oms_es.projections.state import State


class HighWaterMark(Struct):
    """How far a figure went, and the limit that stood then."""

    most: Decimal = ZERO
    limit: Decimal | None = None
    seq: int = 0  # of the event after which it was so; 0 while it was never above 0

    def take(self, value: Decimal, limit: Decimal | None, seq: int) -> None:
        """Keep the value if it is the largest so far."""
        if value > self.most:
            self.most, self.limit, self.seq = value, limit, seq
        elif not self.seq:
            self.limit = limit

    def row(self) -> dict[str, Any]:
        """Return it as it stands in JSON."""
        return {"most": self.most, "limit": self.limit, "seq": self.seq}


class HighWaterMarks(Struct):
    """How far a trading day went."""

    worst_loss: dict[str, HighWaterMark] = field(default_factory=dict)  # by account/currency
    exposure: dict[str, HighWaterMark] = field(default_factory=dict)  # worst case held, by account/symbol

    def take(self, state: State, group: Iterable[Recorded], account: str | None = None) -> None:
        """Look how far things have gone after a command that may have moved them; of one account, or of all."""
        touched, at = set[tuple[str, str]](), None
        for at in group:
            touched |= _touched(state, at)
        for own, symbol in sorted(touched):
            if at is not None and account in (None, own):
                self._look(state, own, symbol, at)

    def _look(self, state: State, account: str, symbol: str, at: Recorded) -> None:
        policy, sides = state.policies.policy(account), state.orders.exposed(account, symbol)
        held = state.positions.position(account, symbol)
        worst = max(plus(held, sides.buys).copy_abs(), minus(held, sides.sells).copy_abs(), held.copy_abs())
        self.exposure.setdefault(f"{account}/{symbol}", HighWaterMark()).take(worst, policy.max_position_size, at.seq)
        currencies = {each.currency for each in state.positions.held_in(account, symbol)}
        for currency in sorted(currencies or {state.positions.currency(symbol)}):
            loss = negate(state.positions.daily_pnl(account, at.trading_day, currency, policy.basis))
            self.worst_loss.setdefault(f"{account}/{currency}", HighWaterMark()).take(
                loss, policy.max_daily_loss, at.seq
            )


def _touched(state: State, at: Recorded) -> set[tuple[str, str]]:
    """Return the accounts and symbols whose exposure or loss an event may have moved."""
    event = at.event
    if isinstance(event, MarkRecorded):  # where the change of unrealized P&L counts, a mark may be a loss
        holders = state.positions.holders.get(event.symbol) or ()
        return {(name, event.symbol) for name in holders if state.policies.policy(name).basis == "total"}
    if isinstance(event, OrderEvent | QuarantineEvent):
        order = state.orders.order((event.account, event.order_id))
        return set() if order is None else {(order.account, order.symbol)}
    return set()
