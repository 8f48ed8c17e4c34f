"""The bytes of images: 64 KiB pieces named by their SHA-256, shared by versions and projects (design 5).

A chunk is there with all its bytes or not at all: written, synced, renamed, and its name synced before a manifest says
so. One that no manifest names is swept away later.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from ..errors import Damaged
from .files import Files
from .manifest import CHUNK

#: Chunks that are written before they are synced together.
TOGETHER = 256
#: Chunks younger than this may belong to an image that is being made.
YOUNG_SECONDS = 3600.0
#: Chunks whose bytes were checked since, by what the system says of the file.
CHECKED = 65_536
NEW = ".new"
#: Read what is in memory or nothing (Linux); elsewhere a thread waits for each piece.
AT_ONCE = getattr(os, "RWF_NOWAIT", 0)


class Stamp(NamedTuple):
    """Changes whenever somebody writes to a file."""

    inode: int
    size: int
    mtime_ns: int


class Chunks:
    """The store of a node. Every method may be called from any thread."""

    def __init__(self, files: Files, folder: Path) -> None:
        self._files, self._folder = files, folder
        self._lock = threading.Lock()
        self._batches: set[Batch] = set()
        self._checked: OrderedDict[bytes, Stamp] = OrderedDict()

    def path(self, digest: bytes) -> Path:
        return self._folder / digest.hex()

    def batch(self, everything: bool = False) -> Batch:
        """New chunks, for as long as the `with` lasts safe from `sweep`. `everything`: so are all others, because
        another process uses them."""
        self._files.make_folder(self._folder)
        return Batch(self, self._files, everything)

    def handle(self, digest: bytes) -> int:
        """An open file whose bytes are those of the chunk; the caller closes it.

        They are hashed when a chunk is read for the first time and when its file was written to since. Raises Damaged
        where it is not there or not itself.
        """
        path = f"{self._folder}/{digest.hex()}"
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Damaged(path, "a chunk of an image is missing; `sharelite verify` says of which") from None
        try:
            self._check(handle, digest, path)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def read(self, digest: bytes) -> bytes:
        """A whole chunk. Raises Damaged."""
        return self.read_part(digest, 0, CHUNK)

    def read_part(self, digest: bytes, offset: int, length: int) -> bytes:
        """Some bytes of a chunk, fewer at its end; waits for the disk. Raises Damaged."""
        handle = self.handle(digest)
        try:
            return os.pread(handle, length, offset)
        finally:
            os.close(handle)

    def read_cached(self, digest: bytes, offset: int, length: int) -> bytes | None:
        """`read_part` for those who may not wait; None where the chunk was not checked yet or the disk has to be asked.

        Raises Damaged.
        """
        if not AT_ONCE or digest not in self._checked:
            return None
        handle = self.handle(digest)
        try:
            buffer = bytearray(length)
            found = os.preadv(handle, [buffer], offset, AT_ONCE)
            return bytes(buffer) if found == length else None
        except OSError:
            return None
        finally:
            os.close(handle)

    def names(self, prefix: str = "") -> Iterator[bytes]:
        """The chunks that are there, by what their names say."""
        if self._folder.exists():
            for entry in os.scandir(self._folder):
                if len(entry.name) == 64 and entry.name.startswith(prefix):
                    yield bytes.fromhex(entry.name)

    def sweep(self, named: Iterable[bytes], now: float | None = None) -> int:
        """Remove what no manifest names and what crashes left behind; returns how many files went.

        `named`: the chunks of all manifests that are there. A chunk that is young, or of a batch, stays.
        """
        wanted, gone = set(named), 0
        oldest = (time.time() if now is None else now) - YOUNG_SECONDS
        for entry in list(os.scandir(self._folder)) if self._folder.exists() else ():
            digest = _digest(entry.name)
            if digest not in wanted and (digest is not None or entry.name.endswith(NEW)):
                gone += self._remove(Path(entry.path), digest, oldest)
        return gone

    def _remove(self, path: Path, digest: bytes | None, oldest: float) -> int:
        with self._lock:
            young = path.exists() and path.stat().st_mtime > oldest
            if young or any(batch.everything or digest in batch.digests for batch in self._batches):
                return 0
            self._files.unlink(path)
            return 1

    def _has(self, digest: bytes, content: bytes, batch: Batch) -> bool:
        """Whether the chunk is there with these bytes. `sweep` leaves it to this batch, and then it is young."""
        with self._lock:
            batch.digests.add(digest)
        path = self.path(digest)
        try:
            os.utime(path)
            return path.read_bytes() == content
        except FileNotFoundError:
            return False

    def _check(self, handle: int, digest: bytes, path: str) -> None:
        state = os.fstat(handle)
        stamp = Stamp(state.st_ino, state.st_size, state.st_mtime_ns)
        if self._checked.get(digest) == stamp:
            return
        if hashlib.sha256(os.pread(handle, state.st_size, 0)).digest() != digest:
            raise Damaged(path, "a chunk of an image is not itself; `sharelite verify` says of which")
        with self._lock:
            self._checked[digest] = stamp
            if len(self._checked) > CHECKED:
                self._checked.popitem(last=False)


class Batch:
    """The chunks of one image while it is made."""

    def __init__(self, chunks: Chunks, files: Files, everything: bool = False) -> None:
        self._chunks, self._files, self.everything = chunks, files, everything
        self._token = secrets.token_hex(8)
        self._waiting: dict[bytes, Path] = {}
        self.digests: set[bytes] = set()

    def __enter__(self) -> Batch:
        with self._chunks._lock:
            self._chunks._batches.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._chunks._lock:
            self._chunks._batches.discard(self)
        for path in self._waiting.values():
            self._files.unlink(path)

    def put(self, content: bytes) -> bytes:
        """Take a chunk; returns its SHA-256. Durable after `finish`. Raises OSError."""
        digest = hashlib.sha256(content).digest()
        if digest not in self._waiting and not self._chunks._has(digest, content, self):
            path = self._chunks.path(digest)
            beside = path.with_name(f"{path.name}.{self._token}{NEW}")
            self._waiting[digest] = beside
            self._files.make(beside, content)
            if len(self._waiting) >= TOGETHER:
                self._settle()
        return digest

    def finish(self) -> None:
        """Make what was put durable."""
        self._settle()
        self._files.sync_folder(self._chunks._folder)

    def _settle(self) -> None:
        self._files.sync_all(self._waiting.values())
        for digest, path in self._waiting.items():
            self._files.rename(path, self._chunks.path(digest))
        self._waiting.clear()


def _digest(name: str) -> bytes | None:
    try:
        return bytes.fromhex(name) if len(name) == 64 else None
    except ValueError:
        return None
