"""Images: immutable files in pieces of the chunk store, whole or by one range, for everybody who has their address.

An ASGI application of its own: it reads straight from the file system's cache on the event loop, and only what the disk
has to fetch first takes a thread (Starlette's own took a thread for each piece: 1,000 requests/s, measured).
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..auth import NOBODY
from ..errors import BadRequest, Damaged, NotFound, ShareliteError, Unavailable
from ..storage.chunks import Chunks
from ..storage.differing import differing
from ..storage.manifest import CHUNK, Image, Manifest
from ..storage.ranges import Answer, asked, evaluate
from ..sync.wire import SAFE
from . import faults
from .answers import told, whole
from .house import House, house

if TYPE_CHECKING:
    from ..records import ProjectRecord
    from ..storage.images import Images

logger = logging.getLogger(__name__)
FILE = re.compile(r"([0-9]{1,19})-([0-9a-f]{64})\.db\Z")
#: Ours need no escapes.
SIGNATURE = re.compile(rb"(?:^|&)s=([^&]+)")
MEDIA_TYPE = b"application/vnd.sqlite3"
#: A proxy that compresses whatever it can (nginx with `gzip_types *`) leaves alone what says how it is encoded.
AS_IT_IS = (b"content-encoding", b"identity")
FOREVER = 31_536_000
#: Chunks that are read ahead together where the disk has to fetch them.
AHEAD = 8
#: Pieces sent before others have their turn; a fast reader's socket would never make us wait.
PIECES = 4
#: A reader who takes a piece no faster than this is cut off.
PIECE_SECONDS = 60.0


class Gone(ShareliteError):
    """It was published once; the way on is the newest one, which the answer names."""

    code = "gone"

    def __init__(self, version: int) -> None:
        self.version = version

    def __str__(self) -> str:
        return f"there is no image of version {self.version} any more, or never was; go on with the newest one"


class ImageFile:
    """`/v1/images/{id}/{version}-{hash}.db`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        here = house(Request(scope))
        project, file = scope["path_params"]["project"], scope["path_params"]["file"]
        record, caching = await admitted(here, scope, project)
        match = FILE.match(file)
        if match is None:
            raise NotFound("image", file[:100])
        version, hash = int(match[1]), match[2]
        images = here.gallery.of(record.id)
        image = images.cached(version, hash) or await asyncio.to_thread(images.find, version, hash)
        if image is None:
            image = await _borrowed(here, record, version, hash, scope)
        if image is None:
            await (await _gone(here, record, version, hash, scope))(scope, receive, send)
            return
        headers = [(b"cache-control", f"{caching}, immutable, no-transform".encode())]
        await send_image(here, images, image, headers, scope, receive, send)


async def _borrowed(here: House, record: ProjectRecord, version: int, hash: str, scope: Scope) -> Image | None:
    """An image that another node of the cell has, with the chunks that are asked for; None where there is none. Raises
    Unavailable."""
    if here.node is None:
        return None
    image = await here.node.exchange.borrow(record.id, version, hash)
    if image is not None and scope["method"] != "HEAD":
        answer = evaluate(scope["method"], asked(scope["headers"]), image.hash, image.manifest.size)
        if answer.status in (200, 206):
            await here.node.exchange.have(image, answer.start, answer.end)
    return image


async def admitted(here: House, scope: Scope, project: str) -> tuple[ProjectRecord, str]:
    """The project, for somebody who may read its images, and who may keep them for how long.

    A signature in the address is enough, and one that is wrong is told before it is looked whether there is a project.
    """
    signature = SIGNATURE.search(scope["query_string"])
    if signature is not None:
        now = time.time()
        expiry = here.signer.check(project, signature[1].decode("latin-1"), now)
        return await here.catalog.find(project), f"public, max-age={min(FOREVER, int(expiry - now))}"
    record, _, _ = await here.enter(Request(scope), "reader")
    public = here.gate.role(NOBODY, record) is not None
    return record, f"{'public' if public else 'private'}, max-age={FOREVER}"


async def send_image(
    here: House,
    images: Images,
    image: Image,
    more: list[tuple[bytes, bytes]],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Answer a GET or HEAD for an image: preconditions, one range, or all of it. `more`: headers of every answer."""
    size = image.manifest.size
    answer = evaluate(scope["method"], asked(scope["headers"]), image.hash, size)
    headers = [(b"etag", f'"{image.hash}"'.encode()), (b"accept-ranges", b"bytes"), *more]
    if answer.status in (412, 416):
        await _refused(answer, size, image)(scope, receive, send)
        return
    if answer.status != 304:
        headers += [(b"content-type", MEDIA_TYPE), (b"content-length", str(answer.end - answer.start).encode())]
        headers.append(AS_IT_IS)
    if answer.status == 206:
        headers.append((b"content-range", f"bytes {answer.start}-{answer.end - 1}/{size}".encode()))
    bodiless = answer.status == 304 or scope["method"] == "HEAD"
    with images.reading(image), _harm_noted(images):
        pieces = Pieces(here.gallery.chunks, image, answer)
        first = b"" if bodiless else await pieces.next()
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if bodiless or not pieces.more:
            await send({"type": "http.response.body", "body": first})
        else:
            await _send_all(pieces, first, receive, send)


@contextmanager
def _harm_noted(images: Images) -> Iterator[None]:
    try:
        yield
    except Damaged as problem:
        images.found_harmed(problem)
        logger.error("%s", problem)
        raise


async def _send_all(pieces: Pieces, piece: bytes, receive: Receive, send: Send) -> None:
    """All pieces at the reader's pace, until he has them or has gone. Raises TimeoutError for one who does not read."""
    gone = asyncio.ensure_future(receive_end(receive))
    try:
        number = 0
        while not gone.done():
            number += 1
            async with asyncio.timeout(PIECE_SECONDS):
                await send({"type": "http.response.body", "body": piece, "more_body": pieces.more})
            if not pieces.more:
                return
            if number % PIECES == 0:
                await asyncio.sleep(0)
            piece = await pieces.next()
    finally:
        gone.cancel()


async def receive_end(receive: Receive) -> None:
    """Returns when the other side has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Pieces:
    """The bytes of an answer, a chunk at a time."""

    def __init__(self, chunks: Chunks, image: Image, answer: Answer) -> None:
        self._chunks, self._manifest = chunks, image.manifest
        self._place, self._end = answer.start, answer.end
        self._ahead: list[bytes] = []

    @property
    def more(self) -> bool:
        return self._place < self._end

    async def next(self) -> bytes:
        """The next piece; from a thread, with some that follow, where the disk has to be asked. Raises Damaged."""
        if self._ahead:
            piece = self._ahead.pop(0)
        else:
            digest, offset, length = next(self._spans())
            found = self._chunks.read_cached(digest, offset, length)
            if found is None:
                self._ahead = await asyncio.to_thread(self._read)
                found = self._ahead.pop(0)
            piece = found
        self._place += len(piece)
        return piece

    def _read(self) -> list[bytes]:
        read = self._chunks.read_part
        return [read(*span) for _, span in zip(range(AHEAD), self._spans(), strict=False)]

    def _spans(self) -> Iterator[tuple[bytes, int, int]]:
        """Chunk, offset and length of each piece that is still to come."""
        place = self._place
        while place < self._end:
            offset = place % CHUNK
            length = min(CHUNK - offset, self._end - place)
            yield self._manifest.chunk(place // CHUNK), offset, length
            place += length


def _refused(answer: Answer, size: int, image: Image) -> Response:
    if answer.status == 412:
        refusal = faults.plain("precondition_failed", f"this image has the tag {image.hash}")
    else:
        refusal = faults.plain("range_not_satisfiable", f"one range of bytes within {size:,}, as bytes=0-4095")
        refusal.headers["content-range"] = f"bytes */{size}"
    refusal.headers["etag"] = f'"{image.hash}"'
    return refusal


async def _gone(here: House, record: ProjectRecord, version: int, hash: str, scope: Scope) -> Response:
    """410 for what was published once, with the way on; 404 for what never was. Raises NotFound."""
    if not await here.catalog.was_published(record.id, version, hash):
        raise NotFound("image", f"{version}-{hash}.db")
    newest = await asyncio.to_thread(here.gallery.of(record.id).newest)
    return faults.response(Gone(version), image=newest and shown(here, record, newest, scope))


def shown(here: House, record: ProjectRecord, image: Image, scope: Scope) -> dict[str, Any]:
    """An image with its address, as this request may use it."""
    public = here.gate.role(NOBODY, record) is not None
    return here.signer.described(image, public, time.time(), scope.get("root_path", ""))


class Database:
    """`/v1/projects/{project}/db`: the database as it is now, published first if needed; the feed goes on from
    `Sharelite-Version`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        here = house(request)
        record, _, _ = await here.enter(request, "reader")
        image = await self._image(here, record)
        headers = [
            (b"cache-control", b"no-cache, no-transform" if record.public else b"private, no-cache, no-transform"),
            (b"sharelite-version", str(image.manifest.version).encode()),
            (b"sharelite-epoch", image.manifest.epoch.encode()),
            (b"content-disposition", f"attachment; filename*=UTF-8''{quote(record.name, safe='')}.db".encode()),
        ]
        await send_image(here, here.gallery.of(record.id), image, headers, scope, receive, send)

    async def _image(self, here: House, record: ProjectRecord) -> Image:
        """Where nothing can be published (a full disk), the newest there is: it says its version, and the feed has the
        rest."""
        try:
            async with here.catalog.hold(record.id) as project:
                return await project.image()
        except Unavailable as problem:
            image = await asyncio.to_thread(here.gallery.of(record.id).newest)
            if image is None:
                raise
            logger.warning("project %s: an older image instead: %s", record.id, problem)
            return image


async def newest(request: Request) -> Response:
    """The newest image's address; only a project that has none yet has to wait for one."""
    here = house(request)
    record, _, _ = await here.enter(request, "reader")
    image = await asyncio.to_thread(here.gallery.of(record.id).newest)
    if image is None:
        async with here.catalog.hold(record.id) as project:
            image = await project.image()
    return told(shown(here, record, image, request.scope))


async def pages(request: Request) -> Response:
    """The numbers of pages that may differ between two images, by their versions."""
    here = house(request)
    record, _, _ = await here.enter(request, "reader")
    images = here.gallery.of(record.id)

    def compare() -> tuple[int, int, list[int]]:
        one, other = _of_version(request, images, "from"), _of_version(request, images, "to")
        return one.version, other.version, differing(here.gallery.chunks, one, other)

    start, end, found = await asyncio.to_thread(compare)
    return told({"from": start, "to": end, "pages": found})


def _of_version(request: Request, images: Images, name: str) -> Manifest:
    """The image that the query names. Raises BadRequest, Gone."""
    version = whole(request, name, 0, SAFE - 1)
    if version == 0:
        raise BadRequest(f"{name}: needs the version of an image")
    image = images.of_version(version)
    if image is None:
        raise Gone(version)
    return image.manifest
