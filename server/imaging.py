"""The images of an open project: one is made at a time, and who waits for it shares what comes next (SPEC I).

In a cell each node makes the image that the log asks for, and it is published once a majority has the same bytes (SPEC
K76). Event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

import apsw

from .errors import NotLeading, ShareliteError
from .ports import Elsewhere
from .publishing import Alike, NotPublished, Pinned, Publisher
from .storage.manifest import Image

if TYPE_CHECKING:
    from .project import Project

logger = logging.getLogger(__name__)


class Imaging:
    """`alike`: of a project in a cell, as `elsewhere`."""

    def __init__(
        self, project: Project, publisher: Publisher, alike: Alike | None = None, elsewhere: Elsewhere | None = None
    ) -> None:
        self._project, self._publisher = project, publisher
        self._alike, self._elsewhere = alike, elsewhere
        self._making = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def at_work(self) -> bool:
        return self._making.locked() or (self._alike is not None and self._alike.waiting)

    def versions(self) -> list[int]:
        """Those that have an image here."""
        return sorted({name.version for name in self._publisher.images.names()})

    async def at_least(self, wanted: int) -> Image:
        """An image of this version or of a later one; it is published first if there is none. Raises Unavailable,
        NotPublished."""
        async with self._making:
            newest = await self._project.readers.run(self._publisher.newest)
            if newest is not None and newest.manifest.version >= wanted and not self._publisher.images.harmed:
                return newest
            return await self._publish()

    async def near(self, entries: int) -> Image | None:
        """The newest image, if it lacks at most so many entries."""
        newest = await self._project.readers.run(self._publisher.newest)
        far = newest is None or self._project.position.seq - newest.manifest.seq > entries
        return None if far or self._publisher.images.harmed else newest

    def follow(self) -> None:
        """The cell has delivered something: if it asks for an image, that is made now."""
        if self._alike is not None and self._alike.waiting and (self._following is None or self._following.done()):
            self._following = asyncio.create_task(self._make_alike(self._alike))

    def abandon(self) -> None:
        """Have what is being made end early: the project is being closed."""
        self._publisher.abandoned.set()
        if self._asking is not None:
            self._asking.cancel()

    async def close(self) -> None:
        """Wait for that end; nothing more is made."""
        async with self._making:
            self._closed = True

    def close_files(self) -> None:
        """On a worker, at the end."""
        if self._alike is not None:
            self._alike.let_go()

    async def _publish(self) -> Image:
        project, leads = self._project, True
        pinned = await project.readers.run(self._publisher.ready)
        try:
            async with project.own_turn():
                try:
                    await project.entered(partial(self._publisher.begin, pinned))
                except NotLeading:
                    leads = False
                    await project.in_turn(partial(self._publisher.here, pinned))
            image = await project.readers.run(self._publisher.make, pinned)
            if leads:
                await self._agreed(image)
            finish = self._publisher.finish if leads else self._publisher.show
            async with project.own_turn():
                await project.entered(partial(finish, pinned, image))
            return image
        finally:
            await project.readers.run(pinned.close)

    async def _agreed(self, image: Image) -> None:
        """Raises NotPublished where other nodes have other bytes."""
        if self._alike is None or self._elsewhere is None:
            return
        self._alike.note(image)
        self._asking = asyncio.create_task(self._elsewhere.agreed(self._project.id, image.manifest.seq))
        try:
            await asyncio.wait([self._asking])
            if self._asking.cancelled():
                raise NotPublished("the project is being closed")
            self._asking.result()
        except NotPublished:
            await self._project.readers.run(self._publisher.images.unstage, image)
            raise

    async def _make_alike(self, alike: Alike) -> None:
        """Until nothing is asked for any more."""
        while alike.waiting:
            async with self._making:
                pinned = None if self._closed else alike.take()
                if pinned is None:
                    return
                await self._made_alike(alike, pinned)

    async def _made_alike(self, alike: Alike, pinned: Pinned) -> None:
        project = self._project
        try:
            image = await project.readers.run(self._publisher.make, pinned)
            async with project.own_turn():
                await project.in_turn(partial(alike.made, pinned, image))
        except (ShareliteError, apsw.Error, OSError) as problem:
            logger.warning("project %s: no image of entry %d here: %s", project.id, pinned.seq, problem)
            alike.failed(pinned.seq)
        finally:
            await project.readers.run(pinned.close)
