"""The database as it was right after one commit: the main file, overlaid with the write-ahead log up to there.

Whoever uses one holds a read transaction that was begun right after that commit: it keeps checkpoints from writing
younger pages into the main file, and the write-ahead log from starting over.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from ..errors import Damaged
from .files import PAGE_SIZE, Files, RandomAccess
from .manifest import CHUNK

#: https://sqlite.org/fileformat.html#the_write_ahead_log: a header, then frames of a head and a page.
WAL_HEADER = 32
FRAME_HEAD = 24
FRAME = FRAME_HEAD + PAGE_SIZE
PAGES_IN_CHUNK = CHUNK // PAGE_SIZE
#: Written where SQLite notes which library wrote last (bytes 96-99): a constant, so that equal content is equal bytes.
WRITER = 3_054_001


class Mark(NamedTuple):
    """A place in the write-ahead log: its salts tell it from what it holds after starting over."""

    salts: bytes
    frames: int


NOWHERE = Mark(b"", 0)


class WalPages:
    """Which pages the first frames of a write-ahead log hold.

    That `frames` of them are committed is SQLite's own word (its WAL hook); frames behind them may be left over from a
    rolled-back transaction and are not looked at.
    """

    def __init__(self, path: Path, frames: int) -> None:
        """Raises Damaged where the file does not have so many frames."""
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if frames else -1
        self.mark = NOWHERE
        #: The last frame of each page, counted from 1; and how many pages the database has after the last of all.
        self.last: dict[int, int] = {}
        self.size = 0
        if frames:
            self.mark = Mark(os.pread(self._handle, 8, 16), frames)
            self._walk(path)

    def since(self, earlier: Mark) -> set[int]:
        """The pages that frames behind an earlier mark hold; all of them where the log has started over since."""
        first = earlier.frames if earlier.salts == self.mark.salts else 0
        return {page for page, frame in self.last.items() if frame > first}

    def page(self, number: int) -> bytes | None:
        """The newest content of a page; None where it is in the main file."""
        frame = self.last.get(number)
        if frame is None:
            return None
        return os.pread(self._handle, PAGE_SIZE, WAL_HEADER + (frame - 1) * FRAME + FRAME_HEAD)

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _walk(self, path: Path) -> None:
        for frame in range(1, self.mark.frames + 1):
            head = os.pread(self._handle, FRAME_HEAD, WAL_HEADER + (frame - 1) * FRAME)
            if len(head) < FRAME_HEAD or head[8:16] != self.mark.salts:
                self.close()
                raise Damaged(str(path), f"frame {frame} of {self.mark.frames} is not of this write-ahead log")
            number, self.size = struct.unpack_from(">II", head)
            self.last[number] = frame
        if not self.size:
            self.close()
            raise Damaged(str(path), f"frame {self.mark.frames} ends no transaction")


class Overlay:
    """A database of one moment, in chunks, as an image has them: page 1 is normalised (SPEC I2)."""

    def __init__(self, files: Files, path: Path, frames: int, seq: int) -> None:
        self._wal = WalPages(path.with_name(path.name + "-wal"), frames)
        self._main: RandomAccess = files.main_file(path)
        self._counter = (seq % 2**32).to_bytes(4, "big")
        self.pages = self._wal.size or self._main.size() // PAGE_SIZE

    @property
    def mark(self) -> Mark:
        return self._wal.mark

    @property
    def size(self) -> int:
        return self.pages * PAGE_SIZE

    def __enter__(self) -> Overlay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wal.close()
        self._main.close()

    def changed(self, since: Mark) -> set[int]:
        """Numbers of the pages in the write-ahead log behind a mark."""
        return self._wal.since(since)

    def chunk(self, index: int) -> bytes:
        """The bytes of one chunk."""
        first = index * PAGES_IN_CHUNK + 1
        length = min(PAGES_IN_CHUNK, self.pages - first + 1) * PAGE_SIZE
        content = bytearray(self._main.read(index * CHUNK, length))
        content.extend(bytes(length - len(content)))
        for place in range(length // PAGE_SIZE):
            newer = self._wal.page(first + place)
            if newer is not None:
                content[place * PAGE_SIZE : (place + 1) * PAGE_SIZE] = newer
        if index == 0:
            self._normalise(content)
        return bytes(content)

    def _normalise(self, content: bytearray) -> None:
        """What SQLite writes differently on different ways to the same rows: WAL or not, counters, library."""
        content[18:20] = b"\x01\x01"
        content[24:28] = content[92:96] = self._counter
        content[96:100] = WRITER.to_bytes(4, "big")


def chunks_of(pages: set[int], size: int) -> list[int]:
    """The chunks that these pages lie in, of a database of so many bytes."""
    count = (size + CHUNK - 1) // CHUNK
    return sorted({(page - 1) // PAGES_IN_CHUNK for page in pages if (page - 1) // PAGES_IN_CHUNK < count})
