"""Imports on their way: a file comes in pieces, a process of its own reads it, and a project is there or it is not.

    DATA/imports/<id>/import.json    whose it is, what it is to be called, how far it is (durable)
                      file           what has come so far
                      base.db        what the process makes of it; it moves into the project's folder

An import outlives a restart: what has come is not sent again. One that nobody finishes is forgotten after a day.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from ..config import Limits
from ..errors import (
    AlreadyExists,
    Conflict,
    Damaged,
    FileRefused,
    NotFound,
    RateLimited,
    ShareliteError,
    TooLarge,
    Unavailable,
)
from ..model import Base
from ..names import valid_project_name
from ..schema.contract import Contract
from . import process

if TYPE_CHECKING:
    from ..catalog import Catalog
    from ..project import Workers
    from ..storage.files import Files

logger = logging.getLogger(__name__)
T = TypeVar("T")

State = Literal["receiving", "working", "ready", "failed"]
KEPT_SECONDS = 24 * 3600
#: A file of this size needs so many times its bytes: itself, the base, the database, and room to work.
ROOM = 4
#: Processes that read files at the same time.
AT_ONCE = 2
PIECE = 1 << 20


class Report(Struct, frozen=True):
    """What came of a file: rows by table, and what did not come along as it was (kind, name, reason)."""

    rows: dict[str, int]
    left: list[dict[str, str]]


class Import(Struct):
    """One import. `project`: the id it gets, known before anything is made, so that a restart knows what to look for.

    `progress`: phase, done, of (in units of the phase; 0 where nobody can tell).
    """

    id: str
    name: str
    user: str
    size: int
    public: bool
    created: int
    state: State = "receiving"
    received: int = 0
    project: str | None = None
    problem: str | None = None
    report: Report | None = None
    progress: tuple[str, int, int] | None = None


class Imports:
    """Event loop's thread."""

    def __init__(self, catalog: Catalog, files: Files, data: Path, workers: Workers, limits: Limits) -> None:
        self._catalog, self._files, self._workers, self._limits = catalog, files, workers, limits
        self._folder = data / "imports"
        self._known: dict[str, Import] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    def start(self) -> None:
        """Take up what was on its way before the restart; what is too old goes."""
        for name in self._files.folders(self._folder):
            found = self._read(name)
            if found is None or time.time() - found.created / 1000 > KEPT_SECONDS:
                self._files.remove_folder(self._folder / name)
                continue
            self._known[name] = found
            if found.state == "working":
                found.state = "ready" if self._made(found) else "receiving"
            if found.state == "receiving":
                found.received = min(found.size, self._path(found).stat().st_size if self._path(found).exists() else 0)

    async def close(self) -> None:
        """End what is running; it is taken up again after the next start."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def look(self, name: str, user: str) -> Import:
        """Raises NotFound, also for somebody else's."""
        found = self._known.get(name)
        if found is None or found.user != user:
            raise NotFound("import", name)
        return found

    def list(self, user: str) -> list[Import]:
        """Those of a user, oldest first."""
        return sorted((one for one in self._known.values() if one.user == user), key=lambda one: (one.created, one.id))

    async def begin(self, name: str, size: int, user: str, public: bool) -> Import:
        """Expect a file. Raises AlreadyExists, Refused (the name), TooLarge, RateLimited, Unavailable (no room)."""
        name = valid_project_name(name)
        if self._catalog.by_name(name) is not None:
            raise AlreadyExists("project", name)
        if size > self._limits.file:
            raise TooLarge("the file", size, self._limits.file)
        self._forget_old()
        if sum(one.user == user and one.state != "ready" for one in self._known.values()) >= self._limits.imports:
            raise RateLimited("imports that are not finished", 60.0)
        made = Import(secrets.token_hex(16), name, user, size, public, time.time_ns() // 1_000_000)
        await self._on(self._prepare, made)
        self._known[made.id] = made
        return made

    async def take(self, name: str, user: str, offset: int, piece: bytes) -> Import:
        """Write a piece behind what has come. Raises Conflict where it belongs elsewhere: go on at `received`."""
        found = self.look(name, user)
        async with self._locks.setdefault(name, asyncio.Lock()):
            self._expect(found, "receiving")
            if offset != found.received:
                raise Conflict(f"the next byte is that at {found.received:,}, not at {offset:,}")
            if offset + len(piece) > found.size:
                raise TooLarge("the file", offset + len(piece), found.size)
            await self._on(self._append, found, offset, piece)
            found.received = offset + len(piece)
        return found

    async def finish(self, name: str, user: str, digest: str | None) -> Import:
        """All has come: have it read. What becomes of it is seen by looking. Again is no harm. Raises Conflict."""
        found = self.look(name, user)
        async with self._locks.setdefault(name, asyncio.Lock()):
            if found.state in ("working", "ready"):
                return found
            self._expect(found, "receiving", "failed")
            if found.received != found.size:
                raise Conflict(f"{found.received:,} of {found.size:,} bytes have come")
            found.state, found.problem, found.progress = "working", None, ("waiting", 0, 0)
            found.project = secrets.token_hex(16)
            await self._on(self._write, found)
            self._tasks[name] = asyncio.create_task(self._work(found, digest))
        return found

    async def abandon(self, name: str, user: str) -> None:
        """Forget an import with what has come; a project that is made already stays."""
        found = self.look(name, user)
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._known.pop(found.id, None)
        self._locks.pop(found.id, None)
        await self._on(self._files.remove_folder, self._folder / found.id)

    async def _work(self, found: Import, digest: str | None) -> None:
        try:
            async with self._room:
                await self._made_of(found, digest)
            found.state, found.progress = "ready", None
        except asyncio.CancelledError:
            found.state, found.progress = "receiving", None
            raise
        except ShareliteError as problem:
            found.state, found.problem, found.progress = "failed", str(problem), None
        except Exception:
            logger.exception("import failed", extra={"import": found.id})
            found.state, found.problem, found.progress = "failed", "the server failed; its log says why", None
        finally:
            self._tasks.pop(found.id, None)
        logger.info("import %s", found.state, extra={"import": found.id, "project": found.project, "user": found.user})
        await self._on(self._settle, found)

    async def _made_of(self, found: Import, digest: str | None) -> None:
        folder = self._folder / found.id
        base = folder / "base.db"
        if digest is not None and await self._on(_hash, self._path(found)) != digest:
            raise FileRefused("its bytes changed on the way: their SHA-256 is another one; send it again")
        await self._on(lambda: base.unlink(missing_ok=True))

        def tell(phase: str, done: int, of: int) -> None:
            found.progress = (phase, done, of)

        built = await process.built(self._path(found), base, tell)
        told = Base(built["base"]["hash"], built["base"]["size"], int(built["base"]["row_digest"], 16))
        contract = await self._on(Contract.parse, built["contract"])
        found.report = Report(built["rows"], built["left"])
        tell("making", 0, 0)
        assert found.project is not None
        await self._catalog.adopt(found.project, found.name, contract, told, base, found.user, found.public)

    def _made(self, found: Import) -> bool:
        return any(record.id == found.project for record in self._catalog.list())

    def _expect(self, found: Import, *states: State) -> None:
        if found.state not in states:
            raise Conflict(f"the import is {found.state}")

    def _forget_old(self) -> None:
        for found in list(self._known.values()):
            if time.time() - found.created / 1000 > KEPT_SECONDS and found.id not in self._tasks:
                self._known.pop(found.id)
                self._locks.pop(found.id, None)
                self._workers.reads.submit(self._files.remove_folder, self._folder / found.id)

    def _path(self, found: Import) -> Path:
        return self._folder / found.id / "file"

    def _prepare(self, made: Import) -> None:
        self._files.make_folder(self._folder)
        free = shutil.disk_usage(self._folder).free
        if free < made.size * ROOM:
            raise Unavailable(f"the disk has {free:,} bytes left; an import needs {ROOM} times its file", 60.0)
        self._files.make_folder(self._folder / made.id)
        self._write(made)

    def _write(self, found: Import) -> None:
        self._files.write(self._folder / found.id / "import.json", msgspec.json.encode(found))

    def _settle(self, found: Import) -> None:
        """Keep the answer, not the file. Where a file was refused, it is no use either."""
        for name in ("file", "base.db"):
            if found.state == "ready" or name == "base.db":
                (self._folder / found.id / name).unlink(missing_ok=True)
        self._write(found)

    def _read(self, name: str) -> Import | None:
        content = self._files.read(self._folder / name / "import.json")
        try:
            return None if content is None else msgspec.json.decode(content, type=Import)
        except msgspec.DecodeError as problem:
            logger.warning("%s", Damaged(str(self._folder / name), f"is not an import: {problem}"))
            return None

    def _append(self, found: Import, offset: int, piece: bytes) -> None:
        try:
            with open(self._path(found), "ab") as file:
                file.truncate(offset)
                file.write(piece)
        except OSError as problem:
            raise Unavailable(f"the piece could not be written: {os.strerror(problem.errno or 0)}", 30.0) from None

    async def _on(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._workers.reads, function, *args)


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
