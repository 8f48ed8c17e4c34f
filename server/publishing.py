"""Publishing an image: what happens between the `publish` entry and the `published` one (design 5, SPEC I).

Turns of the road begin and end it; the work between is a reader's. Whatever is interrupted leaves the image as it was
before, or published whole.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import apsw

from .errors import Damaged, NotJudged, Unavailable, UnknownOutcome
from .road import Road
from .storage.chunks import Batch, Chunks
from .storage.databases import Databases
from .storage.files import PAGE_SIZE
from .storage.images import Images
from .storage.manifest import CHUNK, DIGEST_BYTES, FORMAT, Image, Manifest
from .storage.overlay import Overlay, chunks_of
from .storage.shown import shown
from .sync.entry import Entry, Published
from .sync.log import published

logger = logging.getLogger(__name__)
POSITION = 'SELECT seq, version FROM "_sharelite" WHERE id=1'


class NotPublished(Unavailable):
    """No image could be made; the one before stays the newest."""

    def __init__(self, why: str) -> None:
        super().__init__(f"no new image could be published: {why}", 5.0)


class Pinned:
    """The database at one seq, once `pin` has said which: nothing that comes later can be seen here.

    It is opened before the turn, which holds up commits, and closed by whoever opened it.
    """

    seq: int
    version: int
    at: int
    overlay: Overlay

    def __init__(self, databases: Databases) -> None:
        self._databases, self._generation = databases, databases.generation
        self._stack = ExitStack()
        self._reader = databases.data("read")
        self._stack.callback(self._reader.close)
        self._reader.execute(POSITION).fetchall()  # SQLite reads the schema here, not in the turn

    def pin(self, seq: int, at: int) -> None:
        """Right after the commit of that seq, on the thread that made it. Raises Unavailable where data.db is behind,
        or is another file by now."""
        self._reader.execute("BEGIN")
        position: Any = self._reader.execute(POSITION).fetchone()
        self.seq, self.version = (int.from_bytes(number, "big") for number in position)
        if (self.seq, self._databases.generation) != (seq, self._generation):
            raise Unavailable("data.db is behind its log", 5.0)
        self.overlay, self.at = self._stack.enter_context(self._databases.overlay(seq)), at

    def close(self) -> None:
        self._stack.close()


class Publisher:
    """The steps for one open project; project.py calls them in order, each on the thread that it says."""

    def __init__(self, road: Road, databases: Databases, images: Images, chunks: Chunks) -> None:
        self.images = images
        self._road, self._databases, self._chunks = road, databases, chunks
        #: Set where the project is being closed: work on the way ends early.
        self.abandoned = threading.Event()

    @contextmanager
    def shown(self, version: int) -> Iterator[apsw.Connection | None]:
        """On a reader's thread: a connection to the image of a version; None: there is no such one. Raises Damaged."""
        image = self.images.of_version(version)
        if image is None:
            yield None
            return
        with shown(self._databases, self.images, self._chunks, image) as connection:
            yield connection

    def settle(self) -> None:
        """While nothing is published: what was broken off is published as the log says, or forgotten."""
        if self.images.staged():
            reader = self._databases.log_reader()
            try:
                self.images.settle({(image.seq, image.hash) for image in published(reader)})
            finally:
                reader.close()

    def newest(self) -> Image | None:
        """On a reader's thread: the newest image; None if its manifest is damaged, so that a new one is made."""
        try:
            return self.images.newest()
        except Damaged as problem:
            logger.error("project %s: %s; everything is hashed again", self._databases.project, problem)
            return None

    def ready(self) -> Pinned:
        """On a reader's thread: what `begin` or `here` pins. Whoever asked closes it."""
        try:
            self.settle()
            return Pinned(self._databases)
        except (Damaged, OSError, apsw.Error) as problem:
            raise NotPublished(str(problem)) from problem

    def begin(self, pinned: Pinned) -> None:
        """In a turn: the `publish` entry, and the database as it leaves it."""
        at = 0

        def entry(position: Any, now: int) -> Entry:
            nonlocal at
            at = now
            return Entry(position.seq + 1, position.version, now, kind="publish")

        position = self._road.enter(entry)
        self._pin(pinned, position.seq, at)

    def here(self, pinned: Pinned) -> None:
        """In a turn: the database as it is on this node, where another one leads."""
        self._pin(pinned, self._road.position.seq, time.time_ns() // 1_000_000)

    def show(self, pinned: Pinned, image: Image) -> None:
        """In a turn: let an image be had from this node. Its bytes are those that any node has at this seq."""
        try:
            self.images.publish(image)
            self._databases.published(pinned.seq, pinned.overlay.mark)
            self.images.harmed = False
        except OSError as problem:  # what is staged is shown after the next opening at the latest
            raise NotPublished(f"{problem.strerror or problem}") from problem

    def make(self, pinned: Pinned) -> Image:
        """On a reader's thread: hash and store what changed, and the manifest. Raises NotPublished."""
        try:
            with self._chunks.batch() as batch:
                return self.images.stage(self._manifest(pinned, self._hashed(pinned, batch)), batch)
        except OSError as problem:
            full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
            why = "the disk is full" if full else f"{problem.strerror or problem}"
            raise NotPublished(why) from problem
        except Damaged as problem:
            raise NotPublished(str(problem)) from problem

    def finish(self, pinned: Pinned, image: Image) -> None:
        """In a turn: the `published` entry; from then on everybody can have it."""
        told = Published(pinned.seq, pinned.version, image.hash)
        try:
            self._road.enter(lambda now, at: Entry(now.seq + 1, now.version, at, kind="published", image=told))
        except UnknownOutcome:
            raise
        except NotJudged:
            self.images.unstage(image)
            raise
        self.show(pinned, image)

    def _pin(self, pinned: Pinned, seq: int, at: int) -> None:
        try:
            pinned.pin(seq, at)
        except (Damaged, OSError, apsw.Error) as problem:
            raise NotPublished(str(problem)) from problem

    def _hashed(self, pinned: Pinned, batch: Batch) -> bytes:
        """The hashes of all chunks: those of the image before, but for what may have changed."""
        overlay = pinned.overlay
        count = (overlay.size + CHUNK - 1) // CHUNK
        before = self.newest()
        changed: set[int] | None = None
        if before is not None and not self.images.harmed:
            changed = self._databases.changed_since(before.manifest.seq, overlay)
        if before is None or changed is None:
            known, wanted = bytearray(), list(range(count))
        else:
            known = bytearray(before.manifest.chunks[: count * DIGEST_BYTES])
            grown = range(before.manifest.size // CHUNK, count)
            wanted = sorted({0, *chunks_of(changed, overlay.size), *grown})
        known.extend(bytes(count * DIGEST_BYTES - len(known)))
        for index in wanted:
            if self.abandoned.is_set():
                raise NotPublished("the project is being closed")
            known[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES] = batch.put(overlay.chunk(index))
        return bytes(known)

    def _manifest(self, pinned: Pinned, chunks: bytes) -> Manifest:
        return Manifest(
            FORMAT,
            self._databases.project,
            self._road.epoch,
            pinned.version,
            pinned.seq,
            pinned.at,
            pinned.overlay.size,
            PAGE_SIZE,
            chunks,
        )
