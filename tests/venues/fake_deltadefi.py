"""
A server that behaves as DeltaDeFi does: its REST interface and its account stream, in both dialects.

It executes orders, takes its fees (in the base token on a buy), and can lose, cut, delay, repeat, drop, refuse and fill
without a message, by a seeded source of chance.
"""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiohttp import WSMsgType, web

D = Decimal
RATE = D("0.001")  # 10 basis points
KEY = "secret-key"
USDM = "c48cbb3d5e57ed56e276bc45f99ab39abe94e6cd7ac39fb402da47ad.0014df105553444d"
CONFIG = {
    "trading_pairs": [
        {
            "symbol": "ADAUSDM",
            "base_token": {"unit": "lovelace", "decimals": 6, "max_qty_dp": 2, "min_qty": "5"},
            "quote_token": {"unit": USDM, "decimals": 6, "max_qty_dp": 4},
            "price_max_dp": 4,
        }
    ]
}


@dataclass
class Faults:
    """The chance of each trouble, per call or per message."""

    lost_before: float = 0  # the connection is cut before the call is carried out
    lost_after: float = 0  # the call is carried out, its answer is lost
    internal: float = 0  # HTTP 500, or 503 without JSON, or 403 without a body; carried out or not
    busy: float = 0  # HTTP 429
    refused: float = 0  # a build is refused
    slow: float = 0  # seconds, at most
    dropped: float = 0  # a message of the stream is not sent
    repeated: float = 0
    delayed: float = 0  # a message is sent after later ones
    cut: float = 0  # the stream is cut (close code 1006) after a message
    closed: float = 0  # the stream is closed (1001) after a message
    silent: float = 0  # an execution sends no message
    wins: float = 0  # an execution wins against a cancel


@dataclass
class FakeOrder:
    """An order at the venue."""

    id: str
    symbol: str
    side: str
    type: str
    quantity: D
    price: D
    status: str = "building"
    records: list[dict[str, Any]] = field(default_factory=list)
    created: float = 0
    updated: float = 0

    @property
    def filled(self) -> D:
        return sum((D(each["filled_base_qty"]) for each in self.records), D(0))

    @property
    def left(self) -> D:
        return self.quantity - self.filled

    def average(self) -> D:
        cost = sum((D(each["filled_quote_qty"]) for each in self.records), D(0))
        return cost / self.filled if self.filled else D(0)


class FakeDeltaDefi:
    """The venue: orders, executions, REST and stream."""

    def __init__(
        self, seed: int = 0, *, old: bool = False, faults: Faults | None = None, lists_records: bool = True
    ) -> None:
        self.chance = random.Random(seed)
        self.old = old  # it speaks v0
        self.lists_records = lists_records  # an order lists its executions
        self.faults = faults or Faults()
        self.orders: dict[str, FakeOrder] = {}
        self.calls: list[tuple[str, str]] = []
        self.sockets: set[web.WebSocketResponse] = set()
        self._delayed: list[str] = []
        self._runner: web.AppRunner | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self.port = 0
        self.trades = 0

    # --- life ---

    async def start(self) -> "FakeDeltaDefi":
        app = web.Application()
        app.router.add_get("/app/market-config", self._wrapped(self._config))
        app.router.add_post("/order/build", self._wrapped(self._build))
        app.router.add_post("/order/submit", self._wrapped(self._submit))
        app.router.add_post("/order/cancel-all", self._wrapped(self._cancel_all))
        app.router.add_post("/order/{id}/cancel", self._wrapped(self._cancel))
        app.router.add_get("/accounts/order/{id}", self._wrapped(self._order))
        app.router.add_get("/accounts/open-orders", self._wrapped(self._open_orders))
        app.router.add_get("/accounts/trades", self._wrapped(self._trades))
        app.router.add_get("/accounts/balance", self._wrapped(self._balance))
        app.router.add_get("/accounts/stream", self._stream)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        for each in list(self.sockets):
            _abort(each)
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> "FakeDeltaDefi":
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    # --- the market ---

    def fill(self, order_id: str, quantity: D | str | None = None, *, silent: bool = False) -> dict[str, Any] | None:
        """Execute an order, or a part of it; return the record."""
        order = self.orders[order_id]
        if order.status not in ("open", "processing") or not order.left:
            return None
        quantity = order.left if quantity is None else min(D(quantity), order.left)
        self.trades += 1
        quote = quantity * order.price
        is_buy = order.side == "buy"
        record = {
            "id": f"x-{self.trades}",
            "order_id": order.id,
            "execution_price": str(order.price),
            "filled_base_qty": str(quantity),
            "filled_quote_qty": str(quote),
            "commission_unit": "lovelace" if is_buy else USDM,
            "commission": str((quantity if is_buy else quote) * RATE),
            "role": self.chance.choice(("maker", "taker")),
            "counter_party_order_id": f"c-{self.trades}",
            "created_at": _iso(time.time()),
        }
        order.records.append(record)
        order.status = "open" if order.left else "closed"
        self._touch(order, silent=silent or self._happens(self.faults.silent))
        return record

    def open_ids(self) -> list[str]:
        return [each.id for each in self.orders.values() if each.status in ("open", "processing")]

    def submitted(self) -> list[FakeOrder]:
        """Return the orders that were live."""
        return [each for each in self.orders.values() if each.status not in ("building", "failed")]

    def trade(self) -> None:
        """Execute a part of a random open order."""
        ids = self.open_ids()
        if ids:
            order = self.orders[self.chance.choice(ids)]
            part = (
                order.left
                if self.chance.random() < 0.4
                else (order.left * D(self.chance.randint(1, 99)) / 100).quantize(D("0.01"))
            )
            if part:
                self.fill(order.id, part)

    def _touch(self, order: FakeOrder, *, silent: bool = False) -> None:
        order.updated = time.time()
        if not silent:
            self.announce(order)

    # --- the stream ---

    def announce(self, order: FakeOrder) -> None:
        """Send the state of an order to the stream, or not, or twice, or late."""
        faults = self.faults
        if self._happens(faults.dropped):
            return
        message = json.dumps(self._message(order))
        if self._happens(faults.delayed):
            self._delayed.append(message)
            return
        self.send(message)
        if self._happens(faults.repeated):
            self.send(message)
        while self._delayed and self._happens(0.5):
            self.send(self._delayed.pop())
        if self._happens(faults.cut):
            self.cut()
        elif self._happens(faults.closed):
            self.close_streams()

    def send(self, message: str | dict[str, Any]) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        for socket in list(self.sockets):
            self._later(socket.send_str(text))

    def cut(self) -> None:
        """Cut every stream without a closing handshake."""
        for socket in list(self.sockets):
            _abort(socket)

    def close_streams(self) -> None:
        for socket in list(self.sockets):
            self._later(socket.close(code=1001))

    def _later(self, sending: Awaitable[Any]) -> None:
        async def send() -> None:
            with suppress(ConnectionError, RuntimeError):
                await sending

        task = asyncio.get_running_loop().create_task(send())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("api_key") != KEY:
            return web.Response(status=403)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "Account", "sub_type": "balance", "balance": self._balances()})
        self.sockets.add(socket)
        if self.old:  # history is repeated on connect
            history = [self.shown(each) for each in self.submitted()][-20:]
            await socket.send_json(
                {"sub_type": "orders_history", "data": [{"orders": history, "order_filling_records": []}]}
            )
        try:
            async for message in socket:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            self.sockets.discard(socket)
        return socket

    def _message(self, order: FakeOrder) -> dict[str, Any]:
        if not self.old:
            return {"type": "Account", "sub_type": "order_info", "order": self.shown(order)}
        kind = "open_orders" if order.status in ("open", "processing") else "orders_history"
        return {"sub_type": kind, "data": [{"orders": [self.shown(order)], "order_filling_records": []}]}

    # --- rows ---

    def shown(self, order: FakeOrder) -> dict[str, Any]:
        return self._old_row(order) if self.old else self._row(order)

    def _row(self, order: FakeOrder) -> dict[str, Any]:
        fees = sum((D(each["commission"]) for each in order.records), D(0))
        return {
            "id": order.id,
            "status": order.status,
            "symbol": order.symbol,
            "side": order.side,
            "type": order.type,
            "base_qty": str(order.quantity),
            "quote_qty": str(order.quantity * order.price),
            "price": str(order.price),
            "executed_base_qty": str(order.filled),
            "executed_price": str(order.average()),
            "ob_open_order_base_qty": str(order.left),
            "commission": str(fees),
            "commission_unit": "lovelace" if order.side == "buy" else USDM,
            "commission_rate_bp": 10,
            "created_at": _iso(order.created),
            "updated_at": _iso(order.updated),
            "order_execution_records": list(order.records) if self.lists_records else None,
        }

    def _old_row(self, order: FakeOrder) -> dict[str, Any]:
        words = {"closed": "fully_filled", "processing": "processing", "failed": "failed"}
        status = words.get(order.status) or ("open" if order.status == "open" else "cancelled")
        if order.filled and order.left:
            status = f"partially_{'filled' if order.status == 'open' else 'cancelled'}"
        row = {
            "order_id": order.id,
            "status": status,
            "symbol": order.symbol,
            "side": order.side,
            "type": order.type,
            "orig_qty": str(order.quantity),
            "executed_qty": str(order.filled),
            "price": float(order.price),
            "executed_price": float(order.average()),
            "fee_charged": str(sum((D(each["commission"]) for each in order.records), D(0))),
            "fee_unit": "lovelace" if order.side == "buy" else USDM,
            "create_time": int(order.created),
        }
        if self.lists_records:
            row["fills"] = [
                {
                    "id": each["id"],
                    "execution_price": float(each["execution_price"]),
                    "filled_amount": each["filled_base_qty"],
                    "fee_amount": each["commission"],
                    "fee_unit": each["commission_unit"],
                    "role": each["role"],
                    "create_time": int(order.updated),
                }
                for each in order.records
            ]
        return row

    def _balances(self) -> list[dict[str, str]]:
        base, quote = self.balance()
        return [
            {"asset": "ADA", "asset_unit": "lovelace", "free": str(base), "locked": "0"},
            {"asset": "USDM", "asset_unit": USDM, "free": str(quote), "locked": "0"},
        ]

    def balance(self) -> tuple[D, D]:
        """Return the change of the base and the quote token by all executions, fees included."""
        base = quote = D(0)
        for order in self.orders.values():
            sign = 1 if order.side == "buy" else -1
            for each in order.records:
                base += sign * D(each["filled_base_qty"]) - (D(each["commission"]) if sign > 0 else 0)
                quote -= sign * D(each["filled_quote_qty"]) + (D(each["commission"]) if sign < 0 else 0)
        return base, quote

    # --- REST ---

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self.chance.random() < chance

    def _wrapped(
        self, carry_out: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            faults = self.faults
            self.calls.append((request.method, request.path))
            if request.headers.get("X-API-KEY") != KEY:
                return _error(401, 4010, "unknown api key")
            if faults.slow:
                await asyncio.sleep(self.chance.uniform(0, faults.slow))
            if self._happens(faults.busy):
                return _error(429, 4290, "too many requests")
            if self._happens(faults.lost_before):
                return _cut(request)
            broken = self._happens(faults.internal)
            if broken and self._happens(0.5):
                return self._internal()
            answer = await carry_out(request)
            if broken:
                return self._internal()
            if self._happens(faults.lost_after):
                return _cut(request)
            return answer

        return handle

    def _internal(self) -> web.Response:
        return self.chance.choice((
            lambda: _error(500, 5000, "internal error"),
            lambda: web.Response(status=503, text="<html>service unavailable</html>"),
            lambda: web.Response(status=403),
            lambda: _error(400, 5002, "trading locked"),
        ))()  # fmt: skip

    async def _config(self, _: web.Request) -> web.Response:
        return web.json_response(CONFIG)

    async def _build(self, request: web.Request) -> web.Response:
        body = await request.json()
        quantity, price = D(str(body["base_quantity"])), D(str(body.get("price") or "0.5"))
        if self._happens(self.faults.refused):
            return _error(400, 4050, "insufficient balance")
        if quantity < 5:
            return _error(400, 4100, "below minimum")
        if quantity != quantity.quantize(D("0.01")):
            return _error(400, 4102, "too many decimals")
        number = f"{self.chance.getrandbits(48):012x}"
        order = FakeOrder(number, body["symbol"], body["side"], body["type"], quantity, price, created=time.time())
        self.orders[number] = order
        return web.json_response({"order_id": number, "tx_hex": f"tx-{number}"})

    async def _submit(self, request: web.Request) -> web.Response:
        body = await request.json()
        order = self.orders.get(body["order_id"])
        if order is None or body["signed_tx"] != f"signed:tx-{order.id}":
            return _error(400, 4402, "transaction not found")
        if order.status != "building":
            return _error(400, 4302, "already submitted")
        order.status = "processing" if self.old else "open"
        self._touch(order)
        answer = {"order": self.shown(order)} if self.old else self.shown(order)
        order.status = "open"
        return web.json_response(answer)

    async def _cancel(self, request: web.Request) -> web.Response:
        order = self.orders.get(request.match_info["id"])
        if order is None or order.status == "building":
            return _error(400, 4200, "order not found")
        if self._happens(self.faults.wins):
            self.fill(order.id)
        if order.status != "open":
            return _error(400, 4201, "order is not open")
        order.status = "cancelled"
        self._touch(order)
        return web.json_response({"order_id": order.id})

    async def _cancel_all(self, request: web.Request) -> web.Response:
        symbol = (await request.json())["symbol"]
        found = [self.orders[each] for each in self.open_ids() if self.orders[each].symbol == symbol]
        if not found:
            return _error(400, 4200, "no open orders")
        for order in found:
            order.status = "cancelled"
            self._touch(order)
        return web.json_response({"symbol": symbol, "order_ids": [each.id for each in found]})

    async def _order(self, request: web.Request) -> web.Response:
        order = self.orders.get(request.match_info["id"])
        if order is None:
            return _error(404, 4200, "order not found")
        return web.json_response(self.shown(order))

    async def _open_orders(self, request: web.Request) -> web.Response:
        found = [self.orders[each] for each in self.open_ids() if self.orders[each].symbol == request.query["symbol"]]
        return _page(request, [self.shown(each) for each in found])

    async def _trades(self, request: web.Request) -> web.Response:
        found = [
            row for order in self.orders.values() if order.symbol == request.query["symbol"] for row in order.records
        ]
        return _page(request, sorted(found, key=lambda row: row["created_at"], reverse=True))

    async def _balance(self, _: web.Request) -> web.Response:
        return web.json_response(self._balances())


def _page(request: web.Request, rows: list[dict[str, Any]]) -> web.Response:
    limit, page = int(request.query["limit"]), int(request.query["page"])
    assert limit <= 250
    shown = rows[(page - 1) * limit : page * limit]
    return web.json_response({"data": shown, "total_count": len(rows), "total_page": -(-len(rows) // limit)})


def _error(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"error": message, "code": code}, status=status)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _abort(socket: web.WebSocketResponse) -> None:
    writer = socket._writer
    if writer is not None and writer.transport is not None:
        writer.transport.abort()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def sign(transaction: str) -> str:
    """Sign a transaction as the server expects it."""
    return f"signed:{transaction}"


def calm(faults: Faults) -> Faults:
    """Return faults without any."""
    return replace(Faults(), **dict.fromkeys(faults.__dataclass_fields__, 0.0))
