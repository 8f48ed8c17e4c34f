"""One websocket: a task that receives, a task that sends, and the session between them.

The sender holds only its session's cursor, so nobody waits for a slow one; a push costs no task.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Raw
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..auth import Identity
from ..errors import CursorGone, NotFound, ShareliteError, Unauthenticated, UnknownOutcome
from ..model import Outcome
from ..sync.actions import Admit, Authenticate, Close, Greeting, News, ReadLog
from ..sync.session import Session
from ..tokens import LEEWAY

if TYPE_CHECKING:
    from ..project import Project
    from ..records import ProjectRecord
    from .gathering import Gathering
    from .hall import Hall

logger = logging.getLogger(__name__)


class CannotOpen(ShareliteError):
    def __str__(self) -> str:
        return "the server could not open the project; its log says why"


class Connection:
    """One socket with its session."""

    def __init__(self, hall: Hall, websocket: WebSocket, project: str) -> None:
        self._loop = asyncio.get_running_loop()
        self.session = Session(hall.settings.limits, self._loop.time())
        self.user = ""
        self._identity: Identity | None = None
        self.task: asyncio.Task[object] | None = None
        self._hall, self._websocket, self._id = hall, websocket, project
        self._project: Project | None = None
        #: Keeps the project open, from the greeting to the end.
        self._held = AsyncExitStack()
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
            await self._held.aclose()

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

    def review(self, record: ProjectRecord) -> None:
        """The project has another name, or is public no more: the role may be another one, or none."""
        assert self._identity is not None, "who is on a project has said hello"
        try:
            self.session.role = self._hall.gate.enter(self._identity, record, "reader")
        except ShareliteError as problem:
            self.session.goodbye(problem)
            self.wake()

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
            role = await self._role(identity)
            self._identity = identity
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

    async def _role(self, identity: Identity) -> str:
        try:
            record = await self._hall.catalog.find(self._id)
        except NotFound:
            raise Unauthenticated if identity.anonymous else NotFound("project", self._id) from None
        return self._hall.gate.enter(identity, record, "reader")

    async def _greet(self, identity: Identity, role: str, expires: float | None) -> None:
        if self._project is None:
            self._project = await self._held.enter_async_context(self._hall.catalog.hold(self._id))
        project = self._project
        await self._hall.catalog.greet(project)
        await project.abreast(self.session.asked_cursor)
        root = self._websocket.scope.get("root_path", "")
        image = await self._hall.image(self._hall.catalog.record(self._id), root)
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
                image=Raw(image),
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
                await self._send(item)
            elif type(item) is ReadLog:
                await self._read_log(item.after)
            elif type(item) is Close:
                self._hall.metrics.goodbyes.labels(item.reason).inc()
                await websocket.close(item.code, item.reason)
                return

    async def _send(self, text: str) -> None:
        """Raises WebSocketDisconnect, also where the server below has just begun to close by itself."""
        self._sending_since = self._loop.time()
        try:
            await self._websocket.send({"type": "websocket.send", "text": text})
        except RuntimeError as closing:
            raise WebSocketDisconnect(1006) from closing
        self._sending_since = 0.0

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
