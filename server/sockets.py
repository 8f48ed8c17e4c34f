"""Websockets: the thin shell around sessions, and who is connected to which project.

Each socket has a receiving and a sending task. The sender holds only its session's cursor, so nobody waits for a slow
one; a push costs no task. All of it on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw
from starlette.websockets import WebSocket, WebSocketDisconnect

from .auth import Gate, Identity
from .config import Settings
from .errors import CursorGone, NotFound, RateLimited, ShareliteError, Unauthenticated, UnknownOutcome
from .metrics import Metrics
from .model import Outcome
from .sync.actions import Admit, Authenticate, Close, Greeting, News, ReadLog
from .sync.audience import Audience, Pacing
from .sync.session import Session
from .tokens import LEEWAY

if TYPE_CHECKING:
    from .catalog import Catalog
    from .project import Project

logger = logging.getLogger(__name__)
#: A pause shorter than the timers of the loop can measure is none.
NO_PAUSE = 0.001
FAREWELL_SECONDS = 3.0


class Replaced(ShareliteError):
    """The same client came again; its older socket is most likely dead."""

    code = "replaced"

    def __str__(self) -> str:
        return "this client has connected again on another socket"


class ForeignClient(ShareliteError):
    code = "foreign_client"

    def __str__(self) -> str:
        return "somebody else is connected with this client id; make a new one"


class CannotOpen(ShareliteError):
    def __str__(self) -> str:
        return "the server could not open the project; its log says why"


class Hall:
    """All websockets of a server."""

    def __init__(self, catalog: Catalog, gate: Gate, settings: Settings, metrics: Metrics) -> None:
        self.catalog, self.gate, self.settings, self.metrics = catalog, gate, settings, metrics
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

    def connected(self, project: str) -> list[str]:
        """The users on a project, one for each socket."""
        gathering = self._gatherings.get(project)
        return sorted(connection.user for connection in gathering.connections) if gathering else []

    def enter(self, connection: Connection, project: Project, identity: Identity) -> Gathering:
        """A place for a connection among those on its project. Raises RateLimited, ForeignClient."""
        limits, user = self.settings.limits, identity.user
        gathering = self._gatherings.get(project.id)
        if gathering is None:
            gathering = self._gatherings[project.id] = Gathering(project, self.metrics)
            self.metrics.watched.inc()
        if self._users.get(user, 0) >= limits.sockets_of_user or len(gathering.connections) >= limits.sockets:
            self._close_if_empty(gathering)
            raise RateLimited("sockets", 30.0)
        gathering.enter(connection, user)
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


class Gathering:
    """Those connected to one project, and when all of them are served next."""

    def __init__(self, project: Project, metrics: Metrics) -> None:
        self.project = project
        self.audience = Audience()
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


class Connection:
    """One socket with its session."""

    def __init__(self, hall: Hall, websocket: WebSocket, project: str) -> None:
        self._loop = asyncio.get_running_loop()
        self.session = Session(hall.settings.limits, self._loop.time())
        self.user = ""
        self.task: asyncio.Task[object] | None = None
        self._hall, self._websocket, self._id = hall, websocket, project
        self._project: Project | None = None
        self._gathering: Gathering | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._sending_since = 0.0
        self._dropped = False

    async def run(self) -> None:
        self.task = asyncio.current_task()
        sender = asyncio.create_task(self._send_all())
        sender.add_done_callback(self._sender_ended)
        try:
            await self._receive_all()
        except asyncio.CancelledError:
            if not self._dropped:
                raise
        finally:
            self.session.closed()
            sender.cancel()
            if self._gathering is not None:
                self._hall.leave(self, self._gathering)

    def wake(self) -> None:
        """Let the sender look what there is to send."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def tick(self, now: float) -> None:
        self.session.tick(now)
        if self.session.state == "closing":
            self.wake()
        if self._sending_since and now - self._sending_since > self._hall.settings.limits.slow_seconds:
            self._hall.metrics.goodbyes.labels("slow").inc()
            self.drop()

    def drop(self) -> None:
        """End it without a word: the client does not read."""
        if self.task is not None and not self._dropped:
            self._dropped = True
            self.task.cancel()

    async def _receive_all(self) -> None:
        websocket, session, time_ = self._websocket, self.session, self._loop.time
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                session.receive_bytes()
                self.wake()
                continue
            action = session.receive(text, time_())
            if type(action) is Admit:
                self._admit(action)
                if session.full:
                    await self._room_again()
            elif type(action) is Authenticate:
                await self._authenticate(action.token)
                self.wake()
            elif type(action) is News and self._gathering is not None:
                self._gathering.stir()
            else:
                self.wake()

    def _admit(self, admit: Admit) -> None:
        assert self._project is not None
        try:
            future = self._project.submit(admit.mutation)
        except ShareliteError as problem:
            self._tell(admit, problem)
        else:
            future.add_done_callback(partial(self._answered, admit))

    def _answered(self, admit: Admit, future: asyncio.Future[Outcome]) -> None:
        problem = None if future.cancelled() else future.exception()
        if future.cancelled() or (problem is not None and not isinstance(problem, ShareliteError)):
            logger.error("mutation without outcome", exc_info=problem, extra={"mutation": admit.id})
            problem = UnknownOutcome()
        self._tell(admit, future.result() if problem is None else problem)

    def _tell(self, admit: Admit, answer: Outcome | ShareliteError) -> None:
        self._hall.count(admit, answer)
        if self.session.answer(admit.id, admit.seen, answer):
            self.wake()
        if self._room is not None and not self._room.done() and not self.session.full:
            self._room.set_result(None)

    async def _room_again(self) -> None:
        self._room = self._loop.create_future()
        await self._room
        self._room = None

    async def _authenticate(self, token: str | None) -> None:
        """Find out who it is, and let him in, renew his stay or send him away."""
        hall, session = self._hall, self.session
        try:
            identity = await hall.gate.identify(token, self._websocket)
            role = self._role(identity)
            expires = None
            if identity.expires is not None:
                expires = self._loop.time() + identity.expires + LEEWAY - time.time()
            if session.state == "live":
                session.renew(identity.user, role, expires)
            else:
                await self._greet(identity, role, expires)
        except ShareliteError as problem:
            session.goodbye(problem)
        except Exception:
            logger.exception("greeting failed", extra={"project": self._id})
            session.goodbye(CannotOpen())

    def _role(self, identity: Identity) -> str:
        try:
            record = self._hall.catalog.record(self._id)
        except NotFound:
            raise Unauthenticated if identity.anonymous else NotFound("project", self._id) from None
        return self._hall.gate.enter(identity, record, "reader")

    async def _greet(self, identity: Identity, role: str, expires: float | None) -> None:
        self._project = project = await self._hall.catalog.greet(self._id)
        if self._gathering is None:
            self._gathering = self._hall.enter(self, project, identity)
        self.session.greet(
            Greeting(
                project=project.id,
                epoch=project.epoch,
                contract=self._gathering.contract(),
                contract_hash=project.contract.hash,
                feed=project.feed,
                audience=self._gathering.audience,
                user=identity.user,
                role=role,
                expires=expires,
            )
        )
        self._gathering.stir()

    async def _send_all(self) -> None:
        """Send whatever the session has, as fast as the socket takes it."""
        websocket, take = self._websocket, self.session.take
        while True:
            item = take()
            if item is None:
                self._waiter = self._loop.create_future()
                await self._waiter
            elif type(item) is str:
                self._sending_since = self._loop.time()
                await websocket.send({"type": "websocket.send", "text": item})
                self._sending_since = 0.0
            elif type(item) is ReadLog:
                await self._read_log(item.after)
            elif type(item) is Close:
                self._hall.metrics.goodbyes.labels(item.reason).inc()
                await websocket.close(item.code, item.reason)
                return

    async def _read_log(self, after: int) -> None:
        assert self._project is not None
        try:
            commits = await self._project.commits(after, self._hall.settings.limits.commits)
            self.session.log_read(commits)
        except CursorGone as gone:
            self.session.lost(gone)
        except ShareliteError as problem:
            self.session.goodbye(problem)

    def _sender_ended(self, sender: asyncio.Task[None]) -> None:
        """Without a sender the socket is of no use. A disconnected peer is no fault; anything else is ours."""
        problem = None if sender.cancelled() else sender.exception()
        if problem is not None:
            if not isinstance(problem, WebSocketDisconnect):
                logger.error("sending failed", exc_info=problem, extra={"project": self._id})
            self.drop()
