"""The seam through which the journal touches files. Tests put a body here that loses unsynced bytes, tears sectors and
fails the n-th operation.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Protocol

if sys.platform == "darwin":
    import fcntl


class DiskFile(Protocol):
    """One open file. What `write` was given is durable after the next `sync` returned, not before."""

    def size(self) -> int: ...
    def read(self, offset: int, size: int) -> bytes: ...
    def write(self, offset: int, data: bytes) -> None: ...
    def sync(self) -> None: ...
    def close(self) -> None: ...


class Disk(Protocol):
    """A folder's files. Names are durable after `sync_folder`."""

    def open(self, path: Path) -> DiskFile: ...
    def make_folder(self, path: Path) -> None: ...
    def names(self, folder: Path) -> list[str]: ...
    def rename(self, old: Path, new: Path) -> None: ...
    def remove(self, path: Path) -> None: ...
    def sync_folder(self, folder: Path) -> None: ...


class SystemFile:
    """A file of the operating system."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        self._handle = os.open(path, flags, 0o600)

    def size(self) -> int:
        return os.fstat(self._handle).st_size

    def read(self, offset: int, size: int) -> bytes:
        parts = []
        while size and (part := _read_at(self._handle, size, offset)):
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            done = _write_at(self._handle, rest, offset)
            offset, rest = offset + done, rest[done:]

    def sync(self) -> None:
        _sync(self._handle)

    def close(self) -> None:
        os.close(self._handle)


class SystemDisk:
    """The operating system's files."""

    def open(self, path: Path) -> DiskFile:
        return SystemFile(path)

    def make_folder(self, path: Path) -> None:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            self.sync_folder(folder.parent)

    def names(self, folder: Path) -> list[str]:
        return sorted(os.listdir(folder))

    def rename(self, old: Path, new: Path) -> None:
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        os.remove(path)

    def sync_folder(self, folder: Path) -> None:
        """Windows has no such call and needs none."""
        if sys.platform == "win32":
            return
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sync(handle: int) -> None:
    """Linux: the preallocated file has its size already, so fdatasync is enough. macOS: fsync leaves the bytes in the
    drive's cache, F_FULLFSYNC does not."""
    if sys.platform == "darwin":
        fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(handle)
    else:
        os.fsync(handle)


def _read_at(handle: int, size: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(handle, size, offset)
    os.lseek(handle, offset, os.SEEK_SET)
    return os.read(handle, size)


def _write_at(handle: int, data: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(handle, data, offset)
    os.lseek(handle, offset, os.SEEK_SET)
    return os.write(handle, data)
