"""API methods for a venue's reports, and for cancels and replaces as requests."""

from typing import Any

from oms_es.api.session import Session
from oms_es.decimals import decimal
from oms_es.domain.commands import ApplyReport, LinkOrder, RejectCancel, RejectReplace, RequestCancel, RequestReplace
from oms_es.domain.reports import FillReport, OrderReport, checked_report
from oms_es.domain.validation import Number, named, named_account, named_actor, positive
from oms_es.errors import InvalidInput
from oms_es.identifiers import identifier
from oms_es.identifiers import reason as checked_reason
from oms_es.projections.views import OMSOrder, order_view


class ReportMethods(Session):
    """What a venue reports; cancels and replaces that it was asked for."""

    async def apply_report(
        self, report: OrderReport | FillReport, *, account: str | None = None, actor: str = ""
    ) -> OMSOrder | None:
        """
        Record a venue's report; idempotent, in whatever order reports arrive.

        Its ids are linked, its fills are booked, and then the state changes. A report about known facts changes
        nothing. A fill that breaks a rule is in quarantine afterwards; that raises nothing here.

        Args:
            report: an `OrderReport` or a `FillReport`.
            account: of the order; None searches all accounts.
            actor: name of the sender.

        Returns:
            The order; None if it is unknown and was not opened by a fill.

        Raises:
            InvalidInput: a value that cannot be; nothing is recorded.
            AmbiguousOrder: the venue's id names several orders.
        """
        command = ApplyReport(
            account=named_account(account), actor=named_actor(actor), order_id="", report=checked_report(report)
        )
        answer = await self._perform(command, None, None, any_account=account is None)
        return None if answer.order is None else order_view(answer.order)

    async def link_order(
        self,
        order_id: str,
        external_order_id: str,
        *,
        account: str | None = None,
        command_id: str | None = None,
        occurred_at: Any = None,
        actor: str = "",
    ) -> OMSOrder:
        """
        Link a venue's id to an order, in any state; an id that the order already has changes nothing.

        Fills booked earlier under the venue's id are assigned to the order. Fills in quarantine under it are booked,
        unless they break a rule.

        Args:
            order_id: our id of the order, or a venue's id that is already linked.
            external_order_id: the venue's id (FIX OrderID 37); an order can have several.
            account: of the order; None searches all accounts.
            command_id: as in `submit_order`.
            occurred_at: time of the venue's report; None: now.
            actor: name of the sender.

        Raises:
            UnknownOrder, AmbiguousOrder: no order, or several orders, have this id.
        """
        command = LinkOrder(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=identifier(order_id, "order_id"),
            external_order_id=identifier(external_order_id, "external_order_id"),
        )
        return self._order(await self._perform(command, command_id, occurred_at, any_account=account is None))

    async def request_cancel(
        self,
        order_id: str,
        reason: str = "User requested",
        *,
        account: str | None = None,
        command_id: str | None = None,
        occurred_at: Any = None,
        actor: str = "",
    ) -> OMSOrder:
        """
        Record that the venue was asked to cancel an order, which counts as open until the venue confirms.

        Raises:
            InvalidTransition: the order is FILLED, REJECTED or FAILED.
        """
        command = RequestCancel(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=identifier(order_id, "order_id"),
            reason=checked_reason(reason),
        )
        return self._order(await self._perform(command, command_id, occurred_at, any_account=account is None))

    async def reject_cancel(
        self,
        order_id: str,
        reason: str = "",
        *,
        account: str | None = None,
        command_id: str | None = None,
        occurred_at: Any = None,
        actor: str = "",
    ) -> OMSOrder:
        """Record that the venue rejected a cancel (FIX OrderCancelReject); without a requested one no effect."""
        command = RejectCancel(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=identifier(order_id, "order_id"),
            reason=checked_reason(reason),
        )
        return self._order(await self._perform(command, command_id, occurred_at, any_account=account is None))

    async def request_replace(
        self,
        order_id: str,
        *,
        quantity: Number | None = None,
        price: Number | None = None,
        new_order_id: str | None = None,
        account: str | None = None,
        command_id: str | None = None,
        occurred_at: Any = None,
        actor: str = "",
    ) -> OMSOrder:
        """
        Record that the venue was asked to replace an order (FIX OrderCancelReplaceRequest).

        It is checked like an amendment. Until the venue reports it as replaced or rejects it, the larger of the old
        and new quantity counts.

        Args:
            order_id: our id of the order, or the venue's.
            quantity: the new total (FIX OrderQty 38); None: unchanged.
            price: the new limit price; None: unchanged.
            new_order_id: the client id of the replacement (FIX ClOrdID 11); it names the same order from now on.
            account: of the order; None searches all accounts.
            command_id: as in `submit_order`.
            occurred_at: time of the request; None: now.
            actor: name of the sender.

        Raises:
            OrderRejected: a limit refuses it; recorded, and the order is unchanged.
            InvalidTransition: the order is not open.
        """
        if quantity is None and price is None:
            raise InvalidInput("request_replace: pass a new quantity, a new price, or both")
        command = RequestReplace(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=identifier(order_id, "order_id"),
            quantity=None if quantity is None else positive(quantity, "quantity"),
            price=None if price is None else decimal(price, "price"),
            new_order_id=named(new_order_id, "new_order_id"),
        )
        return self._order(await self._perform(command, command_id, occurred_at, any_account=account is None))

    async def reject_replace(
        self,
        order_id: str,
        reason: str = "",
        *,
        account: str | None = None,
        command_id: str | None = None,
        occurred_at: Any = None,
        actor: str = "",
    ) -> OMSOrder:
        """Record that the venue rejected a replace (FIX OrderCancelReject); without a requested one no effect."""
        command = RejectReplace(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=identifier(order_id, "order_id"),
            reason=checked_reason(reason),
        )
        return self._order(await self._perform(command, command_id, occurred_at, any_account=account is None))
