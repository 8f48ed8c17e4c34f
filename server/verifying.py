"""Checks a data directory from its bytes: logs, databases, images and chunks (SPEC I18). Reads; mends nothing."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
from msgspec import Struct

from .errors import Damaged
from .storage.databases import Databases
from .storage.files import Files
from .storage.images import FOLDER
from .storage.manifest import CHUNK, decode, parse_name
from .sync import digest
from .sync.apply import POSITION
from .sync.log import ENTRIES_AFTER, Log, published
from .sync.recovery import bring_forward
from .sync.shape import shapes
from .yard import CATALOG_ID

NAMES = "SELECT id, name FROM project ORDER BY name"
#: Chunks that are hashed at the same time.
AT_ONCE = 4


class Finding(Struct, frozen=True):
    """Something that is not as it was written. `versions`: the images that it touches."""

    project: str
    what: str
    versions: tuple[int, ...] = ()


class Place(Struct, frozen=True):
    """A project's folder and what people call it."""

    id: str
    name: str
    folder: Path


#: What is being done, and how many steps it has; called with None after each step.
Told = Callable[[str | None, int], None]


class Verifier:
    """Of one data directory that nobody serves meanwhile."""

    def __init__(self, data: Path, told: Told) -> None:
        self._data, self._told = data, told
        self._files = Files()
        self.findings: list[Finding] = []
        #: Of each chunk: the images that it is a part of, and how long it has to be.
        self._wanted: dict[bytes, list[tuple[str, int, int]]] = defaultdict(list)
        self.unneeded = 0

    def run(self, replay: bool) -> list[Finding]:
        """Check everything. `replay`: also make each database anew from its log and compare the rows."""
        places = list(self._places())
        self._told("projects", len(places))
        for place in places:
            self._project(place, replay)
            self._told(None, 1)
        self._chunks()
        return self.findings

    def _places(self) -> Iterator[Place]:
        catalog = Place(CATALOG_ID, "the catalog", self._data / "catalog")
        yield catalog
        names: dict[str, str] = {}
        try:
            connection = self._databases(catalog).data("read")
            names = dict(connection.execute(NAMES).fetchall())  # type: ignore[arg-type]
            connection.close()
        except (apsw.Error, Damaged) as problem:
            self._found(catalog, f"data.db cannot be read: {problem}")
        for id in self._files.folders(self._data / "projects"):
            yield Place(id, names.get(id, id), self._data / "projects" / id)
        for id in sorted(names.keys() - set(self._files.folders(self._data / "projects"))):
            self.findings.append(Finding(names[id], "has no files"))

    def _project(self, place: Place, replay: bool) -> None:
        for check in (self._log, self._database, self._images, *([self._replayed] if replay else [])):
            try:
                check(place)
            except (apsw.Error, Damaged, OSError, ValueError) as problem:
                self._found(place, f"{type(problem).__name__}: {problem}")

    def _log(self, place: Place) -> None:
        """The chain of digests over every entry, from the first that is there."""
        reader = self._databases(place).log_reader()
        try:
            self._sound(place, reader, "log.db")
            before: tuple[int, bytes] | None = None
            for seq, _, _, told, body in reader.execute(ENTRIES_AFTER, (0,)):
                if before is None and seq > 1:  # what a cell trimmed cannot be checked
                    before = (seq, told)
                    continue
                last, chained = before or (0, digest.START)
                if seq != last + 1:
                    self._found(place, f"log.db: entry {last + 1} is missing")
                elif digest.chain(chained, body) != told:
                    self._found(place, f"log.db: entry {seq} is not what its digest says")
                before = (seq, told)
        finally:
            reader.close()

    def _database(self, place: Place) -> None:
        """SQLite's own check, the row digest from the rows, and whether it is on the way of its log."""
        if not (place.folder / "data.db").exists():
            return
        databases = self._databases(place)
        reader, log = databases.data("read"), databases.log_reader()
        try:
            self._sound(place, reader, "data.db")
            position: Any = reader.execute(POSITION).fetchone()
            seq = int.from_bytes(position[0], "big")
            if digest.whole(reader, shapes(reader).values()) != int.from_bytes(position[3], "big"):
                self._found(place, "data.db: its rows do not have the row digest that it states")
            row: Any = log.execute("SELECT digest FROM entries WHERE seq=?", (seq,)).fetchone()
            if seq and (row is None or row[0] != position[2]):
                self._found(place, f"data.db is at entry {seq}, which is not on the way of its log")
        finally:
            reader.close()
            log.close()

    def _images(self, place: Place) -> None:
        """Manifests as they were written, and named by the log; their chunks are noted for later."""
        reader = self._databases(place).log_reader()
        try:
            known = {(image.seq, image.hash) for image in published(reader)}
        finally:
            reader.close()
        for path in sorted((place.folder / FOLDER).glob("*")):
            name = parse_name(path.name)
            if name is None:
                continue
            try:
                manifest = decode(path.read_bytes(), str(path))
            except Damaged as problem:
                self.findings.append(Finding(place.name, str(problem), (name.version,)))
                continue
            fault = ""
            if manifest.hash != name.hash or manifest.count() != -(-manifest.size // CHUNK):
                fault = "is the manifest of another image"
            elif known and (name.seq, name.hash) not in known:
                fault = "is not in the log"
            if fault:
                self.findings.append(Finding(place.name, f"{path.name} {fault}", (name.version,)))
            for index in range(manifest.count()):
                needs = (place.name, name.version, manifest.length(index))
                self._wanted[manifest.chunk(index)].append(needs)

    def _replayed(self, place: Place) -> None:
        """The rows that the log leads to are those that are there."""
        with tempfile.TemporaryDirectory(prefix="sharelite-verify-") as name:
            for path in place.folder.iterdir():
                if path.is_file() and not path.name.startswith("data.db"):
                    shutil.copyfile(path, Path(name) / path.name)
            databases = Databases(self._files, Path(name), place.id)
            log = Log(databases.log(), place.id, "", str(databases.log_path))
            try:
                apply = bring_forward(databases, log)
                reader = self._databases(place).data("read")
                position: Any = reader.execute(POSITION).fetchone()
                reader.close()
                same = apply.position.seq == int.from_bytes(position[0], "big")
                if same and apply.row_digest != int.from_bytes(position[3], "big"):
                    self._found(place, "data.db does not have the rows that its log leads to")
            finally:
                databases.close()

    def _chunks(self) -> None:
        folder = self._data / "chunks"
        there = {path.name for path in folder.iterdir()} if folder.exists() else set()
        self.unneeded = len(there - {chunk.hex() for chunk in self._wanted})
        self._told("chunks", len(self._wanted))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for chunk, fault in zip(self._wanted, pool.map(self._fault, self._wanted), strict=True):
                if fault:
                    self._harmed(chunk, fault)
                self._told(None, 1)

    def _fault(self, chunk: bytes) -> str:
        try:
            content = (self._data / "chunks" / chunk.hex()).read_bytes()
        except FileNotFoundError:
            return "is missing"
        except OSError as problem:
            return f"cannot be read: {problem.strerror}"
        right = hashlib.sha256(content).digest() == chunk and len(content) == self._wanted[chunk][0][2]
        return "" if right else "is not itself"

    def _harmed(self, chunk: bytes, fault: str) -> None:
        touched: dict[str, set[int]] = defaultdict(set)
        for name, version, _ in self._wanted[chunk]:
            touched[name].add(version)
        for name, versions in touched.items():
            self.findings.append(Finding(name, f"chunk {chunk.hex()} {fault}", tuple(sorted(versions))))

    def _sound(self, place: Place, reader: apsw.Connection, file: str) -> None:
        for (line,) in reader.execute("PRAGMA integrity_check(10)"):
            if line != "ok":
                self._found(place, f"{file}: {line}")

    def _databases(self, place: Place) -> Databases:
        return Databases(self._files, place.folder, place.id)

    def _found(self, place: Place, what: str) -> None:
        self.findings.append(Finding(place.name, what))
