"""The pages that were changed since an image, as far as the write-ahead log no longer tells (design 5).

A record is appended and synced before each checkpoint. Whatever is missing, torn or of another image means that nothing
is known: then everything is hashed again.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from pathlib import Path

from .files import Files

MAGIC = b"SLK1"
HEAD = struct.Struct(">4sQI")
RECORD = struct.Struct(">II")


class Kept:
    """The file `changed` of a project. The worker's, like the checkpoints that it is written for."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files, self._path = files, path
        self.pages: set[int] = set()
        #: The seq of the image that the pages were changed since; None: nothing is known.
        self.base: int | None = None
        self._checksum = 0
        #: Whether the name of the file is durable.
        self._named = False
        self._load()

    def start(self, seq: int) -> None:
        """The image of a seq is durable: what is kept from now on is what was changed since. What was kept before would
        do as well, so this may be lost with the power until something is added."""
        head = HEAD.pack(MAGIC, seq, 0)[:12]
        self._checksum = zlib.crc32(head)
        beside = self._path.with_name(self._path.name + ".new")
        self._files.make(beside, head + self._checksum.to_bytes(4, "big"))
        self._files.rename(beside, self._path)
        self._named = False
        self.base, self.pages = seq, set()

    def add(self, pages: Collection[int]) -> None:
        """Keep pages, durably, before they leave the write-ahead log. Raises OSError; then they must stay there."""
        new = sorted(set(pages) - self.pages)
        if self.base is None or not new:
            return
        body = struct.pack(f">{len(new)}I", *new)
        checksum = zlib.crc32(body, self._checksum)
        self._files.append(self._path, RECORD.pack(len(new), checksum) + body)
        if not self._named:
            self._files.sync_folder(self._path.parent)
            self._named = True
        self._checksum = checksum
        self.pages.update(new)

    def forget(self) -> None:
        """Nothing is known any more: the database is another file."""
        self.base, self.pages = None, set()
        self._files.remove(self._path)

    def _load(self) -> None:
        content = self._files.read(self._path)
        if content is None or len(content) < HEAD.size:
            return
        magic, seq, checksum = HEAD.unpack_from(content)
        if magic != MAGIC or zlib.crc32(content[:12]) != checksum:
            return
        pages: set[int] = set()
        place = HEAD.size
        while place < len(content):
            if place + RECORD.size > len(content):
                return
            count, told = RECORD.unpack_from(content, place)
            body = content[place + RECORD.size : place + RECORD.size + 4 * count]
            checksum = zlib.crc32(body, checksum)
            if len(body) != 4 * count or checksum != told:
                return
            pages.update(struct.unpack(f">{count}I", body))
            place += RECORD.size + 4 * count
        self.base, self.pages, self._checksum = seq, pages, checksum
