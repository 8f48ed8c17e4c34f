"""What every route stands on, and the questions that all of them ask first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import Request

from ..auth import Gate, Identity, Role
from ..config import Settings
from ..errors import NotFound, Unauthenticated, Unavailable
from ..metrics import Metrics
from ..sockets.hall import Hall

if TYPE_CHECKING:
    from ..catalog import Catalog
    from ..project import Project
    from ..records import ProjectRecord


class House:
    """One running server."""

    def __init__(self, catalog: Catalog, gate: Gate, hall: Hall, settings: Settings, metrics: Metrics) -> None:
        self.catalog, self.gate, self.hall, self.settings, self.metrics = catalog, gate, hall, settings, metrics
        self.stopping = False
        #: What answers without an end wait for; set as well when they are to end.
        self.waiting: set[asyncio.Event] = set()

    def stop(self) -> None:
        """Let endless answers end."""
        self.stopping = True
        for event in self.waiting:
            event.set()

    async def identity(self, request: Request) -> Identity:
        """Who asks, by the bearer token in the header and by nothing else. Raises Unauthenticated."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme and (scheme.lower() != "bearer" or not token):
            raise Unauthenticated
        return await self.gate.identify(token.strip() or None, request)

    async def enter(self, request: Request, needed: Role) -> tuple[ProjectRecord, Identity, Role]:
        """The project of the address, for somebody who has the role there. One that is not there and one that he may
        not see are the same to him."""
        identity = await self.identity(request)
        project = request.path_params["project"]
        try:
            record = self.catalog.record(project)
        except NotFound:
            raise Unauthenticated if identity.anonymous else NotFound("project", project[:64]) from None
        return record, identity, self.gate.enter(identity, record, needed)

    async def project(self, request: Request, needed: Role) -> Project:
        record, _, _ = await self.enter(request, needed)
        return await self.catalog.open(record.id)


def house(request: Request) -> House:
    """The server that this request came to. Raises Unavailable while it is not running."""
    found: House | None = getattr(request.app.state, "house", None)
    if found is None:
        raise Unavailable("the server is starting or stopping")
    return found
