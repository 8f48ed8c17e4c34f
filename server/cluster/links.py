"""Between the nodes of a cell: questions, answers and news over one websocket from each node to each other (SPEC K57).

A frame is sealed msgpack `[kind, number, name or well, content]`. Questions of one node reach another in the order in
which they were asked. Event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import socket as tcp
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import WebSocketException

from ..errors import NotJudged, ShareliteError
from .plan import CannotListen
from .seal import MOST_GREETING, Called, Caller, Sealed, Stranger

logger = logging.getLogger(__name__)

#: One frame: the largest mutation and what is around it.
MOST_FRAME = 40 << 20
GREETING_SECONDS = 5.0
DIAL_SECONDS = 3.0
PING_SECONDS = 2.0
#: Until a link counts as lost on which nothing gets through, and how long its end may take.
DEAD_SECONDS = 4.0
CLOSE_SECONDS = 0.5
#: Until the next attempt to reach a node: the first and the longest pause.
SOON, LATER = 0.05, 1.0
ASK, ANSWER, PROBLEM, NEWS = range(4)

#: Answers a question (the asking node, the content); what it raises reaches whoever asked as Told.
Answer = Callable[[str, Any], Awaitable[Any]]


class Unreachable(NotJudged):
    """The node could not be reached, or was lost before it answered. `asked`: the question may have arrived."""

    code = "unreachable"

    def __init__(self, node: str, asked: bool) -> None:
        self.node, self.asked = node, asked

    def __str__(self) -> str:
        return f"node {self.node} {'did not answer' if self.asked else 'cannot be reached'}"


class NotYet(ShareliteError):
    """This node has not begun, or is of an older release."""

    code = "not_yet"

    def __str__(self) -> str:
        return "this node cannot answer that yet"


class Told(ShareliteError):
    """What another node raised."""

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        self.code, self.message, self.retry_after = code, message, retry_after

    def __str__(self) -> str:
        return self.message


class Line:
    """The link to one other node; kept up for as long as this node runs."""

    def __init__(self, key: bytes, cluster: str, me: str, node: str, address: str, back: Callable[[str], None]) -> None:
        self.node = node
        self._secret = (key, cluster, me)
        self._address = address
        self._back = back
        self._socket: ClientConnection | None = None
        self._sealed: Sealed | None = None
        self._up = False
        #: Those whose question waits for the link, in order.
        self._waiting: list[asyncio.Future[None]] = []
        self._number = 0
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._task = asyncio.create_task(self._keep_up())

    @property
    def up(self) -> bool:
        return self._up

    async def ask(self, name: str, content: Any, seconds: float) -> Any:
        """The answer. Raises Unreachable, Told."""
        asked = False
        try:
            async with asyncio.timeout(seconds):
                await self._until_up()
                self._number += 1
                answer = self._open[self._number] = asyncio.get_running_loop().create_future()
                asked = True
                self._send(ASK, self._number, name, content)
                return await answer
        except TimeoutError:
            raise Unreachable(self.node, asked) from None

    def tell(self, name: str, content: Any) -> None:
        """News, if the node can be reached now."""
        if self.up:
            self._send(NEWS, 0, name, content)

    def abandon(self) -> None:
        """Wait for no answer any more: whoever asked learns that it was lost, or that the question was never sent."""
        lost, self._open = self._open, {}
        for asked, futures in ((True, list(lost.values())), (False, self._waiting)):
            for waiting in futures:
                if not waiting.done():
                    waiting.set_exception(Unreachable(self.node, asked))

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _until_up(self) -> None:
        """Raises Unreachable where it is given up meanwhile."""
        if self.up:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            await waiting
        finally:
            self._waiting.remove(waiting)

    def _send(self, kind: int, number: int, name: str, content: Any) -> None:
        self._outgoing.put_nowait(msgpack.packb([kind, number, name, content]))

    async def _keep_up(self) -> None:
        pause = SOON
        while True:
            try:
                async with asyncio.timeout(DIAL_SECONDS):
                    socket = await connect(f"ws://{self._address}/", **_OPTIONS)
                async with socket:
                    _mortal(socket)
                    async with asyncio.timeout(GREETING_SECONDS):
                        self._sealed = await _called(socket, *self._secret, self.node)
                    pause = SOON
                    await self._talk(socket, self._sealed)
            except (OSError, TimeoutError, WebSocketException, Stranger) as problem:
                logger.debug("node %s: %s", self.node, problem)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LATER)

    async def _talk(self, socket: ClientConnection, sealed: Sealed) -> None:
        self._outgoing = asyncio.Queue()
        self._up = True
        for caller in self._waiting:
            if not caller.done():
                caller.set_result(None)
        self._back(self.node)
        sender = asyncio.create_task(_send_all(socket, sealed, self._outgoing))
        try:
            async for frame in socket:
                kind, number, _, content = msgpack.unpackb(sealed.open(_bytes(frame)))
                waiting = self._open.pop(number, None)
                if waiting is not None and not waiting.done():
                    if kind == ANSWER:
                        waiting.set_result(content)
                    else:
                        waiting.set_exception(Told(*content))
        finally:
            self._up = False
            sender.cancel()
            self.abandon()


class Links:
    """All lines of a node, and what it answers. `gone(node)`: a node that had connected is away."""

    def __init__(self, key: bytes, cluster: str, me: str) -> None:
        self.me = me
        self._secret = (key, cluster, me)
        self._answers: dict[str, Answer] = {}
        self._lines: dict[str, Line] = {}
        self._server: Server | None = None
        self.gone: Callable[[str], None] = lambda node: None
        self.back: Callable[[str], None] = lambda node: None

    def answer(self, name: str, answer: Answer) -> None:
        """Register what answers a question of this name, or takes such news."""
        self._answers[name] = answer

    async def listen(self, address: str) -> None:
        """At `host:port`. Raises CannotListen."""
        host, _, port = address.rpartition(":")
        try:
            await self.start(host.strip("[]"), int(port))
        except OSError as problem:
            raise CannotListen("peer", address, problem) from None

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError."""
        self._server = await serve(self._serve, host, port, **_OPTIONS)

    def know(self, nodes: Mapping[str, str]) -> None:
        """The other nodes and their addresses, from now on."""
        for node in set(self._lines) - set(nodes):
            asyncio.ensure_future(self._lines.pop(node).close())
        for node, address in nodes.items():
            if node != self.me and node not in self._lines:
                self._lines[node] = Line(*self._secret, node, address, self._came_back)

    def nodes(self) -> list[str]:
        return list(self._lines)

    def reachable(self) -> list[str]:
        return [node for node, line in self._lines.items() if line.up]

    async def ask(self, node: str, name: str, content: Any, seconds: float = 10.0) -> Any:
        """Raises Unreachable, Told."""
        line = self._lines.get(node)
        if line is None:
            raise Unreachable(node, False)
        return await line.ask(name, content, seconds)

    async def here(self, name: str, content: Any) -> Any:
        """This node's own answer to a question. Raises what answering raises."""
        return await self._answers[name](self.me, content)

    def abandon(self, node: str) -> None:
        """Wait for no answer of a node any more."""
        if (line := self._lines.get(node)) is not None:
            line.abandon()

    def tell(self, node: str, name: str, content: Any) -> None:
        if (line := self._lines.get(node)) is not None:
            line.tell(name, content)

    def tell_all(self, name: str, content: Any) -> None:
        for line in self._lines.values():
            line.tell(name, content)

    async def close(self) -> None:
        lines, self._lines = list(self._lines.values()), {}
        for line in lines:
            await line.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _came_back(self, node: str) -> None:
        self.back(node)

    async def _serve(self, socket: ServerConnection) -> None:
        key, cluster, me = self._secret
        called = Called(key, cluster, me)
        _mortal(socket)
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                await socket.send(called.answer(_bytes(await socket.recv())))
                called.check(_bytes(await socket.recv()))
                socket.protocol.max_message_size = MOST_FRAME
        except (TimeoutError, WebSocketException, Stranger) as problem:
            logger.warning("turned away: %s", problem or "no greeting")
            return
        try:
            await self._hear(socket, called.caller, called.sealed())
        except (WebSocketException, Stranger) as problem:
            logger.debug("node %s: %s", called.caller, problem)
        finally:
            self.gone(called.caller)

    async def _hear(self, socket: ServerConnection, node: str, sealed: Sealed) -> None:
        outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        sender = asyncio.create_task(_send_all(socket, sealed, outgoing))
        running: set[asyncio.Task[None]] = set()
        try:
            async for frame in socket:
                kind, number, name, content = msgpack.unpackb(sealed.open(_bytes(frame)))
                # Eager up to its first wait, so questions take effect in the order in which they came.
                task = asyncio.create_task(self._answered(outgoing, node, kind, number, name, content))
                running.add(task)
                task.add_done_callback(running.discard)
        finally:
            sender.cancel()

    async def _answered(
        self, outgoing: asyncio.Queue[bytes], node: str, kind: int, number: int, name: str, content: Any
    ) -> None:
        try:
            if (answer := self._answers.get(name)) is None:
                raise NotYet
            told, reply = ANSWER, await answer(node, content)
        except ShareliteError as problem:
            told, reply = PROBLEM, [problem.code, str(problem), getattr(problem, "retry_after", None)]
        except Exception:  # a fault in one answer is told to whoever asked; the line is everybody's
            logger.exception("question of node %s failed", node, extra={"question": name})
            told, reply = PROBLEM, ["internal", "the other node failed; its log says why", None]
        if kind == ASK:
            outgoing.put_nowait(msgpack.packb([told, number, "", reply]))


_OPTIONS: dict[str, Any] = {
    "compression": None,
    "max_size": MOST_GREETING,
    "ping_interval": PING_SECONDS,
    "ping_timeout": DEAD_SECONDS,
    "close_timeout": CLOSE_SECONDS,
}


def _mortal(socket: ClientConnection | ServerConnection) -> None:
    """An end to connections whose packets get lost: the system would go on trying for minutes, ever more rarely."""
    if hasattr(tcp, "TCP_USER_TIMEOUT"):
        found: tcp.socket = socket.transport.get_extra_info("socket")
        found.setsockopt(tcp.IPPROTO_TCP, tcp.TCP_USER_TIMEOUT, int(DEAD_SECONDS * 1000))


async def _called(socket: ClientConnection, key: bytes, cluster: str, me: str, to: str) -> Sealed:
    caller = Caller(key, cluster, me, to)
    await socket.send(caller.greeting)
    await socket.send(caller.prove(_bytes(await socket.recv())))
    socket.protocol.max_message_size = MOST_FRAME
    return caller.sealed()


async def _send_all(
    socket: ClientConnection | ServerConnection, sealed: Sealed, outgoing: asyncio.Queue[bytes]
) -> None:
    with suppress(WebSocketException):
        while True:
            await socket.send(sealed.seal(await outgoing.get()))


def _bytes(frame: str | bytes) -> bytes:
    """Raises Stranger."""
    if isinstance(frame, str):
        raise Stranger
    return frame
