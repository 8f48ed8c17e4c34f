"""Whether the replicas of a cell agree, and what becomes of one that does not (SPEC K70 to K73, K76).

Each entry states what its proposer's rows and log were before it. Who finds something else asks all nodes what they
have, and the majority decides: a replica that differs serves nothing, says so, and is fetched anew from those that have
it right. Its node leads nothing meanwhile. The same for images: each node makes the one that the log asks for, and it
is published once a majority has the same. Event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from .catalog import Catalog
from .cluster.agreement import BUILD_BYTES, Judgement, Marks, judge
from .cluster.cell import Cell
from .cluster.lane import Lane
from .cluster.links import Links, Told, Unreachable
from .errors import NotFound, NotJudged, Quarantined, ShareliteError
from .levelling import Behind, Levelling
from .publishing import NotPublished
from .yard import CATALOG_ID, NotHere

logger = logging.getLogger(__name__)

ASK_SECONDS = 15.0
#: How long a node that is asked may take to have everything that the asking one has.
BEHIND_SECONDS = 5.0
PAUSE = 0.05
#: How long a node may take to make the image that another one has made.
IMAGE_SECONDS = 30.0
#: How long it may take to make a file anew from its log.
ANEW_SECONDS = 600.0
#: Until all are asked again where a majority could not be heard or a repair did not come to its end.
AGAIN_SECONDS = 2.0
NOBODY = (
    "no two nodes of the cell have the same{here}; look at them all, and say whose counts: "
    "sharelite cluster choose {project} NODE"
)
SAID = {
    "differs": "it differs from that of most nodes",
    "nobody": "no majority of nodes has the same",
    "undecided": "too few nodes have said how it is there",
}


class CannotChoose(NotJudged):
    """`why` says what there is to do."""

    code = "membership_refused"

    def __init__(self, why: str) -> None:
        self.why = why

    def __str__(self) -> str:
        return self.why


class Accord:
    """`aside`: why a project is not served here. `yielding`: have somebody else lead; `ended`: this node has to end;
    `dismissed`: send away whoever is on a project."""

    def __init__(
        self,
        cell: Cell,
        links: Links,
        catalog: Catalog,
        levelling: Levelling,
        yielding: Callable[[], Awaitable[None]],
        ended: Callable[[str], None],
    ) -> None:
        self._cell, self._links, self._catalog, self._levelling = cell, links, catalog, levelling
        self._yielding, self._ended = yielding, ended
        self.dismissed: Callable[[str, ShareliteError], None] = lambda project, problem: None
        #: Differences that nobody could decide yet: the seq, or None where this replica cannot be asked.
        self._doubts: dict[str, asyncio.Task[None]] = {}
        #: Replicas here that cannot take what comes, and why.
        self._stuck: dict[str, str] = {}
        self._repairing: set[str] = set()
        #: Projects whose files were made anew here because no two images were the same, which is done once; and those
        #: where all nodes did, with the seq that the log had reached then.
        self._anew: dict[str, asyncio.Task[None]] = {}
        self._remade: dict[str, int] = {}
        #: Of projects that no majority agrees on: the node whose replica counts, as somebody has decided.
        self._chosen: dict[str, str] = {}
        links.answer("chosen", self._asked_chosen)
        links.answer("digests", self._asked_digests)
        links.answer("doubt", self._asked_doubt)
        links.answer("imaged", self._asked_imaged)
        links.answer("anew", self._asked_anew)

    def trouble(self) -> list[str]:
        """What is not as it should be, in sentences."""
        found = [str(problem) for problem in self._catalog.aside.values()]
        doubted = [project for project in self._doubts if project not in self._catalog.aside]
        return found + [f"project {project} differs between nodes of the cell" for project in doubted]

    @property
    def differing(self) -> int:
        """Projects that are not served here."""
        return len(self._catalog.aside)

    @property
    def worse(self) -> bool:
        """Whether other nodes have a project right that this one does not: then one of them should lead."""
        return bool(self._repairing)

    def doubt(self, project: str, seq: int | None, stuck: str = "") -> None:
        """Something is not as another node has it. `stuck`: why this replica does not take what comes."""
        if stuck:
            self._stuck[project] = stuck
        if project not in self._doubts:
            task = self._doubts[project] = asyncio.create_task(self._settle(project, seq))
            task.add_done_callback(lambda _: self._no_doubt(project))

    def _no_doubt(self, project: str) -> None:
        self._doubts.pop(project, None)
        self._chosen.pop(project, None)

    async def agreed(self, project: str, seq: int) -> None:
        """Until a majority has made the same image of an entry as this node, the leader. Who cannot say, or has another
        build of SQLite, does not count. Raises NotPublished where the others have another one."""
        others, mine = await self._cell.others(), self._cell.lane(project).image_of(seq) or b""
        asking = [asyncio.create_task(self._image_at(node, project, seq)) for node in others]
        made = Counter([mine])
        try:
            for answer in asyncio.as_completed(asking):
                made[await answer] += 1
                if 2 * made[mine] > len(asking) + 1:
                    return
        finally:
            for task in asking:
                task.cancel()
        other = [image for image in made if image != mine and image[:BUILD_BYTES] == mine[:BUILD_BYTES]]
        remade = project not in self._doubts and seq > self._remade.get(project, seq)
        if other and not (remade and max(made.values()) == 1):
            self.doubt(project, -seq)
            raise NotPublished("other nodes of the cell have other bytes")
        logger.warning("project %s: no majority has compared the image of entry %d", project, seq)

    async def choose(self, project: str, node: str) -> None:
        """Where no majority has the same, have the replica of one node count; the others fetch it. Raises
        CannotChoose, Unreachable, Told."""
        if project not in self._doubts:
            raise CannotChoose(f"project {project} is not in doubt here: there is nothing to choose")
        if node not in (self._links.me, *await self._cell.others()):
            raise CannotChoose(f"the cell has no node {node}")
        if node != self._links.me:  # it has to be able to; then the others hear of it
            await self._links.ask(node, "chosen", [project, node], ASK_SECONDS)
        await self._asked_chosen(self._links.me, [project, node])
        self._links.tell_all("chosen", [project, node])

    async def _asked_chosen(self, node: str, content: Any) -> None:
        project, chosen = content
        if chosen == self._links.me and project in self._stuck:
            raise CannotChoose(f"node {chosen} is out of order itself: {self._stuck[project]}")
        if project in self._doubts:
            self._chosen[project] = chosen

    async def _image_at(self, node: str, project: str, seq: int) -> bytes:
        """What a node made; empty: it cannot say."""
        try:
            image: bytes = await self._links.ask(node, "imaged", [project, seq], IMAGE_SECONDS)
            return image
        except (Unreachable, Told) as problem:
            logger.info("node %s has no image of entry %d: %s", node, seq, problem)
            return b""

    async def _asked_imaged(self, node: str, content: Any) -> bytes:
        project, seq = content
        try:
            async with asyncio.timeout(IMAGE_SECONDS):
                while (image := self._cell.lane(project).image_of(seq)) is None and project not in self._stuck:
                    await asyncio.sleep(PAUSE)
                return image or b""
        except TimeoutError:
            return b""

    async def close(self) -> None:
        tasks = [*self._doubts.values(), *self._anew.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _settle(self, project: str, seq: int | None) -> None:
        """Until the majority has decided, and this replica is as it says."""
        told, said = False, ""
        while project == CATALOG_ID or self._catalog.known(project) is not None:
            repaired = False
            try:
                judgement = await self._judged(project, seq)
                if judgement.word not in ("agrees", said):
                    logger.critical("project %s: this replica: %s", project, SAID[judgement.word])
                    said = judgement.word
                if not told:  # whoever is wrong has to find out as well
                    self._links.tell_all("doubt", [project, seq])
                    told = True
                if judgement.word == "agrees":
                    self._catalog.aside.pop(project, None)
                    logger.warning("project %s agrees with the cell", project)
                    return
                if judgement.word == "differs":
                    await self._repair(project, judgement.right)
                    repaired = True
                elif judgement.word == "nobody" and seq is not None and seq < 0:
                    await self._make_all_anew(project)
                    repaired = True
                elif judgement.word == "nobody" and project != CATALOG_ID:  # without a right one, the wrong one stays
                    here = f" (here: {self._stuck[project]})" if project in self._stuck else ""
                    await self._set_aside(project, NOBODY.format(here=here, project=project))
            except (ShareliteError, OSError) as problem:
                logger.error("project %s is not settled yet: %s", project, problem)
            if repaired:
                seq = None
            else:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _judged(self, project: str, seq: int | None) -> Judgement:
        index = self._cell.delivered
        others = await self._cell.others()
        asked = [self._told(node, project, index) for node in others]
        mine, *answers = await asyncio.gather(self._marks(project, index), *asked)
        told: dict[str, Marks | None] = {self._links.me: mine}
        told |= {node: answer for node, answer in zip(others, answers, strict=True) if answer is not False}
        judgement = judge(self._links.me, told, len(others) + 1, seq)
        chosen = self._chosen.get(project)
        if judgement.word != "nobody" or chosen is None:
            return judgement
        return Judgement("agrees" if chosen == self._links.me else "differs", frozenset([chosen]))

    async def _told(self, node: str, project: str, index: int) -> Any:
        """What a node has; False where it does not answer."""
        try:
            answer = await self._links.ask(node, "digests", [project, index], ASK_SECONDS)
            return None if answer is None else {seq: digests for seq, digests in answer}
        except (Unreachable, Told) as problem:
            logger.warning("node %s cannot say how project %s is there: %s", node, project, problem)
            return False

    async def _marks(self, project: str, index: int) -> dict[int, bytes] | None:
        """What this replica had after its last entries, as of an index; None where it is out of order."""
        if project in self._stuck:
            return None
        lane = self._cell.lane(project)
        try:
            async with self._levelling.held(project) as opened:
                if opened is None:
                    raise NotFound("project", project)
                await opened.level(lambda: lane.waits_for(index))
                await opened.mark()
        except NotHere:
            return None
        return lane.known()

    async def _asked_digests(self, node: str, content: Any) -> list[tuple[int, bytes]] | None:
        project, index = content
        try:
            async with asyncio.timeout(BEHIND_SECONDS):
                while self._cell.delivered < index:
                    await asyncio.sleep(PAUSE)
        except TimeoutError:
            raise Behind from None
        marks = await self._marks(project, index)
        return None if marks is None else list(marks.items())

    async def _asked_doubt(self, node: str, content: Any) -> None:
        project, seq = content
        if project not in self._doubts:
            judgement = await self._judged(project, seq)
            if judgement.word != "agrees":
                self.doubt(project, seq)

    async def _set_aside(self, project: str, why: str) -> None:
        """Serve it no more."""
        if project == CATALOG_ID:
            self._catalog.leave_behind()
            self._ended(f"the catalog differs from that of the cell ({why}); the next start fetches it anew")
            raise Quarantined(project, why)
        if project not in self._catalog.aside:
            problem = self._catalog.aside[project] = Quarantined(project, why)
            self.dismissed(project, problem)

    async def _repair(self, project: str, right: frozenset[str]) -> None:
        """Put away what is here, and take the log from nodes that have it right."""
        await self._set_aside(project, f"it differs from nodes {', '.join(sorted(right))}; it is fetched from them")
        self._repairing.add(project)
        try:
            await self._yielding()
            await self._fetched_anew(project, right)
        finally:
            self._repairing.discard(project)
        logger.warning("project %s was fetched anew", project)

    async def _fetched_anew(self, project: str, right: frozenset[str]) -> None:
        lane = self._cell.lane(project)
        lane.hold_back(self._cell.level)
        self._stuck[project] = "it is fetched anew"  # it has nothing to say until it has everything
        try:
            await self._catalog.put_away(project, Quarantined(project, "it is fetched anew"))
            await self._levelling.fetch(project, self._cell.delivered, right)
        finally:
            lane.go_on()
        await self._drained(project, lane)
        self._stuck.pop(project, None)

    async def _make_all_anew(self, project: str) -> None:
        """Where no two images are the same the rows still are, by their digests: each node makes its file from its own
        log, once. A difference that stays is that of the builds which once wrote them. Raises Unreachable, Told."""
        if project not in self._remade:
            asked = [self._links.ask(node, "anew", project, ANEW_SECONDS) for node in await self._cell.others()]
            await asyncio.gather(self._asked_anew(self._links.me, project), *asked)
            async with self._levelling.held(project) as opened:
                self._remade[project] = 0 if opened is None else opened.position.seq

    async def _asked_anew(self, node: str, project: Any) -> None:
        task = self._anew.get(project)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._anew[project] = asyncio.create_task(self._make_anew(project))
        await asyncio.shield(task)

    async def _make_anew(self, project: str) -> None:
        async with self._levelling.held(project) as opened:
            if opened is not None:
                await opened.make_anew("no two nodes of the cell have the same image")

    async def _drained(self, project: str, lane: Lane) -> None:
        async with self._levelling.held(project) as opened:
            if opened is not None:
                await opened.level(lambda: lane.first() is not None)
