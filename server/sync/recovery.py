"""Bringing `data.db` level with its log: at start, and after it was found not to match (SPEC L)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Protocol

import apsw

from ..errors import Damaged
from . import wire
from .apply import Apply, Mismatch, create, data_at_fault
from .log import Log, Position

logger = logging.getLogger(__name__)


class Writable(Protocol):
    """The database files as recovery needs them."""

    @property
    def project(self) -> str: ...
    def writer(self) -> apsw.Connection: ...
    def lay(self, base: str) -> None: ...
    def set_aside(self, seq: int) -> Path: ...


def bring_forward(databases: Writable, log: Log, ahead: bool = False) -> Apply:
    """Open data.db and apply what the log has beyond it. A database that the log does not lead to is made anew.

    `ahead`: it may be, because the log follows from a journal (in a cell); whether it was on the way is seen then.
    """
    try:
        apply = _opened(databases, log)
        if ahead and apply.position.seq > log.position.seq:
            return apply
        if apply.position.seq > log.position.seq or not _on_the_way(apply.position, log):
            raise Mismatch(
                f"data.db is at seq {apply.position.seq}, which is not on the way of a log at {log.position.seq}"
            )
        replay(apply, log)
        return apply
    except (Mismatch, apsw.CorruptError, apsw.NotADBError, Damaged) as problem:
        return rebuild(databases, log, str(problem))


def rebuild(databases: Writable, log: Log, why: str) -> Apply:
    """Set data.db aside and make it from the whole log. Raises Mismatch if even that does not fit together."""
    aside = databases.set_aside(log.position.seq)
    logger.error(
        "project %s: data.db does not match its log (%s); kept as %s, rebuilding", databases.project, why, aside.name
    )
    apply = _opened(databases, log)
    replay(apply, log)
    return apply


def _opened(databases: Writable, log: Log) -> Apply:
    apply = _begun(databases, log)
    if apply.position.seq == 0 and (base := log.base()) is not None:
        databases.lay(base.hash)
        apply = _begun(databases, log)
    return apply


def _begun(databases: Writable, log: Log) -> Apply:
    connection = databases.writer()
    create(connection, log.project, log.epoch)
    return Apply(connection, log.project, log.epoch)


def _on_the_way(position: Position, log: Log) -> bool:
    return position.seq == 0 or log.digest_at(position.seq) == position.digest


def replay(apply: Apply, log: Log) -> None:
    """Apply what the log has beyond the database. Raises Mismatch."""
    with data_at_fault("the log cannot be read"):
        for to, entry in log.entries(apply.position.seq):
            if entry is None:
                apply.move(to)
            else:
                apply.apply(entry, [wire.decode_commit(commit.json) for commit in entry.commits], to)
