"""
The live page as a web application: GET only, for whoever has the token.

All reads of the log run in one thread with a read-only connection; open pages share each answer.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.cookies import SimpleCookie
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from oms_es.errors import AmbiguousOrder, InvalidInput, OmsError, UnknownOrder
from oms_es.queries.json_text import json_text
from oms_es.report.answers import number
from oms_es.report.live import LiveLog

T = TypeVar("T")
POLL = 0.2  # seconds between two looks at the log, while a page is open
MOST_PAGES = 200  # that wait for events at the same time
MOST_EVENTS = 1_000  # that are sent at once
_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}


class Server:
    """
    Answers for one log.

    Args:
        live: the log.
        token: what the first request must name; later ones by cookie.
        hosts: the names and ports by which the server may be called, like 127.0.0.1:8477.
    """

    def __init__(self, live: LiveLog, token: str, hosts: Collection[str]) -> None:
        self._live, self._hosts, self._token = live, {each.lower() for each in hosts}, token
        self._cookie = f"oms_token_{min(hosts).rpartition(':')[2]}"  # cookies do not tell ports apart
        self._thread = ThreadPoolExecutor(1, "oms-serve")
        self._grown = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._pages = 0
        self._requests = 0
        self._head = 0
        routes = [
            Route("/", self._page),
            Route("/events", self._events),
            Route("/metrics", self._metrics),
            Route("/api/news", self._news),
            Route("/api/track", self._track),
            Route("/api/{name}", self._answer),
        ]
        self._routes: ASGIApp = Starlette(routes=routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, if its method, its host and its token allow it."""
        if scope["type"] != "http":
            await self._routes(scope, receive, send)
            return
        self._requests += 1
        refused, new = self._refusal(Request(scope)), False
        if refused is None and not self._has_cookie(Request(scope)):
            new = True

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                if new:
                    cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
                    headers.append((b"set-cookie", cookie.encode()))
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await (self._routes if refused is None else refused)(scope, receive, with_headers)

    # --- who may ask ---

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("host", "").lower() not in self._hosts:
            return PlainTextResponse("this server has another name\n", 421)
        if request.method != "GET":
            return PlainTextResponse("GET only\n", 405, {"allow": "GET"})
        if not (self._has_cookie(request) or self._has_token(request)):
            return PlainTextResponse("open the address that `oms serve` printed: it has the token\n", 403)
        return None

    def _has_cookie(self, request: Request) -> bool:
        try:
            found = SimpleCookie(request.headers.get("cookie", "")).get(self._cookie)
        except Exception:
            return False
        return found is not None and self._is_token(found.value)

    def _has_token(self, request: Request) -> bool:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        query = request.scope.get("query_string", b"").decode("latin-1")
        named = dict(parse_qsl(query)).get("token", "") if request.url.path == "/" else ""
        return self._is_token(bearer) or self._is_token(named)

    def _is_token(self, value: str) -> bool:
        return hmac.compare_digest(value.encode("utf-8", "replace"), self._token.encode())

    # --- answers ---

    async def _in_thread(self, ask: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, ask)

    async def _json(self, ask: Callable[[], str]) -> Response:
        try:
            return Response(await self._in_thread(ask), media_type="application/json")
        except UnknownOrder as error:
            return _failed(error, 404)
        except (InvalidInput, AmbiguousOrder) as error:
            return _failed(error, 400)
        except OmsError as error:
            return _failed(error, 503)

    async def _page(self, request: Request) -> Response:  # noqa: ARG002
        try:
            found = await self._in_thread(self._live.page)
        except OmsError as error:
            return PlainTextResponse(f"{error}\n", 503)
        if found is None:
            return PlainTextResponse("the log has no events yet\n", 503)
        return Response(found, media_type="text/html")

    async def _answer(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ("positions", "history", "why", "diff"):
            return PlainTextResponse("there is no such query\n", 404)
        return await self._json(lambda: self._live.answer(name, _parameters(request)))

    async def _news(self, request: Request) -> Response:
        def ask() -> str:
            given = _parameters(request)
            return self._live.news(given.get("day", ""), number(given.get("after", ""), "after"))

        return await self._json(ask)

    async def _track(self, request: Request) -> Response:  # noqa: ARG002
        return await self._json(self._live.event_track)

    async def _metrics(self, request: Request) -> Response:  # noqa: ARG002
        try:
            head = await self._in_thread(self._live.refresh)
        except OmsError as error:
            return PlainTextResponse(f"{error}\n", 503)
        figures = (
            ("oms_log_head_seq", "gauge", "The last event of the log.", head),
            ("oms_serve_requests_total", "counter", "Requests since the start.", self._requests),
            ("oms_serve_open_pages", "gauge", "Pages that wait for events.", self._pages),
        )
        lines = (f"# HELP {name} {words}\n# TYPE {name} {kind}\n{name} {value}" for name, kind, words, value in figures)
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    # --- events ---

    async def _events(self, request: Request) -> Response:
        if self._pages >= MOST_PAGES:
            return PlainTextResponse("too many pages are open\n", 503)
        try:
            given = _parameters(request)
            start = request.headers.get("last-event-id") or given.get("after")
            after = await self._in_thread(self._live.refresh) if start is None else number(start, "after")
        except OmsError as error:
            return _failed(error, 400)
        return StreamingResponse(self._stream(after, heads_only="head" in given), media_type="text/event-stream")

    async def _stream(self, after: int, *, heads_only: bool) -> AsyncIterator[str]:
        """Yield events as they are recorded: those of `oms tail --json`, or only the seq of the last one."""
        self._pages += 1
        try:
            if self._watching is None:
                self._watching = asyncio.create_task(self._watch())
            yield ": open\n\n"
            while True:
                grown = self._grown
                if self._head > after and heads_only:
                    after = self._head
                    yield f"id: {after}\ndata: {json_text({'seq': after})}\n\n"
                elif self._head > after:
                    until = min(self._head, after + MOST_EVENTS)
                    found = await self._in_thread(partial(self._live.events, after, until))
                    after = until
                    yield "".join(f"id: {seq}\ndata: {text}\n\n" for seq, text in found)
                else:
                    try:
                        await asyncio.wait_for(grown.wait(), 15)
                    except TimeoutError:
                        yield ": still open\n\n"
        finally:
            self._pages -= 1

    async def _watch(self) -> None:
        """Look at the log while pages are open, and wake them when it has grown."""
        while self._pages:
            try:
                head = await self._in_thread(self._live.refresh)
            except OmsError:
                head = self._head  # the log is busy or was replaced; a query names the reason
            if head != self._head:
                self._head = head
                grown, self._grown = self._grown, asyncio.Event()
                grown.set()
            await asyncio.sleep(POLL)
        self._watching = None


def _parameters(request: Request) -> dict[str, str]:
    pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True, errors="replace")
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidInput("a parameter is named twice")
    return found


def _failed(error: Exception, status: int) -> Response:
    return Response(json_text({"error": str(error)}) + "\n", status, media_type="application/json")
