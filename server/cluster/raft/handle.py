"""The serving process's end of Raft: starts the Raft process, speaks with it, and implements the port.

Any thread calls in; one thread, the port's own, hears the Raft process and calls the owner.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from ...errors import ShareliteError, TooLarge, Unavailable, UnknownOutcome
from ..port import RECORD_LIMIT, Member, MembershipRefused, NotLeader, Owner, Proposal, Role, Status
from .pipe import Outbox, Said, packed, taken
from .setup import Setup

logger = logging.getLogger(__name__)

#: Bytes proposed and not answered yet.
IN_FLIGHT = 64 << 20
#: Bytes the pipe holds in each direction, where the system allows.
PIPE = 4 << 20
#: Seconds a Raft process may take to end once its pipe has.
PATIENCE = 5.0

T = TypeVar("T")


class Handle:
    """A port (port.py) onto a Raft process of its own."""

    def __init__(self, setup: Setup) -> None:
        """Nothing is started yet. Raises SetupInvalid."""
        setup.check()
        self._setup = setup
        self._lock = threading.Lock()
        self._calls = 0
        self._proposals = 0
        self._proposed: dict[int, tuple[Future[Proposal], int]] = {}
        self._appended: dict[int, tuple[int, Future[Proposal], int]] = {}
        self._asked: dict[int, tuple[Future[Any], Callable[[Any], Any]]] = {}
        self._in_flight = 0
        self._gathered: list[tuple[int, bytes]] = []
        self._gathering = False
        self._role = Role(False, 0, None)
        self._told_role = False
        self._stopping = False
        self._over = False
        self._why = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    @property
    def role(self) -> Role:
        return self._role

    @property
    def pid(self) -> int | None:
        """Of the Raft process."""
        return self._process.pid if self._process is not None else None

    def start(self, owner: Owner) -> None:
        mine, its = socket.socketpair()
        for sock in (mine, its):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIPE)
        self._owner = owner
        command = [sys.executable, "-m", "sharelite.cluster.raft.process", str(its.fileno()), str(os.getpid())]
        self._process = subprocess.Popen(command, pass_fds=(its.fileno(),), stdin=subprocess.DEVNULL)
        its.close()
        mine.setblocking(False)
        self._sock, self._outbox = mine, Outbox(mine)
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._say(Said.SETUP, self._setup.pack())
        self._thread = threading.Thread(target=self._serve, name="raft", daemon=True)
        self._thread.start()

    def propose(self, payload: bytes) -> Future[Proposal]:
        if len(payload) > RECORD_LIMIT:
            raise TooLarge("a record", len(payload), RECORD_LIMIT)
        future: Future[Proposal] = Future()
        with self._lock:
            if self._over:
                return _done(future, "not_leader")
            if self._in_flight > IN_FLIGHT:
                raise Unavailable(f"{self._in_flight:,} bytes wait for the cell already")
            self._proposals += 1
            self._in_flight += len(payload)
            self._proposed[self._proposals] = (future, len(payload))
            self._gathered.append((self._proposals, payload))
            if self._gathering:
                return future
            self._gathering = True
        self._send_gathered()
        return future

    def read_barrier(self, strict: bool) -> Future[int]:
        return self._ask(int, Said.BARRIER, strict)

    def trim(self, upto: int, manifest: bytes) -> None:
        if len(manifest) > RECORD_LIMIT:
            raise TooLarge("a manifest", len(manifest), RECORD_LIMIT)
        self._say(Said.TRIM, upto, manifest)

    def status(self) -> Future[Status]:
        return self._ask(lambda found: msgspec.msgpack.decode(found, type=Status), Said.STATUS)

    def add(self, member: Member) -> Future[None]:
        return self._ask(_nothing, Said.ADD, member.node, member.incarnation, member.address)

    def remove(self, node: str) -> Future[None]:
        return self._ask(_nothing, Said.REMOVE, node)

    def transfer(self, node: str | None = None) -> Future[None]:
        return self._ask(_nothing, Said.TRANSFER, node)

    def stop(self) -> None:
        if self._thread is None:
            return
        self._stopping = True
        self._say(Said.STOP)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    # Calling

    def _send_gathered(self) -> None:
        """Whoever comes first sends for those who come meanwhile: many callers, few messages, in order."""
        while True:
            with self._lock:
                gathered, self._gathered = self._gathered, []
                if not gathered:
                    self._gathering = False
                    return
            self._say(Said.PROPOSE, gathered[0][0], [payload for _, payload in gathered])

    def _ask(self, decode: Callable[[Any], T], said: Said, *message: Any) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            if self._over:
                future.set_exception(Unavailable(f"Raft has ended: {self._why or 'stopped'}"))
                return future
            self._calls += 1
            call = self._calls
            self._asked[call] = (future, decode)
        self._say(said, call, *message)
        return future

    def _say(self, *message: Any) -> None:
        """What cannot be sent any more needs no answer here: the thread hears the end and ends every call."""
        with suppress(OSError):
            if not self._outbox.send(packed(*message)):
                self._waker.send(b"w")

    # Hearing: the port's thread

    def _serve(self) -> None:
        try:
            self._hear()
            why = "" if self._stopping else self._why or f"the Raft process ended with status {self._ended()}"
        except Exception as problem:  # the owner's, whatever it is: K7
            logger.exception("the owner of the log raised")
            why = f"the owner of the log raised {problem!r}"
        self._end(why)

    def _hear(self) -> None:
        """Until the Raft process ends."""
        came = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            selector.register(self._sock, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._wake in ready:
                    with suppress(BlockingIOError):
                        self._wake.recv(1 << 12)
                more = selectors.EVENT_READ | (0 if self._flushed() else selectors.EVENT_WRITE)
                selector.modify(self._sock, more)
                if self._sock in ready and not self._read(came):
                    return

    def _flushed(self) -> bool:
        with suppress(OSError):
            return self._outbox.flush()
        return True

    def _read(self, came: bytearray) -> bool:
        try:
            data = self._sock.recv(1 << 20)
        except BlockingIOError:
            return True
        except OSError:
            return False
        came += data
        for said, *message in taken(came):
            HEARD[said](self, *message)
        return bool(data)

    def _heard_appended(self, calls: list[tuple[int, int]], index: int, term: int) -> None:
        with self._lock:
            for call in _each(calls):
                future, size = self._proposed.pop(call)
                self._appended[index] = (term, future, size)
                index += 1

    def _heard_not_led(self, calls: list[tuple[int, int]]) -> None:
        with self._lock:
            refused = [self._proposed.pop(call) for call in _each(calls)]
            self._in_flight -= sum(size for _, size in refused)
        for future, _ in refused:
            _done(future, "not_leader")

    def _heard_records(self, records: list[tuple[int, int, bytes]], upto: int, size: int) -> None:
        for index, term, payload in records:
            self._owner.on_record(index, term, payload)
            if index in self._appended:
                with self._lock:
                    told, future, length = self._appended.pop(index)
                    self._in_flight -= length
                _done(future, "committed" if told == term else "unknown")
        self._say(Said.TAKEN, size)

    def _heard_manifest(self, index: int, term: int, manifest: bytes) -> None:
        self._owner.on_manifest(index, term, manifest)
        self._say(Said.TAKEN, len(manifest))

    def _heard_role(self, leader: bool, term: int, leader_node: str | None) -> None:
        if not leader:
            self._forget_appended()
        if (role := Role(leader, term, leader_node)) != self._role or not self._told_role:
            self._role, self._told_role = role, True
            self._owner.on_role(role)

    def _heard_answer(self, call: int, found: Any) -> None:
        with self._lock:
            future, decode = self._asked.pop(call)
        with suppress(InvalidStateError):
            future.set_result(decode(found))

    def _heard_refusal(self, call: int, code: str, text: str) -> None:
        with self._lock:
            future, _ = self._asked.pop(call)
        problems: dict[str, ShareliteError] = {
            NotLeader.code: NotLeader(text or None),
            MembershipRefused.code: MembershipRefused(text),
        }
        with suppress(InvalidStateError):
            future.set_exception(problems.get(code, UnknownOutcome()))

    def _heard_log(self, level: int, name: str, text: str) -> None:
        logging.getLogger(name).log(level, "%s", text)

    def _heard_ping(self) -> None:
        self._say(Said.AWAKE)

    def _heard_failure(self, why: str) -> None:
        self._why = why

    def _forget_appended(self) -> None:
        """Appended and not delivered: whether it will be is not known."""
        with self._lock:
            lost, self._appended = list(self._appended.values()), {}
            self._in_flight -= sum(size for _, _, size in lost)
        for _, future, _ in lost:
            _done(future, "unknown")

    def _ended(self) -> int | None:
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(PATIENCE)
        return None

    def _end(self, why: str) -> None:
        """Everything that waits is told; the Raft process is gone, and waited for."""
        self._sock.close()
        if self._ended() is None:
            assert self._process is not None
            self._process.kill()
            self._process.wait()
        with self._lock:
            self._over, self._why = True, why
            proposed, self._proposed = list(self._proposed.values()), {}
            asked, self._asked = list(self._asked.values()), {}
        for future, _ in proposed:
            _done(future, "unknown")
        self._forget_appended()
        for waiting, _ in asked:
            with suppress(InvalidStateError):
                waiting.set_exception(UnknownOutcome())
        self._wake.close()
        self._waker.close()
        if why:
            self._owner.on_failure(why)


HEARD: dict[int, Callable[..., None]] = {
    Said.APPENDED: Handle._heard_appended,
    Said.NOT_LED: Handle._heard_not_led,
    Said.RECORDS: Handle._heard_records,
    Said.MANIFEST: Handle._heard_manifest,
    Said.ROLE: Handle._heard_role,
    Said.ANSWER: Handle._heard_answer,
    Said.REFUSAL: Handle._heard_refusal,
    Said.LOG: Handle._heard_log,
    Said.PING: Handle._heard_ping,
    Said.FAILURE: Handle._heard_failure,
}


def _done(future: Future[Proposal], verdict: Proposal) -> Future[Proposal]:
    with suppress(InvalidStateError):
        future.set_result(verdict)
    return future


def _each(calls: list[tuple[int, int]]) -> Iterator[int]:
    """The numbers of calls told as (first, count)."""
    return (first + place for first, count in calls for place in range(count))


def _nothing(_: object) -> None:
    return None
