"""What the serving process and its Raft process say to each other over a socket pair: msgpack with its length in front.

to Raft     [PROPOSE, first call, [payload, ...]]  [BARRIER, call, strict]  [TRIM, upto, manifest]  [STATUS, call]
            [ADD, call, node, incarnation, address]  [REMOVE, call, node]  [TRANSFER, call, node | nil]
            [TAKEN, bytes]  the owner has taken so much of what it was told     [AWAKE]     [STOP]
from Raft   [APPENDED, [[first call, count], ...], first index, term]  [NOT_LED, [[first call, count], ...]]
            [RECORDS, [[index, term, payload], ...], upto, bytes]  [MANIFEST, index, term, manifest]
            [ROLE, leader, term, leader node | nil]
            [ANSWER, call, anything]  [REFUSAL, call, code, text]
            [LOG, level, logger, text]  [PING]  [FAILURE, text]
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import msgpack

#: Bytes of one message; the records of one are fewer.
LIMIT = 64 << 20
_LENGTH = 4


class Said(IntEnum):
    SETUP = 0
    PROPOSE = 1
    BARRIER = 2
    TRIM = 3
    STATUS = 4
    ADD = 5
    REMOVE = 6
    TRANSFER = 7
    TAKEN = 8
    STOP = 9
    AWAKE = 10
    APPENDED = 20
    NOT_LED = 21
    RECORDS = 22
    MANIFEST = 23
    ROLE = 24
    ANSWER = 25
    REFUSAL = 26
    LOG = 27
    FAILURE = 28
    PING = 29


def packed(*message: Any) -> bytes:
    body = msgpack.packb(message)
    return len(body).to_bytes(_LENGTH, "big") + bytes(body)


def taken(buffer: bytearray) -> Iterator[list[Any]]:
    """The whole messages at the front of a buffer, taken off it. Raises ValueError for a length no message has."""
    at = 0
    try:
        while len(buffer) - at >= _LENGTH:
            end = at + _LENGTH + int.from_bytes(buffer[at : at + _LENGTH], "big")
            if end - at > LIMIT:
                raise ValueError(f"a message of {end - at:,} bytes")
            if len(buffer) < end:
                return
            body = bytes(buffer[at + _LENGTH : end])
            at = end
            yield msgpack.unpackb(body)
    finally:
        del buffer[:at]


class Outbox:
    """The sending half, for any thread: what the socket does not take at once waits for `flush`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._rest = bytearray()

    @property
    def waiting(self) -> int:
        return len(self._rest)

    def send(self, data: bytes) -> bool:
        """True if all of it is on its way. Raises OSError when the other end is gone."""
        with self._lock:
            if not self._rest:
                sent = self._try(data)
                if sent == len(data):
                    return True
                data = data[sent:]
            self._rest += data
            return False

    def flush(self) -> bool:
        """Try again; True if nothing waits any more."""
        with self._lock:
            while self._rest:
                sent = self._try(bytes(self._rest[: 1 << 20]))
                if not sent:
                    return False
                del self._rest[:sent]
            return True

    def _try(self, data: bytes) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
