"""Small pieces that several routes share."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ..errors import BadRequest


def told(value: Any, status: int = 200) -> Response:
    """JSON that nobody keeps."""
    return Response(msgspec.json.encode(value), status, {"cache-control": "no-store"}, "application/json")


def whole(request: Request, name: str, default: int, most: int) -> int:
    """A number of the query. Raises BadRequest."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 16 and int(text) <= most):
        raise BadRequest(f"{name}: needs a whole number from 0 to {most:,}")
    return int(text)


class Stream(StreamingResponse):
    """An answer that holds its project until its end, however it ends."""

    def __init__(self, content: AsyncGenerator[bytes], media_type: str, held: AsyncExitStack, **more: str) -> None:
        """`more`: other headers, with _ for -."""
        named = {name.replace("_", "-"): value for name, value in more.items()}
        headers = {"cache-control": "no-store", "x-accel-buffering": "no", **named}
        super().__init__(content, headers=headers, media_type=media_type)
        self._content, self._held = content, held.pop_all()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held, aclosing(self._content):
            await super().__call__(scope, receive, send)
