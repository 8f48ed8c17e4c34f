"""The Replicator of a node in a cell: what Raft delivers goes into lanes, and what is proposed waits there for itself.

Every node takes the same records in the same order, and judges each by where the log of its project is. So the leader
finds its own proposals where a follower finds them, and whatever comes before them has taken effect first (SPEC K51).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple, Protocol, TypeVar

import apsw

from .alone import Verdict
from .lane import Lane
from .outbox import Outbox, Ticket
from .payload import DIGEST_BYTES, Item, Standing, unpack
from .port import Port, Role

logger = logging.getLogger(__name__)

#: After so long a turn gives up waiting; what became of its entry is unknown then.
PATIENCE = 20.0
#: Bytes in lanes; Raft waits while more are there.
MOST_BYTES = 64 << 20
NOBODY = Role(False, 0, None)

EntryT = TypeVar("EntryT", contravariant=True)
RecordT = TypeVar("RecordT", bound="Numbered", contravariant=True)


class Numbered(Protocol):
    """A record of a project's log."""

    @property
    def seq(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def version(self) -> int | None: ...
    @property
    def body(self) -> bytes: ...


class Grows(Protocol[RecordT, EntryT]):
    """A project's log as a cell needs it. `link`: the digest after one more body."""

    project: str
    epoch: str

    @property
    def position(self) -> Standing: ...
    def link(self, previous: bytes, body: bytes) -> bytes: ...
    def append(self, records: Sequence[RecordT], entry: EntryT | None) -> None: ...


class News(NamedTuple):
    """What comes next in a lane, for whoever waits for it `seconds` at most; not if it is not `worth_it` any more."""

    lane: Lane
    seconds: float
    worth_it: Callable[[], bool]

    def then(self, go_on: Callable[[], None]) -> None:
        self.lane.when_news(go_on, self.worth_it)


class Cell:
    """One node's part in its cell. `replicate` is called on workers, `on_...` on the port's thread.

    Told on the port's thread: `unattended(project)`, something came for a project that nobody has open; `changed`, the
    role did; `failed(why)`, the node has to end; `install(index)`, files have to come from a peer before it returns.
    """

    def __init__(self, port: Port) -> None:
        self.port = port
        self.role = NOBODY
        self.unattended: Callable[[str], None] = lambda project: None
        self.changed: Callable[[Role], None] = lambda role: None
        self.failed: Callable[[str], None] = lambda why: None
        self.install: Callable[[int], None] = lambda index: None
        #: Asked on a worker: have the file that a project's log goes on from.
        self.fetch_base: Callable[[str, str], None] = lambda project, base: None
        #: Told on a worker: a project is not what whoever proposed has, after the entry of that seq.
        self.doubted: Callable[[str, int], None] = lambda project, seq: None
        #: The newest record that was put into lanes.
        self.delivered = 0
        self._coming = 0
        #: Up to here every file of this node had everything when it was last synced.
        self.level = 0
        self._outbox = Outbox(port)
        self._lanes: dict[str, Lane] = {}
        self._lock = threading.Lock()
        self._room = threading.Condition()
        self._bytes = 0
        self._stopped = False
        self._tags = itertools.count(1)
        self._mark = secrets.token_bytes(8)

    @property
    def leading(self) -> bool:
        """Whether this node leads, and everything committed before it did is in its lanes."""
        return self.role.leader

    @property
    def answered(self) -> int:
        """An index behind everything that was answered here. What is just being put into lanes may have been, before
        the thread that puts it there says that it is delivered."""
        return max(self._coming, self.delivered)

    @property
    def waiting(self) -> int:
        """Bytes that were delivered and are not in the files yet."""
        return self._bytes

    async def others(self) -> list[str]:
        """The other members, as Raft counts them: plans may name nodes that have left. Event loop's thread."""
        status = await asyncio.wrap_future(self.port.status())
        return sorted({member.node for member in status.members} - {status.node})

    def start(self) -> None:
        self.port.start(self)

    def stop(self) -> None:
        """End; who waits learns that nothing is known. Blocks."""
        self._stopped = True
        with self._room:
            self._room.notify_all()
        self.port.stop()
        for lane in self.lanes():
            lane.stir()

    def lane(self, project: str) -> Lane:
        """What comes for a project. Any thread."""
        with self._lock:
            lane = self._lanes.get(project)
            if lane is None:
                lane = self._lanes[project] = Lane(project, self._nobody_there, self._freed, self._doubt, self._base)
            return lane

    def lanes(self) -> list[Lane]:
        with self._lock:
            return list(self._lanes.values())

    def forget(self, project: str) -> None:
        """The project is deleted."""
        self.lane(project).close()

    def replicate(
        self, log: Grows[RecordT, EntryT], records: Sequence[RecordT], entry: EntryT
    ) -> Generator[News, None, Verdict]:
        """Propose an entry and write it into the log when it comes back. Raises what the log raises.

        `superseded`: something else came first, and waits in the lane where it took effect on other nodes.
        """
        if not self.role.leader:
            return "not_leader"
        lane = self.lane(log.project)
        tickets = self._tickets(lane, log, records)
        self._outbox.add(tickets)
        deadline = time.monotonic() + PATIENCE
        try:
            for place, ticket in enumerate(tickets):
                verdict = yield from self._came(lane, log, ticket, deadline)
                if verdict != "committed":
                    return verdict
                log.append(records[place : place + 1], entry if place == len(records) - 1 else None)
                lane.done()
        except apsw.FullError:  # the others have it; here it stays in the lane until there is room
            logger.error("project %s: the disk is full, an entry of the cell waits", log.project)
            return "unknown"
        finally:
            lane.unheard()
        return "committed"

    def on_record(self, index: int, term: int, payload: bytes) -> None:
        """Port's thread. A record that cannot be read ends the node: it must not guess."""
        if index <= self.level:
            return
        items = unpack(payload)
        self._coming = index
        for item in items:
            self.put(self.lane(item.project), index, item)
        self.delivered = index
        with self._room:
            while self._bytes > MOST_BYTES and not self._stopped:
                self._room.wait(1.0)

    def put(self, lane: Lane, index: int, item: Item, fetched: bool = False) -> None:
        """Into a lane, as of a record; `fetched`: from another node's log. Any thread."""
        with self._room:
            self._bytes += len(item.body)
        lane.put_at(index, item, fetched)

    def on_role(self, role: Role) -> None:
        """Port's thread."""
        self.role = role
        logger.info("role", extra={"leader": role.leader, "term": role.term, "leads": role.leader_node})
        for lane in self.lanes():
            lane.stir()
        self.changed(role)

    def on_manifest(self, index: int, term: int, manifest: bytes) -> None:
        """Port's thread. Everything up to the index is in the files here, or comes from a peer now."""
        if index > self.level:
            self.install(index)
            self.level = index
        self.delivered = max(self.delivered, index)

    def on_failure(self, why: str) -> None:
        """Port's thread."""
        self.role = Role(False, self.role.term, None)
        for lane in self.lanes():
            lane.stir()
        self.failed(why)

    def _tickets(self, lane: Lane, log: Grows[RecordT, EntryT], records: Sequence[RecordT]) -> list[Ticket]:
        tickets: list[Ticket] = []
        digest = log.position.digest
        for record in records:
            tag = self._mark + next(self._tags).to_bytes(8, "big")
            rows, base = (b"" if tickets else lane.rows), digest[:DIGEST_BYTES]
            item = Item(
                log.project, log.epoch, tag, record.seq - 1, base, rows,
                record.seq, record.kind, record.version, record.body,
            )  # fmt: skip
            tickets.append(Ticket(item, lane.stir))
            digest = log.link(digest, record.body)
        return tickets

    def _came(
        self, lane: Lane, log: Grows[RecordT, EntryT], ticket: Ticket, deadline: float
    ) -> Generator[News, None, Verdict]:
        """Wait until a proposal is the first in its lane; what was superseded before it goes."""
        while True:
            first = lane.first()
            if first is None:
                if ticket.fate == "not_leader":
                    return "not_leader"
                left = deadline - time.monotonic()
                if ticket.fate == "unknown" or left <= 0 or self._stopped:
                    return "unknown"
                if ticket.fate == "committed" and lane.first() is None:  # the project was deleted meanwhile
                    return "unknown"
                yield News(lane, left, lambda: ticket.fate in ("open", "committed") and not self._stopped)
            elif first.item.fits(log.position):
                return "committed" if first.item.tag == ticket.item.tag else "superseded"
            else:
                lane.done()
                if first.item.tag == ticket.item.tag:
                    return "superseded"

    def _base(self, project: str, base: str) -> None:
        self.fetch_base(project, base)

    def _doubt(self, lane: Lane, seq: int) -> None:
        self.doubted(lane.project, seq)

    def _nobody_there(self, project: str) -> None:
        self.unattended(project)

    def _freed(self, size: int) -> None:
        with self._room:
            self._bytes -= size
            if self._bytes <= MOST_BYTES:
                self._room.notify_all()
