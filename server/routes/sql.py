"""SQL over HTTP: statements of one request (SPEC Q)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .. import statements
from ..errors import BadRequest
from ..sql import requests
from . import bodies, faults
from .house import house

if TYPE_CHECKING:
    from ..auth import Identity, Role
    from ..project import Project
    from ..records import ProjectRecord
    from .house import House

NDJSON = "application/x-ndjson"


async def run(request: Request) -> Response:
    """Run statements: as one transaction, or each alone."""
    here = house(request)
    record, identity, role = await here.enter(request, "reader")
    wanted = await asked(request, here)
    allow(here, identity, record, role, wanted)
    project = await here.catalog.open(record.id)
    if NDJSON in request.headers.get("accept", ""):
        return await _lines(project, wanted)
    try:
        return answered(await statements.run(project, wanted, identity.user))
    except statements.Judged as judged:
        return faults.response(judged, version=judged.version)


async def _lines(project: Project, wanted: requests.Request) -> Response:
    """What is wrong from the start is an error like every other."""
    statements.check(wanted.statements)
    if not wanted.reads:
        raise BadRequest(f"{NDJSON} is for statements that only read; ask for JSON")
    await statements.reached(project, wanted)
    lines = statements.lines(project, wanted)
    first = await anext(lines, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for line in lines:
            yield line

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(all_of_them(), headers=headers, media_type=NDJSON)


async def asked(request: Request, here: House) -> requests.Request:
    """The request of the body. Raises BadRequest."""
    limits = here.settings.limits
    raw = await bodies.read(request, limits.mutation, limits.body_seconds)
    if len(raw) > bodies.LARGE:
        return await asyncio.to_thread(requests.decode, raw)
    return requests.decode(raw)


def allow(here: House, identity: Identity, record: ProjectRecord, role: Role, wanted: requests.Request) -> None:
    """Readers read. Raises Forbidden."""
    if role == "reader" and not wanted.reads:
        here.gate.enter(identity, record, "editor")


def answered(body: bytes, status: int = 200) -> Response:
    return Response(body, status, {"cache-control": "no-store"}, "application/json")
