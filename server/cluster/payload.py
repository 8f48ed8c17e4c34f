"""What one record of the cell's log holds: the entries of all projects that were ready (SPEC K50).

msgpack `[format, [item, ...]]`. An item is one record of one project with what it stands on: it takes effect on a log
that is exactly there, and nowhere else, so every node judges it alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgpack
from msgspec import Struct

FORMAT = 1
#: Of a log digest as much as tells two logs apart.
DIGEST_BYTES = 16
#: What an item takes beside its body, at most.
ITEM_BYTES = 256


class Standing(Protocol):
    """Where a log is: its last entry and the digest after it."""

    @property
    def seq(self) -> int: ...
    @property
    def digest(self) -> bytes: ...


class Item(Struct, frozen=True, gc=False):
    """One record (`seq`, `kind`, `version`, `body`) for the log of a project that is at `base_seq` and `base`.

    `tag`: the proposal it came with. `rows`: the row digest at the proposer before it, empty where it is not stated.
    """

    project: str
    epoch: str
    tag: bytes
    base_seq: int
    base: bytes
    rows: bytes
    seq: int
    kind: str
    version: int | None
    body: bytes

    def fits(self, log: Standing) -> bool:
        """Whether the log is where this record was made for; if not, it is there already or was superseded."""
        return self.base_seq == log.seq and self.base == log.digest[:DIGEST_BYTES]

    def contradicts(self, log: Standing) -> bool:
        """Whether no cell could have brought it to this log: its proposer had applied everything that was committed
        before it, so he is where this log is, or it has passed him. (`rows` is stated by the first record of a proposal
        only; those behind it may have lost it.)"""
        if not self.rows:
            return False
        return self.base_seq > log.seq or (self.base_seq == log.seq and self.base != log.digest[:DIGEST_BYTES])


def pack(items: Sequence[Item]) -> bytes:
    packed: bytes = msgpack.packb(
        [
            FORMAT,
            [
                [
                    item.project,
                    item.epoch,
                    item.tag,
                    item.base_seq,
                    item.base,
                    item.rows,
                    item.seq,
                    item.kind,
                    item.version,
                    item.body,
                ]
                for item in items
            ],
        ]
    )
    return packed


def unpack(payload: bytes) -> list[Item]:
    """Raises ValueError for what this release cannot read: the node must not guess."""
    form, items = msgpack.unpackb(payload)
    if form != FORMAT:
        raise ValueError(f"a record of the cell has format {form!r}; this release reads format {FORMAT}")
    return [Item(*fields) for fields in items]
