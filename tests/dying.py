"""Makes a project from a base, or deletes it, dying (or finding the disk full) at the n-th step, for n = 1, 2, 3 ... to
the last.

    python -m tests.dying FOLDER BASE CONTRACT HASH DIGEST adopt|delete die|full steps|writes

prints a JSON object: end -> count.

A step is what is done to files other than by SQLite, and each sync, delete or truncation by SQLite; with `writes` each
write as well. After each the data directory is opened again as after a restart.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import secrets
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from sharelite.catalog import Catalog
from sharelite.cluster.alone import Alone
from sharelite.errors import ShareliteError
from sharelite.model import Base
from sharelite.project import Workers
from sharelite.schema.contract import Contract
from sharelite.storage.files import Files
from sharelite.storage.images import Gallery

PROJECT = "a" * 32
DIED, DONE, GAVE_UP = 9, 0, 4
ENDS = {DIED: "died", DONE: "done", GAVE_UP: "gave up"}
LEFT = {0: "there", 1: "gone"}
VERBS = ("make_folder", "write", "copy", "move", "remove_folder", "sync_folder")


class Step:
    """Counts; at the n-th step the process is gone, or the disk full from then on until `mended`."""

    def __init__(self, last: int, how: str) -> None:
        self._left, self._how, self.mended = last, how, False

    def take(self) -> None:
        self._left -= 1
        if self._left > 0 or self.mended:
            return
        if self._how == "die":
            os._exit(DIED)
        raise OSError(errno.ENOSPC, "No space left on device")


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.take(self._disk.writes)
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._disk.take(True)
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self._disk.take(True)
        super().xSync(flags)


class Disk(apsw.VFS):
    def __init__(self, step: Step, writes: bool) -> None:
        super().__init__("dying", "")
        self._step, self.writes = step, writes

    def take(self, counts: bool) -> None:
        if not counts:
            return
        try:
            self._step.take()
        except OSError:
            raise apsw.FullError("database or disk is full") from None

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)


def dying(step: Step) -> Files:
    files = Files("dying")

    def counted(verb: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any) -> Any:
            step.take()
            return verb(*arguments)

        return act

    for name in VERBS:
        setattr(files, name, counted(getattr(files, name)))
    return files


async def with_catalog(data: Path, files: Files, story: Callable[[Catalog], Any]) -> Any:
    pool = ThreadPoolExecutor(4)
    catalog = Catalog(files, data, Workers.of(pool, pool), Alone(), {}, Gallery(files, data))
    try:
        await catalog.start()
        return await story(catalog)
    finally:
        await catalog.close()
        pool.shutdown()


class Ground(NamedTuple):
    """A data directory, and what a project is made of there."""

    data: Path
    base: Base
    contract: Contract
    file: Path

    async def adopt(self, catalog: Catalog, project: str = PROJECT) -> None:
        await catalog.adopt(project, "Rome", self.contract, self.base, self.file, "ann", False)

    async def delete(self, catalog: Catalog) -> None:
        await catalog.delete(PROJECT, "ann")

    async def adopt_with_an_image(self, catalog: Catalog) -> None:
        await self.adopt(catalog)
        async with catalog.hold(PROJECT) as project:
            await project.image()


def attempt(ground: Ground, verb: str, last: int, how: str, writes: bool) -> int:
    """The steps are counted from the moment in which the catalog stands, with the project that is to be deleted."""
    step = Step(1 << 60, how)
    disk = Disk(step, writes)

    async def story(catalog: Catalog) -> int:
        if verb == "delete":
            await ground.adopt_with_an_image(catalog)
        step._left = last
        try:
            await getattr(ground, verb)(catalog)
        except (ShareliteError, OSError, apsw.Error):
            return GAVE_UP
        finally:
            step.mended = how == "full"
        return DONE if step._left > 0 else GAVE_UP

    end: int = asyncio.run(with_catalog(ground.data, dying(step), story))
    disk.unregister()
    return end


def after(ground: Ground) -> int:
    """What is there after a restart: the whole project (0), or nothing of it and its name free (1)."""

    async def story(catalog: Catalog) -> int:
        known = catalog.by_name("Rome")
        if known is None:
            folder = ground.data / "projects"
            assert not folder.exists() or not list(folder.iterdir()), "something of it is left"
            await ground.adopt(catalog, secrets.token_hex(16))
            known, left = catalog.by_name("Rome"), 1
            assert known is not None
        else:
            left = 0
        async with catalog.hold(known.id) as project:
            rows: Any = await project.read(lambda reader: reader.execute("SELECT count(*) FROM layer").fetchone())
            assert (project.version, rows[0], project._road.row_digest) == (1, 3, ground.base.row_digest)
        return left

    left: int = asyncio.run(with_catalog(ground.data, Files(), story))
    return left


def main(folder: Path, source: Path, contract: Contract, base: Base, verb: str, how: str, writes: bool) -> None:
    logging.disable(logging.CRITICAL)
    ends: Counter[str] = Counter()
    for number in range(1, 5_000):
        data = folder / f"data{number}"
        data.mkdir()
        shutil.copy(source, data / "one.db")
        shutil.copy(source, data / "two.db")
        one, two = (Ground(data, base, contract, data / name) for name in ("one.db", "two.db"))
        end = forked(lambda: attempt(one, verb, number, how, writes))  # noqa: B023
        left = forked(lambda: after(two))  # noqa: B023
        shutil.rmtree(data)
        ends[ENDS.get(end, f"status {end}")] += 1
        ends[LEFT.get(left, f"broken after step {number}")] += 1
        if end == DONE or end not in ENDS or left not in LEFT:
            break
    print(json.dumps(ends))


def forked(work: Callable[[], int]) -> int:
    child = os.fork()
    if child == 0:
        try:
            os._exit(work())
        except BaseException as problem:
            print(f"{type(problem).__name__}: {problem}", file=sys.stderr, flush=True)
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    folder, source, document, digest, rows, verb, how, which = sys.argv[1:]
    known = Base(digest, Path(source).stat().st_size, int(rows))
    main(
        Path(folder),
        Path(source),
        Contract.parse(json.loads(Path(document).read_text())),
        known,
        verb,
        how,
        which == "writes",
    )
