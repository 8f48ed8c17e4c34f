"""A disk that remembers every write and every sync, and what it may hold after the power went (SPEC L1).

Before a sync nothing is promised: each write since then is there, or not, or torn at a 512-byte sector.
"""

from __future__ import annotations

import os
import random
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, NamedTuple

import apsw

from sharelite.storage.files import Files

SECTOR = 512


class Step(NamedTuple):
    kind: Literal["write", "truncate", "sync", "delete", "make", "append", "rename", "unlink", "names"]
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


class DiskFiles(Files):
    """The seam on a remembering disk: the files that are not SQLite's pass it too."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.disk = Disk(name)

    def make(self, path: Path, content: bytes) -> None:
        self.disk.note(Step("make", str(path), 0, content))
        super().make(path, content)

    def append(self, path: Path, content: bytes) -> None:
        size = path.stat().st_size if path.exists() else 0
        self.disk.note(Step("append", str(path), size, content))
        super().append(path, content)
        self.disk.note(Step("sync", str(path)))

    def sync(self, path: Path) -> None:
        super().sync(path)
        self.disk.note(Step("sync", str(path)))

    def sync_all(self, paths: Collection[Path]) -> None:
        """One after the other, so that steps have an order."""
        for path in paths:
            self.sync(path)

    def rename(self, old: Path, new: Path) -> None:
        self.disk.note(Step("rename", str(old), 0, str(new).encode()))
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self.disk.note(Step("unlink", str(path)))
        super().unlink(path)

    def remove(self, path: Path) -> None:
        self.unlink(path)
        self.sync_folder(path.parent)

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self.disk.note(Step("names", str(path)))


class _Names:
    """What the folders say: now, and after the power went. Changes of names reach the disk in their order."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self.durable: dict[str, str] = {}
        self._pending: list[tuple[str, str | None]] = []
        self._made = 0

    def file(self, path: str, *, durable: bool) -> str:
        """The file of a name, made if there is none; SQLite's have their names for good."""
        if path not in self.now:
            self._made += 1
            self.now[path] = f"{self._made}"
            if durable:
                self.durable[path] = self.now[path]
            else:
                self._pending.append((path, self.now[path]))
        return self.now[path]

    def rename(self, old: str, new: str) -> None:
        self.now[new] = self.now.pop(old)
        self._pending += [(new, self.now[new]), (old, None)]

    def drop(self, path: str, *, durable: bool) -> None:
        self.now.pop(path, None)
        self._pending.append((path, None))
        if durable:
            self._settle([(path, None)])

    def sync(self, folder: str) -> None:
        self._settle([change for change in self._pending if os.path.dirname(change[0]) == folder])
        self._pending = [change for change in self._pending if os.path.dirname(change[0]) != folder]

    def crash(self, chance: random.Random) -> dict[str, str]:
        self._settle(self._pending[: chance.randint(0, len(self._pending))])
        return self.durable

    def _settle(self, changes: list[tuple[str, str | None]]) -> None:
        for path, file in changes:
            if file is None:
                self.durable.pop(path, None)
            else:
                self.durable[path] = file


def image(steps: list[Step], chance: random.Random) -> dict[str, bytes]:
    """The files as the disk may hold them if the power went right after these steps."""
    files: dict[str, bytearray] = {}
    loose: dict[str, list[Step]] = {}
    names = _Names()
    for step in steps:
        if step.kind == "names":
            names.sync(step.path)
        elif step.kind == "rename":
            names.rename(step.path, step.data.decode())
        elif step.kind in ("delete", "unlink"):
            names.drop(step.path, durable=step.kind == "delete")
        else:
            file = names.file(step.path, durable=step.kind not in ("make", "append"))
            if step.kind == "sync":
                for earlier in loose.pop(file, []):
                    _do(files, earlier)
            elif step.kind == "make":
                loose.setdefault(file, []).extend([Step("truncate", file), Step("write", file, 0, step.data)])
            else:
                kind = "write" if step.kind == "append" else step.kind
                loose.setdefault(file, []).append(Step(kind, file, step.offset, step.data))
    lossy = chance.random() < 0.8
    for waiting in loose.values():
        for step in waiting:
            _survive(files, step, chance if lossy else None)
    left = names.crash(chance) if lossy else names.now
    return {path: bytes(files.get(file, b"")) for path, file in left.items()}


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
