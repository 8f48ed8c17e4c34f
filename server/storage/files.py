"""The seam through which every file of a node is touched: a VFS name for SQLite, a few verbs for the rest.

Tests put a body here that loses unsynced bytes, tears sectors and fails the n-th operation.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import apsw

from ..errors import Damaged

#: What a connection is for. `rehearse`: foreign keys and stored triggers on; `apply`: neither, and no CHECKs;
#: `read`: read only.
Role = Literal["rehearse", "apply", "read"]

PAGE_SIZE = 4096
SYNCS_AT_ONCE = 8
#: Bytes that are copied at a time.
PIECE = 1 << 20
#: Reasons: design 13. 100 columns and trigger depth 10, often advised, break ordinary contracts and cascades.
LIMITS = {
    apsw.SQLITE_LIMIT_LENGTH: 64 << 20,
    apsw.SQLITE_LIMIT_SQL_LENGTH: 4 << 20,
    apsw.SQLITE_LIMIT_COLUMN: 2000,
    apsw.SQLITE_LIMIT_TRIGGER_DEPTH: 200,
    apsw.SQLITE_LIMIT_VDBE_OP: 250_000,
    apsw.SQLITE_LIMIT_ATTACHED: 0,
}


class RandomAccess:
    """A file opened through SQLite's own layer, for reading."""

    def __init__(self, vfs: str | None, path: Path) -> None:
        flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
        self._file = apsw.VFSFile(vfs or "", str(path), flags)

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes: fewer at the end of the file."""
        return self._file.xRead(length, offset)

    def size(self) -> int:
        return self._file.xFileSize()

    def close(self) -> None:
        self._file.xClose()


class Files:
    """The files of a node. `vfs`: the name of a registered SQLite VFS, None for the system's own. `in_cell`: the cell's
    journal is the durability point, so commits of `log.db` are not synced one by one (design 5)."""

    def __init__(self, vfs: str | None = None, *, in_cell: bool = False) -> None:
        self._vfs = vfs
        self._in_cell = in_cell

    def data(self, path: Path, role: Role) -> apsw.Connection:
        """Open `data.db`; the file is made, in WAL mode, by the first connection that may write."""
        pragmas: list[tuple[str, object, object]] = [
            ("secure_delete", "ON", 1),
            ("wal_autocheckpoint", 0, 0),
            ("synchronous", "NORMAL", 1),
            ("cell_size_check", "ON", 1),
            ("temp_store", "MEMORY", 2),
            ("busy_timeout", 10_000, 10_000),
            ("foreign_keys", "ON" if role == "rehearse" else "OFF", int(role == "rehearse")),
            ("recursive_triggers", "ON", 1),
            ("ignore_check_constraints", "ON" if role == "apply" else "OFF", int(role == "apply")),
        ]
        if role == "rehearse":
            # What does not fit into the cache would go to the write-ahead log and could start it over, which the writer
            # would take for somebody else's commit.
            pragmas.append(("cache_spill", "OFF", 0))
        if role == "read":
            pragmas.append(("query_only", "ON", 1))
        connection = self._open(path, read_only=role == "read")
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, int(role == "rehearse"))
        return self._set(connection, path, pragmas, create=role != "read")

    def log(self, path: Path, *, read_only: bool = False) -> apsw.Connection:
        """Open `log.db`: its commit is the durability point of a node that is alone."""
        pragmas: list[tuple[str, object, object]] = [
            ("wal_autocheckpoint", 1000, 1000),
            ("synchronous", "NORMAL", 1) if self._in_cell else ("synchronous", "FULL", 2),
            ("cell_size_check", "ON", 1),
            ("temp_store", "MEMORY", 2),
            ("busy_timeout", 10_000, 10_000),
        ]
        if sys.platform == "darwin":
            pragmas += [("fullfsync", "ON", 1), ("checkpoint_fullfsync", "ON", 1)]
        connection = self._open(path, read_only=read_only)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        return self._set(connection, path, pragmas, create=not read_only)

    def image(self, vfs: str, name: str) -> apsw.Connection:
        """Open an image, which is the file of this name of a VFS of its own, for reading."""
        connection = self._opened(name, apsw.SQLITE_OPEN_READONLY, vfs)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        for pragma, value in (("cell_size_check", 1), ("temp_store", 2), ("query_only", 1)):
            connection.pragma(pragma, value)
        return connection

    def _open(self, path: Path, *, read_only: bool) -> apsw.Connection:
        flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        return self._opened(str(path), flags, self._vfs)

    def _opened(self, name: str, flags: int, vfs: str | None) -> apsw.Connection:
        connection = apsw.Connection(name, flags=flags, vfs=vfs, statementcachesize=400)
        for limit, value in LIMITS.items():
            connection.limit(limit, value)
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
        return connection

    def _set(
        self, connection: apsw.Connection, path: Path, pragmas: list[tuple[str, object, object]], *, create: bool
    ) -> apsw.Connection:
        """One pragma a call, each read back: several in one text stop at the first that returns a row (design 13)."""
        if create:
            connection.execute(f"PRAGMA page_size={PAGE_SIZE}").fetchall()
            connection.execute("PRAGMA auto_vacuum=NONE").fetchall()
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
        pragmas = [("journal_mode", None, "wal"), ("page_size", None, PAGE_SIZE), ("auto_vacuum", None, 0), *pragmas]
        for name, value, expected in pragmas:
            if value is not None:
                connection.execute(f"PRAGMA {name}={value}").fetchall()
            if (found := connection.pragma(name)) != expected:
                connection.close()
                raise Damaged(str(path), f"pragma {name} is {found!r}, it must be {expected!r}")
        return connection

    def make_folder(self, path: Path) -> None:
        """Make a folder and its parents, durably."""
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            self.sync_folder(folder.parent)

    def main_file(self, path: Path) -> RandomAccess:
        """A database's main file for reading beside SQLite: closing an ordinary handle would end SQLite's own locks."""
        return RandomAccess(self._vfs, path)

    def write(self, path: Path, content: bytes) -> None:
        """Replace a whole small file: after a crash it holds either the old bytes or the new ones."""
        beside = path.with_name(path.name + ".new")
        self.make(beside, content)
        self.sync(beside)
        self.rename(beside, path)
        self.sync_folder(path.parent)

    def append(self, path: Path, content: bytes) -> None:
        """Lengthen a file and sync it; after a crash there may be a part of what came last."""
        with open(path, "ab", buffering=0) as file:
            file.write(content)
            os.fsync(file.fileno())

    def make(self, path: Path, content: bytes) -> None:
        """Write a new file; durable only after `sync`, its name only after `sync_folder`."""
        with open(path, "wb", buffering=0) as file:
            file.write(content)

    def sync(self, path: Path) -> None:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def sync_all(self, paths: Collection[Path]) -> None:
        """`sync` for several at once: the disk takes together what comes together (12 files: 62 ms one by one, 9 so,
        measured). When it returns or raises, none is on its way any more."""
        with ThreadPoolExecutor(min(SYNCS_AT_ONCE, len(paths)) or 1) as pool:
            for done in [pool.submit(self.sync, path) for path in paths]:
                done.result()

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name; what had that name is gone. Durable after `sync_folder`."""
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        """Remove a file; none there is fine. Durable at once."""
        if path.exists():
            path.unlink()
            self.sync_folder(path.parent)

    def unlink(self, path: Path) -> None:
        """Remove a file, some time: after a crash it may be there again."""
        path.unlink(missing_ok=True)

    def write_again(self, path: Path) -> None:
        """Write the bytes of a file over themselves and sync them; none there, or an empty one, is fine."""
        if not path.exists() or not path.stat().st_size:
            return
        with open(path, "r+b", buffering=0) as file:
            while piece := file.read(PIECE):
                file.seek(-len(piece), os.SEEK_CUR)
                file.write(piece)
            os.fsync(file.fileno())

    def read(self, path: Path) -> bytes | None:
        """The bytes of a small file, None where there is none."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def copy(self, source: Path, target: Path, digest: str) -> None:
        """Copy a whole file whose SHA-256 is known, durably: under its name it is complete. Raises Damaged."""
        beside = target.with_name(target.name + ".new")
        found = hashlib.sha256()
        if not source.exists():
            raise Damaged(str(source), "is not there, and the log goes on from it")
        with open(source, "rb") as read, open(beside, "wb") as written:
            while piece := read.read(PIECE):
                found.update(piece)
                written.write(piece)
            written.flush()
            os.fsync(written.fileno())
        if found.hexdigest() != digest:
            beside.unlink()
            raise Damaged(str(source), f"holds bytes of hash {found.hexdigest()}, not {digest}")
        os.replace(beside, target)
        self.sync_folder(target.parent)

    def move(self, source: Path, target: Path) -> None:
        """Give a file that is synced another place on the same disk, durably."""
        os.replace(source, target)
        self.sync_folder(target.parent)

    def remove_folder(self, path: Path) -> None:
        """Remove a folder with all that is in it; none there is fine."""
        if path.exists():
            shutil.rmtree(path)
            self.sync_folder(path.parent)

    def folders(self, path: Path) -> list[str]:
        return sorted(entry.name for entry in path.iterdir() if entry.is_dir()) if path.exists() else []

    def sync_file(self, path: Path) -> None:
        """Make what was written to a file durable, whoever wrote it; none there is fine."""
        if path.exists():
            handle = os.open(path, os.O_RDWR)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def sync_folder(self, path: Path) -> None:
        """Make names in a folder durable. Windows has no such call and needs none."""
        if os.name == "nt":
            return
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
