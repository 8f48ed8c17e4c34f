"""This node in its cell: what Raft tells goes to the loop, what projects need of the others is at hand (SPEC K).

Event loop's thread; what the port calls on its own thread is passed on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from .accord import Accord
from .bases import Bases
from .catalog import Catalog
from .cluster.cell import Cell
from .cluster.forwarding import Forwarding, NotHere, Passed
from .cluster.links import Links, Told, Unreachable
from .cluster.plan import Plan
from .cluster.port import Member, NotLeader, Role, Status
from .errors import NotFound, NotJudged, NotLeading, ShareliteError, UnknownOutcome
from .exchange import Exchange
from .following import Following
from .levelling import Levelling
from .records import NodeRecord
from .storage.files import Files
from .yard import CATALOG_ID

logger = logging.getLogger(__name__)

#: How long a question waits until somebody leads, and until this node is as far as the answer.
LEADER_SECONDS = 8.0
LEVEL_SECONDS = 8.0
STATUS_SECONDS = 1.0
PAUSE = 0.005
#: A disk counts as full for so long after it last was.
FULL_SECONDS = 5.0
HAND_OVER_SECONDS = 5.0
REGISTER_SECONDS = 1.0
JOIN_SECONDS = 30.0


class CellNode:
    """Built before the catalog, started with it. `ended(why)`: the node cannot go on and has to stop."""

    def __init__(
        self, plan: Plan, cell: Cell, links: Links, files: Files, data: Path, ended: Callable[[str], None]
    ) -> None:
        self._files, self._data = files, data
        self.plan, self.cell, self.links = plan, cell, links
        self.forwarding = Forwarding(cell, links, lambda id: self.catalog.hold(id), self.broken)
        self._ended = ended
        #: What the leader has to do beside, each time there is a new one.
        self.led: Callable[[], Awaitable[None]] = _nothing
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._yielding: asyncio.Task[None] | None = None
        self._full_until = 0.0
        #: The latest term in which what a leader has to do at first was done here.
        self._led = 0
        self._bases = Bases(links, cell.others, files, data)
        cell.fetch_base, self.forwarding.spread = self._bases.fetch, self._bases.spread
        self.forwarding.differs, self.forwarding.full = self.differs, self.full
        self.forwarding.greet, self.forwarding.fresh = self._greet, self.fresh
        links.answer("barrier", self._asked_barrier)
        links.answer("greet", self._asked_greet)
        links.answer("status", self._status)
        links.answer("register", self._asked_register)
        links.answer("join", self._asked_join)
        links.answer("members", self._asked_members)
        links.answer("remove", self._asked_remove)
        links.answer("transfer", self._asked_transfer)

    async def start(self, catalog: Catalog, joins: NodeRecord | None = None) -> None:
        """Begin with Raft, and wait until there is a catalog. `joins`: this node, as it is to be made a member."""
        self.catalog = catalog
        catalog.catch_up = partial(self.proven, False)
        await catalog.start_over()
        self.following = Following(catalog, self.cell, self.broken)
        self.levelling = Levelling(self.cell, self.links, catalog, self.following, self._files, self._data)
        self.exchange = Exchange(self.links, catalog.gallery)
        self.accord = Accord(self.cell, self.links, catalog, self.levelling, self.hand_over, self._ended)
        self.cell.doubted = self._passed_on(self.accord.doubt)
        self.forwarding.agreed = self.accord.agreed
        self.cell.unattended = self._passed_on(self.following.attend)
        self.cell.changed = self._passed_on(self._role_changed)
        self.cell.failed = self._passed_on(self._ended)
        self.cell.install = self._install
        self.cell.start()
        joining = self.run(self._join(joins)) if joins is not None else None
        await self.following.start()
        if joining is not None:
            await joining
        self.following.nodes_changed = self._know
        self._know()
        self.run(self.levelling.run())
        if self.cell.leading:
            self.run(self._lead())

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

    async def register(self, me: NodeRecord) -> None:
        """Have the cell know where this node is reached."""
        while self.catalog.nodes.get(me.id) != me:
            try:
                await self.ask_leader("register", msgspec.structs.astuple(me))
                await asyncio.sleep(PAUSE)
            except (NotJudged, Told) as problem:
                logger.info("not registered yet: %s", problem)
                await asyncio.sleep(REGISTER_SECONDS)

    def _know(self) -> None:
        """Links to every node that the plan or the catalog names."""
        planned = {name: address.peer for name, address in self.plan.nodes.items()}
        self.links.know(planned | {id: node.peer for id, node in self.catalog.nodes.items()})

    async def _join(self, me: NodeRecord) -> None:
        """Fetch everything, then ask to be a member; from then on Raft brings what follows."""
        while True:
            try:
                await self.levelling.install(0)
                for node in self.links.reachable():
                    try:
                        await self.links.ask(node, "join", msgspec.structs.astuple(me), JOIN_SECONDS)
                        return
                    except Told as told:
                        logger.info("node %s: %s", node, told)
            except (ShareliteError, OSError) as problem:
                logger.warning("not a member yet: %s", problem)
            await asyncio.sleep(REGISTER_SECONDS)

    async def _asked_members(self, node: str, content: Any) -> dict[str, int] | None:
        if not self.following.ready:
            return None
        return {id: known.incarnation for id, known in self.catalog.nodes.items()}

    async def _asked_register(self, node: str, content: Any) -> int:
        if not self.cell.leading:
            raise NotHere
        await self.catalog.put_node(NodeRecord(*content))
        return self.cell.answered

    async def _asked_join(self, node: str, content: Any) -> int:
        """One change at a time; one that was begun and not finished is gone on with."""
        if not self.cell.leading:
            raise NotHere
        me, port = NodeRecord(*content), self.cell.port
        member = Member(me.id, me.incarnation, me.raft)
        status = await asyncio.wrap_future(port.status())
        if member not in status.members:
            if any(each.node == me.id for each in status.members):
                await asyncio.wrap_future(port.remove(me.id))
            await asyncio.wrap_future(port.add(member))
        await self.catalog.put_node(me)
        return self.cell.answered

    def differs(self, project: str, why: str) -> None:
        """This replica of a project cannot take what the cell says; the others decide who is wrong."""
        logger.critical("project %s does not take what the cell says: %s", project, why)
        self.accord.doubt(project, None, stuck=why or "it cannot be read")

    def full(self) -> None:
        """There is no room on the disk. Who leads so holds up the whole cell; a follower does not."""
        self._full_until = self._loop.time() + FULL_SECONDS
        if self.cell.leading and (self._yielding is None or self._yielding.done()):
            logger.error("the disk is full: another node is to lead")
            self._yielding = self.run(self.hand_over())

    def broken(self, problem: BaseException) -> None:
        """Files cannot be written or read: this node must not go on as if they could."""
        self._ended(f"{type(problem).__name__}: {problem}")

    async def ask_leader(self, name: str, content: Any, seconds: float = LEADER_SECONDS) -> Any:
        """Ask whoever leads; this node too may be it. Raises NotLeading where nobody does, UnknownOutcome where the
        question may have had its effect, Told."""
        deadline = self._loop.time() + seconds
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

    async def fresh(self, project: str, strict: bool = False) -> None:
        """Until a project is here as it was acknowledged to anybody before this call. Raises NotFound, NotLeading."""
        await self.level(project, await self.barrier(strict))

    async def proven(self, strict: bool) -> int:
        """`barrier`, with the catalog as of then. Raises NotLeading."""
        index = await self.barrier(strict)
        await self.level(CATALOG_ID, index)
        return index

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
        url = self._url(self.cell.role.leader_node or "")
        if url is None:
            raise NotLeading
        return url.rstrip("/")

    async def described(self) -> dict[str, Any]:
        """The cell as its leader sees it, or, where there is none, as this node does."""
        try:
            found: dict[str, Any] = await self.ask_leader("status", None, STATUS_SECONDS)
        except (NotLeading, UnknownOutcome, Told):
            found = await self._status("", None)
        leads = found["leads"] or self.cell.role.leader_node
        for each in found["nodes"]:
            each["role"] = "leader" if each["node"] == leads else "follower"
        return {**found, "leads": leads, "node": self.links.me, "trouble": self.trouble()}

    async def _status(self, node: str, content: Any) -> dict[str, Any]:
        status = await asyncio.wrap_future(self.cell.port.status())
        nodes = [
            {
                "node": member.node,
                "connected": member.node == status.node or member.node in status.connected,
                "behind": _behind(status, member.node),
                "url": self._url(member.node),
            }
            for member in status.members
        ]
        role = self.cell.role
        return {"cluster": self.plan.cluster, "leads": role.leader_node, "term": role.term, "nodes": nodes}

    def _url(self, node: str) -> str | None:
        known = self.catalog.nodes.get(node) or self.plan.nodes.get(node)
        return None if known is None else known.url

    def trouble(self) -> list[str]:
        """Why this node should not be asked now; empty while all is well."""
        role = self.cell.role
        found = [] if role.leader_node is not None else ["the cell has no leader"]
        if role.leader and self._led != role.term:
            found.append("the leader has not finished what others left, or its contracts, yet")
        full = ["the disk is full"] if self._loop.time() < self._full_until else []
        return found + full + self.accord.trouble()

    async def transfer(self, heir: str | None) -> None:
        """Have another node lead, `heir` if one is named. At any node. Raises MembershipRefused, NotLeading, Passed."""
        former = self.cell.role.leader_node
        with suppress(UnknownOutcome):  # who led may not lead any more when he has done it; what counts is seen here
            await self._leader_does("transfer", heir)
        deadline = self._loop.time() + LEADER_SECONDS
        while self.cell.role.leader_node in (None, former):
            if self._loop.time() > deadline:
                raise NotLeading
            await asyncio.sleep(PAUSE)

    async def remove(self, node: str) -> None:
        """Take a node out of the cell. At any node. Raises MembershipRefused, NotLeading, UnknownOutcome, Passed."""
        await self._leader_does("remove", node)

    async def choose(self, project: str, node: str) -> None:
        """Have the replica of a node count where no majority agrees on a project. At any node. Raises CannotChoose,
        Passed, Unreachable."""
        try:
            await self.accord.choose(project, node)
        except Told as told:
            raise Passed(told) from None

    async def _leader_does(self, name: str, content: Any) -> None:
        try:
            await self.ask_leader(name, content)
        except Told as told:
            raise Passed(told) from None

    async def _asked_transfer(self, node: str, heir: Any) -> None:
        await self._moved(self.cell.port.transfer(heir))

    async def _asked_remove(self, node: str, gone: Any) -> None:
        """One that was begun and not finished is gone on with."""
        if not self.cell.leading:
            raise NotHere
        status = await asyncio.wrap_future(self.cell.port.status())
        if gone not in self.catalog.nodes or any(member.node == gone for member in status.members):
            await self._moved(self.cell.port.remove(gone))
        await self.catalog.drop_node(gone)

    async def _moved(self, change: Future[None]) -> None:
        """Raises NotHere where this node does not lead: whoever asks goes on to another one."""
        try:
            await asyncio.wrap_future(change)
        except NotLeader:
            raise NotHere from None

    def _install(self, index: int) -> None:
        """Port's thread, which waits meanwhile."""
        asyncio.run_coroutine_threadsafe(self.levelling.install(index), self._loop).result()

    def _role_changed(self, role: Role) -> None:
        self.forwarding.role_changed()
        self.following.stir()
        if not self.following.ready:
            return
        self.run(self._lead() if role.leader else self._step_back())

    async def _lead(self) -> None:
        """What was interrupted is the new leader's to finish. Who has a replica that differs leads only if nobody else
        can."""
        term = self.cell.role.term
        if self.accord.worse:
            await self.hand_over()
        try:
            await self.catalog.lead()
            await self.led()
        except (NotJudged, NotFound) as problem:
            logger.info("what was interrupted is left to the next leader: %s", problem)
        except ShareliteError:
            logger.exception("what was interrupted could not be finished")
        finally:
            self._led = term

    async def _step_back(self) -> None:
        """What is held open for a mutation to come is let go of: what other nodes did comes first."""
        for project in self.catalog.opened():
            for guest in list(project.guests):
                await guest.leave("this node does not lead the cell any more")

    async def _asked_barrier(self, node: str, strict: Any) -> int:
        try:
            index = await asyncio.wrap_future(self.cell.port.read_barrier(bool(strict)))
            return min(index, self.cell.answered)  # the log's own records, of an election say, are delivered to nobody
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
        async with self.catalog.hold(project) as opened:
            await self.catalog.greet(opened)
        return self.cell.answered

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Until it is done, or this node ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _passed_on(self, function: Callable[..., None]) -> Callable[..., None]:
        """For the port's thread: the same on the loop, if that still runs."""

        def call(*arguments: Any) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(function, *arguments)

        return call


def _behind(status: Status, node: str) -> int | None:
    """Records that a node still lacks, as far as this one knows."""
    if node == status.node:
        return status.committed - status.delivered
    return status.committed - status.matched[node] if node in status.matched else None


async def _nothing() -> None: ...
