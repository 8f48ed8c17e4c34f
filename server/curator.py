"""Looks after the images of a node: publishes when the time has come, retires what nobody needs, sweeps chunks."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from msgspec import Struct

from .config import ImagePolicy
from .errors import Damaged, ShareliteError

if TYPE_CHECKING:
    from .catalog import Catalog
    from .project import Project

logger = logging.getLogger(__name__)
TICK_SECONDS = 1.0
RETIRE_SECONDS = 60.0


class Seen(Struct):
    """What the curator knows of an open project, in seconds of the loop's clock: since when its newest image is behind,
    when its version last moved, and when an image last was made or tried."""

    version: int
    behind: float
    moved: float
    tried: float


def due(seen: Seen, policy: ImagePolicy, now: float) -> bool:
    """Whether a project whose newest image is behind shall have another one now."""
    quiet = now - seen.moved >= policy.quiet and now - seen.tried >= policy.every
    return quiet or now - max(seen.behind, seen.tried) >= policy.behind


class Curator:
    """A task of the event loop, for as long as the node runs. `reads`: where long work is done."""

    def __init__(self, catalog: Catalog, policy: ImagePolicy, reads: Executor) -> None:
        self._catalog, self._policy, self._reads = catalog, policy, reads
        self._seen: dict[str, Seen] = {}
        self._task: asyncio.Task[None] | None = None
        self._swept = self._retired = self._everywhere = 0.0

    def start(self) -> None:
        self._swept = self._retired = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self._publish()
                await self._tidy()
            except Exception:
                logger.exception("images could not be looked after; tried again later")

    async def _publish(self) -> None:
        projects = {project.id: project for project in self._catalog.opened() if project.leads}
        self._seen = {id: seen for id, seen in self._seen.items() if id in projects}
        for project in projects.values():
            if self._is_due(project, asyncio.get_running_loop().time()):
                await self._image(project)

    def _is_due(self, project: Project, now: float) -> bool:
        images = self._catalog.gallery.of(project.id)
        if project.version <= images.version and not images.harmed:
            self._seen.pop(project.id, None)
            return False
        seen = self._seen.get(project.id)
        if seen is None:
            seen = self._seen[project.id] = Seen(project.version, now, now, now - self._policy.every)
        if seen.version != project.version:
            seen.version, seen.moved = project.version, now
        return due(seen, self._policy, now)

    async def _image(self, project: Project) -> None:
        try:
            await project.image()
        except ShareliteError as problem:
            logger.warning("project %s: %s", project.id, problem)
        seen = self._seen.get(project.id)
        if seen is not None:
            seen.tried = asyncio.get_running_loop().time()

    async def _tidy(self) -> None:
        loop, gallery = asyncio.get_running_loop(), self._catalog.gallery
        now = loop.time()
        if now - self._retired >= RETIRE_SECONDS:
            everywhere = now - self._everywhere >= self._policy.sweep
            self._retired = now
            self._everywhere = now if everywhere else self._everywhere
            await loop.run_in_executor(self._reads, gallery.retire_old, self._policy, everywhere)
        if gallery.littered and now - self._swept >= self._policy.sweep:
            self._swept = now
            try:
                gone = await loop.run_in_executor(self._reads, gallery.sweep)
                logger.info("chunks swept", extra={"files": gone})
            except Damaged as problem:
                logger.error("chunks that are not needed stay: %s", problem)
