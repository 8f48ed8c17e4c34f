"""A cell of real processes under kill -9, stops and restarts (SPEC K64): nothing acknowledged is lost, nothing happens
twice, and what was seen happened in one order."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from sharelite.storage.manifest import parse_name
from tests.cell_story import Story, settled
from tests.cellular import Cellular, cellular
from tests.linear import INFINITE, Operation, linearizable

ROUNDS = 10
LONG_ROUNDS = 100
#: What goes on while nodes are killed.
Beside = Callable[[Story], AbstractContextManager[object]]


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cellular]:
    with cellular(tmp_path) as made:
        yield made


def victims(cell: Cellular, kind: str, chance: random.Random) -> list[str]:
    leader = cell.leader().name
    others = sorted(set(cell.nodes) - {leader})
    chance.shuffle(others)
    return {"leader": [leader], "follower": others[:1], "two": [leader, others[0]], "all": [leader, *others]}[kind]


def rounds(cell: Cellular, count: int, seed: int, beside: Beside = nullcontext) -> None:
    chance = random.Random(seed)
    story = Story(cell)
    with story.running(), beside(story):
        for number in range(count):
            story.until_acked(20)
            kind = ("leader", "follower", "two", "all")[number % 4]
            down = victims(cell, kind, chance)
            for name in down:
                cell[name].kill()
            if len(down) == 1:
                story.until_acked(5)
            chance.shuffle(down)
            for name in down:
                cell[name].begin()
            for name in down:
                cell[name].wait()
            settled(cell)
    story.check()
    cell.stop()
    story.check_files()


def test_nothing_is_lost_when_nodes_are_killed(cell: Cellular) -> None:  # K64
    rounds(cell, ROUNDS, 1)


@contextmanager
def images_wanted(story: Story) -> Iterator[None]:
    """Somebody asks one node after the other for the database as it is now."""
    over, chance = threading.Event(), random.Random(6)

    def ask() -> None:
        while not over.wait(0.05):
            with suppress(OSError, HTTPException):
                chance.choice(list(story.cell.nodes.values())).ask("GET", f"/v1/projects/{story.project}/db")

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join()


def test_images_are_alike_when_nodes_are_killed_while_they_are_made(cell: Cellular) -> None:  # K76, I14
    rounds(cell, 4, 5, images_wanted)
    folder = cell["a"].data.parent
    names = [parse_name(path.name) for path in folder.glob("*/projects/*/images/*")]
    found = {(name.seq, name.hash) for name in names if name is not None}
    assert len(found) > 4 and len({seq for seq, _ in found}) == len(found)
    assert not list(folder.glob("*/projects/*/*.differed"))


@pytest.mark.long
def test_nothing_is_lost_in_a_hundred_rounds(cell: Cellular) -> None:  # K64
    rounds(cell, LONG_ROUNDS, 2)


def test_a_leader_that_stands_still_is_replaced_and_answers_nothing_old(cell: Cellular) -> None:  # K65
    story = Story(cell, patience=2.0)
    with story.running():
        story.until_acked(20)
        leader = cell.leader()
        leader.send(signal.SIGSTOP)
        try:
            story.until_acked(10)
            threading.Event().wait(3.0)
        finally:
            leader.send(signal.SIGCONT)
        story.until_acked(20)
        settled(cell)
    story.check()


def stand_still(cell: Cellular, turns: int, most: float, seed: int) -> None:
    """Leader and followers in turn stand still for a while, and go on as if nothing had been."""
    chance, story = random.Random(seed), Story(cell, patience=2.0)
    with story.running():
        for turn in range(turns):
            story.until_acked(10)
            (name,) = victims(cell, ("follower", "leader")[turn % 2], chance)
            cell[name].send(signal.SIGSTOP)
            try:
                assert story.until_acked(5) < 25
                threading.Event().wait(chance.uniform(1.0, most))
            finally:
                cell[name].send(signal.SIGCONT)
            story.until_acked(10)
            settled(cell)
    story.check()
    cell.stop()
    story.check_files()


def test_nodes_that_stand_still_for_a_while_lose_nothing(cell: Cellular) -> None:  # K65
    stand_still(cell, 2, 2.0, 3)


@pytest.mark.long
def test_nodes_that_stand_still_for_long_lose_nothing(cell: Cellular) -> None:  # K65
    stand_still(cell, 20, 30.0, 4)


def test_five_nodes_go_on_without_two(tmp_path: Path) -> None:  # K64
    with cellular(tmp_path, names="abcde") as five:
        story = Story(five)
        with story.running():
            story.until_acked(20)
            down = victims(five, "two", random.Random(5))
            for name in down:
                five[name].kill()
            assert story.until_acked(10) < 25
            five.start(*down)
            settled(five)
        story.check()
        five.stop()
        story.check_files()


def test_a_rolling_restart_fails_nobody_who_asks_again(cell: Cellular) -> None:  # K66
    story = Story(cell)
    with story.running():
        for name in "abc":
            story.until_acked(10)
            assert cell[name].ended_well()
            story.until_acked(5)
            cell.start(name)
            settled(cell)
    story.check()


def test_a_history_with_a_stale_read_is_noticed() -> None:  # K64
    write = [Operation(0, 1, "write", "a"), Operation(2, 3, "write", "b")]
    assert linearizable([*write, Operation(4, 5, "read", "b")])
    assert linearizable([*write, Operation(2.5, 2.6, "read", "a"), Operation(2.7, 2.8, "read", "b")])
    assert not linearizable([*write, Operation(4, 5, "read", "a")])
    assert not linearizable([*write, Operation(2.1, 2.2, "read", "b"), Operation(2.3, 2.4, "read", "a")])
    assert linearizable([write[0], Operation(2, INFINITE, "write", "b"), Operation(9, 10, "read", "a")])
