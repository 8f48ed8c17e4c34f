"""A websocket client that costs next to nothing, so that what is measured is the server.

Frames are masked with zeros (allowed by RFC 6455, and free), nothing is decompressed, JSON is left as bytes.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import Callable
from typing import Any, cast


def new_client() -> str:
    return secrets.token_hex(16)


def text_frame(payload: bytes) -> bytes:
    """One masked text message."""
    size = len(payload)
    if size < 126:
        head = bytes((0x81, 0x80 | size))
    elif size < 65536:
        head = b"\x81\xfe" + size.to_bytes(2, "big")
    else:
        head = b"\x81\xff" + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


def pong(payload: bytes) -> bytes:
    """The answer to a ping: the same payload."""
    return bytes((0x8A, 0x80 | len(payload))) + b"\0\0\0\0" + payload


def upgrade(port: int, project: str, address: str = "live") -> bytes:
    return (
        f"GET /v1/projects/{project}/{address} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: c2hhcmVsaXRlIGJlbmNoIQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def hello(client: str) -> bytes:
    """A greeting without a cursor: whatever comes from now on."""
    return text_frame(json.dumps({"type": "hello", "protocol": 1, "client": client, "cursor": None}).encode())


HELLO_SQL = text_frame(b'{"type":"hello","protocol":1}')


def push(client: str, counter: int, changes: str) -> bytes:
    """A push whose `changes` are JSON text already."""
    return text_frame(f'{{"type":"push","id":["{client}",{counter}],"changes":{changes}}}'.encode())


class Frames:
    """Cuts a byte stream into messages: (opcode, payload). The first answer, to the upgrade, is checked."""

    def __init__(self) -> None:
        self._buffer = b""
        self._upgraded = False

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        buffer = self._buffer + data if self._buffer else data
        start, found = 0, []
        if not self._upgraded:
            start = buffer.find(b"\r\n\r\n") + 4
            if start < 4:
                self._buffer = buffer
                return []
            assert buffer.startswith(b"HTTP/1.1 101"), buffer[:500]
            self._upgraded = True
        while len(buffer) - start >= 2:
            size, body = buffer[start + 1], start + 2
            if size == 126:
                size, body = int.from_bytes(buffer[start + 2 : start + 4], "big"), start + 4
            elif size == 127:
                size, body = int.from_bytes(buffer[start + 2 : start + 10], "big"), start + 10
            if len(buffer) < body + size:
                break
            found.append((buffer[start] & 15, buffer[body : body + size]))
            start = body + size
        self._buffer = buffer[start:]
        return found


class Wire(asyncio.Protocol):
    """One connection on the event loop; `on_message` gets each text message as bytes."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._frames = Frames()
        self._first: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.on_message: Callable[[bytes], None] = self._greeted
        self.closed: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        for opcode, payload in self._frames.feed(data):
            if opcode == 1:
                self.on_message(payload)
            elif opcode == 9:
                self.transport.write(pong(payload))
            elif opcode == 8 and not self.closed.done():
                self.closed.set_result(payload)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(b"")

    def _greeted(self, message: bytes) -> None:
        if not self._first.done():
            self._first.set_result(json.loads(message))

    def hang_up(self) -> None:
        """Closes a connection that must still be there: a reader that raised has lost it, and its figures with it."""
        assert not self.closed.done() and not self.transport.is_closing(), "the connection was lost on the way"
        self.transport.close()

    async def greeted(self) -> dict[str, Any]:
        """The server's first message: the welcome."""
        return await asyncio.wait_for(self._first, 30)


async def connect(port: int, project: str, client: str | None) -> Wire:
    """A connection that has been welcomed; without a client it is one for SQL."""
    _, wire = await asyncio.get_running_loop().create_connection(Wire, "127.0.0.1", port)
    greeting = upgrade(port, project, "sql") + HELLO_SQL if client is None else upgrade(port, project) + hello(client)
    wire.transport.write(greeting)
    welcome = await wire.greeted()
    assert welcome["type"] == "welcome", welcome
    return wire


class Line:
    """The same on a blocking socket: the least between sending a push and knowing its answer."""

    def __init__(self, port: int, project: str, client: str | None) -> None:
        """Without a client it is one for SQL."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._frames = Frames()
        self._waiting: list[bytes] = []
        greeting = (
            upgrade(port, project, "sql") + HELLO_SQL if client is None else upgrade(port, project) + hello(client)
        )
        self.send(greeting)
        self.welcome = json.loads(self.receive())
        assert self.welcome["type"] == "welcome", self.welcome

    def send(self, frames: bytes) -> None:
        self._socket.sendall(frames)

    def receive(self) -> bytes:
        """The next text message."""
        while not self._waiting:
            data = self._socket.recv(1 << 16)
            assert data, "the server closed the connection"
            for opcode, payload in self._frames.feed(data):
                assert opcode != 8, payload
                if opcode == 9:
                    self._socket.sendall(pong(payload))
                elif opcode == 1:
                    self._waiting.append(payload)
        return self._waiting.pop(0)

    def close(self) -> None:
        self._socket.close()
