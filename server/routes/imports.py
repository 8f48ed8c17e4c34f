"""Imports: a file comes in pieces, is read by a process of its own, and becomes a project."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from ..sync.wire import SAFE
from . import bodies
from .answers import told, whole
from .house import house

if TYPE_CHECKING:
    from ..transfer.imports import Import

logger = logging.getLogger(__name__)


class Begin(Struct, forbid_unknown_fields=True):
    """`name`: of the project to be; `size`: bytes of the file."""

    name: str
    size: Annotated[int, Meta(ge=0, lt=SAFE)]
    public: bool = False


class Finish(Struct, forbid_unknown_fields=True):
    """`hash`: SHA-256 of the file, so that what changed on the way is noticed."""

    hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | UnsetType = UNSET


async def begin(request: Request) -> Response:
    here = house(request)
    identity = await here.identity(request)
    limits = here.settings.limits
    wanted = await bodies.decode(await bodies.read(request, limits.body, limits.body_seconds), Begin)
    here.gate.demand(identity, "owner", wanted.name)
    made = await here.imports.begin(wanted.name, wanted.size, identity.user, wanted.public)
    logger.info("import begun", extra={"import": made.id, "user": identity.user})
    answer = told(_shown(made, limits.piece), 201)
    answer.headers["location"] = f"{request.scope.get('root_path', '')}/v1/imports/{made.id}"
    return answer


async def listed(request: Request) -> Response:
    """Those of the caller: what was interrupted goes on."""
    here = house(request)
    identity = await here.identity(request)
    here.gate.known(identity)
    piece = here.settings.limits.piece
    return told({"imports": [_shown(found, piece) for found in here.imports.list(identity.user)]})


async def look(request: Request) -> Response:
    """How far it is."""
    here = house(request)
    identity = await here.identity(request)
    here.gate.known(identity)
    found = here.imports.look(request.path_params["import_id"], identity.user)
    return told(_shown(found, here.settings.limits.piece))


async def put(request: Request) -> Response:
    """The next piece. One that came already, or too early, is a conflict: `GET` tells where to go on."""
    here = house(request)
    identity = await here.identity(request)
    here.gate.known(identity)
    name, limits = request.path_params["import_id"], here.settings.limits
    here.imports.look(name, identity.user)
    offset = whole(request, "offset", 0, SAFE - 1)
    piece = await bodies.octets(request, limits.piece, limits.body_seconds)
    return told(_shown(await here.imports.take(name, identity.user, offset, piece), limits.piece))


async def finish(request: Request) -> Response:
    """Everything has come."""
    here = house(request)
    identity = await here.identity(request)
    here.gate.known(identity)
    name, limits = request.path_params["import_id"], here.settings.limits
    here.gate.demand(identity, "owner", here.imports.look(name, identity.user).name)
    wanted = await bodies.decode(await bodies.read(request, limits.body, limits.body_seconds), Finish)
    digest = None if wanted.hash is UNSET else wanted.hash
    return told(_shown(await here.imports.finish(name, identity.user, digest), limits.piece), 202)


async def abandon(request: Request) -> Response:
    here = house(request)
    identity = await here.identity(request)
    here.gate.known(identity)
    await here.imports.abandon(request.path_params["import_id"], identity.user)
    return Response(status_code=204)


def _shown(found: Import, piece: int) -> dict[str, Any]:
    progress = found.progress
    return {
        "id": found.id,
        "name": found.name,
        "size": found.size,
        "received": found.received,
        "piece": piece,
        "state": found.state,
        "progress": None if progress is None else dict(zip(("phase", "done", "of"), progress, strict=True)),
        "project": found.project if found.state == "ready" else None,
        "problem": found.problem,
        "report": found.report,
    }
