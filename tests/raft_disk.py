"""A disk in memory for journals: it loses what was not synced, tears sectors, and fails the n-th operation."""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512


@dataclass(slots=True)
class Content:
    """`now` is what a process sees, `kept` what surely survives; `loose` are the writes between them."""

    now: bytearray = field(default_factory=bytearray)
    kept: bytearray = field(default_factory=bytearray)
    loose: list[tuple[int, bytes]] = field(default_factory=list)


class MemoryFile:
    def __init__(self, disk: MemoryDisk, content: Content) -> None:
        self._disk, self._content = disk, content

    def size(self) -> int:
        return len(self._content.now)

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self._content.now[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        self._disk.step("write")
        put(self._content.now, offset, data)
        self._content.loose.append((offset, bytes(data)))

    def sync(self) -> None:
        self._disk.step("sync")
        if not self._disk.honest:
            return
        for offset, data in self._content.loose:
            put(self._content.kept, offset, data)
        self._content.loose.clear()

    def close(self) -> None:
        return None


class MemoryDisk:
    """`honest`: whether a sync does anything. `fail_at`: the operation with this number, and all after it, raise; what
    changes something counts as one."""

    def __init__(self, honest: bool = True) -> None:
        self.honest = honest
        self.files: dict[str, Content] = {}
        self._kept_names: dict[str, Content] = {}
        self.steps = 0
        self.fail_at: int | None = None
        self.syncs = 0

    def open(self, path: Path) -> MemoryFile:
        content = self.files.get(str(path))
        if content is None:
            self.step("create")
            content = self.files[str(path)] = Content()
        return MemoryFile(self, content)

    def make_folder(self, path: Path) -> None:
        return None

    def names(self, folder: Path) -> list[str]:
        return sorted(Path(name).name for name in self.files if Path(name).parent == folder)

    def rename(self, old: Path, new: Path) -> None:
        self.step("rename")
        self.files[str(new)] = self.files.pop(str(old))

    def remove(self, path: Path) -> None:
        self.step("remove")
        del self.files[str(path)]

    def sync_folder(self, folder: Path) -> None:
        self.step("sync")
        self._kept_names = dict(self.files)

    def step(self, kind: str) -> None:
        self.steps += 1
        self.syncs += kind == "sync"
        if self.fail_at is not None and self.steps >= self.fail_at:
            raise OSError(errno.ENOSPC, "No space left on device")

    def lose_power(self, chance: random.Random) -> None:
        """Names and bytes since their last sync are there, or not, or torn at a sector."""
        names = dict(self.files) if chance.random() < 0.5 else dict(self._kept_names)
        for content in {id(one): one for one in [*names.values(), *self._kept_names.values()]}.values():
            everything = chance.random() < 0.2
            for offset, data in content.loose:
                _survive(content.kept, offset, data, chance, everything)
            content.loose.clear()
            content.now = bytearray(content.kept)
        self.files, self._kept_names = names, dict(names)


def put(target: bytearray, offset: int, data: bytes) -> None:
    if len(target) < offset:
        target.extend(bytes(offset - len(target)))
    target[offset : offset + len(data)] = data


def _survive(kept: bytearray, offset: int, data: bytes, chance: random.Random, everything: bool) -> None:
    fate = 0.0 if everything else chance.random()
    if fate < 0.4:
        put(kept, offset, data)
    elif fate < 0.7:
        end = 0
        while end < len(data):
            start, end = end, min(len(data), (offset + end) // SECTOR * SECTOR + SECTOR - offset)
            if chance.random() < 0.5:
                put(kept, offset + start, data[start:end])
