"""One suite over both bodies of the Replicator: alone, and a cell of three (SPEC K50, K51)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from sharelite import taking
from sharelite.cluster import cell as cells
from sharelite.cluster.alone import Alone
from sharelite.cluster.cell import Cell
from sharelite.errors import DiskFull, NotLeading, OutOfOrder, UnknownOutcome
from sharelite.founding import begin, open_road
from sharelite.model import Outcome
from sharelite.road import Road
from sharelite.schema.contract import Contract
from sharelite.storage.databases import Databases
from sharelite.storage.files import Files
from sharelite.sync import entry as entries
from tests.cells import MemoryCell
from tests.roads import EPOCH, PROJECT, SCENE, Client, code, delete, insert, one, put, row_digest, rows, update


class Body:
    """A place where roads run: `road` opens the node's road on its project."""

    def __init__(self, folder: Path, cell: MemoryCell | None) -> None:
        self.folder, self.cell = folder, cell
        self.nodes: dict[str, Cell] = {}
        self.roads: dict[str, Road] = {}
        for name in "abc" if cell else "":
            self.start(name)

    def start(self, name: str) -> None:
        assert self.cell is not None
        self.nodes[name] = node = Cell(self.cell.port(name))
        node.start()

    def road(self, name: str = "a") -> Road:
        """Opened, and level with what was delivered; the leader gives a new project its contract."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        files = Databases(Files(in_cell=self.cell is not None), folder, PROJECT)
        if self.cell is None:
            road = open_road(files, Alone(), {}, EPOCH)
        else:
            road = open_road(files, self.nodes[name], {}, EPOCH, self.nodes[name].lane(PROJECT))
            self.nodes[name].lane(PROJECT).wake = lambda: None
            road.take()
        if road.position.version == 0:
            begin(road, Contract.parse(SCENE), "ann")
        road.follow(Contract.parse(SCENE))
        self.roads[name] = road
        return road

    def follower(self, name: str, version: int) -> Road:
        """A follower's road that has taken everything up to a version."""
        lane, found = self.nodes[name].lane(PROJECT), self.roads.get(name)
        if found is None:
            wait_for(lambda: lane.next() is not None)
        road = found or self.road(name)
        wait_for(lambda: road.take() is not None and road.position.version >= version)
        return road

    def close(self) -> None:
        for road in self.roads.values():
            road.close()
        for node in self.nodes.values():
            node.stop()


def wait_for(condition: Any) -> None:
    pause = threading.Event()
    for _ in range(6000):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it never came")


@pytest.fixture(params=["alone", "cell"])
def body(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Body]:
    if request.param == "alone":
        made = Body(tmp_path, None)
        yield made
        made.close()
        return
    with MemoryCell("a", "b", "c").running() as cell:
        made = Body(tmp_path, cell)
        wait_for(lambda: made.nodes["a"].leading)
        yield made
        made.close()


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Body]:
    with MemoryCell("a", "b", "c").running() as memory:
        made = Body(tmp_path, memory)
        wait_for(lambda: made.nodes["a"].leading)
        yield made
        made.close()


def test_a_mutation_is_committed_with_the_next_version(body: Body) -> None:  # K51
    ann = Client(body.road())
    assert ann.do(insert("note", "n", text="hello")) == Outcome("committed", 2)
    assert ann.do(update("note", "n", text="bye")) == Outcome("committed", 3)
    assert rows(body.folder / "a", "SELECT text FROM note") == [("bye",)]


def test_an_id_has_one_effect_and_one_answer(body: Body) -> None:  # K51
    ann = Client(body.road())
    mutation = ann.mutation(insert("note", "n"))
    assert one(ann.road.travel([mutation])) == one(ann.road.travel([mutation])) == Outcome("committed", 2)
    refused = ann.mutation(insert("note", "n"))
    assert code(one(ann.road.travel([refused]))) == code(one(ann.road.travel([refused]))) == "exists"


def test_counters_are_taken_in_order(body: Body) -> None:  # K51
    late = Client(body.road(), start=3)
    (answer,) = late.road.travel([late.mutation(insert("note", "n"))]).answers
    assert isinstance(answer, OutOfOrder)


def test_a_batch_is_one_entry(body: Body) -> None:  # K51
    ann = Client(body.road())
    before = ann.road.position.seq
    ann.road.travel([ann.mutation(insert("note", str(number))) for number in range(5)])
    assert ann.road.position.seq == before + 1 and ann.road.position.version == 6


def test_what_was_answered_is_there_after_a_restart(body: Body) -> None:  # K51
    ann = Client(body.road())
    mutation = ann.mutation(insert("note", "n"))
    ann.road.travel([mutation])
    body.roads.pop("a").close()
    again = body.road()
    assert again.position.version == 2
    assert one(again.travel([mutation])) == Outcome("committed", 2)


def test_a_large_mutation_travels_in_parts(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:  # K52
    monkeypatch.setattr(entries, "PART", 2000)
    ann = Client(body.road())
    before = ann.road.position.seq
    assert ann.do(*[insert("note", f"{n:040}") for n in range(100)]) == Outcome("committed", 2)
    assert ann.road.position.seq > before + 3
    assert rows(body.folder / "a", "SELECT count(*) FROM note") == [(100,)]


def test_followers_have_the_same_rows(cell: Body, monkeypatch: pytest.MonkeyPatch) -> None:  # K51
    monkeypatch.setattr(entries, "PART", 2000)
    ann = Client(cell.road("a"))
    ann.do(insert("note", "n", text="hello"), insert("note.points", ("n", "p")))
    ann.do(*[put("note", f"{n:040}") for n in range(100)])
    assert code(ann.do(insert("note", "n"))) == "exists"
    for name in "bc":
        road = cell.follower(name, 3)
        while road.position.seq < ann.road.position.seq:
            came = threading.Event()
            cell.nodes[name].lane(PROJECT).when_news(came.set, lambda: True)
            assert came.wait(60)
            road.take()
        assert road.position == ann.road.position
        assert row_digest(cell.folder / name) == row_digest(cell.folder / "a") == road.row_digest


def test_an_answer_is_known_to_the_next_leader(cell: Body) -> None:  # K53
    ann = Client(cell.road("a"))
    mutation = ann.mutation(insert("note", "n"))
    assert one(ann.road.travel([mutation])) == Outcome("committed", 2)
    assert cell.cell is not None
    cell.cell.elect("b")
    wait_for(lambda: cell.nodes["b"].leading)
    road = cell.follower("b", 2)
    assert one(road.travel([mutation])) == Outcome("committed", 2)
    assert Client(road, start=2).do(insert("note", "m")) == Outcome("committed", 3)


def test_who_does_not_lead_takes_nothing(cell: Body) -> None:  # K53
    cell.road("a")
    road = cell.follower("b", 1)
    ben = Client(road)
    (answer,) = road.travel([ben.mutation(insert("note", "n"))]).answers
    assert isinstance(answer, NotLeading) and road.position.version == 1


def test_what_a_deposed_leader_had_on_its_way_is_unknown_and_nothing_of_it_stays(cell: Body) -> None:  # K53
    assert cell.cell is not None
    ann = Client(cell.road("a"))
    cell.follower("b", 1)
    cell.cell.hold()
    mutation = ann.mutation(insert("note", "n"))
    threading.Timer(0.2, cell.cell.elect, "b").start()
    (answer,) = ann.road.travel([mutation]).answers
    cell.cell.release()
    assert isinstance(answer, UnknownOutcome)
    wait_for(lambda: cell.nodes["b"].leading)
    ben = Client(cell.roads["b"], "c" * 32)
    assert ben.do(insert("note", "m")) == Outcome("committed", 2)
    assert one(cell.roads["b"].travel([mutation])) == Outcome("committed", 3)
    wait_for(lambda: ann.road.take() is not None and ann.road.position == cell.roads["b"].position)
    assert row_digest(cell.folder / "a") == row_digest(cell.folder / "b")


def test_an_entry_that_was_unknown_may_still_arrive_and_counts_once(
    cell: Body, monkeypatch: pytest.MonkeyPatch
) -> None:  # K53
    assert cell.cell is not None
    ann = Client(cell.road("a"))
    mutation = ann.mutation(insert("note", "n"))
    cell.cell.hold()
    monkeypatch.setattr(cells, "PATIENCE", 0.1)
    (answer,) = ann.road.travel([mutation]).answers
    monkeypatch.undo()
    assert isinstance(answer, UnknownOutcome)
    cell.cell.release()
    wait_for(lambda: ann.road.behind)
    assert ann.road.take().commits[0].version == 2
    assert one(ann.road.travel([mutation])) == Outcome("committed", 2)


def test_what_another_leader_did_first_supersedes_an_entry_and_it_is_rehearsed_again(cell: Body) -> None:  # K51
    assert cell.cell is not None
    ann = Client(cell.road("a"))
    road = cell.follower("b", 1)
    cell.cell.elect("b")
    wait_for(lambda: cell.nodes["b"].leading)
    assert Client(road, "c" * 32).do(insert("note", "m")) == Outcome("committed", 2)
    cell.cell.elect("a")
    wait_for(lambda: cell.nodes["a"].leading)
    lane, rehearse = cell.nodes["a"].lane(PROJECT), ann.road._rehearse
    seen, lane.next = lane.next, lambda: None  # type: ignore[method-assign]

    def rehearsed_too_early(mutations: Any) -> Any:
        made = rehearse(mutations)
        lane.next = seen  # type: ignore[method-assign]
        return made

    ann.road._rehearse = rehearsed_too_early  # type: ignore[method-assign]
    assert code(ann.do(insert("note", "m", text="mine"))) == "exists"
    assert ann.road.position.version == 2


def test_a_full_disk_at_a_follower_loses_nothing(cell: Body) -> None:  # K54
    ann = Client(cell.road("a"))
    road = cell.follower("b", 1)
    receive, road._log.receive = road._log.receive, _full  # type: ignore[assignment]
    ann.do(insert("note", "n"))
    wait_for(lambda: road.behind)
    with pytest.raises(Exception, match="disk is full"):
        road.take()
    road._log.receive = receive  # type: ignore[method-assign]
    road.take()
    assert road.position == ann.road.position


def test_a_replica_with_other_rows_makes_itself_anew(cell: Body) -> None:  # K60
    ann = Client(cell.road("a"))
    ann.do(insert("note", "n", text="hello"))
    road = cell.follower("b", 2)
    road._apply._connection.execute("UPDATE note SET text='other'")
    road._apply.row_digest += 1
    ann.do(insert("note", "m"))
    road = cell.follower("b", 3)
    assert row_digest(cell.folder / "b") == row_digest(cell.folder / "a")
    compared = cell.nodes["b"].lane(PROJECT).compared
    assert compared is not None and compared.mine == compared.stated


def _full(*_: Any) -> Any:
    raise apsw.FullError("full")


def behind(cell: Body, entries: int) -> tuple[Client, Road]:
    """Who writes at the leader, and a follower's road that has not taken what he wrote last."""
    ann = Client(cell.road("a"))
    ann.do(insert("note", "n", text="hello"))
    road = cell.follower("b", 2)
    for number in range(entries):
        ann.do(put("note", f"n{number % 7}", text=str(number)), delete("note", f"n{number % 5}"))
    lane = cell.nodes["b"].lane(PROJECT)
    wait_for(lambda: len(lane.several(entries)) == entries)
    return ann, road


@pytest.mark.parametrize("most", [1, 3, taking.MOST])
def test_what_waits_is_taken_together_and_comes_to_the_same(
    cell: Body, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:  # K90
    ann, road = behind(cell, 20)
    monkeypatch.setattr(taking, "MOST", most)
    arrival = road.take()
    assert [commit.version for commit in arrival.commits] == list(range(3, 23))
    assert (road.position, road.row_digest) == (ann.road.position, ann.road.row_digest)
    assert row_digest(cell.folder / "b") == road.row_digest and not road.behind
    lanes = [cell.nodes[name].lane(PROJECT) for name in "ab"]
    common = lanes[0].known().keys() & lanes[1].known().keys()
    assert len(common) >= 20 and all(lanes[0].known()[seq] == lanes[1].known()[seq] for seq in common)


def test_rows_that_differ_are_made_anew_before_what_waits_is_taken(cell: Body) -> None:  # K60, K90
    ann, road = behind(cell, 20)
    road._apply.row_digest ^= 1
    assert len(road.take().commits) == 20
    assert (road.position, road.row_digest) == (ann.road.position, ann.road.row_digest)
    assert list(cell.folder.glob("b/data.db.damaged-*"))


@pytest.mark.parametrize("name", ["log", "data"])
def test_what_waits_and_has_no_room_is_taken_when_there_is_some(cell: Body, name: str) -> None:  # K54, K90
    ann, road = behind(cell, 20)
    connection = (road._log if name == "log" else road._apply)._connection
    pages = connection.pragma("max_page_count")
    ann.do(*[put("note", f"large{n}", any="x" * 60_000) for n in range(20)])
    wait_for(lambda: len(cell.nodes["b"].lane(PROJECT).several(30)) >= 21)
    connection.pragma("max_page_count", connection.pragma("page_count"))
    with suppress(DiskFull):
        road.take()
    assert road.behind if name == "log" else road._apply.position.seq < road.position.seq
    connection.pragma("max_page_count", pages)
    road.take()
    road.hold(None)
    assert (road.position, road.row_digest) == (ann.road.position, ann.road.row_digest)
