"""
The gateway: an OMS connected to a venue. It ends with OMS = venue after a crash, a lost answer or a lost message.

Write-ahead: an order is durable before the venue hears of it, and its id there is durable before it can be live. What
the venue did is asked for, never guessed.
"""

import asyncio
import logging
import random
import time
import uuid
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from oms_es.api.oms import OrderManagementSystem
from oms_es.domain.reports import FillReport, OrderReport
from oms_es.engine.metrics import Metrics
from oms_es.errors import InstrumentInUse, LogError, OmsError
from oms_es.identifiers import shown
from oms_es.log.identity import STOPPING
from oms_es.projections.views import OMSOrder
from oms_es.timestamps import SECOND
from oms_es.venues.calls import Pacing, VenueCalls
from oms_es.venues.contract import Connected, Instrument, Refused, Unsure, Venue
from oms_es.venues.pacing import Backoff
from oms_es.venues.placing import Placing
from oms_es.venues.reconciliation import Balances, Reconciliation, first_event_at, last_fill_at
from oms_es.venues.rounding import rounded
from oms_es.venues.status import Break, GatewayStatus, StatusCollector
from oms_es.vocabulary import DEFAULT_ACCOUNT

_log = logging.getLogger("oms_es")


class Gateway:
    """
    Submits orders to a venue, cancels them, and records all that the venue reports.

    Args:
        oms: an open OMS; every open order of `account` in it is an order at this venue.
        venue: the adapter; closed with the gateway if it has a coroutine `close`.
        account: of the orders.
        pacing: delays and tries.
        seed: of the jitter of delays; None: drawn.
        round_to_step: round quantity and price of an order to the nearest step, before it is judged.
        ready_within: seconds for the first connection and reconciliation.
    """

    def __init__(
        self,
        oms: OrderManagementSystem,
        venue: Venue,
        *,
        account: str = DEFAULT_ACCOUNT,
        pacing: Pacing | None = None,
        seed: int | None = None,
        round_to_step: bool = False,
        ready_within: float = 60.0,
    ) -> None:
        self._oms = oms
        self._venue = venue
        self._account = account
        self._pacing = pacing or Pacing()
        self._calls = VenueCalls(venue, self._pacing, random.Random(seed))  # noqa: S311 - jitter is no secret
        self._rounds = round_to_step
        self._ready_within = ready_within
        self._instruments: dict[str, Instrument] = {}
        self._placing = Placing(oms, account, self._calls, self._apply, self._pacing.tries)
        self._loops: list[asyncio.Task[None]] = []
        self._wanted = asyncio.Event()  # a reconciliation is due
        self._ready = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._newest_fill: int | None = None
        self._balances = Balances(oms, account)
        self._breaks: dict[str, Break] = {}  # of instruments; the others are found again each time
        self._shown_breaks: tuple[Break, ...] = ()
        self._connected = False
        self._failure: str | None = None
        self._reconnects = self._reconciliations = self._reports = self._ignored = 0
        self._last_message_at = self._reconciled_at = 0

    # --- life ---

    async def __aenter__(self) -> Self:
        """
        Connect, define the venue's instruments in the log, and reconcile.

        Raises:
            Unsure: the venue did not answer within `ready_within`.
        """
        try:
            async with asyncio.timeout(self._ready_within):
                for each in await self._calls.instruments():
                    await self._define(each)
                self._loops = [asyncio.create_task(self._listen()), asyncio.create_task(self._reconcile_when_due())]
                await self._ready.wait()
        except TimeoutError:
            await self.close()
            raise Unsure(f"the venue was not ready within {self._ready_within:g} s") from None
        except BaseException:
            await self.close()
            raise
        if self._failure is not None:
            await self.close()
            raise Unsure(self._failure)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish the orders in flight, as far as the venue answers in time, and disconnect."""
        if self._placing.tasks:
            await asyncio.wait(self._placing.tasks, timeout=self._pacing.close_within)
        ending = [*self._loops, *self._placing.tasks]
        for each in ending:
            each.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        self._connected = False
        close = getattr(self._venue, "close", None)
        if close is not None:
            await close()

    async def _define(self, instrument: Instrument) -> None:
        self._instruments[instrument.symbol] = instrument
        try:
            await self._oms.define_instrument(
                instrument.symbol,
                base=instrument.base,
                quote=instrument.quote,
                quantity_step=instrument.quantity_step,
                price_step=instrument.price_step,
                min_quantity=instrument.min_quantity,
            )
        except InstrumentInUse as error:
            self._breaks[instrument.symbol] = Break("instrument", instrument.symbol, str(error))

    # --- orders ---

    async def submit(
        self,
        symbol: str,
        side: Any,
        order_type: Any,
        quantity: Any,
        price: Any = None,
        order_id: str | None = None,
        **more: Any,
    ) -> OMSOrder:
        """
        Judge an order, make it durable, place it, and return it with what the venue answered.

        A cancelled await does not stop it. Without a clear answer the venue is asked until the outcome is known.
        The arguments are those of `OrderManagementSystem.submit_order`.

        Raises:
            OrderRejected: by a limit, or by the venue (`VENUE: …`); recorded.
        """
        if self._rounds:
            quantity, price = rounded(self._instruments.get(symbol), quantity, price)
        asked = (symbol, side, order_type, quantity, price)
        return await self._placing.submit(asked, uuid.uuid4().hex if order_id is None else order_id, more)

    async def cancel(self, order_id: str, reason: str = "User requested") -> OMSOrder:
        """
        Request a cancel, and return the order; it is cancelled when the venue confirms it.

        A done order is returned as it is. A cancel that the venue refuses leaves the order as it is there.

        Raises:
            UnknownOrder: no order has this id.
        """
        return await self._placing.cancel(order_id, reason)

    # --- reports ---

    async def _apply(self, report: OrderReport | FillReport) -> None:
        """Record a report; one that the log refuses is counted and named in the program's log."""
        self._reports += 1
        try:
            await self._oms.apply_report(report, account=self._account)
        except LogError:
            raise
        except OmsError as error:
            self._ignored += 1
            _log.warning("a report of the venue was not recorded: %s: %s", error, report)

    async def _listen(self) -> None:
        """Record what the stream reports, and connect again whenever it ends."""
        backoff = self._calls.backoff()
        while True:
            try:
                await self._read_stream(backoff)
            except STOPPING as error:
                self._stop(error)
                return
            except (Refused, Unsure, LogError) as error:  # the next reconciliation finds what was not recorded
                _log.info("%s", error)
            except Exception:
                _log.exception("the stream of the venue failed")
            self._connected = False
            self._reconnects += 1
            await backoff.wait()

    async def _read_stream(self, backoff: Backoff) -> None:
        stream = self._venue.stream()
        try:
            async for message in stream:
                self._last_message_at = time.time_ns()
                if isinstance(message, Connected):
                    self._connected = True
                    self._wanted.set()
                    backoff.reset()
                else:
                    await self._apply(message)
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()

    async def _reconcile_when_due(self) -> None:
        """Reconcile after each connection and from time to time, because a message may be lost without a trace."""
        backoff = self._calls.backoff()
        await self._due(self._pacing.stream_within)  # at start too, if the stream does not connect
        while True:
            self._wanted.clear()
            try:
                await self.reconcile()
            except STOPPING as error:
                self._stop(error)
                return
            except Exception as error:
                if not isinstance(error, Refused | Unsure | LogError):
                    _log.exception("reconciliation failed")
                level = logging.WARNING if backoff.failures > 2 else logging.INFO
                _log.log(level, "reconciliation: %s; it is repeated", error)
                self._wanted.set()
                await backoff.wait()
                continue
            backoff.reset()
            self._ready.set()
            await self._due(self._pacing.reconcile_every)

    async def _due(self, seconds: float) -> None:
        """Return when a reconciliation is wanted, or after `seconds`."""
        with suppress(TimeoutError):  # not `wait_for`, which loses a cancellation in Python 3.11
            async with asyncio.timeout(seconds):
                await self._wanted.wait()

    def _stop(self, error: LogError) -> None:
        self._failure = f"the gateway has stopped: {error}"
        _log.error(self._failure)
        self._ready.set()

    async def reconcile(self) -> GatewayStatus:
        """
        Compare the log with the venue, record the missing reports, and return the status with the breaks that are left.

        Raises:
            Refused, Unsure: the venue did not answer.
        """
        async with self._one_at_a_time:
            run = Reconciliation(self._oms, self._account, self._calls, self._apply, self._placing.flights)
            newest = await run.run(self._since())
            self._newest_fill = max(filter(None, (newest, self._newest_fill)), default=None)
            for order_id in run.uncancelled:  # its request was lost, or a process ended before it sent it
                self._placing.cancel_again(order_id)
            self._show([*run.breaks, *await self._position_breaks()])
            self._reconciled_at = time.time_ns()
            self._reconciliations += 1
        return self.status()

    async def _position_breaks(self) -> list[Break]:
        if not hasattr(self._venue, "balances"):
            return []
        return self._balances.breaks(await self._calls.once("balances"), self._instruments.values())

    def _since(self) -> int:
        if self._newest_fill is None:
            self._newest_fill = last_fill_at(self._oms, self._account)
        if self._newest_fill is None:
            return first_event_at(self._oms) or time.time_ns()
        return self._newest_fill - int(self._pacing.overlap * SECOND)

    def _show(self, breaks: list[Break]) -> None:
        now = tuple(sorted([*breaks, *self._breaks.values()]))
        for each in now:
            if each not in self._shown_breaks:
                _log.warning("the venue disagrees with the log: %s %s: %s", each.kind, shown(each.name), each.detail)
        self._shown_breaks = now

    # --- the state ---

    def status(self) -> GatewayStatus:
        """Return the state of the connection, the orders in flight, the breaks and the counts."""
        with self._oms.sequencer.committed() as state:
            quarantined = sum(each.fill.account == self._account for each in state.orders.all_waiting())
        return GatewayStatus(
            connected=self._connected,
            last_message_at=self._last_message_at,
            reconciled_at=self._reconciled_at,
            reconnects=self._reconnects,
            reconciliations=self._reconciliations,
            in_flight=tuple(sorted(self._placing.flights)),
            breaks=self._shown_breaks,
            submits=self._placing.submits,
            refusals=self._placing.refusals,
            cancels=self._placing.cancels,
            reports=self._reports,
            ignored=self._ignored,
            unsure=self._calls.unsure,
            quarantined=quarantined,
            failure=self._failure,
        )

    @property
    def metrics(self) -> Metrics:
        """Return the metrics of the OMS, with those of the gateway from the first use of this property."""
        metrics = self._oms.metrics
        if not getattr(self, "_is_collected", False):
            metrics.registry.register(StatusCollector(self))
            self._is_collected = True
        return metrics
