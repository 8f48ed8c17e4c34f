"""Any node takes any mutation: whoever leads judges it, and the answer comes when the feed here is as far (SPEC K56).

A lost answer, a late one and a change of leader end in the same question again with the same id, or in *unknown*; never
in a failure that was none. Event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from ..errors import NotJudged, NotLeading, OutOfOrder, ShareliteError, UnknownOutcome
from ..model import Mutation, Outcome
from . import codec
from .cell import Cell
from .links import Links, Told, Unreachable

logger = logging.getLogger(__name__)

#: How long a mutation is carried about until the client is told that nobody knows.
SECONDS = 12.0
#: Until a node asks again whether somebody leads, if no news of it comes.
PAUSE = 0.05
#: How long a gap in a client's counters may be one that other nodes are about to close.
GAP_SECONDS = 1.0


class Local(Protocol):
    """A project as it is open here."""

    id: str

    def submit(self, mutation: Mutation) -> asyncio.Future[Outcome]: ...
    async def reach(self, version: int) -> None: ...


class NotHere(ShareliteError):
    """Said to another node: ask somebody else, nothing has happened."""

    code = "not_here"

    def __str__(self) -> str:
        return "this node does not lead the cell"


class Passed(NotJudged):
    """What the leader said, word for word."""

    def __init__(self, told: Told) -> None:
        self.code, self._message = told.code, str(told)
        self.retry_after = told.retry_after

    def __str__(self) -> str:
        return self._message


class Forwarding:
    """The way of mutations to the leader. `hold`: the project by its id, for those that come from other nodes;
    `broken`: files of this node cannot be written or read."""

    def __init__(
        self,
        cell: Cell,
        links: Links,
        hold: Callable[[str], AbstractAsyncContextManager[Local]],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._cell, self._links, self._hold = cell, links, hold
        self.broken = broken
        self.fresh: Callable[[str], Coroutine[Any, Any, None]] = _nobody
        self.differs: Callable[[str, str], None] = lambda project, why: None
        self.full: Callable[[], None] = lambda: None
        self.spread: Callable[[str, str], None] = lambda project, base: None
        self.greet: Callable[[str], Coroutine[Any, Any, None]] = _nobody
        self.agreed: Callable[[str, int], Coroutine[Any, Any, None]] = _at_once
        self._leader: str | None = None
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        links.answer("mutate", self._asked)

    @property
    def leading(self) -> bool:
        return self._cell.leading

    def role_changed(self) -> None:
        """Whoever waits for an answer of a leader that is none any more asks again."""
        leader = self._cell.role.leader_node
        if self._leader is not None and leader not in (None, self._leader):
            self._links.abandon(self._leader)
        self._leader = leader or self._leader
        self._news.set()
        self._news.clear()

    def submit(self, project: Local, mutation: Mutation) -> asyncio.Future[Outcome]:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._carry(project, mutation, future, False)
        return future

    def again(self, project: Local, mutation: Mutation, future: asyncio.Future[Outcome], problem: NotJudged) -> None:
        """It was on its way here when this node stopped leading."""
        maybe = isinstance(problem, UnknownOutcome)
        if maybe and mutation.id is None:
            future.set_exception(problem)
        else:
            self._carry(project, mutation, future, maybe)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _carry(self, project: Local, mutation: Mutation, future: asyncio.Future[Outcome], maybe: bool) -> None:
        task = asyncio.create_task(self._carried(project, mutation, future, maybe))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carried(self, project: Local, mutation: Mutation, future: asyncio.Future[Outcome], maybe: bool) -> None:
        try:
            outcome = await self._until_answered(project, mutation, maybe)
            async with asyncio.timeout(SECONDS):  # a node that stays behind (its disk is full) does not know
                await project.reach(outcome.version)
        except asyncio.CancelledError:
            if not future.done():
                future.set_exception(UnknownOutcome())
            raise
        except NotJudged as problem:
            if not future.done():
                future.set_exception(problem)
        except TimeoutError:
            if not future.done():
                future.set_exception(UnknownOutcome())
        except Exception:  # whoever waits must hear something: what we did not foresee says nothing of the mutation
            logger.exception("project %s: a mutation was lost on its way to the leader", project.id)
            if not future.done():
                future.set_exception(UnknownOutcome())
        else:
            if not future.done():
                future.set_result(outcome)

    async def _until_answered(self, project: Local, mutation: Mutation, maybe: bool) -> Outcome:
        """`maybe`: it may have had its effect already."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            left = began + SECONDS - loop.time()
            try:
                return await self._once(project, mutation, left)
            except Unreachable as problem:
                maybe = maybe or problem.asked
            except UnknownOutcome:
                maybe = True
            except NotLeading:
                pass
            except OutOfOrder:
                if loop.time() - began > GAP_SECONDS:
                    raise
            if maybe and mutation.id is None:
                raise UnknownOutcome
            if left <= PAUSE:
                raise UnknownOutcome() if maybe else NotLeading()
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(PAUSE):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _once(self, project: Local, mutation: Mutation, seconds: float) -> Outcome:
        if self._cell.leading:
            return await asyncio.shield(project.submit(mutation))
        leader = self._cell.role.leader_node
        if leader is None or leader == self._links.me:
            raise NotLeading
        try:
            answer = await self._links.ask(leader, "mutate", [project.id, codec.encode(mutation)], seconds)
        except Told as told:
            raise _problem(told) from None
        outcome: Outcome = codec.decode(answer)
        return outcome

    async def _asked(self, node: str, content: Any) -> bytes:
        """Another node asks the leader."""
        id, packed = content
        if not self._cell.leading:
            raise NotHere
        mutation: Mutation = codec.decode(packed)
        try:
            async with self._hold(id) as project:
                return codec.encode(await asyncio.shield(project.submit(mutation)))
        except NotLeading:
            raise NotHere from None


def _problem(told: Told) -> NotJudged:
    """What the leader raised, as far as it is to be dealt with here. The counters of an OutOfOrder are in its words."""
    if told.code == NotHere.code:
        return NotLeading()
    if told.code == UnknownOutcome.code:
        return UnknownOutcome()
    if told.code == OutOfOrder.code:
        return Gap(str(told))
    return Passed(told)


class Gap(OutOfOrder):
    """OutOfOrder, as another node said it."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __str__(self) -> str:
        return self._message


async def _nobody(project: str) -> None: ...


async def _at_once(project: str, seq: int) -> None: ...
