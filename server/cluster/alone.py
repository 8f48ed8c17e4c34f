"""The Replicator of a node that is alone: an entry is durable once it is synced into this node's own log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeVar

#: What became of an entry. `superseded`: the base moved, rehearse again with the same ids.
Verdict = Literal["committed", "superseded", "not_leader", "unknown"]

EntryT = TypeVar("EntryT", contravariant=True)
RecordT = TypeVar("RecordT", contravariant=True)


class Appends(Protocol[RecordT, EntryT]):
    """The log as a replicator needs it."""

    def append(self, records: Sequence[RecordT], entry: EntryT | None) -> None: ...


class Alone:
    """Called on the project's worker thread; blocks until the entry is synced. Raises what the log raises."""

    def replicate(self, log: Appends[RecordT, EntryT], records: Sequence[RecordT], entry: EntryT) -> Verdict:
        log.append(records, entry)
        return "committed"
