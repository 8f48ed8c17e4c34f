"""Exports of a running server: a consistent copy first, so that nothing waits for a slow reader; then its forms.

DATA/exports/<random>/copy.db    lives as long as the answer
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import apsw
import msgspec

from ..errors import ShareliteError, Unavailable
from .exporting import spare
from .process import command, end, environment

if TYPE_CHECKING:
    from ..project import Project
    from ..storage.files import Files

Form = Literal["db", "sql", "json", "csv"]
PIECE = 256 << 10
#: Exports at the same time; the others wait.
AT_ONCE = 4
#: The copy, the clean database made of it, and room.
ROOM = 3
POSITION = 'SELECT version FROM "_sharelite" WHERE id=1'


class Head(msgspec.Struct):
    """What the child says first."""

    left: dict[str, str]


class ExportBroke(ShareliteError):
    """What was sent is not all of it; the connection is cut."""

    def __str__(self) -> str:
        return "the export ended before it was whole; the log of the server says more"


class Export(NamedTuple):
    """`left`: what it does without, triggers with the reason; the bytes come as they are asked for."""

    version: int
    left: Mapping[str, str]
    content: AsyncIterator[bytes]


class Exports:
    """Event loop's thread."""

    def __init__(self, files: Files, data: Path) -> None:
        self._files, self._folder = files, data / "exports"
        self._room = asyncio.Semaphore(AT_ONCE)
        self._ends: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """What a crash left."""
        self._files.remove_folder(self._folder)

    async def export(self, project: Project, form: Form) -> Export:
        """Whoever stops listening ends the work. Raises Unavailable (no room), ExportBroke, that also out of the
        content."""
        folder, child = self._folder / secrets.token_hex(8), None
        await self._room.acquire()
        try:
            await asyncio.to_thread(self._files.make_folder, folder)
            version = await project.read(lambda reader: self._copied(reader, folder / "copy.db"))
            child = await _child(folder / "copy.db", form)
            left = await _head(child)
        except BaseException:
            await self._leave(folder, child)
            raise
        return Export(version, left, self._bytes(folder, child))

    async def close(self) -> None:
        """Wait until everything that ended is tidied up."""
        await asyncio.gather(*self._ends, return_exceptions=True)

    async def _bytes(self, folder: Path, child: asyncio.subprocess.Process) -> AsyncIterator[bytes]:
        assert child.stdout is not None
        try:
            while piece := await child.stdout.read(PIECE):
                yield piece
            if await child.wait() != 0:
                raise ExportBroke
        finally:
            await self._leave(folder, child)

    async def _leave(self, folder: Path, child: asyncio.subprocess.Process | None = None) -> None:
        """Brought to its end also where the one who asked is gone: his cancellation comes at every wait."""
        task = asyncio.ensure_future(self._left(folder, child))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)
        await asyncio.shield(task)

    async def _left(self, folder: Path, child: asyncio.subprocess.Process | None) -> None:
        try:
            if child is not None:
                await end(child)
            await asyncio.to_thread(self._files.remove_folder, folder)
        finally:
            self._room.release()

    def _copied(self, reader: apsw.Connection, target: Path) -> int:
        """Copy what this reader sees now; a checkpoint waits for no longer than that takes."""
        size = reader.pragma("page_count") * reader.pragma("page_size")
        if spare(target.parent) < size * ROOM:
            raise Unavailable(
                f"an export needs {size * ROOM:,} bytes on the server's disk, and they are not free", 60.0
            )
        copy = apsw.Connection(str(target))
        try:
            copy.execute("PRAGMA journal_mode=OFF").fetchall()
            copy.execute("PRAGMA synchronous=OFF").fetchall()
            with copy.backup("main", reader, "main") as backup:
                backup.step()
            row: Any = copy.execute(POSITION).fetchone()
            copy.execute("PRAGMA journal_mode=DELETE").fetchall()
        except apsw.FullError:
            raise Unavailable("the server's disk has no room for an export", 60.0) from None
        finally:
            copy.close()
        return int.from_bytes(row[0], "big")


async def _head(child: asyncio.subprocess.Process) -> Mapping[str, str]:
    assert child.stdout is not None
    try:
        return msgspec.json.decode(await child.stdout.readuntil(), type=Head).left
    except asyncio.IncompleteReadError:
        raise ExportBroke from None


async def _child(copy: Path, form: Form) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command("export", str(copy), form),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=environment(copy.parent),
        limit=4 * PIECE,
        start_new_session=True,
    )
