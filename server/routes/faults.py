"""Errors as clients see them, and the one table from their codes to HTTP statuses."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..errors import ShareliteError
from ..model import Fault

STATUS = {
    "bad_request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "foreign_client": 403,
    "not_found": 404,
    "unknown_function": 404,
    "method_not_allowed": 405,
    "timeout": 408,
    "already_exists": 409,
    "conflict": 409,
    "contract_changed": 409,
    "contract_given": 409,
    "destructive": 409,
    "exists": 409,
    "id_reused": 409,
    "membership_refused": 409,
    "not_leader": 503,
    "out_of_order": 409,
    "unique": 409,
    "expired_id": 410,
    "gone": 410,
    "lease_expired": 410,
    "reset": 410,
    "version_gone": 410,
    "precondition_failed": 412,
    "too_large": 413,
    "unsupported_media_type": 415,
    "range_not_satisfiable": 416,
    "misdirected": 421,
    "contract_invalid": 422,
    "file_refused": 422,
    "cycle": 422,
    "failed": 422,
    "invalid": 422,
    "over_budget": 422,
    "reference": 422,
    "rate_limited": 429,
    "header_too_large": 431,
    "internal": 500,
    "damaged": 500,
    "unavailable": 503,
    "unknown": 503,
}
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class Answered(ShareliteError):
    """An error that only HTTP knows."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message

    def __str__(self) -> str:
        return self.message


def body(code: str, message: str, errors: tuple[Fault, ...] = (), **more: Any) -> bytes:
    """The body of every error."""
    return msgspec.json.encode({"error": {"code": code, "message": message, "errors": errors}, **more})


def response(problem: ShareliteError, **more: Any) -> Response:
    return plain(problem.code, str(problem), problem.faults(), getattr(problem, "retry_after", None), **more)


def plain(
    code: str, message: str, errors: tuple[Fault, ...] = (), retry_after: float | None = None, **more: Any
) -> Response:
    headers = {"cache-control": "no-store"}
    if code == "unauthenticated":
        headers["www-authenticate"] = "Bearer"
    if retry_after is not None:
        headers["retry-after"] = str(max(1, round(retry_after)))
    if code == "timeout":
        headers["connection"] = "close"
    return Response(body(code, message, errors, **more), STATUS.get(code, 500), headers, "application/json")


async def on_error(request: Request, problem: Exception) -> Response:
    """What our own errors become."""
    assert isinstance(problem, ShareliteError)
    return response(problem)


async def on_http_error(request: Request, problem: Exception) -> Response:
    """What Starlette's become: an address or a method that is not there."""
    assert isinstance(problem, HTTPException)
    code = CODES.get(problem.status_code, "bad_request")
    messages = {
        "not_found": f"there is nothing at {request.url.path[:200]!r}; /openapi.json lists the addresses",
        "method_not_allowed": f"{request.method} is not possible here",
    }
    answer = plain(code, messages.get(code, problem.detail))
    answer.status_code = problem.status_code
    answer.headers.update(problem.headers or {})
    return answer
