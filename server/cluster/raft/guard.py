"""The guard between PySyncObj and its peers: every message passes here, out and in.

PySyncObj's core is small and mostly Raft; what it leaves open is closed here, from outside (DESIGN.md, with the attack
that each rule answers). It decides only: bytes, sockets and the clock are others'. Peers are called by their member ids
(`node.incarnation`). One thread.

- nothing is said before it is synced: votes at once, acknowledgements with the next `flush`
- acknowledgements carry the term they belong to; those of another term do not count, a higher one ends leadership
- entries that match are never cut, and an acknowledgement never claims more than was compared
- a message never commits more than it showed to be the same here; a snapshot commits nothing
- one vote of each peer in each term, answers of members only; whoever hears a leader votes for nobody else
- an election is held only after a majority said that it would vote so (Raft, section 9.6)
- who lacks what it acknowledged to the leader of this very term has been rolled back, and takes part no more
- among several requests to go back the lowest counts; an answer to something sent before going back does not
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from ...errors import ShareliteError
from .journal import Entry, Journal

Message = dict[str, Any]


class SafetyViolation(ShareliteError):
    """What must never happen in Raft was about to: this node's log and the cell's differ in what is committed."""

    code = "safety_violation"

    def __init__(self, what: str) -> None:
        self.what = what

    def __str__(self) -> str:
        return f"{self.what}; this node has to be set up anew from its peers"


class RolledBack(SafetyViolation):
    """The files of this node are older than what it said: its vote, and what it acknowledged, cannot be relied upon."""

    def __init__(self, acked: int, last: int) -> None:
        self.acked, self.last = acked, last

    def __str__(self) -> str:
        return (
            f"the journal ends at entry {self.last}, but this node has acknowledged entry {self.acked}: its files were "
            "restored from older ones, or its disk lost what was synced; remove `raft` from its data directory and "
            "start it again, so that it comes back as another member, with everything"
        )


class Core(Protocol):
    """PySyncObj, as the guard sees it."""

    def term(self) -> int: ...
    def commit(self) -> int: ...
    def leads(self) -> bool: ...
    def leader(self) -> str | None: ...
    def others(self) -> frozenset[str]:
        """The other members; empty also at a node that has not joined yet."""

    def receive(self, peer: str, message: Message) -> None:
        """What PySyncObj is to believe it got."""

    def next_index(self, peer: str) -> int: ...
    def set_next_index(self, peer: str, index: int) -> None: ...
    def matched(self, peer: str) -> int: ...
    def campaign(self) -> None:
        """Hold an election with the next tick."""


class Pace(Struct, frozen=True):
    """Seconds and bytes, the same on every node of a cell.

    A follower that hears nothing for `election` to twice that asks for votes; the lease is `lease` of it. `batch`:
    entries in one message; `window`: on their way to one follower without an answer.
    """

    heartbeat: float = 0.1
    election: float = 0.5
    lease: float = 0.8
    batch: int = 1 << 20
    window: int = 8 << 20


class Guard:
    def __init__(
        self,
        core: Core,
        journal: Journal,
        send: Callable[[str, Message], None],
        now: Callable[[], float],
        pace: Pace,
    ) -> None:
        self._core, self._journal, self._send, self._now, self._pace = core, journal, send, now, pace
        #: Also right after a start: whoever was promised silence before it may still count on it.
        self.heard = now()
        self.dropped = 0
        self._acks: dict[str, list[Message]] = {}
        self._ack_at: int | None = None
        self._rounds: dict[str, float] = {}
        self._proofs: tuple[int, dict[str, float]] = (0, {})
        self._voters: tuple[int, set[str]] = (0, set())
        self._canvassed: tuple[int, float, set[str]] = (0, 0.0, set())
        self._rewound: dict[str, float] = {}
        self._handed_until = 0.0
        self._ceded = -1

    # Outgoing

    def outgoing(self, peer: str, message: Message) -> None:
        kind = message["type"]
        if kind == "next_node_idx":
            self._hold_ack(peer, message)
            return
        if kind in ("request_vote", "response_vote"):
            self.before_vote()
            if kind == "request_vote":
                message = {**message, "handed": self.handed_over}
        elif kind == "append_entries":
            message = {**message, "round": self._now(), "acked": self._core.matched(peer)}
        elif kind == "timeout_now":
            self._ceded = self._core.term()
        else:
            return
        self._send(peer, message)

    def flush(self) -> None:
        """Sync once, then say everything that depended on it."""
        self.before_ack()
        acks, self._acks = self._acks, {}
        for peer, waiting in acks.items():
            for ack in merged(waiting):
                self._send(peer, ack)

    def before_vote(self) -> None:
        self._journal.sync()

    def before_ack(self) -> None:
        self._journal.sync()

    @property
    def handed_over(self) -> bool:
        """The leader asked this node to take over: its election needs nobody's leave."""
        return self._now() < self._handed_until

    # Elections

    def canvass(self) -> None:
        """Ask whether an election would be won."""
        term = self._core.term() + 1
        self._canvassed = (term, self._now(), set())
        message = {
            "type": "canvass",
            "term": term,
            "last_log_index": self._journal.last,
            "last_log_term": self._journal.last_term,
        }
        for peer in sorted(self._core.others()):
            self._send(peer, message)

    def approved(self) -> bool:
        """Whether an election may be held now."""
        if self.handed_over:
            return True
        term, at, granted = self._canvassed
        fresh = self._now() - at < self._pace.election
        return fresh and term == self._core.term() + 1 and self._majority(len(granted) + 1)

    def hears_a_leader(self) -> bool:
        """Then it helps nobody else to lead: the lease rests upon it."""
        if self._core.leads():
            return self.lease_holds()
        return self._now() - self.heard < self._pace.election

    # The lease, and proofs of leadership

    def lease_holds(self) -> bool:
        """Nobody else can have been elected yet. Rests on clocks that run at nearly the same rate."""
        if self._core.term() == self._ceded:
            return False
        return self._now() < self.proved_at() + self._pace.lease * self._pace.election

    def proved_at(self) -> float:
        """When the newest message was sent that a majority has answered as to its leader."""
        needed = (len(self._core.others()) + 1) // 2
        if needed == 0:
            return math.inf
        term, proofs = self._proofs
        found = sorted((proofs.get(peer, 0.0) for peer in self._core.others()), reverse=True)
        return found[needed - 1] if term == self._core.term() else 0.0

    # Incoming

    def incoming(self, peer: str, message: object) -> None:
        """Whatever it is, it does not raise for it, but for SafetyViolation."""
        if not well_formed(message):
            self.dropped += 1
            return
        assert isinstance(message, dict)
        if message["type"] in ANSWERS and not self.counted(peer):
            self.dropped += 1
            return
        getattr(self, f"_on_{message['type']}")(peer, message)

    def counted(self, peer: str) -> bool:
        """Only members are. Requests are heard from everybody who holds the key: a node that was away may not know yet
        who joined meanwhile and leads now (Raft, section 4.1 of the thesis)."""
        return peer in self._core.others()

    def _on_canvass(self, peer: str, message: Message) -> None:
        mine = (self._journal.last_term, self._journal.last)
        theirs = (message["last_log_term"], message["last_log_index"])
        term = self._core.term()
        granted = message["term"] > term and theirs >= mine and not self.hears_a_leader()
        answer = {"type": "canvass_answer", "term": term, "asked": message["term"], "granted": granted}
        self._send(peer, answer)

    def _on_canvass_answer(self, peer: str, message: Message) -> None:
        if message["term"] > self._core.term():
            self._adopt(peer, message["term"])
            return
        term, _, granted = self._canvassed
        if message["granted"] and message["asked"] == term:
            granted.add(peer)
            if self.approved():
                self._core.campaign()

    def _on_request_vote(self, peer: str, message: Message) -> None:
        if message["term"] > self._core.term() and not message["handed"] and self.hears_a_leader():
            return
        self._core.receive(peer, message)

    def _on_response_vote(self, peer: str, message: Message) -> None:
        if message["term"] == self._core.term() and self.first_vote(peer, message["term"]):
            self._core.receive(peer, message)

    def first_vote(self, peer: str, term: int) -> bool:
        if self._voters[0] != term:
            self._voters = (term, set())
        if peer in self._voters[1]:
            return False
        self._voters[1].add(peer)
        return True

    def _on_timeout_now(self, peer: str, message: Message) -> None:
        if message["term"] == self._core.term() and peer == self._core.leader():
            self._handed_until = self._now() + 2 * self._pace.election
            self._core.receive(peer, message)

    def _on_next_node_idx(self, peer: str, message: Message) -> None:
        """At the leader: how far a follower is."""
        if message["at"] > self._core.term():
            self._adopt(peer, message["at"])
            return
        if not self.counts(message):
            return
        self._prove(peer, message["round"])
        if message["success"]:
            before = self._core.next_index(peer)
            self._core.receive(peer, {**message, "reset": False})
            if self._core.next_index(peer) < before:  # PySyncObj goes back behind what it has sent already
                self._core.set_next_index(peer, before)
        else:
            self._core.receive(peer, self._going_back(peer, message))

    def counts(self, message: Message) -> bool:
        """An acknowledgement of this term, to its leader, of something that is there."""
        return (
            message["at"] == self._core.term()
            and self._core.leads()
            and message["next_node_idx"] - 1 <= self._journal.last
        )

    def _going_back(self, peer: str, message: Message) -> Message:
        if message["reset"] and message["round"] < self._rewound.get(peer, 0.0):
            return {**message, "reset": False}
        if message["reset"]:
            self._rewound[peer] = self._now()
        return {**message, "next_node_idx": max(message["next_node_idx"], self._core.matched(peer) + 1)}

    def _on_append_entries(self, peer: str, message: Message) -> None:
        """At a follower: a heartbeat, entries or a snapshot of the leader."""
        if message["term"] < self._core.term():
            self._hold_ack(peer, _ack(1, success=False))
            return
        self.must_have(message.get("acked"))
        self.heard = self._now()
        self._rounds[peer] = message["round"]
        if message.get("snapshot") is not None:
            self.take_snapshot(peer, message)
        else:
            self.take_entries(peer, message)

    def must_have(self, acked: object) -> None:
        """What this node has acknowledged in the leader's term it has, and keeps as long as that leader leads."""
        if type(acked) is int and acked > self._journal.last:
            raise RolledBack(acked, self._journal.last)

    def take_entries(self, peer: str, message: Message) -> None:
        """Hand on what is new behind what is the same. Nothing that is the same is ever cut."""
        journal, prev, entries = self._journal, message["prevLogIdx"], message["entries"]
        if prev < journal.base:
            entries, prev = entries[journal.base - prev :], journal.base
        elif journal.term_at(prev) != message["prevLogTerm"]:
            if prev <= self._core.commit():
                raise SafetyViolation(
                    f"entry {prev} is committed, and the leader of term {message['term']} has another"
                )
            self._core.receive(peer, {**message, "entries": [], "commit_index": self._core.commit()})
            return
        same = 0
        while same < len(entries) and journal.term_at(entries[same][1]) == entries[same][2]:
            same += 1
        self._take(peer, message, prev + same, entries[same:])

    def _take(self, peer: str, message: Message, verified: int, new: list[Entry]) -> None:
        journal = self._journal
        if not new and journal.last > verified:
            self._idle(peer, message, verified)
            return
        if new and verified < self._core.commit():
            raise SafetyViolation(f"the leader of term {message['term']} has another entry {verified + 1}")
        shown = {
            **message,
            "prevLogIdx": verified,
            "prevLogTerm": journal.term_at(verified),
            "entries": new,
            "commit_index": min(message["commit_index"], verified + len(new)),
        }
        self._core.receive(peer, shown)

    def take_snapshot(self, peer: str, message: Message) -> None:
        """Only where the log cannot be gone on with; one that is older than the log changes nothing."""
        index, term = message["snapshot"][:2]
        if index <= self._core.commit() or self._journal.term_at(index) == term:
            self._idle(peer, message, index)
        else:
            self._core.receive(peer, self.shown_snapshot(message))

    def shown_snapshot(self, message: Message) -> Message:
        shown = {key: message[key] for key in ("type", "term")}
        return {**shown, "commit_index": self._core.commit(), "serialized": message["snapshot"]}

    def _idle(self, peer: str, message: Message, verified: int) -> None:
        """PySyncObj hears its leader and cuts nothing; what is acknowledged is what was compared."""
        self._ack_at = verified + 1
        try:
            self._core.receive(
                peer,
                {
                    "type": "append_entries",
                    "term": message["term"],
                    "commit_index": min(message["commit_index"], verified),
                    "prevLogIdx": self._journal.last,
                    "prevLogTerm": self._journal.last_term,
                    "entries": [],
                },
            )
        finally:
            self._ack_at = None

    def _hold_ack(self, peer: str, ack: Message) -> None:
        if ack["success"] and self._ack_at is not None:
            ack = {**ack, "next_node_idx": self._ack_at}
        if ack["reset"] and ack["next_node_idx"] <= self._journal.last:
            lowest = min(ack["next_node_idx"], self._core.commit() + 1)  # what is committed is the same there
            ack = {**ack, "next_node_idx": max(self._journal.base + 1, lowest)}
        self._acks.setdefault(peer, []).append(self.stamped(peer, ack))

    def stamped(self, peer: str, ack: Message) -> Message:
        return {**ack, "at": self._core.term(), "round": self._rounds.get(peer, 0.0)}

    def _adopt(self, peer: str, term: int) -> None:
        """A higher term is taken up through a request for votes that cannot win one."""
        self._core.receive(peer, {"type": "request_vote", "term": term, "last_log_index": 0, "last_log_term": -1})

    def _prove(self, peer: str, sent: float) -> None:
        if self._proofs[0] != self._core.term():
            self._proofs = (self._core.term(), {})
        self._proofs[1][peer] = max(sent, self._proofs[1].get(peer, 0.0))

    def _majority(self, count: int) -> bool:
        return count > (len(self._core.others()) + 1) // 2


def merged(acks: list[Message]) -> list[Message]:
    """The acknowledgements to one peer in fewer: the highest success, and of what came after it the lowest way back."""
    best: Message | None = None
    other: Message | None = None
    for ack in acks:
        if best is not None and ack["at"] != best["at"]:
            best = None
        if ack["success"]:
            if best is None or ack["next_node_idx"] >= best["next_node_idx"]:
                best = ack
            other = None
        elif other is None or ack["at"] != other["at"] or not other["reset"]:
            other = ack
        elif ack["reset"]:
            lowest = min(ack["next_node_idx"], other["next_node_idx"])
            other = {**ack, "next_node_idx": lowest}
    return [ack for ack in (best, other) if ack is not None]


def _ack(index: int, *, success: bool) -> Message:
    return {"type": "next_node_idx", "next_node_idx": index, "reset": False, "success": success}


SHAPES: dict[str, dict[str, type]] = {
    "canvass": {"term": int, "last_log_index": int, "last_log_term": int},
    "canvass_answer": {"term": int, "asked": int, "granted": bool},
    "request_vote": {"term": int, "last_log_index": int, "last_log_term": int, "handed": bool},
    "response_vote": {"term": int},
    "timeout_now": {"term": int},
    "next_node_idx": {"next_node_idx": int, "reset": bool, "success": bool, "at": int, "round": float},
    "append_entries": {"term": int, "commit_index": int, "round": float},
}


ANSWERS = frozenset({"canvass_answer", "response_vote", "next_node_idx"})


def well_formed(message: object) -> bool:
    """Whether it is one of our messages, with all that belongs to it."""
    if not isinstance(message, dict):
        return False
    kind = message.get("type")
    shape = SHAPES.get(kind) if isinstance(kind, str) else None
    if shape is None or any(type(message.get(field)) is not wanted for field, wanted in shape.items()):
        return False
    if kind != "append_entries":
        return True
    snapshot = message.get("snapshot")
    return _entries_well_formed(message) if snapshot is None else _snapshot_well_formed(snapshot)


def _entries_well_formed(message: Message) -> bool:
    prev, entries = message.get("prevLogIdx"), message.get("entries")
    if type(prev) is not int or type(message.get("prevLogTerm")) is not int or type(entries) is not list:
        return False
    for place, entry in enumerate(entries, prev + 1):
        if type(entry) not in (list, tuple) or len(entry) != 3:
            return False
        if entry[1] != place or type(entry[0]) is not bytes or type(entry[2]) is not int:
            return False
    return True


def _snapshot_well_formed(snapshot: object) -> bool:
    return type(snapshot) is list and [type(part) for part in snapshot] == [int, int, bytes, bytes]
