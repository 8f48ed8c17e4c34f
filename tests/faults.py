"""A disk on which the n-th step can be the last: every write, sync and rename of a node passes one counter."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Literal

import apsw

from sharelite.storage.files import Files

Fault = Literal["kill", "full"]


class Steps:
    """Counts; at step `at` the process is killed, or the disk is full from there on, until `mend`."""

    def __init__(self, at: int = 0, fault: Fault = "kill", once: bool = False) -> None:
        self.count, self._at, self._fault, self._once = 0, at, fault, once
        self.hit = False

    def pass_one(self, full: Callable[[], Exception]) -> None:
        self.count += 1
        if not self._at or self.count < self._at or (self._once and self.count > self._at):
            return
        self.hit = True
        if self._fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise full()

    def mend(self) -> None:
        self._at = 0


def _no_space() -> Exception:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FaultyFiles(Files):
    """The seam, with a step before everything that changes the disk."""

    def __init__(self, steps: Steps) -> None:
        name = f"faulty-{id(self)}"
        super().__init__(name)
        self.steps, self._keep = steps, _Disk(name, steps)

    def make(self, path: Path, content: bytes) -> None:
        self.steps.pass_one(_no_space)
        super().make(path, content)

    def append(self, path: Path, content: bytes) -> None:
        self.steps.pass_one(_no_space)
        super().append(path, content)

    def sync(self, path: Path) -> None:
        self.steps.pass_one(_no_space)
        super().sync(path)

    def sync_all(self, paths: Collection[Path]) -> None:
        """One after the other, so that steps have an order."""
        for path in paths:
            self.sync(path)

    def rename(self, old: Path, new: Path) -> None:
        self.steps.pass_one(_no_space)
        super().rename(old, new)

    def sync_folder(self, path: Path) -> None:
        self.steps.pass_one(_no_space)
        super().sync_folder(path)


class _File(apsw.VFSFile):
    def __init__(self, steps: Steps, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._steps = steps

    def xWrite(self, data: Any, offset: int) -> None:
        self._steps.pass_one(apsw.FullError)
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._steps.pass_one(apsw.FullError)
        super().xTruncate(size)


class _Disk(apsw.VFS):
    def __init__(self, name: str, steps: Steps) -> None:
        super().__init__(name, "")
        self._steps = steps

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self._steps, name, flags)
