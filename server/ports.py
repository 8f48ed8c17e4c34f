"""What a project and its road see of their surroundings: the replicator, the cell, and those who have it open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .cluster.alone import Verdict
from .crew import Journey
from .errors import NotJudged
from .model import Mutation, Outcome
from .sync.entry import Entry, Record
from .sync.log import Log, Position

if TYPE_CHECKING:
    from .project import Project


class Replicator(Protocol):
    """Makes an entry durable and ordered. Called on a worker thread; raises what the log raises.

    `superseded`: something else came first; where there is an inbox, it is in there.
    """

    def replicate(self, log: Log, records: Sequence[Record], entry: Entry) -> Verdict | Journey[Verdict]:
        """The verdict; or, where that takes its time, a journey to it."""


class Arrived(Protocol):
    """One record that the cell has delivered, and the log that it was made for."""

    @property
    def seq(self) -> int: ...
    @property
    def kind(self) -> Any: ...
    @property
    def version(self) -> int | None: ...
    @property
    def body(self) -> bytes: ...
    @property
    def epoch(self) -> str: ...
    @property
    def rows(self) -> bytes: ...
    @property
    def base_seq(self) -> int: ...
    def fits(self, log: Position) -> bool: ...
    def contradicts(self, log: Position) -> bool: ...


class InCell(Protocol):
    """What comes to a project from its cell, in order (the body is `cluster/lane.py`). Worker thread."""

    #: The row digest to state with the next proposal.
    rows: bytes

    def next(self) -> Arrived | None:
        """The next one; it stays until `done`."""

    def several(self, most: int) -> Sequence[Arrived]:
        """The next ones, in order; each stays until `done`."""

    def done(self) -> None: ...

    def fetch(self, base: str) -> None:
        """Have the file that the log goes on from in the project's folder, synced. Raises Unavailable."""

    def agrees(self, seq: int, mine: bytes, stated: bytes) -> bool:
        """Take note of the row digest here and at the proposer; whether they are equal."""

    def doubt(self, seq: int, last: int) -> None:
        """Have the cell find out who is right about what there is after an entry; `last`: the last one that is here."""

    def mark(self, seq: int, log: bytes, rows: bytes) -> None:
        """Keep in mind what the digests are here after an entry."""

    def imaged(self, seq: int, image: bytes) -> None:
        """Keep in mind which image was made here of an entry: build of SQLite and hash; empty: none. Any thread."""

    def differs(self, seq: int) -> None:
        """Have the cell find out who is right about the image of an entry."""


class Elsewhere(Protocol):
    """The cell of a node, as a project sees it: another node may have to take its mutations."""

    @property
    def leading(self) -> bool: ...

    def submit(self, project: Project, mutation: Mutation) -> asyncio.Future[Outcome]:
        """Have the leader take it, and answer when the feed here has passed the version of the outcome."""

    def again(self, project: Project, mutation: Mutation, future: asyncio.Future[Outcome], problem: NotJudged) -> None:
        """This node stopped leading with the mutation on its way: see to its answer."""

    async def fresh(self, project: str) -> None:
        """Until a project is here as whoever leads has acknowledged it. Raises NotLeading."""

    def spread(self, project: str, base: str) -> None:
        """Have a majority of the cell fetch and sync the file that a new project's log will go on from. Worker thread.
        Raises Unavailable."""

    async def greet(self, project: str) -> None:
        """Have the leader bring a project to the newest version of its contract, if it can, and wait for it."""

    def differs(self, project: str, why: str) -> None:
        """What the cell says of a project does not fit to what is here, although it was made anew from its log."""

    def agreed(self, project: str, seq: int) -> Coroutine[Any, Any, None]:
        """Until a majority of the cell has made the same image of an entry. Raises NotPublished where others have made
        another one."""

    def full(self) -> None:
        """There is no room on this node's disk: somebody else should lead."""

    def broken(self, problem: BaseException) -> None:
        """Files of this node could not be written or read: it has to end."""


class Wakes(InCell, Protocol):
    """What comes from the cell, and who is called when it does: `wake`, on another thread; else somebody is found."""

    wake: Callable[[], None] | None

    def call(self) -> None: ...


class Guest(Protocol):
    """Has a reader or the turn of a project for longer than one call."""

    async def leave(self, why: str) -> None:
        """Let go of it, soon."""
