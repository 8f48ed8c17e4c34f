"""The log over HTTP: pages of commits, all of them as lines, or live as server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from ..errors import BadRequest, CursorGone, ShareliteError
from ..sync.wire import SAFE
from ..tokens import LEEWAY
from .answers import Stream, whole
from .house import House, house

if TYPE_CHECKING:
    from ..auth import Identity
    from ..project import Project

PAGE = 100
KEEP_ALIVE_SECONDS = 15.0


async def commits(request: Request) -> Response:
    """Commits after a version: a page as JSON, or what the Accept header names."""
    here = house(request)
    record, identity, _ = await here.enter(request, "reader")
    async with AsyncExitStack() as held:
        project = await held.enter_async_context(here.catalog.hold(record.id))
        return await _answer(request, here, project, identity, held)


async def _answer(
    request: Request, here: House, project: Project, identity: Identity, held: AsyncExitStack
) -> Response:
    after = whole(request, "after", 0, SAFE - 1)
    accept = request.headers.get("accept", "")
    live = "text/event-stream" in accept
    after = _resumed(request, after) if live else after
    if after > project.version:
        await project.fresh()  # another node may have told it
    if live:
        return Stream(_events(here, project, after, identity), "text/event-stream", held)
    if after > project.version:
        raise CursorGone(f"version {after} is ahead of the project, which is at {project.version}")
    if "application/x-ndjson" in accept:
        return Stream(lines(project, after, project.version), "application/x-ndjson", held)
    limit = whole(request, "limit", PAGE, SAFE - 1)
    if not 1 <= limit <= here.settings.limits.commits:
        raise BadRequest(f"limit: needs a whole number from 1 to {here.settings.limits.commits:,}")
    page = await project.commits(after, limit)
    body = b'{"commits":[' + b",".join(commit.json for commit in page) + b'],"version":%d}' % project.version
    return Response(body, headers={"cache-control": "no-store"}, media_type="application/json")


async def lines(project: Project, after: int, until: int) -> AsyncGenerator[bytes]:
    """One commit per line, up to the version at which this began."""
    while after < until:
        page = await project.commits(after, min(1000, until - after))
        yield b"".join(commit.json + b"\n" for commit in page)
        after = page[-1].version


async def _events(here: House, project: Project, cursor: int, identity: Identity) -> AsyncGenerator[bytes]:
    """Every commit as an event with its version as id, and a comment now and then so that proxies keep the line."""
    expires = None if identity.expires is None else identity.expires + LEEWAY
    news = asyncio.Event()
    subscription = project.feed.subscribe(news.set)
    here.waiting.add(news)
    try:
        while not here.stopping and (expires is None or time.time() < expires):
            if project.trouble is not None:
                raise project.trouble
            here.gate.enter(identity, here.catalog.record(project.id), "reader")
            news.clear()
            page = await project.commits(cursor, here.settings.limits.commits)
            if page:
                yield b"".join(b"id: %d\ndata: %b\n\n" % (commit.version, commit.json) for commit in page)
                cursor = page[-1].version
            elif not await _within(news, KEEP_ALIVE_SECONDS):
                yield b": still here\n\n"
    except ShareliteError as problem:
        yield f"event: goodbye\ndata: {problem.code}\n\n".encode()
    finally:
        subscription.close()
        here.waiting.discard(news)


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _resumed(request: Request, after: int) -> int:
    """Where a browser's EventSource that lost its connection goes on."""
    last = request.headers.get("last-event-id", "")
    return int(last) if last.isascii() and last.isdecimal() and len(last) <= 16 else after
