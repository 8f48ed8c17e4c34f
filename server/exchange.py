"""Images between the nodes of a cell: an address that one node gave works at each of them (SPEC K74).

Each node makes and keeps images of its own. What it is asked for and does not have it borrows: the manifest for as long
as it is asked for, of the chunks those that somebody reads. Both are checked against the hash in the address. Event
loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Any

from .cluster.links import Links, Told, Unreachable
from .errors import Damaged, NotFound, Unavailable
from .storage.images import Gallery
from .storage.manifest import CHUNK, Image, decode, encode

logger = logging.getLogger(__name__)

#: Borrowed manifests that stay in memory, and chunks in one answer.
KEPT = 64
CHUNKS = 16
ASK_SECONDS = 10.0

#: Project, version, hash.
Address = tuple[str, int, str]


class Exchange:
    """Answers other nodes from the gallery of this one, and asks them for what it lacks."""

    def __init__(self, links: Links, gallery: Gallery) -> None:
        self._links, self._gallery = links, gallery
        self._borrowed: OrderedDict[Address, Image] = OrderedDict()
        links.answer("image", self._asked_image)
        links.answer("chunks", self._asked_chunks)

    async def borrow(self, project: str, version: int, hash: str) -> Image | None:
        """An image that another node has; None where nobody who can be reached does."""
        address = (project, version, hash)
        known = self._borrowed.get(address)
        if known is not None:
            self._borrowed.move_to_end(address)
            return known
        for node in self._links.reachable():
            try:
                image = _checked(await self._links.ask(node, "image", list(address), ASK_SECONDS), address)
            except (Told, Unreachable, Damaged) as problem:
                logger.info("node %s has no such image for us: %s", node, problem)
                continue
            self._borrowed[address] = image
            if len(self._borrowed) > KEPT:
                self._borrowed.popitem(last=False)
            return image
        return None

    async def have(self, image: Image, start: int, end: int) -> None:
        """The chunks of a part of an image, in the store of this node. Raises Unavailable."""
        manifest = image.manifest
        wanted = [manifest.chunk(index) for index in range(start // CHUNK, (end + CHUNK - 1) // CHUNK)]
        missing = await asyncio.to_thread(self._missing, wanted)
        for place in range(0, len(missing), CHUNKS):
            await self._fetch(missing[place : place + CHUNKS])

    async def _fetch(self, missing: list[bytes]) -> None:
        for node in self._links.reachable():
            try:
                answer = await self._links.ask(node, "chunks", missing, ASK_SECONDS)
            except (Told, Unreachable) as problem:
                logger.info("node %s has no chunks for us: %s", node, problem)
                continue
            missing = await asyncio.to_thread(self._keep, missing, answer)
            if not missing:
                return
        raise Unavailable("no node that can be reached has all of the image")

    def _missing(self, wanted: list[bytes]) -> list[bytes]:
        return [digest for digest in dict.fromkeys(wanted) if self._read(digest) is None]

    def _keep(self, wanted: list[bytes], found: list[bytes | None]) -> list[bytes]:
        """Store what came and is what it should be; what is still missing."""
        with self._gallery.chunks.batch() as batch:
            kept = {batch.put(content) for content in found if content is not None}
            batch.finish()
        self._gallery.littered = True
        return [digest for digest in wanted if digest not in kept]

    async def _asked_image(self, node: str, content: Any) -> bytes:
        project, version, hash = content
        image = await asyncio.to_thread(self._gallery.of(project).find, version, hash)
        if image is None:
            raise NotFound("image", f"{version}-{hash}.db")
        return encode(image.manifest)

    async def _asked_chunks(self, node: str, content: Any) -> list[bytes | None]:
        return await asyncio.to_thread(lambda: [self._read(digest) for digest in content[:CHUNKS]])

    def _read(self, digest: bytes) -> bytes | None:
        try:
            return self._gallery.chunks.read_part(digest, 0, CHUNK)
        except Damaged:
            return None


def _checked(content: bytes, address: Address) -> Image:
    """Raises Damaged for the manifest of anything else."""
    manifest = decode(content, "another node's manifest")
    image = Image(manifest, manifest.hash)
    if (manifest.project, manifest.version, image.hash) != address or len(manifest.chunks) % 32:
        raise Damaged("another node's manifest", "is of another image")
    return image
