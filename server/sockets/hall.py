"""All websockets of a server: from the handshake to the goodbye, and the clock that none of them has for itself."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Protocol

import msgspec
from starlette.websockets import WebSocket

from ..auth import NOBODY, Gate, Identity
from ..config import Settings
from ..errors import Damaged, RateLimited, ShareliteError
from ..metrics import Metrics
from ..model import Outcome
from ..storage.signatures import Signer
from ..sync.actions import Admit
from ..sync.audience import Outward
from .connection import Connection
from .gathering import ForeignClient, Gathering

if TYPE_CHECKING:
    from ..catalog import Catalog
    from ..project import Project
    from ..records import ProjectRecord

logger = logging.getLogger(__name__)
FAREWELL_SECONDS = 3.0


class Halls(Protocol):
    """The other nodes of a cell, whose clients see ours and are seen by them."""

    def outward(self, project: str) -> Outward:
        """For a project that somebody has entered here. Asks the others who is there."""


class Hall:
    """All websockets of a server."""

    def __init__(
        self,
        catalog: Catalog,
        gate: Gate,
        settings: Settings,
        metrics: Metrics,
        signer: Signer,
        halls: Halls | None = None,
    ) -> None:
        """`halls`: those of the other nodes in a cell."""
        self._halls = halls
        self.catalog, self.gate, self.settings, self.metrics = catalog, gate, settings, metrics
        self._signer = signer
        self._gatherings: dict[str, Gathering] = {}
        self._connections: set[Connection] = set()
        self._users: dict[str, int] = {}
        self._clock: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._clock = asyncio.create_task(self._tick())

    async def live(self, websocket: WebSocket) -> None:
        """One websocket from the handshake to its end."""
        await websocket.accept()
        connection = Connection(self, websocket, websocket.path_params["project"])
        self._connections.add(connection)
        self.metrics.sockets.inc()
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            self.metrics.sockets.dec()

    async def image(self, record: ProjectRecord, root: str) -> bytes:
        """The newest image of a project as JSON; `null` where there is none, or none that can be read."""
        images = self.catalog.gallery.of(record.id)
        try:
            image = images.newest() if images.at_hand else await asyncio.to_thread(images.newest)
        except Damaged:
            image = None
        public = self.gate.role(NOBODY, record) is not None
        return msgspec.json.encode(image and self._signer.described(image, public, time.time(), root))

    def connected(self, project: str) -> list[str]:
        """The users on a project, one for each socket."""
        gathering = self._gatherings.get(project)
        return sorted(connection.user for connection in gathering.connections) if gathering else []

    def enter(self, connection: Connection, project: Project, identity: Identity) -> Gathering:
        """A place for a connection among those on its project. Raises RateLimited, ForeignClient."""
        limits, user = self.settings.limits, identity.user
        gathering = self._gatherings.get(project.id)
        if gathering is not None and gathering.project is not project:
            self._forget(gathering)  # those on it were sent away when the project stopped, and are slow to leave
            gathering = None
        if gathering is None:
            outward = None if self._halls is None else self._halls.outward(project.id)
            gathering = self._gatherings[project.id] = Gathering(project, self.metrics, outward)
            self.metrics.watched.inc()
        if self._users.get(user, 0) >= limits.sockets_of_user or len(gathering.connections) >= limits.sockets:
            self._close_if_empty(gathering)
            raise RateLimited("sockets", 30.0)
        try:
            gathering.enter(connection, user)
        except ForeignClient:
            self._close_if_empty(gathering)
            raise
        connection.user = user
        self._users[user] = self._users.get(user, 0) + 1
        return gathering

    def leave(self, connection: Connection, gathering: Gathering) -> None:
        gathering.leave(connection)
        user = connection.user
        self._users[user] -= 1
        if not self._users[user]:
            del self._users[user]
        self._close_if_empty(gathering)

    def gathering(self, project: str) -> Gathering | None:
        """Those on a project, if anybody is."""
        return self._gatherings.get(project)

    def gatherings(self) -> list[Gathering]:
        return list(self._gatherings.values())

    def review(self, record: ProjectRecord) -> None:
        """Look again at what those on a project may do, because it was renamed or published."""
        gathering = self._gatherings.get(record.id)
        for connection in list(gathering.connections) if gathering else ():
            connection.review(record)

    def dismiss(self, project: str, problem: ShareliteError) -> None:
        """Send everybody on a project away, because it is deleted or cannot be served."""
        gathering = self._gatherings.get(project)
        for connection in list(gathering.connections) if gathering else ():
            connection.session.goodbye(problem)
            connection.wake()

    async def stop(self) -> None:
        """Say goodbye to everybody, wait a little until they are gone, drop the rest."""
        if self._clock is not None:
            self._clock.cancel()
            await asyncio.wait([self._clock])
            self._clock = None
        for connection in self._connections:
            # Not all of them shall come back in the same moment.
            connection.session.farewell(round(self.settings.retry_after * random.uniform(0.5, 1.5), 2))
            connection.wake()
        deadline = asyncio.get_running_loop().time() + FAREWELL_SECONDS
        while running := [each.task for each in self._connections if each.task is not None]:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await asyncio.wait(running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for connection in list(self._connections):
            connection.drop()

    def count(self, admit: Admit, answer: Outcome | ShareliteError) -> None:
        """Count an answer; a refusal is worth a line, at a level that does not pay for thousands of commits."""
        if isinstance(answer, Outcome) and answer.refusal is None:
            (self.metrics.committed if answer.kind == "committed" else self.metrics.settled).inc()
            return
        refusal = answer.refusal if isinstance(answer, Outcome) else answer
        assert refusal is not None
        code = refusal.code
        self.metrics.mutations.labels(code).inc()
        level = logging.INFO if isinstance(answer, Outcome) else logging.DEBUG
        logger.log(level, "mutation refused", extra={"mutation": f"{admit.id[0]}/{admit.id[1]}", "code": code})

    def _close_if_empty(self, gathering: Gathering) -> None:
        if not gathering.connections and self._gatherings.get(gathering.project.id) is gathering:
            self._forget(gathering)

    def _forget(self, gathering: Gathering) -> None:
        del self._gatherings[gathering.project.id]
        gathering.close()
        self.metrics.watched.dec()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            now = loop.time()
            for connection in list(self._connections):
                connection.tick(now)
