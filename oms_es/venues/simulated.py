"""A venue in this process, deterministic by its seed: for tests, demos and paper trading."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from msgspec import Struct

from oms_es.decimals import ONE, ZERO, canonical, decimal, divide, minus, plus, times
from oms_es.domain.reports import FillReport, OrderReport
from oms_es.projections.views import OMSOrder
from oms_es.venues.contract import Connected, Instrument, Refused, Unsure
from oms_es.vocabulary import OrderSide, OrderType, ReportStatus

T = TypeVar("T")


class Troubles(Struct, frozen=True, kw_only=True):
    """The chance of each trouble, 0 to 1."""

    partial_fills: float = 0.0  # an execution is of a part of the order
    rejects: float = 0.0
    duplicates: float = 0.0  # a message of the stream is sent twice
    drops: float = 0.0  # a message of the stream is lost
    lost_answers: float = 0.0  # a call is carried out or not, and has no answer


class _Book(Struct):
    """An order at the venue."""

    external_order_id: str
    order_id: str
    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None
    status: ReportStatus = ReportStatus.WORKING
    fills: list[FillReport] = []

    def filled(self) -> Decimal:
        total = ZERO
        for each in self.fills:
            total = plus(total, decimal(each.quantity, "quantity"))
        return canonical(total)


class SimulatedVenue:
    """
    An order book of one account against a price that the program sets.

    Args:
        seed: of every chance; the same calls with the same seed have the same outcome.
        instruments: that it lists.
        troubles: how often things go wrong.
        latency: of each call, in seconds, at most.
        fee_rate: of the value of a fill, in the quote asset.
        assigns_ids: it gives an id before an order is live, as DeltaDeFi does; else it uses ours.
        clock: of executions; ns UTC.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        instruments: Sequence[Instrument] = (),
        troubles: Troubles | None = None,
        latency: float = 0.0,
        fee_rate: Decimal | str = ZERO,
        assigns_ids: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - repeatable, no secret
        self._instruments = list(instruments)
        self.troubles = troubles or Troubles()
        self._latency = latency
        self._fee_rate = decimal(fee_rate, "fee_rate")
        self._assigns_ids = assigns_ids
        self._clock = clock
        self._orders: dict[str, _Book] = {}
        self._prices: dict[str, Decimal] = {}
        self._streams: list[asyncio.Queue[OrderReport | FillReport | None]] = []
        self._numbers = 0
        self._trades = 0

    # --- the market ---

    def set_price(self, symbol: str, price: Decimal | int | str) -> None:
        """Set the market price; open orders at or better than their limit are executed."""
        self._prices[symbol] = decimal(price, "price")
        for order in list(self._orders.values()):
            self._match(order)

    def cut(self) -> None:
        """End every stream; reports are lost until it is opened again."""
        for stream in self._streams:
            stream.put_nowait(None)
        self._streams.clear()

    def _match(self, order: _Book) -> None:
        market = self._prices.get(order.symbol)
        if order.status is not ReportStatus.WORKING or market is None:
            return
        if order.price is not None and (market - order.price) * order.side.sign > 0:
            return
        left = minus(order.quantity, order.filled())
        if self._happens(self.troubles.partial_fills):
            part = canonical(times(left, Decimal(self._chance.randint(1, 99)).scaleb(-2)))
            self._execute(order, part, market)
        else:
            self._execute(order, left, market)

    def _execute(self, order: _Book, quantity: Decimal, price: Decimal) -> None:
        self._trades += 1
        fill = FillReport(
            external_order_id=order.external_order_id,
            order_id=order.order_id,
            trade_id=f"sim-{self._trades}",
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            fee=canonical(times(times(quantity, price), self._fee_rate)),
            occurred_at=self._clock(),
        )
        order.fills.append(fill)
        if order.filled() == order.quantity:
            order.status = ReportStatus.FILLED
        self._send(fill)
        self._send(self._report(order))

    def _send(self, report: OrderReport | FillReport) -> None:
        if self._happens(self.troubles.drops):
            return
        copies = 2 if self._happens(self.troubles.duplicates) else 1
        for stream in self._streams:
            for _ in range(copies):
                stream.put_nowait(report)

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._chance.random() < chance

    # --- the venue ---

    async def instruments(self) -> list[Instrument]:
        """Return the instruments of the constructor."""
        return list(self._instruments)

    async def prepare(self, order: OMSOrder) -> str | None:
        """Return a new id, if this venue assigns them."""
        await self._travel()
        if self._happens(self.troubles.rejects):
            raise Refused(f"order {order.order_id!r} is refused by chance")
        return self._new_id() if self._assigns_ids else None

    async def place(self, order: OMSOrder) -> OrderReport:
        """Put an order into the book; it may be executed at once."""
        return await self._answered(self._place, order)

    def _place(self, order: OMSOrder) -> OrderReport:
        external = order.external_order_id or self._new_id()
        if external in self._orders or (not self._assigns_ids and self._find(None, order.order_id)):
            raise Refused(f"order {order.order_id!r} was placed before")
        if order.order_type is OrderType.MARKET and order.symbol not in self._prices:
            raise Refused(f"no price of {order.symbol!r} for a market order")
        book = _Book(
            external_order_id=external,
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            order_type=order.order_type,
            quantity=order.quantity,
            price=order.price,
            fills=[],
        )
        self._orders[external] = book
        self._send(self._report(book))
        self._match(book)
        return self._report(book)

    async def cancel(self, order: OMSOrder) -> None:
        """Cancel an open order."""
        await self._answered(self._cancel, order)

    def _cancel(self, order: OMSOrder) -> None:
        book = self._find(order.external_order_id, order.order_id)
        if book is None or book.status is not ReportStatus.WORKING:
            raise Refused(f"order {order.order_id!r} is not open")
        book.status = ReportStatus.CANCELLED
        self._send(self._report(book))

    async def order(self, *, external_order_id: str | None = None, order_id: str | None = None) -> OrderReport | None:
        """Return the state of an order."""
        return await self._answered(self._state, external_order_id, order_id)

    def _state(self, external_order_id: str | None, order_id: str | None) -> OrderReport | None:
        book = self._find(external_order_id, order_id)
        return None if book is None else self._report(book)

    async def open_orders(self) -> list[OrderReport]:
        """Return the open orders."""
        return await self._answered(
            lambda: [self._report(each) for each in self._orders.values() if each.status is ReportStatus.WORKING]
        )

    async def fills(self, since: int) -> list[FillReport]:
        """Return the fills from `since` on."""
        return await self._answered(
            lambda: [fill for book in self._orders.values() for fill in book.fills if fill.occurred_at >= since]
        )

    async def balances(self) -> dict[str, Decimal]:
        """Return the holdings of each base asset by the fills."""
        found = dict.fromkeys((each.base for each in self._instruments), ZERO)
        bases = {each.symbol: each.base for each in self._instruments}
        for book in self._orders.values():
            if book.symbol in bases:
                change = times(book.filled(), Decimal(book.side.sign))
                found[bases[book.symbol]] = plus(found[bases[book.symbol]], change)
        return await self._answered(lambda: found)

    async def stream(self) -> AsyncIterator[OrderReport | FillReport | Connected]:
        """Yield `Connected`, then reports until the stream is cut."""
        queue: asyncio.Queue[OrderReport | FillReport | None] = asyncio.Queue()
        self._streams.append(queue)
        try:
            yield Connected()
            while (report := await queue.get()) is not None:
                yield report
        finally:
            if queue in self._streams:
                self._streams.remove(queue)

    # --- helpers ---

    async def _answered(self, carry_out: Callable[..., T], *arguments: Any) -> T:
        """Carry out a call after its latency; its answer may be lost, before or after it."""
        await self._travel()
        lost = self._happens(self.troubles.lost_answers)
        if lost and self._happens(0.5):
            raise Unsure("the request was lost")
        answer = carry_out(*arguments)
        if lost:
            raise Unsure("the answer was lost")
        return answer

    async def _travel(self) -> None:
        await asyncio.sleep(self._chance.uniform(0, self._latency) if self._latency else 0)

    def _new_id(self) -> str:
        self._numbers += 1
        return f"SIM-{self._numbers}"

    def _find(self, external_order_id: str | None, order_id: str | None) -> _Book | None:
        if external_order_id in self._orders:
            return self._orders[external_order_id]
        return next((each for each in self._orders.values() if each.order_id == order_id), None)

    def _report(self, book: _Book) -> OrderReport:
        filled, cost = book.filled(), ZERO
        for each in book.fills:
            cost = plus(cost, times(decimal(each.quantity, "quantity"), decimal(each.price, "price")))
        return OrderReport(
            status=book.status,
            external_order_id=book.external_order_id,
            order_id=book.order_id,
            symbol=book.symbol,
            side=book.side,
            order_type=book.order_type,
            quantity=book.quantity,
            price=book.price,
            filled_quantity=filled,
            avg_fill_price=divide(cost, filled) if filled else None,
            occurred_at=self._clock(),
            fills=tuple(book.fills),
        )


def instrument(symbol: str, base: str, quote: str, *, step: Decimal | str = ONE) -> Instrument:
    """Return an instrument whose quantities are multiples of `step`."""
    return Instrument(symbol=symbol, base=base, quote=quote, quantity_step=decimal(step, "step"))
