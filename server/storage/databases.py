"""The SQLite files of one project, and the connections that are open on them."""

from __future__ import annotations

import errno
import json
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import apsw

from .developing import Since
from .files import Files, Role
from .images import FOLDER
from .kept import Kept
from .overlay import NOWHERE, Mark, Overlay, Walked, WalPages

SETTLE_MS = 200
#: The condition lets SQLite take the newest from the index instead of reading the whole log.
NEWEST = "SELECT coalesce(max(version), 0) FROM entries WHERE version IS NOT NULL"


class Databases:
    """`data.db` and `log.db` in a project's folder. Connections it gives out for writing belong to the worker."""

    def __init__(self, files: Files, folder: Path, project: str) -> None:
        self._files = files
        self.project = project
        self.data_path = folder / "data.db"
        self.log_path = folder / "log.db"
        self._open: list[apsw.Connection] = []
        self._writer: apsw.Connection | None = None
        self._wal_pages = 0
        #: Pages changed since the newest image that are not in the write-ahead log any more.
        self.kept = Kept(files, folder / FOLDER / "changed")
        #: Where in the write-ahead log the newest image was taken; what is before is in it.
        self._published_at = NOWHERE
        self._kept_up_to = NOWHERE
        #: Of the write-ahead log, by whoever makes images: one at a time.
        self._walked = Walked()
        #: Counts the files that have been data.db; a reader of an earlier one must be opened again.
        self.generation = 0

    def data(self, role: Role) -> apsw.Connection:
        """A new connection to data.db; who asks for `rehearse` or `read` closes it."""
        return self._files.data(self.data_path, role)

    def image(self, vfs: str, name: str) -> apsw.Connection:
        """A new connection to an image, as `Files.image`; who asks closes it."""
        return self._files.image(vfs, name)

    def writer(self) -> apsw.Connection:
        """The one connection that applies; stays open until `close`."""
        connection = self._files.data(self.data_path, "apply")
        connection.set_wal_hook(self._grown)
        self._writer, self._walked = connection, Walked()
        return connection

    def log(self) -> apsw.Connection:
        connection = self._files.log(self.log_path)
        self._open.append(connection)
        return connection

    def log_reader(self) -> apsw.Connection:
        """A new read-only connection to log.db; who asks closes it."""
        return self._files.log(self.log_path, read_only=True)

    def wal_pages(self) -> int:
        return self._wal_pages

    def contract(self) -> dict[str, Any]:
        """The contract document that the database itself holds."""
        connection = self.data("read")
        try:
            row: Any = connection.execute('SELECT contract FROM "_sharelite" WHERE id=2').fetchone()
        finally:
            connection.close()
        document: dict[str, Any] = json.loads(row[0])
        return document

    def size(self) -> int:
        """Bytes of data.db and its write-ahead log."""
        beside = self.data_path.with_name(self.data_path.name + "-wal")
        return sum(path.stat().st_size for path in (self.data_path, beside) if path.exists())

    def version(self) -> int:
        """The version that the log has reached; 0: none yet."""
        connection = self.log_reader()
        try:
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name='entries'").fetchone() is None:
                return 0
            row: Any = connection.execute(NEWEST).fetchone()
        finally:
            connection.close()
        version: int = row[0]
        return version

    def resync(self) -> None:
        """Before the first connection: write again what the write-ahead logs hold, and sync it.

        After a sync that failed the system still shows what the disk may not have, and the next sync says nothing of
        it. What recovery takes for written has to be written.
        """
        for path in (self.log_path, self.data_path):
            self._files.write_again(path.with_name(path.name + "-wal"))

    def checkpoint(self) -> None:
        """What is left counts again with the next commit. Raises apsw errors."""
        self._wal_pages = 0
        if self._writer is not None:
            self._keep_pages()
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def sync(self) -> None:
        """Make both files durable as they are; an earlier checkpoint has synced what it moved. Between turns."""
        for path in (self.log_path, self.data_path):
            self._files.sync_file(path.with_name(path.name + "-wal"))

    def set_aside(self, seq: int) -> Path:
        """Put data.db away under another name, where it can be looked at; the next writer makes a new one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._published_at = NOWHERE
        self.kept.forget()
        self.generation += 1
        aside = self.data_path.with_name(f"data.db.damaged-{seq}")
        for ending in ("", "-wal", "-shm"):
            old = self.data_path.with_name(self.data_path.name + ending)
            if old.exists():
                old.replace(aside.with_name(aside.name + ending))
        self._files.sync_folder(self.data_path.parent)
        return aside

    def base_path(self, base: str) -> Path:
        """Where the database lies that the log goes on from."""
        return self.data_path.with_name(f"base-{base}.db")

    def lay(self, base: str) -> None:
        """Make data.db a copy of the base; whatever was there is gone. Raises Damaged where the base is not what its
        hash says, OSError."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self.generation += 1
        for ending in ("-wal", "-shm", ""):
            self.data_path.with_name(self.data_path.name + ending).unlink(missing_ok=True)
        self._files.sync_folder(self.data_path.parent)
        self._files.copy(self.base_path(base), self.data_path, base)

    def settle(self) -> None:
        """Before a clean close: empty the write-ahead logs, so that the next opening does not read them again. A reader
        who is still there keeps what he needs; then that is left for the next time."""
        if self._writer is not None:
            self._keep_pages()
        for connection in [*self._open, *([self._writer] if self._writer else [])]:
            connection.set_busy_timeout(SETTLE_MS)
            with suppress(apsw.BusyError):
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def overlay(self, seq: int) -> Overlay:
        """The database right after the writer's last commit, which took it to this seq. The caller has begun a read
        transaction before, and closes it after; one at a time is read."""
        return Overlay(self._files, self.data_path, self._frames(), seq, self._walked)

    def published(self, seq: int, mark: Mark) -> None:
        """The image of a seq is durable, and was taken at this place of the write-ahead log. Raises OSError."""
        self.kept.start(seq)
        self._published_at = self._kept_up_to = mark

    def since(self, seq: int, size: int) -> Since | None:
        """What may differ from the image of a seq, which has so many bytes; None: anything."""
        if self.kept.base is None or self.kept.base > seq:
            return None
        return Since(size, list(self.kept.pages), *self._published_at)

    def close(self) -> None:
        """Every connection, also behind one that cannot be closed well. Raises apsw errors."""
        with ExitStack() as stack:
            for connection in [*self._open, *([self._writer] if self._writer else [])]:
                stack.callback(connection.close)
            self._open, self._writer = [], None

    def _keep_pages(self) -> None:
        """Note what the checkpoint to come takes out of the write-ahead log. Raises apsw errors: then it must not
        come."""
        if self.kept.base is None or not (frames := self._frames()):
            return
        try:
            wal = WalPages(self.data_path.with_name(self.data_path.name + "-wal"), frames)
            try:
                self.kept.add(wal.since(self._kept_up_to))
                self._kept_up_to = wal.mark
            finally:
                wal.close()
        except OSError as problem:
            kind = apsw.FullError if problem.errno in (errno.ENOSPC, errno.EDQUOT) else apsw.IOError
            raise kind(f"{problem.filename}: {problem.strerror}") from problem

    def _frames(self) -> int:
        """Committed frames of the write-ahead log, by SQLite's own word; none if all are in the main file: a reader
        then reads only that, and the next writer starts the log over. Nothing is moved."""
        assert self._writer is not None, "writer() comes first"
        frames, moved = self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        return 0 if frames == moved else frames

    def _grown(self, connection: apsw.Connection, database: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK
