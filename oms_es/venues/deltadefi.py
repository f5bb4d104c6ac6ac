"""
The adapter of DeltaDeFi, an order book on Cardano. It reads both dialects of the venue and speaks v1.

An order is built by the venue, signed here, and submitted: its id is known before anything is live.

Source: the models of the PyPI package `deltadefi` 1.1.1, and the venue's documentation of April 2026.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from oms_es.decimals import plus, text
from oms_es.domain.reports import FillReport, OrderReport
from oms_es.errors import InvalidInput
from oms_es.projections.views import OMSOrder
from oms_es.venues.contract import Connected, Instrument, Refused, Unsure
from oms_es.venues.deltadefi_messages import Pair, fill_report, loads, number, order_report, pairs, stream_reports
from oms_es.venues.pacing import RateLimiter
from oms_es.vocabulary import OrderSide

try:
    import aiohttp
except ImportError:
    raise ImportError("oms_es.venues.deltadefi needs aiohttp: pip install 'oms_es[venues]'") from None

PAGE = 250  # the most rows of a page
BUSY = 4290
NOT_FOUND = 4200
ALREADY_SUBMITTED = 4302
T = TypeVar("T")


class DeltaDefi:
    """
    DeltaDeFi by its REST interface and its account stream.

    Args:
        api_key: of the account.
        rest_url: base of the REST interface.
        stream_url: base of the stream.
        sign: returns the signed transaction of a built one (hex text); it runs in a thread.
        calls_per_second: of REST; the venue publishes no figure.
        timeout: seconds after which a call without an answer is `Unsure`.
        heartbeat: seconds between pings of the stream; one without an answer ends the connection.
    """

    def __init__(
        self,
        api_key: str,
        *,
        rest_url: str = "https://api.deltadefi.io",
        stream_url: str = "wss://stream.deltadefi.io",
        sign: Callable[[str], str] | Callable[[str], Awaitable[str]],
        calls_per_second: int = 5,
        timeout: float = 10.0,
        heartbeat: float = 15.0,
    ) -> None:
        self._key = api_key
        self._rest = rest_url.rstrip("/")
        self._stream = stream_url.rstrip("/")
        self._sign = sign
        self._limiter = RateLimiter(calls_per_second)
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._heartbeat = heartbeat
        self._http: aiohttp.ClientSession | None = None
        self._pairs: dict[str, Pair] = {}
        self._built: dict[str, str] = {}  # order id of the venue → its transaction, until it is submitted
        self._sides: dict[str, OrderSide] = {}  # of orders whose executions were listed without a side

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    # --- orders ---

    async def instruments(self) -> list[Instrument]:
        """Return the pairs of the market configuration."""
        config = await self._call("GET", "/app/market-config")
        self._pairs = _read(pairs, config)
        return [pair.instrument() for pair in self._pairs.values()]

    async def prepare(self, order: OMSOrder) -> str:
        """Let the venue build the order, and return its id; it is not live before `place`."""
        body = {"symbol": order.symbol, "side": order.side.value, "type": order.order_type.value}
        body["base_quantity"] = text(order.quantity)
        if order.price is not None:
            body["price"] = text(order.price)
        built = await self._call("POST", "/order/build", body)
        external, transaction = _read(lambda: (str(built["order_id"]), str(built["tx_hex"])))
        self._built[external] = transaction
        return external

    async def place(self, order: OMSOrder) -> OrderReport:
        """Sign and submit the built order."""
        external = order.external_order_id or ""
        transaction = self._built.pop(external, None)
        if transaction is None:
            raise Refused(f"order {external!r} was not built by this process")
        signed = await self._signed(transaction)
        try:
            body = await self._call("POST", "/order/submit", {"order_id": external, "signed_tx": signed})
        except Refused as error:
            if error.busy:
                self._built[external] = transaction
            if error.code == ALREADY_SUBMITTED:
                raise Unsure(str(error)) from None  # it is live: its state is asked for
            raise
        return self._report({"symbol": order.symbol, "side": order.side.value, **_read(_order_in, body)})

    async def _signed(self, transaction: str) -> str:
        """Return the signed transaction; an error of the signer has no effect at the venue."""
        try:
            signed: Any = await asyncio.to_thread(self._sign, transaction)
            return str(await signed if inspect.isawaitable(signed) else signed)
        except Exception as error:
            raise Refused(f"the transaction could not be signed: {error}") from error

    async def cancel(self, order: OMSOrder) -> None:
        """Ask for the cancel of an order."""
        if order.external_order_id is None:
            raise Refused(f"order {order.order_id!r} has no id of the venue")
        await self.cancel_by_id(order.external_order_id)

    async def cancel_by_id(self, external_order_id: str) -> None:
        """Ask for the cancel of an order by the venue's id."""
        await self._call("POST", f"/order/{external_order_id}/cancel")

    async def cancel_all(self, symbol: str) -> list[str]:
        """Ask for the cancel of every open order in a symbol; return the venue's ids."""
        try:
            body = await self._call("POST", "/order/cancel-all", {"symbol": symbol})
        except Refused as error:
            if error.code == NOT_FOUND:
                return []
            raise
        return _read(lambda: [str(each) for each in body["order_ids"]])

    async def order(self, *, external_order_id: str | None = None, order_id: str | None = None) -> OrderReport | None:  # noqa: ARG002
        """Return the state of an order; None also for one that was built and not submitted, which is not live."""
        if external_order_id is None:
            return None  # the venue knows no ids but its own
        try:
            body = await self._call("GET", f"/accounts/order/{external_order_id}")
        except Refused as error:
            if error.code in (NOT_FOUND, 404):
                return None
            raise
        body = _read(_order_in, body)
        return None if body.get("status") == "building" else self._report(body)

    async def open_orders(self) -> list[OrderReport]:
        """Return the open orders of every pair."""
        return [
            self._report(row) for symbol in await self._symbols() for row in await self._rows("open-orders", symbol)
        ]

    async def fills(self, since: int) -> list[FillReport]:
        """Return the executions of every pair from `since` (ns UTC) on."""
        found = []
        for symbol in await self._symbols():
            for row in await self._rows("trades", symbol, since):
                fill = _read(self._fill, row, symbol)
                if fill.occurred_at is None or fill.occurred_at >= since:
                    found.append(await self._with_side(row, fill))
        return found

    async def balances(self) -> dict[str, Decimal]:
        """Return what the account holds of each token, free and locked."""
        names = {token.unit: token.name for pair in self._pairs.values() for token in (pair.base, pair.quote)}
        rows = await self._call("GET", "/accounts/balance")
        return _read(_holdings, rows, names)

    def _fill(self, row: Mapping[str, Any], symbol: str) -> FillReport:
        external = str(row["order_id"])
        return fill_report(row, external, symbol, self._sides.get(external), self._pairs)

    async def _with_side(self, row: Mapping[str, Any], fill: FillReport) -> FillReport:
        """Return the fill with the side of its order, which an execution record does not have."""
        external = str(fill.external_order_id)
        if fill.side is None and await self.order(external_order_id=external) is not None:
            return self._fill(row, str(fill.symbol))
        return fill

    def _report(self, body: Mapping[str, Any]) -> OrderReport:
        report = _read(order_report, body, self._pairs)
        if isinstance(report.side, OrderSide) and report.external_order_id is not None:
            self._sides[report.external_order_id] = report.side
        return report

    async def _symbols(self) -> list[str]:
        if not self._pairs:
            await self.instruments()
        return sorted(self._pairs)

    # --- the stream ---

    async def stream(self) -> AsyncIterator[OrderReport | FillReport | Connected]:
        """Yield `Connected`, then the reports of the account, until the connection ends."""
        await self._symbols()
        try:
            url = f"{self._stream}/accounts/stream"
            async with self._session().ws_connect(
                url,
                params={"api_key": self._key},
                heartbeat=self._heartbeat,
                timeout=aiohttp.ClientWSTimeout(ws_close=2),
            ) as socket:
                yield Connected()
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        for report in _read(self._reports, message.data):
                            yield report
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unsure(f"the stream was lost: {_name(error)}") from None

    def _reports(self, message: str) -> list[OrderReport | FillReport]:
        return list(stream_reports(loads(message), self._pairs))

    # --- REST ---

    async def _rows(self, what: str, symbol: str, since: int | None = None) -> list[dict[str, Any]]:
        """Return the rows of all pages; newest pages first, not those that end before `since`."""
        rows: list[dict[str, Any]] = []
        page, pages = 1, 1
        while page <= pages:
            body = await self._call("GET", f"/accounts/{what}", query={"symbol": symbol, "limit": PAGE, "page": page})
            found, pages = _read(_page, body)
            rows += found
            if since is not None and found and _ends_before(found, since):
                break
            page += 1
        return rows

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> Any:
        """
        Return the JSON answer of a call.

        Raises:
            Refused: the venue's error, with its code.
            Unsure: no answer, one that is not JSON, or an error of the venue's own.
        """
        await self._limiter.wait()
        try:
            async with self._session().request(method, self._rest + path, json=body, params=query) as answer:
                status, content = answer.status, await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unsure(f"{method} {path}: {_name(error)}") from None
        return _answer(f"{method} {path}", status, content)

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(headers={"X-API-KEY": self._key}, timeout=self._timeout)
        return self._http


def _answer(call: str, status: int, content: bytes) -> Any:
    try:
        body = loads(content)
    except ValueError:
        body = None
    if status == 429:
        raise Refused(f"{call}: rate limit", BUSY, busy=True)
    if body is None or status >= 500:
        raise Unsure(f"{call}: HTTP {status}")
    error = body if isinstance(body, dict) and ("error" in body or "code" in body) else {}
    if status < 400 and "error" not in error:
        return body
    stated = str(error.get("code"))
    code = int(stated) if stated.isdigit() else status
    message = f"{call}: {error.get('error') or error.get('message') or f'HTTP {status}'} ({code})"
    if code >= 5000 or 500 <= code < 600:
        raise Unsure(message)
    raise Refused(message, code, busy=code == BUSY)


def _read(parse: Callable[..., T], *arguments: Any) -> T:
    """Return what `parse` finds; an answer without the fields of the documentation is none at all."""
    try:
        return parse(*arguments)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, InvalidInput) as error:
        raise Unsure(f"the venue's answer cannot be read: {_name(error)}") from None


def _holdings(rows: list[Mapping[str, Any]], names: Mapping[str, str]) -> dict[str, Decimal]:
    return {
        names.get(row["asset_unit"], row["asset"]): plus(number(row["free"]), number(row["locked"])) for row in rows
    }


def _order_in(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the order of an answer: v0 has it under a key."""
    found = body.get("order", body)
    return found if isinstance(found, Mapping) else {}


def _page(body: Any) -> tuple[list[dict[str, Any]], int]:
    """Return the rows of a page, and the number of pages; some versions of the venue send a plain list."""
    if isinstance(body, list):
        return body, 1
    return list(body["data"]), int(body.get("total_page") or 1)


def _ends_before(rows: list[dict[str, Any]], since: int) -> bool:
    """Return whether rows run from new to old and end before `since`."""
    first, last = (_read(_moment_of, row) for row in (rows[0], rows[-1]))
    return first is not None and last is not None and last < since and last < first


def _moment_of(row: Mapping[str, Any]) -> Any:
    return fill_report(row, "", None, None, {}).occurred_at


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
