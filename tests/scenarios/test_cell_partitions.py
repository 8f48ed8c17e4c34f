"""A cell of real processes on a network that is cut in every way (SPEC K80 to K82): each node is a machine in a network
namespace of its own. Writers and listeners come to every node throughout, whoever it can reach."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.cell_story import Story, settled
from tests.cellular import Cellular, cellular, look
from tests.running import PATIENCE
from tests.spaces import Network, network

#: Seconds that a cut lasts, and after which a cell must take writes again (5 on a machine that has time).
SHORT, LONG = 1.0, 20.0
SOON = 15.0
FLAP = 0.2
pause = threading.Event()


@pytest.fixture
def wires() -> Iterator[Network]:
    with network("abc") as made:
        yield made


@pytest.fixture
def cell(tmp_path: Path, wires: Network) -> Iterator[Cellular]:
    with cellular(tmp_path, network=wires) as made:
        yield made


def leader_alone(wires: Network, cell: Cellular, story: Story, seconds: float) -> None:
    """It leads nobody; the others have a new leader soon."""
    leader = cell.leader().name
    wires.part(leader, others(cell, leader))
    replaced(cell, leader)
    assert story.until_acked(10) < SOON
    pause.wait(seconds)


def everybody_alone(wires: Network, cell: Cellular, story: Story, seconds: float) -> None:
    leader = cell.leader().name
    wires.part(*cell.nodes)
    replaced(cell, leader, by_nobody=True)
    assert [node.ask("GET", "/readyz")[0] for node in cell.nodes.values()] == [503] * len(cell.nodes)
    pause.wait(seconds)


def leader_is_not_heard(wires: Network, cell: Cellular, story: Story, seconds: float) -> None:
    leader = cell.leader().name
    wires.cut(leader, *others(cell, leader))
    replaced(cell, leader)
    assert story.until_acked(10) < SOON
    pause.wait(seconds)


def leader_hears_nobody(wires: Network, cell: Cellular, story: Story, seconds: float) -> None:
    """The others hear it still, so that nobody would take its place if it did not give up."""
    leader = cell.leader().name
    for other in others(cell, leader):
        wires.cut(other, leader)
    replaced(cell, leader)
    assert story.until_acked(10) < SOON
    pause.wait(seconds)


def one_way_between_two(wires: Network, cell: Cellular, story: Story, seconds: float) -> None:
    leader = cell.leader().name
    wires.cut(leader, others(cell, leader)[0])
    assert story.until_acked(10) < SOON
    pause.wait(seconds)


def flapping(wires: Network, cell: Cellular, story: Story, seconds: float) -> None:
    chance = random.Random(7)
    for _ in range(int(seconds / FLAP / 2)):
        name = chance.choice(list(cell.nodes))
        wires.part(name, others(cell, name))
        pause.wait(FLAP)
        wires.heal()
        pause.wait(FLAP)


Cut = Callable[[Network, Cellular, Story, float], None]
CUTS: tuple[Cut, ...] = (
    leader_alone, everybody_alone, leader_is_not_heard, leader_hears_nobody, one_way_between_two, flapping,
)  # fmt: skip


def replaced(cell: Cellular, leader: str, at: Sequence[str] = (), by_nobody: bool = False) -> None:
    """Until the nodes `at` (else: all other ones) have another leader, or know that there is none."""
    deadline = time.monotonic() + PATIENCE
    while True:
        told = [look(cell[other]) for other in at or others(cell, leader)]
        leads = {None if each is None else each["leads"] for each in told}
        if leads == {None} if by_nobody else not leads & {None, leader}:
            return
        assert time.monotonic() < deadline, leads
        pause.wait(0.05)


def others(cell: Cellular, name: str) -> str:
    return "".join(other for other in cell.nodes if other != name)


def cut_and_heal(wires: Network, cell: Cellular, cuts: Sequence[Cut], seconds: float) -> None:
    story = Story(cell, patience=1.5)
    with story.running():
        for cut in cuts:
            story.until_acked(10)
            cut(wires, cell, story, seconds)
            wires.heal()
            assert story.until_acked(5) < SOON
            settled(cell)
    story.check()
    cell.stop()
    story.check_files()


def two_and_three(wires: Network, cell: Cellular, story: Story, seconds: float) -> None:
    """The leader is on the smaller side: what came to it there is acknowledged by nobody."""
    leader = cell.leader().name
    rest = others(cell, leader)
    wires.part(leader + rest[0], rest[1:])
    replaced(cell, leader, [*rest[1:]])
    assert story.until_acked(10) < SOON
    pause.wait(seconds)


def three_and_two(wires: Network, cell: Cellular, story: Story, seconds: float) -> None:
    """The leader is on the larger side, and leads on."""
    leader = cell.leader().name
    rest = others(cell, leader)
    wires.part(leader + rest[:2], rest[2:])
    assert story.until_acked(10) < SOON
    assert cell.leader().name == leader
    pause.wait(seconds)


def two_one_two(wires: Network, cell: Cellular, story: Story, seconds: float) -> None:
    """Two cuts at once: no side has a majority."""
    leader = cell.leader().name
    rest = others(cell, leader)
    wires.part(leader + rest[0], rest[1], rest[2:])
    replaced(cell, leader, [*rest], by_nobody=True)
    pause.wait(seconds)


def a_ring(wires: Network, cell: Cellular, story: Story, seconds: float) -> None:
    """Everybody reaches its two neighbours only."""
    names = "".join(cell.nodes)
    for place, name in enumerate(names):
        near = {name, names[place - 1], names[(place + 1) % len(names)]}
        wires.cut(name, *(other for other in names if other not in near))
    assert story.until_acked(10) < SOON
    pause.wait(seconds)


FIVE_CUTS: tuple[Cut, ...] = (
    two_and_three, three_and_two, two_one_two, a_ring, leader_alone, leader_is_not_heard, one_way_between_two, flapping,
)  # fmt: skip


def five_cut_and_healed(folder: Path, cuts: Sequence[Cut], seconds: float) -> None:
    with network("abcde") as wires, cellular(folder, names="abcde", network=wires) as cell:
        cut_and_heal(wires, cell, cuts, seconds)


def test_five_nodes_lose_nothing_when_they_are_cut_in_two(tmp_path: Path) -> None:  # K80, K82
    five_cut_and_healed(tmp_path, (two_and_three, two_one_two), SHORT)


@pytest.mark.long
def test_five_nodes_lose_nothing_however_they_are_cut(tmp_path: Path) -> None:  # K80
    five_cut_and_healed(tmp_path, 2 * FIVE_CUTS, SHORT)


def test_nothing_is_lost_when_ways_are_cut(wires: Network, cell: Cellular) -> None:  # K80, K82
    cut_and_heal(wires, cell, CUTS, SHORT)


@pytest.mark.long
def test_nothing_is_lost_when_ways_are_cut_for_long(wires: Network, cell: Cellular) -> None:  # K80
    cut_and_heal(wires, cell, 5 * CUTS, LONG)


def backlog(wires: Network, cell: Cellular, megabytes: int) -> None:
    """A leader that was alone has what it could not commit, and lacks much of what the others did."""
    story = Story(cell, patience=1.5)
    leader = cell.leader().name
    with story.running():
        story.until_acked(10)
        wires.part(leader, others(cell, leader))
        assert story.until_acked(10) < SOON
        other = cell[others(cell, leader)[0]]
        for number in range(2 * megabytes):
            changes = [["i", "note", [f"large-{number}"], {"text": f"{number:08}" * 64_000}]]
            status, answer = other.ask("POST", f"/v1/projects/{story.project}/mutations", {"changes": changes})
            assert status == 200, answer
        wires.heal()
        assert story.until_acked(5) < SOON
        level(cell, story, leader)
    story.check()
    cell.stop()
    story.check_files()


def level(cell: Cellular, story: Story, name: str) -> None:
    """Until a node proves that it has everything: a strict read there waits for it."""
    cell[name].comes(f"/v1/projects/{story.project}?level=strict")


def test_a_leader_that_was_alone_is_level_again_behind_a_large_backlog(wires: Network, cell: Cellular) -> None:  # K81
    backlog(wires, cell, 8)


@pytest.mark.long
def test_a_leader_that_was_alone_is_level_again_behind_a_huge_backlog(wires: Network, cell: Cellular) -> None:  # K81
    backlog(wires, cell, 50)
