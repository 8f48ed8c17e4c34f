"""Which projects and contracts there are, and the open ones among them.

The catalog is itself a project, so its rows are logged, recovered and (in a cell) replicated like any other's; its data
routes are closed to clients. People know projects by name, files and addresses by a random id.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec
from msgspec import Struct

from .cluster.cell import Cell
from .cluster.lane import Lane
from .errors import (
    AlreadyExists,
    Damaged,
    NotFound,
    NotJudged,
    NotLeading,
    Refused,
    ShareliteError,
    Unavailable,
    UnknownOutcome,
)
from .model import Base, Edit, Mutation, Operation, Outcome
from .names import folded, valid_contract_name, valid_project_name
from .project import Elsewhere, Project, UpgradeReport, Workers, begin, open_road, to_its_end
from .publishing import Publisher
from .records import CONTRACT, ContractRecord, NodeRecord, ProjectRecord
from .road import Replicator, Road
from .schema.contract import Contract
from .storage.databases import Databases
from .storage.files import Files
from .storage.images import Gallery
from .sync.log import published
from .sync.statements import Function

logger = logging.getLogger(__name__)

CATALOG_ID = "0" * 32
PROJECTS = "SELECT id, name, state, created, by, contract, public FROM project ORDER BY created, id"
CONTRACTS = "SELECT name, version, hash, document, created, by FROM contract ORDER BY name, version"


NODES = "SELECT id, incarnation, raft, peer, url FROM node"
HAS_NODES = "SELECT 1 FROM sqlite_schema WHERE name='node'"


class NotHere(Unavailable):
    """Other nodes of the cell have it, this one has nothing of it yet."""

    def __init__(self, project: str) -> None:
        super().__init__(f"project {project} is not on this node yet")


class Migrated(Struct, frozen=True):
    """What a migration means or meant for one project; `problem` where it was refused."""

    record: ProjectRecord
    report: UpgradeReport | None
    problem: str | None = None


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
    ) -> None:
        self.gallery = gallery
        self._cell, self._elsewhere = cell, elsewhere
        self._making: set[str] = set()
        #: The nodes of the cell, by id.
        self.nodes: dict[str, NodeRecord] = {}
        self._files = files
        self._data = data
        self._workers = workers
        self._replicator = replicator
        self._functions = functions
        self._projects: dict[str, ProjectRecord] = {}
        self._contracts: dict[str, list[ContractRecord]] = {}
        self._open: dict[str, asyncio.Task[Project]] = {}
        self._own: Project | None = None
        self._closed = False
        self._putting = asyncio.Lock()

    async def start(self) -> None:
        """Open the catalog and finish what a crash interrupted: half-made projects go, half-deleted ones too."""
        await self.load(await self._on(self._open_own))
        await self.lead()

    async def lead(self) -> None:
        """What one node of a cell does: the newest contract of the catalog itself, and what was interrupted."""
        assert self._own is not None, "start() comes first"
        await self._own.upgrade(Contract.parse(CONTRACT, "catalog"), "sharelite")
        await self._finish()

    async def load(self, own: Project) -> None:
        """Begin with the catalog's own project, and with what is in it."""
        self._own = own
        own.attend()
        rows: list[Any] = await own.read(lambda c: c.execute(PROJECTS).fetchall())
        for id, name, state, created, by, contract, public in rows:
            self._projects[id] = ProjectRecord(id, name, state, created, by, contract, bool(public))
        stored: list[Any] = await own.read(lambda c: c.execute(CONTRACTS).fetchall())
        for name, version, digest, document, created, by in stored:
            record = ContractRecord(name, version, digest, json.loads(document), created, by)
            self._contracts.setdefault(name, []).append(record)
        if await own.read(lambda c: c.execute(HAS_NODES).fetchall()):
            nodes: list[Any] = await own.read(lambda c: c.execute(NODES).fetchall())
            self.nodes = {row[0]: NodeRecord(*row) for row in nodes}

    async def close(self) -> None:
        """Close every open project, then the catalog's own."""
        self._closed = True
        tasks, self._open = list(self._open.values()), {}
        for opened in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(opened, Project):
                await opened.close()
        if self._own is not None:
            await self._own.close()

    @property
    def alone(self) -> bool:
        """Whether this node is no part of a cell."""
        return self._cell is None

    def list(self) -> Sequence[ProjectRecord]:
        return [record for record in self._projects.values() if record.state == "ready"]

    def record(self, project: str) -> ProjectRecord:
        """Raises NotFound; a project that is being made or deleted is not there."""
        record = self._projects.get(project)
        if record is None or record.state != "ready":
            raise NotFound("project", project)
        return record

    def by_name(self, name: str) -> ProjectRecord | None:
        wanted = folded(name)
        return next((record for record in self.list() if folded(record.name) == wanted), None)

    def opened(self) -> Sequence[Project]:
        """The projects that are open now."""
        return [
            task.result()
            for task in self._open.values()
            if task.done() and not task.cancelled() and not task.exception()
        ]

    async def create(self, name: str, contract: str | dict[str, Any], by: str, public: bool = False) -> ProjectRecord:
        """Make a project: catalog row `creating`, files, `ready`. Raises AlreadyExists, NotFound (the contract),
        ContractInvalid, Refused `invalid` (the name)."""
        name = valid_project_name(name)
        named = contract if isinstance(contract, str) else None
        parsed = Contract.parse(self.contract(contract).document if isinstance(contract, str) else contract)
        record = ProjectRecord(secrets.token_hex(16), name, "creating", _now(), by, named, public)
        if self.by_name(name) is not None:
            raise AlreadyExists("project", name)
        return await to_its_end(self._create(record, parsed, by))

    async def adopt(
        self, id: str, name: str, contract: Contract, base: Base, file: Path, by: str, public: bool
    ) -> ProjectRecord:
        """Make a project whose log goes on from a base; the file, synced and on the same disk, moves into its folder.
        Raises AlreadyExists, Refused `invalid` (the name)."""
        record = ProjectRecord(id, valid_project_name(name), "creating", _now(), by, None, public)
        if self.by_name(name) is not None:
            raise AlreadyExists("project", name)
        return await to_its_end(self._create(record, contract, by, (base, file)))

    async def _create(
        self, record: ProjectRecord, parsed: Contract, by: str, origin: tuple[Base, Path] | None = None
    ) -> ProjectRecord:
        self._making.add(record.id)
        try:
            await self._write("i", record, by)
            await self._on(self._make_files, record, parsed, by, origin)
        except (NotLeading, UnknownOutcome):  # the next leader brings it to its end, or takes it back
            raise
        except BaseException:
            await self._erase(record, by)
            raise
        finally:
            self._making.discard(record.id)
        ready = msgspec.structs.replace(record, state="ready")
        await self._write("u", ready, by)
        return ready

    async def rename(self, project: str, name: str, by: str) -> ProjectRecord:
        name = valid_project_name(name)
        twin = self.by_name(name)
        if twin is not None and twin.id != project:
            raise AlreadyExists("project", name)
        renamed = msgspec.structs.replace(self.record(project), name=name)
        await self._write("u", renamed, by)
        return renamed

    async def publish(self, project: str, public: bool, by: str) -> ProjectRecord:
        """Let anybody read the project, or nobody but those with a token."""
        changed = msgspec.structs.replace(self.record(project), public=public)
        await self._write("u", changed, by)
        return changed

    async def delete(self, project: str, by: str) -> None:
        """Remove a project with its files; those who are on it are sent away by whoever asks."""
        await to_its_end(self._delete(project, by))

    async def _delete(self, project: str, by: str) -> None:
        record = msgspec.structs.replace(self.record(project), state="deleting")
        await self._write("u", record, by)
        await self.let_go(project)
        await self._erase(record, by)

    async def let_go(self, project: str) -> None:
        """Close it, if it is open."""
        task = self._open.pop(project, None)
        if task is not None:
            await asyncio.wait([task])
            if task.exception() is None:
                await task.result().close()

    async def open(self, project: str) -> Project:
        """The open project, opened on first use and brought to the newest additive version of its contract.

        Raises NotFound; Damaged or apsw errors where its files cannot be read.
        """
        return await self.open_of(self.record(project))

    async def open_of(self, record: ProjectRecord) -> Project:
        """`open`, also of one that is being made."""
        project = record.id
        if self._closed:
            raise NotFound("project", project)
        task = self._open.get(project)
        if task is None:
            task = self._open[project] = asyncio.create_task(self._opening(record))
            task.add_done_callback(lambda done: self._forget_failed(project, done))
        return await asyncio.shield(task)

    async def greet(self, project: str) -> Project:
        """`open`, and follow the newest version of its contract if that loses nothing."""
        opened = await self.open(project)
        record = self.record(project)
        if self._elsewhere is None or self._elsewhere.leading:
            await self._follow(opened, record)
        elif record.contract is not None and self.contract(record.contract).hash != opened.contract_hash:
            await self._elsewhere.greet(project)
        return opened

    def contracts(self) -> Sequence[ContractRecord]:
        """The newest version of each."""
        return [versions[-1] for versions in self._contracts.values()]

    def contract(self, name: str, version: int | None = None) -> ContractRecord:
        for record in reversed(self._contracts.get(name, [])):
            if version in (None, record.version):
                return record
        raise NotFound("contract", name if version is None else f"{name} version {version}")

    async def put_contract(self, name: str, document: dict[str, Any], by: str) -> ContractRecord:
        """Store a contract as the next version of its name; the same document again changes nothing. Open projects
        that follow it are upgraded at once where nothing is lost. Raises ContractInvalid."""
        name = valid_contract_name(name)
        parsed = Contract.parse(document, name)
        async with self._putting:
            record = await self._put(name, parsed, by)
        for project in self.opened():
            if project.id in self._projects and self._projects[project.id].contract == name:
                await self._follow(project, self._projects[project.id])
        return record

    async def _put(self, name: str, parsed: Contract, by: str) -> ContractRecord:
        versions = self._contracts.get(name, [])
        if versions and versions[-1].hash == parsed.hash:
            return versions[-1]
        record = ContractRecord(name, len(versions) + 1, parsed.hash, parsed.document, _now(), by)
        values = {
            "hash": record.hash,
            "document": json.dumps(record.document, separators=(",", ":")),
            "created": record.created,
            "by": by,
        }
        await self._mutate(Operation("i", "contract", (name, record.version), values), by)
        self._contracts[name] = [*versions, record]
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
            done.append(await self._migrated(record, contract, by, dry_run, destructive))
        return done

    async def _migrated(
        self, record: ProjectRecord, contract: Contract, by: str, dry_run: bool, destructive: bool
    ) -> Migrated:
        """What stands in the way of one project is told, and stops no other."""
        planned: UpgradeReport | None = None
        try:
            project = await self.open(record.id)
            planned = await project.plan_upgrade(contract)
            return Migrated(record, planned if dry_run else await project.upgrade(contract, by, destructive))
        except (ShareliteError, apsw.Error) as problem:
            return Migrated(record, planned, str(problem))

    async def version_and_size(self, project: str) -> tuple[int, int]:
        """The version of a project and the bytes of its database, without opening it for writing."""
        databases = self._databases(project)
        task = self._open.get(project)
        if task is not None and task.done() and not task.exception():
            return task.result().version, databases.size()
        return await asyncio.get_running_loop().run_in_executor(self._workers.reads, databases.version_and_size)

    async def was_published(self, project: str, version: int, hash: str) -> bool:
        """Whether there ever was this image of a project, by its log."""

        def look() -> bool:
            reader = self._databases(project).log_reader()
            try:
                return any((image.version, image.hash) == (version, hash) for image in published(reader))
            finally:
                reader.close()

        return await asyncio.get_running_loop().run_in_executor(self._workers.reads, look)

    async def _opening(self, record: ProjectRecord) -> Project:
        project: Project = await self._on(self._open_files, record)
        project.attend()
        await self._follow(project, record)
        return project

    def _forget_failed(self, project: str, task: asyncio.Task[Project]) -> None:
        if (task.cancelled() or task.exception() is not None) and self._open.get(project) is task:
            del self._open[project]

    async def _follow(self, project: Project, record: ProjectRecord) -> None:
        """An additive upgrade needs nobody's leave; another waits for `contract migrate`, and the log says so."""
        if record.contract is None or (self._elsewhere is not None and not self._elsewhere.leading):
            return
        newest = self.contract(record.contract)
        if newest.hash == project.contract_hash:
            return
        contract = Contract.parse(newest.document, newest.name)
        planned = await project.plan_upgrade(contract)
        if planned.kind == "destructive":
            logger.warning(
                "project %s stays on an older version of contract %s: %s",
                record.name,
                newest.name,
                "; ".join(planned.reasons),
            )
            return
        try:
            await project.upgrade(contract, "contract")
        except (Refused, NotJudged) as problem:
            logger.warning("project %s stays on an older version of contract %s: %s", record.name, newest.name, problem)

    def _lane(self, project: str) -> Lane | None:
        return None if self._cell is None else self._cell.lane(project)

    def _databases(self, project: str) -> Databases:
        folder = self._data / "catalog" if project == CATALOG_ID else self._data / "projects" / project
        return Databases(self._files, folder, project)

    def _make_files(
        self, record: ProjectRecord, contract: Contract, by: str, origin: tuple[Base, Path] | None = None
    ) -> None:
        databases = self._databases(record.id)
        self._files.make_folder(databases.data_path.parent)
        if origin is not None:  # the base is there before the log names it
            self._files.move(origin[1], databases.base_path(origin[0].hash))
        lane = self._lane(record.id)
        if lane is not None:
            lane.wake = _nothing  # what comes back is waited for
        road = open_road(databases, self._replicator, self._functions, secrets.token_hex(16), lane)
        try:
            if origin is None:
                begin(road, contract, by)
            else:
                road.adopt(contract, contract.document, origin[0], by)
        finally:
            road.close()
            if lane is not None:
                lane.wake = None
        self._files.sync_folder(databases.data_path.parent)

    def _open_files(self, record: ProjectRecord) -> Project:
        databases = self._databases(record.id)
        lane = self._lane(record.id)
        if lane is not None:
            return self._open_in_cell(databases, lane)
        if not databases.log_path.exists():
            raise NotFound("log of project", record.id)
        if databases.version_and_size()[0] == 0:  # before recovery takes an empty log for the truth
            raise Damaged(str(databases.log_path), "holds no version of the project, which has at least one")
        road = open_road(databases, self._replicator, self._functions, "")
        return self._opened(road, databases)

    def _open_in_cell(
        self, databases: Databases, lane: Lane, functions: Mapping[str, Function] | None = None
    ) -> Project:
        """Open what is here, behind what the cell has delivered of it. Raises NotHere where it is neither."""
        first = lane.next()
        if first is None and not databases.log_path.exists():
            raise NotHere(databases.project)
        self._files.make_folder(databases.data_path.parent)
        known = self._functions if functions is None else functions
        road = open_road(databases, self._replicator, known, "" if first is None else first.epoch, lane)
        try:
            road.take()
            if road.position.version == 0:
                raise Damaged(str(databases.log_path), "holds no version of the project, which has at least one")
            self._files.sync_folder(databases.data_path.parent)
            return self._opened(road, databases, lane)
        except BaseException:
            road.close()
            raise

    def _open_own(self) -> Project:
        databases = self._databases(CATALOG_ID)
        self._files.make_folder(databases.data_path.parent)
        road = open_road(databases, self._replicator, {}, secrets.token_hex(16))
        if road.position.version == 0:
            begin(road, Contract.parse(CONTRACT, "catalog"), "sharelite")
            self._files.sync_folder(databases.data_path.parent)
        return self._opened(road, databases)

    def _opened(self, road: Road, databases: Databases, lane: Lane | None = None) -> Project:
        contract = Contract.parse(databases.contract())
        road.follow(contract)
        publisher = Publisher(road, databases, self.gallery.of(databases.project), self.gallery.chunks)
        publisher.settle()
        return Project(road, databases, self._workers, contract, publisher, self._elsewhere, lane)

    # In a cell (`following.py`).

    async def found(self, lane: Lane) -> Project:
        """The catalog's own project as it is here, behind what the cell has delivered. Raises NotHere, Damaged."""
        found: Project = await self._on(self._open_in_cell, self._databases(CATALOG_ID), lane)
        return found

    async def begin(self, lane: Lane) -> None:
        """At the leader of a new cell: make the catalog. Raises NotLeading, UnknownOutcome."""
        await self._on(self._begin_own, lane)

    def _begin_own(self, lane: Lane) -> None:
        databases = self._databases(CATALOG_ID)
        self._files.make_folder(databases.data_path.parent)
        lane.wake = _nothing
        road = open_road(databases, self._replicator, {}, secrets.token_hex(16), lane)
        try:
            road.take()
            if road.position.version == 0:
                begin(road, Contract.parse(CONTRACT, "catalog"), "sharelite")
        finally:
            road.close()
            lane.wake = None

    @property
    def own(self) -> Project | None:
        """The catalog's own project."""
        return self._own

    def records(self) -> Sequence[ProjectRecord]:
        """Also those that are being made or deleted."""
        return list(self._projects.values())

    def known(self, project: str) -> ProjectRecord | None:
        """Also one that is being made or deleted."""
        return self._projects.get(project)

    def making(self, project: str) -> bool:
        """Whether this node is just making its files."""
        return project in self._making

    def learn(self, record: ProjectRecord) -> None:
        self._projects[record.id] = record

    async def put_node(self, node: NodeRecord) -> None:
        """Note where a node of the cell is reached."""
        values = {"incarnation": node.incarnation, "raft": node.raft, "peer": node.peer, "url": node.url}
        await self._mutate(Operation("s", "node", (node.id,), values), node.id)

    async def drop_node(self, node: str) -> None:
        await self._mutate(Operation("d", "node", (node,), {}), node)

    def learn_contract(self, record: ContractRecord) -> None:
        """The next version of a contract; one that is known already is the same."""
        versions = self._contracts.get(record.name, [])
        if record.version == len(versions) + 1:
            self._contracts[record.name] = [*versions, record]

    async def forget(self, project: str) -> None:
        """It was deleted: nothing of it stays here."""
        self._projects.pop(project, None)
        await self.let_go(project)
        await self._on(self._files.remove_folder, self._data / "projects" / project)
        self.gallery.forget(project)

    async def _finish(self) -> None:
        for record in [record for record in self._projects.values() if record.state != "ready"]:
            if record.id in self._making:
                continue
            if self._cell is not None and self._cell.lane(record.id).next() is not None:
                await self.open_of(record)  # what a leader before had begun
            databases = self._databases(record.id)
            whole = record.state == "creating" and databases.log_path.exists()
            if whole and (await self._on(databases.version_and_size))[0] > 0:
                await self._write("u", msgspec.structs.replace(record, state="ready"), record.by)
            else:
                await self._erase(record, record.by)

    async def _erase(self, record: ProjectRecord, by: str) -> None:
        await self._on(self._files.remove_folder, self._data / "projects" / record.id)
        self.gallery.forget(record.id)
        await self._mutate(Operation("d", "project", (record.id,), {}), by)
        self._projects.pop(record.id, None)

    async def _write(self, op: str, record: ProjectRecord, by: str) -> None:
        values = {
            "name": record.name,
            "fold": folded(record.name),
            "state": record.state,
            "created": record.created,
            "by": record.by,
            "contract": record.contract,
            "public": record.public,
        }
        try:
            await self._mutate(Operation("i" if op == "i" else "u", "project", (record.id,), values), by)
        except Refused as refused:
            raise AlreadyExists("project", record.name) if refused.code == "unique" else refused from None
        self._projects[record.id] = record

    async def _mutate(self, operation: Operation, by: str) -> None:
        if self._own is None:
            raise ShareliteError("the catalog is not open")
        outcome: Outcome = await self._own.mutate(Mutation(by, Edit((operation,))))
        if outcome.refusal is not None:
            raise Refused(outcome.refusal.code, outcome.refusal.message, outcome.refusal.errors)

    async def _on(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._workers.turns, function, *args)


def _nothing() -> None: ...


def _now() -> int:
    return time.time_ns() // 1_000_000
