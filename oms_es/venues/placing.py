"""Orders on their way to a venue, and cancels: each goes on to its end, also when its caller is cancelled."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

from oms_es.api.oms import OrderManagementSystem
from oms_es.domain.reports import FillReport, OrderReport
from oms_es.errors import InvalidTransition, OrderRejected, UnknownOrder
from oms_es.identifiers import shown
from oms_es.projections.views import OMSOrder
from oms_es.venues.calls import VenueCalls
from oms_es.venues.contract import Refused, Unsure
from oms_es.venues.reconciliation import unknown_to_the_venue
from oms_es.vocabulary import OrderState, ReportStatus

T = TypeVar("T")
Asked: TypeAlias = tuple[str, Any, Any, Any, Any]  # symbol, side, order type, quantity, price
_log = logging.getLogger("oms_es")


class Placing:
    """
    The submits and cancels of a gateway.

    Args:
        oms: the log's side.
        account: of the orders.
        calls: the venue's side.
        apply: records a report.
        tries: of a cancel without a clear answer.
    """

    def __init__(
        self,
        oms: OrderManagementSystem,
        account: str,
        calls: VenueCalls,
        apply: Callable[[OrderReport | FillReport], Awaitable[None]],
        tries: int,
    ) -> None:
        self._oms = oms
        self._account = account
        self._calls = calls
        self._apply = apply
        self._tries = tries
        self.flights: dict[str, asyncio.Event] = {}  # orders being placed, until their outcome is recorded
        self.cancelling: set[str] = set()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.submits = self.refusals = self.cancels = 0

    async def submit(self, asked: Asked, order_id: str, more: dict[str, Any]) -> OMSOrder:
        """Judge and place an order; see `Gateway.submit`."""
        return await asyncio.shield(self._started(self._submit(asked, order_id, more)))

    async def cancel(self, order_id: str, reason: str) -> OMSOrder:
        """Request a cancel; see `Gateway.cancel`."""
        return await asyncio.shield(self._started(self._cancel(order_id, reason)))

    def cancel_again(self, order_id: str) -> None:
        """Send a cancel that was requested before, unless it is on its way."""
        if order_id not in self.cancelling:
            self._started(self._cancel(order_id, "requested before"))

    def _started(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its caller has it, or was cancelled

    # --- submit ---

    async def _submit(self, asked: Asked, order_id: str, more: dict[str, Any]) -> OMSOrder:
        if order_id in self.flights:
            await self.flights[order_id].wait()
        self.flights[order_id] = landed = asyncio.Event()
        try:
            known = self._oms.get_order(order_id, account=self._account)
            order = await self._oms.submit_order(*asked, order_id, account=self._account, **more)
            if known is None:
                self.submits += 1
                await self._send(order)
            elif order.state is OrderState.PENDING:
                await self._resolve(order)
            return self._order(order_id)
        finally:
            landed.set()
            del self.flights[order_id]

    async def _send(self, order: OMSOrder) -> None:
        try:
            external = await self._calls.prepare(order)
            if external is not None:
                order = await self._oms.link_order(order.order_id, external, account=self._account)
            report = await self._calls.once("place", order)
        except Refused as error:
            self.refusals += 1
            await self._apply(_rejected(order, str(error)))
            order = self._order(order.order_id)
            if order.state is OrderState.REJECTED:
                raise OrderRejected((f"VENUE: {error}",), order) from error
        except Unsure as error:
            _log.info("order %s: %s; the venue is asked", shown(order.order_id), error)
            await self._resolve(order)
        else:
            await self._apply(report)

    async def _resolve(self, order: OMSOrder) -> None:
        """Ask the venue for an order until its outcome is known, and record it."""
        order = self._order(order.order_id)
        report = await self._calls.ask(order)
        await self._apply(unknown_to_the_venue(order) if report is None else report)

    def _order(self, order_id: str) -> OMSOrder:
        order = self._oms.get_order(order_id, account=self._account)
        if order is None:
            raise UnknownOrder(f"no order {shown(order_id)} in account {self._account}")
        return order

    # --- cancel ---

    async def _cancel(self, order_id: str, reason: str) -> OMSOrder:
        order = self._order(order_id)
        if order.order_id in self.flights:
            await self.flights[order.order_id].wait()
            order = self._order(order_id)
        if order.is_complete or order.order_id in self.cancelling:
            return order
        self.cancelling.add(order.order_id)
        try:
            self.cancels += 1
            if not order.pending_cancel:
                order = await self._oms.request_cancel(order.order_id, reason, account=self._account)
            return await self._send_cancel(order)
        except InvalidTransition:  # a report of its end came first
            return self._order(order.order_id)
        finally:
            self.cancelling.discard(order.order_id)

    async def _send_cancel(self, order: OMSOrder) -> OMSOrder:
        for _ in range(self._tries):
            refusal, is_sure = None, True
            try:
                await self._calls.once("cancel", order)
            except Refused as error:
                refusal = error
            except Unsure as error:
                _log.info("cancel of %s: %s; the venue is asked", shown(order.order_id), error)
                is_sure = False
            await self._resolve(order)
            order = self._order(order.order_id)
            if order.is_complete:
                break
            if refusal is not None:
                return await self._oms.reject_cancel(order.order_id, str(refusal), account=self._account)
            if is_sure:  # the venue has accepted it, and will confirm it
                break
        return order


def _rejected(order: OMSOrder, reason: str) -> OrderReport:
    return OrderReport(
        status=ReportStatus.REJECTED,
        order_id=order.order_id,
        external_order_id=order.external_order_id,
        reason=reason,
    )
