"""Copies of a project's files from another node of the cell, where replaying a long log would take too long (SPEC K62).

The rows come as an image, by chunks that are checked; the log in ranges, of which each link is checked. Both are put
together beside, so that whatever is interrupted goes on where it was, and the project is here once its log is. The log
stays the truth: it must lead to the rows, and they must have the digest that they state. Event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw

from .cluster.links import Links, Told, Unreachable
from .errors import Damaged, NotFound, ShareliteError
from .exchange import CHUNKS
from .project import Project
from .road import based_on
from .storage.files import Files
from .storage.manifest import CHUNK, Manifest, decode, encode
from .sync import digest
from .sync.apply import POSITION
from .sync.entry import Record
from .sync.log import Log
from .sync.shape import shapes

logger = logging.getLogger(__name__)

#: What has fewer commits, or more bytes of rows for each, is replayed: that is quicker then (measured: some 80 us for a
#: commit, 75 ms for a MB of an image that has to be made), and making an image syncs so much that commits wait for it.
LONG_COMMITS = 5_000
COMMIT_BYTES = 1 << 10
#: A recent image lacks at most so many entries.
RECENT_ENTRIES = 2_000
#: Making an image of a large project takes that long where there is none.
IMAGE_SECONDS = 600.0
ASK_SECONDS = 30.0
#: How often all nodes are asked before the log is replayed, and until they are asked again.
ATTEMPTS = 5
PAUSE = 1.0
ENDING = ".part"


class Copies:
    """`as_of`: a project as it is here, no older than an index. `pages`: the next records of its log behind a seq as
    `[epoch, digest at the seq, records]`, from another node; None: it is deleted. `bases`: have the file that a log
    goes on from; called on a worker, which waits."""

    def __init__(
        self,
        links: Links,
        files: Files,
        data: Path,
        as_of: Callable[[str, int], AbstractAsyncContextManager[Project]],
        pages: Callable[[list[Any], frozenset[str] | None], Awaitable[Any]],
        bases: Callable[[str, str], None],
    ) -> None:
        self._links, self._files, self._data = links, files, data
        self._as_of, self._pages, self._bases = as_of, pages, bases
        links.answer("copy", self._asked_copy)

    async def fetch(self, project: str, index: int, nodes: Sequence[str], right: frozenset[str] | None) -> None:
        """Have log and rows of a project of which nothing is here. Where no node has something to copy that is in
        order, nothing has happened, and its log can be replayed. `nodes`: whom to ask for rows; `right`: for its log.
        """
        folder = self._data / "projects" / project
        try:
            manifest = await self._rows(project, index, nodes, folder)
            if manifest is not None and await self._ranges(manifest, index, right, folder / f"log.db{ENDING}"):
                await asyncio.to_thread(self._place, folder)
                logger.info("project %s: %d bytes of rows were copied", project, manifest.size)
        except (ShareliteError, apsw.Error, OSError, ValueError) as problem:
            logger.warning("project %s is replayed instead of copied: %s", project, problem)
        for name in ("data.db", "log.db"):  # what turned out to be of no use is not gone on with
            await asyncio.to_thread(_remove, folder / f"{name}{ENDING}")

    async def _rows(self, project: str, index: int, nodes: Sequence[str], folder: Path) -> Manifest | None:
        """Have the rows, checked; None where the log is short, or nobody has them for us now."""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(PAUSE)
            for node in nodes:
                try:
                    manifest = await self._offered(node, project, index)
                    if manifest is None:
                        return None
                    await self._pieces(node, manifest, folder)
                    await asyncio.to_thread(self._checked, manifest, folder / f"data.db{ENDING}")
                    return manifest
                except Told as told:
                    if told.code == NotFound.code:
                        return None
                    logger.info("node %s has no rows for us: %s", node, told)
                except (Unreachable, Damaged, apsw.Error) as problem:
                    logger.warning("node %s has no rows for us: %s", node, problem)
        return None

    async def _offered(self, node: str, project: str, index: int) -> Manifest | None:
        found = await self._links.ask(node, "copy", [project, index], IMAGE_SECONDS)
        if found is None:
            return None
        manifest = decode(found, f"the manifest of node {node}")
        if manifest.project != project or manifest.count() != -(-manifest.size // CHUNK):
            raise Damaged(f"the manifest of node {node}", "is of something else")
        return manifest

    async def _pieces(self, node: str, manifest: Manifest, folder: Path) -> None:
        """Bring the file to what the manifest says; what of it is there already is not asked for. Raises Damaged where
        a node has not what it offers, Told, Unreachable."""
        await asyncio.to_thread(self._files.make_folder, folder)
        path = folder / f"data.db{ENDING}"
        missing = await asyncio.to_thread(_lacking, path, manifest)
        for place in range(0, len(missing), CHUNKS):
            some = missing[place : place + CHUNKS]
            wanted = [manifest.chunk(index) for index in some]
            came = await self._links.ask(node, "chunks", wanted, ASK_SECONDS)
            await asyncio.to_thread(_write, path, some, wanted, came)

    def _checked(self, manifest: Manifest, path: Path) -> None:
        """A worker: the rows are those of the manifest's entry. Raises Damaged, apsw errors."""
        connection = self._files.data(path, "apply")
        try:
            row: Any = connection.execute(POSITION).fetchone()
            seq, version, _, rows = row
            if (int.from_bytes(seq, "big"), int.from_bytes(version, "big")) != (manifest.seq, manifest.version):
                raise Damaged(path.name, f"is not of entry {manifest.seq}")
            if digest.whole(connection, shapes(connection).values()) != int.from_bytes(rows, "big"):
                raise Damaged(path.name, "its rows do not have the row digest that it states")
            if (found := connection.pragma("integrity_check")) != "ok":
                raise Damaged(path.name, str(found))
            _whole(connection)
        finally:
            connection.close()

    async def _ranges(self, manifest: Manifest, index: int, right: frozenset[str] | None, path: Path) -> bool:
        """Have the log up to the rows' entry at least. Whether the project is still there."""
        connection = self._files.log(path)
        try:
            log = await asyncio.to_thread(Log, connection, manifest.project, manifest.epoch, str(path))
            if log.epoch != manifest.epoch:
                raise Damaged(path.name, "is of a former log")
            while log.position.seq < manifest.seq:
                answer = await self._pages([manifest.project, log.position.seq, index], right)
                if answer is None:
                    return False
                await asyncio.to_thread(self._taken, log, path, answer)
            await asyncio.to_thread(_whole, connection)
            return True
        finally:
            connection.close()

    def _taken(self, log: Log, path: Path, answer: list[Any]) -> None:
        """A worker: append what came. Raises Damaged where it does not follow from what is here."""
        epoch, base, page = answer
        if epoch != log.epoch or base != log.position.digest or not page:
            raise Damaged(path.name, f"the log of another node does not go on from entry {log.position.seq} here")
        chained = log.position.digest
        for number, kind, _, body, told in page:
            chained = digest.chain(chained, body)
            if chained != told:
                raise Damaged(path.name, f"entry {number} is damaged where it was fetched from")
            if kind == "base" and (named := based_on(body)) is not None:
                self._bases(log.project, named.hash)  # the file is there before the log names it
        log.receive_all([Record(number, kind, version, body) for number, kind, version, body, _ in page])

    def _place(self, folder: Path) -> None:
        """A worker: the log last, since the project is here once its log is. Raises OSError; Damaged where it is here
        already."""
        if (folder / "log.db").exists():
            raise Damaged("log.db", "was made by somebody else meanwhile")
        for name in ("data.db", "log.db"):
            path = folder / f"{name}{ENDING}"
            _without_traces(path)
            self._files.sync_file(path)
            self._files.move(path, folder / name)

    async def _asked_copy(self, node: str, content: Any) -> bytes | None:
        """A manifest of the rows as they were a short while ago; None where it is to be replayed."""
        project, index = content
        async with self._as_of(project, index) as opened:
            if opened.version < LONG_COMMITS or opened.size > opened.version * COMMIT_BYTES:
                return None
            return encode((await opened.image_near(RECENT_ENTRIES)).manifest)


def _lacking(path: Path, manifest: Manifest) -> list[int]:
    """The chunks of the image that a file does not have at their places; it has the right size afterwards."""
    _without_traces(path)
    path.touch()
    with path.open("r+b") as file:
        file.truncate(manifest.size)
        return [
            index for index in range(manifest.count()) if sha256(file.read(CHUNK)).digest() != manifest.chunk(index)
        ]


def _write(path: Path, places: Sequence[int], wanted: Sequence[bytes], came: Sequence[bytes | None]) -> None:
    """Raises Damaged where one of them is missing or is not what it should be."""
    with path.open("r+b") as file:
        for place, hash, content in zip(places, wanted, came, strict=True):
            if content is None or sha256(content).digest() != hash:
                raise Damaged(path.name, f"chunk {place} is not there where it was offered")
            file.seek(place * CHUNK)
            file.write(content)


def _whole(connection: apsw.Connection) -> None:
    """Have everything in the main file."""
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _without_traces(path: Path) -> None:
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _remove(path: Path) -> None:
    _without_traces(path)
    path.unlink(missing_ok=True)
