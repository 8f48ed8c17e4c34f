"""Replicas that differ: noticed, decided by the majority, fetched anew (SPEC K70 to K73)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sharelite.accord import Accord
from sharelite.cluster.agreement import Judgement, judge
from sharelite.project import Project
from tests.carrying import imported
from tests.cells import MemoryCell
from tests.company import Company, company
from tests.foreign_files import SAMPLE, small
from tests.roads import row_digest
from tests.test_cell_service import texts, write

X, Y, Z = b"x", b"y", b"z"


def word(*told: dict[int, bytes] | None, members: int = 3, seq: int | None = None) -> str:
    """What node a makes of what a, b, c ... say."""
    return judge("a", dict(zip("abcde", told, strict=False)), members, seq).word


def test_most_nodes_are_right() -> None:  # K70
    assert word({7: X}, {7: X}, {7: Y}) == "agrees"
    assert judge("a", {"a": {7: Y}, "b": {7: X}, "c": {7: X}}, 3) == Judgement("differs", frozenset("bc"))
    assert word({7: X}, {7: X}) == "agrees"
    assert word({7: X}, {7: Y}, {7: Y}, {7: X}, {7: X}, members=5) == "agrees"


def test_a_node_that_does_not_answer_may_tip_the_scales() -> None:  # K70
    assert word({7: X}, {7: Y}) == "undecided"
    assert word({7: X}) == "undecided"
    assert word(None, {7: X}) == "undecided"


def test_no_two_that_agree_are_nobody(  # K72
) -> None:
    assert word({7: X}, {7: Y}, {7: Z}) == "nobody"
    assert word({7: X}, {7: X}, {7: Y}, {7: Y}, {7: Z}, members=5) == "nobody"


def test_who_cannot_tell_or_lacks_entries_differs_from_two_that_agree() -> None:  # K70
    assert word(None, {7: X}, {7: X}) == "differs"
    assert word({6: X}, {6: X, 7: X}, {6: X, 7: X}, seq=7) == "differs"
    assert word({8: X}, {7: X}, {7: X}, seq=7) == "undecided"


def test_what_is_compared_is_the_newest_that_most_know() -> None:  # K70
    assert word({6: X, 7: Y}, {6: X, 7: Y}, {6: X}) == "agrees"
    assert word({1: X}, {2: X}, {3: X}) == "undecided"


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Company]:
    with company(tmp_path) as made:
        yield made


def eventually(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


async def doubts(accord: Accord) -> int:
    return len(accord._doubts) + accord.differing


def settled(cell: Company, node: str, project: str) -> None:
    """Until a node has nothing to repair, and has the project as another one has it."""
    other = "b" if node != "b" else "a"
    accord = cell.node(node).accord
    eventually(lambda: cell.run(node, doubts(accord)) == 0)
    for each in (node, other):
        answer = cell[each].http.get(f"/v1/projects/{project}?level=strict")
        assert answer.status_code == 200, answer.text
    assert digests(cell, node, project) == digests(cell, other, project)


def digests(cell: Company, node: str, project: str) -> tuple[Any, int]:
    async def look() -> tuple[Any, int]:
        async with cell.node(node).catalog.hold(project) as opened:
            return opened.position, opened._road.row_digest

    found: tuple[Any, int] = cell.run(node, look())
    return found


async def opened(cell: Company, node: str, project: str) -> Project:
    async with cell.node(node).catalog.hold(project) as found:
        return found


def spoil(cell: Company, node: str, project: str, *, log: bool) -> None:
    """Change a value in a replica beneath its feet, `log`: also where it could be made from again."""
    road: Any = cell.run(node, opened(cell, node, project))._road
    road._apply._connection.execute("UPDATE note SET text='bad' WHERE text='one'")
    road._apply.row_digest += 1
    if log:
        bodies = road._log._connection.execute("SELECT seq, body FROM entries").fetchall()
        for seq, body in bodies:
            road._log._connection.execute("UPDATE entries SET body=? WHERE seq=?", (body.replace(b"one", b"bad"), seq))


def test_a_follower_whose_rows_differ_makes_them_anew_from_its_log(cell: Company) -> None:  # K60
    project = cell.project()
    write(cell, "a", project, "one")
    texts(cell, "c", project, "?level=strict")
    spoil(cell, "c", project, log=False)
    write(cell, "a", project, "two", row="m", counter=2)
    settled(cell, "c", project)


@pytest.mark.parametrize("node", "bc")
def test_a_follower_whose_log_differs_as_well_is_fetched_anew(cell: Company, node: str) -> None:  # K70, K71
    project = cell.project()
    write(cell, "a", project, "one")
    texts(cell, node, project, "?level=strict")
    spoil(cell, node, project, log=True)
    write(cell, "a", project, "two", row="m", counter=2)
    eventually(lambda: (cell.folder / node / "projects" / project / "log.db.differed").exists())
    settled(cell, node, project)
    assert texts(cell, node, project) == ["one", "two"]
    assert row_digest(cell.folder / node / "projects" / project) == row_digest(cell.folder / "a/projects" / project)
    assert write(cell, node, project, "three", row="k", counter=3) == 4


def test_a_leader_that_differs_hands_over_and_is_fetched_anew(cell: Company) -> None:  # K70, K71
    project = cell.project()
    write(cell, "a", project, "one")
    (leader,) = [node for node in "abc" if cell.node(node).cell.leading]
    for node in set("abc") - {leader}:
        texts(cell, node, project, "?level=strict")
    spoil(cell, leader, project, log=True)
    write(cell, leader, project, "two", row="m", counter=2)
    eventually(lambda: (cell.folder / leader / "projects" / project / "log.db.differed").exists())
    eventually(lambda: not cell.node(leader).cell.leading)
    settled(cell, leader, project)
    assert texts(cell, leader, project) == ["one", "two"]
    assert write(cell, leader, project, "three", row="k", counter=3) == 4


def test_a_log_that_lacks_what_was_synced_is_noticed_and_fetched(cell: Company) -> None:  # K70
    project = cell.project()
    write(cell, "a", project, "one")
    texts(cell, "c", project, "?level=strict")
    road: Any = cell.run("c", opened(cell, "c", project))._road
    road._log._connection.execute("DELETE FROM entries WHERE version=2")
    road._log.position = road._log._position()
    write(cell, "a", project, "two", row="m", counter=2)
    eventually(lambda: (cell.folder / "c" / "projects" / project / "log.db.differed").exists())
    settled(cell, "c", project)
    assert texts(cell, "c", project) == ["one", "two"]


def test_where_all_differ_nobody_serves_and_all_say_so(cell: Company) -> None:  # K72
    project, other = cell.project(), cell.project()
    write(cell, "a", project, "one")
    for node in "bc":
        texts(cell, node, project, "?level=strict")
        spoil(cell, node, project, log=True)
    road: Any = cell.run("c", opened(cell, "c", project))._road
    for seq, body in road._log._connection.execute("SELECT seq, body FROM entries").fetchall():
        road._log._connection.execute("UPDATE entries SET body=? WHERE seq=?", (body.replace(b"bad", b"odd"), seq))
    write(cell, "a", project, "two", row="m", counter=2)
    for node in "abc":
        eventually(lambda node=node: cell[node].http.get("/readyz").status_code == 503)  # type: ignore[misc]
        eventually(lambda node=node: cell.node(node).accord.differing == 1)  # type: ignore[misc]
        assert "no two nodes" in cell[node].http.get("/readyz").text
        assert cell[node].http.get(f"/v1/projects/{project}/commits").status_code == 503
        assert "sharelite_cell_differing_projects 1.0" in cell[node].http.get("/metrics").text
    assert write(cell, "b", other, "three") == 2
    answer = choose(cell, "c", project, "a")
    assert answer.status_code == 200, answer.text
    for node in "bc":
        settled(cell, node, project)
    for node in "abc":
        eventually(lambda node=node: cell[node].http.get("/readyz").status_code == 200)  # type: ignore[misc]
        assert texts(cell, node, project, "?level=strict") == ["one", "two"]
    assert write(cell, "c", project, "three", row="k", counter=3) == 4
    assert (cell.folder / "c" / "projects" / project / "log.db.differed").exists()


def choose(cell: Company, at: str, project: str, node: str) -> Any:
    return cell[at].http.post("/v1/cluster", json={"choose": {"project": project, "node": node}})


def test_where_nodes_agree_there_is_nothing_to_choose(cell: Company) -> None:  # K72
    project = cell.project()
    write(cell, "a", project, "one")
    answer = choose(cell, "b", project, "c")
    assert answer.status_code == 409 and "nothing to choose" in answer.text
    assert cell["a"].http.post("/v1/cluster", json={"choose": {}}).status_code == 400
    assert texts(cell, "c", project, "?level=strict") == ["one"]


def test_a_node_whose_catalog_differs_ends_and_fetches_it_at_its_next_start(cell: Company) -> None:  # K73
    project = cell.project()
    ended: list[str] = []
    cell["c"].app.ended = ended.append
    own: Any = cell.node("c").catalog.own
    own._road._apply._connection.execute("UPDATE project SET name='bad'")
    own._road._apply.row_digest += 1
    rows = own._road._log._connection.execute("SELECT seq, body FROM entries WHERE version > 1").fetchall()
    for seq, body in rows:
        spoilt = body.replace(b"creating", b"cxeating").replace(b"ready", b"rexdy")
        own._road._log._connection.execute("UPDATE entries SET body=? WHERE seq=?", (spoilt, seq))
    later = cell["a"].project()
    eventually(lambda: ended != [])
    assert "fetches it anew" in ended[0]
    cell["c"].stop()
    del cell.serving["c"]
    cell.memory.restart("c")
    cell.start("c")
    for each in (project, later):
        assert cell["c"].http.get(f"/v1/projects/{each}?level=strict").status_code == 200
    assert (cell.folder / "c" / "catalog" / "log.db.differed").exists()


def test_nodes_that_have_left_do_not_count(tmp_path: Path) -> None:  # K70
    with MemoryCell(*"abcde").running() as memory:
        cell = Company(tmp_path, memory, "abcde")
        cell.start()
        try:
            project = cell.project()
            write(cell, "a", project, "one")
            first = next(node for node in "abcde" if cell.node(node).cell.leading)
            left = [node for node in "edcba" if node != first][:2]
            for node in left:
                assert cell[first].http.post("/v1/cluster", json={"remove": node}).status_code == 200
                cell.serving.pop(node).stop()
            wrong = next(node for node in cell.serving if node != first)
            texts(cell, wrong, project, "?level=strict")
            spoil(cell, wrong, project, log=True)
            write(cell, first, project, "two", row="m", counter=2)
            eventually(lambda: (cell.folder / wrong / "projects" / project / "log.db.differed").exists())
            eventually(lambda: cell.run(wrong, doubts(cell.node(wrong).accord)) == 0)
            assert texts(cell, wrong, project, "?level=strict") == ["one", "two"]
            cell.serving.pop(next(node for node in cell.serving if node not in (first, wrong))).stop()
            sample = small(tmp_path / "sample.db", SAMPLE)
            assert imported(cell[first].http, sample, "by file")["project"]
        finally:
            cell.stop()


def test_a_removal_that_broke_off_is_gone_on_with(cell: Company) -> None:  # K67
    first = next(node for node in "abc" if cell.node(node).cell.leading)
    gone = next(node for node in "abc" if node != first)
    eventually(lambda: gone in cell.node(first).catalog.nodes)
    cell.node(first).cell.port.remove(gone).result(60)
    assert cell[first].http.post("/v1/cluster", json={"remove": gone}).status_code == 200
    eventually(lambda: gone not in cell.node(first).catalog.nodes)
