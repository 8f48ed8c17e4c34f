"""Deleting a project, killed or on a full disk between every two steps (SPEC L11, I12)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sharelite.catalog import Catalog
from sharelite.cluster.alone import Alone
from sharelite.errors import ShareliteError
from sharelite.model import Edit, Mutation
from sharelite.project import Workers
from sharelite.storage.files import Files
from sharelite.storage.images import Gallery
from tests.faults import FaultyFiles, Steps
from tests.roads import SCENE, insert

Story = Callable[[Catalog, Gallery], Awaitable[Any]]


class Piecemeal(FaultyFiles):
    """A folder goes file by file, and each may be the last."""

    def remove_folder(self, path: Path) -> None:
        for found in sorted(path.rglob("*"), reverse=True):
            self.steps.pass_one(lambda: OSError("no file is removed any more"))
            found.rmdir() if found.is_dir() else found.unlink()
        super().remove_folder(path)


def run(folder: Path, story: Story, seam: Files | None = None) -> Any:
    async def told() -> Any:
        pool, files = ThreadPoolExecutor(4), seam or Files()
        gallery = Gallery(files, folder)
        catalog = Catalog(files, folder, Workers.of(pool, pool), Alone(), {}, gallery)
        await catalog.start()
        try:
            return await story(catalog, gallery)
        finally:
            await catalog.close()
            pool.shutdown()

    return asyncio.run(told())


async def made(catalog: Catalog, name: str) -> None:
    record = await catalog.create(name, SCENE, "ann")
    async with catalog.hold(record.id) as project:
        await project.mutate(Mutation("ann", Edit((insert("note", "a"),))))
        await project.image()


async def whole(catalog: Catalog, gallery: Gallery, name: str) -> None:
    """A project with its row and its image, which takes another row."""
    record = catalog.by_name(name)
    assert record is not None and record.state == "ready"
    async with catalog.hold(record.id) as project:
        assert await project.read(lambda reader: reader.execute("SELECT count(*) FROM note").fetchone()) == (1,)
        image = await project.image()
        chunks = [gallery.chunks.read(image.manifest.chunk(n)) for n in range(image.manifest.count())]
        hashes = b"".join(hashlib.sha256(chunk).digest() for chunk in chunks)
        assert hashlib.sha256(hashes).hexdigest() == image.hash
        await project.mutate(Mutation("ann", Edit((insert("note", "b"),))))


async def after(catalog: Catalog, gallery: Gallery) -> bool:
    """Rome is whole, or nothing of it is there and its name is free; Bern is whole. Whether Rome was there."""
    await whole(catalog, gallery, "Bern")
    there = any(record.name == "Rome" for record in catalog.list())
    if there:
        await whole(catalog, gallery, "Rome")
        return True
    await made(catalog, "Rome")
    assert len(list(catalog.list())) == 2
    return False


def folders(data: Path) -> int:
    return len(list((data / "projects").iterdir()))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two projects with the same rows, so that their images share chunks."""
    data = tmp_path_factory.mktemp("before")

    async def story(catalog: Catalog, gallery: Gallery) -> None:
        for name in ("Rome", "Bern"):
            await made(catalog, name)

    run(data, story)
    return data


def deleting(steps: Steps, at: int) -> Story:
    """Steps are counted from when the catalog stands."""

    async def story(catalog: Catalog, gallery: Gallery) -> None:
        rome = catalog.by_name("Rome")
        assert rome is not None
        async with catalog.hold(rome.id):
            pass  # it is open, and idle
        steps.count, steps._at = 0, at
        await catalog.delete(rome.id, "ann")
        gallery.sweep()

    return story


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.long)])
def test_killed_between_any_two_steps_a_deleted_project_is_there_or_gone(
    before: Path, tmp_path: Path, stride: int
) -> None:  # L11
    found: list[bool] = []
    step, killed = random.randrange(1 - stride, 1), True
    while killed:
        step += stride
        data = tmp_path / str(step)
        shutil.copytree(before, data)
        child = os.fork()
        if not child:
            try:
                steps = Steps()
                run(data, deleting(steps, step), Piecemeal(steps))
            finally:
                os._exit(0)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        found.append(run(data, after))
        assert folders(data) == 2, f"after step {step}"
        shutil.rmtree(data)
    assert found == sorted(found, reverse=True) and found[0] and not found[-1]
    assert step > 12, f"only {step} steps"


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("once", [True, False])
def test_on_a_disk_that_is_full_at_any_step_a_project_is_there_or_its_name_is_free(
    before: Path, tmp_path: Path, once: bool, stride: int
) -> None:  # L11, L25
    step, hit = random.randrange(1 - stride, 1), True
    while hit:
        step += stride
        data, steps = tmp_path / f"{step}", Steps(fault="full", once=once)
        shutil.copytree(before, data)

        async def story(catalog: Catalog, gallery: Gallery) -> None:
            try:
                await deleting(steps, step)(catalog, gallery)  # noqa: B023
            except (ShareliteError, OSError):
                pass
            steps.mend()  # noqa: B023
            await after(catalog, gallery)

        run(data, story, Piecemeal(steps))
        hit = steps.hit
        assert folders(data) == 2, f"after step {step}"
        shutil.rmtree(data)
    assert step > 12, f"only {step} steps"
