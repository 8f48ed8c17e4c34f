"""A cell in memory: the port (`server/cluster/port.py`) without network, disk or chance.

    cell = MemoryCell("a", "b", "c")
    cell.port("a").start(owner)          # each node its owner; "a" leads
    done = cell.port("a").propose(b"...")
    cell.run()                           # everything that can happen happens, on this thread

Nothing is delivered until `run()`; `with cell.running():` does that on a thread for each port, as the real one does.
Faults: `cut`, `heal`, `elect`, `hold` (the leader appends, the others get nothing), `lose` (what was held is gone).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from sharelite.cluster.port import (
    RECORD_LIMIT,
    Member,
    MembershipRefused,
    NotLeader,
    Owner,
    Proposal,
    Role,
    Status,
)
from sharelite.errors import TooLarge

T = TypeVar("T")


@dataclass(slots=True)
class _Record:
    index: int
    term: int
    payload: bytes


@dataclass(slots=True)
class _Held:
    """Appended at the leader, not yet anywhere else."""

    node: str
    record: _Record
    future: Future[Proposal]


@dataclass(slots=True)
class _Log:
    """What is committed, and what has been forgotten of it."""

    records: list[_Record] = field(default_factory=list)
    trimmed: tuple[int, int, bytes] | None = None
    last: int = 0


class MemoryPort:
    """One node of a MemoryCell. Its callbacks run in `MemoryCell.run` or on its own thread."""

    def __init__(self, cell: MemoryCell, member: Member) -> None:
        self.member = member
        self._cell = cell
        self._owner: Owner | None = None
        self._todo: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._failed = False
        self.sent = 0
        self.delivered = 0
        self.role = Role(False, 0, None)

    def start(self, owner: Owner) -> None:
        self._owner = owner
        with self._cell.lock:
            self._cell.arrive(self)

    def propose(self, payload: bytes) -> Future[Proposal]:
        if len(payload) > RECORD_LIMIT:
            raise TooLarge("a record", len(payload), RECORD_LIMIT)
        with self._cell.lock:
            return self._cell.propose(self, payload)

    def read_barrier(self, strict: bool) -> Future[int]:
        future: Future[int] = Future()
        with self._cell.lock:
            if self._cell.proved(self):
                index = self._cell.log.last
                self.post(lambda: _set(future, index))
            else:
                leader = self._cell.leader
                self.post(lambda: future.set_exception(NotLeader(leader)))
        return future

    def trim(self, upto: int, manifest: bytes) -> None:
        with self._cell.lock:
            self._cell.trim(upto, manifest)

    def status(self) -> Future[Status]:
        future: Future[Status] = Future()
        with self._cell.lock:
            found = self._cell.status(self)
        self.post(lambda: _set(future, found))
        return future

    def add(self, member: Member) -> Future[None]:
        with self._cell.lock:
            return self._cell.change(self, lambda: self._cell.join(member))

    def remove(self, node: str) -> Future[None]:
        with self._cell.lock:
            if node == self.member.node:
                return _failed(MembershipRefused("the leader cannot be removed: transfer leadership first"))
            return self._cell.change(self, lambda: self._cell.leave(node))

    def transfer(self, node: str | None = None) -> Future[None]:
        with self._cell.lock:
            others = [other for other in self._cell.reachable() if other != self.member.node]
            heir = node or (others[0] if others else None)
            if heir not in others:
                return _failed(MembershipRefused("nobody is level and connected; try again when one is"))
            return self._cell.change(self, lambda: self._cell.lead(heir))

    def stop(self) -> None:
        with self._cell.lock:
            self._cell.gone(self)
        self._owner = None

    def post(self, call: Callable[[], None]) -> None:
        self._todo.put(call)

    def drain(self) -> bool:
        """Run what waits; False if nothing did."""
        ran = False
        while True:
            try:
                call = self._todo.get_nowait()
            except queue.Empty:
                return ran
            if call is not None:
                ran = True
                self._run(call)

    def serve(self) -> None:
        """Until `end`, on a thread of its own."""
        while (call := self._todo.get()) is not None:
            self._run(call)

    def end(self) -> None:
        self._todo.put(None)

    def deliver(self, record: _Record, future: Future[Proposal] | None = None) -> None:
        self.sent = record.index
        owner = self._owner

        def call() -> None:
            if owner is not None and owner is self._owner:
                owner.on_record(record.index, record.term, record.payload)
                self.delivered = record.index
            if future is not None:
                _set(future, "committed")

        self.post(call)

    def install(self, index: int, term: int, manifest: bytes) -> None:
        self.sent = index
        owner = self._owner

        def call() -> None:
            if owner is not None and owner is self._owner:
                owner.on_manifest(index, term, manifest)
                self.delivered = index

        self.post(call)

    def take_role(self, role: Role) -> None:
        owner = self._owner

        def call() -> None:
            if owner is not None and owner is self._owner and role != self.role:
                self.role = role
                owner.on_role(role)

        self.post(call)

    def fail(self, why: str) -> None:
        """As if the Raft process had been killed."""
        with self._cell.lock:
            self._cell.gone(self)
        self._end(why)

    def _end(self, why: str) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            self.post(lambda: owner.on_failure(why))

    def _run(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as problem:
            self.fail(f"the owner raised {problem!r}")


class MemoryCell:
    """Nodes with one log. The first node leads, as soon as a majority has started."""

    def __init__(self, *nodes: str) -> None:
        self.lock = threading.RLock()
        self.log = _Log()
        self.term = 0
        self.leader: str | None = None
        self._ports = {node: MemoryPort(self, Member(node, 1, f"memory:{at}")) for at, node in enumerate(nodes, 1)}
        self._members = set(nodes)
        self._up: set[str] = set()
        self._cut: set[str] = set()
        self._holding = False
        self._held: list[_Held] = []
        self._threads: dict[str, threading.Thread] = {}
        self._threaded = False

    def port(self, node: str) -> MemoryPort:
        return self._ports[node]

    def run(self) -> None:
        """Deliver until nothing is left to deliver, on the calling thread."""
        while any([port.drain() for port in self._ports.values()]):
            pass

    @contextmanager
    def running(self) -> Iterator[MemoryCell]:
        """A delivering thread for each port, also for those that join meanwhile."""
        self._threaded = True
        for port in self._ports.values():
            self._serve(port)
        try:
            yield self
        finally:
            self._threaded = False
            for port in list(self._ports.values()):
                port.end()
            for thread in self._threads.values():
                thread.join(30)
            self._threads.clear()

    def cut(self, *nodes: str) -> None:
        """These reach nobody. A leader without a majority stops leading; the others elect the first of them."""
        with self.lock:
            self._cut |= set(nodes)
            self._settle()

    def heal(self) -> None:
        with self.lock:
            self._cut.clear()
            self._settle()

    def elect(self, node: str) -> None:
        """Another leader, as after an election that this node won. What was held is lost, its futures `unknown`."""
        with self.lock:
            self.lead(node)

    def hold(self) -> None:
        """From now on the leader appends and nobody else hears of it."""
        with self.lock:
            self._holding = True

    def release(self) -> None:
        """What was held commits."""
        with self.lock:
            self._holding = False
            held, self._held = self._held, []
            for one in held:
                self._commit(one.record, one.node, one.future)

    def restart(self, node: str) -> MemoryPort:
        """A new port for a node that was stopped or has failed: it will be told everything again."""
        old = self._ports[node]
        with self.lock:
            self.gone(old)
            port = self._ports[node] = MemoryPort(self, old.member)
        old.end()
        if self._threaded:
            self._serve(port)
        return port

    # What the ports call, with the lock held.

    def arrive(self, port: MemoryPort) -> None:
        self._up.add(port.member.node)
        self._settle()

    def gone(self, port: MemoryPort) -> None:
        self._up.discard(port.member.node)
        if self.leader == port.member.node:
            self._step_down()
        self._settle()

    def propose(self, port: MemoryPort, payload: bytes) -> Future[Proposal]:
        future: Future[Proposal] = Future()
        if self.leader != port.member.node:
            port.post(lambda: _set(future, "not_leader"))
            return future
        self.log.last += 1
        record = _Record(self.log.last, self.term, payload)
        if self._holding:
            self._held.append(_Held(port.member.node, record, future))
        else:
            self._commit(record, port.member.node, future)
        return future

    def proved(self, port: MemoryPort) -> bool:
        return self.leader == port.member.node and not self._holding

    def trim(self, upto: int, manifest: bytes) -> None:
        if self.log.trimmed is not None and upto <= self.log.trimmed[0]:
            return
        gone = [record for record in self.log.records if record.index <= upto]
        self.log.records = self.log.records[len(gone) :]
        self.log.trimmed = (upto, gone[-1].term if gone else self.term, manifest)

    def status(self, port: MemoryPort) -> Status:
        members = tuple(sorted(self._ports[node].member for node in self._members))
        first = self.log.records[0].index if self.log.records else self.log.last + 1
        trimmed = self.log.trimmed[0] if self.log.trimmed else 0
        node, last = port.member.node, self.log.last
        matched = {other: self._ports[other].sent for other in self._members - {node}} if self.leader == node else {}
        connected = frozenset(self.reachable()) - {node}
        return Status(node, port.role, members, connected, first, last, last, port.delivered, trimmed, matched, 0)

    def change(self, port: MemoryPort, change: Callable[[], None]) -> Future[None]:
        if self.leader != port.member.node:
            return _failed(NotLeader(self.leader))
        future: Future[None] = Future()
        change()
        port.post(lambda: _set(future, None))
        return future

    def join(self, member: Member) -> None:
        port = MemoryPort(self, member)
        self._ports[member.node] = port
        self._members.add(member.node)
        if self._threaded:
            self._serve(port)

    def leave(self, node: str) -> None:
        self._members.discard(node)
        self._settle()

    def lead(self, node: str) -> None:
        self._step_down()
        self.term += 1
        self.log.last += 1
        self.leader = node
        self._catch_up()
        self._tell_roles()

    def reachable(self) -> list[str]:
        return [node for node in self._ports if node in (self._up & self._members) - self._cut]

    def _settle(self) -> None:
        there = self.reachable()
        enough = len(there) > len(self._members) // 2
        if self.leader is not None and (self.leader not in there or not enough):
            self._step_down()
        if self.leader is None and enough:
            self.lead(there[0])
        self._catch_up()
        self._tell_roles()

    def _step_down(self) -> None:
        held, self._held = self._held, []
        for one in held:
            self._ports[one.node].post(_setter(one.future, "unknown"))
        self.leader = None

    def _commit(self, record: _Record, node: str, future: Future[Proposal]) -> None:
        self.log.records.append(record)
        for other in self.reachable():
            if other == node:
                self._ports[other].deliver(record, future)
            else:
                self._ports[other].deliver(record)

    def _catch_up(self) -> None:
        if self.leader is None:
            return
        for node in self.reachable():
            port = self._ports[node]
            if self.log.trimmed is not None and port.sent < self.log.trimmed[0]:
                port.install(*self.log.trimmed)
            for record in self.log.records:
                if record.index > port.sent:
                    port.deliver(record)

    def _tell_roles(self) -> None:
        there = self.reachable()
        for node in self._up:
            known = self.leader if node in there else None
            self._ports[node].take_role(Role(known == node, self.term, known))

    def _serve(self, port: MemoryPort) -> None:
        thread = threading.Thread(target=port.serve, name=f"cell-{port.member.node}", daemon=True)
        self._threads[f"{port.member.node}-{len(self._threads)}"] = thread
        thread.start()


def _set(future: Future[T], value: T) -> None:
    with suppress(InvalidStateError):
        future.set_result(value)


def _setter(future: Future[Proposal], value: Proposal) -> Callable[[], None]:
    return lambda: _set(future, value)


def _failed(problem: Exception) -> Future[None]:
    future: Future[None] = Future()
    future.set_exception(problem)
    return future
