"""Requests that change something, at a node that does not lead: handed to the one that does, and answered from here
when this node is as far (SPEC K56). Mutations go their own way, with their ids.

Who asks is found out at the first node; the leader is told over the cell's own links, which no client can reach.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..auth import Identity
from ..cluster.forwarding import NotHere
from ..errors import ShareliteError
from ..handing import hand_on
from . import faults
from .house import IDENTITY, House

if TYPE_CHECKING:
    from ..cellnode import CellNode

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: What of a request's head means something to a route.
HEADERS = frozenset({b"content-type", b"content-encoding", b"accept", b"if-match", b"if-none-match", b"x-request-id"})
#: What finds its way to the leader by itself, as far as it has to go there.
OWN_WAY = re.compile(r"/v1/projects/[^/]+/(mutations|sql)|/v1/cluster")
#: Larger bodies go to the leader itself.
MOST_BODY = 32 << 20


class Away:
    """The middleware: lets pass what this node can do, hands on what it cannot."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        here: House | None = getattr(scope["app"].state, "house", None) if scope["type"] == "http" else None
        if here is None or here.node is None or here.node.cell.leading or not _changes(scope):
            await self._app(scope, receive, send)
            return
        if IDENTITY in scope:
            raise NotHere
        if OWN_WAY.fullmatch(_path(scope)):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await _handed_on(request, here, here.node)
        except ShareliteError as problem:
            response = faults.response(problem)
        except ClientDisconnect:
            return
        await response(scope, receive, send)


def _changes(scope: Scope) -> bool:
    """Uploads are where they began: at the leader."""
    if scope["path"].startswith("/v1/imports/"):
        return True
    return scope["method"] not in SAFE_METHODS


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def _handed_on(request: Request, here: House, node: CellNode) -> Response:
    identity = await here.identity(request)
    body = await _body(request)
    if body is None:
        return _elsewhere(request, node)
    path = _path(request.scope)
    headers = [(name, value) for name, value in request.scope["headers"] if name in HEADERS]
    index, status, found, content = await hand_on(
        node, identity, request.method, path, body, request.scope["query_string"], headers
    )
    if status < 400:
        await node.seen(request.path_params.get("project") or _project(request), index)
    response = Response(content, status)
    response.raw_headers = found
    return response


def _project(request: Request) -> str:
    parts = request.scope["path"].split("/v1/projects/")
    return parts[1].split("/")[0] if len(parts) > 1 else ""


async def _body(request: Request) -> bytes | None:
    """The whole of it, or None for what is too large to be handed on."""
    if int(request.headers.get("content-length", "0") or 0) > MOST_BODY:
        return None
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > MOST_BODY:
            return None
    return b"".join(parts)


def _elsewhere(request: Request, node: CellNode) -> Response:
    """Send whoever asks to the leader with it (RFC 9110 15.4.8)."""
    url = node.leader_url()
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{url}{request.url.path}{query}", 307)


def answers(app: ASGIApp, state: Any, delivered: Callable[[], int]) -> Callable[[str, Any], Awaitable[Any]]:
    """What the leader does with a request of another node: `[index, status, headers, body]`."""

    async def answer(node: str, content: Any) -> Any:
        method, path, query, headers, body, (user, grants, expires) = content
        identity = Identity(user, tuple((pattern, role) for pattern, role in grants), expires)
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query,
            "headers": [(name, value) for name, value in headers] + [(b"content-length", b"%d" % len(body))],
            "client": (node, 0),
            "server": None,
            "app": state,
            IDENTITY: identity,
        }
        answered = _Answered(body)
        await app(scope, answered.receive, answered.send)
        return [delivered(), answered.status, answered.headers, b"".join(answered.parts)]

    return answer


class _Answered:
    """The two ends of a request that came by a link."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.status = 500
        self.headers: list[list[bytes]] = []
        self.parts: list[bytes] = []

    async def receive(self) -> Message:
        body, self._body = self._body, None
        if body is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [[name, value] for name, value in message.get("headers", [])]
        elif message["type"] == "http.response.body":
            self.parts.append(message.get("body", b""))
