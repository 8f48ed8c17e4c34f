"""Simulated cells under every fault we can think of, and the proof that the simulation would notice."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from sharelite.cluster.raft.guard import Guard, Message, merged
from sharelite.cluster.raft.node import Node
from tests.raft_sim import Plan, Violation, Watched, World

SEEDS, PARTS = 600, 12


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_fault_loses_or_tears_anything(part: int) -> None:  # K12
    acked = crashes = 0
    for seed in range(part * SEEDS // PARTS, (part + 1) * SEEDS // PARTS):
        counts = World(seed).run().counts
        acked, crashes = acked + counts["acked"], crashes + counts["crashes"]
    assert acked > 1000 and crashes > 50


@pytest.mark.long
@pytest.mark.parametrize("part", range(100))
def test_no_fault_in_ten_thousand_worlds_loses_anything(part: int) -> None:  # K12
    for seed in range(10_000 + part * 100, 10_000 + (part + 1) * 100):
        World(seed).run()


def test_a_new_member_behind_slow_links_becomes_level_however_long_it_takes() -> None:  # K12
    """Of 10,000 worlds the one that was not level 20 s after its faults had ended: 15 entries in a round trip."""
    World(3980).run()


def test_a_world_can_be_run_again() -> None:
    for seed in (3, 17):
        first, second = World(seed).run(), World(seed).run()
        assert (first.counts, first._records) == (second.counts, second._records)


def rough(nodes: int = 3, **more: Any) -> Plan:
    """A world in which every kind of fault happens often."""
    usual = {
        "seconds": 9.0, "crash": 1.0, "power": 1.0, "cut": 1.0, "pause": 0.5, "delay": 0.15, "trim": 1.0,
        "change": 0.0, "load": 60.0, "batch": 200, "window": 20_000, "segment": 1500,
    }  # fmt: skip
    return Plan(nodes=nodes, **(usual | more))


class SpeaksBeforeSync(Guard):
    def before_vote(self) -> None:
        return None

    def before_ack(self) -> None:
        self.unsynced = getattr(self, "unsynced", 0) + 1
        if self.unsynced % 50 == 0:
            self._journal.sync()


class CountsVotesTwice(Guard):
    def first_vote(self, peer: str, term: int) -> bool:
        return True

    def _on_response_vote(self, peer: str, message: Message) -> None:
        self._core.receive(peer, message)
        self._core.receive(peer, message)


class CommitsWhatItDidNotCompare(Guard):
    def _take(self, peer: str, message: Message, verified: int, new: list[Any]) -> None:
        if not new and self._journal.last > verified:
            self._idle(peer, message, max(verified, message["commit_index"]))
        else:
            super()._take(peer, message, verified, new)


class NeverStepsDown(Guard):
    def lease_holds(self) -> bool:
        return True


class CutsWhatMatches(Guard):
    def take_entries(self, peer: str, message: Message) -> None:
        self._core.receive(peer, message)


class TakesEverySnapshot(Guard):
    def take_snapshot(self, peer: str, message: Message) -> None:
        self._core.receive(peer, self.shown_snapshot(message))


class LeaseWithoutSilence(Guard):
    def hears_a_leader(self) -> bool:
        return False


class ForgetsVotes(Watched):
    def set_vote(self, term: int, vote: str | None) -> None:
        self.term, self.vote = term, vote


CALM: dict[str, Any] = {"crash": 0.0, "power": 0.0, "pause": 0.0, "trim": 0.0, "delay": 0.001}
#: A guard without one rule, and a world in which that rule is needed often.
MUTANTS: list[tuple[type[Guard], dict[str, Any]]] = [
    (SpeaksBeforeSync, {"crash": 0.5, "cut": 0.3, "trim": 0.0, "delay": 0.02}),
    (CountsVotesTwice, {"crash": 0.3, "cut": 0.5}),
    (CommitsWhatItDidNotCompare, {**CALM, "cut": 1.0}),
    (NeverStepsDown, {**CALM, "cut": 1.0}),
    (CutsWhatMatches, {"crash": 0.3, "power": 0.5, "cut": 1.0}),
    (TakesEverySnapshot, {"crash": 0.3, "power": 0.5, "cut": 0.5, "trim": 3.0}),
    (LeaseWithoutSilence, {**CALM, "cut": 1.0, "load": 1.0}),
]


def noticed(node_class: type[Node], journal_class: type[Watched] = Watched, honest: bool = True, **plan: Any) -> str:
    """The first violation in some rough worlds; empty if there is none."""
    for seed in range(100):
        try:
            World(seed, rough(nodes=5 if seed % 3 == 2 else 3, **plan), node_class, journal_class, honest).run()
        except (Violation, AssertionError, KeyError, IndexError) as violation:
            return repr(violation)
    return ""


@pytest.mark.parametrize(("mutant", "plan"), MUTANTS)
def test_the_simulation_notices_a_guard_without_one_rule(mutant: type[Guard], plan: dict[str, Any]) -> None:
    class Unguarded(Node):
        guard_class = mutant

    assert noticed(Unguarded, **plan)


def test_the_simulation_notices_a_journal_that_forgets_its_vote() -> None:
    assert noticed(Node, ForgetsVotes)


class Bare(Guard):
    """No guard at all: PySyncObj's core as it is."""

    def outgoing(self, peer: str, message: Message) -> None:
        self._send(peer, message)

    def flush(self) -> None:
        self._journal.sync()

    def approved(self) -> bool:
        return True

    def lease_holds(self) -> bool:
        return self._core.leads()

    def incoming(self, peer: str, message: object) -> None:
        assert isinstance(message, dict)
        shown = (
            {**self.shown_snapshot(message), "commit_index": message["commit_index"]}
            if "snapshot" in message
            else message
        )
        self._core.receive(peer, shown)


class Stock(Node):
    guard_class = Bare


@pytest.mark.parametrize("honest", [True, False], ids=["synced", "never synced"])
def test_the_simulation_breaks_pysyncobj_as_it_is(honest: bool) -> None:
    """Killed only where the disk is as good as ours, without power where it is not synced, as the library does."""
    assert noticed(Stock, honest=honest, crash=0.5, power=0.0 if honest else 1.0, cut=0.5, delay=0.02, trim=0.0)


def test_the_lowest_way_back_counts() -> None:  # K13
    def back(index: int) -> Message:
        return {"next_node_idx": index, "reset": True, "success": False, "at": 1, "round": float(index)}

    def forth(index: int) -> Message:
        return {"next_node_idx": index, "reset": False, "success": True, "at": 1, "round": 0.0}

    assert [ack["next_node_idx"] for ack in merged([back(9), back(4), back(7)])] == [4]
    assert [ack["next_node_idx"] for ack in merged([forth(5), forth(8), back(9)])] == [8, 9]
    assert [ack["next_node_idx"] for ack in merged([back(4), forth(6)])] == [6]
