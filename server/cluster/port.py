"""The port between a node and its cell's replicated log: what may be asked of it, and what it tells its owner.

Two bodies: `raft/handle.py`, whose Raft runs in a process of its own, and a deterministic one in memory for tests
(`tests/cells.py`). Nothing here knows what a record means.

Threads. Every method of `Port` may be called from any thread, also from inside of the owner's own callbacks, and never
blocks for the network or the disk. Every method of `Owner` is called on one thread, the port's own, one call at a time:
what it does there holds up all later deliveries, so it hands long work on. A future is set on that thread too: do not
wait for a future inside of a callback.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Literal, Protocol

from msgspec import Struct

from ..errors import NotJudged

#: What became of a record. `not_leader`: nothing was appended, here or elsewhere, and of this call nothing ever will.
#: `unknown`: leadership or the log was lost after it was appended; it may still be delivered, soon, later or never.
Proposal = Literal["committed", "not_leader", "unknown"]

#: Bytes of one record. Larger things travel in parts (design 4).
RECORD_LIMIT = 1 << 20


class Member(Struct, frozen=True, order=True):
    """One node of the cell. A node that comes back without what it had is another member: its incarnation is higher.

    `address`: `host:port` of its Raft port, as the others reach it.
    """

    node: str
    incarnation: int
    address: str

    @property
    def id(self) -> str:
        return f"{self.node}.{self.incarnation}"


class Role(Struct, frozen=True):
    """`leader`: this node leads `term`, and every record committed before it has been delivered here.

    `leader_node`: the node id of the leader that this node follows or is; None while there is none.
    """

    leader: bool
    term: int
    leader_node: str | None


class Status(Struct, frozen=True):
    """A look at one node. Indexes count records of the log; a snapshot ends at `trimmed`.

    `matched`: by node id, how far the leader knows the others to be level (only at the leader; else empty).
    """

    node: str
    role: Role
    members: tuple[Member, ...]
    connected: frozenset[str]
    first: int
    last: int
    committed: int
    delivered: int
    trimmed: int
    matched: dict[str, int]
    journal_bytes: int


class NotLeader(NotJudged):
    """Only the leader can do this. `leader_node`: who that is, as far as this node knows."""

    code = "not_leader"

    def __init__(self, leader_node: str | None) -> None:
        self.leader_node = leader_node

    def __str__(self) -> str:
        who = f"node {self.leader_node} does" if self.leader_node else "nobody does now"
        return f"this node does not lead the cell; {who}"


class MembershipRefused(NotJudged):
    """A change of members or of leadership that cannot be made now; `why` says what to wait for or to do."""

    code = "membership_refused"

    def __init__(self, why: str) -> None:
        self.why = why

    def __str__(self) -> str:
        return self.why


class Owner(Protocol):
    """Who owns a port. A callback that raises ends the port: `on_failure` follows, and nothing else."""

    def on_record(self, index: int, term: int, payload: bytes) -> None:
        """A committed record: each once while the port is open, in the order of `index` (which has gaps: the log keeps
        records of its own). After a start every record behind the last `trim` is delivered again."""

    def on_role(self, role: Role) -> None:
        """The role changed; also the first one of all is told. `leader=True` comes after every record of earlier terms.
        When leadership is lost the futures in flight are set to `unknown` first, then this is called."""

    def on_manifest(self, index: int, term: int, manifest: bytes) -> None:
        """Records up to and with `index` are not to be had any more, here or at the leader: before this returns, either
        the owner has what the manifest names (it may be ahead of it already; never go back), or it raises. At a start
        it is called first, with the manifest of the last `trim`, if there was one."""

    def on_failure(self, why: str) -> None:
        """Raft has ended by itself (disk, damage, a killed process): nothing more comes, futures in flight are
        `unknown`, and the node must stop serving. Called at most once."""


class Port(Protocol):
    """One node's end of the replicated log."""

    @property
    def role(self) -> Role:
        """The role last told to the owner."""

    def start(self, owner: Owner) -> None:
        """Begin. Called once. What goes wrong later is told by `on_failure`."""

    def propose(self, payload: bytes) -> Future[Proposal]:
        """Replicate one record. The future is set to `committed` after `on_record` returned for it on this node.

        Raises TooLarge above RECORD_LIMIT, and Unavailable while too much is in flight. Records of one caller are
        appended in the order of its calls. Cancelling the future takes nothing back.
        """

    def read_barrier(self, strict: bool) -> Future[int]:
        """An index: what was acknowledged by anybody before this call is at or before it, and was delivered here.

        At the leader only; elsewhere, and when leadership cannot be proved, the future ends in NotLeader. `strict` asks
        a majority (one round trip); otherwise the lease answers, which trusts that clocks run at nearly the same rate.
        """

    def trim(self, upto: int, manifest: bytes) -> None:
        """The owner has synced the effect of every record up to `upto` (an index that was delivered) into its own
        files: the log may forget them. `manifest` tells a node that needs them where to get their effect; it is kept
        and given to `on_manifest`. At most 1 MiB. A call that is not ahead of the last one does nothing. A tail of
        trimmed records may be kept for nodes that were away for a while."""

    def status(self) -> Future[Status]: ...

    def add(self, member: Member) -> Future[None]:
        """Make a node a member; it counts for the majority from now on, so it should be running and nearly level. One
        change at a time. Set when the change is committed; ends in NotLeader, MembershipRefused or UnknownOutcome."""

    def remove(self, node: str) -> Future[None]:
        """Take a node out. The leader cannot be removed: transfer first. Ends as `add` does."""

    def transfer(self, node: str | None = None) -> Future[None]:
        """Have another node lead (None: the one that is most level). Set when this node has stopped leading; ends in
        NotLeader, or in MembershipRefused when nobody took over in time."""

    def stop(self) -> None:
        """End; waits for the port's thread. Futures in flight end as `unknown`. Safe to call twice, and after
        a failure."""
