"""The catalog of a node in a cell: what others make, change and delete counts here as well (SPEC K55).

Every node learns of projects from the catalog's own commits, and takes what is delivered for a project as soon as the
catalog, as of then, has it. Event loop's thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import apsw
import msgspec

from .catalog import Catalog
from .cluster.cell import Cell
from .errors import Damaged, NotLeading, Quarantined, ShareliteError, UnknownOutcome
from .model import Change
from .project import Project
from .records import ContractRecord, NodeRecord, ProjectRecord
from .sync.wire import decode_commit
from .yard import CATALOG_ID, NotHere

logger = logging.getLogger(__name__)
#: Until what could not be done is tried again.
PAUSE = 0.2


class Following:
    """Keeps a catalog level with its cell. `altered` and `gone` are told of projects that changed or are no more;
    `broken` of files that cannot be written or read."""

    def __init__(self, catalog: Catalog, cell: Cell, broken: Callable[[BaseException], None]) -> None:
        self._catalog, self._cell, self._broken = catalog, cell, broken
        self.altered: Callable[[ProjectRecord], None] = lambda record: None
        self.gone: Callable[[str], None] = lambda project: None
        self.nodes_changed: Callable[[], None] = lambda: None
        self._own: Project | None = None
        self._learnt = 0
        self._news = asyncio.Event()
        self._learning: asyncio.Task[None] | None = None
        self._attending: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Wait until there is a catalog: here, in the cell, or made by this node as the leader of a new one."""
        own = await self._found()
        self._learnt = own.version
        await self._catalog.load(own)
        await self._clear_away(own)
        self._own = own  # only now it can be said whether there is a project
        self._learning = asyncio.create_task(self._learn_all(own))
        self._tell()

    async def _clear_away(self, own: Project) -> None:
        """Remove what is left of projects that the catalog's log says are deleted. The rows that it begins with may be
        behind deletions that the cell delivered meanwhile, or that this node did not bring to their end.

        What the log does not name stays: its row may be on its way."""
        strays, version = await self._catalog.strays(), 0
        while strays and version < own.version:
            for commit in await own.commits(version):
                for change in decode_commit(commit.json).changes:
                    if (change.table, change.op) == ("project", "d") and change.key[0] in strays:
                        self._cell.forget(str(change.key[0]))
                        await self._catalog.forget(str(change.key[0]))
                version = commit.version

    @property
    def ready(self) -> bool:
        """Whether there is a catalog here."""
        return self._learning is not None

    async def close(self) -> None:
        tasks = [*self._attending.values(), *([self._learning] if self._learning else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def stir(self) -> None:
        """The role changed."""
        self._tell()

    def attend(self, project: str) -> None:
        """The cell has delivered something for a project that nobody has open."""
        if project == CATALOG_ID:
            self._tell()
        elif project not in self._attending:
            task = self._attending[project] = asyncio.create_task(self._attended(project))
            task.add_done_callback(lambda _: self._attending.pop(project, None))

    async def level(self, project: str, index: int) -> None:
        """Until what the cell has delivered up to an index is in a project's files and announced. Raises NotFound."""
        lane = self._cell.lane(project)
        if project != CATALOG_ID:
            async with self._catalog.hold(project) as opened:
                await opened.level(lambda: lane.waits_for(index))
            return
        while self._own is None:
            await self._next_news()
        await self._own.level(lambda: lane.waits_for(index))
        while self._learnt < self._own.version:
            await self._next_news()

    def _tell(self) -> None:
        """Wake whoever waits for news. Each piece of news is an event of its own, so nobody takes it from another."""
        told, self._news = self._news, asyncio.Event()
        told.set()

    async def _next_news(self) -> None:
        await self._news.wait()

    async def _found(self) -> Project:
        lane = self._cell.lane(CATALOG_ID)
        while True:
            news = self._news  # also of what comes while we look
            try:
                return await self._catalog.found(lane)
            except (NotHere, Damaged):
                if not self._cell.leading:
                    await news.wait()
                    continue
            try:
                await self._catalog.begin(lane)
            except (NotLeading, UnknownOutcome) as problem:
                logger.warning("the catalog cannot be made yet: %s", problem)
                await asyncio.sleep(PAUSE)

    async def _attended(self, project: str) -> None:
        """Until somebody has the project open, or it turns out that there is none."""
        lane = self._cell.lane(project)
        while lane.wake is None and (first := lane.first()) is not None:
            try:
                await self.level(CATALOG_ID, first.index)  # whether there is such a project, as of then
                record = self._catalog.known(project)
                if record is None or record.state == "deleting":
                    lane.close()
                elif not self._catalog.making(project):
                    await self._catalog.take(project)
            except Quarantined:  # the cell finds out who is right
                return
            except ShareliteError as problem:
                logger.error("project %s does not take what the cell delivers: %s", project, problem)
                await asyncio.sleep(PAUSE)
            except (apsw.Error, OSError) as problem:
                logger.exception("project %s does not take what the cell delivers", project)
                self._broken(problem)
                return

    async def _learn_all(self, own: Project) -> None:
        """Follow the catalog's own feed."""
        subscription = own.feed.subscribe(self._tell)
        try:
            while True:
                while self._learnt < own.version:
                    for commit in await own.commits(self._learnt):
                        for change in decode_commit(commit.json).changes:
                            await self._learn(change)
                        self._learnt = commit.version
                    self._tell()
                await self._next_news()
        finally:
            subscription.close()

    async def _learn(self, change: Change) -> None:
        new: dict[str, Any] = dict(change.new or {})
        if change.table == "contract" and change.op == "i":
            fields = _of(ContractRecord, new) | {"document": json.loads(new["document"])}
            name, version = change.key
            self._catalog.learn_contract(ContractRecord(name=str(name), version=int(str(version)), **fields))
        elif change.table == "node":
            id = str(change.key[0])
            known = {} if id not in self._catalog.nodes else msgspec.structs.asdict(self._catalog.nodes[id])
            if change.op == "d":
                self._catalog.nodes.pop(id, None)
            else:
                self._catalog.nodes[id] = NodeRecord(**{**known, "id": id, **new})
            self.nodes_changed()
        elif change.table == "project":
            await self._learn_project(str(change.key[0]), change.op, _of(ProjectRecord, new))

    async def _learn_project(self, id: str, op: str, fields: dict[str, Any]) -> None:
        known = self._catalog.known(id)
        if "public" in fields:
            fields["public"] = bool(fields["public"])
        if op == "d":
            self._cell.forget(id)
            self.gone(id)
            await self._catalog.forget(id)
        elif op == "i" and known is None:
            self._catalog.learn(ProjectRecord(id=id, **fields))
        elif op == "u" and known is not None:
            record = msgspec.structs.replace(known, **fields)
            self._catalog.learn(record)
            if record.state == "deleting":
                self.gone(id)
                await self._catalog.let_go(id)
            elif record.state == "ready":
                self.altered(record)


def _of(kind: type[ProjectRecord] | type[ContractRecord], row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name in kind.__struct_fields__}
