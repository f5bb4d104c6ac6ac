"""Calls to a venue: bounded in time, repeated where that is safe; every other error of an adapter is `Unsure`."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from msgspec import Struct

from oms_es.domain.reports import FillReport, OrderReport
from oms_es.projections.views import OMSOrder
from oms_es.venues.contract import Instrument, Refused, Unsure, Venue
from oms_es.venues.pacing import Backoff

T = TypeVar("T")
_log = logging.getLogger("oms_es")


class Pacing(Struct, frozen=True, kw_only=True):
    """How long the gateway waits, in seconds, and how often it tries."""

    timeout: float = 30.0  # of one call
    first_delay: float = 0.5  # of a back-off
    most_delay: float = 30.0
    tries: int = 5  # of a call that the venue is too busy for
    asks: int = 3  # answers "not found" before an order counts as unknown to the venue
    ask_again: float = 2.0  # between those asks
    overlap: float = 300.0  # fills are listed again from so long before the last known one
    stream_within: float = 5.0  # the first reconciliation does not wait longer for the stream
    reconcile_every: float = 15.0
    close_within: float = 10.0  # for orders in flight, when the gateway closes


class VenueCalls:
    """
    The calls of an adapter, with back-off.

    Args:
        venue: the adapter.
        pacing: delays and tries.
        chance: the source of jitter.
    """

    def __init__(self, venue: Venue, pacing: Pacing, chance: random.Random) -> None:
        self._venue = venue
        self._pacing = pacing
        self._chance = chance
        self.unsure = 0  # calls without a clear answer

    def backoff(self) -> Backoff:
        """Return a new back-off."""
        return Backoff(self._pacing.first_delay, self._pacing.most_delay, self._chance)

    async def once(self, name: str, *arguments: Any, **named: Any) -> Any:
        """
        Make one call; repeat it only while the venue refuses it as too busy.

        Raises:
            Refused: the venue did nothing.
            Unsure: no clear answer.
        """
        backoff = self.backoff()
        while True:
            try:
                return await self._bounded(getattr(self._venue, name), *arguments, **named)
            except Refused as error:
                if not error.busy or backoff.failures + 1 >= self._pacing.tries:
                    raise
            await backoff.wait()

    async def _bounded(self, call: Callable[..., Awaitable[T]], *arguments: Any, **named: Any) -> T:
        try:
            async with asyncio.timeout(self._pacing.timeout):
                return await call(*arguments, **named)
        except Refused:
            raise
        except Unsure:
            self.unsure += 1
            raise
        except TimeoutError:
            self.unsure += 1
            raise Unsure(f"no answer within {self._pacing.timeout:g} s") from None
        except Exception as error:
            self.unsure += 1
            _log.exception("the adapter of the venue failed")
            raise Unsure(f"the adapter failed: {type(error).__name__}: {error}") from error

    async def instruments(self) -> list[Instrument]:
        """Return the venue's instruments; repeat until there is an answer."""
        found: list[Instrument] = await self._until_answered("instruments")
        return found

    async def prepare(self, order: OMSOrder) -> str | None:
        """Prepare an order; safe to repeat, because a prepared order is not live."""
        backoff = self.backoff()
        while True:
            try:
                external: str | None = await self.once("prepare", order)
            except Unsure as error:
                if backoff.failures + 1 >= self._pacing.tries:
                    raise Refused(f"the order could not be prepared: {error}") from error
                await backoff.wait()
            else:
                return external

    async def ask(self, order: OMSOrder) -> OrderReport | None:
        """Return the venue's state of an order; None only after several asks, some seconds apart."""
        for number in range(self._pacing.asks):
            if number:
                await asyncio.sleep(self._pacing.ask_again)
            report: OrderReport | None = await self._until_answered(
                "order", external_order_id=order.external_order_id, order_id=order.order_id
            )
            if report is not None:
                return report
        return None

    async def open_orders(self) -> list[OrderReport]:
        """Return the venue's open orders."""
        found: list[OrderReport] = await self.once("open_orders")
        return found

    async def fills(self, since: int) -> list[FillReport]:
        """Return the venue's fills from `since` on."""
        found: list[FillReport] = await self.once("fills", since)
        return found

    async def _until_answered(self, name: str, **named: Any) -> Any:
        backoff = self.backoff()
        while True:
            try:
                return await self.once(name, **named)
            except (Refused, Unsure) as error:
                level = logging.WARNING if backoff.failures % 10 == 3 else logging.INFO
                _log.log(level, "%s: %s; it is repeated", name, error)
            await backoff.wait()
