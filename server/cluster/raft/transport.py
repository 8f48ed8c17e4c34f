"""The Raft port: this node's connections to the others, and theirs to it.

Every node dials every other and speaks on what it dialled; what it hears comes on what others dialled. Messages are
msgpack, sealed (seal.py), whole and in order on one connection. What a broken or overfull connection loses is lost:
Raft sends it again. Nobody without the key gets further than 40 bytes and one second.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import msgpack

from ..port import Member
from .guard import Message
from .seal import Answerer, Dialer, NotOurs, Opening, Secrets
from .sockets import CHUNK, READ, Line, Poller, dialled, listening, prepare

logger = logging.getLogger(__name__)

#: Seconds: to greet, before dialling again, and without progress until a connection counts as dead.
GREETING_SECONDS = 1.0
RETRY = 0.2
DEAD = 2.0
#: Bytes waiting for one peer: beyond the first no entries are added, beyond the second the connection is given up.
CONGESTED = 1 << 20
OVERFULL = 16 << 20
#: Connections that have not greeted yet; one more pushes the oldest out. Nodes that speak to us and are no members, and
#: seconds of silence after which they are not answered any more.
STRANGERS = 32
GUESTS = 16
GUEST_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class Outgoing:
    """What this node dialled."""

    member: Member
    line: Line
    dialer: Dialer
    since: float
    moved: float
    up: bool = False
    seen: int = 0


@dataclass(slots=True, eq=False)
class Incoming:
    """What dialled this node."""

    line: Line
    answerer: Answerer
    since: float
    session: Opening | None = None
    guest: Member | None = None
    spoke: float = 0.0


class Transport:
    """Driven by the poller and by `tick`, on one thread. Implements the node's Links."""

    def __init__(self, known: Secrets, bind: tuple[str, int], poller: Poller, now: Callable[[], float]) -> None:
        """Listens at once, on exactly that address. Raises OSError."""
        self._known, self._poller, self._now = known, poller, now
        self._members: dict[str, Member] = {}
        self._out: dict[str, Outgoing] = {}
        self._in: list[Incoming] = []
        self._next: dict[str, float] = {}
        self._names: dict[str, Future[list[tuple[int, tuple[str, int]]]]] = {}
        self._resolver = ThreadPoolExecutor(1, "resolver")
        self.refused = 0
        self._listener = listening(*bind)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        poller.subscribe(self._listener.fileno(), self._accept, READ)

    def attach(
        self,
        on_message: Callable[[str, object], None],
        on_up: Callable[[str], None],
        on_down: Callable[[str], None],
    ) -> None:
        self._on_message, self._on_up, self._on_down = on_message, on_up, on_down

    def send(self, peer: str, message: Message) -> None:
        out = self._out.get(peer)
        if out is None or not out.up:
            return
        assert out.dialer.session is not None
        out.line.send(out.dialer.session.seal(msgpack.packb(message)))
        if out.line.waiting > OVERFULL:
            out.line.close(NotOurs(f"{out.line.waiting:,} bytes wait for {peer}"))

    def congested(self, peer: str) -> bool:
        out = self._out.get(peer)
        return out is not None and out.line.waiting > CONGESTED

    def follow(self, members: tuple[Member, ...]) -> None:
        self._members = {member.id: member for member in members}
        self._part()

    def tick(self) -> None:
        """Dial whoever should be connected and is not; end what does not get on."""
        now = self._now()
        self._part()
        for peer, member in self._wanted().items():
            if peer not in self._out and self._next.get(peer, 0.0) <= now:
                self._next[peer] = now + RETRY
                self._dial(member)
        for out in list(self._out.values()):
            self._watch(out, now)
        for incoming in [one for one in self._in if one.guest is None and now - one.since > GREETING_SECONDS]:
            incoming.line.close(NotOurs("no greeting in time"))

    def close(self) -> None:
        self._poller.unsubscribe(self._listener.fileno())
        self._listener.close()
        for line in [*(out.line for out in self._out.values()), *(one.line for one in self._in)]:
            line.close()
        self._resolver.shutdown(wait=False, cancel_futures=True)

    def _wanted(self) -> dict[str, Member]:
        return {**self._guests(), **self._members}

    def _guests(self) -> dict[str, Member]:
        """Who speaks to us and is no member that we know: a leader we have not heard of, who needs our answers."""
        lately = self._now() - GUEST_SECONDS
        found = [one.guest for one in self._in if one.guest is not None and one.spoke > lately]
        return {guest.id: guest for guest in found if guest.id not in self._members}

    def _part(self) -> None:
        """From those who are neither members nor guests."""
        wanted = self._wanted()
        for peer in [peer for peer in self._out if peer not in wanted]:
            self._out[peer].line.close()

    def _watch(self, out: Outgoing, now: float) -> None:
        """A connection must greet in time, and move while something waits."""
        if not out.line.waiting or out.line.waiting != out.seen:
            out.seen, out.moved = out.line.waiting, now
        if (not out.up and now - out.since > GREETING_SECONDS) or now - out.moved > DEAD:
            out.line.close(NotOurs("it does not get on"))

    # Dialling

    def _dial(self, member: Member) -> None:
        found = self._resolved(member.address)
        if not found:
            return
        family, address = found[0]
        try:
            sock = dialled(address, family)
        except OSError as problem:
            logger.debug("node %s cannot be dialled: %s", member.id, problem)
            return
        dialer = Dialer(self._known, member.id)
        line = Line(
            self._poller,
            sock,
            lambda buffer: self._answered(out, buffer),
            lambda why: self._hung_up(out, why),
        )
        out = self._out[member.id] = Outgoing(member, line, dialer, self._now(), self._now())
        line.send(dialer.hello)

    def _answered(self, out: Outgoing, buffer: bytearray) -> None:
        if out.up:
            raise NotOurs("it speaks where it should listen")
        if answer := out.dialer.feed(buffer):
            out.line.send(answer)
        if out.dialer.session is not None:
            out.up = True
            self._on_up(out.member.id)

    def _hung_up(self, out: Outgoing, why: Exception | None) -> None:
        if self._out.get(out.member.id) is out:
            del self._out[out.member.id]
        if out.up:
            logger.info("connection to node %s is gone: %s", out.member.id, why or "closed there")
            self._on_down(out.member.id)

    def _resolved(self, address: str) -> list[tuple[int, tuple[str, int]]]:
        """Numbers at once; names are looked up beside the loop, each time they are dialled."""
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        try:
            return _addresses(host, int(port), socket.AI_NUMERICHOST)
        except OSError:
            pass
        asked = self._names.get(address)
        if asked is None or asked.done():
            self._names[address] = self._resolver.submit(_addresses, host, int(port), 0)
        return asked.result() if asked is not None and asked.done() and asked.exception() is None else []

    # Being dialled

    def _accept(self, _: int, events: int) -> None:
        try:
            sock, _address = self._listener.accept()
        except OSError:
            return
        prepare(sock)
        strangers = [one for one in self._in if one.guest is None]
        if len(strangers) >= STRANGERS:
            strangers[0].line.close(NotOurs("too many strangers"))
        line = Line(
            self._poller,
            sock,
            lambda buffer: self._heard(incoming, buffer),
            lambda why: self._left(incoming, why),
        )
        line.connected = True
        incoming = Incoming(line, Answerer(self._known), self._now())
        self._in.append(incoming)

    def _heard(self, incoming: Incoming, buffer: bytearray) -> None:
        if incoming.session is None:
            if answer := incoming.answerer.feed(buffer):
                incoming.line.send(answer)
            if incoming.answerer.session is None:
                return
            self._welcome(incoming)
        assert incoming.session is not None and incoming.guest is not None
        while not incoming.line.closed and (plain := incoming.session.take(buffer)) is not None:
            incoming.spoke = self._now()
            self._on_message(incoming.guest.id, msgpack.unpackb(plain))

    def _welcome(self, incoming: Incoming) -> None:
        """The newest connection of a node is the one that counts."""
        incoming.line.chunk = CHUNK
        guest = incoming.guest = incoming.answerer.guest
        incoming.session, incoming.spoke = incoming.answerer.session, self._now()
        assert guest is not None
        for former in [one for one in self._in if one is not incoming and one.guest and one.guest.id == guest.id]:
            former.line.close()
        if len(self._guests()) > GUESTS:
            raise NotOurs("too many nodes that are no members")

    def _left(self, incoming: Incoming, why: Exception | None) -> None:
        self._in.remove(incoming)
        if incoming.guest is None:
            self.refused += 1
            logger.debug("%s", why or "a stranger left")
            return
        if why is not None:
            logger.warning("connection of node %s: %s", incoming.guest.id, why)


def _addresses(host: str, port: int, flags: int) -> list[tuple[int, tuple[str, int]]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]
