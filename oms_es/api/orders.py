"""The part of the API that places and changes orders."""

import uuid
from typing import Any

from oms_es.api.session import Session
from oms_es.decimals import decimal
from oms_es.domain.commands import AmendOrder, CancelOrder, ChangeState, LinkOrder, SubmitOrder
from oms_es.domain.validation import (
    Number,
    choice,
    flag,
    limit_price,
    named,
    named_account,
    named_actor,
    not_negative,
    positive,
)
from oms_es.errors import InvalidInput
from oms_es.identifiers import identifier
from oms_es.identifiers import reason as checked_reason
from oms_es.projections.views import OMSOrder
from oms_es.vocabulary import OrderSide, OrderState, OrderType, TimeInForce


class OrderMethods(Session):
    """Orders: submit, what the venue says, cancel, amend."""

    async def submit_order(
        self,
        symbol: str,
        side: OrderSide | str,
        order_type: OrderType | str,
        quantity: Number,
        price: Number | None = None,
        order_id: str | None = None,
        *,
        account: str | None = None,
        reduce_only: bool = False,
        time_in_force: TimeInForce | str = TimeInForce.GTC,
        command_id: str | None = None,
        occurred_at: Any = None,
        actor: str = "",
    ) -> OMSOrder:
        """
        Judge an order by the limits in force and record it as PENDING.

        Args:
            symbol: what is traded.
            side: which way.
            order_type: limit or market.
            quantity: base units, above 0.
            price: quote units; needed at a limit.
            order_id: unique per account for ever; drawn when None. The same id and content again changes nothing.
            account: whose order it is; "default" when None.
            reduce_only: refuse it unless it reduces the position.
            time_in_force: recorded and shown; the venue acts on it.
            command_id: the same id and content again returns the first outcome.
            occurred_at: when it was so (ISO text with zone, aware datetime or int ns); None: now.
            actor: who asks; kept in the log.

        Raises:
            OrderRejected: a limit refuses it; recorded, with everything that was wrong.
            CommandConflict: the order id or command id was used with other content.
            InvalidInput: a value that cannot be; nothing is recorded.
        """
        kind = choice(OrderType, order_type, "order_type")
        command = SubmitOrder(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=uuid.uuid4().hex if order_id is None else identifier(order_id, "order_id"),
            symbol=identifier(symbol, "symbol"),
            side=choice(OrderSide, side, "side"),
            order_type=kind,
            quantity=positive(quantity, "quantity"),
            price=limit_price(kind, price),
            reduce_only=flag(reduce_only, "reduce_only"),
            time_in_force=choice(TimeInForce, time_in_force, "time_in_force"),
        )
        return self._order(await self._perform(command, command_id, occurred_at, drawn_id=order_id is None))

    async def update_order_state(
        self,
        order_id: str,
        new_state: OrderState | str,
        *,
        external_order_id: str | None = None,
        error_message: str | None = None,
        account: str | None = None,
        command_id: str | None = None,
        occurred_at: Any = None,
        actor: str = "",
    ) -> OMSOrder:
        """
        Record the state that the venue reports; knows only the spec's transitions.

        A state that the order has already changes nothing. A new `external_order_id` is recorded in whatever state the
        order is, as `link_order` does; an acknowledgement that brings one is no error on a filled or cancelled order.

        Raises:
            InvalidTransition: the order cannot go there; names what would have been possible.
            UnknownOrder, AmbiguousOrder: the id names none, or several.
        """
        command = ChangeState(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=identifier(order_id, "order_id"),
            new=choice(OrderState, new_state, "new_state"),
            external_order_id=named(external_order_id, "external_order_id"),
            error_message=None if error_message is None else checked_reason(error_message, "error_message"),
        )
        return self._order(await self._perform(command, command_id, occurred_at, any_account=account is None))

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
        Record a venue's id of an order, in whatever state it is; an id that the order has already changes nothing.

        Fills that were booked under that id before become the order's own, and fills that wait in quarantine under it
        are booked, unless they break a rule.

        Args:
            order_id: ours, or a venue's id that is known already.
            external_order_id: the venue's id (FIX OrderID 37); an order may have several.
            account: whose order it is; every account is looked in when None.
            command_id: as in `submit_order`.
            occurred_at: when the venue reported it; None: now.
            actor: who reports it.

        Raises:
            UnknownOrder, AmbiguousOrder: the id names none, or several.
        """
        command = LinkOrder(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=identifier(order_id, "order_id"),
            external_order_id=identifier(external_order_id, "external_order_id"),
        )
        return self._order(await self._perform(command, command_id, occurred_at, any_account=account is None))

    async def cancel_order(
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
        Cancel what is open of a PENDING or WORKING order; a CANCELLED one stays as it is.

        Raises:
            InvalidTransition: the order is done in another way.
        """
        command = CancelOrder(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=identifier(order_id, "order_id"),
            reason=checked_reason(reason),
        )
        return self._order(await self._perform(command, command_id, occurred_at, any_account=account is None))

    async def amend_order(
        self,
        order_id: str,
        *,
        quantity: Number | None = None,
        price: Number | None = None,
        account: str | None = None,
        command_id: str | None = None,
        occurred_at: Any = None,
        actor: str = "",
    ) -> OMSOrder:
        """
        Ask for another total quantity (FIX OrderQty 38) or another price.

        At or below what is filled the order becomes FILLED; to nothing, with nothing filled, CANCELLED.

        Raises:
            OrderRejected: a limit refuses what is added; recorded, and the order is as it was.
            InvalidTransition: the order is done.
        """
        if quantity is None and price is None:
            raise InvalidInput("amend_order: give a new quantity, a new price, or both")
        command = AmendOrder(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=identifier(order_id, "order_id"),
            quantity=None if quantity is None else not_negative(quantity, "quantity"),
            price=None if price is None else decimal(price, "price"),
        )
        return self._order(await self._perform(command, command_id, occurred_at, any_account=account is None))
