"""What every route stands on, and the questions that all of them ask first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import Request

from ..auth import Gate, Identity, Role
from ..config import Settings
from ..errors import BadRequest, NotFound, ShareliteError, Unauthenticated, Unavailable
from ..metrics import Metrics
from ..sockets.desk import Desks
from ..sockets.hall import Hall
from ..storage.signatures import Signer
from ..transactions import Transactions

if TYPE_CHECKING:
    from ..catalog import Catalog
    from ..cellnode import CellNode
    from ..records import ProjectRecord
    from ..transfer.exports import Exports
    from ..transfer.imports import Imports

#: In the scope of a request that another node of the cell handed on; no client can put anything there.
IDENTITY = "sharelite.identity"
#: How a read may be asked for, by query or header (design: Promises).
LEAST_SECONDS = 5.0
LEVELS = ("any", "session", "linearizable", "strict")


class House:
    """One running server. `node`: its part in a cell; None: it is alone.

    What carries files in and out is brought by whoever builds it, before its door opens.
    """

    imports: Imports
    exports: Exports

    def __init__(
        self,
        catalog: Catalog,
        gate: Gate,
        hall: Hall,
        settings: Settings,
        metrics: Metrics,
        signer: Signer,
        node: CellNode | None = None,
    ) -> None:
        self.node = node
        self.catalog, self.gate, self.hall, self.settings, self.metrics = catalog, gate, hall, settings, metrics
        self.transactions = Transactions()
        self.desks = Desks(catalog, gate, settings, metrics, node)
        self.gallery, self.signer = catalog.gallery, signer
        self.stopping = False
        #: What answers without an end wait for; set as well when they are to end.
        self.waiting: set[asyncio.Event] = set()

    def stop(self) -> None:
        """Let endless answers end."""
        self.stopping = True
        self.stir()

    def stir(self) -> None:
        """Have endless answers look again whether they may go on."""
        for event in self.waiting:
            event.set()

    def stopped(self, project: str, problem: ShareliteError) -> None:
        """A project takes nothing more until it has been opened anew."""
        self.metrics.stopped.inc()
        self.dismiss(project, problem)

    def dismiss(self, project: str, problem: ShareliteError) -> None:
        """Send away whoever is on a project that cannot be served now, or not any more."""
        self.hall.dismiss(project, problem)
        self.stir()

    async def identity(self, request: Request) -> Identity:
        """Who asks, by the bearer token in the header and by nothing else; or, of a request that came from another
        node, whom that node let in. Raises Unauthenticated."""
        if IDENTITY in request.scope:
            known: Identity = request.scope[IDENTITY]
            return known
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme and (scheme.lower() != "bearer" or not token):
            raise Unauthenticated
        return await self.gate.identify(token.strip() or None, request)

    async def enter(self, request: Request, needed: Role) -> tuple[ProjectRecord, Identity, Role]:
        """The project of the address, for somebody who has the role there. One that is not there and one that he may
        not see are the same to him."""
        identity = await self.identity(request)
        project = request.path_params["project"]
        index = await self._proven(request)
        try:
            record = await self.catalog.find(project)
        except NotFound:
            raise Unauthenticated if identity.anonymous else NotFound("project", project[:64]) from None
        role = self.gate.enter(identity, record, needed)
        await self._fresh(request, record.id, index)
        return record, identity, role

    async def _proven(self, request: Request) -> int | None:
        """For a read that has to show everything that anybody was told: the record of the cell behind which that is,
        and the catalog as of then. Raises BadRequest, Unavailable where this node cannot prove it."""
        level = request.query_params.get("level") or request.headers.get("sharelite-level") or "any"
        if level not in LEVELS:
            raise BadRequest(f"level: needs one of {', '.join(LEVELS)}")
        if self.node is None or level not in ("linearizable", "strict"):
            return None
        return await self.node.proven(level == "strict")

    async def _fresh(self, request: Request, project: str, index: int | None) -> None:
        """Wait until a project is as fresh as was asked for. Raises BadRequest, Unavailable."""
        if index is not None and self.node is not None:
            await self.node.level(project, index)
        least = request.query_params.get("at_least") or request.headers.get("sharelite-at-least")
        if least is not None:
            if not (least.isascii() and least.isdecimal() and len(least) <= 16):
                raise BadRequest("at_least: needs a version")
            try:
                async with asyncio.timeout(LEAST_SECONDS), self.catalog.hold(project) as opened:
                    await opened.reach(int(least))
            except TimeoutError:
                raise Unavailable(f"this node has not reached version {least}") from None


def house(request: Request) -> House:
    """The server that this request came to. Raises Unavailable while it is not running."""
    found: House | None = getattr(request.app.state, "house", None)
    if found is None:
        raise Unavailable("the server is starting or stopping")
    return found
