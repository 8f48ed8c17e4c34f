"""One Raft node: PySyncObj behind its guard, on our journal.

What is overridden: entries are not applied one by one inside of the tick (whoever owns the node reads what is
committed at its own pace, so nothing here can raise or block for it), sending is paced, snapshots are manifests,
compaction is the owner's decision, members stand in the log as whole lists. The rest is PySyncObj's. One thread drives
a node with `doTick`; everything else is called on it too.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.node import Node as EngineNode
from pysyncobj.transport import Transport

from ..port import Member, MembershipRefused
from . import engine, members
from .guard import Guard, Message, Pace
from .journal import Journal, Snapshot

#: Seconds between two snapshots to the same follower.
SNAPSHOT_PAUSE = 1.0


class Links(Protocol):
    """The connections to the others. `attach` is called once, before anything else."""

    def attach(self, on_message: OnMessage, on_up: OnChange, on_down: OnChange) -> None: ...
    def send(self, peer: str, message: Message) -> None:
        """Sent whole and in order, or not at all. Never blocks."""

    def congested(self, peer: str) -> bool: ...
    def follow(self, members: tuple[Member, ...]) -> None:
        """From now on these are the others."""

    def close(self) -> None: ...


OnMessage = Callable[[str, object], None]
OnChange = Callable[[str], None]


class Peer(EngineNode):  # type: ignore[misc]
    """A member, as PySyncObj names one. Its hash is the same in every run, so that a simulation can be repeated."""

    def __init__(self, member_id: str) -> None:
        super().__init__(member_id)

    def __hash__(self) -> int:
        return zlib.crc32(self.id.encode())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Peer) and self.id == other.id


class Bridge(Transport):  # type: ignore[misc]
    """PySyncObj's transport: hands everything to the guard. Its commands (`add`, `remove`, ...) have no way in."""

    def __init__(self) -> None:
        super().__init__(None, None, [])
        self.outgoing: Callable[[str, Message], None] = lambda peer, message: None

    def send(self, node: Peer, message: Message) -> bool:
        self.outgoing(node.id, message)
        return True


class Snapshots:
    """In place of PySyncObj's serializer: one message holds the whole snapshot."""

    def __init__(self) -> None:
        self.arrived: Snapshot | None = None

    def setTransmissionData(self, packed: list[Any]) -> bool:
        self.arrived = Snapshot(*packed)
        return True

    def cancelTransmisstion(self, node: Peer) -> None:
        return None


class Node(SyncObj):  # type: ignore[misc]
    """`listener`: hears of lost leadership at once, in the middle of a tick."""

    guard_class = Guard
    _SyncObj__otherNodes: set[Peer]

    def __init__(
        self, me: Member, journal: Journal, links: Links, pace: Pace, chance: random.Random, listener: OnRole
    ) -> None:
        self.me, self.journal, self.links, self._pace, self._chance = me, journal, links, pace, chance
        self._on_role = listener
        self._joined = False
        self._known = b""
        self._told = (0, 0)
        self._snapshot_sent: dict[str, float] = {}
        self._moving: float | None = None
        bridge = Bridge()
        super().__init__(Peer(me.id), [], _configuration(journal, pace), transport=bridge)
        self._SyncObj__serializer = Snapshots()
        self._SyncObj__raftLastApplied = journal.commit
        self.guard = self.guard_class(_Seen(self), journal, links.send, engine.now, pace)
        bridge.outgoing = self.guard.outgoing
        links.attach(self._message, self._up, self._down)
        self.settle_members()

    # What is asked of a node

    @property
    def term(self) -> int:
        return int(self._SyncObj__raftCurrentTerm)

    @property
    def commit(self) -> int:
        return int(self._SyncObj__raftCommitIndex)

    def leader(self) -> str | None:
        """The member id of the leader this node knows."""
        found: Peer | None = self._SyncObj__raftLeader
        return found.id if found is not None else None

    def follows(self) -> str | None:
        """The leader, while it is heard: after two election time-outs of silence it may be none any more."""
        silent = not self._isLeader() and engine.now() - self.guard.heard > 2 * self._pace.election
        return None if silent else self.leader()

    def established(self) -> bool:
        """Leads, and an entry of its own term is committed: everything committed before is known."""
        return bool(self._isLeader()) and self.journal.term_at(self.commit) == self.term

    def connected(self) -> frozenset[str]:
        return frozenset(peer.id for peer in self._SyncObj__connectedNodes)

    def matched(self) -> dict[str, int]:
        if not self._isLeader():
            return {}
        return {peer.id: self._SyncObj__raftMatchIndex[peer] for peer in self._SyncObj__otherNodes}

    def members(self) -> tuple[Member, ...]:
        return members.unpack(self.journal.members)

    def propose(self, payloads: list[bytes]) -> tuple[int, int] | None:
        """Append records; the index of the first and their term. None where this node may not: nothing is appended."""
        if not self.established() or self.handing_over():
            return None
        first, term, journal = self.journal.last + 1, self.term, self.journal
        for index, payload in enumerate(payloads, first):
            journal.add(members.RECORD + payload, index, term)
        return first, term

    def change_members(self, changed: list[Member]) -> int:
        """Append the new list, which counts from now on; its index. Raises MembershipRefused."""
        if not self.established() or self.handing_over():
            raise MembershipRefused("this node has only begun to lead, or is handing over; try again in a moment")
        if self.journal.config_index > self.commit:
            raise MembershipRefused("another change of members is not committed yet; try again when it is")
        index = self.journal.last + 1
        self.journal.add(members.CONFIG + members.pack(changed), index, self.term)
        self.settle_members()
        return index

    def prove(self) -> None:
        """Ask everybody, with the next tick, whether this node still leads."""
        self._told = (0, 0)

    def hand_over(self, heir: str | None) -> None:
        """Have a member lead, the most level one if none is named; called again until it does.

        Raises MembershipRefused.
        """
        peers = [peer for peer in self._SyncObj__otherNodes if peer in self._SyncObj__connectedNodes]
        if heir is not None:
            peers = [peer for peer in peers if peer.id == heir]
        if not self.established() or not peers:
            raise MembershipRefused("nobody to hand over to is connected; try again when one is")
        self._moving = self._moving or engine.now() + 2 * self._pace.election
        best = max(peers, key=lambda peer: (self._SyncObj__raftMatchIndex[peer], peer.id))
        self.transferLeadership(best, None)

    def handing_over(self) -> bool:
        """Meanwhile nothing is appended, so that the heir can become level. Ends by itself."""
        if self._moving is not None and engine.now() > self._moving:
            self._moving = None
        return self._moving is not None

    # What PySyncObj does otherwise

    def _onTick(self, timeToWait: float = 0.0) -> None:
        self._send_news()  # the others sync while this node does
        self.guard.flush()  # nothing that is not synced counts for the majority
        self._hold_elections()
        super()._onTick(timeToWait)

    def _checkCommandsToApply(self) -> None:
        """PySyncObj's queue of commands is not used; this is the place between what a tick decided and its waiting."""
        self._send_news()
        self.guard.flush()

    def _SyncObj__applyLogEntries(self) -> bool:
        self._SyncObj__raftLastApplied = max(self._SyncObj__raftLastApplied, self._SyncObj__raftCommitIndex)
        return False

    def _SyncObj__tryLogCompaction(self) -> None:
        return None

    def _SyncObj__generateRaftTimeout(self) -> float:
        return self._pace.election * (1 + self._chance.random())

    def _SyncObj__setState(self, newState: int) -> None:
        led = self._isLeader()
        super()._SyncObj__setState(newState)
        if led and not self._isLeader():
            self._moving = None
            self._on_role()

    def _SyncObj__loadDumpFile(self, clearJournal: bool) -> None:
        arrived = self._SyncObj__serializer.arrived
        assert arrived is not None
        self.journal.install(arrived)
        self._SyncObj__raftLastApplied = self._SyncObj__raftCommitIndex = arrived.index
        self.settle_members()

    def _SyncObj__sendAppendEntries(self) -> None:
        self._SyncObj__newAppendEntriesTime = engine.now() + self._pace.heartbeat
        self._told = (self.journal.last, self.commit)
        for peer in sorted(self._SyncObj__otherNodes, key=lambda one: str(one.id)):
            if peer in self._SyncObj__connectedNodes:
                self._replicate(peer)

    def _send_news(self) -> None:
        """New entries or a new commit index go to all at once; more of the log to those that are behind."""
        if not self._isLeader():
            return
        if (self.journal.last, self.commit) != self._told:
            self._SyncObj__sendAppendEntries()
            return
        for peer, following in list(self._SyncObj__raftNextIndex.items()):
            behind = self.journal.base < following <= self.journal.last
            if behind and peer in self._SyncObj__connectedNodes and self._may_send(peer):
                self._replicate(peer)

    def _may_send(self, peer: Peer) -> bool:
        sent = self.journal.span(self._SyncObj__raftMatchIndex[peer], self._SyncObj__raftNextIndex[peer])
        return sent < self._pace.window and not self.links.congested(peer.id)

    def _replicate(self, peer: Peer) -> None:
        """One message at least, so that the follower hears its leader; as many as it may get if it is behind."""
        if self._SyncObj__raftNextIndex[peer] <= self.journal.base:
            self._send_snapshot(peer)
            return
        while True:
            following = self._SyncObj__raftNextIndex[peer]
            entries = self.journal.batch(following, self._pace.batch) if self._may_send(peer) else []
            self._send_entries(peer, following - 1, entries)
            if not entries:
                return
            self._SyncObj__raftNextIndex[peer] = entries[-1][1] + 1
            if entries[-1][1] == self.journal.last:
                return

    def _send_entries(self, peer: Peer, prev: int, entries: list[tuple[bytes, int, int]]) -> None:
        message = {
            "type": "append_entries",
            "term": self.term,
            "commit_index": self.commit,
            "prevLogIdx": prev,
            "prevLogTerm": self.journal.term_at(prev),
            "entries": entries,
        }
        self.guard.outgoing(peer.id, message)

    def _send_snapshot(self, peer: Peer) -> None:
        snapshot = self.journal.snapshot
        if engine.now() - self._snapshot_sent.get(peer.id, -math.inf) < SNAPSHOT_PAUSE:
            self._send_entries(peer, self.journal.last, [])  # a heartbeat, answered by where the follower is
            return
        self._snapshot_sent[peer.id] = engine.now()
        packed = [snapshot.index, snapshot.term, snapshot.manifest, snapshot.members]
        message = {"type": "append_entries", "term": self.term, "commit_index": self.commit, "snapshot": packed}
        self.guard.outgoing(peer.id, message)
        self._SyncObj__raftNextIndex[peer] = snapshot.index + 1

    # Elections

    def _hold_elections(self) -> None:
        """PySyncObj holds an election when its deadline has passed; the deadline passes only with the others' leave."""
        if self._isLeader():
            return
        if not self._joined:
            self._SyncObj__raftElectionDeadline = math.inf
        elif self._SyncObj__raftElectionDeadline == math.inf:
            self._SyncObj__raftElectionDeadline = engine.now() + self._SyncObj__generateRaftTimeout()
        elif self._SyncObj__otherNodes and self._SyncObj__raftElectionDeadline < engine.now():
            self._ask_before_election()

    def _ask_before_election(self) -> None:
        if self.may_campaign():
            return
        self._SyncObj__raftElectionDeadline = engine.now() + self._SyncObj__generateRaftTimeout()
        self.guard.canvass()

    def may_campaign(self) -> bool:
        return self.guard.approved()

    # Members and links

    def settle_members(self) -> None:
        """Have PySyncObj count the members that the log says; at once, whatever changed the log."""
        if self.journal.members == self._known:
            return
        self._known = self.journal.members
        found = self.members()
        self._joined = any(one.id == self.me.id for one in found)
        peers = {Peer(one.id) for one in found if one.id != self.me.id}
        for gone in self._SyncObj__otherNodes - peers:
            self._SyncObj__raftNextIndex.pop(gone, None)
            self._SyncObj__raftMatchIndex.pop(gone, None)
            self._SyncObj__lastResponseTime.pop(gone, None)
        for new in peers - self._SyncObj__otherNodes:
            self._SyncObj__raftNextIndex[new] = self.journal.last + 1
            self._SyncObj__raftMatchIndex[new] = 0
            self._SyncObj__lastResponseTime[new] = engine.now()
        self._SyncObj__otherNodes = peers
        self.links.follow(tuple(one for one in found if one.id != self.me.id))

    def receive(self, peer: str, message: Message) -> None:
        """From the guard to PySyncObj."""
        self._SyncObj__onMessageReceived(Peer(peer), message)
        self.settle_members()

    def _message(self, peer: str, message: object) -> None:
        self.guard.incoming(peer, message)

    def _up(self, peer: str) -> None:
        """What was on its way when the link broke is lost: send again what was not acknowledged."""
        self._SyncObj__connectedNodes.add(Peer(peer))
        matched = self._SyncObj__raftMatchIndex.get(Peer(peer), 0)
        if self._isLeader() and matched:
            self._SyncObj__raftNextIndex[Peer(peer)] = matched + 1

    def _down(self, peer: str) -> None:
        """A leader that hung up is probably gone: ask soon, though not before the others may answer."""
        self._SyncObj__connectedNodes.discard(Peer(peer))
        if peer == self.leader() and not self._isLeader():
            silent = max(engine.now(), self.guard.heard + self._pace.election)
            soon = silent + self._pace.election / 4 * self._chance.random()
            self._SyncObj__raftElectionDeadline = min(self._SyncObj__raftElectionDeadline, soon)


OnRole = Callable[[], None]


class _Seen:
    """The node as its guard sees it."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def term(self) -> int:
        return self._node.term

    def commit(self) -> int:
        return self._node.commit

    def leads(self) -> bool:
        return bool(self._node._isLeader())

    def leader(self) -> str | None:
        return self._node.leader()

    def others(self) -> frozenset[str]:
        return frozenset(peer.id for peer in self._node._SyncObj__otherNodes)

    def receive(self, peer: str, message: Message) -> None:
        self._node.receive(peer, message)

    def next_index(self, peer: str) -> int:
        return int(self._node._SyncObj__raftNextIndex.get(Peer(peer), 0))

    def set_next_index(self, peer: str, index: int) -> None:
        self._node._SyncObj__raftNextIndex[Peer(peer)] = index

    def matched(self, peer: str) -> int:
        return int(self._node._SyncObj__raftMatchIndex.get(Peer(peer), 0))

    def campaign(self) -> None:
        self._node._SyncObj__raftElectionDeadline = 0


def _configuration(journal: Journal, pace: Pace) -> SyncObjConf:
    """PySyncObj's settings: everything it would decide by itself later is off."""
    never = 10**9
    return SyncObjConf(
        autoTick=False,
        journalFile=journal,
        raftMinTimeout=pace.election,
        raftMaxTimeout=2 * pace.election,
        appendEntriesPeriod=pace.heartbeat,
        leaderFallbackTimeout=2 * pace.election,
        connectionTimeout=4 * pace.election,
        appendEntriesUseBatch=True,
        commandsWaitLeader=False,
        dynamicMembershipChange=False,
        logCompactionMinEntries=never,
        logCompactionMinTime=never,
    )
