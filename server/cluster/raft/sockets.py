"""One TCP connection of the transport, without blocking: bytes wait here until the socket takes them."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ..plan import CannotListen
from .guard import SafetyViolation

READ, WRITE, ERROR = 1, 2, 4
#: Bytes taken off a socket at once: of a stranger, of a member; and in one turn of the loop.
STRANGER_CHUNK = 2 << 10
CHUNK = 256 << 10
TURN = 1 << 20


class Poller(Protocol):
    """PySyncObj's poller."""

    def subscribe(self, descr: int, callback: Callable[[int, int], None], eventMask: int) -> None: ...
    def unsubscribe(self, descr: int) -> None: ...


class Line:
    """`on_bytes` is called with the buffer of what has come and takes off what it understands; what it raises, and the
    end of the connection, close the line and are told to `on_closed`, once."""

    def __init__(
        self,
        poller: Poller,
        sock: socket.socket,
        on_bytes: Callable[[bytearray], None],
        on_closed: Callable[[Exception | None], None],
    ) -> None:
        self._poller, self._sock = poller, sock
        self._on_bytes, self._on_closed = on_bytes, on_closed
        self._came = bytearray()
        self._going: deque[memoryview] = deque()
        self.waiting = 0
        self.connected = False
        self.closed = False
        self.chunk = STRANGER_CHUNK
        self._watching = 0
        self._watch(READ | WRITE | ERROR)

    def send(self, data: bytes) -> None:
        """Sent now as far as the socket takes it, the rest as soon as it takes more."""
        if self.closed:
            return
        self._going.append(memoryview(data))
        self.waiting += len(data)
        if self.connected:
            self._push()

    def close(self, why: Exception | None = None) -> None:
        if not self.closed:
            self.closed = True
            self._poller.unsubscribe(self._sock.fileno())
            self._sock.close()
            self._going.clear()
            self._on_closed(why)

    def _event(self, _: int, events: int) -> None:
        if self.closed:
            return
        try:
            if events & WRITE or not self.connected:
                self._connect()
                self._push()
            if events & (READ | ERROR) and not self.closed:
                self._pull()
        except SafetyViolation:  # of what came it is this node that is wrong
            raise
        except Exception as problem:  # whatever came or broke: this line ends, the node goes on
            self.close(problem)

    def _connect(self) -> None:
        if not self.connected:
            if problem := self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(problem, "no connection")
            self.connected = True

    def _push(self) -> None:
        try:
            while self._going:
                sent = self._sock.send(self._going[0])
                self.waiting -= sent
                if sent < len(self._going[0]):
                    self._going[0] = self._going[0][sent:]
                    break
                self._going.popleft()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as problem:
            self.close(problem)
            return
        self._watch(READ | ERROR | (WRITE if self._going else 0))

    def _pull(self) -> None:
        taken = 0
        while taken < TURN and not self.closed:
            try:
                data = self._sock.recv(self.chunk)
            except (BlockingIOError, InterruptedError):
                return
            if not data:
                self.close()
                return
            taken += len(data)
            self._came += data
            self._on_bytes(self._came)
            if len(data) < self.chunk:
                return

    def _watch(self, mask: int) -> None:
        if mask != self._watching and not self.closed:
            self._watching = mask
            self._poller.subscribe(self._sock.fileno(), self._event, mask)


def dialled(address: tuple[str, int], family: int) -> socket.socket:
    """A socket on its way to an address."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    prepare(sock)
    sock.connect_ex(address)
    return sock


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens on exactly this address. Raises CannotListen."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as problem:
        raise CannotListen("raft", f"{host}:{port}", problem) from None
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(64)
        sock.setblocking(False)
    except OSError as problem:
        sock.close()
        raise CannotListen("raft", f"{host}:{port}", problem) from None
    return sock


def prepare(sock: socket.socket) -> None:
    """No waiting, no gathering of small packets, and an end to connections whose other end is gone without a word."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2000)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
