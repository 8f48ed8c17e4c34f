"""A cell in a simulated world: virtual clock, links, disks and faults, the real journal, guard and PySyncObj.

One seed is one world: it decides every delay, crash and choice, so a seed that fails fails again. What is checked, all
the time: one leader and one vote for each term and voter; every owner is told the same records in the same order
without gap or repeat; nothing acknowledged is lost; no read barrier is older than an acknowledgement before it; nobody
leads while an earlier leader's lease holds; no entry is cut that the leader has too; no leader believes a follower to
have what it has not. At the end all faults stop, and everybody must become level and take a write.
"""

from __future__ import annotations

import heapq
import random
import zlib
from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pysyncobj.syncobj

from sharelite.cluster.port import Member, MembershipRefused
from sharelite.cluster.raft import engine, members
from sharelite.cluster.raft.guard import Pace, SafetyViolation
from sharelite.cluster.raft.journal import Identity, Journal, JournalFailed, Sizes, Snapshot
from sharelite.cluster.raft.node import Node
from sharelite.cluster.raft.stream import Barriers, Delivery, Manifest, Records, Roles
from tests.raft_disk import MemoryDisk

FOLDER = Path("/raft")
TICK = 0.02
#: Seconds without faults after which nothing more is expected to happen.
CALM = 20
DEAD_LINK = 1.0


class Violation(AssertionError):
    """Something that must never be. Names the seed."""


class Plan(NamedTuple):
    """What kind of world: drawn from the seed, unless a test says so."""

    nodes: int
    seconds: float
    crash: float
    power: float
    cut: float
    pause: float
    delay: float
    trim: float
    change: float
    load: float
    batch: int
    window: int
    segment: int

    @classmethod
    def drawn(cls, chance: random.Random) -> Plan:
        def rate(*choices: float) -> float:
            return chance.choice(choices)

        return cls(
            nodes=chance.choice((3, 3, 3, 5)),
            seconds=9.0,
            crash=rate(0, 0.3, 1.0),
            power=rate(0, 0.5, 1.0),
            cut=rate(0, 0.3, 1.0),
            pause=rate(0, 0, 0.5),
            delay=rate(0.001, 0.02, 0.15),
            trim=rate(0, 0, 0.5, 2.0),
            change=rate(0, 0, 0.3),
            load=rate(5, 20, 40),
            batch=rate(60, 500, 1 << 20),  # type: ignore[arg-type]
            window=rate(3000, 20_000, 8 << 20),  # type: ignore[arg-type]
            segment=rate(1500, 1 << 20),  # type: ignore[arg-type]
        )


class Watched(Journal):
    """A journal that tells what is cut, before it is."""

    on_cut: Callable[[int], None]

    def deleteEntriesFrom(self, place: int) -> None:
        self.on_cut(self.base + max(place, 1))
        super().deleteEntriesFrom(place)

    def install(self, snapshot: Snapshot) -> None:
        self.on_cut(snapshot.index + 1)
        super().install(snapshot)


@dataclass(slots=True)
class Owner:
    """What a node's owner has: how far, and a digest of everything up to there."""

    upto: int = 1
    chain: int = 0


@dataclass(slots=True)
class Place:
    """One member's machine: its disk and its owner's files outlive the process."""

    member: Member
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    kept: Owner = field(default_factory=Owner)
    founder: bool = True
    retired: bool = False
    running: Running | None = None
    paused_until: float = 0.0


@dataclass(slots=True)
class Running:
    """A process of a node."""

    node: Node
    delivery: Delivery
    roles: Roles
    barriers: Barriers
    owner: Owner
    links: SimLinks
    inbox: list[tuple[str, Any]] = field(default_factory=list)
    pending: dict[int, tuple[int, bytes]] = field(default_factory=dict)


class NullPoller:
    def poll(self, timeout: float) -> None:
        return None


class SimLinks:
    """A node's outgoing connections in the world."""

    def __init__(self, world: World, me: str) -> None:
        self._world, self._me = world, me
        self.up: set[str] = set()
        self.known: dict[str, Member] = {}
        self.on_message: Callable[[str, object], None]
        self.on_up: Callable[[str], None]
        self.on_down: Callable[[str], None]

    def attach(
        self, on_message: Callable[[str, object], None], on_up: Callable[[str], None], on_down: Callable[[str], None]
    ) -> None:
        self.on_message, self.on_up, self.on_down = on_message, on_up, on_down

    def send(self, peer: str, message: dict[str, Any]) -> None:
        self._world.saw(self._me, peer, message)
        if peer in self.up:
            self._world.carry(self._me, peer, message)

    def congested(self, peer: str) -> bool:
        return False

    def follow(self, found: tuple[Member, ...]) -> None:
        self.known = {one.id: one for one in found}
        for gone in self.up - set(self.known):
            self.up.discard(gone)
            self.on_down(gone)

    def close(self) -> None:
        return None


class World:
    def __init__(
        self,
        seed: int,
        plan: Plan | None = None,
        node_class: type[Node] = Node,
        journal_class: type[Watched] = Watched,
        honest: bool = True,
    ) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.plan = plan or Plan.drawn(self.chance)
        self.now = 100.0
        self._node_class = node_class
        self._journal_class = journal_class
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self._cuts: set[tuple[str, str]] = set()
        self._fifo: dict[tuple[str, str], float] = {}
        self._leaders: dict[int, str] = {}
        self._votes: dict[tuple[str, int], str] = {}
        self._chains: dict[int, int] = {}
        self._records: dict[int, bytes] = {}
        self._acked: dict[bytes, int] = {}
        self._newest_ack = 0
        self._calm = False
        self._names = 0
        self._last_write = 0
        self.counts: dict[str, int] = defaultdict(int)
        self.places: dict[str, Place] = {}
        founders = [Member(f"n{number}", 1, f"sim:{number}") for number in range(self.plan.nodes)]
        self._founders = members.pack(founders)
        for member in founders:
            self.places[member.id] = Place(member, MemoryDisk(honest))
        self._newcomers = self.plan.nodes

    def fail(self, what: str) -> None:
        raise Violation(f"seed {self.seed} at {self.now - 100:.2f} s: {what}")

    # The run

    def run(self) -> World:
        with clock(lambda: self.now):
            for place in list(self.places.values()):
                self.start(place)
            self._every(lambda: 1 / self.plan.load, self._propose)
            self._every(lambda: 0.3, self._read)
            plan = self.plan
            for rate, fault in (
                (plan.crash, self._crash),
                (plan.crash / 5, self._crash_all),
                (plan.cut, self._cut),
                (plan.pause, self._pause),
                (plan.trim, self._trim),
                (plan.change, self._change),
                (plan.change, self._hand_over),
            ):
                if rate:
                    self._every(lambda rate=rate: self.chance.expovariate(rate), fault)  # type: ignore[misc]
            self._until(100.0 + plan.seconds)
            self._converge()
        return self

    def _converge(self) -> None:
        self._calm = True
        self._cuts.clear()
        for place in self.places.values():
            place.paused_until = 0.0
            place.disk.fail_at = None
            if place.running is None and not place.retired:
                self.start(place)
        deadline, known = self.now + CALM, 0
        while self.now < deadline:
            self._until(self.now + 0.5)
            self._replace_wiped()
            if self._level():
                return
            if (gone_on := self._appended()) > known:  # slow links take their time
                deadline, known = self.now + CALM, gone_on
        state = {name: self._described(place) for name, place in self.places.items()}
        self.fail(f"nothing went on for {CALM} s, and not all are level: {state}")

    def _appended(self) -> int:
        """How much is in all logs, but for what elections add: of that there is no end."""
        running = [place.running for place in self.places.values() if place.running is not None]
        return sum(each.owner.upto for each in running)

    def _replace_wiped(self) -> None:
        """The operator goes on until every wiped member has been replaced by what it came back as."""
        leader = self._leader()
        if leader is None or leader.running is None:
            return
        node = leader.running.node
        inside = {member.id for member in node.members()}
        for place in list(self.places.values()):
            if place.member.incarnation > 1 and place.member.id not in inside and not place.retired:
                try:
                    self._admit(node, place, inside)
                except MembershipRefused:
                    self.counts["refused"] += 1

    def _level(self) -> bool:
        """One leader, all members at the same place, a write goes through, and everything acknowledged is there."""
        leading = [place for place in self.places.values() if place.running and place.running.node.established()]
        if not leading:
            return False
        leader = max(leading, key=lambda place: place.running.node.term)  # type: ignore[union-attr]
        assert leader.running is not None
        inside = [self.places[member.id] for member in leader.running.node.members()]
        ends = {(place.running.owner.upto, place.running.owner.chain) for place in inside if place.running}
        if len(ends) != 1 or any(place.running is None for place in inside):
            return False
        upto = ends.pop()[0]
        if upto < self._newest_ack:
            self.fail(f"everybody is level at {upto}, but {self._newest_ack} was acknowledged")
        self._check_acked(upto)
        if not self._last_write or self._newest_ack < self._last_write:
            self._last_write = self._propose_at(leader)
            return False
        return True

    def _check_acked(self, upto: int) -> None:
        for payload, index in self._acked.items():
            if self._records.get(index) != payload:
                self.fail(f"{payload!r} was acknowledged at {index} and is not there")
        if len(set(self._records.values())) != len(self._records):
            self.fail("a record was delivered twice, under two indexes")

    def _described(self, place: Place) -> str:
        running = place.running
        if running is None:
            return "down"
        node = running.node
        role = "leads" if node._isLeader() else "follows"
        return f"{role} term {node.term} last {node.journal.last} commit {node.commit} owner {running.owner.upto}"

    # Time

    def _at(self, when: float, event: Callable[[], None]) -> None:
        self._numbers += 1
        heapq.heappush(self._events, (when, self._numbers, event))

    def _every(self, pause: Callable[[], float], event: Callable[[], None]) -> None:
        def again() -> None:
            if not self._calm:
                event()
                self._at(self.now + pause(), again)

        self._at(self.now + pause(), again)

    def _until(self, end: float) -> None:
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = end

    # Processes

    def start(self, place: Place) -> None:
        member, plan = place.member, self.plan
        sizes = Sizes(segment=plan.segment, grow=0, cache=2000, keep=plan.segment)
        identity = Identity("sim", member.node, member.incarnation)
        founders = self._founders if place.founder else b""
        try:
            journal = self._journal_class(place.disk, FOLDER, identity, sizes, members.CONFIG, founders)
        except Exception as problem:
            self.fail(f"{member.id} does not start: {problem!r}")
        links = SimLinks(self, member.id)
        pace = Pace(batch=plan.batch, window=plan.window)
        roles: list[Roles] = []
        node = self._node_class(
            member, journal, links, pace, random.Random(self.chance.random()), lambda: roles[0].lost()
        )
        node._poller = NullPoller()
        journal.on_cut = lambda first: self._watch_cut(place, journal, first)
        delivery = Delivery(node)
        roles.append(Roles(node, delivery))
        owner = Owner(place.kept.upto, place.kept.chain)
        place.running = Running(node, delivery, roles[0], Barriers(node, 1.0), owner, links)
        self._tick(place, place.running)

    def _tick(self, place: Place, running: Running) -> None:
        if place.running is not running:
            return
        if self.now >= place.paused_until:
            self._connect(place, running)
            self._work(place, running)
        self._at(self.now + TICK * (0.5 + self.chance.random()), lambda: self._tick(place, running))

    def _work(self, place: Place, running: Running) -> None:
        """What a process does when it wakes: messages, one tick, what is due to the owner."""
        inbox, running.inbox = running.inbox, []
        try:
            for sender, message in inbox:
                running.links.on_message(sender, message)
            running.node.doTick(0.0)
        except JournalFailed:
            self._kill(place, power=True)
            self._come_back(place)
            return
        except SafetyViolation as problem:
            self.fail(f"{place.member.id}: {problem}")
        if running.node._isLeader():
            self._watch_leader(place, running.node)
        self._tell(running)

    def _watch_leader(self, place: Place, node: Node) -> None:
        first = self._leaders.setdefault(node.term, place.member.id)
        if first != place.member.id:
            self.fail(f"{first} and {place.member.id} both lead term {node.term}")
        for name, matched in node.matched().items():
            other = self.places[name].running
            if (
                other is None
                or other.node.term != node.term
                or matched <= max(node.journal.base, other.node.journal.base)
            ):
                continue
            if other.node.journal.term_at(matched) != node.journal.term_at(matched):
                self.fail(f"{place.member.id} believes that {name} has its entry {matched}")
        if node.established():
            for other_place in self.places.values():
                other = other_place.running
                if other is not None and other.node.term < node.term and other.node.established():
                    if other.node.guard.lease_holds():
                        self.fail(f"{place.member.id} leads while the lease of {other_place.member.id} holds")

    def _watch_cut(self, place: Place, journal: Journal, first: int) -> None:
        """Nothing that the leader has too may go, whatever it sent."""
        leader = place.running.node.leader() if place.running is not None else None
        there = self.places[leader].running if leader in self.places else None
        if there is None or there.node.term != place.running.node.term or first > journal.last:  # type: ignore[union-attr]
            return
        if first > there.node.journal.base and there.node.journal.term_at(first) == journal.term_at(first):
            self.fail(f"{place.member.id} cuts entry {first}, which {leader} has too")

    def _tell(self, running: Running) -> None:
        while (told := running.delivery.take(500)) is not None:
            if isinstance(told, Manifest):
                self._install(running.owner, told)
            else:
                self._deliver(running, told)
        for role in running.roles.take():
            if not role.leader:
                running.pending.clear()
        running.barriers.look()

    def _deliver(self, running: Running, told: Records) -> None:
        owner = running.owner
        for index, term, payload in told.records:
            if self._records.setdefault(index, payload) != payload:
                self.fail(f"record {index} is {self._records[index]!r} here and {payload!r} there")
            if index > owner.upto:
                owner.chain = zlib.crc32(payload, owner.chain + index & 0xFFFFFFFF)
                owner.upto = index
                if self._chains.setdefault(index, owner.chain) != owner.chain:
                    self.fail(f"an owner missed or repeated something before record {index}")
            pending = running.pending.pop(index, None)
            if pending is not None and pending == (term, payload):
                self._acked[payload] = index
                self._newest_ack = max(self._newest_ack, index)
                self.counts["acked"] += 1

    def _install(self, owner: Owner, told: Manifest) -> None:
        upto, _, chain = told.manifest.partition(b":")
        if told.manifest and int(upto) > owner.upto:
            owner.upto, owner.chain = int(upto), int(chain)
            self.counts["installed"] += 1

    def _kill(self, place: Place, power: bool) -> None:
        if place.running is None:
            return
        self.counts["crashes"] += 1
        place.running = None
        if power:
            place.disk.fail_at = None
            place.disk.lose_power(self.chance)
        for other in self.places.values():
            if other.running is not None and place.member.id in other.running.links.up:
                other.running.links.up.discard(place.member.id)
                other.running.links.on_down(place.member.id)

    # The network

    def _connect(self, place: Place, running: Running) -> None:
        """Dial the other members, and whoever dialled this node; find out, after a while, that a link is dead."""
        me = place.member.id
        dialling = {name for name, other in self.places.items() if other.running and me in other.running.links.up}
        for peer in sorted(dialling | running.links.known.keys()):
            there = self.places.get(peer)
            cut = (me, peer) in self._cuts or (peer, me) in self._cuts
            reachable = there is not None and there.running is not None and not cut
            if peer in running.links.up and not reachable and self.chance.random() < TICK / DEAD_LINK:
                running.links.up.discard(peer)
                running.links.on_down(peer)
            elif peer not in running.links.up and reachable and self.chance.random() < 0.3:
                running.links.up.add(peer)
                running.links.on_up(peer)

    def carry(self, sender: str, receiver: str, message: dict[str, Any]) -> None:
        link = (sender, receiver)
        if link in self._cuts:
            return
        arrival = self.now + self.plan.delay * self.chance.random() * (10 if self.chance.random() < 0.02 else 1)
        arrival = self._fifo[link] = max(arrival, self._fifo.get(link, 0.0) + 1e-6)
        target = self.places[receiver].running
        source = self.places[sender].running

        def arrive() -> None:
            place = self.places[receiver]
            if target is None or place.running is not target or link in self._cuts:
                return
            if source is None or receiver not in source.links.up:
                return
            target.inbox.append((sender, message))
            if self.now >= place.paused_until:
                self._work(place, target)

        self._at(arrival, arrive)

    def saw(self, sender: str, receiver: str, message: dict[str, Any]) -> None:
        if message["type"] == "response_vote":
            vote = self._votes.setdefault((sender, message["term"]), receiver)
            if vote != receiver:
                self.fail(f"{sender} votes for {vote} and for {receiver} in term {message['term']}")

    # What clients do

    def _propose(self) -> None:
        for place in self.places.values():
            if place.running is not None and place.running.roles.told.leader and self.now >= place.paused_until:
                self._propose_at(place)

    def _propose_at(self, place: Place) -> int:
        running = place.running
        assert running is not None
        self._names += 1
        payload = b"%d." % self._names + b"x" * self.chance.choice((0, 10, 200))
        appended = running.node.propose([payload])
        if appended is None:
            return 0
        running.pending[appended[0]] = (appended[1], payload)
        if self.chance.random() < 0.5:
            self._work(place, running)
        return appended[0]

    def _read(self) -> None:
        newest = self._newest_ack
        for place in self.places.values():
            if place.running is not None and self.now >= place.paused_until:

                def settle(index: int | None, newest: int = newest, name: str = place.member.id) -> None:
                    if index is not None and index < newest:
                        self.fail(f"{name} answered a read at {index}, {newest} was acknowledged before it")
                    self.counts["reads"] += index is not None

                place.running.barriers.ask(self.chance.random() < 0.5, settle)

    # Faults

    def _crash(self) -> None:
        up = [place for place in self.places.values() if place.running is not None]
        if up:
            place = self.chance.choice(up)
            if self.chance.random() < 0.2:
                place.disk.fail_at = place.disk.steps + self.chance.randint(1, 6)
            else:
                self._kill(place, self.chance.random() < self.plan.power)
                self._come_back(place)

    def _crash_all(self) -> None:
        for place in self.places.values():
            self._kill(place, self.chance.random() < self.plan.power)
            self._come_back(place)

    def _come_back(self, place: Place) -> None:
        def back() -> None:
            if place.running is None and not place.retired:
                self.start(place)

        self._at(self.now + self.chance.uniform(0.05, 2.5), back)

    def _cut(self) -> None:
        names = sorted(self.places)
        style = self.chance.random()
        if style < 0.4:
            name = self.chance.choice(names)
            cuts = {pair for other in names for pair in ((name, other), (other, name))}
        elif style < 0.6:
            cuts = {(self.chance.choice(names), self.chance.choice(names)) for _ in range(2)}
        elif style < 0.8:
            one, other = self.chance.sample(names, 2)
            cuts = {(one, other), (other, one)}
        else:
            side = set(self.chance.sample(names, len(names) // 2))
            cuts = {(a, b) for a in names for b in names if (a in side) != (b in side)}
        self._cuts |= cuts
        self._at(self.now + self.chance.uniform(0.2, 4.0), lambda: self._cuts.difference_update(cuts))

    def _pause(self) -> None:
        place = self.chance.choice(sorted(self.places.values(), key=lambda one: one.member))
        place.paused_until = self.now + self.chance.uniform(0.2, 3.0)

    def _trim(self) -> None:
        """An owner syncs what it has and lets the log forget it."""
        up = [place for place in self.places.values() if place.running is not None]
        for place in up:
            running = place.running
            if running is None or self.chance.random() < 0.4 or self.now < place.paused_until:
                continue
            owner = running.owner
            place.kept = Owner(owner.upto, owner.chain)
            upto = min(running.delivery.cursor, owner.upto)
            try:
                running.node.journal.trim(upto, b"%d:%d" % (owner.upto, owner.chain))
            except JournalFailed:
                self._kill(place, power=True)
                self._come_back(place)

    def _leader(self) -> Place | None:
        found = [place for place in self.places.values() if place.running and place.running.node.established()]
        return self.chance.choice(found) if found else None

    def _hand_over(self) -> None:
        leader = self._leader()
        if leader is not None and leader.running is not None:
            try:
                leader.running.node.hand_over(None)
            except MembershipRefused:
                self.counts["refused"] += 1

    def _change(self) -> None:
        """Add a new node, take one out, or wipe one and bring it back under a new incarnation."""
        leader = self._leader()
        if leader is None or leader.running is None:
            return
        node = leader.running.node
        inside = {member.id for member in node.members()}
        waiting = [place for name, place in self.places.items() if name not in inside and not place.retired]
        try:
            if waiting:
                self._admit(node, waiting[0], inside)
            elif len(inside) < self.plan.nodes or self.chance.random() < 0.3:
                if len(inside) < 6:
                    self._newcomers += 1
                    self._arrive(Member(f"n{self._newcomers}", 1, f"sim:{self._newcomers}"))
            else:
                self._take_out(node, self.chance.choice(sorted(inside - {leader.member.id})))
        except MembershipRefused:
            self.counts["refused"] += 1

    def _arrive(self, member: Member) -> None:
        place = self.places[member.id] = Place(member, founder=False)
        self.start(place)

    def _admit(self, node: Node, place: Place, inside: set[str]) -> None:
        former = f"{place.member.node}.{place.member.incarnation - 1}"
        if former in inside:
            node.change_members(members.removed(node.members(), place.member.node, node.me.node))
        else:
            node.change_members(members.added(node.members(), place.member))
        self.counts["changes"] += 1

    def _take_out(self, node: Node, name: str) -> None:
        place = self.places[name]
        if self.chance.random() < 0.5:
            node.change_members(members.removed(node.members(), place.member.node, node.me.node))
            self.counts["changes"] += 1
            self._retire_when_out(place)
        elif all(one.running is not None for one in self.places.values() if not one.retired):
            self._kill(place, power=False)  # its disk is gone with it
            place.retired = True
            member = place.member
            self._arrive(Member(member.node, member.incarnation + 1, member.address))
            self.counts["wiped"] += 1

    def _retire_when_out(self, place: Place) -> None:
        """The operator stops a node once its removal is committed; until then it belongs to the cell."""

        def look() -> None:
            leader = self._leader()
            if leader is not None and leader.running is not None:
                node = leader.running.node
                out = place.member.id not in {member.id for member in node.members()}
                if out and node.journal.config_index <= node.commit:
                    self._kill(place, power=False)
                    place.retired = True
                    return
                if not out and node.journal.config_index <= node.commit:
                    return
            self._at(self.now + 0.2, look)

        self._at(self.now + 0.2, look)


@contextmanager
def clock(now: Callable[[], float]) -> Any:
    """PySyncObj lives by this clock meanwhile."""
    engine.take_ready_journals()
    original = pysyncobj.syncobj.monotonicTime
    pysyncobj.syncobj.monotonicTime = now
    try:
        yield
    finally:
        pysyncobj.syncobj.monotonicTime = original
