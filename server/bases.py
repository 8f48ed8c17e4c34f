"""The files that logs go on from (imported databases), between the nodes of a cell (SPEC K68).

Their bytes do not travel through Raft. Whoever makes a project of one has a majority fetch and sync it before the log
names it, so the entry never means something that could be lost; who lacks it fetches it when the entry comes.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from .cluster.links import Links, Told, Unreachable
from .errors import NotFound, Unavailable
from .storage.files import Files

logger = logging.getLogger(__name__)

PIECE = 4 << 20
ASK_SECONDS = 30.0
#: How long the others may take to fetch a base that is to be used, and how long one that is needed is looked for.
SPREAD_SECONDS = 1800.0
FETCH_SECONDS = 60.0
PAUSE = 0.2
ID, HASH = re.compile(r"[0-9a-f]{32}\Z"), re.compile(r"[0-9a-f]{64}\Z")


class Bases:
    """`fetch` and `spread` are called on workers, which wait; everything else is the event loop's. `others`: the other
    members of the cell."""

    def __init__(self, links: Links, others: Callable[[], Awaitable[list[str]]], files: Files, data: Path) -> None:
        self._links, self._others, self._files, self._data = links, others, files, data
        self._loop = asyncio.get_running_loop()
        #: Nodes that are not waited for any more.
        self._late: set[asyncio.Task[bool]] = set()
        self._locks: dict[str, asyncio.Lock] = {}
        links.answer("base", self._asked_base)
        links.answer("have base", self._asked_have)

    def fetch(self, project: str, base: str) -> None:
        """Have a base here, synced. Worker thread. Raises Unavailable where nobody has it now."""
        asyncio.run_coroutine_threadsafe(self._fetched(project, base, FETCH_SECONDS), self._loop).result()

    def spread(self, project: str, base: str) -> None:
        """Have a majority of the cell fetch and sync a base that is here. Worker thread. Raises Unavailable."""
        asyncio.run_coroutine_threadsafe(self._spread(project, base), self._loop).result()

    async def _spread(self, project: str, base: str) -> None:
        others = await self._others()
        needed = (len(others) + 1) // 2
        waiting = {asyncio.create_task(self._spread_to(node, project, base)) for node in others}
        have = 0
        while waiting and have < needed:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            have += sum(task.result() for task in done)
        self._late |= waiting
        for task in waiting:
            task.add_done_callback(self._late.discard)
        if have < needed:
            raise Unavailable("a majority of the cell could not fetch the file", 5.0)

    async def _spread_to(self, node: str, project: str, base: str) -> bool:
        try:
            await self._links.ask(node, "have base", [project, base], SPREAD_SECONDS)
        except (Unreachable, Told) as problem:
            logger.warning("node %s has not fetched a base: %s", node, problem)
            return False
        return True

    async def _fetched(self, project: str, base: str, seconds: float) -> None:
        async with self._locks.setdefault(base, asyncio.Lock()):
            path = self._path(project, base)
            if path.exists():
                return
            await asyncio.to_thread(self._files.make_folder, path.parent)
            deadline = self._loop.time() + seconds
            while self._loop.time() < deadline:
                for node in self._links.reachable():
                    try:
                        await self._download(node, project, base, path)
                        return
                    except (Unreachable, Told) as problem:
                        logger.info("node %s has no base for us: %s", node, problem)
                await asyncio.sleep(PAUSE)
        raise Unavailable(f"no node that has the base of project {project} can be reached")

    async def _download(self, node: str, project: str, base: str, path: Path) -> None:
        """What has come stays, and is gone on with."""
        beside = path.with_name(path.name + ".part")
        while True:
            offset = beside.stat().st_size if beside.exists() else 0
            size, piece = await self._links.ask(node, "base", [project, base, offset], ASK_SECONDS)
            await asyncio.to_thread(_append, beside, piece)
            if offset + len(piece) >= size:
                break
        if await asyncio.to_thread(_hash, beside) != base:
            beside.unlink()
            raise Unreachable(node, True)
        await asyncio.to_thread(self._files.sync_file, beside)
        await asyncio.to_thread(self._files.move, beside, path)

    async def _asked_base(self, node: str, content: Any) -> Any:
        project, base, offset = content
        path = self._path(project, base)
        if not path.exists():
            raise NotFound("base", base)
        return await asyncio.to_thread(_read, path, int(offset))

    async def _asked_have(self, node: str, content: Any) -> bool:
        project, base = content
        await self._fetched(project, base, SPREAD_SECONDS)
        return True

    def _path(self, project: str, base: str) -> Path:
        if not ID.match(project) or not HASH.match(base):
            raise NotFound("base", base)
        return self._data / "projects" / project / f"base-{base}.db"


def _append(path: Path, piece: bytes) -> None:
    with path.open("ab") as file:
        file.write(piece)


def _read(path: Path, offset: int) -> tuple[int, bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        return path.stat().st_size, file.read(PIECE)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
