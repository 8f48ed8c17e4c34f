"""SQL over HTTP: statements of one request, and interactive transactions (SPEC Q)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from .. import statements
from ..errors import BadRequest, ShareliteError
from ..handing import OF_SOCKET, hand_on
from ..model import MutationId, Outcome
from ..sql import requests
from ..sql.lease import WRITING, LeaseExpired
from ..transactions import Transaction, repeat
from . import bodies, faults
from .answers import Stream, told
from .house import IDENTITY, house

if TYPE_CHECKING:
    from ..auth import Identity, Role
    from ..cellnode import CellNode
    from ..project import Project
    from ..records import ProjectRecord
    from .house import House

NDJSON = "application/x-ndjson"


async def run(request: Request) -> Response:
    """Run statements: as one transaction, or each alone."""
    here = house(request)
    record, identity, role = await here.enter(request, "reader")
    raw = await _raw_statements(request, here)
    wanted = await _asked(raw)
    allow(here, identity, record, role, wanted)
    if wanted.defines and here.node is not None and not here.node.cell.leading:
        return await _defined_by_the_leader(here.node, record, identity, raw)
    async with AsyncExitStack() as held:
        project = await held.enter_async_context(here.catalog.hold(record.id))
        if NDJSON in request.headers.get("accept", ""):
            return await _lines(project, wanted, held)
        try:
            return answered(await statements.run(project, wanted, identity.user))
        except statements.Judged as judged:
            return faults.response(judged, version=judged.version)


async def _defined_by_the_leader(node: CellNode, record: ProjectRecord, identity: Identity, raw: bytes) -> Response:
    """Tables are changed where the cell is led; here that is known when this is answered (SPEC K56)."""
    index, status, _, body = await hand_on(node, identity, "POST", f"/v1/projects/{record.id}/sql", raw)
    if status < 400:
        await node.seen(record.id, index)
    return answered(body, status)


async def begin(request: Request) -> Response:
    here = house(request)
    record, identity, role = await here.enter(request, "reader")
    wanted = await bodies.decode(await _raw(request, here), requests.Begin)
    if role == "reader" and wanted.mode != "read_only":
        here.gate.enter(identity, record, "editor")
    async with here.catalog.hold(record.id) as project:  # the transaction itself keeps it open from here on
        of_socket = IDENTITY in request.scope and request.headers.get(OF_SOCKET) is not None
        begun = await here.transactions.begin(project, identity.user, wanted.mode, of_socket)
    answer = told(begun_as(begun), 201)
    answer.headers["location"] = f"{request.url.path}/{begun.id}"
    return answer


def begun_as(transaction: Transaction) -> dict[str, Any]:
    """What whoever begins one is told."""
    return {
        "transaction": transaction.id,
        "version": transaction.version,
        "idle": WRITING.idle,
        "total": WRITING.total,
    }


async def run_in(request: Request) -> Response:
    """Run statements in an open transaction."""
    here = house(request)
    record, identity, role = await here.enter(request, "reader")
    transaction = here.transactions.get(request.path_params["transaction"], record.id, identity.user)
    wanted = await _asked(await _raw_statements(request, here))
    wanted.check_inside()
    allow(here, identity, record, role, wanted)
    try:
        return answered(await transaction.run(wanted))
    except ShareliteError as problem:
        return faults.response(problem, transaction="open" if transaction.ended is None else "gone")


async def commit(request: Request) -> Response:
    """Commit; with an id it can be asked again, also where the transaction is gone."""
    here = house(request)
    record, identity, _ = await here.enter(request, "reader")
    wanted = await bodies.decode(await _raw(request, here), requests.Finish)
    id, tag = requests.mutation_id(wanted.id), requests.short_tag(wanted.tag)
    name = request.path_params["transaction"]
    try:
        async with here.catalog.hold(record.id) as project:
            outcome = await _committed(here, project, identity, name, id, tag)
    except statements.Judged as judged:
        return faults.response(judged, version=judged.version)
    return told(committed_as(outcome))


async def _committed(
    here: House, project: Project, identity: Identity, name: str, id: MutationId | None, tag: str | None
) -> Outcome:
    try:
        transaction = here.transactions.get(name, project.id, identity.user)
        return await transaction.commit(id, tag)
    except LeaseExpired as over:
        if id is None:
            raise
        return await repeat(project, identity.user, id, name, over.why)


def committed_as(outcome: Outcome) -> dict[str, Any]:
    return {"version": outcome.version, "changed": outcome.kind == "committed"}


async def rollback(request: Request) -> Response:
    """Also in the middle of a statement, which ends with it."""
    here = house(request)
    record, identity, _ = await here.enter(request, "reader")
    await here.transactions.get(request.path_params["transaction"], record.id, identity.user).leave(
        "it was rolled back"
    )
    return Response(status_code=204)


async def _raw(request: Request, here: House) -> bytes:
    return await bodies.read(request, here.settings.limits.body, here.settings.limits.body_seconds) or b"{}"


async def _lines(project: Project, wanted: requests.Request, held: AsyncExitStack) -> Response:
    """What is wrong from the start is an error like every other."""
    statements.check(wanted.statements)
    if not wanted.reads:
        raise BadRequest(f"{NDJSON} is for statements that only read; ask for JSON")
    await statements.reached(project, wanted)
    lines = statements.lines(project, wanted)
    first = await anext(lines, b"")

    async def all_of_them() -> AsyncGenerator[bytes]:
        async with aclosing(lines):
            yield first
            async for line in lines:
                yield line

    return Stream(all_of_them(), NDJSON, held)


async def _raw_statements(request: Request, here: House) -> bytes:
    return await bodies.read(request, here.settings.limits.mutation, here.settings.limits.body_seconds)


async def _asked(raw: bytes) -> requests.Request:
    """The request of a body. Raises BadRequest."""
    if len(raw) > bodies.LARGE:
        return await asyncio.to_thread(requests.decode, raw)
    return requests.decode(raw)


def allow(here: House, identity: Identity, record: ProjectRecord, role: Role, wanted: requests.Request) -> None:
    """Readers read, owners change tables. Raises Forbidden."""
    if role != "owner" and wanted.defines:
        here.gate.enter(identity, record, "owner")
    if role == "reader" and not wanted.reads:
        here.gate.enter(identity, record, "editor")


def answered(body: bytes, status: int = 200) -> Response:
    return Response(body, status, {"cache-control": "no-store"}, "application/json")
