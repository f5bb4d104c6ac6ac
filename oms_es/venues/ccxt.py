"""
The adapter of any exchange of ccxt, by its unified methods.

    import ccxt.pro
    venue = Ccxt(ccxt.pro.binance({"apiKey": ..., "secret": ...}), ["ADA/USDT"])

Numbers are text (`number: str`), so none is ever a float. Our order id is the exchange's client order id.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, NoReturn

from oms_es.decimals import ONE, ZERO, divide, plus, text
from oms_es.domain.reports import FillReport, OrderReport
from oms_es.projections.views import OMSOrder
from oms_es.venues.contract import Connected, Instrument, Refused, Unsure
from oms_es.vocabulary import OrderSide, ReportStatus

try:
    import ccxt
except ImportError:
    raise ImportError("oms_es.venues.ccxt needs ccxt: pip install 'oms_es[ccxt]'") from None

PAGE = 500
_MILLISECOND = 10**6
_STATUS = {
    "open": ReportStatus.WORKING,
    "closed": ReportStatus.FILLED,
    "canceled": ReportStatus.CANCELLED,
    "canceling": ReportStatus.PENDING_CANCEL,
    "expired": ReportStatus.EXPIRED,
    "rejected": ReportStatus.REJECTED,
}
# After these errors the exchange may have carried out the request. `ExchangeError` itself is one that ccxt cannot name.
_UNCLEAR = (ccxt.OperationFailed, ccxt.BadResponse, ccxt.NullResponse, ccxt.DuplicateOrderId, ccxt.CancelPending)


class Ccxt:
    """
    An exchange of ccxt.

    Args:
        exchange: of `ccxt.async_support` or `ccxt.pro`, with its keys; closed with the gateway.
        symbols: that are traded, as ccxt names them ("ADA/USDT").
        poll_every: seconds between reconciliations of an exchange without a stream of orders (`watch_orders`).
    """

    def __init__(self, exchange: Any, symbols: Sequence[str], *, poll_every: float = 5.0) -> None:
        exchange.number = str
        self._exchange = exchange
        self._listed = list(symbols)
        self._poll_every = poll_every
        self._symbols: dict[str, str] = {}  # of orders by their ids at the exchange, which asks for both

    async def close(self) -> None:
        """Close the connections of the exchange."""
        await self._exchange.close()

    async def instruments(self) -> list[Instrument]:
        """Return the traded markets."""
        markets = await self._call(self._exchange.load_markets())
        return [self._instrument(markets[symbol]) for symbol in self._listed]

    def _instrument(self, market: Mapping[str, Any]) -> Instrument:
        precision, limits = market.get("precision") or {}, (market.get("limits") or {}).get("amount") or {}
        return Instrument(
            symbol=market["symbol"],
            base=market["base"],
            quote=market["quote"],
            quantity_step=self._step(precision.get("amount")),
            price_step=self._step(precision.get("price")),
            min_quantity=_number(limits.get("min")),
        )

    def _step(self, precision: Any) -> Decimal | None:
        if precision is None or self._exchange.precisionMode == ccxt.SIGNIFICANT_DIGITS:
            return None
        if self._exchange.precisionMode == ccxt.TICK_SIZE:
            return _number(precision)
        return Decimal(1).scaleb(-int(precision))

    # --- orders ---

    async def prepare(self, _: OMSOrder) -> None:
        """Return None: the exchange uses our order id."""

    async def place(self, order: OMSOrder) -> OrderReport:
        """Create the order, with our id as its client order id."""
        price = None if order.price is None else text(order.price)
        arguments = (order.symbol, order.order_type.value, order.side.value, text(order.quantity), price)
        placed = await self._call(self._exchange.create_order(*arguments, {"clientOrderId": order.order_id}))
        if placed.get("id") is None:
            raise Unsure(f"order {order.order_id!r}: the answer has no id")
        report = self._report(
            {"status": "open", **{name: value for name, value in placed.items() if value is not None}}
        )
        self._symbols[str(placed["id"])] = order.symbol
        return OrderReport(
            status=report.status,
            external_order_id=report.external_order_id,
            order_id=order.order_id,
            filled_quantity=report.filled_quantity,
            avg_fill_price=report.avg_fill_price,
            fills=report.fills,
            occurred_at=report.occurred_at,
        )

    async def cancel(self, order: OMSOrder) -> None:
        """Ask for the cancel of an order."""
        if order.external_order_id is None:
            raise Refused(f"order {order.order_id!r} has no id of the exchange")
        await self._call(self._exchange.cancel_order(order.external_order_id, order.symbol))

    async def order(self, *, external_order_id: str | None = None, order_id: str | None = None) -> OrderReport | None:
        """Return the state of an order, by the exchange's id or by ours."""
        known = self._symbols.get(external_order_id or "")
        client = {} if order_id is None else {"clientOrderId": order_id}
        for symbol in self._listed if known is None else [known]:
            with suppress(_NotFound):
                found = await self._call(
                    self._exchange.fetch_order(external_order_id, symbol, {} if external_order_id else client)
                )
                return self._report(found)
        return None

    async def open_orders(self) -> list[OrderReport]:
        """Return the open orders in the traded symbols."""
        return [
            self._report(each)
            for symbol in self._listed
            for each in await self._call(self._exchange.fetch_open_orders(symbol))
        ]

    async def fills(self, since: int) -> list[FillReport]:
        """Return the trades in the traded symbols from `since` on."""
        found: dict[tuple[str, str], FillReport] = {}
        for symbol in self._listed:
            begin = since // _MILLISECOND
            while trades := await self._call(self._exchange.fetch_my_trades(symbol, begin, PAGE)):
                count = len(found)
                found |= {(symbol, str(each["id"])): self._fill(each) for each in trades}
                if len(found) == count:  # a page without a new trade is the last one
                    break
                begin = max(begin, *(int(each["timestamp"]) for each in trades))
        return [each for each in found.values() if each.occurred_at is None or each.occurred_at >= since]

    # --- the stream ---

    async def stream(self) -> AsyncIterator[OrderReport | FillReport | Connected]:
        """Yield reports of `watch_orders` and `watch_my_trades`; without them, `Connected` again and again."""
        has = self._exchange.has
        watched = [name for name in ("watchOrders", "watchMyTrades") if has.get(name)]
        while not watched:
            yield Connected()
            await asyncio.sleep(self._poll_every)
        queue: asyncio.Queue[OrderReport | FillReport | BaseException] = asyncio.Queue()
        tasks = [asyncio.create_task(self._watch(name, queue)) for name in watched]
        try:
            yield Connected()
            while True:
                report = await queue.get()
                if isinstance(report, BaseException):
                    raise report
                yield report
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, name: str, queue: "asyncio.Queue[OrderReport | FillReport | BaseException]") -> None:
        watch, read = (
            (self._exchange.watch_orders, self._report)
            if name == "watchOrders"
            else (self._exchange.watch_my_trades, self._fill)
        )
        try:
            while True:
                for each in await self._call(watch()):
                    queue.put_nowait(read(each))
        except (Refused, Unsure) as error:
            queue.put_nowait(Unsure(f"the stream was lost: {error}"))

    # --- reading ---

    def _report(self, order: Mapping[str, Any]) -> OrderReport:
        filled, quantity, average = (_number(order.get(name)) for name in ("filled", "amount", "average"))
        status = _STATUS.get(str(order.get("status")), ReportStatus.WORKING)
        if status is ReportStatus.FILLED and quantity is not None and filled is not None and filled < quantity:
            status = ReportStatus.CANCELLED  # closed with less than its quantity
        external = str(order["id"])
        if order.get("symbol"):
            self._symbols[external] = order["symbol"]
        trades = order.get("trades")
        when = order.get("lastUpdateTimestamp") or order.get("lastTradeTimestamp") or order.get("timestamp")
        return OrderReport(
            status=status,
            external_order_id=external,
            order_id=order.get("clientOrderId") or None,
            symbol=order.get("symbol"),
            side=_side(order.get("side")),
            quantity=quantity or None,
            price=_number(order.get("price")) or None,
            filled_quantity=filled,
            avg_fill_price=divide(average, ONE) if average and filled else None,  # to 18 places
            occurred_at=None if when is None else int(when) * _MILLISECOND,
            fills=tuple(map(self._fill, trades)) if trades else None,
        )

    def _fill(self, trade: Mapping[str, Any]) -> FillReport:
        fee, currency = _fee(trade)
        liquidity, when = trade.get("takerOrMaker"), trade.get("timestamp")
        return FillReport(
            external_order_id=str(trade["order"]),
            trade_id=str(trade["id"]),
            symbol=trade.get("symbol"),
            side=_side(trade.get("side")),
            quantity=_number(trade["amount"]),
            price=_number(trade["price"]),
            fee=fee,
            fee_currency=currency,
            liquidity=liquidity if liquidity in {"maker", "taker"} else None,
            occurred_at=None if when is None else int(when) * _MILLISECOND,
        )

    async def _call(self, request: Any) -> Any:
        try:
            return await request
        except ccxt.BaseError as error:
            _raise(error)


class _NotFound(Refused):
    """The exchange does not know the order."""


def _raise(error: ccxt.BaseError) -> NoReturn:
    """Raise what an error of ccxt means: nothing was done, or it is not known."""
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, ccxt.OrderNotFound):
        raise _NotFound(message) from None
    if isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection):
        raise Refused(message, busy=True) from None
    if isinstance(error, _UNCLEAR) or type(error) in (ccxt.BaseError, ccxt.ExchangeError):
        raise Unsure(message) from None
    raise Refused(message) from None


def _side(word: Any) -> OrderSide | None:
    return OrderSide(word) if word else None


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _fee(trade: Mapping[str, Any]) -> tuple[Decimal, str]:
    """Return the fee and its currency; the parts of a fee add up if they have one currency, else the first counts."""
    parts = [each for each in (trade.get("fees") or [trade.get("fee")]) if each and each.get("cost") is not None]
    currency = parts[0].get("currency") or "" if parts else ""
    total = ZERO
    for each in parts:
        if (each.get("currency") or "") == currency:
            total = plus(total, Decimal(str(each["cost"])))
    return total, currency
