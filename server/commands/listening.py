"""The listening socket: uvicorn, and what it lets through that it should not (research: reliability, H2, A9, A12).

Everything here protects the process before a request or message has been read; what a message means is decided
elsewhere.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from ..config import Limits
from ..routes import faults

LIMITS = Limits()
SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: A connection that has not sent a whole request head by then is closed.
HEAD_SECONDS = 10.0
#: Frames are parsed in pieces of this size, so that a flood of tiny ones cannot hold the loop for long.
PIECE = 8 * 1024
#: How long one connection may be parsed before the others have a turn.
SLICE_SECONDS = 0.005
#: Control frames in a second; ours sends one in twenty.
PINGS = 200
#: Frames of one message; ours come in one.
FRAGMENTS = 256
#: Bytes that may wait for a peer who does not read: two of the largest messages.
UNREAD = 4 * 1024 * 1024
#: After the end of a websocket its peer gets so long to take what is left.
LINGER_SECONDS = 5.0


class Http(HttpToolsProtocol):
    """HTTP with a limit on the head of a request, in bytes and in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._in_head, self._head_bytes = True, 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel(self._head_timer)
        self._cancel(self._body_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        while data and not self.transport.is_closing():
            room = LIMITS.header - self._head_bytes if self._in_head else len(data)
            piece, data = data[:room], data[room:]
            if self._in_head:
                self._head_bytes += len(piece)
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                self._upgrade(piece[upgrade.args[0] :] + data)
                return
            except httptools.HttpParserError:
                self._refuse("400 Bad Request", "bad_request", "the request is not HTTP")
            if self._in_head and self._head_bytes >= LIMITS.header:
                self._refuse("431 Request Header Fields Too Large", "too_large", "headers: at most 32 KiB")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._cancel(self._head_timer)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._head_bytes = True, 0
        self._cancel(self._body_timer)

    def on_response_complete(self) -> None:
        """An answer before the end of the body: whoever still sends it may hear the answer, but not go on for ever."""
        super().on_response_complete()
        if not self._in_head:
            self._body_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _upgrade(self, rest: bytes) -> None:
        """Go on as a websocket. What came right behind the handshake are its first frames."""
        if not self._should_upgrade():
            self._refuse("426 Upgrade Required", "bad_request", "the only upgrade here is to websocket")
            return
        self._cancel(self._head_timer)
        self.handle_websocket_upgrade()
        if rest:
            self.transport.get_protocol().data_received(rest)  # type: ignore[attr-defined]

    def _refuse(self, status: str, code: str, message: str) -> None:
        if not self.transport.is_closing():
            body = faults.body(code, message)
            head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
            self.transport.close()

    def _wait_for_head(self) -> None:
        self._cancel(self._head_timer)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _cancel(self, timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()


class Websocket(WebSocketsSansIOProtocol):
    """Websockets that cannot be flooded with tiny frames nor filled by a peer who does not read."""

    _rest = b""
    _pings, _second = 0, 0.0

    def data_received(self, data: bytes) -> None:
        if self._rest:
            self._rest += data
            if len(self._rest) > UNREAD:
                self.transport.abort()
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        """Parse for a little while; the rest after everybody else had a turn."""
        until = time.perf_counter() + SLICE_SECONDS
        for start in range(0, len(data), PIECE):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + PIECE])
            if time.perf_counter() > until and start + PIECE < len(data):
                self._rest = data[start + PIECE :]
                self.loop.call_soon(self._go_on)
                return

    def _go_on(self) -> None:
        data, self._rest = self._rest, b""
        self._parse(data)

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= FRAGMENTS:
            self._fail(1009, "too many fragments")
        else:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        now = self.loop.time()
        if now - self._second > 1.0:
            self._pings, self._second = 0, now
        self._pings += 1
        if self._pings > PINGS:
            self._fail(1008, "too many pings")
        elif self.transport.get_write_buffer_size() > UNREAD:
            self.transport.abort()
        else:
            super().handle_ping()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        if not self.disconnected:
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _fail(self, code: int, reason: str) -> None:
        self.conn.fail(code, reason)
        self.handle_parser_exception()


class Server(uvicorn.Server):
    """uvicorn that tells when it listens, and says goodbye to websockets before it closes them."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], farewell: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(config)
        self._ready, self._farewell = ready, farewell

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until SIGINT or SIGTERM. Unlike uvicorn's own, it then returns: the data directory is still open."""
        loop = asyncio.get_running_loop()
        # Only the main thread may listen to signals; in another one whoever started it sets `should_exit`.
        numbers = SIGNALS if threading.current_thread() is threading.main_thread() else ()
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            await self._serve(sockets)
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await self._farewell()
        await super().shutdown(sockets)


def configured(app: ASGIApp, **more: Any) -> uvicorn.Config:
    """uvicorn as we run it."""
    return uvicorn.Config(
        app,
        http=Http,
        ws=Websocket,
        ws_max_size=LIMITS.frame,
        ws_per_message_deflate=False,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=LIMITS.header,
        access_log=False,
        server_header=False,
        log_config=None,
        **more,
    )
