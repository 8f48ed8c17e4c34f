"""The Raft process: one node, its journal and its sockets, and a pipe to the process it belongs to.

It runs as `python -m sharelite.cluster.raft.process FD PARENT`. It ends when its pipe or its parent does, and by itself
when the journal cannot be trusted or written: then it says why, and never goes on. One thread.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from pysyncobj.poller import createPoller

from ...errors import ShareliteError
from ..port import Member, MembershipRefused, NotLeader, Status
from . import engine, members
from .disk import SystemDisk
from .journal import Journal
from .node import Node
from .pipe import Outbox, Said, packed, taken
from .seal import Secrets
from .setup import Setup
from .sockets import ERROR, READ, WRITE
from .stream import Barriers, Delivery, Manifest, Roles
from .transport import Transport

logger = logging.getLogger("sharelite.cluster.raft.process")

#: Seconds a tick may wait for something to happen.
TICK = 0.05
#: Bytes told to an owner that it has not taken yet, and in one message.
AHEAD = 8 << 20
PORTION = 256 << 10
#: Seconds between a leader's questions whether its owner is awake; without an answer until another one should lead.
PING = 0.5
ASLEEP = 2.0
#: Exit status after a failure that was told.
FAILED = 70


class Ended(Exception):
    """The other end of the pipe is gone, or asked to stop."""


class Process:
    def __init__(self, sock: socket.socket, setup: Setup, came: bytearray, parent: int) -> None:
        """`came`: what the owner has said already. `parent`: its process.

        Raises what stands against starting: a damaged journal, an address in use, another PySyncObj.
        """
        self._sock, self._outbox = sock, Outbox(sock)
        self._came = came
        self._parent = parent
        poller = createPoller("auto")
        disk, founders = SystemDisk(), members.pack(setup.founders) if setup.founders else b""
        journal = Journal(disk, setup.folder, setup.identity, setup.sizes, members.CONFIG, founders)
        secrets = Secrets(setup.key, setup.cluster, setup.me)
        self._transport = Transport(secrets, setup.listen(), poller, engine.now)
        self.node = Node(setup.me, journal, self._transport, setup.pace, random.Random(), self._lost)
        self.node._poller = poller
        self._delivery = Delivery(self.node)
        self._roles = Roles(self.node, self._delivery)
        self._barriers = Barriers(self.node, 2 * setup.pace.election)
        self._proved: deque[tuple[int, int]] = deque()
        self._changes: deque[tuple[int, int, int]] = deque()
        self._transfers: dict[int, tuple[str | None, float]] = {}
        self._ahead = 0
        self._pinged: float | None = None
        self._next_ping = 0.0
        self._patience = 2 * setup.pace.election
        self._poller = poller
        self._watching = 0
        sock.setblocking(False)
        self._watch()
        self._tell(Said.ROLE, False, 0, None)

    def run(self) -> None:
        """Until the pipe ends. Raises what ends a node."""
        logging.basicConfig(level=logging.INFO, handlers=[Reports(self._tell)])
        logging.getLogger("pysyncobj").setLevel(logging.WARNING)
        if torn := self.node.journal.torn:
            logger.warning("the journal had a torn tail, as after a power loss: %d bytes are cut off", torn)
        self._hear()
        while os.getppid() == self._parent:  # a child of the parent may hold the other end of the pipe open
            self.node.doTick(TICK)
            self._transport.tick()
            self._deliver()
            self._finish_changes()
            self._finish_transfers()
            self._watch_owner()

    def close(self) -> None:
        self._transport.close()
        self.node.journal.close()

    # To the owner

    def _deliver(self) -> None:
        """Whatever is due, in order, as far as the owner keeps up."""
        while self._ahead < AHEAD and (told := self._delivery.take(PORTION)) is not None:
            if isinstance(told, Manifest):
                self._spend(len(told.manifest))
                self._tell(Said.MANIFEST, told.index, told.term, told.manifest)
            elif told.records:
                size = sum([len(record[2]) + 64 for record in told.records])
                self._spend(size)
                self._tell(Said.RECORDS, told.records, told.upto, size)
        for role in self._roles.take():
            self._tell(Said.ROLE, role.leader, role.term, role.leader_node)
        self._barriers.look()
        while self._proved and self._proved[0][0] <= self._delivery.cursor:
            index, call = self._proved.popleft()
            self._tell(Said.ANSWER, call, index)

    def _spend(self, size: int) -> None:
        self._ahead += size

    def _tell(self, *message: Any) -> None:
        try:
            if not self._outbox.send(packed(*message)):
                self._watch()
        except OSError:
            raise Ended from None

    def _refuse(self, call: int, problem: ShareliteError) -> None:
        detail = self._leader_node() or "" if isinstance(problem, NotLeader) else str(problem)
        self._tell(Said.REFUSAL, call, problem.code, detail)

    def _leader_node(self) -> str | None:
        leader = self.node.leader()
        return leader.rpartition(".")[0] if leader and leader != self.node.me.id else None

    def _lost(self) -> None:
        self._roles.lost()

    # From the owner

    def _watch(self) -> None:
        mask = READ | ERROR | (WRITE if self._outbox.waiting else 0)
        if mask != self._watching:
            self._watching = mask
            self._poller.subscribe(self._sock.fileno(), self._event, mask)

    def _event(self, _: int, events: int) -> None:
        try:
            if events & WRITE:
                self._outbox.flush()
                self._watch()
            if events & (READ | ERROR):
                self._read()
        except OSError:
            raise Ended from None

    def _read(self) -> None:
        try:
            data = self._sock.recv(1 << 20)
        except (BlockingIOError, InterruptedError):
            return
        if not data:
            raise Ended
        self._came += data
        self._hear()

    def _hear(self) -> None:
        """Proposals that came together are appended, and answered, together."""
        proposed: list[tuple[int, list[bytes]]] = []
        for said, *message in taken(self._came):
            if said == Said.PROPOSE:
                proposed.append((message[0], message[1]))
            else:
                self._propose(proposed)
                proposed.clear()
                HEARD[said](self, *message)
        self._propose(proposed)

    def _propose(self, proposed: list[tuple[int, list[bytes]]]) -> None:
        if not proposed:
            return
        appended = self.node.propose([payload for _, payloads in proposed for payload in payloads])
        calls = [(first, len(payloads)) for first, payloads in proposed]
        if appended is None:
            self._tell(Said.NOT_LED, calls)
        else:
            self._tell(Said.APPENDED, calls, *appended)

    def _barrier(self, call: int, strict: bool) -> None:
        def settle(index: int | None) -> None:
            if index is None:
                self._refuse(call, NotLeader(None))
            else:
                self._proved.append((index, call))

        self._barriers.ask(strict, settle)

    def _trim(self, upto: int, manifest: bytes) -> None:
        if upto <= self._delivery.cursor:
            self.node.journal.trim(upto, manifest)

    def _status(self, call: int) -> None:
        node, journal, role = self.node, self.node.journal, self._roles.told
        connected = frozenset(peer.rpartition(".")[0] for peer in node.connected())
        matched = {peer.rpartition(".")[0]: index for peer, index in node.matched().items()}
        status = Status(
            node.me.node, role, node.members(), connected, journal.base + 1, journal.last, node.commit,
            self._delivery.cursor, journal.snapshot.index, matched, journal.size,
        )  # fmt: skip
        self._tell(Said.ANSWER, call, msgspec.msgpack.encode(status))

    def _add(self, call: int, node: str, incarnation: int, address: str) -> None:
        self._change(call, lambda: members.added(self.node.members(), Member(node, incarnation, address)))

    def _remove(self, call: int, node: str) -> None:
        self._change(call, lambda: members.removed(self.node.members(), node, self.node.me.node))

    def _change(self, call: int, changed: Callable[[], list[Member]]) -> None:
        if not self.node._isLeader():
            self._refuse(call, NotLeader(None))
            return
        try:
            self._changes.append((call, self.node.change_members(changed()), self.node.term))
        except MembershipRefused as problem:
            self._refuse(call, problem)

    def _finish_changes(self) -> None:
        """A change that is committed is done; one whose leadership ended before that is unknown."""
        node = self.node
        while self._changes:
            call, index, term = self._changes[0]
            if node.commit >= index and node.journal.term_at(index) in (term, None):
                self._tell(Said.ANSWER, call, None)
            elif node.term != term or not node._isLeader():
                self._tell(Said.REFUSAL, call, "unknown", "")
            else:
                return
            self._changes.popleft()

    def _transfer(self, call: int, node: str | None) -> None:
        if not self.node._isLeader():
            self._refuse(call, NotLeader(None))
            return
        try:
            heir = self._heir(node)
            self.node.hand_over(heir)
        except MembershipRefused as problem:
            self._refuse(call, problem)
            return
        self._transfers[call] = (heir, engine.now() + self._patience)

    def _heir(self, node: str | None) -> str | None:
        """The member that is named. Raises MembershipRefused."""
        found = {one.node: one.id for one in self.node.members()}
        if node == self.node.me.node:
            raise MembershipRefused(f"node {node} leads already")
        if node is not None and node not in found:
            raise MembershipRefused(f"there is no member {node}; the cell has {', '.join(sorted(found))}")
        return found[node] if node is not None else None

    def _finish_transfers(self) -> None:
        for call, (heir, until) in list(self._transfers.items()):
            if not self.node._isLeader():
                del self._transfers[call]
                self._tell(Said.ANSWER, call, None)
            elif engine.now() > until:
                del self._transfers[call]
                self._refuse(call, MembershipRefused("nobody took over in time; this node leads on"))
            else:
                with suppress(MembershipRefused):
                    self.node.hand_over(heir)

    def _watch_owner(self) -> None:
        """A leader whose serving process stands still serves nobody: another one should lead."""
        now = engine.now()
        if not self.node._isLeader():
            self._pinged = None
        elif self._pinged is None and now >= self._next_ping:
            self._pinged = now
            self._tell(Said.PING)
        elif self._pinged is not None and now - self._pinged > ASLEEP:
            with suppress(MembershipRefused):
                self.node.hand_over(None)

    def _awake(self) -> None:
        self._pinged, self._next_ping = None, engine.now() + PING

    def _taken(self, size: int) -> None:
        self._ahead -= size

    def _stop(self) -> None:
        raise Ended


HEARD: dict[int, Callable[..., None]] = {
    Said.BARRIER: Process._barrier,
    Said.TRIM: Process._trim,
    Said.STATUS: Process._status,
    Said.ADD: Process._add,
    Said.REMOVE: Process._remove,
    Said.TRANSFER: Process._transfer,
    Said.TAKEN: Process._taken,
    Said.AWAKE: Process._awake,
    Said.STOP: Process._stop,
}


class Reports(logging.Handler):
    """Log lines go to the serving process, which knows where they belong."""

    def __init__(self, tell: Callable[..., None]) -> None:
        super().__init__()
        self._tell_owner = tell

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Ended):
            self._tell_owner(Said.LOG, record.levelno, record.name, record.getMessage()[:2000])


def first_message(sock: socket.socket, came: bytearray) -> bytes:
    """The setup; what was said behind it stays in `came`."""
    while data := sock.recv(1 << 16):
        came += data
        for said, *message in taken(came):
            assert said == Said.SETUP
            found: bytes = message[0]
            return found
    raise Ended


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # told to everybody by terminals and supervisors; who serves decides
    sock = socket.socket(fileno=int(sys.argv[1]))
    try:
        engine.check()
        engine.disable_pickle()
        engine.take_ready_journals()
        came = bytearray()
        setup = Setup.unpack(first_message(sock, came))
        process = Process(sock, setup, came, int(sys.argv[2]))
        gc.freeze()
        try:
            process.run()
        finally:
            process.close()
    except Ended:
        return 0
    except Exception as problem:  # the serving process has to hear of anything that ends this one
        expected = isinstance(problem, (ShareliteError, OSError))
        tell_failure(sock, str(problem) if expected else f"{type(problem).__name__}: {problem}")
        if not expected:
            raise
        return FAILED
    return 0


def tell_failure(sock: socket.socket, why: str) -> None:
    with suppress(OSError):
        sock.settimeout(1.0)
        sock.sendall(packed(Said.FAILURE, why))


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
