"""An image as a database that SQLite reads: a VFS with one file, whose bytes are those of its chunks.

It never changes, so nothing is locked, nobody waits for whoever reads it, and it may be read for as long as it is held.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import apsw

from ..errors import Damaged
from .chunks import Chunks
from .databases import Databases
from .images import Images
from .manifest import CHUNK, Image, Manifest

#: Chunks that stay in memory for one reader.
KEPT = 64
NAME = "image.db"


@contextmanager
def shown(databases: Databases, images: Images, chunks: Chunks, image: Image) -> Iterator[apsw.Connection]:
    """A read-only connection to an image, which is not retired meanwhile. Raises Damaged, also while it is read."""
    with images.reading(image):
        vfs = _Folder(_File(image.manifest, chunks))
        try:
            connection = databases.image(vfs.name, NAME)
            try:
                yield connection
            finally:
                connection.close()
        except Damaged as problem:
            images.found_harmed(problem)
            raise
        finally:
            vfs.unregister()


class _Folder(apsw.VFS):
    """Whatever is opened is the one file: with temp_store=MEMORY SQLite asks for no other."""

    def __init__(self, file: _File) -> None:
        self.name = f"image-{secrets.token_hex(8)}"
        self._file = file
        super().__init__(self.name, "")

    def xFullPathname(self, name: str) -> str:
        return name

    def xAccess(self, pathname: str, flags: int) -> bool:
        return pathname == NAME

    def xOpen(self, name: object, flags: list[int]) -> _File:  # type: ignore[override]
        flags[1] = flags[0]
        return self._file


class _File:
    """What SQLite asks of a file that it only reads."""

    def __init__(self, manifest: Manifest, chunks: Chunks) -> None:
        self._size = manifest.size
        self._chunk = lru_cache(KEPT)(lambda index: chunks.read(manifest.chunk(index)))

    def xRead(self, amount: int, offset: int) -> bytes:
        """Fewer bytes at the end of the file."""
        found = b""
        end = min(offset + amount, self._size)
        while offset < end:
            index, start = divmod(offset, CHUNK)
            piece = self._chunk(index)[start : start + end - offset]
            found, offset = found + piece, offset + len(piece)
        return found

    def xFileSize(self) -> int:
        return self._size

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_IMMUTABLE

    def xSectorSize(self) -> int:
        return 4096

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xLock(self, level: int) -> None: ...

    def xUnlock(self, level: int) -> None: ...

    def xCheckReservedLock(self) -> bool:
        return False

    def xClose(self) -> None: ...
