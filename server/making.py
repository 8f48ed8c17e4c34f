"""How projects come and go: a row of the catalog says `creating` or `deleting` before any file is touched, so that
what breaks off in the middle is known, and brought to its end later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import apsw
import msgspec

from .cluster.lane import Lane
from .errors import AlreadyExists, NotFound, NotLeading, Refused, UnknownOutcome
from .model import Base, Operation
from .names import folded, valid_project_name
from .openings import Openings
from .project import Workers, to_its_end
from .records import ProjectRecord
from .roll import Roll, written
from .schema.contract import Contract
from .storage.seen import Seen
from .yard import Yard

T = TypeVar("T")

#: What a new project's log goes on from, and the file of it.
Origin = tuple[Base, Path]
#: How long whoever wants a name waits for the project that is being made with it, and the pauses in which he looks.
MAKING_SECONDS, PAUSE = 10.0, 0.01


class Maker:
    """Makes, names and removes projects. `mutate` writes into the catalog; `lane` is what a cell has delivered of a
    project. Event loop's thread."""

    def __init__(
        self,
        roll: Roll,
        yard: Yard,
        seen: Seen,
        openings: Openings,
        workers: Workers,
        mutate: Callable[[Operation, str], Awaitable[None]],
        lane: Callable[[str], Lane | None],
    ) -> None:
        self._roll, self._yard, self._seen = roll, yard, seen
        self._openings, self._workers = openings, workers
        self._mutate, self._lane = mutate, lane
        #: Projects that a task of this process is making or deleting; and whose files it is just making.
        self._unfinished: set[str] = set()
        self._making: set[str] = set()

    def making(self, project: str) -> bool:
        """Whether this node is just making its files."""
        return project in self._making

    async def make(self, record: ProjectRecord, contract: Contract, origin: Origin | None = None) -> ProjectRecord:
        """Catalog row `creating`, files, `ready`. Raises AlreadyExists, Refused `invalid` (the name).

        Whoever is told that there is such a project already finds it, though others have only begun to make it."""
        record = msgspec.structs.replace(record, name=valid_project_name(record.name))
        try:
            await self._need_free(record.name)
            return await to_its_end(self._at_work(record.id, self._make(record, contract, origin)))
        except AlreadyExists:
            with suppress(TimeoutError):
                async with asyncio.timeout(MAKING_SECONDS):
                    while self._being_made(record.name):
                        await asyncio.sleep(PAUSE)
            raise

    async def rename(self, project: str, name: str, by: str) -> ProjectRecord:
        name = valid_project_name(name)
        await self._need_free(name, but=project)
        return await self._write("u", msgspec.structs.replace(self._roll.get(project), name=name), by)

    async def publish(self, project: str, public: bool, by: str) -> ProjectRecord:
        """Let anybody read the project, or nobody but those with a token."""
        return await self._write("u", msgspec.structs.replace(self._roll.get(project), public=public), by)

    async def delete(self, project: str, by: str) -> None:
        """Remove a project with its files; those who are on it are sent away by whoever asks. Whoever holds it has
        some seconds to leave."""
        await to_its_end(self._at_work(project, self._delete(project, by)))

    async def let_go(self, project: str) -> None:
        """Close it for good, as soon as nobody holds it or they have had their time."""
        await self._openings.retire(project, NotFound("project", project))

    async def finish(self) -> None:
        """Bring to an end what broke off, and nobody is at work on."""
        for record in self._roll.unfinished():
            if record.id in self._unfinished:
                continue
            lane = self._lane(record.id)
            if lane is not None and lane.next() is not None:  # what a leader before had begun
                async with self._openings.hold(record.id):
                    pass
            if record.state == "creating" and await self._workers.turn(self._yard.is_whole, record.id):
                await self._write("u", msgspec.structs.replace(record, state="ready"), record.by)
            else:
                await self._erase(record, record.by)

    async def _make(self, record: ProjectRecord, contract: Contract, origin: Origin | None) -> ProjectRecord:
        self._making.add(record.id)
        try:
            await self._write("i", record, record.by)
            look = await self._workers.turn(
                self._yard.make, record.id, contract, record.by, self._lane(record.id), origin
            )
            await self._workers.turn(self._seen.keep, record.id, look)
        except (NotLeading, UnknownOutcome):  # whoever leads next, or opens the catalog anew, brings it to its end
            raise
        except BaseException:
            await self._erase(record, record.by)
            raise
        finally:
            self._making.discard(record.id)
        return await self._write("u", msgspec.structs.replace(record, state="ready"), record.by)

    async def _delete(self, project: str, by: str) -> None:
        deleting = msgspec.structs.replace(self._roll.get(project), state="deleting")
        await self._gone(await self._write("u", deleting, by), by)

    async def _gone(self, record: ProjectRecord, by: str) -> None:
        await self.let_go(record.id)
        await self._erase(record, by)

    def _being_made(self, name: str) -> bool:
        return any(
            half.id in self._unfinished and folded(half.name) == folded(name) for half in self._roll.unfinished()
        )

    async def _need_free(self, name: str, but: str | None = None) -> None:
        """Raises AlreadyExists. A project whose deletion broke off goes now: it keeps its name from nobody."""
        for half in self._roll.unfinished():
            broken_off = half.state == "deleting" and half.id not in self._unfinished
            if broken_off and folded(half.name) == folded(name):
                await to_its_end(self._at_work(half.id, self._gone(half, half.by)))
        twin = self._roll.named(name)
        if twin is not None and twin.id != but:
            raise AlreadyExists("project", name)

    async def _at_work(self, project: str, work: Awaitable[T]) -> T:
        """Have it known meanwhile that somebody is at work on the project."""
        self._unfinished.add(project)
        try:
            return await work
        finally:
            self._unfinished.discard(project)

    async def _erase(self, record: ProjectRecord, by: str) -> None:
        await self._workers.turn(self._yard.remove, record.id)  # first: on a full disk this is what makes room
        with suppress(apsw.FullError):  # nobody asks for it any more
            await self._workers.turn(self._seen.forget, record.id)
        await self._mutate(Operation("d", "project", (record.id,), {}), by)
        self._roll.drop(record.id)

    async def _write(self, op: str, record: ProjectRecord, by: str) -> ProjectRecord:
        try:
            await self._mutate(written(op, record), by)
        except Refused as refused:
            raise AlreadyExists("project", record.name) if refused.code == "unique" else refused from None
        self._roll.put(record)
        return record
