"""SQL over a websocket, for drivers: one request after the other, at most one transaction, which ends with the socket.

The shapes are those of SPEC Q. A request is answered before the next one is looked at.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from starlette.websockets import WebSocket, WebSocketDisconnect

from .. import statements
from ..auth import RANK, Gate, Identity
from ..config import Settings
from ..errors import BadRequest, Forbidden, NotFound, RateLimited, ShareliteError, Unauthenticated
from ..metrics import Metrics
from ..sql import reading, requests
from ..sql.lease import WRITING, LeaseExpired
from ..sync.actions import close_code
from ..tokens import LEEWAY
from ..transactions import Transaction, repeat
from .afar import Afar, Leader, Refusal

if TYPE_CHECKING:
    from ..catalog import Catalog
    from ..cellnode import CellNode
    from ..project import Project

logger = logging.getLogger(__name__)
#: Requests that are read ahead of the one that is answered.
AHEAD = 16
#: Characters of a request beyond which reading it would keep the event loop from others.
LARGE = 64 << 10
MOST_PREPARED = 1000
GOING_DOWN = "the server is going down"


class _Message(Struct):
    """What all messages have, and the members of the short ones."""

    type: str
    n: int = 0
    protocol: int = 0
    token: str | None = None
    mode: requests.Mode = "deferred"
    id: Any = None
    tag: str | None = None
    sql: str = ""
    prepared: int = 0
    transaction: str | None = None
    #: What whoever begins or prepares has seen, here or elsewhere.
    version: int = 0


_decode = msgspec.json.Decoder(_Message).decode


class Desks:
    """All of these websockets of a server."""

    def __init__(
        self, catalog: Catalog, gate: Gate, settings: Settings, metrics: Metrics, node: CellNode | None = None
    ) -> None:
        self.catalog, self.gate, self.settings, self.metrics = catalog, gate, settings, metrics
        #: Its part in a cell; None: it is alone.
        self.node = node
        self._open: set[Desk] = set()
        self._users: dict[str, int] = {}

    async def serve(self, websocket: WebSocket) -> None:
        """One websocket from the handshake to its end."""
        await websocket.accept()
        desk = Desk(self, websocket, websocket.path_params["project"])
        self._open.add(desk)
        try:
            await desk.run()
        finally:
            self._open.discard(desk)

    def enter(self, user: str) -> None:
        """Raises RateLimited where the user has too many."""
        if self._users.get(user, 0) >= self.settings.limits.sockets_of_user:
            raise RateLimited("sockets", 30.0)
        self._users[user] = self._users.get(user, 0) + 1

    def leave(self, user: str) -> None:
        self._users[user] -= 1
        if not self._users[user]:
            del self._users[user]

    async def stop(self) -> None:
        """Roll back what is open, and close every socket."""
        await asyncio.gather(*[desk.leave() for desk in list(self._open)], return_exceptions=True)


class Desk:
    """One websocket."""

    def __init__(self, desks: Desks, websocket: WebSocket, project: str) -> None:
        self._desks, self._websocket, self._id = desks, websocket, project
        self._coming: asyncio.Queue[str | None] = asyncio.Queue(AHEAD)
        self._identity: Identity | None = None
        self._transaction: Transaction | Afar | None = None
        self._prepared: dict[int, str] = {}
        self._number = 0
        #: Keeps the project open, until the end or until it has stopped.
        self._held = AsyncExitStack()
        self._opened: Project | None = None

    async def run(self) -> None:
        tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._work())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._abandon("its connection has ended")
            if self._identity is not None:
                self._desks.leave(self._identity.user)
            await self._held.aclose()

    async def leave(self) -> None:
        """The server goes down."""
        await self._abandon(GOING_DOWN)
        await self._close(1012, "restart")

    async def _receive(self) -> None:
        """Read ahead, so that a socket that ends ends what runs for it."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            await self._coming.put(message.get("text"))

    async def _work(self) -> None:
        try:
            await self._greet(await self._first())
            while True:
                await self._answer(await self._next())
        except ShareliteError as problem:
            await self._goodbye(problem)
        except (WebSocketDisconnect, RuntimeError, TimeoutError):
            return  # gone, or it does not read
        except Exception:
            logger.exception("a websocket of SQL failed", extra={"project": self._id})
            await self._close(1011, "internal")

    async def _first(self) -> str:
        seconds = self._desks.settings.limits.hello_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._next()
        except TimeoutError:
            raise BadRequest(f"hello has to come within {seconds:g} s") from None

    async def _next(self) -> str:
        text = await self._coming.get()
        if text is None:
            raise BadRequest("messages are text")
        return text

    async def _greet(self, text: str) -> None:
        hello = _read(text)
        if hello.type != "hello" or hello.protocol != 1:
            raise BadRequest('the first message is {"type": "hello", "protocol": 1, ...}')
        identity = await self._desks.gate.identify(hello.token, self._websocket)
        self._desks.enter(identity.user)
        self._identity = identity
        with suppress(NotFound):  # then _role says so
            await self._desks.catalog.find(self._id)
        role = self._role("reader")
        project = await self._project()
        limits = {"idle": WRITING.idle, "total": WRITING.total, "message": self._desks.settings.limits.frame}
        await self._say(
            "welcome", protocol=1, project=self._id, name=self._desks.catalog.record(self._id).name,
            version=project.version, epoch=project.epoch, user=identity.user, role=role, limits=limits,
        )  # fmt: skip

    def _role(self, needed: Any) -> str:
        """The role at this moment: tokens expire, projects are renamed and deleted. Raises what is in the way."""
        assert self._identity is not None, "who is here has said hello"
        if self._identity.expires is not None and time.time() > self._identity.expires + LEEWAY:
            raise Unauthenticated
        try:
            record = self._desks.catalog.record(self._id)
        except NotFound:
            raise Unauthenticated if self._identity.anonymous else NotFound("project", self._id) from None
        role = self._desks.gate.enter(self._identity, record, "reader")
        if RANK[role] < RANK[needed]:
            raise Forbidden(needed, role)
        return role

    async def _project(self) -> Project:
        if self._opened is None or self._opened.trouble is not None:
            await self._held.aclose()
            self._opened = None
            self._opened = await self._held.enter_async_context(self._desks.catalog.hold(self._id))
        return self._opened

    async def _answer(self, text: str) -> None:
        message = _read(text)
        self._role("reader")
        try:
            await self._do(message, text)
        except Refusal as refusal:
            await self._say("error", n=message.n, **refusal.said)
        except statements.Judged as judged:
            await self._refuse(message.n, judged, version=judged.version)
        except ShareliteError as problem:
            await self._refuse(message.n, problem)

    async def _do(self, message: _Message, text: str) -> None:
        match message.type:
            case "sql":
                await self._sql(message, await self._request(text), text)
            case "prepare":
                await self._prepare(message)
            case "forget":
                self._prepared.pop(message.prepared, None)
                await self._say("answer", n=message.n)
            case "begin":
                await self._begin(message)
            case "commit":
                await self._commit(message)
            case "rollback":
                await self._rollback()
                await self._say("answer", n=message.n)
            case "auth":
                await self._renew(message.token)
                await self._say("answer", n=message.n)
            case "ping":
                await self._say("pong", n=message.n)
            case other:
                raise BadRequest(f"there is no message {other[:40]!r}")

    async def _request(self, text: str) -> requests.Request:
        """Long ones are read beside the event loop."""
        if len(text) > LARGE:
            return await asyncio.to_thread(requests.decode, text, self._prepared)
        return requests.decode(text, self._prepared)

    async def _sql(self, message: _Message, wanted: requests.Request, text: str) -> None:
        if not wanted.reads:
            self._role("owner" if wanted.defines else "editor")
        transaction, leader = self._transaction, self._leader()
        assert self._identity is not None, "who is here has said hello"
        if isinstance(transaction, Afar):
            wanted.check_inside()
            body = await transaction.run(self._identity, requests.unprepared(text, self._prepared))
            await self._told(message.n, body)
            return
        if transaction is not None:
            wanted.check_inside()
            await self._flow(message.n, statements.flow(lambda spool: transaction.run(wanted, spool.put)))
            return
        project = await self._project()
        if wanted.reads and wanted.id is None:
            statements.check(wanted.statements)
            await statements.reached(project, wanted)
            await self._flow(message.n, statements.pieces(project, wanted))
            return
        if wanted.defines and leader is not None:
            body = await leader.define(self._identity, requests.unprepared(text, self._prepared))
        else:
            body = await statements.run(project, wanted, self._identity.user)
        await self._told(message.n, body)

    def _leader(self) -> Leader | None:
        """Who does what this node cannot; None where it can."""
        node = self._desks.node
        return None if node is None or node.cell.leading else Leader(node, self._id)

    async def _told(self, n: int, body: bytes) -> None:
        """The body of an answer, an object, as a message."""
        await self._text(b'{"type":"answer","n":%d,%b' % (n, body[1:]))

    async def _flow(self, n: int, flowing: AsyncIterator[bytes]) -> None:
        """Pieces of rows as they come, and the answer, an object, behind them."""
        async for piece in flowing:
            if piece.startswith(b"{"):
                await self._told(n, piece)
            else:
                await self._text(b'{"type":"rows","n":%d,%b}' % (n, piece))

    async def _prepare(self, message: _Message) -> None:
        if len(self._prepared) >= MOST_PREPARED:
            raise RateLimited("prepared statements; forget some", 1.0)
        more: dict[str, Any] = {"columns": [], "types": [], "parameters": 0, "names": None, "reads": False}
        if reading.kind(message.sql) in ("read", "write"):
            project = await self._project()
            await statements.seen(project, message.version)
            more = (await project.query(lambda reader: reader.describe(message.sql)))._asdict()
        self._number += 1
        self._prepared[self._number] = message.sql
        await self._say("answer", n=message.n, prepared=self._number, **more)

    async def _begin(self, message: _Message) -> None:
        if self._transaction is not None:
            raise BadRequest("there is a transaction already; commit it or roll it back")
        if message.mode != "read_only":
            self._role("editor")
        assert self._identity is not None
        if message.mode != "read_only" and (leader := self._leader()) is not None:
            self._transaction, body = await Afar.begin(leader, self._identity, message.mode)
            await self._told(message.n, body)
            return
        project = await self._project()
        await statements.seen(project, message.version)
        begun = await Transaction.begin(project, self._identity.user, message.mode)
        self._transaction = begun
        limits = {"idle": WRITING.idle, "total": WRITING.total}
        await self._say("answer", n=message.n, transaction=begun.id, version=begun.version, **limits)

    async def _commit(self, message: _Message) -> None:
        """The one that is open; or, with an id, what became of one that is gone."""
        assert self._identity is not None
        id, tag = requests.mutation_id(message.id), requests.short_tag(message.tag)
        transaction, leader = self._transaction, self._leader()
        if isinstance(transaction, Transaction) and transaction.writing:
            self._role("editor")
        self._transaction = None
        if isinstance(transaction, Afar):
            await self._told(message.n, await transaction.commit(self._identity, message.id, tag))
            return
        name = message.transaction if transaction is None else transaction.id
        try:
            if transaction is None:
                raise LeaseExpired("there is none on this connection")
            outcome = await transaction.commit(id, tag)
        except LeaseExpired as over:
            if id is None or name is None:
                raise
            if leader is not None:
                await self._told(message.n, await leader.commit(self._identity, name, message.id, tag))
                return
            why = () if transaction is None else (over.why,)
            outcome = await repeat(await self._project(), self._identity.user, id, name, *why)
        await self._say("answer", n=message.n, version=outcome.version, changed=outcome.kind == "committed")

    async def _rollback(self) -> None:
        transaction, self._transaction = self._transaction, None
        if isinstance(transaction, Afar):
            assert self._identity is not None, "somebody began it"
            await transaction.rollback(self._identity)
        elif transaction is not None:
            await transaction.rollback()

    async def _abandon(self, why: str) -> None:
        """End what is open, also in the middle of a statement."""
        if isinstance(self._transaction, Transaction):
            await self._transaction.leave(why)
        else:
            await self._rollback()

    async def _renew(self, token: str | None) -> None:
        assert self._identity is not None
        identity = await self._desks.gate.identify(token, self._websocket)
        if identity.user != self._identity.user:
            raise BadRequest("a renewed token has to be of the same user")
        self._identity = identity

    async def _refuse(self, n: int, problem: ShareliteError, **more: Any) -> None:
        if self._transaction is not None:
            more["transaction"] = "open" if self._transaction.ended is None else "gone"
        error = {"code": problem.code, "message": str(problem), "errors": problem.faults()}
        await self._say("error", n=n, error=error, **more)

    async def _say(self, type: str, **members: Any) -> None:
        await self._text(msgspec.json.encode({"type": type, **members}))

    async def _text(self, text: bytes) -> None:
        """Raises TimeoutError where nobody reads."""
        async with asyncio.timeout(self._desks.settings.limits.slow_seconds):
            await self._websocket.send({"type": "websocket.send", "text": text.decode()})

    async def _goodbye(self, problem: ShareliteError) -> None:
        try:
            await self._say("goodbye", code=problem.code, message=str(problem))
        except (WebSocketDisconnect, RuntimeError, TimeoutError):
            return
        await self._close(close_code(problem.code), problem.code)

    async def _close(self, code: int, reason: str) -> None:
        try:
            await self._websocket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError):
            return


def _read(text: str) -> _Message:
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise BadRequest(f"the message: {problem}") from None
