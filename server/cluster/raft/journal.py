"""The durable journal: entries, term and vote, commit index and snapshot of one node, in the shape PySyncObj asks for.

Nothing is durable before `sync` (or a method that says so) returned. Entry 0 of the sequence PySyncObj sees is the
`base`, the last entry that is not kept: its index and term are known, its payload is not. Newest payloads are in
memory, up to a bound; older ones are read, and checked, where they lie. One thread uses a journal.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import overload

import msgpack
from msgspec import Struct

from ...errors import Damaged
from . import frames
from .disk import Disk
from .frames import Frame, Kind
from .segments import Identity, JournalFailed, JournalForeign, Segments

__all__ = ["Entry", "Identity", "Journal", "JournalFailed", "JournalForeign", "Sizes", "Snapshot"]

#: Payload, index, term: PySyncObj's order.
Entry = tuple[bytes, int, int]
#: What PySyncObj takes for an entry that does nothing.
NOTHING = b"\x01"


class Sizes(Struct, frozen=True):
    """Bytes. `keep`: trimmed entries that stay, for nodes that were away for a while."""

    segment: int = 32 << 20
    grow: int = 4 << 20
    cache: int = 32 << 20
    keep: int = 64 << 20


class Snapshot(Struct, frozen=True):
    """What stands for all entries up to `index`: the owner's manifest, and who the members were."""

    index: int
    term: int
    manifest: bytes
    members: bytes


class Journal:
    """`config`: the first byte of entries that carry the list of members; each holds the whole list."""

    def __init__(
        self, disk: Disk, folder: Path, identity: Identity, sizes: Sizes, config: bytes, members: bytes
    ) -> None:
        """Opens and recovers; a new one begins with these members. Raises Damaged, JournalForeign, JournalFailed."""
        self._segments = Segments(disk, folder, identity, sizes.grow)
        self._sizes, self._config = sizes, config
        self.base, self.base_term = 1, 0
        self.term = 0
        self.vote: str | None = None
        self.commit = 1
        self.snapshot = Snapshot(1, 0, b"", members)
        self._positions, self._lengths, self._terms = array("Q"), array("Q"), array("Q")
        self._configs: list[tuple[int, bytes]] = []
        self._recent: deque[bytes] = deque()
        self._recent_bytes = 0
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._waiting = 0
        self._commit_told = 1
        self._problem: JournalFailed | None = None
        self.syncs = 0
        try:
            for frame in self._segments.recover():
                self._replay(frame)
            if not self._segments.all:
                self._segments.begin(self._opening(Kind.OPENING))
        except OSError as problem:
            raise JournalFailed(folder, problem) from problem
        self.commit = self._commit_told = max(self.base, self.snapshot.index, min(self.commit, self.last))

    @property
    def last(self) -> int:
        return self.base + len(self._terms)

    @property
    def last_term(self) -> int:
        return self._terms[-1] if self._terms else self.base_term

    @property
    def members(self) -> bytes:
        """The newest list of members, committed or not."""
        return self._configs[-1][1] if self._configs else self.snapshot.members

    @property
    def config_index(self) -> int:
        """Where that list stands in the log."""
        return self._configs[-1][0] if self._configs else self.snapshot.index

    @property
    def size(self) -> int:
        """Bytes in all segments."""
        return self._segments.size

    @property
    def torn(self) -> int:
        """Bytes that recovery cut off the end."""
        return self._segments.torn

    @property
    def unsynced(self) -> bool:
        return bool(self._buffer)

    def term_at(self, index: int) -> int | None:
        """None where the journal does not say."""
        if index == self.base:
            return self.base_term
        place = index - self.base - 1
        return self._terms[place] if 0 <= place < len(self._terms) else None

    def entry(self, index: int) -> Entry:
        """An entry behind the base."""
        place = index - self.base - 1
        from_end = len(self._terms) - place
        if from_end <= len(self._recent):
            return self._recent[-from_end], index, self._terms[place]
        return self._segments.read(self._positions[place], self._lengths[place]).payload, index, self._terms[place]

    def batch(self, first: int, limit: int) -> list[Entry]:
        """Entries from there on: at least one, if there is one, and others up to so many bytes."""
        found: list[Entry] = []
        size = 0
        for index in range(max(first, self.base + 1), self.last + 1):
            size += self._lengths[index - self.base - 1] + 24
            if found and size > limit:
                break
            found.append(self.entry(index))
        return found

    def span(self, after: int, following: int) -> int:
        """Bytes of the entries between two indexes, without either."""
        first, end = max(after, self.base) - self.base, following - self.base - 1
        if end <= first:
            return 0
        stop = self._positions[end] if end < len(self._terms) else self._segments.position + self._waiting
        return stop - self._positions[first]

    def sync(self) -> bool:
        """Make everything durable; False if it was already. After a failure nothing is tried again."""
        if self._problem is not None:
            raise self._problem
        if not self._buffer:
            return False
        if self.commit != self._commit_told:
            self._put(Kind.COMMIT, self.commit, 0)
            self._commit_told = self.commit
        data = b"".join(self._buffer)
        try:
            self._segments.write(data)
            self._buffer.clear()
            self._buffered = self._waiting = 0
            self.syncs += 1
            if self._segments.length >= self._sizes.segment:
                self._segments.begin(self._opening(Kind.OPENING))
        except JournalFailed as problem:
            self._problem = problem
            raise
        self._evict()
        return True

    def set_vote(self, term: int, vote: str | None) -> None:
        """Durable when it returns."""
        self.term, self.vote = term, vote
        self._put(Kind.VOTE, 0, term, (vote or "").encode())
        self.sync()

    def trim(self, upto: int, manifest: bytes) -> None:
        """Entries up to there may be forgotten; `manifest` stands for them. Durable when it returns."""
        term = self.term_at(upto)
        if upto <= self.snapshot.index or term is None:
            return
        assert upto <= self.commit, "only what is committed may be trimmed"
        members = self.members_at(upto)
        self.snapshot = Snapshot(upto, term, manifest, members)
        self._configs = [one for one in self._configs if one[0] > upto]
        self._put(Kind.SNAPSHOT, upto, term, self._packed_snapshot())
        self.sync()
        self._drop_old()

    def install(self, snapshot: Snapshot) -> None:
        """Everything is replaced by a leader's snapshot. Durable when it returns; before, the old log holds."""
        self.sync()
        self._forget_all(snapshot.index, snapshot.term)
        self.snapshot, self.commit = snapshot, snapshot.index
        old = len(self._segments.all)
        try:
            self._segments.begin(self._opening(Kind.INSTALL))
            self._segments.drop(old)
        except JournalFailed as problem:
            self._problem = problem
            raise
        self._commit_told = self.commit

    def members_at(self, index: int) -> bytes:
        return next((members for at, members in reversed(self._configs) if at <= index), self.snapshot.members)

    def close(self) -> None:
        self._segments.close()

    # The interface of pysyncobj.journal.Journal. Positions are counted from the base.

    def __len__(self) -> int:
        return len(self._terms) + 1

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> Run: ...

    def __getitem__(self, place: int | slice) -> Entry | Run:
        if isinstance(place, slice):
            return Run(self, range(self.base, self.last + 1)[place])
        if place in (0, -len(self)) or (place == -1 and not self._terms):
            return NOTHING, self.base, self.base_term
        return self.entry(self.last + 1 + place if place < 0 else self.base + place)

    def add(self, command: bytes, idx: int, term: int) -> None:
        assert idx == self.last + 1, f"entry {idx} cannot follow {self.last}"
        position = self._segments.position + self._waiting
        self._put(Kind.ENTRY, idx, term, command)
        self._append(command, idx, term, position)

    def deleteEntriesFrom(self, place: int) -> None:
        first = self.base + place
        if place < 1 or first > self.last:
            return
        self._put(Kind.CUT, first, self.term_at(first - 1) or 0)
        self._cut(first)

    def setRaftCommitIndex(self, index: int) -> None:
        """Written with the next sync: losing it costs nothing but time."""
        self.commit = index

    def getRaftCommitIndex(self) -> int:
        return self.commit

    def setCurrentTerm(self, term: int, votedFor: str | None) -> None:
        self.set_vote(term, votedFor)

    def getCurrentTerm(self) -> int:
        return self.term

    def getVotedForNodeId(self) -> str | None:
        return self.vote

    def onOneSecondTimer(self) -> None:
        return None

    def _destroy(self) -> None:
        self.close()

    def _put(self, kind: int, index: int, term: int, payload: bytes = b"") -> None:
        record = self._segments.record(kind, index, term, payload)
        self._buffer.append(record)
        self._waiting += len(record)

    def _append(self, payload: bytes, index: int, term: int, position: int) -> None:
        self._positions.append(position)
        self._lengths.append(len(payload))
        self._terms.append(term)
        self._recent.append(payload)
        self._recent_bytes += len(payload)
        self._buffered += 1
        if payload.startswith(self._config):
            self._configs.append((index, payload[len(self._config) :]))

    def _cut(self, first: int) -> None:
        keep = first - self.base - 1
        gone = len(self._terms) - keep
        del self._positions[keep:], self._lengths[keep:], self._terms[keep:]
        for _ in range(min(gone, len(self._recent))):
            self._recent_bytes -= len(self._recent.pop())
        self._buffered = max(0, self._buffered - gone)
        self._segments.lower(first - 1, self.last_term)
        self._configs = [one for one in self._configs if one[0] < first]

    def _evict(self) -> None:
        """Payloads that are on the disk leave the memory, oldest first."""
        while self._recent_bytes > self._sizes.cache and len(self._recent) > self._buffered:
            self._recent_bytes -= len(self._recent.popleft())

    def _forget_all(self, index: int, term: int) -> None:
        self._cut(self.base + 1)
        self._configs.clear()
        self.base, self.base_term = index, term

    def _drop_old(self) -> None:
        """Segments whose entries are all trimmed, but for the newest `keep` bytes."""
        segments = self._segments.all
        kept_from = self._segments.position - self._sizes.keep
        count = 0
        while count + 1 < len(segments):
            following = segments[count + 1]
            if following.opening > self.snapshot.index or following.base > kept_from:
                break
            count += 1
        if not count:
            return
        opening, term = segments[count].opening, segments[count].opening_term
        self._segments.drop(count)
        if opening > self.base:
            gone = opening - self.base
            over = len(self._recent) - (len(self._terms) - gone)
            for _ in range(max(0, over)):
                self._recent_bytes -= len(self._recent.popleft())
            del self._positions[:gone], self._lengths[:gone], self._terms[:gone]
            self.base, self.base_term = opening, term

    def _opening(self, kind: Kind) -> list[tuple[int, int, int, bytes]]:
        """What the first records of a segment say, so that those before it can go."""
        return [
            (kind, self.last, self.last_term, b""),
            (Kind.SNAPSHOT, self.snapshot.index, self.snapshot.term, self._packed_snapshot()),
            (Kind.VOTE, 0, self.term, (self.vote or "").encode()),
            (Kind.COMMIT, self.commit, 0, b""),
        ]

    def _packed_snapshot(self) -> bytes:
        packed: bytes = msgpack.packb([self.snapshot.manifest, self.snapshot.members])
        return packed

    def _replay(self, frame: Frame) -> None:
        if frame.kind == Kind.ENTRY:
            if frame.index != self.last + 1:
                raise Damaged("the journal", f"entry {frame.index} follows entry {self.last}")
            position = self._segments.position - (frames.HEAD + len(frame.payload))
            self._append(frame.payload, frame.index, frame.term, position)
            self._buffered = 0
            self._evict()
        elif frame.kind == Kind.OPENING:
            self._open_at(frame)
        elif frame.kind == Kind.INSTALL:
            self._forget_all(frame.index, frame.term)
        elif frame.kind == Kind.VOTE:
            self.term, self.vote = frame.term, frame.payload.decode() or None
        elif frame.kind == Kind.CUT:
            self._cut_at(frame)
        elif frame.kind == Kind.COMMIT:
            self.commit = frame.index
        elif frame.kind == Kind.SNAPSHOT:
            manifest, members = msgpack.unpackb(frame.payload)
            self.snapshot = Snapshot(frame.index, frame.term, manifest, members)
            self._configs = [one for one in self._configs if one[0] > frame.index]

    def _open_at(self, frame: Frame) -> None:
        """The oldest segment that is there says where the log begins; the others only repeat where they are."""
        if len(self._segments.all) == 1:
            self.base, self.base_term = frame.index, frame.term
        elif frame.index != self.last:
            raise Damaged("the journal", f"a segment goes on after entry {frame.index}, the one before has {self.last}")

    def _cut_at(self, frame: Frame) -> None:
        if frame.index > self.base:
            self._cut(frame.index)
        else:
            self._forget_all(frame.index - 1, frame.term)


class Run:
    """Consecutive entries, read one by one: PySyncObj asks for everything behind an index and takes the first few."""

    def __init__(self, journal: Journal, indexes: range) -> None:
        self._journal, self._indexes = journal, indexes

    def __len__(self) -> int:
        return len(self._indexes)

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> list[Entry]: ...

    def __getitem__(self, place: int | slice) -> Entry | list[Entry]:
        if isinstance(place, slice):
            return [self._entry(index) for index in self._indexes[place]]
        return self._entry(self._indexes[place])

    def __iter__(self) -> Iterator[Entry]:
        return map(self._entry, self._indexes)

    def _entry(self, index: int) -> Entry:
        journal = self._journal
        return (NOTHING, index, journal.base_term) if index == journal.base else journal.entry(index)
