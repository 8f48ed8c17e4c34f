"""What each project looked like when it was last closed, so that a list of thousands opens none of them.

A cache beside the truth: a project that is open, or was when the process died, is not in it, and if its file cannot be
read it is made anew.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import apsw
from msgspec import Struct

from ..errors import Damaged
from .files import Files

logger = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS seen(
  project TEXT PRIMARY KEY, version INTEGER NOT NULL, size INTEGER NOT NULL, updated INTEGER NOT NULL
) WITHOUT ROWID, STRICT
"""
ALL = "SELECT project, version, size, updated FROM seen"
KEEP = "INSERT OR REPLACE INTO seen(project, version, size, updated) VALUES(?,?,?,?)"
FORGET = "DELETE FROM seen WHERE project=?"


class Look(Struct, frozen=True):
    """Version of a project, bytes of its database, and when its last commit was made, in ms since 1970."""

    version: int
    size: int
    updated: int


class Seen:
    """Any thread; each call that changes something is one synced write."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files, self._path = files, path
        self._lock = threading.Lock()
        self._looks: dict[str, Look] = {}
        self._connection: apsw.Connection | None = None

    def open(self) -> None:
        """Comes first."""
        with self._lock:
            self._connection = _opened(self._files, self._path)
            rows: Any = self._connection.execute(ALL)
            self._looks = {project: Look(*look) for project, *look in rows}

    def get(self, project: str) -> Look | None:
        """None: it is open, or nobody knows; then it has to be opened."""
        return self._looks.get(project)

    def keep(self, project: str, look: Look) -> None:
        """Said once the project is closed."""
        with self._lock:
            self._run(KEEP, project, look.version, look.size, look.updated)
            self._looks[project] = look

    def forget(self, project: str) -> None:
        """Said before the project is opened or removed."""
        with self._lock:
            if project in self._looks:
                self._run(FORGET, project)
                del self._looks[project]

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _run(self, sql: str, *params: str | int) -> None:
        assert self._connection is not None, "open() comes first"
        self._connection.execute(sql, params)


def _opened(files: Files, path: Path) -> apsw.Connection:
    try:
        return _made(files, path)
    except (apsw.Error, Damaged) as problem:
        logger.warning("%s is made anew: %s", path, problem)
        for ending in ("", "-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        return _made(files, path)


def _made(files: Files, path: Path) -> apsw.Connection:
    connection = files.log(path)
    try:
        connection.execute(SCHEMA)
        connection.execute(ALL).fetchall()
    except apsw.Error:
        connection.close()
        raise
    return connection
