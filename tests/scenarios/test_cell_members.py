"""Nodes that come, go, and come back with nothing (SPEC K62, K67)."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.cell_story import Story, settled
from tests.cellular import Cellular, NodeProcess, cellular, look, node_address


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cellular]:
    with cellular(tmp_path) as made:
        yield made


def test_a_wiped_node_comes_back_as_another_member(cell: Cellular) -> None:  # K62, K67
    story = Story(cell)
    with story.running():
        story.until_acked(30)
        leader = cell.leader().name
        victim = next(name for name in "abc" if name != leader)
        cell[victim].kill()
        shutil.rmtree(cell[victim].data)
        story.until_acked(10)
        cell.start(victim)
        settled(cell)
        story.until_acked(10)
    story.check()
    assert json.loads((cell[victim].data / "node.json").read_text())["incarnation"] == 2
    cell.stop()
    story.check_files()


def ready(node: NodeProcess) -> bool:
    try:
        return node.ask("GET", "/readyz")[0] == 200
    except (OSError, HTTPException):
        return False


def restored(cell: Cellular, story: Story, victim: NodeProcess) -> bool:
    """Start a node with the files that it had before more was acknowledged; whether it ended for that. A leader that
    was elected meanwhile does not know what was said to the one before."""
    victim.kill()
    older = shutil.copytree(victim.data, victim.data.with_name("older"), dirs_exist_ok=True)
    cell.start(victim.name)
    settled(cell)
    story.until_acked(20)
    settled(cell)
    victim.kill()
    shutil.rmtree(victim.data)
    older.rename(victim.data)
    victim.begin()
    pause = threading.Event()
    while victim.alive and not ready(victim):
        pause.wait(0.05)
    return not victim.alive


def test_a_node_that_was_restored_from_an_older_copy_harms_nobody(cell: Cellular) -> None:  # K23, K67
    story = Story(cell)
    with story.running():
        story.until_acked(20)
        victim = cell[next(name for name in "abc" if name != cell.leader().name)]
        while not restored(cell, story, victim):
            settled(cell)
        assert "this node has acknowledged entry" in victim.log.read_text()
        story.until_acked(10)
        shutil.rmtree(victim.data / "raft")
        cell.start(victim.name)
        settled(cell)
        story.until_acked(10)
    story.check()
    cell.stop()
    story.check_files()


def test_a_new_node_joins_while_others_write_and_another_may_leave(cell: Cellular) -> None:  # K67
    story = Story(cell)
    with story.running():
        story.until_acked(30)
        cell.addresses["d"] = node_address()
        cell.nodes["d"] = cell.made("d", joins=True)
        cell.start("d")
        settled(cell)
        assert {each["node"] for each in members(cell)} == set("abcd")
        leader = cell.leader().name
        leaves = next(name for name in "abc" if name != leader)
        assert cell["d"].ask("POST", "/v1/cluster", {"remove": leaves})[0] == 200
        cell[leaves].stop()
        del cell.nodes[leaves]
        settled(cell)
        assert {each["node"] for each in members(cell)} == set("abcd") - {leaves}
        story.until_acked(10)
    story.check()
    cell.stop()
    story.check_files()


def members(cell: Cellular) -> list[dict[str, object]]:
    told = look(cell.leader())
    assert told is not None
    found: list[dict[str, object]] = told["nodes"]
    return found


def test_leadership_is_handed_to_whoever_is_named_wherever_that_is_asked(cell: Cellular) -> None:  # K66
    for asked in ("leader", "heir", "third"):
        settled(cell)
        leader = cell.leader().name
        heir, third = sorted(set("abc") - {leader})
        place = {"leader": leader, "heir": heir, "third": third}[asked]
        status, answer = cell[place].ask("POST", "/v1/cluster", {"transfer": heir})
        assert (status, answer.get("leads")) == (200, heir), (asked, answer)
        assert cell.leader().name == heir


def test_what_cannot_be_changed_about_members_is_said(cell: Cellular) -> None:  # K17, K66
    leader = cell.leader().name
    settled(cell)
    for place in "abc":
        for wanted, why in (
            ({"transfer": "z"}, "no member z; the cell has a, b, c"),
            ({"transfer": leader}, f"node {leader} leads already"),
            ({"remove": "z"}, "no member z"),
            ({"remove": leader}, "transfer leadership first"),
        ):
            status, answer = cell[place].ask("POST", "/v1/cluster", wanted)
            assert status == 409 and why in answer["error"]["message"], (place, wanted, answer)
