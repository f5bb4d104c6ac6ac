"""API methods for orders: submit, states, cancel, amend."""

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from oms_es.api.session import Session
from oms_es.decimals import decimal, nearest
from oms_es.domain.commands import AmendOrder, CancelOrder, ChangeState, SubmitOrder
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
    tags_of,
)
from oms_es.domain.validation import stop_price as checked_stop_price
from oms_es.errors import InvalidInput
from oms_es.identifiers import identifier
from oms_es.identifiers import reason as checked_reason
from oms_es.projections.views import OMSOrder
from oms_es.vocabulary import OrderSide, OrderState, OrderType, TimeInForce


class OrderMethods(Session):
    """Orders: submit, states, cancel, amend."""

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
        stop_price: Number | None = None,
        tags: Mapping[str, str] | None = None,
        oco_group: str | None = None,
        round_to_step: bool = False,
        command_id: str | None = None,
        occurred_at: Any = None,
        actor: str = "",
    ) -> OMSOrder:
        """
        Check an order against the limits in force and record it as PENDING.

        Args:
            symbol: of the instrument.
            side: buy or sell.
            order_type: limit, market, stop or stop_limit.
            quantity: base units, above 0.
            price: quote units; required for a limit or stop-limit order.
            order_id: unique per account for ever; generated when None. Idempotent for the same id and content.
            account: "default" when None.
            reduce_only: refuse the order unless it reduces the position.
            time_in_force: recorded and shown; the venue applies it.
            stop_price: of a stop or stop-limit order; recorded and shown, the venue applies it.
            tags: names with values (strategy, trader, …); queries can filter by them.
            oco_group: orders of one group (a target and a stop) count once in the limits, by the largest.
            round_to_step: round quantity and price to the nearest step of the instrument before the checks.
            command_id: idempotency key: a repetition has the same id and content, and returns the first outcome.
            occurred_at: time of the order (ISO text with zone, aware datetime or int ns); None: now.
            actor: name of the sender; recorded in the log.

        Raises:
            OrderRejected: a limit refuses the order; recorded, with every violation.
            CommandConflict: the order id or command id was used with other content.
            InvalidInput: an argument is invalid; nothing is recorded.
        """
        kind = choice(OrderType, order_type, "order_type")
        wanted, limit = positive(quantity, "quantity"), limit_price(kind, price)
        if flag(round_to_step, "round_to_step"):
            wanted, limit = self._rounded(identifier(symbol, "symbol"), wanted, limit)
        command = SubmitOrder(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=uuid.uuid4().hex if order_id is None else identifier(order_id, "order_id"),
            symbol=identifier(symbol, "symbol"),
            side=choice(OrderSide, side, "side"),
            order_type=kind,
            quantity=wanted,
            price=limit,
            reduce_only=flag(reduce_only, "reduce_only"),
            time_in_force=choice(TimeInForce, time_in_force, "time_in_force"),
            stop_price=checked_stop_price(kind, stop_price),
            oco_group=named(oco_group, "oco_group"),
            tags=tags_of(tags) if tags is not None else {},
        )
        return self._order(await self._perform(command, command_id, occurred_at, drawn_id=order_id is None))

    def _rounded(self, symbol: str, quantity: Decimal, price: Decimal | None) -> tuple[Decimal, Decimal | None]:
        """Return quantity and price at the nearest steps of the instrument; a quantity is at least one step."""
        instrument = self.sequencer.state.positions.instrument(symbol)
        if instrument.quantity_step is not None:
            quantity = max(nearest(quantity, instrument.quantity_step), instrument.quantity_step)
        if instrument.price_step is not None and price is not None:
            price = nearest(price, instrument.price_step)
        return quantity, price

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
        Record the order state that the venue reports; only the spec's transitions are allowed.

        Reporting the current state again changes nothing. A new `external_order_id` is recorded in any state of the
        order, as by `link_order`; a late acknowledgement with one is not an error on a filled or cancelled order.

        Raises:
            InvalidTransition: the order cannot change to this state; names the possible ones.
            UnknownOrder, AmbiguousOrder: no order, or several orders, have this id.
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
        Cancel the open quantity of a PENDING or WORKING order; no effect on a CANCELLED one.

        Raises:
            InvalidTransition: the order is in another final state.
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
        Change the total quantity (FIX OrderQty 38) or the price of an order.

        At or below the filled quantity the order becomes FILLED; at 0 without fills CANCELLED.

        Raises:
            OrderRejected: a limit refuses the amendment; recorded, and the order is unchanged.
            InvalidTransition: the order is not open.
        """
        if quantity is None and price is None:
            raise InvalidInput("amend_order: pass a new quantity, a new price, or both")
        command = AmendOrder(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=identifier(order_id, "order_id"),
            quantity=None if quantity is None else not_negative(quantity, "quantity"),
            price=None if price is None else decimal(price, "price"),
        )
        return self._order(await self._perform(command, command_id, occurred_at, any_account=account is None))
