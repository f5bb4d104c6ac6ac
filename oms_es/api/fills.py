"""API methods for fills: add, bust, correct, and resolve quarantine."""

from typing import Any

from oms_es.api.refusals import raise_known_fill
from oms_es.api.session import Session
from oms_es.decimals import ZERO, decimal
from oms_es.domain.commands import AddFill, BustFill, CorrectFill, ResolveQuarantined
from oms_es.domain.validation import Number, choice, currency_of, flag, named, named_account, named_actor, positive
from oms_es.errors import InvalidInput
from oms_es.identifiers import identifier
from oms_es.identifiers import reason as checked_reason
from oms_es.projections.views import OMSOrder, order_view
from oms_es.vocabulary import Liquidity, OrderSide


class FillMethods(Session):
    """Fills: add, bust, correct, and quarantine."""

    async def add_fill(
        self,
        order_id: str,
        fill_quantity: Number,
        fill_price: Number,
        trade_id: str | None = None,
        fee: Number = ZERO,
        *,
        fee_currency: str = "",
        symbol: str | None = None,
        side: OrderSide | str | None = None,
        liquidity: Liquidity | str | None = None,
        account: str | None = None,
        command_id: str | None = None,
        occurred_at: Any = None,
        actor: str = "",
    ) -> OMSOrder:
        """
        Record a fill; idempotent for the same trade id and content.

        Args:
            order_id: our id of the order, or the venue's.
            fill_quantity: base units, above 0.
            fill_price: quote units per base unit.
            trade_id: unique per account and order; without it a repetition cannot be recognised.
            fee: negative for a rebate.
            fee_currency: of the fee; "": that of the instrument. A fee in the base asset changes the quantity held, one
                in a third currency is added up apart.
            symbol: with `side`, opens an external order if the order is unknown.
            side: see `symbol`.
            liquidity: maker or taker.
            account: of the order; None searches all accounts.
            command_id: as in `submit_order`.
            occurred_at: time of the execution; None: now.
            actor: name of the sender.

        Raises:
            FillQuarantinedError: it breaks a rule; it is in quarantine until `resolve_quarantined`.
        """
        command = AddFill(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=identifier(order_id, "order_id"),
            fill_quantity=positive(fill_quantity, "fill_quantity"),
            fill_price=decimal(fill_price, "fill_price"),
            trade_id=named(trade_id, "trade_id"),
            fee=decimal(fee, "fee"),
            symbol=named(symbol, "symbol"),
            side=None if side is None else choice(OrderSide, side, "side"),
            fee_currency=currency_of(fee_currency),
            liquidity=None if liquidity is None else choice(Liquidity, liquidity, "liquidity").value,
        )
        answer = await self._perform(command, command_id, occurred_at, any_account=account is None)
        if answer.order is None and isinstance(answer.command, AddFill):
            raise_known_fill(self.sequencer.state, answer.command)
        return self._order(answer)

    async def bust_fill(
        self,
        order_id: str,
        trade_id: str,
        *,
        reason: str = "",
        account: str | None = None,
        command_id: str | None = None,
        occurred_at: Any = None,
        actor: str = "",
    ) -> OMSOrder:
        """
        Bust a fill (FIX TradeCancel); lots are computed again without it.

        Raises:
            UnknownFill: the order has no fill with this trade id; the bust waits for it.
        """
        command = BustFill(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=identifier(order_id, "order_id"),
            trade_id=identifier(trade_id, "trade_id"),
            reason=checked_reason(reason),
        )
        return self._order(await self._perform(command, command_id, occurred_at, any_account=account is None))

    async def correct_fill(
        self,
        order_id: str,
        trade_id: str,
        *,
        fill_quantity: Number | None = None,
        fill_price: Number | None = None,
        fee: Number | None = None,
        correction_id: str | None = None,
        reason: str = "",
        account: str | None = None,
        command_id: str | None = None,
        occurred_at: Any = None,
        actor: str = "",
    ) -> OMSOrder:
        """
        Correct a fill (FIX TradeCorrect); None: unchanged.

        The correction's own execution id (`correction_id`, FIX ExecID 17) names the fill from then on; a report under
        either id is a repetition.

        Raises:
            UnknownFill: the order has no fill with this trade id (the correction waits for it), or it is busted.
            FillQuarantinedError: the new quantity overfills the order.
        """
        if fill_quantity is None and fill_price is None and fee is None:
            raise InvalidInput("correct_fill: pass fill_quantity, fill_price or fee")
        command = CorrectFill(
            account=named_account(account),
            actor=named_actor(actor),
            order_id=identifier(order_id, "order_id"),
            trade_id=identifier(trade_id, "trade_id"),
            fill_quantity=None if fill_quantity is None else positive(fill_quantity, "fill_quantity"),
            fill_price=None if fill_price is None else decimal(fill_price, "fill_price"),
            fee=None if fee is None else decimal(fee, "fee"),
            correction_id=named(correction_id, "correction_id"),
            reason=checked_reason(reason),
        )
        return self._order(await self._perform(command, command_id, occurred_at, any_account=account is None))

    async def resolve_quarantined(
        self,
        quarantine_id: str,
        accept: bool,
        *,
        symbol: str | None = None,
        side: OrderSide | str | None = None,
        reason: str = "",
        command_id: str | None = None,
        actor: str = "",
    ) -> OMSOrder | None:
        """
        Accept or reject a fill in quarantine; an accepted fill is booked at its time of execution.

        Returns:
            The order; None when a fill of an unknown order was rejected.

        Raises:
            UnknownQuarantine: no fill in quarantine has this id.
        """
        command = ResolveQuarantined(
            actor=named_actor(actor),
            order_id="",
            quarantine_id=identifier(quarantine_id, "quarantine_id"),
            accept=flag(accept, "accept"),
            symbol=named(symbol, "symbol"),
            side=None if side is None else choice(OrderSide, side, "side"),
            reason=checked_reason(reason),
        )
        answer = await self._perform(command, command_id, None)
        return None if answer.order is None else order_view(answer.order)
