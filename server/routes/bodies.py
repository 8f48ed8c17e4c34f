"""Request bodies: counted while they come, cut off when they come too slowly, decoded into what was asked for."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from ..errors import BadRequest, TooLarge
from .faults import Answered

T = TypeVar("T")
#: After the first seconds a body has to come at this rate.
SLOWEST = 100 * 1024
#: Decoding more than this would keep the event loop from everybody else.
LARGE = 256 * 1024
DRAIN_BYTES = 64 * 1024 * 1024
DRAIN_SECONDS = 10.0


async def read(request: Request, limit: int, seconds: float) -> bytes:
    """The whole body. Raises TooLarge as soon as it is known to be, and Answered for what is not JSON or too slow."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" or ("content-type" not in request.headers and "origin" in request.headers):
        # A page of somebody else may post other types without asking first.
        raise Answered("unsupported_media_type", "the body has to be application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Answered("unsupported_media_type", "content-encoding: only identity")
    told = request.headers.get("content-length", "0")
    if told.isdecimal() and int(told) > limit:
        if "expect" not in request.headers:
            await _drain(request)
        raise TooLarge("the body", int(told), limit)
    return await _collect(request, limit, seconds)


async def octets(request: Request, limit: int, seconds: float) -> bytes:
    """The whole body, of bytes that mean nothing here. Raises TooLarge, Answered."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/octet-stream":
        raise Answered("unsupported_media_type", "the body has to be application/octet-stream")
    return await _collect(request, limit, seconds)


async def _collect(request: Request, limit: int, seconds: float) -> bytes:
    loop = asyncio.get_running_loop()
    start, size, chunks = loop.time(), 0, []
    try:
        async with asyncio.timeout(seconds) as timeout:
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    break
                chunks.append(chunk)
                timeout.reschedule(start + seconds + size / SLOWEST)
    except TimeoutError:
        raise Answered("timeout", f"the body came too slowly: {size:,} bytes so far") from None
    except ClientDisconnect:
        raise BadRequest("the body broke off") from None
    if size > limit:
        await _drain(request)
        raise TooLarge("the body", size, limit)
    return b"".join(chunks)


async def _drain(request: Request) -> None:
    """Throw away what still comes, up to a point: a sender who is cut off does not get to read why."""
    thrown = 0
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while thrown < DRAIN_BYTES:
                message = await request.receive()
                thrown += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


async def decode(raw: bytes, kind: type[T]) -> T:
    """JSON as one of our structs. Raises BadRequest that says what is wrong and where."""
    try:
        if len(raw) > LARGE:
            return await asyncio.to_thread(msgspec.json.decode, raw, type=kind)
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise BadRequest(f"the body: {problem}") from None
