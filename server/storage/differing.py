"""Which pages two images may not have in common: what a viewer forgets when he goes from one to the other (SPEC I)."""

from __future__ import annotations

from ..errors import Damaged
from .chunks import Chunks
from .manifest import CHUNK, Manifest
from .overlay import PAGES_IN_CHUNK

#: So many chunks are compared page by page; beyond it all pages of a chunk that differs are named.
COMPARED = 512


def differing(chunks: Chunks, one: Manifest, other: Manifest) -> list[int]:
    """Page numbers, ascending, counted from 1. Reads the chunks that differ, so: not on the event loop."""
    page, pages = one.page_size, max(one.size, other.size) // one.page_size
    found: list[int] = []
    compared = 0
    for index in range((pages * page + CHUNK - 1) // CHUNK):
        if one.chunk(index) == other.chunk(index):
            continue
        first = index * PAGES_IN_CHUNK + 1
        numbers = range(first, min(first + PAGES_IN_CHUNK, pages + 1))
        compared += 1
        left, right = (_content(chunks, manifest, index, compared) for manifest in (one, other))
        for place, number in enumerate(numbers):
            span = slice(place * page, (place + 1) * page)
            if left is None or right is None or left[span] != right[span]:
                found.append(number)
    return found


def _content(chunks: Chunks, manifest: Manifest, index: int, compared: int) -> bytes | None:
    if compared > COMPARED or index >= manifest.count():
        return None
    try:
        return chunks.read(manifest.chunk(index))
    except Damaged:
        return None
