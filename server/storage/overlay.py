"""The database as it was right after one commit: the main file, overlaid with the write-ahead log up to there.

Whoever uses one holds a read transaction that was begun right after that commit: it keeps checkpoints from writing
younger pages into the main file, and the write-ahead log from starting over.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from ..errors import Damaged
from .files import PAGE_SIZE, Files, RandomAccess
from .manifest import CHUNK

#: https://sqlite.org/fileformat.html#the_write_ahead_log: a header, then frames of a head and a page.
WAL_HEADER = 32
FRAME_HEAD = 24
#: Page, pages of the database (at a commit), salts.
HEAD = struct.Struct(">II8s")
FRAME = FRAME_HEAD + PAGE_SIZE
PAGES_IN_CHUNK = CHUNK // PAGE_SIZE
#: Frames that are read at a time: one call for each would give the interpreter away each time.
TOGETHER = 64
#: Written where SQLite notes which library wrote last (bytes 96-99): a constant, so that equal content is equal bytes.
WRITER = 3_054_001


class Mark(NamedTuple):
    """A place in the write-ahead log: its salts tell it from what it holds after starting over."""

    salts: bytes
    frames: int


NOWHERE = Mark(b"", 0)


class Walked:
    """What is known of a write-ahead log's frames. It outlives an image: each frame is looked at once."""

    def __init__(self) -> None:
        self.upto = NOWHERE
        #: The last frame of each page, counted from 1.
        self.last: dict[int, int] = {}
        #: Pages of the database after the last frame; 0: there is none.
        self.size = 0


class WalPages:
    """Which pages the first frames of a write-ahead log hold.

    That `frames` of them are committed is SQLite's own word (its WAL hook); frames behind them may be left over from a
    rolled-back transaction and are not looked at. Making one costs nothing: the frames are read by whoever asks first.
    """

    def __init__(self, path: Path, frames: int, walked: Walked | None = None) -> None:
        """`walked`: of the same file, and nobody else's meanwhile; what is looked at is added."""
        self._path = path
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if frames else -1
        self.mark = Mark(os.pread(self._handle, 8, 16), frames) if frames else NOWHERE
        self._known = walked or Walked()

    @property
    def size(self) -> int:
        """How many pages the database has after the last of all; 0: as many as its file. Raises Damaged."""
        return self._walked().size

    def since(self, earlier: Mark) -> set[int]:
        """The pages that frames behind an earlier mark hold; all of them where the log has started over since. Raises
        Damaged."""
        first = earlier.frames if earlier.salts == self.mark.salts else 0
        if self._known.upto != self.mark:
            return {number for _, number, _ in self._heads(first)}
        return {page for page, frame in self._known.last.items() if frame > first}

    def page(self, number: int) -> bytes | None:
        """The newest content of a page; None where it is in the main file. Raises Damaged."""
        frame = self._walked().last.get(number)
        if frame is None:
            return None
        content = os.pread(self._handle, FRAME, WAL_HEADER + (frame - 1) * FRAME)
        found, _, salts = HEAD.unpack_from(content) if len(content) == FRAME else (0, 0, b"")
        if (found, salts) != (number, self.mark.salts):
            raise self._foreign(frame)
        return content[FRAME_HEAD:]

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _walked(self) -> Walked:
        known, mark = self._known, self.mark
        if known.upto == mark:
            return known
        goes_on = known.upto.salts == mark.salts and known.upto.frames < mark.frames
        last, size = (known.last, known.size) if goes_on else ({}, 0)
        new: dict[int, int] = {}
        for frame, number, pages in self._heads(known.upto.frames if goes_on else 0):
            new[number], size = frame, pages
        if mark.frames and not size:
            raise Damaged(str(self._path), f"frame {mark.frames} ends no transaction")
        last.update(new)
        known.last, known.size, known.upto = last, size, mark
        return known

    def _heads(self, behind: int) -> Iterator[tuple[int, int, int]]:
        """Of the frames behind so many: their number, their page, and the pages of the database at a commit."""
        for first in range(behind, self.mark.frames, TOGETHER):
            count = min(TOGETHER, self.mark.frames - first)
            piece = os.pread(self._handle, count * FRAME, WAL_HEADER + first * FRAME)
            for place in range(count):
                whole = len(piece) >= place * FRAME + FRAME_HEAD
                page, size, salts = HEAD.unpack_from(piece, place * FRAME) if whole else (0, 0, b"")
                if salts != self.mark.salts:
                    raise self._foreign(first + place + 1)
                yield first + place + 1, page, size

    def _foreign(self, frame: int) -> Damaged:
        whose = f"frame {frame} of {self.mark.frames} is not of this write-ahead log"
        return Damaged(str(self._path), whose)


class Overlay:
    """A database of one moment, in chunks, as an image has them: page 1 is normalised (SPEC I2).

    Making one takes no longer for a long write-ahead log than for a short one: the turn that does it holds up commits.
    """

    def __init__(self, files: Files, path: Path, frames: int, seq: int, walked: Walked | None = None) -> None:
        self._wal = WalPages(path.with_name(path.name + "-wal"), frames, walked)
        self._main: RandomAccess = files.main_file(path)
        self._counter = (seq % 2**32).to_bytes(4, "big")
        self._pages = 0

    @property
    def mark(self) -> Mark:
        return self._wal.mark

    @property
    def pages(self) -> int:
        """Raises Damaged where the write-ahead log is not what SQLite said."""
        if not self._pages:
            self._pages = self._wal.size or self._main.size() // PAGE_SIZE
        return self._pages

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
