"""An open project on the event loop: group commit, answers, feed, upgrades (SPEC M, F, C)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw
import pytest

from sharelite.errors import CursorGone, Refused, Unavailable, UnknownOutcome
from sharelite.model import Outcome
from sharelite.ports import Replicator
from sharelite.project import Project, Workers
from sharelite.schema.contract import Contract
from sharelite.sync.log import Log
from tests.roads import SCENE, Client, databases, insert, new_road, publisher, put, update

T = TypeVar("T")


@asynccontextmanager
async def opened(folder: Path, replicator: Replicator | None = None) -> AsyncIterator[tuple[Project, Client]]:
    pool = ThreadPoolExecutor(4)
    files = databases(folder)
    road = new_road(folder, files=files, replicator=replicator)
    project = Project(road, files, Workers.of(pool, pool), Contract.parse(SCENE), publisher(road, files, folder))
    try:
        yield project, Client(road)
    finally:
        await project.close()
        pool.shutdown()


def run(folder: Path, story: Callable[[Project, Client], Awaitable[T]], replicator: Replicator | None = None) -> T:
    async def told() -> T:
        async with opened(folder, replicator) as (project, client):
            return await story(project, client)

    return asyncio.run(told())


def test_mutations_that_wait_together_are_one_entry(tmp_path: Path) -> None:  # M26
    async def story(project: Project, ann: Client) -> list[Outcome]:
        return await asyncio.gather(*[project.mutate(ann.mutation(put("note", f"n{i}"))) for i in range(100)])

    outcomes = run(tmp_path, story)
    assert [outcome.version for outcome in outcomes] == list(range(2, 102))
    reader = databases(tmp_path).log_reader()
    entries = reader.execute("SELECT count(*) FROM entries").fetchall()[0][0]
    reader.close()
    assert isinstance(entries, int) and entries <= 4


def test_the_feed_has_a_commit_before_its_answer_is_given(tmp_path: Path) -> None:  # M27
    async def story(project: Project, ann: Client) -> None:
        outcome = await project.mutate(ann.mutation(insert("note", "a")))
        frame = project.feed.frame(1)
        assert frame is not None and frame.cursor == outcome.version and '"note"' in frame.texts[0]

    run(tmp_path, story)


def test_the_same_id_sent_twice_at_once_has_one_effect(tmp_path: Path) -> None:  # M18
    async def story(project: Project, ann: Client) -> None:
        mutation = ann.mutation(insert("note", "a"))
        answers = await asyncio.gather(project.mutate(mutation), project.mutate(mutation))
        assert list(answers) == [Outcome("committed", 2)] * 2
        assert project.version == 2

    run(tmp_path, story)


def test_commits_are_read_from_the_log(tmp_path: Path) -> None:  # F1
    async def story(project: Project, ann: Client) -> None:
        for i in range(5):
            await project.mutate(ann.mutation(put("note", "a", size=i + 1)))
        assert [commit.version for commit in await project.commits(3, 2)] == [4, 5]
        with pytest.raises(CursorGone):
            await project.commits(99)

    run(tmp_path, story)


class _Pauses:
    """A replicator that stops right behind the log at the second entry: durable there, not applied or announced yet."""

    def __init__(self) -> None:
        self.written, self.go_on = threading.Event(), threading.Event()

    def replicate(self, log: Log, records: Any, entry: Any) -> Any:
        log.append(records, entry)
        if entry.seq == 2:
            self.written.set()
            assert self.go_on.wait(30)
        return "committed"


def test_a_commit_is_not_read_from_the_log_before_it_is_announced(tmp_path: Path) -> None:  # F3
    paused = _Pauses()

    async def story(project: Project, ann: Client) -> None:
        answer = project.submit(ann.mutation(insert("note", "a")))
        await asyncio.to_thread(paused.written.wait)
        assert await project.commits(1) == [] and await project.commits(0, 1) != []
        paused.go_on.set()
        await answer
        assert [commit.version for commit in await project.commits(1)] == [2]

    run(tmp_path, story, paused)


def _changed(change: Callable[[dict[str, Any]], None]) -> Contract:
    import copy

    document = copy.deepcopy(SCENE)
    change(document["properties"]["note"]["items"]["properties"])
    return Contract.parse(document)


def test_an_additive_upgrade_is_a_commit_that_everybody_sees(tmp_path: Path) -> None:  # C50
    wider = _changed(lambda columns: columns.update(colour={"type": "string", "default": "red"}))

    async def story(project: Project, ann: Client) -> None:
        await project.mutate(ann.mutation(insert("note", "a")))
        report = await project.upgrade(wider, "ann")
        assert (report.kind, project.version, project.contract_hash) == ("additive", 3, wider.hash)
        frame = project.feed.frame(2)
        assert frame is not None and '"kind":"schema"' in frame.texts[0]
        assert (await project.mutate(ann.mutation(update("note", "a", colour="blue")))).kind == "committed"

    run(tmp_path, story)


def test_a_destructive_upgrade_needs_the_flag(tmp_path: Path) -> None:  # C51
    narrower = _changed(lambda columns: columns.pop("size"))

    async def story(project: Project, ann: Client) -> None:
        await project.mutate(ann.mutation(insert("note", "a", size=5)))
        assert (await project.plan_upgrade(narrower)).kind == "destructive"
        with pytest.raises(Refused, match="size"):
            await project.upgrade(narrower, "ann")
        assert project.version == 2
        await project.upgrade(narrower, "ann", destructive=True)
        outcome = await project.mutate(ann.mutation(update("note", "a", size=1)))
        assert outcome.refusal is not None and outcome.refusal.code == "invalid"

    run(tmp_path, story)


def test_a_tightened_contract_is_checked_against_the_rows_that_are_there(tmp_path: Path) -> None:  # C52
    tighter = _changed(lambda columns: columns["size"].update(maximum=10, default=1))

    async def story(project: Project, ann: Client) -> None:
        await project.mutate(ann.mutation(insert("note", "a", size=50)))
        with pytest.raises(Refused) as caught:
            await project.upgrade(tighter, "ann", destructive=True)
        assert caught.value.errors[0].table == "note" and caught.value.errors[0].key == ["a"]
        assert (await project.mutate(ann.mutation(update("note", "a", size=60)))).kind == "committed"

    run(tmp_path, story)


class _Breaks:
    """A replicator whose disk fails at the second entry."""

    def __init__(self) -> None:
        self.calls = 0

    def replicate(self, log: Log, records: Any, entry: Any) -> Any:
        self.calls += 1
        if self.calls == 2:
            raise apsw.IOError("sync failed")
        log.append(records, entry)
        return "committed"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_io_error_is_unknown_and_then_the_project_stops(tmp_path: Path) -> None:  # L9
    async def story(project: Project, ann: Client) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        with pytest.raises(UnknownOutcome):
            await project.mutate(ann.mutation(insert("note", "a")))
        with pytest.raises(Unavailable, match="stopped"):
            await project.mutate(ann.mutation(insert("note", "b")))

    run(tmp_path, story, _Breaks())


def test_readers_follow_a_database_that_was_made_anew(tmp_path: Path) -> None:  # L5
    async def story(project: Project, ann: Client) -> None:
        await project.mutate(ann.mutation(insert("note", "a", text="one")))
        assert await project.read(_texts) == [("one",)]
        stranger = databases(tmp_path).data("apply")
        stranger.execute("UPDATE note SET text='forged'")
        stranger.close()
        await project.mutate(ann.mutation(insert("note", "b", text="two")))
        assert await project.read(_texts) == [("one",), ("two",)]

    run(tmp_path, story)


def _texts(connection: apsw.Connection) -> Any:
    return connection.execute("SELECT text FROM note ORDER BY id").fetchall()
