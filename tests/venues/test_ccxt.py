"""The adapter of ccxt with ccxt's own class of an exchange, against a local server."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from oms_es import OrderRejected, OrderState
from oms_es.venues.ccxt import Ccxt
from oms_es.venues.contract import Instrument
from tests.desk import D, until
from tests.venues.fake_binance import FakeBinance
from tests.venues.scripted import connected

ADA = "ADA/USDT"


def venue(server: FakeBinance) -> Ccxt:
    import ccxt.async_support

    exchange: Any = ccxt.async_support.binance({"apiKey": "key", "secret": "secret", "enableRateLimit": False})
    exchange.urls["api"] |= {"public": server.url, "private": server.url}
    exchange.options |= {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}
    exchange.options["fetchMargins"] = False
    exchange.has["fetchCurrencies"] = False
    return Ccxt(exchange, [ADA], poll_every=0.05)


async def test_orders_and_fills_of_an_exchange_of_ccxt_are_those_of_the_log(tmp_path: Path) -> None:
    async with FakeBinance() as server:
        adapter = venue(server)
        async with connected(tmp_path / "bot.db", adapter) as (oms, gateway):
            assert gateway._instruments == {
                ADA: Instrument(
                    symbol=ADA,
                    base="ADA",
                    quote="USDT",
                    quantity_step=D("0.1"),
                    price_step=D("0.0001"),
                    min_quantity=D("0.1"),
                )
            }
            first = await gateway.submit(ADA, "buy", "limit", "100.5", "0.6543", order_id="first")
            assert (first.state, first.external_order_id) == (OrderState.WORKING, "1")
            assert server.orders[0] | {"price": "0.6543", "origQty": "100.5"} == server.orders[0]
            server.fill(1, "40.2")
            await gateway.reconcile()
            order = oms.get_order("first")
            assert order is not None
            (fill,) = order.fills
            assert (fill["trade_id"], fill["quantity"], fill["price"]) == ("1", D("40.2"), D("0.6543"))
            assert (fill["fee"], fill["fee_currency"], fill["liquidity"]) == (D("0.0402"), "ADA", "maker")

            assert (await gateway.cancel("first")).state is OrderState.CANCELLED
            with pytest.raises(OrderRejected, match="InsufficientFunds"):
                await gateway.submit(ADA, "buy", "limit", "200000", "0.65")

            server.lost = ["POST /api/v3/order"]
            lost = await gateway.submit(ADA, "sell", "limit", "50", "0.66", order_id="lost")
            assert (lost.state, lost.external_order_id) == (OrderState.WORKING, "2")
            assert len(server.orders) == 2
            server.fill(2, "50")

        async with connected(tmp_path / "bot.db", venue(server)) as (oms, _):  # another process
            position = oms.get_position(ADA)
            order = oms.orders(symbol=ADA)[-1]
            assert order.state is OrderState.FILLED
            assert position is not None
            assert position.quantity == D("40.2") - 50 - D("0.0402") - D("0.05")  # the fees are in ADA


async def test_orders_and_trades_that_an_exchange_streams_are_recorded_until_the_connection_is_lost(
    tmp_path: Path,
) -> None:
    import ccxt

    async with FakeBinance() as server:
        adapter = venue(server)
        exchange, news = adapter._exchange, asyncio.Queue[Any]()

        async def watch_orders() -> Any:  # as ccxt.pro does, which parses what the exchange sends with the same methods
            if (number := await news.get()) is None:
                raise ccxt.NetworkError("connection closed")
            return [exchange.parse_order(server.orders[number - 1])]

        async def watch_my_trades() -> Any:
            await until(lambda: bool(server.trades))
            await asyncio.sleep(0.01)
            return [exchange.parse_trade(each) for each in server.trades]

        exchange.watch_orders, exchange.watch_my_trades = watch_orders, watch_my_trades
        exchange.has |= {"watchOrders": True, "watchMyTrades": True}
        async with connected(tmp_path / "bot.db", adapter) as (oms, gateway):
            await gateway.submit(ADA, "buy", "limit", "100", "0.65", order_id="first")
            server.fill(1, "100")
            await news.put(1)
            await until(lambda: [fill["trade_id"] for fill in oms.orders(symbol=ADA)[0].fills] == ["1"])
            await news.put(None)
            await until(lambda: gateway.status().reconnects == 1)

            (order,) = oms.orders(symbol=ADA)
            assert (order.state, [fill["trade_id"] for fill in order.fills]) == (OrderState.FILLED, ["1"])
