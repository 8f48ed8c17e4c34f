"""A disk that remembers every write and every sync, and what it may hold after the power went (SPEC L1).

Before a sync nothing is promised: each write since then is there, or not, or torn at a 512-byte sector.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any, Literal, NamedTuple

import apsw

SECTOR = 512


class Step(NamedTuple):
    kind: Literal["write", "truncate", "sync", "delete"]
    path: str
    offset: int = 0
    data: bytes = b""


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._path = str(name.filename()) if isinstance(name, apsw.URIFilename) else str(name or "")

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.note(Step("write", self._path, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._disk.note(Step("truncate", self._path, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self._disk.syncing(self._path)
        super().xSync(flags)
        self._disk.note(Step("sync", self._path))


class Disk(apsw.VFS):
    """Registered as a SQLite VFS under its name; real files underneath."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.steps: list[Step] = []

    def note(self, step: Step) -> None:
        if step.path:
            self.steps.append(step)

    def syncing(self, path: str) -> None:
        """Called before each sync; a disk that fails raises here."""

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)

    def xDelete(self, name: str, sync_folder: bool) -> None:
        super().xDelete(name, sync_folder)
        self.note(Step("delete", name))


def image(steps: list[Step], chance: random.Random) -> dict[str, bytes]:
    """The files as the disk may hold them if the power went right after these steps."""
    files: dict[str, bytearray] = {}
    loose: dict[str, list[Step]] = {}
    for step in steps:
        if step.kind == "sync":
            for earlier in loose.pop(step.path, []):
                _do(files, earlier)
        elif step.kind == "delete":
            files.pop(step.path, None)
            loose.pop(step.path, None)
        else:
            loose.setdefault(step.path, []).append(step)
    lossy = chance.random() < 0.8
    for waiting in loose.values():
        for step in waiting:
            _survive(files, step, chance if lossy else None)
    return {path: bytes(content) for path, content in files.items()}


def put(files: dict[str, bytes], source: Path, target: Path) -> None:
    """Lay an image down in another folder."""
    for path, content in files.items():
        place = target / os.path.relpath(path, source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def _survive(files: dict[str, bytearray], step: Step, chance: random.Random | None) -> None:
    if chance is None:
        return _do(files, step)
    if step.kind == "truncate":
        return _do(files, step) if chance.random() < 0.5 else None
    fate = chance.random()
    if fate < 0.4:
        _do(files, step)
    elif fate < 0.7:
        for start in range(0, len(step.data), SECTOR):
            if chance.random() < 0.5:
                _do(files, Step("write", step.path, step.offset + start, step.data[start : start + SECTOR]))
    return None


def _do(files: dict[str, bytearray], step: Step) -> None:
    content = files.setdefault(step.path, bytearray())
    if step.kind == "truncate":
        del content[step.offset :]
        return
    if len(content) < step.offset:
        content.extend(bytes(step.offset - len(content)))
    content[step.offset : step.offset + len(step.data)] = step.data
