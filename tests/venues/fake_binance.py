"""The part of Binance's spot REST interface that ccxt's class `binance` calls; it executes what a test tells it to."""

import time
from decimal import Decimal
from typing import Any

from aiohttp import web

SYMBOL = "ADAUSDT"
INFO = {
    "timezone": "UTC",
    "serverTime": 0,
    "rateLimits": [],
    "symbols": [
        {
            "symbol": SYMBOL,
            "status": "TRADING",
            "baseAsset": "ADA",
            "quoteAsset": "USDT",
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "orderTypes": ["LIMIT", "MARKET"],
            "isSpotTradingAllowed": True,
            "permissions": ["SPOT"],
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.0001", "maxPrice": "1000", "tickSize": "0.0001"},
                {"filterType": "LOT_SIZE", "minQty": "0.1", "maxQty": "900000", "stepSize": "0.1"},
            ],
        }
    ],
}


class FakeBinance:
    """Orders and trades of one account."""

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []
        self.trades: list[dict[str, Any]] = []
        self.lost: list[str] = []  # method and path of calls that are carried out and answered with HTTP 504
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> "FakeBinance":
        app = web.Application()
        app.router.add_get("/api/v3/exchangeInfo", self._info)
        app.router.add_post("/api/v3/order", self._place)
        app.router.add_get("/api/v3/order", self._order)
        app.router.add_delete("/api/v3/order", self._cancel)
        app.router.add_get("/api/v3/openOrders", self._open_orders)
        app.router.add_get("/api/v3/myTrades", self._my_trades)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/api/v3"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def fill(self, number: int, quantity: str) -> None:
        order = self.orders[number - 1]
        executed = Decimal(order["executedQty"]) + Decimal(quantity)
        cost = Decimal(order["cummulativeQuoteQty"]) + Decimal(quantity) * Decimal(order["price"])
        order |= {"executedQty": str(executed), "cummulativeQuoteQty": str(cost), "updateTime": _now()}
        order["status"] = "FILLED" if executed == Decimal(order["origQty"]) else "PARTIALLY_FILLED"
        self.trades.append({
            "symbol": SYMBOL,
            "id": len(self.trades) + 1,
            "orderId": number,
            "price": order["price"],
            "qty": quantity,
            "quoteQty": str(Decimal(quantity) * Decimal(order["price"])),
            "commission": str(Decimal(quantity) / 1000),
            "commissionAsset": "ADA",
            "time": _now(),
            "isBuyer": order["side"] == "BUY",
            "isMaker": True,
            "isBestMatch": True,
        })  # fmt: skip

    async def _info(self, _: web.Request) -> web.Response:
        return web.json_response(INFO)

    async def _place(self, request: web.Request) -> web.Response:
        form = {**request.query, **(await request.post())}
        if any(each["clientOrderId"] == form["newClientOrderId"] for each in self.orders):
            return _error(-2010, "Duplicate order sent.")
        if Decimal(str(form["quantity"])) > 100_000:
            return _error(-2010, "Account has insufficient balance for requested action.")
        self.orders.append({
            "symbol": SYMBOL,
            "orderId": len(self.orders) + 1,
            "clientOrderId": form["newClientOrderId"],
            "price": form["price"],
            "origQty": form["quantity"],
            "executedQty": "0",
            "cummulativeQuoteQty": "0",
            "status": "NEW",
            "timeInForce": "GTC",
            "type": form["type"],
            "side": form["side"],
            "time": _now(),
            "updateTime": _now(),
            "transactTime": _now(),
        })  # fmt: skip
        return self._answered(request, self.orders[-1])

    def _found(self, request: web.Request) -> dict[str, Any] | None:
        query = request.query
        for each in self.orders:
            if str(each["orderId"]) == query.get("orderId") or each["clientOrderId"] == query.get("origClientOrderId"):
                return each
        return None

    async def _order(self, request: web.Request) -> web.Response:
        found = self._found(request)
        return _error(-2013, "Order does not exist.") if found is None else self._answered(request, found)

    async def _cancel(self, request: web.Request) -> web.Response:
        found = self._found(request)
        if found is None or found["status"] not in ("NEW", "PARTIALLY_FILLED"):
            return _error(-2011, "Unknown order sent.")
        found["status"] = "CANCELED"
        return self._answered(request, found)

    async def _open_orders(self, request: web.Request) -> web.Response:
        return self._answered(request, [each for each in self.orders if each["status"] in ("NEW", "PARTIALLY_FILLED")])

    async def _my_trades(self, request: web.Request) -> web.Response:
        since, limit = int(request.query.get("startTime", 0)), int(request.query.get("limit", 500))
        return self._answered(request, [each for each in self.trades if each["time"] >= since][:limit])

    def _answered(self, request: web.Request, body: Any) -> web.Response:
        call = f"{request.method} {request.path}"
        if call in self.lost:
            self.lost.remove(call)
            return web.Response(status=504, text="<html>gateway timeout</html>")
        return web.json_response(body)


def _error(code: int, message: str) -> web.Response:
    return web.json_response({"code": code, "msg": message}, status=400)


def _now() -> int:
    return time.time_ns() // 10**6
