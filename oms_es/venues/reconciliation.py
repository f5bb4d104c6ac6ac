"""Reconciliation: what the venue has and the log has not, or the reverse, settled by reports."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from decimal import Decimal

from oms_es.api.oms import OrderManagementSystem
from oms_es.decimals import ZERO, decimal, minus, plus, text
from oms_es.domain.events import FillAdded
from oms_es.domain.reports import FillReport, OrderReport
from oms_es.errors import AmbiguousOrder
from oms_es.projections.views import OMSOrder
from oms_es.timestamps import SECOND
from oms_es.venues.calls import VenueCalls
from oms_es.venues.contract import Instrument
from oms_es.venues.status import Break
from oms_es.vocabulary import OrderState, ReportStatus

WINDOW = 10_000  # events that are read at once, from the end of the log backwards
_OPEN = {ReportStatus.WORKING, ReportStatus.PENDING, ReportStatus.WORKING.value, ReportStatus.PENDING.value}
Apply = Callable[[OrderReport | FillReport], Awaitable[None]]


class Reconciliation:
    """
    One comparison of the log with the venue: open orders first, then fills, then orders that the venue did not list.

    Args:
        oms: the log's side.
        account: whose orders and fills the venue has.
        calls: the venue's side.
        apply: records a report.
        in_flight: ids of the orders that are being placed; they are left out.
    """

    def __init__(
        self,
        oms: OrderManagementSystem,
        account: str,
        calls: VenueCalls,
        apply: Apply,
        in_flight: Collection[str],
    ) -> None:
        self._oms = oms
        self._account = account
        self._calls = calls
        self._apply = apply
        self._in_flight = in_flight
        self.breaks: list[Break] = []
        self.uncancelled: list[str] = []  # orders with a requested cancel that are still open at the venue

    async def run(self, since: int) -> int | None:
        """
        Reconcile; return the time of the newest fill at the venue, if it listed any.

        Raises:
            Refused, Unsure: the venue did not answer; nothing is lost, for another run begins anew.
        """
        before = {each.order_id for each in self._oms.get_open_orders(account=self._account)} - set(self._in_flight)
        listed, strange = set(), []
        for report in await self._calls.open_orders():
            order = self.find(report)
            if order is None:
                strange.append(report)
                continue
            listed.add(order.order_id)
            if order.order_id not in self._in_flight:
                await self._apply(report)
                await self._check(order.order_id, report)
        newest = None
        for fill in await self._calls.fills(since):
            await self._apply(fill)
            if isinstance(fill.occurred_at, int):
                newest = max(newest or 0, fill.occurred_at)
        for order_id in sorted(before - listed):
            await self.settle(order_id)
        if not self._in_flight:  # else the id of an order there may not be known here yet
            self.breaks += [_unknown(each) for each in strange if self.find(each) is None]
        return newest

    def find(self, report: OrderReport | FillReport) -> OMSOrder | None:
        """Return the order of a report, by either id."""
        for order_id in (report.order_id, report.external_order_id):
            if order_id is not None:
                try:
                    order = self._oms.get_order(order_id, account=self._account)
                except AmbiguousOrder:
                    continue
                if order is not None:
                    return order
        return None

    async def settle(self, order_id: str) -> None:
        """Ask for an order that the venue did not list, and record the answer; also that it is unknown there."""
        order = self._oms.get_order(order_id, account=self._account)
        if order is None or order.is_complete or order_id in self._in_flight:
            return
        report = await self._calls.ask(order)
        if report is None:
            report = unknown_to_the_venue(order)
        await self._apply(report)

    async def _check(self, order_id: str, report: OrderReport) -> None:
        """Compare an order with its report; where they differ, the report may be older than the log: ask again."""
        order = self._order(order_id)
        if order.pending_cancel and not order.is_complete:
            self.uncancelled.append(order_id)
        if _disagreement(order, report) is None:
            return
        again = await self._calls.ask(order)
        if again is not None:
            await self._apply(again)
            found = _disagreement(self._order(order_id), again)
            if found is not None:
                self.breaks.append(Break(found[0], order_id, found[1]))

    def _order(self, order_id: str) -> OMSOrder:
        order = self._oms.get_order(order_id, account=self._account)
        assert order is not None, "an order of the log stays there"
        return order


def _unknown(report: OrderReport) -> Break:
    side = getattr(report.side, "value", report.side)
    what = f"{side} {report.quantity} {report.symbol} at {report.price}"
    name = report.external_order_id or report.order_id or ""
    return Break("unknown_order", name, f"the venue has an open order that the log has not: {what}")


def _disagreement(order: OMSOrder, report: OrderReport) -> tuple[str, str] | None:
    """Return how a report differs from the log, as a kind and a text; None if they agree."""
    if order.is_complete and report.status in _OPEN:
        return "open_order", f"the order is {order.state.value} in the log, and open at the venue"
    if report.filled_quantity is None:
        return None
    filled = decimal(report.filled_quantity, "filled_quantity")
    if filled >= order.filled_quantity:
        return None
    return "filled_quantity", f"the log has {text(order.filled_quantity)} filled, the venue {text(filled)}"


class Balances:
    """
    The account's holdings at the venue beside the positions of the log.

    Both have their own beginning, so the difference at the first comparison is the normal one. A later change of it is
    a break when two reconciliations find the same: a fill is missing on one side, or there was a transfer.

    Args:
        oms: the log's side.
        account: whose positions count.
    """

    def __init__(self, oms: OrderManagementSystem, account: str) -> None:
        self._oms = oms
        self._account = account
        self._normal: dict[str, Decimal] = {}
        self._last: dict[str, Decimal] = {}

    def breaks(self, holdings: Mapping[str, Decimal], instruments: Iterable[Instrument]) -> list[Break]:
        """Compare holdings by asset with the positions in the instruments that have this base asset."""
        found = []
        for asset, held in sorted(self._positions(instruments).items()):
            difference = minus(holdings.get(asset, ZERO), held)
            off = minus(difference, self._normal.setdefault(asset, difference))
            if off and self._last.get(asset) == difference:
                detail = f"the venue holds {text(off)} more than the log: a fill is missing, or there was a transfer"
                found.append(Break("position", asset, detail))
            self._last[asset] = difference
        return found

    def _positions(self, instruments: Iterable[Instrument]) -> dict[str, Decimal]:
        bases = {each.symbol: each.base for each in instruments if each.base}
        found = dict.fromkeys(bases.values(), ZERO)
        for each in self._oms.get_all_positions(account=self._account):
            if each.symbol in bases:
                found[bases[each.symbol]] = plus(found[bases[each.symbol]], each.quantity)
        return found


def unknown_to_the_venue(order: OMSOrder) -> OrderReport:
    """Return the report of an order that the venue does not know: it was never placed, or is gone."""
    never = order.state is OrderState.PENDING
    return OrderReport(
        status=ReportStatus.REJECTED if never else ReportStatus.CANCELLED,
        order_id=order.order_id,
        external_order_id=order.external_order_id,
        reason="the venue does not know the order",
    )


def last_fill_at(oms: OrderManagementSystem, account: str) -> int | None:
    """Return the latest time of execution among the last fills of an account in the log, ns UTC."""
    end = oms.log.head().seq
    while end > 0:
        begin = max(0, end - WINDOW)
        times = [
            each.occurred_at
            for each in oms.log.read(begin, end, {FillAdded.__name__})
            if isinstance(each.event, FillAdded) and each.event.account == account
        ]
        if times:
            return max(times)
        end = begin
    return None


def first_event_at(oms: OrderManagementSystem) -> int | None:
    """Return when the log began, less a second for the difference of two clocks; ns UTC."""
    first = next(iter(oms.log.read(0, 1)), None)
    return None if first is None else first.recorded_at - SECOND
