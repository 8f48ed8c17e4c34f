"""The folders of a node's projects: made, opened, removed. Everything here blocks; workers call it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import apsw

from .cluster.lane import Lane
from .errors import Damaged, NotFound, Unavailable
from .founding import begin, open_road
from .model import Base
from .ports import Elsewhere, Replicator
from .project import Project, Workers
from .publishing import Publisher
from .records import CONTRACT
from .road import Road
from .schema.contract import Contract
from .storage.databases import Databases
from .storage.files import Files
from .storage.images import FOLDER, Gallery
from .storage.seen import Look
from .sync.log import published
from .sync.statements import Function

CATALOG_ID = "0" * 32
#: Says that the catalog is to be fetched anew.
LEFT = "catalog-differs"


class NotHere(Unavailable):
    """Other nodes of the cell have it, this one has nothing of it yet."""

    def __init__(self, project: str) -> None:
        super().__init__(f"project {project} is not on this node yet")


class Yard:
    """`data`: the data directory. `lane`: what the cell has delivered for the project; None on a node that is alone."""

    def __init__(
        self,
        files: Files,
        data: Path,
        workers: Workers,
        replicator: Replicator,
        functions: Mapping[str, Function],
        gallery: Gallery,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._files, self._data, self._workers = files, data, workers
        self._replicator, self._functions, self._elsewhere = replicator, functions, elsewhere
        self._gallery = gallery

    def make(
        self,
        project: str,
        contract: Contract,
        by: str,
        lane: Lane | None = None,
        origin: tuple[Base, Path] | None = None,
    ) -> Look:
        """The files of a new project, at version 1. `origin`: the base that its log goes on from, which moves here."""
        databases = self._databases(project)
        self._files.make_folder(databases.data_path.parent)
        if origin is not None:  # the base is there before the log names it
            self._files.move(origin[1], databases.base_path(origin[0].hash))
            if self._elsewhere is not None:
                self._elsewhere.spread(project, origin[0].hash)
        with self._awaited(databases, lane) as road:
            if origin is None:
                begin(road, contract, by)
            else:
                road.adopt(contract, contract.document, origin[0], by)
        self._files.sync_folder(databases.data_path.parent)
        return Look(road.position.version, databases.size(), road.updated)

    def open(self, project: str, lane: Lane | None = None) -> Project:
        """Open what is here, behind what the cell has delivered of it. Raises NotFound, in a cell NotHere, where it is
        neither; Damaged, apsw errors. Then nothing stays open."""
        databases = self._databases(project)
        first = None if lane is None else lane.next()
        if first is None and not databases.log_path.exists():
            raise NotFound("log of project", project) if lane is None else NotHere(project)
        if lane is None:
            _whole(databases, databases.version())  # before recovery takes an empty log for the truth
        self._files.make_folder(databases.data_path.parent)
        road = self._road(databases, "" if first is None else first.epoch, lane)
        try:
            if lane is not None:
                if road.position.version == 0 and first is None:  # the journal has what the power took; it comes
                    raise NotHere(project)
                road.take()
                _whole(databases, road.position.version)
                self._files.sync_folder(databases.data_path.parent)
            return self._opened(road, databases, lane)
        except BaseException:
            road.close()
            raise

    def open_catalog(self) -> Project:
        """The catalog's own project on a node that is alone, made if it is not there."""
        databases = self._databases(CATALOG_ID)
        self._files.make_folder(databases.data_path.parent)
        road = self._road(databases, secrets.token_hex(16), None)
        try:
            if road.position.version == 0:
                begin(road, Contract.parse(CONTRACT, "catalog"), "sharelite")
                self._files.sync_folder(databases.data_path.parent)
            return self._opened(road, databases, None)
        except BaseException:
            road.close()
            raise

    def begin_catalog(self, lane: Lane) -> None:
        """Make the catalog of a new cell. Raises NotLeading, UnknownOutcome."""
        with self._awaited(self._databases(CATALOG_ID), lane) as road:
            road.take()
            if road.position.version == 0:
                begin(road, Contract.parse(CONTRACT, "catalog"), "sharelite")

    def is_whole(self, project: str) -> bool:
        """Whether the files of a project that was being made have got its first version. A log that cannot be read yet
        has none: nobody was told of it before its project was ready."""
        databases = self._databases(project)
        try:
            return databases.log_path.exists() and databases.version() > 0
        except (Damaged, apsw.Error):
            return False

    def remove(self, project: str) -> None:
        """Remove the files of a project; none there is fine."""
        self._files.remove_folder(self._data / "projects" / project)
        self._gallery.forget(project)

    def put_away(self, project: str) -> None:
        """Put log and database of a closed project aside, over what was put there before; its images go."""
        databases = self._databases(project)
        for path in (databases.log_path, databases.data_path):
            for ending in ("", "-wal", "-shm"):
                old = path.with_name(path.name + ending)
                if old.exists():
                    old.replace(path.with_name(f"{path.name}.differed{ending}"))
        self._files.remove_folder(databases.data_path.parent / FOLDER)
        self._files.make_folder(databases.data_path.parent)
        self._files.sync_folder(databases.data_path.parent)
        self._gallery.forget(project)

    def leave_behind(self) -> None:
        """The catalog's own files are put away at the next start."""
        self._files.write(self._data / LEFT, b"")

    def start_over(self) -> None:
        """Before anything is open: put the catalog's own files away, if `leave_behind` said so."""
        if (self._data / LEFT).exists():
            self.put_away(CATALOG_ID)
            self._files.unlink(self._data / "level")
            self._files.unlink(self._data / LEFT)

    def folders(self) -> list[str]:
        """The projects that have one."""
        return self._files.folders(self._data / "projects")

    def was_published(self, project: str, version: int, hash: str) -> bool:
        """Whether there ever was this image, by the log."""
        reader = self._databases(project).log_reader()
        try:
            return any((image.version, image.hash) == (version, hash) for image in published(reader))
        finally:
            reader.close()

    @contextmanager
    def _awaited(self, databases: Databases, lane: Lane | None) -> Iterator[Road]:
        """A road on new files; what the cell delivers meanwhile is waited for here, so nobody need be woken."""
        self._files.make_folder(databases.data_path.parent)
        if lane is not None:
            lane.wake = _nothing
        try:
            road = self._road(databases, secrets.token_hex(16), lane)
            try:
                yield road
            finally:
                road.close()
        finally:
            if lane is not None:
                lane.wake = None

    def _road(self, databases: Databases, epoch: str, lane: Lane | None) -> Road:
        functions = {} if databases.project == CATALOG_ID else self._functions
        return open_road(databases, self._replicator, functions, epoch, lane)

    def _opened(self, road: Road, databases: Databases, lane: Lane | None) -> Project:
        contract = Contract.parse(databases.contract())
        road.follow(contract)
        gallery = self._gallery
        images = gallery.of(databases.project)
        publisher = Publisher(road, databases, images, gallery.chunks, gallery.developer, in_cell=lane is not None)
        publisher.settle()
        return Project(road, databases, self._workers, contract, publisher, self._elsewhere, lane)

    def _databases(self, project: str) -> Databases:
        folder = self._data / "catalog" if project == CATALOG_ID else self._data / "projects" / project
        return Databases(self._files, folder, project)


def _whole(databases: Databases, version: int) -> None:
    if version == 0:
        raise Damaged(str(databases.log_path), "holds no version of the project, which has at least one")


def _nothing() -> None: ...
