"""API methods for marks, instruments, trading days, limits and the emergency stop."""

import asyncio
from importlib.metadata import version
from typing import Any

from oms_es.api.session import Session
from oms_es.decimals import decimal
from oms_es.domain.commands import AcceptClock, CloseDay, DefineInstrument, RecordMark, SetLevel, SetLimits
from oms_es.domain.policy import path_of
from oms_es.domain.validation import Number, choice, currency_of, flag, limits, named_actor, named_scope, positive
from oms_es.errors import InvalidInput
from oms_es.identifiers import identifier, shown
from oms_es.identifiers import reason as checked_reason
from oms_es.vocabulary import EVERY_ACCOUNT, TradingLevel


class LimitMethods(Session):
    """Marks, instruments, trading days, limits and the emergency stop."""

    async def record_mark(
        self, symbol: str, price: Number, *, occurred_at: Any = None, command_id: str | None = None, actor: str = ""
    ) -> None:
        """
        Record a mark price, for unrealized P&L and for checks that need a market price.

        Args:
            symbol: of the mark.
            price: quote units per base unit.
            occurred_at: time of the mark; None: now.
            command_id: idempotency key: a repetition has the same id and content, and changes nothing.
            actor: name of the sender.
        """
        mark = RecordMark(actor=named_actor(actor), symbol=identifier(symbol, "symbol"), price=decimal(price, "price"))
        await self._perform(mark, command_id, occurred_at)

    async def define_instrument(
        self,
        symbol: str,
        *,
        multiplier: Number = 1,
        currency: str | None = None,
        base: str = "",
        quote: str = "",
        quantity_step: Number | None = None,
        price_step: Number | None = None,
        min_quantity: Number | None = None,
        command_id: str | None = None,
        actor: str = "",
    ) -> None:
        """
        Define the multiplier, currency, assets and steps of a symbol.

        An undefined symbol has multiplier 1, currency USD and no steps. An order off a step, or below the minimum, is
        refused.

        Args:
            symbol: of the instrument.
            multiplier: quote units per price unit and base unit, above 0 (a future on 50 barrels: 50).
            currency: the currency of its prices; sums and limits in money apply per currency. None: the quote asset,
                else USD.
            base: the asset that is bought and sold; a fee in it changes the quantity held.
            quote: the asset that is paid.
            quantity_step: quantities of orders are multiples of it.
            price_step: limit prices are multiples of it.
            min_quantity: the least quantity of an order, unless it closes the position exactly.
            command_id: as in `record_mark`.
            actor: name of the sender.

        Raises:
            InstrumentInUse: an account has an open position, and the multiplier or currency would change.
        """
        command = DefineInstrument(
            actor=named_actor(actor),
            symbol=identifier(symbol, "symbol"),
            multiplier=positive(multiplier, "multiplier"),
            currency=identifier(currency if currency is not None else quote or "USD", "currency"),
            base=currency_of(base, "base"),
            quote=currency_of(quote, "quote"),
            quantity_step=None if quantity_step is None else positive(quantity_step, "quantity_step"),
            price_step=None if price_step is None else positive(price_step, "price_step"),
            min_quantity=None if min_quantity is None else positive(min_quantity, "min_quantity"),
        )
        await self._perform(command, command_id, None)

    async def close_day(
        self,
        trading_day: str,
        *,
        reason: str = "",
        force: bool = False,
        actor: str = "",
        command_id: str | None = None,
    ) -> None:
        """
        Close a trading day: late events are booked on the next day, and imports for it are refused.

        The log is verified before; afterwards a checkpoint is signed if the settings name a key.

        Args:
            trading_day: like "2012-06-21"; the current day is closed early.
            reason: recorded in the log.
            force: close the day although fills are in quarantine; requires a reason.
            actor: name of the sender.
            command_id: as in `record_mark`.

        Raises:
            DayNotClosable: fills are in quarantine, or the day is in the future, empty or already closed.
            DamagedLog: the log is not as it was written; the day is not closed.
        """
        command = CloseDay(
            account=EVERY_ACCOUNT,
            actor=named_actor(actor),
            trading_day=identifier(trading_day, "trading_day"),
            code=version("oms_es"),
            reason=checked_reason(reason),
            force=flag(force, "force"),
        )
        await self._verify("the day was not closed")
        await self._perform(command, command_id, None)
        if self._signer is not None:
            await asyncio.to_thread(self._signer.sign)

    async def set_limits(
        self,
        *,
        account: str | None = None,
        actor: str = "",
        reason: str = "",
        command_id: str | None = None,
        **changes: Any,
    ) -> None:
        """
        Change limits; they are in force until the next change, also after a restart.

        Args:
            account: None: every account.
            actor: name of the sender.
            reason: recorded in the log, like the actor.
            command_id: as in `record_mark`.
            changes: `max_position_size=500`, `max_daily_loss=None`, …: keys of the settings by their last part.
        """
        _check_scope(account, changes)
        command = SetLimits(
            account=named_scope(account),
            actor=named_actor(actor),
            values=limits(changes),
            reason=checked_reason(reason),
        )
        await self._perform(command, command_id, None)

    async def halt(
        self,
        level: TradingLevel | str = TradingLevel.HALTED,
        *,
        account: str | None = None,
        reason: str = "",
        actor: str = "",
        command_id: str | None = None,
    ) -> None:
        """
        Set the emergency stop: HALTED refuses every new order, REDUCE_ONLY those that do not reduce a position.

        Cancels and fills always pass. It is in force until `resume`, also after a restart and in every process.
        """
        wanted = choice(TradingLevel, level, "level")
        if wanted is TradingLevel.NORMAL:
            raise InvalidInput("level: halt accepts halted or reduce_only; use resume to return to normal")
        await self._set_level(wanted, account, reason, actor, command_id)

    async def resume(
        self, *, account: str | None = None, reason: str = "", actor: str = "", command_id: str | None = None
    ) -> None:
        """Release the emergency stop of an account; None: the one for every account."""
        await self._set_level(TradingLevel.NORMAL, account, reason, actor, command_id)

    async def accept_clock(self, *, reason: str = "", actor: str = "", command_id: str | None = None) -> None:
        """
        Accept our clock after an event was recorded by a clock far ahead of it; new orders are refused before that.

        From here on trading days and event times follow our clock. `recorded_at` never runs backwards: it remains that
        of the event from the future until our clock is there.

        Raises:
            InvalidInput: our clock is not behind the log.
        """
        command = AcceptClock(account=EVERY_ACCOUNT, actor=named_actor(actor), reason=checked_reason(reason))
        await self._perform(command, command_id, None)

    async def _set_level(
        self, level: TradingLevel, account: str | None, reason: str, actor: str, command_id: str | None
    ) -> None:
        command = SetLevel(
            account=named_scope(account), actor=named_actor(actor), level=level, reason=checked_reason(reason)
        )
        await self._perform(command, command_id, None)


def _check_scope(account: str | None, changes: dict[str, Any]) -> None:
    """Refuse to change the calendar or the cost method for a single account."""
    common = [name for name in changes if name not in ("symbols", "currencies")
              and path_of(name).startswith(("day.", "accounting."))]  # fmt: skip
    if common and account not in (None, EVERY_ACCOUNT):
        raise InvalidInput(
            f"{', '.join(sorted(common))}: applies to every account and cannot differ for {shown(account)}"
        )
