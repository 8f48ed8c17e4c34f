"""The port of a cell: what an owner may rely on, whichever body is behind it."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from sharelite.cluster.port import RECORD_LIMIT, Member, MembershipRefused, NotLeader, Role
from sharelite.errors import TooLarge
from tests.cells import MemoryCell


class Listener:
    """An owner that remembers what it was told, in order."""

    def __init__(self, poison: bytes | None = None) -> None:
        self.told: list[Any] = []
        self.futures: list[tuple[str, Future[Any]]] = []
        self._poison = poison

    def on_record(self, index: int, term: int, payload: bytes) -> None:
        if payload == self._poison:
            raise ValueError("poison")
        self.told.append(payload)

    def on_role(self, role: Role) -> None:
        self.told.append(("leads" if role.leader else "follows", [future.done() for _, future in self.futures]))

    def on_manifest(self, index: int, term: int, manifest: bytes) -> None:
        self.told.append(("manifest", manifest))

    def on_failure(self, why: str) -> None:
        self.told.append(("failed", why))

    @property
    def records(self) -> list[bytes]:
        return [one for one in self.told if isinstance(one, bytes)]


def cell_of(*nodes: str) -> tuple[MemoryCell, list[Listener]]:
    cell = MemoryCell(*nodes)
    listeners = [Listener() for _ in nodes]
    for node, listener in zip(nodes, listeners, strict=True):
        cell.port(node).start(listener)
    cell.run()
    return cell, listeners


def test_everybody_hears_the_same_records_in_the_same_order() -> None:  # K1
    cell, listeners = cell_of("a", "b", "c")
    done = [cell.port("a").propose(b"%d" % number) for number in range(3)]
    assert not any(future.done() for future in done)
    cell.run()
    assert [future.result() for future in done] == ["committed"] * 3
    assert [listener.records for listener in listeners] == [[b"0", b"1", b"2"]] * 3


def test_a_follower_appends_nothing() -> None:  # K2
    cell, listeners = cell_of("a", "b", "c")
    refused = cell.port("b").propose(b"x")
    cell.run()
    assert refused.result() == "not_leader"
    assert [listener.records for listener in listeners] == [[], [], []]


def test_a_deposed_leader_hears_of_its_futures_first() -> None:  # K3
    cell, (first, second, _) = cell_of("a", "b", "c")
    cell.port("a").propose(b"kept")
    cell.hold()
    lost = cell.port("a").propose(b"lost")
    first.futures.append(("lost", lost))
    cell.elect("b")
    cell.run()
    assert lost.result() == "unknown"
    assert first.told[-1] == ("follows", [True])
    assert second.told[-2:] == [b"kept", ("leads", [])]


def test_a_restarted_node_hears_everything_behind_the_trim_again() -> None:  # K4
    cell, _ = cell_of("a", "b", "c")
    done = [cell.port("a").propose(b"%d" % number) for number in range(3)]
    cell.run()
    assert all(future.result() == "committed" for future in done)
    cell.port("a").trim(cell.log.records[1].index, b"two")
    again = Listener()
    cell.restart("c").start(again)
    cell.run()
    assert again.told[:2] == [("manifest", b"two"), b"2"]


def test_a_node_that_was_away_for_too_long_gets_the_manifest() -> None:  # K5
    cell, (_, _, third) = cell_of("a", "b", "c")
    cell.cut("c")
    cell.port("a").propose(b"0")
    cell.run()
    cell.port("a").trim(cell.log.last, b"one")
    cell.port("a").propose(b"1")
    cell.heal()
    cell.run()
    assert [one for one in third.told if one[0] != "follows"] == [("manifest", b"one"), b"1"]


def test_only_a_leader_with_a_majority_answers_a_barrier() -> None:  # K6
    cell, _ = cell_of("a", "b", "c")
    cell.port("a").propose(b"0")
    barrier = cell.port("a").read_barrier(True)
    cell.run()
    assert barrier.result() == cell.log.last
    cell.cut("b", "c")
    refused = cell.port("a").read_barrier(False)
    cell.run()
    with pytest.raises(NotLeader):
        refused.result()


def test_an_owner_that_raises_is_told_once_and_then_nothing() -> None:  # K7
    cell = MemoryCell("a", "b", "c")
    hurt = Listener(poison=b"1")
    for node, listener in (("a", Listener()), ("b", Listener()), ("c", hurt)):
        cell.port(node).start(listener)
    for number in range(3):
        cell.port("a").propose(b"%d" % number)
    cell.run()
    assert hurt.records == [b"0"]
    assert [one[0] for one in hurt.told[-1:]] == ["failed"]


def test_a_record_has_a_limit() -> None:  # K7
    cell, _ = cell_of("a")
    with pytest.raises(TooLarge):
        cell.port("a").propose(bytes(RECORD_LIMIT + 1))


def test_members_come_and_go() -> None:
    cell, listeners = cell_of("a", "b", "c")
    cell.port("a").propose(b"0")
    cell.port("a").add(Member("d", 1, "memory:4"))
    late = Listener()
    cell.port("d").start(late)
    cell.port("a").remove("b")
    cell.port("a").propose(b"1")
    cell.run()
    assert (late.records, listeners[1].records) == ([b"0", b"1"], [b"0"])
    with pytest.raises(MembershipRefused):
        cell.port("a").remove("a").result()


def test_leadership_can_be_handed_over() -> None:
    cell, (first, second, _) = cell_of("a", "b", "c")
    handed = cell.port("a").transfer()
    cell.run()
    assert handed.result() is None
    assert (cell.port("a").role.leader, cell.port("b").role.leader) == (False, True)


def test_with_threads_a_caller_may_wait() -> None:
    cell = MemoryCell("a", "b", "c")
    with cell.running():
        listeners = [Listener() for _ in "abc"]
        for node, listener in zip("abc", listeners, strict=True):
            cell.port(node).start(listener)
        assert cell.port("a").propose(b"x").result(30) == "committed"
