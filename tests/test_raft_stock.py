"""The defects of PySyncObj 0.3.17 that were found by reading and by fuzzing, T1 to T13: each shown on the library as it
is, and gone behind our journal, guard and node.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pysyncobj.journal
import pytest
from pysyncobj import SyncObj, SyncObjConf, replicated
from pysyncobj.node import Node as StockPeer
from pysyncobj.transport import Transport

from sharelite.cluster.port import Member
from sharelite.cluster.raft import engine, members
from sharelite.cluster.raft.engine import WrongEngine
from sharelite.cluster.raft.guard import Message, Pace
from sharelite.cluster.raft.journal import Identity, Journal, JournalFailed, Sizes, Snapshot
from sharelite.cluster.raft.node import Node
from sharelite.cluster.raft.stream import Delivery, Records, Roles
from sharelite.errors import Damaged
from tests.raft_cells import PATIENCE, RealCell
from tests.raft_disk import MemoryDisk
from tests.raft_sim import FOLDER, NullPoller, clock

#: The library leaves files open when it reads them.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

NAMES = "abcde"
MEMBERS = [Member(name, 1, f"sim:{place}") for place, name in enumerate(NAMES, 1)]
B, C = "b.1", "c.1"


class Time:
    now = 100.0


@pytest.fixture(autouse=True)
def time() -> Iterator[Time]:
    logging.disable(logging.CRITICAL)
    moment = Time()
    with clock(lambda: moment.now):
        yield moment
    logging.disable(logging.NOTSET)
    while Stock.opened:
        Stock.opened.pop().destroy()


class Wire(Transport):  # type: ignore[misc]
    """A transport for the stock library that keeps what is sent."""

    def __init__(self) -> None:
        super().__init__(None, None, [])
        self.sent: list[Message] = []

    def send(self, node: Any, message: Message) -> bool:
        self.sent.append(message)
        return True


class Stock(SyncObj):  # type: ignore[misc]
    """The library as it is, driven by hand."""

    opened: ClassVar[list[Stock]] = []

    def __init__(self, others: str = "bc", journal: Path | None = None) -> None:
        self.wire = Wire()
        self.applied: list[int] = []
        conf = SyncObjConf(autoTick=False, journalFile=None if journal is None else str(journal))
        super().__init__(StockPeer("a"), [StockPeer(name) for name in others], conf, transport=self.wire)
        self._poller = NullPoller()
        self.opened.append(self)

    def hear(self, peer: str, message: Message) -> None:
        self._SyncObj__onMessageReceived(StockPeer(peer), message)

    @property
    def log(self) -> Any:
        return self._SyncObj__raftLog

    @replicated  # type: ignore[untyped-decorator]
    def apply(self, number: int) -> None:
        self.applied.append(number)
        if number < 0:
            raise ValueError("poison")


class Links:
    """Links for our node that keep what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []

    def attach(self, on_message: Any, on_up: Any, on_down: Any) -> None:
        self.hear = on_message
        self.up = on_up

    def send(self, peer: str, message: Message) -> None:
        self.sent.append((peer, message))

    def congested(self, peer: str) -> bool:
        return False

    def follow(self, found: tuple[Member, ...]) -> None:
        return None

    def close(self) -> None:
        return None

    def of(self, kind: str) -> list[Message]:
        return [message for _, message in self.sent if message["type"] == kind]


class Ours:
    """Our node `a`, driven by hand."""

    def __init__(self, disk: MemoryDisk | None = None, nodes: int = 3) -> None:
        self.disk = disk or MemoryDisk()
        self.links = Links()
        founders = members.pack(MEMBERS[:nodes])
        identity = Identity("cell", "a", 1)
        self.journal = Journal(self.disk, FOLDER, identity, Sizes(grow=0, keep=0), members.CONFIG, founders)
        self.node = Node(MEMBERS[0], self.journal, self.links, Pace(), random.Random(1), lambda: None)
        self.node._poller = NullPoller()
        for member in MEMBERS[1:nodes]:
            self.links.up(member.id)

    def hear(self, peer: str, message: Message) -> None:
        self.links.hear(peer, message)

    def follow(self, term: int, entries: list[Any], prev: int = 1, prev_term: int = 0, commit: int = 1) -> None:
        """A message of the leader b, and the answer to it."""
        self.hear(B, append(term, entries, prev, prev_term, commit))
        self.node.doTick()

    def lead(self, time: Time, voters: tuple[str, ...] = (B,)) -> None:
        time.now += 2
        self.node.doTick()
        for peer in (B, C, "d.1", "e.1"):
            self.hear(peer, {"type": "canvass_answer", "term": 0, "asked": self.node.term + 1, "granted": True})
        self.node.doTick()
        for peer in voters:
            self.hear(peer, {"type": "response_vote", "term": self.node.term})

    def ack(self, peer: str, index: int, at: int) -> None:
        ack = {"type": "next_node_idx", "next_node_idx": index + 1, "reset": False, "success": True, "at": at}
        self.hear(peer, {**ack, "round": 0.0})
        self.node.doTick()


def append(term: int, entries: list[Any], prev: int, prev_term: int, commit: int) -> Message:
    return {
        "type": "append_entries",
        "term": term,
        "commit_index": commit,
        "prevLogIdx": prev,
        "prevLogTerm": prev_term,
        "entries": entries,
        "round": 1.0,
    }


def entries(first: int, last: int, term: int, payload: bytes = b"\xc8x") -> list[tuple[bytes, int, int]]:
    return [(payload, index, term) for index in range(first, last + 1)]


def wants_vote(term: int) -> Message:
    return {"type": "request_vote", "term": term, "last_log_index": 9, "last_log_term": 9, "handed": False}


def test_t1_a_vote_outlives_a_power_loss(time: Time, tmp_path: Path) -> None:  # K18
    stock = Stock(journal=tmp_path / "journal")
    kept = shutil.copytree(tmp_path, tmp_path.parent / "kept")  # no sync follows: a power loss may leave just this
    stock.hear("b", wants_vote(5))
    again = Stock(journal=kept / "journal")
    again.hear("c", wants_vote(5))
    assert [stock.wire.sent[-1]["type"], again.wire.sent[-1]["type"]] == ["response_vote", "response_vote"]

    ours = Ours()
    time.now += 1
    ours.hear(B, wants_vote(5))
    ours.disk.lose_power(random.Random(1))
    restarted = Ours(ours.disk)
    time.now += 1
    restarted.hear(C, wants_vote(5))
    assert (len(ours.links.of("response_vote")), restarted.links.of("response_vote")) == (1, [])
    assert (restarted.node.term, restarted.journal.vote) == (5, B)


def test_t1b_a_torn_vote_is_not_taken_for_none(tmp_path: Path) -> None:  # K9
    stock = Stock(journal=tmp_path / "journal")
    stock.hear("b", wants_vote(5))
    meta = tmp_path / "journal.meta"
    meta.write_bytes(meta.read_bytes()[: meta.stat().st_size // 2])
    assert Stock(journal=tmp_path / "journal").log.getCurrentTerm() == 0

    disk = MemoryDisk()
    ours = Ours(disk)
    ours.journal.set_vote(5, B)
    ours.journal.add(b"\x01", 2, 5)
    ours.journal.sync()
    content = next(iter(disk.files.values()))
    content.now[content.now.index(b"b.1", 300)] ^= 1
    with pytest.raises(Damaged):
        Ours(disk)


def test_t2_a_peer_votes_once_and_strangers_not_at_all(time: Time) -> None:  # K18
    stock = Stock(others="bcde")
    stock._SyncObj__connectedNodes.add(StockPeer("b"))
    time.now += 5
    stock.doTick()
    for _ in range(2):
        stock.hear("b", {"type": "response_vote", "term": 1})
    assert stock._isLeader()

    ours = Ours(nodes=5)
    ours.lead(time, voters=(B, B, "stranger.1"))
    assert not ours.node._isLeader()
    ours.hear(C, {"type": "response_vote", "term": 1})
    assert ours.node._isLeader()


def test_t3_a_snapshot_commits_nothing_of_our_own(time: Time) -> None:  # K12
    stock = Stock()
    stock.hear("b", {**append(1, entries(2, 9, 1, b"\x00"), 1, 0, 1)})
    chunk = (b"part of a dump", True, False)
    stock.hear("c", {"type": "append_entries", "term": 2, "commit_index": 100, "serialized": chunk})
    assert stock.raftCommitIndex == 9

    ours = Ours()
    ours.follow(1, entries(2, 9, 1))
    late = {"type": "append_entries", "term": 2, "commit_index": 100, "round": 1.0, "snapshot": [1, 0, b"", b""]}
    ours.hear(C, late)
    assert (ours.node.commit, ours.journal.last) == (1, 9)
    ours.hear(C, {**late, "snapshot": [50, 2, b"m", ours.journal.members]})
    assert (ours.node.commit, ours.journal.last, ours.journal.snapshot.manifest) == (50, 50, b"m")


def test_t4_a_crash_between_snapshot_and_trim_loses_nothing() -> None:  # K12
    stock = Stock()
    for entry in entries(2, 20, 1, b"\x01"):
        stock.log.add(*entry)
    tenth, ninth = stock.log[9], stock.log[8]
    stock._SyncObj__serializer.deserialize = lambda: (None, tenth, ninth, [])
    stock._SyncObj__loadDumpFile(clearJournal=False)
    assert len(stock.log) == 2

    for step in range(1, 4):
        disk = MemoryDisk()
        ours = Ours(disk)
        ours.follow(1, entries(2, 20, 1), commit=20)
        disk.fail_at = disk.steps + step
        with pytest.raises(JournalFailed) if step < 3 else nothing():
            ours.journal.trim(10, b"m")
        disk.fail_at = None
        disk.lose_power(random.Random(step))
        assert [entry[1] for entry in Ours(disk).journal[1:]][-10:] == list(range(11, 21))


class nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def test_t5_what_was_acknowledged_is_not_cut_by_an_older_message() -> None:  # K12
    stock = Stock()
    stock.hear("b", append(1, entries(2, 62, 1, b"\x01"), 1, 0, 62))
    stock.hear("b", append(1, [], 12, 1, 12))
    assert stock.log[-1][1] == 12

    ours = Ours()
    ours.follow(1, entries(2, 62, 1), commit=62)
    ours.follow(1, [], prev=12, prev_term=1, commit=12)
    ours.follow(1, entries(13, 30, 1), prev=12, prev_term=1, commit=12)
    assert (ours.journal.last, ours.node.commit) == (62, 62)
    assert [ack["next_node_idx"] for ack in ours.links.of("next_node_idx")] == [63, 13, 31]


def test_t5_a_real_conflict_is_still_cut() -> None:  # K12
    ours = Ours()
    ours.follow(1, entries(2, 20, 1), commit=5)
    ours.follow(3, entries(10, 12, 3), prev=9, prev_term=1, commit=9)
    assert (ours.journal.last, ours.journal.last_term, ours.node.commit) == (12, 3, 9)


def test_t6_an_acknowledgement_counts_in_its_own_term_only(time: Time) -> None:  # K12
    stock = Stock()
    stock._SyncObj__connectedNodes.add(StockPeer("b"))
    time.now += 5
    stock.doTick()
    stock.hear("b", {"type": "response_vote", "term": 1})
    stock.hear("c", {"type": "next_node_idx", "next_node_idx": 50, "reset": False, "success": True})
    assert stock._SyncObj__raftMatchIndex[StockPeer("c")] == 49

    ours = Ours()
    ours.lead(time)
    ours.ack(C, ours.journal.last, at=0)
    ours.ack(C, ours.journal.last + 40, at=1)
    assert (ours.node.matched()[C], ours.node.commit) == (0, 1)
    ours.ack(C, ours.journal.last, at=1)
    assert ours.node.commit == ours.journal.last


def alone(stock: Stock, time: Time) -> Stock:
    """The leader of a cluster of one."""
    time.now += 5
    stock.doTick()
    stock.doTick()
    return stock


def test_t7_a_poisoned_record_does_not_make_a_node_deaf(time: Time) -> None:  # K7
    stock = alone(Stock(others=""), time)
    stock.apply(-1)
    stock.doTick()
    for _ in range(3):
        with pytest.raises(ValueError):
            stock.doTick()
    assert stock.applied == [-1, -1, -1]

    ours = Ours()
    delivery = Delivery(ours.node)
    ours.follow(1, entries(2, 3, 1, b"\xc8poison"), commit=3)
    told = delivery.take(1000)
    assert isinstance(told, Records) and [record[0] for record in told.records] == [2, 3]
    ours.follow(1, entries(4, 4, 1), prev=3, prev_term=1, commit=4)
    assert delivery.take(1000) is not None and delivery.take(1000) is None


def test_t8_a_callback_that_raises_does_not_apply_twice(time: Time, tmp_path: Path) -> None:  # K1
    def raises(*_: object) -> None:
        raise ValueError("of the caller")

    stock = alone(Stock(others=""), time)
    stock.apply(1, callback=raises)
    stock.doTick()
    with pytest.raises(ValueError):
        stock.doTick()
    stock.doTick()
    assert stock.applied == [1, 1]

    with RealCell(tmp_path, nodes=1) as cell:
        cell.write(b"first")
        future = cell.handles[0].propose(b"once")
        future.add_done_callback(raises)
        assert future.result(PATIENCE) == "committed"
        cell.write(b"last")
        assert cell.told[0].payloads.count(b"once") == 1


def test_t9_a_follower_answers_at_once_instead_of_forwarding_into_the_void(time: Time) -> None:  # K2
    stock = Stock()
    answered: list[Any] = []
    stock.hear("b", append(1, [], 1, 0, 1))
    stock.apply(1, callback=lambda *answer: answered.append(answer))
    for _ in range(50):
        time.now += 0.1
        stock.hear("b", append(1, [], 1, 0, 1))
        stock.doTick()
    assert answered == []

    ours = Ours()
    ours.follow(1, [])
    assert ours.node.propose([b"x"]) is None


def chunks(size: int) -> str:
    """Send one large entry of the stock library in pieces; what the other end makes of it."""
    leader, follower = Stock(), Stock()
    leader.log.add(b"\x01" + b"x" * size, 2, 0)
    leader._SyncObj__connectedNodes.add(StockPeer("b"))
    leader._SyncObj__raftNextIndex.update({StockPeer("b"): 2, StockPeer("c"): 2})
    leader._SyncObj__sendAppendEntries()
    try:
        for message in leader.wire.sent:
            if message.get("transmission") or message.get("entries"):
                follower.hear("a", message)
    except Exception as problem:
        return type(problem).__name__
    return "whole" if follower.log[-1][1] == 2 else "nothing"


def test_t10_entries_of_any_size_arrive() -> None:  # K1
    sizes = [*range(131_000, 131_080, 8), 65_536, 100_000]
    assert {chunks(size) for size in sizes} - {"whole"}

    for size in [*sizes, (1 << 20) - 1]:
        ours = Ours()
        ours.follow(1, [(b"\xc8" + b"x" * size, 2, 1)], commit=2)
        assert len(ours.journal.entry(2)[0]) == size + 1


def test_t11_a_first_entry_of_any_size_is_kept(tmp_path: Path) -> None:  # K8
    """0.3.14 could not; 0.3.17, which we pin, can."""
    Stock(journal=tmp_path / "journal").log.add(b"\x01" * 20_000, 2, 0)
    ours = Ours()
    ours.follow(1, [(b"\x01" * 20_000, 2, 1)])
    assert len(Ours(ours.disk).journal.entry(2)[0]) == 20_000


def test_t12_a_kill_inside_compaction_leaves_the_old_or_the_new_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # K8
    journal = pysyncobj.journal.FileJournal(str(tmp_path / "journal"))
    for index in range(1, 1001):
        journal.add(b"\x01", index, 1)
    plain, left = type(journal).add, [100]

    def add(self: Any, *entry: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        plain(self, *entry)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(type(journal), "add", add)
        journal.deleteEntriesTo(500)
    left_over = pysyncobj.journal.FileJournal(str(tmp_path / "journal"))
    assert len(left_over) < 500
    for one in (journal, left_over):
        one._destroy()

    for step in range(1, 8):
        disk = MemoryDisk()
        ours = Ours(disk)
        ours.follow(1, entries(2, 40, 1), commit=40)
        disk.fail_at = disk.steps + step
        try:
            ours.journal.install(Snapshot(500, 2, b"m", ours.journal.members))
        except JournalFailed:
            disk.fail_at = None
            disk.lose_power(random.Random(step))
        again = Ours(disk).journal
        assert (again.base, again.last) in ((1, 40), (500, 500))


def test_t13_nothing_is_acknowledged_before_it_is_synced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # K8
    synced: list[object] = []
    with monkeypatch.context() as patched:
        for name in ("fsync", "fdatasync"):
            patched.setattr(os, name, synced.append)
        patched.setattr(pysyncobj.journal.ResizableFile, "flush", synced.append)
        stock = Stock(journal=tmp_path / "journal")
        stock.hear("b", append(1, entries(2, 30, 1, b"\x01"), 1, 0, 30))
    assert (synced, stock.wire.sent[-1]["success"]) == ([], True)

    ours = Ours()
    ours.hear(B, append(1, entries(2, 30, 1), 1, 0, 1))
    assert (ours.journal.unsynced, ours.links.sent) == (True, [])
    ours.disk.fail_at = ours.disk.steps + 2
    with pytest.raises(JournalFailed):
        ours.node.doTick()
    assert ours.links.sent == []


def test_a_leader_that_hears_of_a_higher_term_steps_down(time: Time) -> None:  # K6
    ours = Ours()
    ours.lead(time)
    ours.ack(B, ours.journal.last, at=1)
    assert ours.node.established()
    ours.ack(C, 1, at=7)
    assert (ours.node._isLeader(), ours.node.term, ours.journal.vote) == (False, 7, None)


def test_lost_leadership_is_told_even_if_it_was_never_told_that_it_was_won(time: Time) -> None:  # K3
    ours = Ours()
    roles = Roles(ours.node, Delivery(ours.node))
    ours.node._on_role = roles.lost
    ours.lead(time)
    ours.ack(B, ours.journal.last, at=1)
    assert [role.leader for role in roles.take()] == [False]
    assert ours.node.propose([b"in flight"]) is not None
    time.now += 5
    ours.node.doTick()
    assert not ours.node._isLeader()
    assert [role.leader for role in roles.take()] == [False]
    assert list(roles.take()) == []


def test_whoever_hears_a_leader_votes_for_nobody(time: Time) -> None:  # K6
    ours = Ours()
    ours.follow(1, [])
    ours.hear(C, wants_vote(5))
    assert (ours.node.term, ours.links.of("response_vote")) == (1, [])
    time.now += 2
    ours.hear(C, wants_vote(5))
    assert len(ours.links.of("response_vote")) == 1


def test_another_pysyncobj_is_refused_with_a_sentence() -> None:  # K21
    engine.check()
    with pytest.raises(WrongEngine, match="0.3.16 is installed"):
        engine.check(version="0.3.16")

    class Renamed:
        def doTick(self, timeToWait: float) -> None:
            return None

    with pytest.raises(WrongEngine, match="it has no _SyncObj__applyLogEntries"):
        engine.check(Renamed)


def test_pickle_is_out_of_reach_in_a_raft_process() -> None:  # K21
    script = """
from sharelite.cluster.raft import engine
engine.disable_pickle()
import pysyncobj.pickle
import pysyncobj.journal
places = [(pysyncobj.pickle, name) for name in ("load", "loads", "dump", "dumps")]
for module, name in [*places, (pysyncobj.journal, "loads"), (pysyncobj.journal, "dumps")]:
    try:
        getattr(module, name)(b"")
    except RuntimeError as refused:
        print(refused)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.count("is not used here") == 6
