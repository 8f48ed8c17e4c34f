"""Projects and contracts by name, on real files, over restarts (SPEC L11, C53)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharelite.catalog import Catalog
from sharelite.cluster.alone import Alone
from sharelite.errors import AlreadyExists, NotFound, Refused
from sharelite.model import Edit, Mutation
from sharelite.names import folded, valid_contract_name, valid_project_name
from sharelite.project import Workers
from sharelite.storage.files import Files
from sharelite.storage.images import Gallery
from tests.roads import SCENE, insert


def run(folder: Path, story: Callable[[Catalog], Awaitable[Any]], files: Files | None = None) -> Any:
    async def told() -> Any:
        pool = ThreadPoolExecutor(4)
        seam = files or Files()
        catalog = Catalog(seam, folder, Workers.of(pool, pool), Alone(), {}, Gallery(seam, folder))
        await catalog.start()
        try:
            return await story(catalog)
        finally:
            await catalog.close()
            pool.shutdown()

    return asyncio.run(told())


async def use(catalog: Catalog, project: str) -> int:
    """The version of a project, which is held for a moment."""
    async with catalog.hold(project) as opened:
        return opened.version


def test_a_project_is_there_after_a_restart_with_its_rows(tmp_path: Path) -> None:  # L11
    async def first(catalog: Catalog) -> str:
        await catalog.put_contract("scene", SCENE, "ann")
        record = await catalog.create("Rome", "scene", "ann")
        async with catalog.hold(record.id) as project:
            await project.mutate(Mutation("ann", Edit((insert("note", "a"),))))
        return record.id

    async def second(catalog: Catalog) -> tuple[str, int, str | None]:
        (record,) = catalog.list()
        async with catalog.hold(record.id) as project:
            return record.id, project.version, record.contract

    name = run(tmp_path, first)
    assert run(tmp_path, second) == (name, 2, "scene")


def test_names_that_differ_only_in_case_or_width_are_the_same(tmp_path: Path) -> None:  # L11
    async def story(catalog: Catalog) -> None:
        await catalog.create("Rome", SCENE, "ann")
        for twin in ("rome", "ROME", "Ｒｏｍｅ"):
            with pytest.raises(AlreadyExists):
                await catalog.create(twin, SCENE, "ann")

    run(tmp_path, story)


def test_a_renamed_project_keeps_its_id_and_a_deleted_one_leaves_no_files(tmp_path: Path) -> None:  # L11
    async def story(catalog: Catalog) -> None:
        record = await catalog.create("Rome", SCENE, "ann")
        assert (await catalog.rename(record.id, "Roma", "ann")).id == record.id
        async with catalog.hold(record.id):
            pass
        await catalog.delete(record.id, "ann")
        with pytest.raises(NotFound):
            catalog.record(record.id)
        assert not (tmp_path / "projects" / record.id).exists()
        await catalog.create("Roma", SCENE, "ann")

    run(tmp_path, story)


class _FailsOnce(Files):
    """Stops the n-th time a folder is to be removed or made, like a process that is killed there."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self._method = method

    def make_folder(self, path: Path) -> None:
        self._stop("make_folder", path)
        super().make_folder(path)

    def remove_folder(self, path: Path) -> None:
        self._stop("remove_folder", path)
        super().remove_folder(path)

    def _stop(self, method: str, path: Path) -> None:
        if method == self._method and path.parent.name == "projects":
            raise OSError("killed here")


def test_a_half_deleted_project_is_gone_after_a_restart(tmp_path: Path) -> None:  # L11
    async def first(catalog: Catalog) -> str:
        record = await catalog.create("Rome", SCENE, "ann")
        with pytest.raises(OSError, match="killed"):
            await catalog.delete(record.id, "ann")
        return record.id

    name = run(tmp_path, first, _FailsOnce("remove_folder"))
    assert (tmp_path / "projects" / name).exists()

    async def second(catalog: Catalog) -> None:
        assert list(catalog.list()) == []

    run(tmp_path, second)
    assert not (tmp_path / "projects" / name).exists()


def test_who_is_told_that_a_name_is_taken_finds_the_project(tmp_path: Path) -> None:  # L11
    async def story(catalog: Catalog) -> None:
        made = [asyncio.create_task(catalog.create("Rome", SCENE, "ann")) for _ in range(3)]
        await asyncio.wait(made, return_when=asyncio.FIRST_EXCEPTION)
        twin = catalog.by_name("Rome")
        assert twin is not None and catalog.record(twin.id).state == "ready"
        told = await asyncio.gather(*made, return_exceptions=True)
        assert sum(isinstance(each, AlreadyExists) for each in told) == 2

    run(tmp_path, story)


def test_a_half_made_project_is_gone_and_its_name_is_free(tmp_path: Path) -> None:  # L11
    async def first(catalog: Catalog) -> None:
        with pytest.raises(OSError, match="killed"):
            await catalog.create("Rome", SCENE, "ann")

    run(tmp_path, first, _FailsOnce("make_folder"))

    async def second(catalog: Catalog) -> None:
        assert (await catalog.create("Rome", SCENE, "ann")).state == "ready"

    run(tmp_path, second)


def test_an_additive_contract_reaches_open_projects_at_once_and_closed_ones_when_opened(tmp_path: Path) -> None:  # C53
    extra = {"type": "object", "properties": {"a": {"type": "string"}}}
    wider = {**SCENE, "properties": {**SCENE["properties"], "extra": extra}}

    async def first(catalog: Catalog) -> None:
        await catalog.put_contract("scene", SCENE, "ann")
        one = await catalog.create("one", "scene", "ann")
        await catalog.create("two", "scene", "ann")
        async with catalog.hold(one.id) as project:
            record = await catalog.put_contract("scene", wider, "ann")
            assert (record.version, project.contract_hash, project.version) == (2, record.hash, 2)

    async def second(catalog: Catalog) -> None:
        for record in catalog.list():
            async with catalog.hold(record.id) as project:
                assert project.version == 2

    run(tmp_path, first)
    run(tmp_path, second)


def test_a_destructive_contract_waits_for_migrate(tmp_path: Path) -> None:  # C53
    narrower = {**SCENE, "properties": {key: part for key, part in SCENE["properties"].items() if key != "scene"}}

    async def story(catalog: Catalog) -> None:
        await catalog.put_contract("scene", SCENE, "ann")
        record = await catalog.create("one", "scene", "ann")
        async with catalog.hold(record.id) as project:
            await catalog.put_contract("scene", narrower, "ann")
            assert project.version == 1
            (planned,) = await catalog.migrate("scene", "ann", None, dry_run=True, destructive=False)
            assert planned.report is not None and planned.report.kind == "destructive" and project.version == 1
            (refused,) = await catalog.migrate("scene", "ann", None, dry_run=False, destructive=False)
            assert refused.problem is not None and project.version == 1
            (done,) = await catalog.migrate("scene", "ann", [record.id], dry_run=False, destructive=True)
            assert done.problem is None and project.version == 2

    run(tmp_path, story)


@pytest.mark.parametrize(
    "name",
    ["", " x", "x ", ".", "..", "a/b", "a\\b", "x" * 300, "a\0b", "a\u202eb", "a\u200bb", "pаypal", "a\nb", "C:|x"],
)
def test_names_that_deceive_are_refused(name: str) -> None:  # L13
    with pytest.raises(Refused) as caught:
        valid_project_name(name)
    assert caught.value.code == "invalid"


@given(st.text(min_size=1, max_size=30))
def test_a_valid_name_is_its_own_normal_form(name: str) -> None:  # L13
    try:
        valid = valid_project_name(name)
    except Refused:
        return
    assert valid_project_name(valid) == valid and folded(folded(valid)) == folded(valid)


@pytest.mark.parametrize("name", ["", "../x", "a..b", "a/b", "-a", "x" * 65, "a b", "é"])
def test_contract_names_are_file_names(name: str) -> None:  # L13
    with pytest.raises(Refused):
        valid_contract_name(name)


def test_contracts_are_listed_while_the_first_of_a_name_is_being_put(tmp_path: Path) -> None:  # W14
    async def story(catalog: Catalog) -> None:
        puts = [asyncio.create_task(catalog.put_contract("scene", SCENE, user)) for user in ("ann", "bob")]
        while not all(put.done() for put in puts):
            assert [record.name for record in catalog.contracts()] in ([], ["scene"])
            await asyncio.sleep(0)
        assert {(await put).version for put in puts} == {1}

    run(tmp_path, story)


def test_one_project_that_cannot_be_opened_stops_no_migration(tmp_path: Path) -> None:  # C53
    async def made(catalog: Catalog) -> str:
        await catalog.put_contract("scene", SCENE, "ann")
        await catalog.create("whole", "scene", "ann")
        return (await catalog.create("broken", "scene", "ann")).id

    async def story(catalog: Catalog) -> None:
        await catalog.put_contract("scene", {**SCENE, "title": "another"}, "ann")
        done = await catalog.migrate("scene", "ann", None, dry_run=False, destructive=False)
        problems = {one.record.name: one.problem for one in done}
        assert problems["whole"] is None and "log.db" in str(problems["broken"])
        assert (tmp_path / "projects" / broken / "data.db").exists()

    broken = run(tmp_path, made)
    (tmp_path / "projects" / broken / "log.db").write_bytes(b"")
    run(tmp_path, story)


def test_a_project_that_cannot_be_opened_can_be_deleted(tmp_path: Path) -> None:  # L11
    async def made(catalog: Catalog) -> str:
        return (await catalog.create("broken", SCENE, "ann")).id

    async def story(catalog: Catalog) -> None:
        opening = asyncio.create_task(use(catalog, broken))
        await asyncio.sleep(0)
        await catalog.delete(broken, "ann")
        await asyncio.wait([opening])
        assert catalog.list() == [] and not (tmp_path / "projects" / broken).exists()
        assert opening.exception() is not None

    broken = run(tmp_path, made)
    (tmp_path / "projects" / broken / "log.db").write_bytes(b"")
    run(tmp_path, story)
