"""Whose turn it is in an open project: batches, upgrades, checkpoints, the end (SPEC M, L, C)."""

from __future__ import annotations

import asyncio
import copy
import gc
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharelite.crew import Crew, Journey
from sharelite.errors import Refused, Unavailable
from sharelite.model import Edit, Mutation, MutationId, Outcome
from sharelite.project import Project, Workers
from sharelite.road import OVERDUE_PAGES
from sharelite.schema.contract import Contract
from sharelite.storage.databases import Databases
from sharelite.storage.files import Files
from sharelite.sync.log import Log
from sharelite.sync.wire import decode_push
from sharelite.turns import Slots, Turns
from sharelite.waiting import Waiting
from tests.roads import PROJECT, SCENE, Client, databases, insert, new_road, publisher, put


class _Paused:
    """A replicator that stops right behind the log at the second entry until it may go on."""

    def __init__(self) -> None:
        self.written, self.go_on = threading.Event(), threading.Event()

    def replicate(self, log: Log, records: Any, entry: Any) -> Any:
        log.append(records, entry)
        if entry.seq == 2:
            self.written.set()
            assert self.go_on.wait(30)
        return "committed"


class _Watched(Databases):
    """Files whose write-ahead log is as long as it is said to be; notes its checkpoints."""

    said, checkpoints, closed = 0, 0, False

    def wal_pages(self) -> int:
        return self.said

    def checkpoint(self) -> None:
        assert not self.closed
        self.said, self.checkpoints = 0, self.checkpoints + 1

    def close(self) -> None:
        self.closed = True
        super().close()


def _changed(**columns: Any) -> Contract:
    document = copy.deepcopy(SCENE)
    document["properties"]["note"]["items"]["properties"].update(columns)
    return Contract.parse(document)


WIDER = _changed(colour={"type": "string"})


def run(
    folder: Path, story: Callable[[Project, Client, _Watched], Awaitable[None]], replicator: _Paused | None = None
) -> None:
    async def told() -> None:
        with ThreadPoolExecutor(4) as pool:
            files = _Watched(Files(), folder, PROJECT)
            road = new_road(folder, files=files, replicator=replicator)
            workers = Workers.of(pool, pool)
            project = Project(road, files, workers, Contract.parse(SCENE), publisher(road, files, folder))
            try:
                await asyncio.wait_for(story(project, Client(road), files), 30)
            finally:
                if replicator is not None:
                    replicator.go_on.set()
                await project.close()

    asyncio.run(told())


def _write_for_ever(project: Project, ann: Client, row: str) -> None:
    """One mutation after the other, until the project takes no more."""

    def again(answered: asyncio.Future[Outcome]) -> None:
        if answered.exception() is None:
            project.submit(ann.mutation(put("note", row))).add_done_callback(again)

    project.submit(ann.mutation(put("note", row))).add_done_callback(again)


def test_an_upgrade_goes_before_those_who_never_stop_writing(tmp_path: Path) -> None:  # C54
    async def story(project: Project, ann: Client, files: _Watched) -> None:
        for client in "cd":
            _write_for_ever(project, Client(ann.road, client * 32), client)
        await project.upgrade(WIDER, "ann")
        assert project.contract_hash == WIDER.hash

    run(tmp_path, story)


def test_an_upgrade_goes_on_when_whoever_asked_for_it_is_gone(tmp_path: Path) -> None:  # C54
    paused = _Paused()

    async def story(project: Project, ann: Client, files: _Watched) -> None:
        asking = asyncio.create_task(project.upgrade(WIDER, "ann"))
        await asyncio.to_thread(paused.written.wait)
        asking.cancel()
        await asyncio.wait([asking])
        answer = project.submit(ann.mutation(insert("note", "a", colour="red")))
        paused.go_on.set()
        assert await answer == Outcome("committed", 3)
        assert asking.cancelled() and (await project.image()).manifest.version == 3

    run(tmp_path, story, paused)


def test_who_gives_up_a_place_in_line_holds_up_nobody() -> None:  # C54
    async def story() -> None:
        batches: list[bool] = []
        turns = Turns(lambda: batches.append(turns.taken(crowded=True)))
        turns.begin()
        upgrade = asyncio.create_task(turns.own().__aenter__())
        await asyncio.sleep(0)
        turns.give_back()
        upgrade.cancel()
        await asyncio.gather(upgrade, return_exceptions=True)
        assert batches == [True, False]

    asyncio.run(story())


def test_rows_that_break_a_new_unique_are_told(tmp_path: Path) -> None:  # C52
    async def story(project: Project, ann: Client, files: _Watched) -> None:
        await project.mutate(ann.mutation(insert("note", "a", any="x"), insert("note", "b", any="x")))
        alone = _changed(any={"type": ["string", "number"], "x-sql": {"unique": True}})
        with pytest.raises(Refused, match="UNIQUE") as refused:
            await project.upgrade(alone, "ann", destructive=True)
        assert refused.value.code == "invalid"
        assert (await project.mutate(ann.mutation(insert("note", "c", any="x")))).kind == "committed"

    run(tmp_path, story)


def test_a_checkpoint_comes_even_when_somebody_always_waits(tmp_path: Path) -> None:  # L15
    async def story(project: Project, ann: Client, files: _Watched) -> None:
        for client in "cd":
            _write_for_ever(project, Client(ann.road, client * 32), client)
        files.said = OVERDUE_PAGES + 1
        while not files.checkpoints:
            await project.mutate(ann.mutation(put("note", "a")))

    run(tmp_path, story)


def test_a_project_that_is_closing_begins_no_checkpoint(tmp_path: Path) -> None:  # L15
    paused = _Paused()

    async def story(project: Project, ann: Client, files: _Watched) -> None:
        answer = project.submit(ann.mutation(insert("note", "a")))
        await asyncio.to_thread(paused.written.wait)
        files.said = OVERDUE_PAGES + 1
        closing = asyncio.create_task(project.close())
        asyncio.get_running_loop().call_soon(paused.go_on.set)
        await closing
        assert (await answer, files.checkpoints, files.closed) == (Outcome("committed", 2), 0, True)

    run(tmp_path, story, paused)


def test_who_stops_waiting_takes_the_answer_from_nobody(tmp_path: Path) -> None:  # M29
    async def story(project: Project, ann: Client, files: _Watched) -> None:
        mutation = ann.mutation(insert("note", "a"))
        first, second = (asyncio.create_task(project.mutate(mutation)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == Outcome("committed", 2)

    run(tmp_path, story)


def test_the_answer_in_flight_is_for_its_own_user_only(tmp_path: Path) -> None:  # M19
    async def story(project: Project, ann: Client, files: _Watched) -> None:
        mutation = ann.mutation(insert("note", "a"))
        theft = Mutation("eve", mutation.body, mutation.id, body_hash=mutation.body_hash)
        mine, hers = project.submit(mutation), project.submit(theft)
        assert (await mine).kind == "committed"
        refusal = (await hers).refusal
        assert refusal is not None and refusal.code == "foreign_client"

    run(tmp_path, story)


class _Full(apsw.VFS):
    """A disk on which one file cannot grow."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.full = ""

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _FullFile(self, name, flags)


class _FullFile(apsw.VFSFile):
    def __init__(self, disk: _Full, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        self._disk, self._name = disk, Path(path).name

    def xWrite(self, data: Any, offset: int) -> None:
        if self._disk.full and self._disk.full == self._name:
            raise apsw.FullError("no room")
        super().xWrite(data, offset)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_where_data_db_has_no_room_it_follows_its_log_later(tmp_path: Path) -> None:  # L14
    disk = _Full("full")
    files = Databases(Files("full"), tmp_path, PROJECT)
    road = new_road(tmp_path, files=files)
    ann = Client(road)
    disk.full = "data.db-wal"
    assert ann.do(insert("note", "a", text="kept")) == Outcome("committed", 2)
    reader = files.data("read")
    assert reader.execute("SELECT count(*) FROM note").fetchall() == [(0,)]
    disk.full = ""
    assert ann.do(insert("note", "b")) == Outcome("committed", 3)
    assert reader.execute("SELECT text FROM note ORDER BY id").fetchall() == [("kept",), (None,)]
    reader.close()
    road.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_checkpoint_without_room_is_tried_again_later(tmp_path: Path) -> None:  # L14
    disk = _Full("cramped")
    files = Databases(Files("cramped"), tmp_path, PROJECT)
    road = new_road(tmp_path, files=files)
    ann = Client(road)
    ann.do(insert("note", "a", any="x" * (20 << 20)))
    disk.full = "data.db"
    assert road.checkpoint_due(False)
    road.checkpoint()
    assert not road.checkpoint_due(False) and (tmp_path / "data.db").stat().st_size < 1 << 20
    disk.full = ""
    ann.do(insert("note", "b"))
    assert road.checkpoint_due(False)
    road.checkpoint()
    assert (tmp_path / "data.db").stat().st_size > 20 << 20
    road.close()


def test_an_id_with_another_body_in_the_same_batch_is_told(tmp_path: Path) -> None:  # M19
    road = new_road(tmp_path)
    first, other = (Client(road).mutation(insert("note", "a", text=text)) for text in ("one", "two"))
    assert first.id == other.id == MutationId("b" * 32, 1)
    answers = road.travel([first, other]).answers
    assert answers[0] == Outcome("committed", 2) and isinstance(answers[1], Outcome)
    assert answers[1].refusal is not None and answers[1].refusal.code == "id_reused"
    road.close()


def test_a_client_keeps_its_count_however_many_others_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # M20
    monkeypatch.setattr("sharelite.sync.ids.MOST_CLIENTS", 2)
    road = new_road(tmp_path)
    ann, bob, eve = (Client(road, name * 32) for name in "abe")
    for client in (ann, bob):
        client.do(put("note", "x"))
    batch = [client.mutation(put("note", client.name)) for client in (ann, eve, ann)]
    assert all(isinstance(answer, Outcome) for answer in road.travel(batch).answers)
    road.close()


def test_large_mutations_do_not_travel_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # M34
    monkeypatch.setattr("sharelite.waiting.MOST_WAITING_BYTES", 25 << 20)

    async def story(project: Project, ann: Client, files: _Watched) -> None:
        large = [msgspec.structs.replace(ann.mutation(put("note", f"n{i}")), size=6 << 20) for i in range(7)]
        answers = [project.submit(large[0])]
        await asyncio.sleep(0)  # it has left
        answers += [project.submit(mutation) for mutation in large[1:6]]
        with pytest.raises(Unavailable, match="bytes"):
            project.submit(large[6])
        assert [answer.version for answer in await asyncio.gather(*answers)] == [2, 3, 4, 5, 6, 7]
        assert (await project.mutate(large[6])).version == 8

    run(tmp_path, story)
    reader = databases(tmp_path).log_reader()
    found: Any = reader.execute("SELECT count(*) FROM entries").fetchone()
    reader.close()
    assert found == (1 + 1 + 3 + 1,)


def test_what_comes_in_the_same_moment_is_one_batch(tmp_path: Path) -> None:  # M26
    async def story(project: Project, ann: Client, files: _Watched) -> None:
        answers = [project.submit(ann.mutation(put("note", f"n{number}"))) for number in range(3)]
        assert [answer.version for answer in await asyncio.gather(*answers)] == [2, 3, 4]
        assert project.position.seq == 2

    run(tmp_path, story)


def test_a_push_knows_its_size() -> None:  # M34
    raw = '{"type":"push","id":["' + "a" * 32 + '",1],"changes":[["d","note",["x"]]]}'
    assert decode_push(raw, "ann").size == len(raw)


def test_whoever_waits_for_a_slot_gathers_a_larger_batch(tmp_path: Path) -> None:  # M36
    async def told() -> None:
        paused = _Paused()
        with ThreadPoolExecutor(4) as pool:
            workers, projects, clients = Workers.of(pool, pool, 1), [], []
            for name, replicator in (("a", paused), ("b", None)):
                folder = tmp_path / name
                folder.mkdir()
                files = _Watched(Files(), folder, PROJECT)
                road = new_road(folder, files=files, replicator=replicator)
                projects.append(Project(road, files, workers, Contract.parse(SCENE), publisher(road, files, folder)))
                clients.append(Client(road))
            busy, other = projects
            first = busy.submit(clients[0].mutation(put("note", "x")))
            await asyncio.to_thread(paused.written.wait, 30)
            waiting = [other.submit(clients[1].mutation(put("note", f"row{number}"))) for number in range(5)]
            await asyncio.sleep(0)
            assert not any(future.done() for future in waiting) and clients[1].road.position.seq == 1
            paused.go_on.set()
            assert [(await future).version for future in waiting] == [2, 3, 4, 5, 6]
            assert clients[1].road.position.seq == 2 and (await first).version == 2
            for project in projects:
                await project.close()

    asyncio.run(asyncio.wait_for(told(), 60))


@given(st.integers(1, 3), st.lists(st.tuples(st.booleans(), st.integers(0, 5))))
def test_slots_are_never_too_many_and_nobody_waits_for_a_free_one(
    most: int, steps: list[tuple[bool, int]]
) -> None:  # M36
    slots, wants, has = Slots(most), set[int](), set[int]()

    class One:
        def __init__(self, number: int) -> None:
            self.number = number

        def go(self) -> None:
            if self.number in wants and slots.take(self.go):
                wants.discard(self.number)
                has.add(self.number)

    everybody = [One(number) for number in range(6)]
    for asks, number in steps:
        if asks and number not in has:
            wants.add(number)
            everybody[number].go()
        elif number in has:
            has.discard(number)
            slots.give_back()
        elif not asks:
            wants.discard(number)  # it is closed meanwhile, and does not take what it is offered
        assert len(has) <= most
        assert not wants or len(has) == most


@given(st.integers(1, 4), st.lists(st.integers(0, 9), max_size=60))
def test_a_crew_does_everything_once_in_turn_and_tells_all_though_one_fails(most: int, works: list[int]) -> None:
    told: list[tuple[int, Any, Any]] = []

    async def story() -> None:
        failures: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context["exception"]))
        with ThreadPoolExecutor(4) as pool:
            crew, begun, done = Crew(pool, most), [], asyncio.Event()

            def work(place: int, number: int) -> int:
                begun.append(place)
                return 10 // number

            def then(place: int, result: Any, problem: Any) -> None:
                told.append((place, result, problem))
                if len(told) == len(works):
                    done.set()
                if works[place] == 9:
                    raise ValueError(place)

            for place, number in enumerate(works):
                crew.run(work, place, number, then=partial(then, place))
            if works:
                await asyncio.wait_for(done.wait(), 30)
            assert len(failures) == works.count(9)
            assert sorted(begun) == list(range(len(works))) and (most > 1 or begun == sorted(begun))

    asyncio.run(story())
    for place, result, problem in told:
        assert (
            (result is None and type(problem) is ZeroDivisionError)
            if works[place] == 0
            else result == 10 // works[place]
        )
    assert len(told) == len(works)


class _News:
    """What a journey waits for: it is there now, comes on another thread, or has to be looked for."""

    seconds = 30.0

    def __init__(self, when: str, pool: ThreadPoolExecutor) -> None:
        self._when, self._pool = when, pool

    def then(self, go_on: Callable[[], None]) -> None:
        if self._when == "now":
            go_on()
        elif self._when == "soon":
            self._pool.submit(go_on)
            self._pool.submit(go_on)  # told twice it goes on once


def _sums(pool: ThreadPoolExecutor, waits: list[str], at_work: list[int], place: int) -> Journey[int]:
    for when in waits:
        assert place not in at_work, "two threads are on one journey"
        at_work.append(place)
        at_work.remove(place)
        yield _News(when, pool)
    return len(waits)


@given(st.integers(1, 3), st.integers(1, 3), st.lists(st.lists(st.sampled_from(["now", "soon"]), max_size=4)))
def test_journeys_come_to_their_ends_whatever_they_wait_for(most: int, prompt: int, works: list[list[str]]) -> None:
    told: dict[int, Any] = {}

    async def story() -> None:
        with ThreadPoolExecutor(most) as pool, ThreadPoolExecutor(2) as others:
            crew, done = Crew(pool, most, min(most, prompt)), asyncio.Event()

            def then(place: int, result: Any, problem: Any) -> None:
                assert place not in told
                told[place] = problem or result
                if len(told) == len(works):
                    done.set()

            at_work: list[int] = []
            for place, waits in enumerate(works):
                crew.run(_sums, others, waits, at_work, place, then=partial(then, place))
            if works:
                await asyncio.wait_for(done.wait(), 60)

    asyncio.run(story())
    assert told == {place: len(waits) for place, waits in enumerate(works)}


def test_a_journey_without_news_looks_again() -> None:
    async def story() -> None:
        with ThreadPoolExecutor(1) as pool:
            ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            crew = Crew(pool, 1)
            crew.run(_sums, pool, ["never"], [], 0, then=lambda result, problem: ended.set_result(result))
            assert await asyncio.wait_for(ended, 60) == 1

    asyncio.run(story())


def test_where_a_thread_is_stuck_in_something_long_another_one_helps() -> None:
    async def story() -> None:
        with ThreadPoolExecutor(2) as pool:
            freed, ended = threading.Event(), asyncio.Event()
            crew = Crew(pool, 2, prompt=1)
            crew.run(freed.wait, 60, then=lambda result, problem: ended.set() if result else None)
            crew.run(freed.set, then=lambda result, problem: None)
            await asyncio.wait_for(ended.wait(), 60)

    asyncio.run(story())


def test_who_went_before_the_end_leaves_no_error_in_the_log() -> None:
    told: list[dict[str, Any]] = []

    async def scene() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        waiting = Waiting()
        stays = waiting.join(Mutation("ann", Edit(())))
        waiting.join(Mutation("bob", Edit(())))
        waiting.fail(Unavailable("the project is being closed"))
        with pytest.raises(Unavailable):
            await stays

    asyncio.run(scene())
    gc.collect()
    assert told == []
