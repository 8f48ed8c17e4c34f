"""What a node's owner is told, in order, at its own pace: committed records, manifests, its role, read barriers.

Plain objects: they look at the node and say what is due; who carries it to the owner is others' business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from msgspec import Struct

from ..port import Role
from . import engine, members
from .node import Node


class Records(NamedTuple):
    """Committed records as (index, term, payload), and how far the owner is when it has taken them."""

    records: list[tuple[int, int, bytes]]
    upto: int


class Manifest(Struct, frozen=True):
    index: int
    term: int
    manifest: bytes


class Delivery:
    """A cursor over what is committed. It holds no record: a slow owner costs nothing."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.cursor = 1

    def take(self, limit: int) -> Records | Manifest | None:
        """The next thing, of about so many bytes; None while there is nothing new."""
        journal, commit = self._node.journal, self._node.commit
        if self.cursor < journal.snapshot.index and (self.cursor == 1 or self.cursor < journal.base):
            snapshot = journal.snapshot
            self.cursor = snapshot.index
            return Manifest(snapshot.index, snapshot.term, snapshot.manifest)
        if self.cursor >= commit:
            return None
        records = []
        size = 0
        for index in range(self.cursor + 1, commit + 1):
            payload, _, term = journal.entry(index)
            self.cursor = index
            if payload.startswith(members.RECORD):
                records.append((index, term, payload[len(members.RECORD) :]))
                size += len(payload)
            if size >= limit:
                break
        return Records(records, self.cursor)


class Roles:
    """The role as the owner may be told it: leading only after everything of earlier terms was delivered."""

    def __init__(self, node: Node, delivery: Delivery) -> None:
        self._node, self._delivery = node, delivery
        self._lost = False
        self.told = Role(False, 0, None)

    def lost(self) -> None:
        """Leadership was lost, perhaps only to be won again before anybody looks."""
        self._lost = True

    def take(self) -> Iterator[Role]:
        """The changes since the last call.

        Lost leadership is told even if nobody was told that it was won: records may have been appended meanwhile.
        """
        now, lost = self._now(), self._lost
        self._lost = False
        if lost and now.leader:
            yield Role(False, now.term, None)
        if lost or now != self.told:
            self.told = now
            yield now

    def _now(self) -> Role:
        node = self._node
        leads = node.established() and self._delivery.cursor >= self._began()
        leader = node.me.id if leads else node.follows()
        return Role(leads, node.term, leader.rpartition(".")[0] if leader and (leads or not node._isLeader()) else None)

    def _began(self) -> int:
        """The newest index that may be of an earlier term: what a new leader must have delivered."""
        if self.told.leader and self.told.term == self._node.term:
            return 0
        return self._node.commit


class Barrier(Struct, frozen=True):
    """`asked`: when; `settle` gets the index, or None where leadership could not be proved."""

    asked: float
    term: int
    index: int
    settle: Callable[[int | None], None]


class Barriers:
    """Read barriers that wait for a proof of leadership."""

    def __init__(self, node: Node, patience: float) -> None:
        self._node, self._patience = node, patience
        self._waiting: deque[Barrier] = deque()

    def ask(self, strict: bool, settle: Callable[[int | None], None]) -> None:
        node = self._node
        if not node.established():
            settle(None)
        elif not strict and node.guard.lease_holds():
            settle(node.commit)
        else:
            self._waiting.append(Barrier(engine.now(), node.term, node.commit, settle))
            node.prove()

    def look(self) -> None:
        """Settle those that are proved, and those that cannot be any more. A barrier is proved by an answer to what was
        sent after it was asked for."""
        node = self._node
        if not self._waiting:
            return
        leads, proved, now = node.established(), node.guard.proved_at(), engine.now()
        while self._waiting:
            oldest = self._waiting[0]
            if not leads or oldest.term != node.term or now - oldest.asked > self._patience:
                self._waiting.popleft().settle(None)
            elif proved > oldest.asked:
                self._waiting.popleft().settle(oldest.index)
            else:
                return
