"""The short way of what is asked for most: a small range of an image that is at hand (SPEC R9).

It stands before the door and every middleware and answers only what needs no waiting and no judging; whatever is not
exactly that goes the long way. Both give the same answers: the headers of the door are made here once for each address
(the long way takes three times as long, measured).
"""

from __future__ import annotations

import logging
import math
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from starlette.types import Receive, Scope, Send

from ..auth import NOBODY
from ..config import Settings
from ..errors import Damaged
from ..logs import REQUEST_ID
from ..metrics import Metrics
from ..storage.manifest import CHUNK, Image
from ..storage.signatures import SignatureInvalid
from . import guard, images
from .house import House

if TYPE_CHECKING:
    from ..records import ProjectRecord
    from ..storage.images import Images

ADDRESS = re.compile(r"/v1/images/([^/]+)/([0-9]{1,19})-([0-9a-f]{64})\.db\Z")
RANGE = re.compile(rb"bytes=([0-9]{1,18})-([0-9]{1,18})\Z")
#: What may be among the headers beside the range without a word from the long way.
IGNORED = frozenset({
    b"accept", b"accept-encoding", b"accept-language", b"cache-control", b"connection", b"dnt", b"origin", b"pragma",
    b"priority", b"referer", b"sec-ch-ua", b"sec-ch-ua-mobile", b"sec-ch-ua-platform", b"sec-fetch-dest",
    b"sec-fetch-mode", b"sec-fetch-site", b"sec-gpc", b"user-agent", b"x-forwarded-for", b"x-forwarded-proto",
})  # fmt: skip
#: Longer ones are read at the pace of who asks.
LONGEST = 256 << 10
#: Addresses that are kept.
KEPT = 1024
NEVER = math.inf
ROUTE = "/v1/images/{project}/{file}"


class _Known(NamedTuple):
    """An address that was let in: to whose image, by which record, until when, and what every answer says."""

    record: ProjectRecord
    images: Images
    image: Image
    expiry: float
    headers: tuple[tuple[bytes, bytes], ...]


class Swift:
    """Asked first, on the event loop: `answer` says whether it has answered."""

    def __init__(self, settings: Settings, metrics: Metrics, house: Callable[[], House | None]) -> None:
        self._hosts = settings.hosts
        self._most_header = settings.limits.header
        self._house = house
        #: Requests answered so far.
        self.answered = 0
        self._known: OrderedDict[tuple[str, bytes], _Known] = OrderedDict()
        self._count = metrics.requests.labels("GET", ROUTE, "206").inc
        self._seconds = metrics.request_seconds.labels(ROUTE).observe

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a request for a range, or leave it alone (False)."""
        start = time.perf_counter()
        asked = self._asked(scope)
        here = self._house()
        if asked is None or here is None:
            return False
        place, end, request_id = asked
        now = time.time()
        known = self._known.get((scope["path"], scope["query_string"])) or self._met(here, scope, now)
        if known is None or not self._holds(here, known, now) or end > known.image.manifest.size:
            return False
        body = _read(here, known.images, known.image, place, end)
        if body is None:
            return False
        known.images.was_read(known.image)
        headers = _headers(known, now, place, end, request_id)
        await send({"type": "http.response.start", "status": 206, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self.answered += 1
        self._count()
        self._seconds(seconds := time.perf_counter() - start)
        if guard.logger.isEnabledFor(logging.DEBUG):
            extra = {"method": "GET", "path": scope["path"], "status": 206, "ms": round(seconds * 1000, 1)}
            guard.logger.debug("request", extra=extra)
        return True

    def _asked(self, scope: Scope) -> tuple[int, int, bytes] | None:
        """The bytes asked for (end exclusive) and the id of the request; None for what needs more thought."""
        if scope["method"] != "GET" or scope.get("root_path") or len(scope["query_string"]) > 200:
            return None
        found, host, request_id, size = None, b"", b"", len(scope["path"]) + len(scope["query_string"])
        for name, value in scope["headers"]:
            size += len(name) + len(value) + 4
            if name == b"range" and found is None:
                found = RANGE.match(value)
                if found is None:
                    return None
            elif name == b"host" and not host:
                host = value
            elif name == b"x-request-id" and not request_id and REQUEST_ID.match(value.decode("latin-1")):
                request_id = value
            elif name not in IGNORED:
                return None
        if found is None or size > self._most_header or not self._goes_by(host):
            return None
        place, end = int(found[1]), int(found[2]) + 1
        return (place, end, request_id) if place < end <= place + LONGEST else None

    def _goes_by(self, host: bytes) -> bool:
        return self._hosts is None or guard.name_of(host.decode("latin-1")) in self._hosts

    def _met(self, here: House, scope: Scope, now: float) -> _Known | None:
        """An address for the first time; None where it has to be asked who may have it, or the disk."""
        match = ADDRESS.match(scope["path"])
        record = here.catalog.known(match[1]) if match else None
        if match is None or record is None or record.id != match[1]:
            return None
        expiry = _until(here, record.id, scope["query_string"], now) if scope["query_string"] else NEVER
        mine = here.gallery.of(record.id)
        image = mine.cached(int(match[2]), match[3])
        if image is None or expiry is None:
            return None
        known = _Known(record, mine, image, expiry, _constant(image))
        self._known[scope["path"], scope["query_string"]] = known
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return known

    def _holds(self, here: House, known: _Known, now: float) -> bool:
        """Whether the address still means what it meant: project, rights and image may have gone."""
        record = here.catalog.known(known.record.id)
        if record is not known.record or record.state != "ready" or now >= known.expiry:
            return self._forget(known)
        if known.expiry == NEVER and here.gate.role(NOBODY, record) is None:
            return self._forget(known)
        if known.images.cached(known.image.manifest.version, known.image.hash) is not known.image:
            return self._forget(known)
        return True

    def _forget(self, known: _Known) -> bool:
        for address in [address for address, other in self._known.items() if other is known]:
            del self._known[address]
        return False


def _until(here: House, project: str, query: bytes, now: float) -> float | None:
    """The expiry of the signature that a query consists of; None where it is not that."""
    signature = images.SIGNATURE.fullmatch(query)
    try:
        return here.signer.check(project, signature[1].decode("latin-1"), now) if signature else None
    except SignatureInvalid:
        return None


def _read(here: House, images: Images, image: Image, place: int, end: int) -> bytes | None:
    """The bytes, where all of them are in memory; a harmed chunk is told on the long way."""
    manifest, parts = image.manifest, []
    try:
        while place < end:
            offset = place % CHUNK
            length = min(CHUNK - offset, end - place)
            part = here.gallery.chunks.read_cached(manifest.chunk(place // CHUNK), offset, length)
            if part is None:
                return None
            parts.append(part)
            place += length
    except Damaged:
        return None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _constant(image: Image) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"etag", f'"{image.hash}"'.encode()),
        (b"accept-ranges", b"bytes"),
        (b"content-type", images.MEDIA_TYPE),
        images.AS_IT_IS,
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
        (b"access-control-allow-origin", b"*"),
        (b"access-control-expose-headers", guard.EXPOSED_HEADERS.encode()),
    )


def _headers(known: _Known, now: float, place: int, end: int, request_id: bytes) -> list[tuple[bytes, bytes]]:
    age = images.FOREVER if known.expiry == NEVER else min(images.FOREVER, int(known.expiry - now))
    return [
        *known.headers,
        (b"cache-control", b"public, max-age=%d, immutable, no-transform" % age),
        (b"content-length", b"%d" % (end - place)),
        (b"content-range", b"bytes %d-%d/%d" % (place, end - 1, known.image.manifest.size)),
        (b"x-request-id", request_id or secrets.token_hex(8).encode()),
    ]
