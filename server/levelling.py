"""Keeping the files of a node level with its cell (SPEC K61, K62): what is synced lets the journal forget, and what is
missing comes from the logs of other nodes.

Truth is the log, so a node that was away for too long, or has nothing, asks another one for log ranges and takes them
the way everything is taken. Event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import msgpack

from .catalog import Catalog
from .cluster.cell import Cell
from .cluster.lane import Lane
from .cluster.links import Links, Told, Unreachable
from .cluster.payload import DIGEST_BYTES, Item
from .copies import Copies
from .errors import NotFound, NotJudged, ShareliteError
from .following import Following
from .project import Project
from .storage.files import Files
from .sync.digest import chain
from .sync.log import records
from .yard import CATALOG_ID, NotHere

logger = logging.getLogger(__name__)

#: The journal is trimmed when it has grown so much, or so long after the last time.
JOURNAL_BYTES = 512 << 20
JOURNAL_SECONDS = 600.0
LOOK_SECONDS = 5.0
#: One answer with records of a log, and what may wait in a lane while more is fetched.
PAGE_BYTES = 4 << 20
ASK_SECONDS = 60.0
PAUSE = 0.2
START = bytes(32)


class Levelling:
    """Sync, trim, fetch. `data`: the data directory."""

    def __init__(
        self, cell: Cell, links: Links, catalog: Catalog, following: Following, files: Files, data: Path
    ) -> None:
        self._cell, self._links, self._catalog, self._following = cell, links, catalog, following
        self._files, self._path = files, data / "level"
        self._trimmed_at = asyncio.get_running_loop().time()
        self._copies = Copies(links, files, data, self._as_of, self._ask, cell.fetch_base)
        links.answer("log", self._asked_log)
        known = files.read(self._path)
        if known is not None:
            cell.level = cell.delivered = int(known)

    async def run(self) -> None:
        """Look now and then whether the journal should be trimmed."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                status = await asyncio.wrap_future(self._cell.port.status())
                late = asyncio.get_running_loop().time() - self._trimmed_at > JOURNAL_SECONDS
                if status.journal_bytes > JOURNAL_BYTES or (late and self._cell.delivered > self._cell.level):
                    await self.trim()
            except (ShareliteError, OSError) as problem:
                logger.warning("the journal is not trimmed: %s", problem)

    async def trim(self) -> int:
        """Sync what the journal has brought, and let it forget that; the index up to which it may."""
        upto = self._cell.delivered
        for lane in self._cell.lanes():
            first = lane.unsynced
            if first is None or first > upto:
                continue
            try:
                await self._sync(lane, upto)
            except (NotFound, NotJudged) as problem:
                logger.warning("project %s keeps the journal: %s", lane.project, problem)
                upto = min(upto, first - 1)
        if upto > self._cell.level:
            self.note(upto)
            self._cell.port.trim(upto, msgpack.packb({"node": self._links.me}))
        self._trimmed_at = asyncio.get_running_loop().time()
        return upto

    def note(self, upto: int) -> None:
        """Every file here has everything up to this record, durably."""
        self._files.write(self._path, str(upto).encode())
        self._cell.level = max(self._cell.level, upto)

    def note_all(self) -> None:
        """After everything was closed tidily."""
        if not any(lane.first() is not None for lane in self._cell.lanes()):
            self.note(self._cell.delivered)

    async def install(self, index: int) -> None:
        """Have everything up to a record that the journals have no more, from the logs of other nodes."""
        logger.info("fetching what the journals have forgotten", extra={"index": index})
        await self.fetch(CATALOG_ID, index)
        await self._following.level(CATALOG_ID, index)
        while not self._following.ready:
            await asyncio.sleep(PAUSE)
        for record in list(self._catalog.records()):
            if record.state != "deleting":
                await self.fetch(record.id, index)
        for lane in self._cell.lanes():
            while lane.first() is not None:
                await asyncio.sleep(PAUSE)
        await self.trim()

    async def _sync(self, lane: Lane, upto: int) -> None:
        async with self.held(lane.project) as project:
            if project is None:
                lane.close()
                return
            await project.level(lambda: lane.waits_for(upto))
            await project.sync(lane.synced)

    @asynccontextmanager
    async def held(self, id: str) -> AsyncIterator[Project | None]:
        """A project, open until the end of the `with`; None: there is none."""
        if id == CATALOG_ID:
            yield self._catalog.own
        elif self._catalog.known(id) is None:
            yield None
        else:
            async with self._catalog.hold_any(id) as project:
                yield project

    async def fetch(self, id: str, index: int, right: frozenset[str] | None = None) -> None:
        """Put into a project's lane what its log lacks, page by page, and checked. What is lost on the way is asked for
        again. `right`: of these nodes only; None: of any."""
        lane = self._cell.lane(id)
        seq, digest = await self._position(id)
        if seq == 0 and id != CATALOG_ID and lane.first() is None:
            await self._copies.fetch(id, index, self._others(right, leader_last=True), right)
            seq, digest = await self._position(id)
        while True:
            answer = await self._ask([id, seq, index], right)
            if answer is None:
                return  # deleted meanwhile
            epoch, base, page = answer
            if base != digest:
                raise ShareliteError(f"project {id}: the log here is not on the way of the cell's")
            for number, kind, version, body, chained in page:
                item = Item(id, epoch, b"", seq, digest[:DIGEST_BYTES], b"", number, kind, version, body)
                if chain(digest, body) != chained:
                    raise ShareliteError(f"project {id}: entry {number} is damaged where it was fetched from")
                self._cell.put(lane, index, item, fetched=True)
                seq, digest = number, chained
            if not page:
                return
            while lane.first() is not None and lane.bytes > PAGE_BYTES:
                await asyncio.sleep(PAUSE / 10)

    async def _position(self, id: str) -> tuple[int, bytes]:
        try:
            async with self.held(id) as project:
                return (0, START) if project is None else (project.position.seq, project.position.digest)
        except (NotHere, NotFound):  # NotFound: it is being deleted, which `_ask` finds out
            return 0, START

    async def _ask(self, question: list[Any], right: frozenset[str] | None) -> Any:
        """Ask the leader first, then the others, until one knows. None: there is no such project there."""
        while True:
            for node in self._others(right):
                try:
                    return await self._links.ask(node, "log", question, ASK_SECONDS)
                except Told as told:
                    if told.code == NotFound.code:
                        return None
                    logger.info("node %s has no log for us: %s", node, told)
                except Unreachable as problem:
                    logger.info("%s", problem)
            await asyncio.sleep(PAUSE)

    def _others(self, right: frozenset[str] | None, leader_last: bool = False) -> list[str]:
        """The other nodes, or the `right` ones of them, in the order in which they should be asked."""
        leader, reachable = self._cell.role.leader_node, self._links.reachable()
        asked = [node for node in self._links.nodes() if right is None or node in right]
        return sorted(asked, key=lambda node: ((node == leader) == leader_last, node not in reachable))

    async def _asked_log(self, node: str, content: Any) -> Any:
        """`[epoch, digest at the seq, records after it]` of a project that is level here with an index."""
        id, after, index = content
        async with self._as_of(id, index) as project:
            base, page = await project.readers.log(lambda reader: _page(reader, after))
            return [project.epoch, base, page]

    @asynccontextmanager
    async def _as_of(self, id: str, index: int) -> AsyncIterator[Project]:
        """A project here, level with an index. Raises Behind, NotFound."""
        if self._cell.delivered < index:
            raise Behind
        await self._following.level(CATALOG_ID, index)
        async with self.held(id) as project:
            if project is None:
                raise NotFound("project", id)
            lane = self._cell.lane(id)
            await project.level(lambda: lane.waits_for(index))
            yield project


class Behind(ShareliteError):
    code = "behind"

    def __str__(self) -> str:
        return "this node is not that far itself"


def _page(reader: apsw.Connection, after: int) -> tuple[bytes | None, list[list[Any]]]:
    base, found = records(reader, after, PAGE_BYTES)
    return (START if after == 0 else base), [list(each) for each in found]
