"""One record of the journal as bytes.

    magic 4 | crc 4 | chain 4 | size 4 | kind 1, 3 zeros | index 8 | term 8 | durable 8 | payload       little endian

`crc` covers all behind it. `chain` is the crc of the record before. `durable` is how far the journal was synced when
the record was made: a damaged record that lies before the `durable` of a later one had been acknowledged.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum

from msgspec import Struct

MAGIC = b"SLJ1"
_HEAD = struct.Struct("<4sIIIBxxxQQQ")
_BODY = struct.Struct("<IIBxxxQQQ")
HEAD = _HEAD.size
_CRC_END = 8


class Kind(IntEnum):
    """HEADER opens a segment (index: its number; payload: whose journal). OPENING: the last entry before the segment.
    ENTRY: index, term, payload. VOTE: term, payload is who got the vote. CUT: entries from index on are gone, term is
    that of the entry before. COMMIT: index. SNAPSHOT: index, term, payload. INSTALL: everything before is gone, the log
    goes on after index, term."""

    HEADER = 1
    OPENING = 2
    ENTRY = 3
    VOTE = 4
    CUT = 5
    COMMIT = 6
    SNAPSHOT = 7
    INSTALL = 8


KINDS = frozenset(Kind)


class Frame(Struct, frozen=True):
    kind: int
    index: int
    term: int
    payload: bytes
    chain: int
    durable: int
    crc: int
    end: int


def pack(kind: int, index: int, term: int, payload: bytes, chain: int, durable: int) -> tuple[bytes, int]:
    """The bytes of a record, and its crc, which is the chain of the next one."""
    body = _BODY.pack(chain, len(payload), kind, index, term, durable)
    crc = zlib.crc32(payload, zlib.crc32(body))
    return b"".join((MAGIC, crc.to_bytes(4, "little"), body, payload)), crc


def parse(data: bytes | memoryview, at: int) -> Frame | None:
    """The record that begins there; None where none does, or not a whole one."""
    if at + HEAD > len(data):
        return None
    magic, crc, chain, size, kind, index, term, durable = _HEAD.unpack_from(data, at)
    end = at + HEAD + size
    if magic != MAGIC or end > len(data) or kind not in KINDS:
        return None
    if zlib.crc32(memoryview(data)[at + _CRC_END : end]) != crc:
        return None
    return Frame(kind, index, term, bytes(data[at + HEAD : end]), chain, durable, crc, end)


def vouched(data: bytes, after: int, base: int) -> bool:
    """Whether a later whole record says that what lies at `after` had been synced. `base`: the position of data[0]."""
    at = data.find(MAGIC, after + 1)
    while at != -1:
        frame = parse(data, at)
        if frame is not None and frame.durable > base + after:
            return True
        at = data.find(MAGIC, at + 1)
    return False
