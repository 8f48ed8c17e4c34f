"""A cell of real processes under kill -9, stops and restarts (SPEC K64): nothing acknowledged is lost, nothing happens
twice, and what was seen happened in one order."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cell_story import Story, settled
from tests.cellular import Cellular, cellular
from tests.linear import INFINITE, Operation, linearizable

ROUNDS = 10
LONG_ROUNDS = 100


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cellular]:
    with cellular(tmp_path) as made:
        yield made


def victims(cell: Cellular, kind: str, chance: random.Random) -> list[str]:
    leader = cell.leader().name
    others = sorted(set(cell.nodes) - {leader})
    chance.shuffle(others)
    return {"leader": [leader], "follower": others[:1], "two": [leader, others[0]], "all": [leader, *others]}[kind]


def rounds(cell: Cellular, count: int, seed: int) -> None:
    chance = random.Random(seed)
    story = Story(cell)
    with story.running():
        for number in range(count):
            story.until_acked(20)
            kind = ("leader", "follower", "two", "all")[number % 4]
            down = victims(cell, kind, chance)
            for name in down:
                cell[name].kill()
            if len(down) == 1:
                assert story.until_acked(5) < 20
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


@pytest.mark.long
def test_nothing_is_lost_in_a_hundred_rounds(cell: Cellular) -> None:  # K64
    rounds(cell, LONG_ROUNDS, 2)


def test_a_leader_that_stands_still_is_replaced_and_answers_nothing_old(cell: Cellular) -> None:  # K65
    story = Story(cell)
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
