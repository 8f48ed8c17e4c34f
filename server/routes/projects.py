"""Projects: list, make, look at, rename, delete; mutations."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field
from starlette.requests import Request
from starlette.responses import Response

from ..auth import Identity
from ..errors import NotFound, ShareliteError, Unauthenticated
from ..schema.inference import nothing
from ..sync.session import FORBIDDEN
from ..sync.wire import decode_push
from . import bodies, faults
from .answers import told
from .house import House, house

if TYPE_CHECKING:
    from ..records import ProjectRecord
    from ..storage.seen import Look

logger = logging.getLogger(__name__)
#: Projects that are looked into at the same time for a list.
AT_ONCE = 16
#: A list of thousands lets others have a turn behind so many.
AT_A_TIME = 200


class Create(Struct, forbid_unknown_fields=True):
    """`contract`: the name of one the server has, or a whole document; without one the project has no tables, until SQL
    makes some."""

    name: str
    contract: str | dict[str, Any] = field(default_factory=nothing)
    public: bool = False


class Alter(Struct, forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    public: bool | UnsetType = UNSET


async def listed(request: Request) -> Response:
    """Every project that the caller may read."""
    here = house(request)
    identity = await here.identity(request)
    name = request.query_params.get("name")
    visible = [
        record
        for record in here.catalog.list()
        if here.gate.role(identity, record) is not None and name in (None, record.name)
    ]
    if not visible and identity.anonymous:
        raise Unauthenticated
    room = asyncio.Semaphore(AT_ONCE)

    async def each(record: ProjectRecord) -> dict[str, Any]:
        async with room:
            return await _described(here, record, identity)

    shown: list[dict[str, Any]] = []
    for start in range(0, len(visible), AT_A_TIME):
        shown += await asyncio.gather(*map(each, visible[start : start + AT_A_TIME]))
        await asyncio.sleep(0)
    return told({"projects": shown})


async def create(request: Request) -> Response:
    here = house(request)
    identity = await here.identity(request)
    limits = here.settings.limits
    wanted = await bodies.decode(await bodies.read(request, limits.body, limits.body_seconds), Create)
    here.gate.demand(identity, "owner", wanted.name)
    record = await here.catalog.create(wanted.name, wanted.contract, identity.user, wanted.public)
    logger.info("project made", extra={"project": record.id, "user": identity.user})
    answer = told(await _described(here, record, identity), 201)
    answer.headers["location"] = f"{request.scope.get('root_path', '')}/v1/projects/{record.id}"
    return answer


async def look(request: Request) -> Response:
    here = house(request)
    record, identity, _ = await here.enter(request, "reader")
    return told(await _described(here, record, identity))


async def alter(request: Request) -> Response:
    """Rename, publish. A new name has to be within what the caller owns, like the old one."""
    here = house(request)
    record, identity, _ = await here.enter(request, "owner")
    limits = here.settings.limits
    wanted = await bodies.decode(await bodies.read(request, limits.body, limits.body_seconds), Alter)
    if wanted.name is not UNSET:
        if identity.role(record.id) != "owner":
            here.gate.demand(identity, "owner", wanted.name)
        record = await here.catalog.rename(record.id, wanted.name, identity.user)
    if wanted.public is not UNSET:
        record = await here.catalog.publish(record.id, wanted.public, identity.user)
    here.hall.review(record)
    logger.info("project altered", extra={"project": record.id, "user": identity.user})
    return told(await _described(here, record, identity))


async def delete(request: Request) -> Response:
    here = house(request)
    record, identity, _ = await here.enter(request, "owner")
    gone = NotFound("project", record.id)
    here.dismiss(record.id, gone)
    await here.catalog.delete(record.id, identity.user)
    here.hall.dismiss(record.id, gone)  # who came in the meantime
    logger.info("project deleted", extra={"project": record.id, "user": identity.user})
    return Response(status_code=204)


async def contract(request: Request) -> Response:
    """The contract that the project has, which may be older than the newest one of its name."""
    here = house(request)
    record, _, _ = await here.enter(request, "reader")
    async with here.catalog.hold(record.id) as project:
        return told({"name": record.contract, "hash": project.contract.hash, "document": project.contract.document})


async def mutate(request: Request) -> Response:
    """A push by HTTP: for those without a websocket, and for what is too large for one."""
    here = house(request)
    record, identity, role = await here.enter(request, "reader")
    limits = here.settings.limits
    raw = await bodies.read(request, limits.mutation, limits.body_seconds)
    if len(raw) > bodies.LARGE:
        mutation = await asyncio.to_thread(decode_push, raw, identity.user)
    else:
        mutation = decode_push(raw, identity.user)
    if role == "reader":
        if mutation.id is None:
            here.gate.enter(identity, record, "editor")
        mutation = msgspec.structs.replace(mutation, faulty=FORBIDDEN)
    name = f"{mutation.id[0]}/{mutation.id[1]}" if mutation.id else secrets.token_hex(4)
    try:
        async with here.catalog.hold(record.id) as project:
            outcome = await project.mutate(mutation)
    except ShareliteError as problem:
        here.metrics.mutations.labels(problem.code).inc()
        raise
    answer = outcome.refusal.code if outcome.refusal else outcome.kind
    here.metrics.mutations.labels(answer).inc()
    extra = {"mutation": name, "project": record.id, "user": identity.user, "version": outcome.version}
    logger.info("mutation %s", answer, extra=extra)
    if outcome.refusal is None:
        return told({"version": outcome.version})
    refusal = outcome.refusal
    return faults.plain(refusal.code, refusal.message, refusal.errors, version=outcome.version)


async def _described(here: House, record: ProjectRecord, identity: Identity) -> dict[str, Any]:
    """A project as lists show it. One whose files cannot be read is shown with the problem, not left out."""
    try:
        return _shown(here, record, identity, await here.catalog.look(record.id))
    except Exception as problem:
        logger.warning("project cannot be read: %r", problem, extra={"project": record.id})
        why = f"{type(problem).__name__}: its files cannot be read; the log of the server says more"
        return {**_shown(here, record, identity, None), "problem": why}


def _shown(here: House, record: ProjectRecord, identity: Identity, look: Look | None) -> dict[str, Any]:
    users = here.hall.connected(record.id)
    return {
        "id": record.id,
        "name": record.name,
        "contract": record.contract,
        "public": record.public,
        "created": record.created,
        "by": record.by,
        "role": here.gate.role(identity, record),
        "connections": len(users),
        "users": sorted(set(users)),
        "version": None if look is None else look.version,
        "size": None if look is None else look.size,
        "updated": None if look is None else look.updated,
        "problem": None,
    }
