"""This node in its cell: what Raft tells goes to the loop, what projects need of the others is at hand (SPEC K).

Event loop's thread; what the port calls on its own thread is passed on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from .catalog import CATALOG_ID, Catalog
from .cluster.cell import Cell
from .cluster.forwarding import Forwarding, NotHere
from .cluster.links import Links, Told, Unreachable
from .cluster.plan import Plan
from .cluster.port import Role
from .errors import NotFound, NotJudged, NotLeading, ShareliteError, UnknownOutcome
from .following import Following
from .levelling import Levelling
from .storage.files import Files

logger = logging.getLogger(__name__)

#: How long a question waits until somebody leads, and until this node is as far as the answer.
LEADER_SECONDS = 8.0
LEVEL_SECONDS = 8.0
PAUSE = 0.005
HAND_OVER_SECONDS = 5.0


class CellNode:
    """Built before the catalog, started with it. `ended(why)`: the node cannot go on and has to stop."""

    def __init__(
        self, plan: Plan, cell: Cell, links: Links, files: Files, data: Path, ended: Callable[[str], None]
    ) -> None:
        self._files, self._data = files, data
        self.plan, self.cell, self.links = plan, cell, links
        self.forwarding = Forwarding(cell, links, lambda id: self.catalog.open(id), self.broken)
        self._ended = ended
        #: What the leader has to do beside, each time there is a new one.
        self.led: Callable[[], Awaitable[None]] = _nothing
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.forwarding.greet = self._greet
        links.answer("barrier", self._asked_barrier)
        links.answer("greet", self._asked_greet)

    async def start(self, catalog: Catalog) -> None:
        """Listen, begin with Raft, and wait until there is a catalog. Raises OSError."""
        self.catalog = catalog
        self.following = Following(catalog, self.cell, self.broken)
        self.levelling = Levelling(self.cell, self.links, catalog, self.following, self._files, self._data)
        host, _, port = self.plan.me.peer.rpartition(":")
        await self.links.start(host.strip("[]"), int(port))
        self.links.know({name: address.peer for name, address in self.plan.nodes.items()})
        self.cell.unattended = self._passed_on(self.following.attend)
        self.cell.changed = self._passed_on(self._role_changed)
        self.cell.failed = self._passed_on(self._ended)
        self.cell.install = self._install
        self.cell.start()
        await self.following.start()
        self._run(self.levelling.run())
        if self.cell.leading:
            self._run(self._lead())

    async def close(self) -> None:
        """End, after the catalog was closed."""
        for task in self._tasks:
            task.cancel()
        await self.forwarding.close()
        await self.links.close()
        await asyncio.to_thread(self.cell.stop)
        self.levelling.note_all()

    async def hand_over(self) -> None:
        """Before the end of this node: have somebody else lead, if anybody can."""
        if self.cell.leading:
            try:
                async with asyncio.timeout(HAND_OVER_SECONDS):
                    await asyncio.wrap_future(self.cell.port.transfer())
            except (NotJudged, TimeoutError) as problem:
                logger.warning("leadership was not handed over: %s", problem)

    def broken(self, problem: BaseException) -> None:
        """Files cannot be written or read: this node must not go on as if they could."""
        self._ended(f"{type(problem).__name__}: {problem}")

    async def ask_leader(self, name: str, content: Any) -> Any:
        """Ask whoever leads; this node too may be it. Raises NotLeading where nobody does, UnknownOutcome where the
        question may have had its effect, Told."""
        deadline = self._loop.time() + LEADER_SECONDS
        while self._loop.time() < deadline:
            leader = self.cell.role.leader_node
            try:
                if self.cell.leading:
                    return await self.links.here(name, content)
                if leader is not None and leader != self.links.me:
                    return await self.links.ask(leader, name, content, deadline - self._loop.time())
            except Unreachable as problem:
                if problem.asked:
                    raise UnknownOutcome from None
            except NotHere:
                pass
            except Told as told:
                if told.code != NotHere.code:
                    raise
            await asyncio.sleep(PAUSE)
        raise NotLeading

    async def barrier(self, strict: bool) -> int:
        """An index behind everything that was acknowledged before this call. Raises NotLeading."""
        try:
            return int(await self.ask_leader("barrier", strict))
        except (UnknownOutcome, Told):
            raise NotLeading from None

    async def level(self, project: str, index: int) -> None:
        """Until the catalog and a project are here as of an index. Raises NotFound, and NotLeading if it takes long."""
        try:
            async with asyncio.timeout(LEVEL_SECONDS):
                while self.cell.delivered < index:
                    await asyncio.sleep(PAUSE)
                await self.following.level(CATALOG_ID, index)
                if project != CATALOG_ID:
                    await self.following.level(project, index)
        except TimeoutError:
            raise NotLeading from None

    async def seen(self, project: str, index: int) -> None:
        """Whoever changed something through this node sees it here; what is gone meanwhile is seen as gone."""
        try:
            await self.level(CATALOG_ID, index)
            if self.catalog.known(project) is not None:
                await self.level(project, index)
        except (NotFound, NotJudged) as problem:
            logger.info("answered before this node was level: %s", problem)

    def leader_url(self) -> str:
        """Where clients reach the leader. Raises NotLeading."""
        leader = self.plan.nodes.get(self.cell.role.leader_node or "")
        if leader is None:
            raise NotLeading
        return leader.url.rstrip("/")

    def _install(self, index: int) -> None:
        """Port's thread, which waits meanwhile."""
        asyncio.run_coroutine_threadsafe(self.levelling.install(index), self._loop).result()

    def _role_changed(self, role: Role) -> None:
        self.forwarding.role_changed()
        self.following.stir()
        if not self.following.ready:
            return
        self._run(self._lead() if role.leader else self._step_back())

    async def _lead(self) -> None:
        """What was interrupted is the new leader's to finish."""
        try:
            await self.catalog.lead()
            await self.led()
        except (NotJudged, NotFound) as problem:
            logger.info("what was interrupted is left to the next leader: %s", problem)
        except ShareliteError:
            logger.exception("what was interrupted could not be finished")

    async def _step_back(self) -> None:
        """What is held open for a mutation to come is let go of: what other nodes did comes first."""
        for project in self.catalog.opened():
            for guest in list(project.guests):
                await guest.leave("this node does not lead the cell any more")

    async def _asked_barrier(self, node: str, strict: Any) -> int:
        try:
            return await asyncio.wrap_future(self.cell.port.read_barrier(bool(strict)))
        except NotJudged:
            raise NotHere from None

    async def _greet(self, project: str) -> None:
        if self.cell.role.leader_node is None:
            return
        try:
            await self.level(project, int(await self.ask_leader("greet", project)))
        except (NotJudged, NotFound, Told) as problem:
            logger.info("project %s stays on its contract: %s", project, problem)

    async def _asked_greet(self, node: str, project: Any) -> int:
        if not self.cell.leading:
            raise NotHere
        await self.catalog.greet(project)
        return self.cell.delivered

    def _run(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _passed_on(self, function: Callable[[Any], None]) -> Callable[[Any], None]:
        """For the port's thread: the same on the loop, if that still runs."""

        def call(argument: Any) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(function, argument)

        return call


async def _nothing() -> None: ...
