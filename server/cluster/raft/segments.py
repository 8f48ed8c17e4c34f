"""The files of a journal: segments `<number>.journal`, each a run of records (frames.py).

A position counts bytes over all segments that ever were; a segment begins at a known one. A segment is preallocated in
steps, so that a sync does not have to write the file's size. The next one is made beside, synced and renamed, and only
after everything before it was synced.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgpack
from msgspec import Struct

from ...errors import Damaged, ShareliteError
from . import frames
from .disk import Disk, DiskFile
from .frames import Frame, Kind

FORMAT = 1
SUFFIX = ".journal"


class Identity(Struct, frozen=True):
    """Whose journal it is. A node that lost its journal is another one: its incarnation is higher."""

    cluster: str
    node: str
    incarnation: int


class JournalForeign(ShareliteError):
    """The journal belongs to another node, cluster or incarnation."""

    code = "journal_foreign"

    def __init__(self, path: Path, found: Identity, mine: Identity) -> None:
        self.path, self.found, self.mine = path, found, mine

    def __str__(self) -> str:
        return (
            f"{self.path} is the journal of node {self.found.node}.{self.found.incarnation} of cluster "
            f"{self.found.cluster}, this is {self.mine.node}.{self.mine.incarnation} of {self.mine.cluster}"
        )


class JournalFailed(ShareliteError):
    """The journal could not be written or synced: what reached the disk is not known, so nothing more is said."""

    code = "journal_failed"

    def __init__(self, path: Path, problem: OSError) -> None:
        self.path, self.problem = path, problem

    def __str__(self) -> str:
        return f"{self.path} could not be written: {self.problem.strerror or self.problem}"


@dataclass(slots=True)
class Segment:
    """`base`: position of its first byte. `opening`: index of the last entry before it."""

    number: int
    base: int
    path: Path
    file: DiskFile
    allocated: int
    opening: int = 0
    opening_term: int = 0


class Segments:
    """Reads, appends to, and drops segments. `chain`, `position` and `durable` are those of the end."""

    def __init__(self, disk: Disk, folder: Path, identity: Identity, grow: int) -> None:
        self._disk, self._folder, self._identity, self._grow = disk, folder, identity, grow
        self.all: list[Segment] = []
        self.chain = 0
        self.position = 0
        self.durable = 0
        #: What recovery cut off, in bytes; for the log of the node.
        self.torn = 0

    @property
    def length(self) -> int:
        """Bytes in the newest segment."""
        return self.position - self.all[-1].base

    @property
    def size(self) -> int:
        """Bytes in all segments."""
        return self.position - self.all[0].base if self.all else 0

    def recover(self) -> Iterator[Frame]:
        """Every record there is, in order. Raises Damaged, JournalForeign. To be run to its end."""
        self._disk.make_folder(self._folder)
        names = self._disk.names(self._folder)
        for name in names:
            if name.endswith(".new"):
                self._disk.remove(self._folder / name)
        numbers = [int(name.removesuffix(SUFFIX), 16) for name in names if name.endswith(SUFFIX)]
        for place, number in enumerate(numbers):
            if number != numbers[0] + place:
                raise Damaged(str(self._path(number - 1)), "is missing: the journal has a hole")
            yield from self._read(number, first=place == 0, last=number == numbers[-1])

    def record(self, kind: int, index: int, term: int, payload: bytes) -> bytes:
        """The bytes of the next record, for `write`."""
        data, self.chain = frames.pack(kind, index, term, payload, self.chain, self.durable)
        return data

    def write(self, data: bytes) -> None:
        """Append records and sync. Raises JournalFailed."""
        segment = self.all[-1]
        offset = self.position - segment.base
        try:
            if offset + len(data) > segment.allocated:
                self._allocate(segment, offset + len(data))
            segment.file.write(offset, data)
            segment.file.sync()
        except OSError as problem:
            raise JournalFailed(segment.path, problem) from problem
        self.position += len(data)
        self.durable = self.position

    def begin(self, opening: list[tuple[int, int, int, bytes]]) -> None:
        """A new segment whose first records are these (after its header). All before must have been synced."""
        number = self.all[-1].number + 1 if self.all else 1
        base, path = self.position, self._path(number)
        records = [self._header(number), *opening]
        data = b"".join([self.record(*record) for record in records])
        beside = path.with_name(path.name + ".new")
        try:
            file = self._disk.open(beside)
            file.write(0, data)
            segment = Segment(number, base, path, file, len(data), opening[0][1], opening[0][2])
            self._allocate(segment, len(data))
            file.sync()
            self._disk.rename(beside, path)
            self._disk.sync_folder(self._folder)
        except OSError as problem:
            raise JournalFailed(path, problem) from problem
        self.all.append(segment)
        self.position = self.durable = base + len(data)

    def read(self, position: int, size: int) -> Frame:
        """The record at a position; `size` of its payload. Raises Damaged when the disk no longer has it."""
        segment = next(one for one in reversed(self.all) if one.base <= position)
        data = segment.file.read(position - segment.base, frames.HEAD + size)
        frame = frames.parse(data, 0)
        if frame is None:
            raise Damaged(str(segment.path), f"the record at {position - segment.base} is not what was written")
        return frame

    def drop(self, count: int) -> None:
        """Forget the oldest segments."""
        gone, self.all = self.all[:count], self.all[count:]
        try:
            for segment in gone:
                segment.file.close()
                self._disk.remove(segment.path)
            self._disk.sync_folder(self._folder)
        except OSError as problem:
            raise JournalFailed(gone[0].path, problem) from problem

    def lower(self, last: int, term: int) -> None:
        """The log was cut: whatever begins behind its new end goes on from there."""
        for segment in self.all:
            if segment.opening > last:
                segment.opening, segment.opening_term = last, term

    def close(self) -> None:
        for segment in self.all:
            segment.file.close()
        self.all = []

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:016x}{SUFFIX}"

    def _header(self, number: int) -> tuple[int, int, int, bytes]:
        mine = self._identity
        payload = msgpack.packb([FORMAT, mine.cluster, mine.node, mine.incarnation, self.position])
        return Kind.HEADER, number, 0, payload

    def _allocate(self, segment: Segment, needed: int) -> None:
        """Zeros up to a whole step; the sync that follows makes the size durable."""
        if self._grow:
            end = -(-needed // self._grow) * self._grow
            segment.file.write(segment.allocated, bytes(end - segment.allocated))
            segment.allocated = end

    def _read(self, number: int, first: bool, last: bool) -> Iterator[Frame]:
        path = self._path(number)
        file = self._disk.open(path)
        data = file.read(0, file.size())
        segment = Segment(number, self.position, path, file, len(data))
        header = self._opened(segment, data, first)
        self.all.append(segment)
        self.position = segment.base + header.end
        self.chain, at = header.crc, header.end
        while (frame := frames.parse(data, at)) is not None and frame.chain == self.chain:
            if frame.kind in (Kind.OPENING, Kind.INSTALL):
                segment.opening, segment.opening_term = frame.index, frame.term
            self.chain, at = frame.crc, frame.end
            self.position = segment.base + at
            yield frame
        self._end(segment, data, at, last)
        self.durable = self.position

    def _opened(self, segment: Segment, data: bytes, first: bool) -> Frame:
        """The header: right kind, right owner, right place."""
        header = frames.parse(data, 0)
        if header is None or header.kind != Kind.HEADER or header.index != segment.number:
            raise Damaged(str(segment.path), "its header is damaged; this node has to be set up anew from its peers")
        version, cluster, node, incarnation, base = msgpack.unpackb(header.payload)
        if version != FORMAT:
            raise Damaged(str(segment.path), f"has format {version}; this release reads format {FORMAT}")
        found = Identity(cluster, node, incarnation)
        if found != self._identity:
            raise JournalForeign(segment.path, found, self._identity)
        if not first and (base != self.position or header.chain != self.chain):
            raise Damaged(str(segment.path), "does not go on where the one before it ends")
        segment.base = base
        return header

    def _end(self, segment: Segment, data: bytes, at: int, last: bool) -> None:
        """Zeros, or a torn tail, which is cut; what had been synced must be there."""
        rest = data[at:].rstrip(b"\0")
        if not rest:
            return
        if not last or frames.vouched(data, at, segment.base):
            raise Damaged(
                str(segment.path),
                f"the record at {at} is damaged after it was synced; this node has to be set up anew from its peers",
            )
        self.torn = len(rest)
        try:
            segment.file.write(at, bytes(len(rest)))
            segment.file.sync()
        except OSError as problem:
            raise JournalFailed(segment.path, problem) from problem
