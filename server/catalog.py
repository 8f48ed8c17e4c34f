"""Which projects and contracts there are: made, named, followed and removed.

The catalog is itself a project, so its rows are logged, recovered and (in a cell) replicated like any other's; its data
routes are closed to clients. People know projects by name, files and addresses by a random id. Which of them are open,
and for how long, is `openings.py`'s.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from .cluster.cell import Cell
from .cluster.lane import Lane
from .config import Limits
from .errors import (
    Damaged,
    NotFound,
    Quarantined,
    Refused,
    ShareliteError,
    Unavailable,
)
from .life import State
from .making import Maker
from .memory import give_back
from .model import Base, Edit, Mutation, Operation
from .names import valid_contract_name
from .openings import Openings
from .ports import Elsewhere, Replicator
from .project import Project, Workers
from .records import CONTRACT, ContractRecord, NodeRecord, ProjectRecord
from .roll import PROJECTS, Roll
from .schema.contract import Contract
from .shelf import CONTRACTS, Shelf, insertion
from .storage.files import Files
from .storage.images import Gallery
from .storage.seen import Look, Seen
from .sync.apply import WRONG, Mismatch
from .sync.statements import Function
from .upgrades import Migrated, follow, migrated
from .yard import CATALOG_ID, Yard

NODES = "SELECT id, incarnation, raft, peer, url FROM node"
HAS_NODES = "SELECT 1 FROM sqlite_schema WHERE name='node'"


class Catalog:
    """Opens, makes and removes projects. Event loop's thread."""

    def __init__(
        self,
        files: Files,
        data: Path,
        workers: Workers,
        replicator: Replicator,
        functions: Mapping[str, Function],
        gallery: Gallery,
        cell: Cell | None = None,
        elsewhere: Elsewhere | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        self.gallery = gallery
        self._workers = workers
        self._cell, self._elsewhere = cell, elsewhere
        self._yard = Yard(files, data, workers, replicator, functions, gallery, elsewhere)
        self._seen = Seen(files, data / "seen.db")
        self._roll = Roll()
        self._shelf = Shelf()
        #: Why projects are not served on this node of a cell.
        self.aside: dict[str, Quarantined] = {}
        #: In a cell: until this catalog is as any other node's was when it was called. Raises NotLeading.
        self.catch_up: Callable[[], Awaitable[object]] = _level
        #: The nodes of the cell, by id.
        self.nodes: dict[str, NodeRecord] = {}
        self._own: Project | None = None
        self._openings = Openings(limits.open_projects, limits.idle_seconds, self._opening, self._closing, self._tidy)
        self._maker = Maker(self._roll, self._yard, self._seen, self._openings, workers, self._mutate, self._lane)
        self._putting = asyncio.Lock()
        self._reopening = asyncio.Lock()

    async def start(self) -> None:
        """Open the catalog and finish what a crash interrupted: half-made projects go, half-deleted ones too."""
        await self.load(await self._workers.turn(self._yard.open_catalog))
        await self.lead()

    async def load(self, own: Project) -> None:
        """Begin with the catalog's own project, and with what is in it."""
        self._own = own
        own.attend()
        await self._workers.turn(self._seen.open)
        await self._read_rows()
        self._openings.start()

    async def lead(self) -> None:
        """What one node of a cell does: the newest contract of the catalog itself, and what was interrupted."""
        assert self._own is not None, "start() comes first"
        await self._own.upgrade(Contract.parse(CONTRACT, "catalog"), "sharelite")
        await self._maker.finish()

    async def close(self) -> None:
        """Close every open project, then the catalog's own."""
        await self._openings.end(Unavailable("the server is going down"))
        if self._own is not None:
            await self._own.close()
        await self._workers.turn(self._seen.close)

    def list(self) -> Sequence[ProjectRecord]:
        return self._roll.ready()

    def record(self, project: str) -> ProjectRecord:
        """Raises NotFound; a project that is being made or deleted is not there."""
        return self._roll.get(project)

    async def find(self, project: str) -> ProjectRecord:
        """`record`, for somebody who may have been told of the project by another node of the cell: what is not known
        here is looked up again as of now. Raises NotFound, and NotLeading where this node cannot say."""
        try:
            return self.record(project)
        except NotFound:
            await self.catch_up()
        return self.record(project)

    def by_name(self, name: str) -> ProjectRecord | None:
        return self._roll.named(name)

    @asynccontextmanager
    async def hold(self, project: str) -> AsyncIterator[Project]:
        """The open project: opened on first use and brought to the newest additive version of its contract, and open
        until the end of the `with`.

        Raises NotFound; TooManyOpen; Quarantined; Damaged or apsw errors where its files cannot be read.
        """
        self.record(project)
        if project in self.aside:
            raise self.aside[project].with_traceback(None)
        async with self.hold_any(project) as opened:
            yield opened

    def hold_any(self, project: str) -> AbstractAsyncContextManager[Project]:
        """`hold`, also of one that is being made or repaired."""
        return self._openings.hold(project)

    async def greet(self, opened: Project) -> None:
        """Have an open project follow the newest version of its contract if that loses nothing."""
        record = self.record(opened.id)
        if self._elsewhere is None or self._elsewhere.leading:
            await self._follow(opened, record)
        elif record.contract is not None and self.contract(record.contract).hash != opened.contract_hash:
            await self._elsewhere.greet(opened.id)

    def opened(self) -> Sequence[Project]:
        """The projects that are open now; to be used before the next await, or held."""
        return self._openings.opened()

    def when_stopped(self, tell: Callable[[str, ShareliteError], None]) -> None:
        """`tell` is called with a project that takes nothing more, before it is closed and opened anew."""
        self._openings.stopped = tell

    def troubles(self) -> dict[str, ShareliteError]:
        """Why each project stopped that has not been opened again since, the catalog's own included."""
        own = self._own
        mine = {} if own is None or own.trouble is None else {own.id: own.trouble}
        return {**mine, **self._openings.troubles()}

    def counts(self) -> Mapping[State, int]:
        """How many projects are in each state; the rest is closed."""
        return self._openings.counts()

    async def look(self, project: str) -> Look:
        """Version, size and last commit; a project that is closed is not opened for it, if it was closed well."""
        opened = self._openings.look(project)
        if opened is not None:
            return opened.look
        problem = self._openings.problem(project)
        if problem is not None:
            raise problem.with_traceback(None)
        known = self._seen.get(project)
        if known is not None:
            return known
        async with self.hold(project) as opened:
            return opened.look

    async def was_published(self, project: str, version: int, hash: str) -> bool:
        """Whether there ever was this image of a project, by its log."""
        look = partial(self._yard.was_published, project, version, hash)
        return await asyncio.get_running_loop().run_in_executor(self._workers.reads, look)

    async def create(self, name: str, contract: str | dict[str, Any], by: str, public: bool = False) -> ProjectRecord:
        """Make a project: catalog row `creating`, files, `ready`. Raises AlreadyExists, NotFound (the contract),
        ContractInvalid, Refused `invalid` (the name)."""
        named = contract if isinstance(contract, str) else None
        parsed = Contract.parse(self.contract(contract).document if isinstance(contract, str) else contract)
        record = ProjectRecord(secrets.token_hex(16), name, "creating", _now(), by, named, public)
        return await self._maker.make(record, parsed)

    async def adopt(
        self, id: str, name: str, contract: Contract, base: Base, file: Path, by: str, public: bool
    ) -> ProjectRecord:
        """Make a project whose log goes on from a base; the file, synced and on the same disk, moves into its folder.
        Raises AlreadyExists, Refused `invalid` (the name)."""
        record = ProjectRecord(id, name, "creating", _now(), by, None, public)
        return await self._maker.make(record, contract, (base, file))

    async def rename(self, project: str, name: str, by: str) -> ProjectRecord:
        """Raises AlreadyExists, NotFound, Refused `invalid` (the name)."""
        return await self._maker.rename(project, name, by)

    async def publish(self, project: str, public: bool, by: str) -> ProjectRecord:
        """Let anybody read the project, or nobody but those with a token. Raises NotFound."""
        return await self._maker.publish(project, public, by)

    async def delete(self, project: str, by: str) -> None:
        """Remove a project with its files; those who are on it are sent away by whoever asks. Raises NotFound."""
        await self._maker.delete(project, by)

    async def let_go(self, project: str) -> None:
        """Close it for good, as soon as nobody holds it or they have had their time."""
        await self._maker.let_go(project)

    def contracts(self) -> Sequence[ContractRecord]:
        """The newest version of each."""
        return self._shelf.newest()

    def contract(self, name: str, version: int | None = None) -> ContractRecord:
        return self._shelf.get(name, version)

    async def put_contract(self, name: str, document: dict[str, Any], by: str) -> ContractRecord:
        """Store a contract as the next version of its name; the same document again changes nothing. Open projects
        that follow it are upgraded at once where nothing is lost. Raises ContractInvalid."""
        name = valid_contract_name(name)
        parsed = Contract.parse(document, name)
        async with self._putting:
            record, new = self._shelf.following(name, parsed, _now(), by)
            if new:
                await self._mutate(insertion(record), by)
                self._shelf.learn(record)
        followers = {record.id for record in self.list() if record.contract == name}
        for project in self._openings.opened():
            if project.id in followers and self._openings.look(project.id) is project:
                async with self._openings.hold(project.id) as opened:
                    await self._follow(opened, self.record(project.id))
        return record

    async def migrate(
        self, name: str, by: str, projects: Sequence[str] | None, *, dry_run: bool, destructive: bool
    ) -> Sequence[Migrated]:
        """Bring projects (None: all that follow it) to the newest version of a contract; a dry run only reports."""
        contract = Contract.parse(self.contract(name).document, name)
        chosen = [self.record(project) for project in projects] if projects is not None else self.list()
        done: list[Migrated] = []
        for record in chosen:
            if record.contract != name:
                if projects is not None:
                    raise Refused("invalid", f"project {record.name!r} does not follow the contract {name!r}")
                continue
            done.append(await migrated(self.hold, record, contract, by, dry_run=dry_run, destructive=destructive))
        return done

    async def _opening(self, project: str) -> Project:
        record = self.known(project)
        if record is None or record.state == "deleting":
            raise NotFound("project", project)
        await self._workers.turn(self._seen.forget, project)
        try:
            opened: Project = await self._workers.turn(self._yard.open, project, self._lane(project))
        except WRONG as problem:
            raise self._wrong(project, problem) from problem
        opened.attend()
        try:
            await self._follow(opened, record)
        except BaseException:
            await opened.close()
            raise
        opened.when_stopped = self._openings.stop
        return opened

    def _wrong(self, project: str, problem: Exception) -> Exception:
        """What to say of files that are not what they should be. In a cell the other nodes may have them right."""
        if self._elsewhere is not None:
            self._elsewhere.differs(project, str(problem))
            return Quarantined(project, str(problem))
        return Damaged(f"project {project}", str(problem)) if isinstance(problem, Mismatch) else problem

    async def _closing(self, project: Project) -> None:
        await project.close()
        if project.trouble is None:
            await self._workers.turn(self._seen.keep, project.id, project.look)

    async def _tidy(self) -> None:
        await self._workers.turn(give_back)

    async def _follow(self, project: Project, record: ProjectRecord) -> None:
        if record.contract is not None and (self._elsewhere is None or self._elsewhere.leading):
            await follow(project, record, self.contract(record.contract))

    # In a cell (`following.py`).

    async def found(self, lane: Lane) -> Project:
        """The catalog's own project as it is here, behind what the cell has delivered. Raises NotHere, Damaged."""
        found: Project = await self._workers.turn(self._yard.open, CATALOG_ID, lane)
        return found

    async def begin(self, lane: Lane) -> None:
        """At the leader of a new cell: make the catalog. Raises NotLeading, UnknownOutcome."""
        await self._workers.turn(self._yard.begin_catalog, lane)

    @property
    def own(self) -> Project | None:
        """The catalog's own project."""
        return self._own

    def records(self) -> Sequence[ProjectRecord]:
        """Also those that are being made or deleted."""
        return self._roll.all()

    def known(self, project: str) -> ProjectRecord | None:
        """Also one that is being made or deleted."""
        return self._roll.known(project)

    def making(self, project: str) -> bool:
        """Whether this node is just making its files."""
        return self._maker.making(project)

    def learn(self, record: ProjectRecord) -> None:
        self._roll.put(record)

    async def put_node(self, node: NodeRecord) -> None:
        """Note where a node of the cell is reached."""
        values = {"incarnation": node.incarnation, "raft": node.raft, "peer": node.peer, "url": node.url}
        await self._mutate(Operation("s", "node", (node.id,), values), node.id)

    async def drop_node(self, node: str) -> None:
        await self._mutate(Operation("d", "node", (node,), {}), node)

    def learn_contract(self, record: ContractRecord) -> None:
        """The next version of a contract; one that is known already is the same."""
        self._shelf.learn(record)

    async def take(self, project: str) -> None:
        """Open a project, which may be one that is being made, for what the cell has delivered."""
        async with self.hold_any(project):
            pass

    async def put_away(self, project: str, told: ShareliteError) -> None:
        """Close it, and put its files where they can be looked at: it is made anew. `told` to whoever waits for it."""
        await self._openings.retire(project, told)
        await self._workers.turn(self._seen.forget, project)
        await self._workers.turn(self._yard.put_away, project)

    async def start_over(self) -> None:
        """Before the start: put the catalog's own files away, if they were left behind."""
        await self._workers.turn(self._yard.start_over)

    def leave_behind(self) -> None:
        """Have the next start put the catalog's own files away."""
        self._yard.leave_behind()

    async def strays(self) -> set[str]:
        """The folders that belong to no project."""
        found: list[str] = await self._workers.turn(self._yard.folders)
        return {project for project in found if self.known(project) is None}

    async def forget(self, project: str) -> None:
        """It was deleted: nothing of it stays here."""
        self._roll.drop(project)
        await self.let_go(project)
        await self._workers.turn(self._seen.forget, project)
        await self._workers.turn(self._yard.remove, project)

    def _lane(self, project: str) -> Lane | None:
        return None if self._cell is None else self._cell.lane(project)

    async def _read_rows(self) -> None:
        assert self._own is not None, "load() comes first"
        self._roll.read(await self._own.read(lambda c: c.execute(PROJECTS).fetchall()))
        self._shelf = Shelf(await self._own.read(lambda c: c.execute(CONTRACTS).fetchall()))
        if await self._own.read(lambda c: c.execute(HAS_NODES).fetchall()):
            nodes: list[Any] = await self._own.read(lambda c: c.execute(NODES).fetchall())
            self.nodes = {row[0]: NodeRecord(*row) for row in nodes}

    async def _mutate(self, operation: Operation, by: str) -> None:
        if self._own is None:
            raise ShareliteError("the catalog is not open")
        if self._own.trouble is not None:
            await self._reopen()
        outcome = await self._own.mutate(Mutation(by, Edit((operation,))))
        if outcome.refusal is not None:
            raise Refused(outcome.refusal.code, outcome.refusal.message, outcome.refusal.errors)

    async def _reopen(self) -> None:
        """The catalog's own files after one of them could not be written: what its log has is true. In a cell that is
        the end of this node."""
        async with self._reopening:
            stopped = self._own is not None and self._own.trouble is not None and self._cell is None
            if stopped and self._own is not None:
                await self._own.close()
                self._own = await self._workers.turn(self._yard.open_catalog)
        if stopped:
            await self._read_rows()
            await self._maker.finish()


def _now() -> int:
    return time.time_ns() // 1_000_000


async def _level() -> None: ...
