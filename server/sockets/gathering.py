"""Those connected to one project, and when all of them are served next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from ..errors import ShareliteError
from ..metrics import Metrics
from ..sync.audience import Audience, Outward, Pacing
from ..sync.session import Session

if TYPE_CHECKING:
    from ..project import Project
    from .connection import Connection

#: A pause shorter than the timers of the loop can measure is none.
NO_PAUSE = 0.001


class Replaced(ShareliteError):
    """The same client came again; its older socket is most likely dead."""

    code = "replaced"

    def __str__(self) -> str:
        return "this client has connected again on another socket"


class ForeignClient(ShareliteError):
    code = "foreign_client"

    def __str__(self) -> str:
        return "somebody else is connected with this client id; make a new one"


class Gathering:
    """Those connected to one project, and when all of them are served next."""

    def __init__(self, project: Project, metrics: Metrics, outward: Outward | None = None) -> None:
        self.project = project
        self.audience = Audience(outward)
        self.connections: set[Connection] = set()
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._pacing = Pacing()
        self._subscription = project.feed.subscribe(self.stir)
        self._scheduled = False
        self._passing = False
        self._started = 0.0
        self._contract: tuple[str, Raw] = ("", Raw())

    def contract(self) -> Raw:
        """The contract's JSON, encoded once."""
        contract = self.project.contract
        if self._contract[0] != contract.hash:
            self._contract = (contract.hash, Raw(msgspec.json.encode(contract.document)))
        return self._contract[1]

    def enter(self, connection: Connection, user: str) -> None:
        session = connection.session
        older = self.audience.at(session.client)
        if isinstance(older, Session) and older is not session:
            if older.user != user:
                raise ForeignClient
            older.goodbye(Replaced())
            self.stir()
        self.audience.enter(session)
        self.connections.add(connection)

    def leave(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if self.audience.leave(connection.session):
            self.stir()

    def close(self) -> None:
        self._subscription.close()

    def stir(self) -> None:
        """There is news: serve everybody, at once or when the pause after the last pass is over."""
        if self._scheduled:
            return
        self._scheduled = True
        if self._passing:
            return
        wait = self._pacing.wait(self._loop.time())
        if wait < NO_PAUSE:
            self._loop.call_soon(self._pass)
        else:
            self._loop.call_later(wait, self._pass)

    def _pass(self) -> None:
        """Wake every sender; they run next, in this order, and `_passed` behind them."""
        self._scheduled, self._passing = False, True
        self._started = self._loop.time()
        for connection in self.connections:
            connection.wake()
        self._loop.call_soon(self._passed)

    def _passed(self) -> None:
        now = self._loop.time()
        self._pacing.passed(self._started, now)
        self._metrics.passes.observe(now - self._started)
        self._passing = False
        if self._scheduled:
            self._scheduled = False
            self.stir()
