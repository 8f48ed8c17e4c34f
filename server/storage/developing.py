"""Making the chunks of an image: read, hash and store what changed. In which process is darkroom.py's affair."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from .chunks import Batch
from .manifest import CHUNK
from .overlay import Mark, Overlay, chunks_of


class Since(Struct, frozen=True, array_like=True):
    """What is known of the image before. `size`: its bytes; `pages`: some that changed since; the others are in the
    write-ahead log behind so many `frames` of the one with these `salts`."""

    size: int
    pages: list[int]
    salts: bytes
    frames: int


class Work(Struct, frozen=True, array_like=True):
    """An image to be made: of the database at `path` with the first `frames` of the write-ahead log that has these
    `salts`, as it was at `seq`. `since` None: nothing is known of an image before."""

    path: str
    salts: bytes
    frames: int
    seq: int
    since: Since | None


class Made(Struct, frozen=True, array_like=True):
    """The bytes of the image, and the SHA-256 of the chunks that may differ from the image before, by their places."""

    size: int
    chunks: list[tuple[int, bytes]]


def develop(overlay: Overlay, since: Since | None, batch: Batch, go_on: Callable[[], None]) -> Made:
    """Make what was not there durable. `go_on` is called before each chunk, and may raise. Raises Damaged, OSError."""
    made: list[tuple[int, bytes]] = []
    for index in _wanted(overlay, since):
        go_on()
        made.append((index, batch.put(overlay.chunk(index))))
    batch.finish()
    return Made(overlay.size, made)


def _wanted(overlay: Overlay, since: Since | None) -> list[int]:
    count = -(-overlay.size // CHUNK)
    if since is None:
        return list(range(count))
    pages = overlay.changed(Mark(since.salts, since.frames)).union(since.pages)
    return sorted({0, *chunks_of(pages, overlay.size), *range(since.size // CHUNK, count)})
