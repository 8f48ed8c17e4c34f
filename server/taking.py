"""Several entries that the cell has delivered, in one transaction of each file.

What a transaction costs is then paid once for all of them. Nothing is decided here: whatever is not as usual is left to
be taken one by one (`Road`), which says what is wrong. On the project's worker thread.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import apsw

from .model import Commit
from .ports import Arrived
from .sync import wire
from .sync.apply import Apply, Mismatch, data_at_fault
from .sync.entry import Entry, Record, decode
from .sync.log import Log, Position

logger = logging.getLogger(__name__)

#: Records of one transaction, and their bytes.
MOST = 64
MOST_BYTES = 4 << 20


class Ready(NamedTuple):
    record: Arrived
    entry: Entry
    commits: tuple[Commit, ...]


class Reached(NamedTuple):
    """Where both files are after an entry."""

    position: Position
    rows: bytes


def ready(records: Sequence[Arrived]) -> list[Ready]:
    """Those at the front that only change rows, decoded."""
    found: list[Ready] = []
    size = 0
    for record in records:
        size += len(record.body)
        if record.kind != "commits" or (found and size > MOST_BYTES):
            break
        with data_at_fault(f"entry {record.seq} cannot be read"):
            entry = decode(record.body)
            commits = tuple([wire.decode_commit(commit.json) for commit in entry.commits])
        if any(commit.contract is not None for commit in commits):
            break
        found.append(Ready(record, entry, commits))
    return found


def take(log: Log, apply: Apply, wanted: Sequence[Ready]) -> list[Reached]:
    """Write what fits on both files, which are level; what has been reached, in order. The log is committed first.

    Raises Mismatch, apsw.Error; then nothing of it is in either file, or nobody can know. Where only data.db had no
    room, it stays behind.
    """
    reached: list[Reached] = []
    try:
        with data_at_fault("entries cannot be taken"), apply.together(), log.together():
            for record, entry, commits in wanted:
                if not record.fits(log.position):
                    break
                if record.rows and record.rows != _rows(apply):
                    raise Mismatch(f"the rows before entry {record.seq} are not those of the cell")
                log.append((Record(record.seq, record.kind, record.version, record.body),), entry)
                apply.apply(entry, commits, log.position)
                reached.append(Reached(log.position, _rows(apply)))
    except apsw.FullError as problem:
        if not reached or log.position != reached[-1].position:
            raise
        logger.warning("project %s: data.db stays behind its log: %s", log.project, problem)
    return reached


def _rows(apply: Apply) -> bytes:
    return apply.row_digest.to_bytes(16, "big")
