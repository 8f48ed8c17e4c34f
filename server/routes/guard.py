"""The door: what every request and websocket passes before anything looks at it (SPEC W).

Size of the head, name of the host, origin of the page, an id for the logs; and for whatever goes wrong inside, one line
in the log and one plain answer without a trace of ours.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..config import Settings
from ..errors import ShareliteError
from ..logs import REQUEST_ID, request_id
from ..metrics import Metrics
from ..sync.actions import TRY_LATER
from . import faults
from .faults import Answered
from .house import IDENTITY

logger = logging.getLogger(__name__)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
METHODS = SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
ALLOWED_HEADERS = "authorization, content-type, if-match, if-none-match, if-range, last-event-id, range, x-request-id"
#: Asked for every few seconds by machines.
QUIET = frozenset({"/healthz", "/readyz", "/metrics", "/v1/images/{project}/{file}"})
EXPOSED_HEADERS = (
    "accept-ranges, content-length, content-range, etag, location, retry-after, sharelite-epoch, sharelite-version, "
    "x-request-id"
)
#: What is below it can be read by whoever knows its address, whatever page he is on.
IMAGES = "/v1/images/"


class Guard:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or IDENTITY in scope:  # another node of the cell let it in
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        token = request_id.set(asked if REQUEST_ID.match(asked) else secrets.token_hex(8))
        passage = _Passage(self, scope, headers, send)
        try:
            await passage.go(self._app, receive)
        finally:
            request_id.reset(token)

    def fault(self, scope: Scope, headers: Headers) -> ShareliteError | None:
        """Why this may not come in."""
        size = sum(len(name) + len(value) + 4 for name, value in scope["headers"]) + len(scope["path"])
        if size + len(scope["query_string"]) > self._settings.limits.header:
            return Answered("header_too_large", f"headers: at most {self._settings.limits.header:,} bytes")
        if not self._known_host(headers):
            return Answered("misdirected", "this server does not go by that name; see --host")
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if unsafe and "origin" in headers and not self.allowed(headers):
            return Answered("forbidden", "pages of this origin may not come here; see --origin")
        return None

    def origin(self, scope: Scope, headers: Headers) -> str | None:
        """The origin that may see the answer. Of images it is any: their address is all that is needed, a browser adds
        nothing of its user's, and a cache may give what one page fetched to another."""
        if scope["path"].removeprefix(scope.get("root_path", "")).startswith(IMAGES):
            return "*"
        return headers["origin"] if "origin" in headers and self.allowed(headers) else None

    def allowed(self, headers: Headers) -> bool:
        """Whether the page that asks is ours, or of an origin on the list; exactly, never by reflection."""
        origin = headers["origin"]
        if origin in self._settings.origins:
            return True
        return origin.startswith(("http://", "https://")) and urlsplit(origin).netloc == headers.get("host")

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """One line and two figures for a request, by the pattern of its address."""
        route = getattr(scope.get("route"), "path", None) or "none"
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        level = logging.DEBUG if route in QUIET else logging.INFO
        extra = {"method": method, "path": scope["path"][:200], "status": status, "ms": round(seconds * 1000, 1)}
        logger.log(level, "request", extra=extra)

    def _known_host(self, headers: Headers) -> bool:
        hosts = self._settings.hosts
        if hosts is None:
            return True
        return name_of(headers.get("host", "")) in hosts


def name_of(host: str) -> str:
    """What a Host header calls us, without the port."""
    name, _, port = host.lower().rpartition(":")
    return name if port.isdecimal() else host.lower()


class _Passage:
    """One request or websocket on its way through."""

    def __init__(self, guard: Guard, scope: Scope, headers: Headers, send: Send) -> None:
        self._guard, self._scope, self._headers, self._send = guard, scope, headers, send
        self._status = 0
        self._origin = guard.origin(scope, headers)
        self._start = time.perf_counter()

    async def go(self, app: ASGIApp, receive: Receive) -> None:
        try:
            fault = self._guard.fault(self._scope, self._headers)
            if fault is not None:
                await self._refuse(fault)
            elif self._is_preflight():
                await self._answer(204, b"", self._preflight())
            else:
                await app(self._scope, receive, self._sent)
        except Exception:
            logger.exception("request failed", extra={"path": self._scope["path"][:200]})
            if not self._status:
                await self._refuse(Answered("internal", "the server failed; its log says why, under this request's id"))
            elif self._scope["type"] == "http":
                raise Broken from None
        finally:
            if self._scope["type"] == "http":
                self._guard.count(self._scope, self._status, time.perf_counter() - self._start)

    async def _sent(self, message: Message) -> None:
        if message["type"] == "websocket.close" and not self._status:
            # Closed before it was opened: nobody is there, or the server is going down.
            code = "unavailable" if message.get("code") == TRY_LATER else "not_found"
            await self._refuse(Answered(code, "there is no such websocket, or not now"))
            return
        if message["type"] in ("http.response.start", "websocket.accept"):
            self._status = message.get("status", 101)
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            for name, value in self._common():
                headers.setdefault(name, value)
            if "origin" in self._headers and self._origin != "*":
                headers.add_vary_header("Origin")
            message = {**message, "headers": headers.raw}
        await self._send(message)

    def _common(self) -> Iterable[tuple[str, str]]:
        """Headers of every answer."""
        yield "x-request-id", request_id.get()
        yield "x-content-type-options", "nosniff"
        yield "referrer-policy", "same-origin"
        if self._origin is not None:
            yield "access-control-allow-origin", self._origin
            yield "access-control-expose-headers", EXPOSED_HEADERS

    def _is_preflight(self) -> bool:
        asks = "access-control-request-method" in self._headers and "origin" in self._headers
        return asks and self._scope["type"] == "http" and self._scope["method"] == "OPTIONS"

    def _preflight(self) -> list[tuple[bytes, bytes]]:
        if self._origin is None:
            return []
        return [
            (b"access-control-allow-methods", ALLOWED_METHODS.encode()),
            (b"access-control-allow-headers", ALLOWED_HEADERS.encode()),
            (b"access-control-max-age", b"600"),
        ]

    async def _refuse(self, fault: ShareliteError) -> None:
        body = faults.body(fault.code, str(fault))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self._answer(faults.STATUS[fault.code], body, headers)

    async def _answer(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        kind = "http"
        if self._scope["type"] == "websocket":
            if "websocket.http.response" not in self._scope.get("extensions", {}):
                await self._send({"type": "websocket.close", "code": 1008, "reason": ""})
                return
            kind = "websocket.http"
        await self._sent_as(kind, status, body, headers)

    async def _sent_as(self, kind: str, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self._status = status
        common = [(name.encode(), value.encode()) for name, value in self._common()]
        await self._send({"type": f"{kind}.response.start", "status": status, "headers": headers + common})
        await self._send({"type": f"{kind}.response.body", "body": body})


class Broken(Exception):
    """An answer that failed half way: the connection is cut, so that nobody takes it for whole."""
