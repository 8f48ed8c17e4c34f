"""Real Raft processes: the port's promises, kill -9, members that come, go and come back wiped."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import msgspec
import pytest

from sharelite.cluster.port import RECORD_LIMIT, Member, MembershipRefused, NotLeader, Port, Proposal
from sharelite.cluster.raft.handle import Handle
from sharelite.cluster.raft.setup import Setup, SetupInvalid
from sharelite.errors import TooLarge, Unavailable
from tests.raft_cells import KEY, PATIENCE, RealCell, Told


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[RealCell]:
    with RealCell(tmp_path) as made:
        yield made


def other(cell: RealCell, *taken: int) -> int:
    return next(place for place in cell.members if place not in taken)


def test_everybody_hears_the_same_and_only_the_leader_appends(cell: RealCell) -> None:  # K1; K2
    leader = cell.leader()
    sent = [b"%d" % number for number in range(500)]
    done = [cell.handles[leader].propose(payload) for payload in sent]
    assert [future.result(PATIENCE) for future in done] == ["committed"] * 500
    assert cell.told[leader].payloads == sent
    assert cell.handles[other(cell, leader)].propose(b"no").result(PATIENCE) == "not_leader"
    cell.level(sent[-1])
    assert {tuple(told.payloads) for told in cell.told.values()} == {tuple(sent)}


def test_the_next_leader_is_told_so_after_everything_before_it(cell: RealCell) -> None:  # K3
    first = cell.leader()
    for number in range(50):
        cell.handles[first].propose(b"%d" % number)
    cell.write(b"last")
    cell.kill(first)
    del cell.handles[first]
    second = cell.leader()
    assert b"last" in cell.told[second].payloads
    cell.write(b"goes on")


def test_a_killed_node_hears_everything_again(cell: RealCell) -> None:  # K4
    cell.write(b"a")
    victim = other(cell, cell.leader())
    cell.kill(victim)
    cell.write(b"b")
    again = cell.start(victim)
    cell.level(b"b", victim)
    assert again.payloads == [b"a", b"b"]


def test_a_trim_is_told_first_at_a_start_and_kept_by_all(cell: RealCell) -> None:  # K4
    leader = cell.leader()
    for payload in (b"a", b"b", b"c"):
        cell.write(payload)
    upto = cell.told[leader].records[1][0]
    cell.handles[leader].trim(upto, b"manifest of b")
    assert cell.handles[leader].status().result(PATIENCE).trimmed == upto
    cell.handles[leader].stop()
    again = cell.start(leader)
    again.wait(lambda: b"c" in again.payloads)
    assert (again.manifests, again.payloads) == ([(upto, b"manifest of b")], [b"c"])


def test_a_node_that_joins_late_gets_the_manifest_and_what_follows(cell: RealCell) -> None:  # K5; K17
    leader = cell.leader()
    for _ in range(7):  # several segments, so that old ones really go
        done = [cell.handles[leader].propose(os.urandom(1000)) for _ in range(100)]
        assert {future.result(PATIENCE) for future in done} == {"committed"}
    upto = cell.told[leader].records[-1][0]
    cell.handles[leader].trim(upto, b"so far")
    assert cell.handles[leader].status().result(PATIENCE).first > 2
    late = cell.join()
    cell.handles[leader].add(cell.members[late]).result(PATIENCE)
    cell.write(b"after")
    cell.level(b"after", late)
    assert cell.told[late].manifests == [(upto, b"so far")]
    assert cell.told[late].payloads == [b"after"]


def test_members_come_and_go_one_change_at_a_time(cell: RealCell) -> None:  # K17
    leader = cell.leader()
    handle = cell.handles[leader]
    out = other(cell, leader)
    with pytest.raises(MembershipRefused):
        handle.remove(cell.members[leader].node).result(PATIENCE)
    with pytest.raises(MembershipRefused):
        handle.add(cell.members[out]).result(PATIENCE)
    with pytest.raises(NotLeader):
        cell.handles[out].remove(cell.members[leader].node).result(PATIENCE)
    handle.remove(cell.members[out].node).result(PATIENCE)
    cell.handles.pop(out).stop()
    assert len(handle.status().result(PATIENCE).members) == 2
    cell.write(b"with two")


def test_a_wiped_node_comes_back_as_another_member(cell: RealCell) -> None:  # K18
    leader = cell.leader()
    handle = cell.handles[leader]
    wiped = other(cell, leader)
    cell.write(b"before")
    cell.handles.pop(wiped).stop()
    back = cell.join(incarnation=2, node=cell.members[wiped].node)
    with pytest.raises(MembershipRefused, match="remove that one first"):
        handle.add(cell.members[back]).result(PATIENCE)
    handle.remove(cell.members[wiped].node).result(PATIENCE)
    handle.add(cell.members[back]).result(PATIENCE)
    cell.write(b"after")
    cell.level(b"after", back)
    assert cell.told[back].payloads == [b"before", b"after"]


def test_a_node_whose_files_were_rolled_back_takes_no_part(cell: RealCell) -> None:  # K23
    node, failure = other(cell, cell.leader()), None
    folder, older = cell.folder / cell.members[node].id, cell.folder / "older"
    while failure is None:  # a new leader does not know what was said to the one before
        shutil.rmtree(older, ignore_errors=True)
        told = rolled_back(cell, node, folder, older)
        told.wait(lambda told=told: told.failure is not None or b"after" in told.payloads[-1:])  # type: ignore[misc]
        failure = told.failure
    assert "has acknowledged entry" in failure and "as another member" in failure
    cell.handles.pop(node)
    cell.write(b"the others go on")


def rolled_back(cell: RealCell, node: int, folder: Path, older: Path) -> Told:
    """Start a node with files from before a write that it has acknowledged."""
    cell.write(b"before")
    cell.level(b"before", node)
    cell.handles.pop(node).stop()
    shutil.copytree(folder, older)
    cell.start(node)
    cell.write(b"after")
    cell.level(b"after", node)
    cell.handles.pop(node).stop()
    shutil.rmtree(folder)
    shutil.copytree(older, folder)
    return cell.start(node)


def test_a_journal_of_a_former_incarnation_is_refused(cell: RealCell) -> None:  # K10
    cell.write(b"x")
    victim = other(cell, cell.leader())
    cell.handles.pop(victim).stop()
    member = cell.members[victim]
    setup = cell.setup(victim)
    again = Handle(Setup(setup.folder, "cell", Member(member.node, 2, member.address), (), KEY))
    told = Told()
    again.start(told)
    told.wait(lambda: told.failure is not None)
    assert told.failure is not None and "is the journal of node" in told.failure
    again.stop()


def test_leadership_is_handed_over_without_losing_a_write(cell: RealCell) -> None:  # K19
    leader = cell.leader()
    heir = other(cell, leader)
    cell.write(b"before")
    cell.handles[leader].transfer(cell.members[heir].node).result(PATIENCE)
    assert cell.handles[leader].propose(b"no").result(PATIENCE) == "not_leader"
    cell.told[heir].wait(lambda: cell.handles[heir].role.leader)
    cell.write(b"after")
    with pytest.raises(MembershipRefused):
        cell.handles[heir].transfer("nobody").result(PATIENCE)


def test_questions_between_proposals_disturb_neither(cell: RealCell) -> None:  # K1
    leader = cell.leader()
    handle, told = cell.handles[leader], cell.told[leader]
    found: list[list[Future[Proposal]]] = []

    def ask(name: int) -> None:
        futures = []
        for number in range(200):
            futures.append(handle.propose(b"%d.%d" % (name, number)))
            handle.status()
        found.append(futures)

    threads = [threading.Thread(target=ask, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert {future.result(PATIENCE) for futures in found for future in futures} == {"committed"}
    for name in range(4):
        mine = [payload for payload in told.payloads if payload.startswith(b"%d." % name)]
        assert mine == [b"%d.%d" % (name, number) for number in range(200)]


def test_barriers_are_the_leaders_only_and_cover_what_was_acknowledged(cell: RealCell) -> None:  # K6
    leader = cell.leader()
    cell.write(b"x")
    newest = cell.told[leader].records[-1][0]
    for strict in (False, True):
        assert cell.handles[leader].read_barrier(strict).result(PATIENCE) >= newest
        with pytest.raises(NotLeader):
            cell.handles[other(cell, leader)].read_barrier(strict).result(PATIENCE)


def test_a_leader_without_a_majority_answers_no_barrier_and_says_unknown(cell: RealCell) -> None:  # K6
    leader = cell.leader()
    for place in cell.members:
        if place != leader:
            cell.kill(place)
    handle = cell.handles[leader]
    barrier, write = handle.read_barrier(True), handle.propose(b"never known")
    with pytest.raises(NotLeader):
        barrier.result(PATIENCE)
    assert write.result(PATIENCE) in ("unknown", "not_leader")
    assert not handle.role.leader


def test_an_owner_that_raises_ends_its_port(tmp_path: Path) -> None:  # K7
    class Poisoned(Told):
        def on_record(self, index: int, term: int, payload: bytes) -> None:
            raise ValueError("poison")

    with RealCell(tmp_path, nodes=1) as cell:
        cell.leader()
        cell.handles[0].stop()
        handle, told = Handle(cell.setup(0)), Poisoned()
        handle.start(told)
        told.wait(lambda: handle.role.leader)
        assert handle.propose(b"x").result(PATIENCE) == "unknown"
        told.wait(lambda: told.failure is not None)
        with pytest.raises(Unavailable):
            handle.status().result(PATIENCE)
        handle.stop()


def test_sizes_and_settings_are_checked_at_the_door(tmp_path: Path) -> None:  # K7
    with RealCell(tmp_path, nodes=1) as cell:
        with pytest.raises(TooLarge):
            cell.handles[0].propose(bytes(RECORD_LIMIT + 1))
        for wrong in ({"key": b"short"}, {"bind": "nowhere"}, {"founders": (Member("x", 1, "127.0.0.1:1"),)}):
            with pytest.raises(SetupInvalid):
                Handle(cell.setup(0, **wrong))


def test_a_port_in_use_and_a_damaged_journal_are_told_in_a_sentence(tmp_path: Path) -> None:  # K9; K11
    with RealCell(tmp_path, nodes=1) as cell:
        for _ in range(30):
            cell.write(b"x" * 100)
        second, told = Handle(msgspec.structs.replace(cell.setup(0), folder=tmp_path / "another")), Told()
        second.start(told)
        told.wait(lambda: told.failure is not None)
        assert told.failure is not None and "in use" in told.failure
        second.stop()
        cell.handles[0].stop()
        journal = next((tmp_path / cell.members[0].id).glob("*.journal"))
        content = bytearray(journal.read_bytes())
        content[600] ^= 1
        journal.write_bytes(content)
        damaged = cell.start(0)
        damaged.wait(lambda: damaged.failure is not None)
        assert damaged.failure is not None and "damaged after it was synced" in damaged.failure


def test_the_raft_process_dies_with_its_parent(tmp_path: Path) -> None:  # K20
    script = tmp_path / "serve.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys, time
            from pathlib import Path
            import os
            from tests.raft_cells import RealCell
            with RealCell(Path(sys.argv[1]), nodes=1) as cell:
                cell.leader()
                if os.fork() == 0:  # holds the pipe open, as a child of the server might
                    time.sleep(5)
                    os._exit(0)
                print(cell.handles[0].pid, flush=True)
                time.sleep(600)
            """
        )
    )
    paths = os.pathsep.join(sys.path)
    parent = subprocess.Popen(
        [sys.executable, script, tmp_path / "data"], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}
    )
    assert parent.stdout is not None
    with parent, open(f"/proc/{int(parent.stdout.readline())}/stat") as stat:
        parent.kill()
        gone = threading.Event()
        for _ in range(int(PATIENCE * 20)):
            try:
                stat.seek(0)
                if stat.read().split()[2] == "Z":
                    break
            except ProcessLookupError:
                break
            gone.wait(0.05)
        else:
            raise AssertionError("the Raft process lives on")


def test_a_leader_whose_serving_process_stands_still_hands_over(tmp_path: Path) -> None:  # K22
    with RealCell(tmp_path) as cell:
        first = cell.leader()
        blocked = threading.Event()

        def stand_still(index: int, term: int, payload: bytes) -> None:
            blocked.wait(PATIENCE)

        cell.told[first].on_record = stand_still  # type: ignore[method-assign]
        stuck = cell.handles.pop(first)
        stuck.propose(b"nobody takes this")
        second = cell.leader()
        assert second != first
        cell.write(b"goes on")
        blocked.set()
        stuck.stop()


def test_a_leader_whose_disk_is_full_ends_and_the_others_go_on(tmp_path: Path) -> None:  # K11
    with RealCell(tmp_path) as cell:
        cell.write(b"before")
        first = cell.leader()
        full = cell.handles.pop(first)
        assert full.pid is not None
        resource.prlimit(full.pid, resource.RLIMIT_FSIZE, (100, 100))
        lost = full.propose(b"no room")
        cell.told[first].wait(lambda: cell.told[first].failure is not None)
        assert "could not be written" in (cell.told[first].failure or "")
        assert lost.result(PATIENCE) in ("unknown", "committed")
        cell.write(b"after")
        again = cell.start(first)
        cell.level(b"after", first)
        assert again.payloads[0] == b"before"


def test_a_paused_leader_is_replaced_and_learns_of_it(tmp_path: Path) -> None:  # K6
    with RealCell(tmp_path) as cell:
        first = cell.leader()
        cell.write(b"before")
        paused = cell.handles.pop(first)
        assert paused.pid is not None
        os.kill(paused.pid, signal.SIGSTOP)
        stale, lost = paused.read_barrier(False), paused.propose(b"lost or not")
        cell.leader()
        cell.write(b"meanwhile")
        os.kill(paused.pid, signal.SIGCONT)
        with pytest.raises(NotLeader):
            stale.result(PATIENCE)
        assert lost.result(PATIENCE) in ("not_leader", "unknown")
        cell.level(b"meanwhile", first)
        cell.handles[first] = paused


class Writer(threading.Thread):
    """Writes numbered records through whoever leads, and remembers which were acknowledged."""

    def __init__(self, cell: RealCell, name: str) -> None:
        super().__init__(daemon=True)
        self._cell, self._prefix = cell, name.encode()
        self.acked: list[bytes] = []
        self.ending = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.ending.is_set():
            number += 1
            payload = b"%b:%d" % (self._prefix, number)
            if self._propose(payload) == "committed":
                self.acked.append(payload)
            else:
                self.ending.wait(0.02)

    def _propose(self, payload: bytes) -> Proposal:
        for handle in list(self._cell.handles.values()):
            if handle.role.leader:
                future: Future[Proposal] = handle.propose(payload)
                return future.result(PATIENCE)
        return "not_leader"


def kill_rounds(cell: RealCell, rounds: int, chance: random.Random) -> None:
    """Each round kills the leader, a follower, two or all; nothing acknowledged may be missing anywhere afterwards."""
    writers = [Writer(cell, name) for name in "abc"]
    for writer in writers:
        writer.start()
    for _ in range(rounds):
        before = sum(len(writer.acked) for writer in writers)
        leader = cell.leader()
        count = chance.choice((1, 1, 2, 3))
        victims = [leader] if chance.random() < 0.5 else []
        rest = [place for place in cell.members if place not in victims]
        victims += chance.sample(rest, count - len(victims))
        for victim in victims:
            pid = cell.handles[victim].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        for victim in chance.sample(victims, len(victims)):
            cell.told[victim].wait(lambda victim=victim: cell.told[victim].failure)  # type: ignore[misc]
            cell.start(victim)
        cell.write(b"round")
        assert sum(len(writer.acked) for writer in writers) >= before
    for writer in writers:
        writer.ending.set()
    for writer in writers:
        writer.join(PATIENCE)
    cell.write(b"the end")
    cell.level(b"the end")
    told = [one.payloads for one in cell.told.values()]
    assert told[0] == told[1] == told[2]
    missing = [payload for writer in writers for payload in writer.acked if payload not in set(told[0])]
    assert missing == []
    assert sum(len(writer.acked) for writer in writers) > 0


def test_kill_nine_of_any_number_of_nodes_loses_nothing(tmp_path: Path) -> None:  # K12
    with RealCell(tmp_path) as cell:
        kill_rounds(cell, 4, random.Random(4))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_rounds_of_kill_nine_lose_nothing(tmp_path: Path, seed: int) -> None:  # K12
    with RealCell(tmp_path) as cell:
        kill_rounds(cell, 10, random.Random(seed))


def test_the_handle_is_a_port(tmp_path: Path) -> None:
    port: Port = Handle(RealCell(tmp_path, nodes=1).setup(0))
    port.stop()
