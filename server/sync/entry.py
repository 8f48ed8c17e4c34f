"""Entries: what goes into a project's log, encoded once, the same bytes on every node (design 4 and 5).

An entry is msgpack `[format, kind, seq, base version, at, commits, outcomes]`; a commit in it is the very JSON
text that subscribers get. The first entry of an imported project has the kind `base`: its one commit names the database
that the log goes on from, by hash. One that is larger than a part travels as parts k of n and takes effect with the
last.
`[format, "publish", seq, base version, at]` asks every node for an image of this very seq, and `[format, "published",
seq, base version, at, [seq, version, hash, build]]` says which bytes it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgpack
import msgspec
from msgspec import Struct

from ..model import Commit, EncodedCommit, MutationId, Outcome, Refusal

FORMAT = 1
#: Bytes of one part: below the 1 MiB that Raft carries, with room for what it adds.
PART = 768 << 10
#: Format, kind, seq, base version and time are within the first bytes of a body.
HEAD_BYTES = 64

EntryKind = Literal["commits", "part", "base", "publish", "published"]
OUTCOME_KINDS: tuple[Literal["committed", "settled", "refused"], ...] = ("committed", "settled", "refused")

_refusal = msgspec.json.Decoder(Refusal).decode


class Recorded(Struct, frozen=True, gc=False):
    """An outcome as the log keeps it: whose id, which body, what answer."""

    id: MutationId
    user: str
    body_hash: bytes
    outcome: Outcome


class Published(Struct, frozen=True, gc=False):
    """The image of a `publish` entry: its seq, the version there, the hash of its bytes (64 hexadecimal digits), and
    which build of SQLite laid them out (empty: not known)."""

    seq: int
    version: int
    hash: str
    build: bytes = b""


class Entry(Struct, frozen=True):
    """A batch of commits and outcomes. `base_version`: the version before its first commit.

    `kind`: what it is when whole; `image` in `published` only.
    """

    seq: int
    base_version: int
    at: int
    commits: tuple[EncodedCommit, ...] = ()
    outcomes: tuple[Recorded, ...] = ()
    kind: Literal["commits", "base", "publish", "published"] = "commits"
    image: Published | None = None

    @property
    def version(self) -> int:
        return self.base_version + len(self.commits)


class Record(Struct, frozen=True, gc=False):
    """One row of the log: an entry or a part of one, as bytes. `version`: after it; None if it takes no effect yet."""

    seq: int
    kind: EntryKind
    version: int | None
    body: bytes


def encode(entry: Entry) -> list[Record]:
    """The records of an entry whose seq is that of its **first** record; they take consecutive seqs."""
    body = _pack(entry)
    if len(body) <= PART:
        return [Record(entry.seq, entry.kind, entry.version, body)]
    pieces = [body[i : i + PART] for i in range(0, len(body), PART)]
    count = len(pieces)
    return [
        Record(
            entry.seq + k,
            "part",
            entry.version if k == count - 1 else None,
            msgpack.packb([FORMAT, "part", entry.seq + k, k + 1, count, piece]),
        )
        for k, piece in enumerate(pieces)
    ]


def _pack(entry: Entry) -> bytes:
    head = [FORMAT, entry.kind, entry.seq, entry.base_version, entry.at]
    packed: bytes = msgpack.packb([*head, *_members(entry)])
    return packed


def _members(entry: Entry) -> list[Any]:
    if entry.kind == "publish":
        return []
    if entry.image is not None:
        return [[entry.image.seq, entry.image.version, entry.image.hash, entry.image.build]]
    outcomes = [
        [
            bytes.fromhex(kept.id.client),
            kept.id.counter,
            kept.user,
            kept.body_hash,
            OUTCOME_KINDS.index(kept.outcome.kind),
            kept.outcome.version,
            None if kept.outcome.refusal is None else msgspec.json.encode(kept.outcome.refusal),
        ]
        for kept in entry.outcomes
    ]
    return [[commit.json for commit in entry.commits], outcomes]


def decode(body: bytes) -> Entry:
    """An entry from its bytes; parts are joined first."""
    form, kind, seq, base, at, *members = msgpack.unpackb(body, max_bin_len=1 << 30, max_str_len=1 << 30)
    if form != FORMAT or kind not in ("commits", "base", "publish", "published"):
        raise ValueError(f"entry of format {form!r}, kind {kind!r}: this release reads format {FORMAT}")
    if kind in ("publish", "published"):
        return Entry(seq, base, at, kind=kind, image=Published(*members[0]) if members else None)
    commits, outcomes = members
    return Entry(
        seq,
        base,
        at,
        tuple([EncodedCommit(base + 1 + i, text) for i, text in enumerate(commits)]),
        tuple([_recorded(*fields) for fields in outcomes]),
        kind,
    )


def _recorded(
    client: bytes, counter: int, user: str, body_hash: bytes, kind: int, version: int, refusal: bytes | None
) -> Recorded:
    outcome = Outcome(OUTCOME_KINDS[kind], version, None if refusal is None else _refusal(refusal))
    return Recorded(MutationId(client.hex(), counter), user, body_hash, outcome)


def join(parts: Sequence[bytes]) -> bytes:
    """The body of an entry from the bodies of all its parts, in order; raises ValueError where one is missing."""
    pieces: list[bytes] = []
    for place, part in enumerate(parts):
        form, kind, _, k, count, piece = _unpack_part(part)
        if form != FORMAT or kind != "part" or k != place + 1 or count != len(parts):
            raise ValueError(f"part {k} of {count} stands where part {place + 1} of {len(parts)} should")
        pieces.append(piece)
    return b"".join(pieces)


def moment(first: bytes) -> int:
    """When an entry was made, in ms since 1970, from the body of its first record, without reading more of it."""
    return int(_head(_unpack_part(first)[5] if _head(first)[1] == "part" else first)[4])


def _head(body: bytes) -> list[Any]:
    """The first five members, which come before what may be long."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(body[:HEAD_BYTES])
    unpacker.read_array_header()
    return [unpacker.unpack() for _ in range(5)]


def part_count(body: bytes) -> int:
    """How many parts the entry has of which this is one."""
    return int(_unpack_part(body)[4])


def _unpack_part(body: bytes) -> list[Any]:
    fields: list[Any] = msgpack.unpackb(body, max_bin_len=1 << 30)
    return fields


class Rehearsed(Struct, frozen=True):
    """An entry before its encoding is sent: the records to replicate and the commits that apply will write."""

    entry: Entry
    records: tuple[Record, ...]
    commits: tuple[Commit, ...]
