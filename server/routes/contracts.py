"""Named contracts: list, read, put, migrate the projects that follow them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ..sync.wire import SAFE
from . import bodies
from .answers import told, whole
from .house import house

if TYPE_CHECKING:
    from ..records import ContractRecord
    from ..upgrades import Migrated

logger = logging.getLogger(__name__)


class Migrate(Struct, forbid_unknown_fields=True):
    """`projects`: ids of projects that follow the contract. A dry run only says what would be done."""

    projects: list[str] | Literal["all"]
    dry_run: bool = True
    allow_destructive: bool = False


async def listed(request: Request) -> Response:
    """The newest version of each."""
    here = house(request)
    here.gate.known(await here.identity(request))
    return told({"contracts": [_shown(record) for record in here.catalog.contracts()]})


async def look(request: Request) -> Response:
    here = house(request)
    here.gate.known(await here.identity(request))
    version = whole(request, "version", 0, SAFE - 1)
    record = here.catalog.contract(request.path_params["name"], version or None)
    return told({**_shown(record), "document": record.document})


async def put(request: Request) -> Response:
    """A document as the next version of its name; the same one again changes nothing."""
    here = house(request)
    identity = await here.identity(request)
    here.gate.demand(identity, "owner")
    limits = here.settings.limits
    raw = await bodies.read(request, limits.body, limits.body_seconds)
    document = await bodies.decode(raw, dict[str, Any])
    name = request.path_params["name"]
    before = {record.hash for record in here.catalog.contracts() if record.name == name}
    record = await here.catalog.put_contract(name, document, identity.user)
    logger.info("contract put", extra={"contract": name, "version": record.version, "user": identity.user})
    return told(_shown(record), 200 if record.hash in before else 201)


async def migrate(request: Request) -> Response:
    """Bring projects to the newest version of their contract, or say what that would do."""
    here = house(request)
    identity = await here.identity(request)
    here.gate.demand(identity, "owner")
    limits = here.settings.limits
    wanted = await bodies.decode(await bodies.read(request, limits.body, limits.body_seconds), Migrate)
    chosen = None if wanted.projects == "all" else list(wanted.projects)
    done = await here.catalog.migrate(
        request.path_params["name"],
        identity.user,
        chosen,
        dry_run=wanted.dry_run,
        destructive=wanted.allow_destructive,
    )
    return told({"projects": [_migrated(each) for each in done]})


def _shown(record: ContractRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "version": record.version,
        "hash": record.hash,
        "created": record.created,
        "by": record.by,
    }


def _migrated(done: Migrated) -> dict[str, Any]:
    report = done.report
    return {
        "id": done.record.id,
        "name": done.record.name,
        "kind": report.kind if report else None,
        "steps": report.steps if report else [],
        "reasons": report.reasons if report else [],
        "version": report.version if report else None,
        "problem": done.problem,
    }
