"""Publishing an image: what happens between the `publish` entry and the `published` one (design 5, SPEC I).

Turns of the road begin and end it; the work between is a reader's. Whatever is interrupted leaves the image as it was
before, or published whole.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import apsw

from .cluster.agreement import BUILD_BYTES
from .errors import Damaged, NotJudged, ShareliteError, Unavailable, UnknownOutcome
from .ports import InCell
from .road import Road
from .storage.chunks import Chunks
from .storage.darkroom import Developer, Unfinished
from .storage.databases import Databases
from .storage.developing import Work
from .storage.files import PAGE_SIZE
from .storage.images import Images
from .storage.manifest import CHUNK, DIGEST_BYTES, FORMAT, Image, Manifest
from .storage.overlay import Overlay
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
        if self.seq != seq or not self.still:
            raise Unavailable("data.db is behind its log", 5.0)
        self.overlay, self.at = self._stack.enter_context(self._databases.overlay(seq)), at

    @property
    def still(self) -> bool:
        """Whether data.db is still that file, and was not made anew meanwhile."""
        return self._databases.generation == self._generation

    def close(self) -> None:
        self._stack.close()


class Publisher:
    """The steps for one open project; project.py calls them in order, each on the thread that it says."""

    def __init__(
        self,
        road: Road,
        databases: Databases,
        images: Images,
        chunks: Chunks,
        developer: Developer,
        in_cell: bool = False,
    ) -> None:
        """`in_cell`: what the log says of an image may be on its way yet."""
        self.images, self._in_cell = images, in_cell
        self._road, self._databases, self._chunks, self._developer = road, databases, chunks, developer
        #: Of SQLite: another one may lay out the same rows in other bytes.
        self.build = hashlib.sha256(apsw.sqlite3_sourceid().encode()).digest()[:BUILD_BYTES]
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
                known = [(image.seq, image.hash) for image in published(reader)]
                open_after = max((seq for seq, _ in known), default=0) if self._in_cell else None
                self.images.settle(known, open_after)
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
        except (Damaged, OSError, apsw.Error) as problem:
            raise NotPublished(str(problem)) from problem
        return self._open()

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

    def show(self, pinned: Pinned, image: Image, logged: bool = False) -> None:
        """In a turn: let an image be had from this node. Its bytes are those that any node has at this seq."""
        try:
            self.images.publish(image, logged)
            self.start_over(pinned)
        except OSError as problem:  # what is staged is shown after the next opening at the latest
            raise NotPublished(f"{problem.strerror or problem}") from problem

    def follow(self, seq: int, at: int) -> Pinned:
        """In a turn: the database right behind another node's `publish` entry. Raises Unavailable."""
        pinned = self._open()
        try:
            self._pin(pinned, seq, at)
        except BaseException:
            pinned.close()
            raise
        return pinned

    def start_over(self, pinned: Pinned) -> None:
        """In a turn: the image is durable, so from now on what is changed since it counts. Raises OSError."""
        if pinned.still:
            self._databases.published(pinned.seq, pinned.overlay.mark)
            self.images.harmed = False

    def make(self, pinned: Pinned) -> Image:
        """On a reader's thread: hash and store what changed, and the manifest. Raises NotPublished."""
        try:
            return self.images.stage(self._manifest(pinned, *self._hashed(pinned)))
        except OSError as problem:
            full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
            why = "the disk is full" if full else f"{problem.strerror or problem}"
            raise NotPublished(why) from problem
        except (Damaged, Unfinished) as problem:
            raise NotPublished(str(problem)) from problem

    def finish(self, pinned: Pinned, image: Image) -> None:
        """In a turn: the `published` entry; from then on everybody can have it."""
        told = Published(pinned.seq, pinned.version, image.hash, self.build)
        try:
            self._road.enter(lambda now, at: Entry(now.seq + 1, now.version, at, kind="published", image=told))
        except UnknownOutcome:
            raise
        except NotJudged:
            self.images.unstage(image)
            raise
        self.show(pinned, image, logged=True)

    def _open(self) -> Pinned:
        try:
            return Pinned(self._databases)
        except (Damaged, OSError, apsw.Error) as problem:
            raise NotPublished(str(problem)) from problem

    def _pin(self, pinned: Pinned, seq: int, at: int) -> None:
        try:
            pinned.pin(seq, at)
        except (Damaged, OSError, apsw.Error) as problem:
            raise NotPublished(str(problem)) from problem

    def _hashed(self, pinned: Pinned) -> tuple[int, bytes]:
        """The bytes of the database, and the hashes of all chunks: those of the image before, but for what may have
        changed."""
        mark, before = pinned.overlay.mark, self.newest()
        since = None
        if before is not None and not self.images.harmed:
            since = self._databases.since(before.manifest.seq, before.manifest.size)
        work = Work(str(self._databases.data_path), mark.salts, mark.frames, pinned.seq, since)
        made = self._developer.develop(pinned.overlay, work, self._chunks, self.abandoned)
        if not pinned.still:  # another process may have opened the other file
            raise Unfinished("the database was made anew meanwhile")
        length = -(-made.size // CHUNK) * DIGEST_BYTES
        known = bytearray(before.manifest.chunks[:length] if before is not None else b"")
        known.extend(bytes(length - len(known)))
        for index, digest in made.chunks:
            known[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES] = digest
        return made.size, bytes(known)

    def _manifest(self, pinned: Pinned, size: int, chunks: bytes) -> Manifest:
        return Manifest(
            FORMAT,
            self._databases.project,
            self._road.epoch,
            pinned.version,
            pinned.seq,
            pinned.at,
            size,
            PAGE_SIZE,
            chunks,
        )


class Alike:
    """The images that a cell's log asks every node for: made here as well, and held against what is published.

    `heard`, `made` and `let_go` in a turn.
    """

    def __init__(self, publisher: Publisher, inbox: InCell) -> None:
        self._publisher, self._inbox = publisher, inbox
        self._waiting: deque[Pinned] = deque()
        #: The entry of the latest image that waits or is being made.
        self._asked = 0
        self._mine: Image | None = None
        self._told: Published | None = None

    @property
    def waiting(self) -> bool:
        """Whether there is something to make."""
        return bool(self._waiting)

    def heard(self, entry: Entry) -> None:
        """Right behind a `publish` or `published` entry of another node. Of several that wait the last one is made."""
        if entry.image is not None:
            self._told = entry.image
            self._compare()
            return
        self.let_go()
        self._asked = entry.seq
        try:
            self._waiting.append(self._publisher.follow(entry.seq, entry.at))
        except ShareliteError as problem:
            logger.warning("no image of entry %d here: %s", entry.seq, problem)
            self.failed(entry.seq)

    def take(self) -> Pinned | None:
        """What is to be made. Any thread."""
        try:
            return self._waiting.pop()
        except IndexError:
            return None

    def let_go(self) -> None:
        while (pinned := self.take()) is not None:
            pinned.close()
            self.failed(pinned.seq)

    def made(self, pinned: Pinned, image: Image) -> None:
        """It is staged; seen it is once it is published. Raises NotPublished."""
        if not pinned.still:
            raise NotPublished("data.db was made anew meanwhile")
        try:
            self._publisher.start_over(pinned)
        except OSError as problem:
            raise NotPublished(f"{problem.strerror or problem}") from problem
        self._mine = image
        self._done(image.manifest.seq)
        self.note(image)
        self._compare()

    def note(self, image: Image) -> None:
        """Have it known to the other nodes. Any thread."""
        self._inbox.imaged(image.manifest.seq, self._publisher.build + bytes.fromhex(image.hash))

    def failed(self, seq: int) -> None:
        """There is none here. Any thread."""
        self._done(seq)
        self._inbox.imaged(seq, b"")

    def _done(self, seq: int) -> None:
        if self._asked == seq:
            self._asked = 0

    def _compare(self) -> None:
        told, mine = self._told, self._mine
        if told is None or told.seq == self._asked:
            return
        self._told = None
        try:
            if mine is None or mine.manifest.seq != told.seq:
                self._publisher.images.publish_staged(told.seq, told.hash)  # it may have been made before a restart
            elif mine.hash == told.hash or self._publisher.build != told.build:
                self._publisher.images.publish(mine)
            else:
                self._inbox.differs(told.seq)
                self._publisher.images.unstage(mine)
        except OSError as problem:  # what is staged is shown after the next opening at the latest
            logger.warning("the image of entry %d is not shown here yet: %s", told.seq, problem)
