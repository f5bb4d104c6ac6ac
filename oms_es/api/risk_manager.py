"""The spec's `RiskManager`: the checks of `submit_order`, without submitting."""

from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from oms_es.decimals import ZERO, canonical, minus, plus
from oms_es.domain import risk_checks
from oms_es.domain.risk_checks import Proposal
from oms_es.engine.decision_time import DecisionTime
from oms_es.engine.sequencer import Sequencer
from oms_es.engine.settings import Settings
from oms_es.projections.state import State
from oms_es.projections.views import OMSOrder, Position
from oms_es.timestamps import SECOND
from oms_es.vocabulary import OrderSide


class RiskManager:
    """Risk checks and daily P&L; read-only."""

    def __init__(self, sequencer: Sequencer, settings: Settings, clock: Callable[[], int]) -> None:
        self._sequencer = sequencer
        self._policy = settings.policy
        self._clock = clock

    def check_risk(self, order: OMSOrder, position: Position | None) -> tuple[bool, list[str]]:
        """
        Check an order as `submit_order` would.

        Args:
            order: the order; if it is already open, it is not counted twice.
            position: the position in its symbol; None: the recorded one.

        Returns:
            Whether the order passes, and its violations.
        """
        with self._sequencer.reading() as state, self._sequencer.with_next_policy(state):
            time = self._decision_time(state)
            today, behind = time.day_of(time.now), -(-time.behind // SECOND)
            oco = None if order.oco_group is None else (order.oco_group, order.side)
            exposure = state.exposure(order.account, order.symbol, today, time.now, behind, oco)
            limits = state.policies.policy(order.account).of(order.symbol, state.positions.currency(order.symbol))
            known = state.orders.orders.get((order.account, order.order_id))
        if known is not None and known.is_open:
            exposure = replace(
                exposure,
                open_orders=exposure.open_orders - 1,
                open_buys=_without(exposure.open_buys, known.exposed_quantity, known.side is OrderSide.BUY),
                open_sells=_without(exposure.open_sells, known.exposed_quantity, known.side is OrderSide.SELL),
            )
        if position is not None:
            exposure = replace(exposure, position=position.quantity)
        proposal = Proposal(
            symbol=order.symbol,
            side=order.side,
            order_type=order.order_type,
            quantity=order.remaining_quantity,
            total=order.quantity,
            price=order.price,
            reduce_only=order.reduce_only,
        )
        found = risk_checks.violations(proposal, exposure, limits)
        return not found, list(found)

    @property
    def daily_pnl(self) -> Decimal | None:
        """
        Return the P&L of the trading day so far, net of fees, over all accounts; quote units.

        None when there are several currencies; `get_portfolio_summary()` has the sum of each under `currencies`.
        """
        with self._sequencer.reading() as state:
            today, earned = self.today(state), dict[str, Decimal]()
            for account in state.positions.symbols:
                basis = state.policies.policy(account).basis
                for currency in state.positions.currencies(account):
                    pnl = state.positions.daily_pnl(account, today, currency, basis)
                    earned[currency] = canonical(plus(earned.get(currency, ZERO), pnl))
        return ZERO if not earned else earned.popitem()[1] if len(earned) == 1 else None

    @property
    def open_order_count(self) -> int:
        """Return the number of open orders (PENDING or WORKING), over all accounts."""
        with self._sequencer.reading() as state:
            return sum(state.orders.open_count.values())

    def today(self, state: State) -> str:
        """Return the trading day on which a command would be booked now."""
        time = self._decision_time(state)
        return time.day_of(time.now)

    def _decision_time(self, state: State) -> DecisionTime:
        return DecisionTime.of(self._clock(), state, self._policy)


def _without(quantity: Decimal, own: Decimal, counts: bool) -> Decimal:
    return minus(quantity, own) if counts else quantity
