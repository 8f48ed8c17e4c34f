"""Projects opened on use and closed when idle, on real files (SPEC L19 to L24)."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import shutil
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import pytest

from sharelite.catalog import Catalog
from sharelite.cluster.alone import Alone
from sharelite.config import Limits
from sharelite.errors import NotFound, ShareliteError, Unavailable, UnknownOutcome
from sharelite.model import Edit, Mutation, MutationId, Outcome
from sharelite.project import Workers
from sharelite.storage.files import Files
from sharelite.storage.images import Gallery
from tests.disk import Disk, Step, image
from tests.disk import put as put_files
from tests.roads import SCENE
from tests.roads import put as upsert

SOON = Limits(open_projects=3, idle_seconds=0.02)
STAYING = Limits(open_projects=3, idle_seconds=3600.0)


def run(folder: Path, story: Callable[[Catalog], Awaitable[Any]], limits: Limits, files: Files | None = None) -> Any:
    """A story on a node, after which nothing of it is open any more."""

    async def told() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        with ThreadPoolExecutor(4) as pool:
            seam = files or Files()
            catalog = Catalog(seam, folder, Workers.of(pool, pool), Alone(), {}, Gallery(seam, folder), limits=limits)
            await catalog.start()
            try:
                return await asyncio.wait_for(story(catalog), 60)
            finally:
                await catalog.close()
                assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    result = asyncio.run(told())
    assert held(folder) == []
    return result


def held(folder: Path) -> list[str]:
    """The files of this folder that the process has open; connections to databases are said apart."""
    gc.collect()
    under = [one.filename for one in apsw.connections()]
    return sorted(name for name in (*under, *map(_target, os.listdir("/dev/fd"))) if name.startswith(str(folder)))


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/dev/fd/{descriptor}")
    except OSError:
        return ""  # the one that the listing itself had open, or a system whose descriptors have no names


def write(key: str, counter: int | None = None) -> Mutation:
    name = None if counter is None else MutationId("c" * 32, counter)
    return Mutation("ann", Edit((upsert("note", key, text=key),)), name, body_hash=key.encode())


async def made(catalog: Catalog, number: int) -> list[str]:
    return [(await catalog.create(f"p{n}", SCENE, "ann")).id for n in range(number)]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def all_closed(catalog: Catalog) -> None:
    await until(lambda: not any(catalog.counts().values()))


def test_idle_projects_are_closed_and_opened_again_with_all_that_was_written(tmp_path: Path) -> None:  # L19
    async def story(catalog: Catalog) -> None:
        empty, projects = held(tmp_path), await made(catalog, 3)
        for round in range(3):
            for project in projects:
                async with catalog.hold(project) as opened:
                    assert (await opened.mutate(write(f"n{round}"))).version == round + 2
            await all_closed(catalog)
            assert held(tmp_path) == empty

    run(tmp_path, story, SOON)


def test_many_who_use_more_projects_than_may_be_open_all_get_their_turn(tmp_path: Path) -> None:  # L20
    async def one(catalog: Catalog, project: str, client: str, done: list[Outcome]) -> None:
        for n in range(6):
            mutation = Mutation("ann", Edit((upsert("note", client, text=str(n)),)))
            while True:
                try:
                    async with catalog.hold(project) as opened:
                        assert sum(catalog.counts()[state] for state in ("opening", "open")) <= 3
                        done.append(await opened.mutate(mutation))
                        break
                except Unavailable:
                    await asyncio.sleep(0.001)

    async def story(catalog: Catalog) -> None:
        projects = await made(catalog, 8)
        done: dict[str, list[Outcome]] = {project: [] for project in projects}
        await asyncio.gather(*(one(catalog, project, who, done[project]) for project in projects for who in "ab"))
        for outcomes in done.values():
            assert sorted(outcome.version for outcome in outcomes) == list(range(2, 14))

    run(tmp_path, story, STAYING)


def test_whoever_goes_away_while_a_project_is_opened_holds_it_no_more(tmp_path: Path) -> None:  # L19
    async def use(catalog: Catalog, project: str) -> None:
        async with catalog.hold(project):
            await asyncio.Event().wait()

    async def story(catalog: Catalog) -> None:
        (project,) = await made(catalog, 1)
        for turns in range(30):
            user = asyncio.create_task(use(catalog, project))
            for _ in range(turns):
                await asyncio.sleep(0.0005)
            user.cancel()
            await asyncio.wait([user])
        await all_closed(catalog)

    run(tmp_path, story, SOON)


def test_a_read_that_nobody_waits_for_any_more_ends_before_the_files_are_closed(tmp_path: Path) -> None:  # L19
    def slow(connection: apsw.Connection) -> Any:
        return connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 300000) SELECT sum(i) FROM n"
        ).fetchall()

    async def story(catalog: Catalog) -> None:
        (project,) = await made(catalog, 1)
        async with catalog.hold(project) as opened:
            reading = asyncio.create_task(opened.read(slow))
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
            assert opened.at_work
        await all_closed(catalog)

    run(tmp_path, story, SOON)


def test_a_project_that_cannot_be_opened_leaves_nothing_open_and_can_be_mended(tmp_path: Path) -> None:  # L21
    async def story(catalog: Catalog) -> None:
        (project,) = await made(catalog, 1)
        log = tmp_path / "projects" / project / "log.db"
        whole, empty = log.read_bytes(), held(tmp_path)
        for broken in (b"", b"x" * 8192, whole[:4096]):
            log.write_bytes(broken)
            with pytest.raises((ShareliteError, apsw.Error)):
                async with catalog.hold(project):
                    pass
            assert held(tmp_path) == empty and catalog.counts()["failed"] == 1
            log.write_bytes(whole)
            while catalog.counts()["failed"]:
                try:
                    async with catalog.hold(project) as opened:
                        assert opened.version == 1
                except (ShareliteError, apsw.Error):
                    await asyncio.sleep(0.05)
            await all_closed(catalog)

    run(tmp_path, story, SOON)


def test_deleting_waits_for_those_who_hold_the_project(tmp_path: Path) -> None:  # L23
    async def story(catalog: Catalog) -> None:
        (project,) = await made(catalog, 1)
        async with catalog.hold(project) as opened:
            deleting = asyncio.create_task(catalog.delete(project, "ann"))
            while catalog.list():
                await asyncio.sleep(0)
            assert (await opened.mutate(write("n"))).kind == "committed" and not deleting.done()
            with pytest.raises(NotFound):
                async with catalog.hold(project):
                    pass
        await deleting
        assert not (tmp_path / "projects" / project).exists()

    run(tmp_path, story, STAYING)


def test_deleting_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # L23
    monkeypatch.setattr("sharelite.life.GRACE_SECONDS", 0.05)

    async def story(catalog: Catalog) -> None:
        (project,) = await made(catalog, 1)
        async with catalog.hold(project) as opened:
            await catalog.delete(project, "ann")
            with pytest.raises(Unavailable):
                await opened.mutate(write("n"))
            with pytest.raises(Unavailable):
                await opened.image()

    run(tmp_path, story, STAYING)


class _Noting(Files):
    """Notes which files of projects are opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    def _open(self, path: Path, *, read_only: bool) -> apsw.Connection:
        if path.parent.parent.name == "projects":
            self.opened.append(path.parent.name)
        return super()._open(path, read_only=read_only)


def test_starting_and_listing_open_no_project(tmp_path: Path) -> None:  # L24
    async def first(catalog: Catalog) -> list[str]:
        projects = await made(catalog, 5)
        for project in projects[:3]:
            async with catalog.hold(project) as opened:
                await opened.mutate(write("n"))
        return projects

    async def second(catalog: Catalog) -> list[int]:
        looks = [await catalog.look(record.id) for record in catalog.list()]
        assert all(look.size > 4096 for look in looks)
        return [look.version for look in looks]

    run(tmp_path, first, STAYING)
    files = _Noting()
    assert run(tmp_path, second, STAYING, files) == [2, 2, 2, 1, 1]
    assert files.opened == []


def test_what_was_open_when_the_process_died_is_looked_at_again(tmp_path: Path) -> None:  # L24
    async def dies(catalog: Catalog) -> str:
        written, silent = await made(catalog, 2)
        async with catalog.hold(written) as opened:
            await opened.mutate(write("a"))
        async with catalog.hold(written) as opened:
            await opened.mutate(write("b"))
            shutil.copytree(tmp_path / "first", tmp_path / "second")
        return written

    async def looks(catalog: Catalog) -> list[int]:
        return [(await catalog.look(record.id)).version for record in catalog.list()]

    project = run(tmp_path / "first", dies, STAYING)
    files = _Noting()
    assert run(tmp_path / "second", looks, STAYING, files) == [3, 1]
    assert set(files.opened) == {project}


def test_when_a_project_was_last_changed_outlives_closing_and_restarts(tmp_path: Path) -> None:  # W10, L24
    async def first(catalog: Catalog) -> list[int]:
        projects, found = await made(catalog, 3), []
        for project, length in zip(projects, (0, 10, 2_000_000), strict=True):  # the last one takes several records
            async with catalog.hold(project) as opened:
                if length:
                    change = upsert("note", "n", text="x" * length)
                    await opened.mutate(Mutation("ann", Edit((change,))))
                await opened.image()
                (commit,) = await opened.commits(opened.version - 1)
                assert (await catalog.look(project)).updated == json.loads(commit.json)["at"]
                found.append(opened.look.updated)
        return found

    async def second(catalog: Catalog) -> list[int]:
        return [(await catalog.look(record.id)).updated for record in catalog.list()]

    told = run(tmp_path, first, STAYING)
    files = _Noting()
    assert run(tmp_path, second, STAYING, files) == told and files.opened == []
    (tmp_path / "seen.db").unlink()
    assert run(tmp_path, second, STAYING, files) == told and len(set(files.opened)) == 3


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500])
def test_what_is_known_of_closed_projects_can_be_lost(tmp_path: Path, content: bytes) -> None:  # L24
    async def first(catalog: Catalog) -> None:
        await made(catalog, 2)

    async def second(catalog: Catalog) -> None:
        assert [(await catalog.look(record.id)).version for record in catalog.list()] == [1, 1]

    run(tmp_path, first, STAYING)
    (tmp_path / "seen.db").write_bytes(content)
    run(tmp_path, second, STAYING)


class _Forgetful(Disk):
    """A disk on which the next syncs of a log fail: what was to be written then never is, though the system still shows
    it. (One for the commit, one for the checkpoint before the file is closed.)"""

    fails = 0

    def syncing(self, path: str) -> None:
        if self.fails and path.endswith("log.db-wal"):
            self.fails -= 1
            synced = max(n for n, step in enumerate(self.steps) if step == Step("sync", path))
            self.steps[:] = [step for n, step in enumerate(self.steps) if n <= synced or step.path != path]
            raise apsw.IOError("sync failed")


class _Seamed(Files):
    """Files on that disk, which remembers what is written beside SQLite as well."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk.name)
        self._disk = disk

    def write_again(self, path: Path) -> None:
        super().write_again(path)
        if path.exists():
            self._disk.note(Step("write", str(path), 0, path.read_bytes()))
            self._disk.note(Step("sync", str(path)))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_after_a_sync_that_failed_nothing_acknowledged_is_lost_or_done_twice(tmp_path: Path) -> None:  # L9, L22
    disk = _Forgetful("forgetful")

    async def story(catalog: Catalog) -> str:
        (project,) = await made(catalog, 1)
        stopped: list[tuple[str, str]] = []
        catalog.when_stopped(lambda who, problem: stopped.append((who, problem.code)))
        async with catalog.hold(project) as opened:
            await opened.mutate(write("a", 1))
            disk.fails = 2
            with pytest.raises(UnknownOutcome):
                await opened.mutate(write("b", 2))
            assert opened.trouble is not None and list(catalog.troubles()) == [project]
        async with catalog.hold(project) as opened:
            assert stopped == [(project, "unavailable")] and catalog.troubles() == {}
            first = await opened.mutate(write("b", 2))
            assert (first, await opened.mutate(write("b", 2))) == (Outcome("committed", 3), first)
            acknowledged.extend(disk.steps)
            assert await opened.read(texts) == ["a", "b"]
        return project

    acknowledged: list[Step] = []
    project = run(tmp_path / "node", story, STAYING, _Seamed(disk))
    for seed in range(8):
        there = tmp_path / str(seed)
        shutil.copytree(tmp_path / "node", there, ignore=shutil.ignore_patterns("projects"))
        put_files(image(acknowledged, random.Random(seed)), tmp_path / "node", there)

        async def after(catalog: Catalog) -> None:
            async with catalog.hold(project) as opened:
                assert (opened.version, await opened.read(texts)) == (3, ["a", "b"])

        run(there, after, STAYING)


def texts(connection: apsw.Connection) -> list[Any]:
    return [text for (text,) in connection.execute("SELECT text FROM note ORDER BY id")]


def test_a_catalog_that_stopped_is_opened_anew_for_the_next_change(tmp_path: Path) -> None:  # L22
    disk = _Forgetful("forgetful-catalog")

    async def story(catalog: Catalog) -> None:
        await made(catalog, 1)
        disk.fails = 2
        with pytest.raises(UnknownOutcome):
            await catalog.create("half", SCENE, "ann")
        assert len(catalog.troubles()) == 1
        await catalog.create("whole", SCENE, "ann")
        assert catalog.troubles() == {} and [record.name for record in catalog.list()] == ["p0", "whole"]
        await catalog.create("half", SCENE, "ann")

    run(tmp_path, story, STAYING, _Seamed(disk))
