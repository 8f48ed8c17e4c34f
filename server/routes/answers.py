"""Small pieces that several routes share."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

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
