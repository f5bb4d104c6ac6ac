"""The part of the API that sets marks and limits, and pulls the emergency stop."""

from importlib.metadata import version
from typing import Any

from oms_es.api.session import Session
from oms_es.decimals import decimal
from oms_es.domain.commands import CloseDay, DefineInstrument, RecordMark, SetLevel, SetLimits
from oms_es.domain.policy import path_of
from oms_es.domain.validation import Number, choice, flag, limits, named_actor, named_scope, positive
from oms_es.errors import InvalidInput
from oms_es.identifiers import identifier, shown
from oms_es.identifiers import reason as checked_reason
from oms_es.vocabulary import EVERY_ACCOUNT, TradingLevel


class LimitMethods(Session):
    """Marks, limits, halt and resume."""

    async def record_mark(
        self, symbol: str, price: Number, *, occurred_at: Any = None, command_id: str | None = None, actor: str = ""
    ) -> None:
        """
        Record what one unit is worth, for unrealized P&L and for checks that need a market price.

        Args:
            symbol: of what.
            price: quote units per base unit.
            occurred_at: when it was so; None: now.
            command_id: the same id and content again changes nothing.
            actor: who tells.
        """
        mark = RecordMark(actor=named_actor(actor), symbol=identifier(symbol, "symbol"), price=decimal(price, "price"))
        await self._perform(mark, command_id, occurred_at)

    async def define_instrument(
        self,
        symbol: str,
        *,
        multiplier: Number = 1,
        currency: str = "USD",
        command_id: str | None = None,
        actor: str = "",
    ) -> None:
        """
        Say what one unit of a symbol stands for; a symbol never defined has multiplier 1 and counts in USD.

        Args:
            symbol: of what.
            multiplier: quote units per price unit and base unit, above 0 (a future on 50 barrels: 50).
            currency: what its money is counted in; sums and limits in money apply per currency.
            command_id: the same id and content again changes nothing.
            actor: who says so.

        Raises:
            InstrumentInUse: somebody holds it, so it may not become something else.
        """
        command = DefineInstrument(
            actor=named_actor(actor),
            symbol=identifier(symbol, "symbol"),
            multiplier=positive(multiplier, "multiplier"),
            currency=identifier(currency, "currency"),
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
        Close a trading day: what comes later is booked on the next one, and history for it is refused.

        Args:
            trading_day: the day, like "2012-06-21"; the day that still runs is closed early.
            reason: why; kept in the log.
            force: close it although fills wait in quarantine; needs a reason.
            actor: who asks.
            command_id: the same id and content again changes nothing.

        Raises:
            DayNotClosable: fills wait, it has not come, nothing is booked on it, or it was closed before.
        """
        command = CloseDay(
            account=EVERY_ACCOUNT,
            actor=named_actor(actor),
            trading_day=identifier(trading_day, "trading_day"),
            code=version("oms_es"),
            reason=checked_reason(reason),
            force=flag(force, "force"),
        )
        await self._perform(command, command_id, None)

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
        Change limits; they stand until somebody changes them again, also after a restart.

        Args:
            account: whose; every account's when None.
            actor: who asks.
            reason: why; both are kept in the log.
            command_id: the same id and content again changes nothing.
            changes: `max_position_size=500`, `max_daily_loss=None`, …: the settings' keys by their last part.
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
        Pull the emergency stop: HALTED refuses every new order, REDUCE_ONLY what does not reduce a position.

        Cancels and fills always pass. It stands until `resume`, also after a restart and in every process.
        """
        wanted = choice(TradingLevel, level, "level")
        if wanted is TradingLevel.NORMAL:
            raise InvalidInput("level: halt takes halted or reduce_only; resume goes back to normal")
        await self._set_level(wanted, account, reason, actor, command_id)

    async def resume(
        self, *, account: str | None = None, reason: str = "", actor: str = "", command_id: str | None = None
    ) -> None:
        """Release the emergency stop of the account, or the one for every account when None."""
        await self._set_level(TradingLevel.NORMAL, account, reason, actor, command_id)

    async def _set_level(
        self, level: TradingLevel, account: str | None, reason: str, actor: str, command_id: str | None
    ) -> None:
        command = SetLevel(
            account=named_scope(account), actor=named_actor(actor), level=level, reason=checked_reason(reason)
        )
        await self._perform(command, command_id, None)


def _check_scope(account: str | None, changes: dict[str, Any]) -> None:
    """Refuse for a single account what holds for a whole log: its calendar and its cost method."""
    foreign = [name for name in changes if path_of(name).startswith(("day.", "accounting."))]
    if foreign and account not in (None, EVERY_ACCOUNT):
        raise InvalidInput(
            f"{', '.join(sorted(foreign))}: holds for every account and cannot differ for {shown(account)}"
        )
