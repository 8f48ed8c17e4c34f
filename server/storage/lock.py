"""One process per data directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ..errors import ShareliteError


class DirectoryInUse(ShareliteError):
    code = "directory_in_use"

    def __init__(self, path: Path, owner: str) -> None:
        self.path, self.owner = path, owner

    def __str__(self) -> str:
        by = f" (process {self.owner})" if self.owner else ""
        return f"{self.path} is in use by another server{by}; stop it, or choose another directory"


class Lock:
    """Held from `with` to the end of it; the system lets go of it when the process dies, however it dies."""

    def __init__(self, data: Path) -> None:
        self._path = data / "lock"
        self._file = -1

    def __enter__(self) -> Lock:
        """Make the directory if it is not there, and lock it. Raises DirectoryInUse, OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._file, 20).decode("ascii", "replace").strip()
            os.close(self._file)
            raise DirectoryInUse(self._path.parent, owner) from None
        os.truncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
