"""The journal of a cell's node: what was synced is there after anything, or the node refuses to start."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharelite.cluster.raft.disk import SystemDisk
from sharelite.cluster.raft.journal import Entry, Identity, Journal, JournalFailed, JournalForeign, Sizes, Snapshot
from sharelite.errors import Damaged
from tests.raft_disk import MemoryDisk

ME = Identity("cluster", "a", 1)
FOLDER = Path("/raft")
SMALL = Sizes(segment=2000, grow=512, cache=300, keep=0)
CONFIG = b"\x02"


def opened(disk: MemoryDisk, sizes: Sizes = SMALL, identity: Identity = ME) -> Journal:
    return Journal(disk, FOLDER, identity, sizes, CONFIG, b"abc")


def filled(disk: MemoryDisk, count: int, sizes: Sizes = SMALL) -> Journal:
    journal = opened(disk, sizes)
    for _ in range(count):
        add(journal, 1)
        journal.sync()
    return journal


def add(journal: Journal, term: int, payload: bytes | None = None) -> None:
    index = journal.last + 1
    journal.add(payload or b"p%d" % index * 10, index, term)


def entries(journal: Journal) -> list[Entry]:
    return list(journal[1:])


def test_what_was_synced_is_there_again_in_every_segment() -> None:  # K8
    disk = MemoryDisk()
    journal = filled(disk, 100)
    journal.set_vote(7, "b.1")
    assert len(disk.files) > 3
    again = opened(disk)
    assert entries(again) == entries(journal)
    assert (again.term, again.vote, again.last) == (7, "b.1", 101)


def test_what_was_not_synced_is_gone_after_a_kill() -> None:
    disk = MemoryDisk()
    journal = filled(disk, 3)
    add(journal, 1)
    assert opened(disk).last == 4


def test_a_torn_tail_is_cut_and_the_journal_goes_on() -> None:  # K8
    for seed in range(300):
        chance = random.Random(seed)
        disk = MemoryDisk()
        journal = filled(disk, chance.randint(0, 30))
        journal.set_vote(3, "c.1")
        kept = entries(journal)
        for _ in range(chance.randint(1, 20)):
            add(journal, 3)
        disk.fail_at = disk.steps + chance.randint(2, 4)
        with pytest.raises(JournalFailed):
            for _ in range(5):
                add(journal, 3)
                journal.sync()
        disk.fail_at = None
        disk.lose_power(chance)
        again = opened(disk)
        assert entries(again)[: len(kept)] == kept
        assert (again.term, again.vote) == (3, "c.1")
        add(again, 4)
        again.sync()
        assert entries(opened(disk)) == entries(again)


def test_a_flipped_bit_in_synced_data_is_refused_not_shortened() -> None:  # K9
    disk = MemoryDisk()
    journal = filled(disk, 60)
    journal.sync()
    last = sorted(disk.files)[-1]
    lengths = {name: len(bytes(content.now).rstrip(b"\0")) for name, content in disk.files.items()}
    refused = 0
    for name in sorted(disk.files):
        end = lengths[name] if name != last else lengths[name] - 200
        for at in range(0, end, 7):
            content = disk.files[name]
            content.now[at] ^= 0x10
            with pytest.raises((Damaged, JournalForeign)):
                opened(disk)
            content.now[at] ^= 0x10
            refused += 1
    assert refused > 500
    assert opened(disk).last == 61


def test_a_missing_segment_is_refused() -> None:  # K9
    disk = MemoryDisk()
    filled(disk, 100)
    del disk.files[sorted(disk.files)[1]]
    with pytest.raises(Damaged):
        opened(disk)


def test_a_journal_of_another_incarnation_is_refused() -> None:  # K10
    disk = MemoryDisk()
    filled(disk, 3)
    for other in (Identity("cluster", "a", 2), Identity("cluster", "b", 1), Identity("other", "a", 1)):
        with pytest.raises(JournalForeign):
            opened(disk, identity=other)


def test_after_a_failed_sync_nothing_is_tried_again() -> None:  # K11
    disk = MemoryDisk()
    journal = filled(disk, 3)
    disk.fail_at = disk.steps + 1
    add(journal, 1)
    with pytest.raises(JournalFailed):
        journal.sync()
    disk.fail_at = None
    with pytest.raises(JournalFailed):
        journal.sync()
    assert opened(disk).last == 4


def test_memory_holds_the_newest_payloads_only() -> None:
    disk = MemoryDisk()
    journal = filled(disk, 200)
    assert sum(len(payload) for payload in journal._recent) <= SMALL.cache
    assert journal.entry(5)[0] == b"p5" * 10
    assert [index for _, index, _ in journal.batch(10, 200)] == [10, 11, 12]


def test_a_payload_that_rotted_on_the_disk_is_not_handed_out() -> None:  # K9
    disk = MemoryDisk()
    journal = filled(disk, 200)
    content = disk.files[sorted(disk.files)[0]]
    content.now[content.now.index(b"p5p5")] ^= 1
    with pytest.raises(Damaged):
        journal.entry(5)


def test_a_trim_frees_whole_segments_and_keeps_who_the_members_are() -> None:
    disk = MemoryDisk()
    journal = filled(disk, 20)
    add(journal, 1, CONFIG + b"abcd")
    for _ in range(80):
        add(journal, 1)
        journal.sync()
    journal.commit = 90
    before = len(disk.files)
    journal.trim(80, b"manifest")
    assert len(disk.files) < before
    again = opened(disk)
    assert (again.snapshot, again.members) == (Snapshot(80, 1, b"manifest", b"abcd"), b"abcd")
    assert entries(again) == entries(journal)
    assert again.base <= 80 < again.last == 102


def test_a_segment_that_began_behind_a_cut_goes_on_from_the_cut() -> None:
    disk = MemoryDisk()
    journal = filled(disk, 100)
    journal.deleteEntriesFrom(50 - journal.base)
    for _ in range(60):
        add(journal, 2)
        journal.sync()
    journal.commit = journal.last
    journal.trim(journal.last, b"")
    again = opened(disk)
    assert (journal.base, journal.base_term) == (again.base, again.base_term)
    assert entries(again) == entries(journal)


def test_an_installed_snapshot_replaces_everything_or_nothing() -> None:
    count = 1
    while True:
        disk = MemoryDisk()
        journal = filled(disk, 50)
        before = entries(journal)
        disk.fail_at = disk.steps + count
        try:
            journal.install(Snapshot(500, 9, b"m", b"abx"))
        except JournalFailed:
            disk.fail_at = None
            disk.lose_power(random.Random(count))
            again = opened(disk)
            assert entries(again) == before or (again.base, again.last, again.members) == (500, 500, b"abx")
            count += 1
            continue
        again = opened(disk)
        assert (again.base, again.base_term, again.commit, again.members) == (500, 9, 500, b"abx")
        assert count > 3
        return


@given(st.lists(st.sampled_from(["add", "sync", "cut", "trim", "kill", "vote", "config"]), max_size=60), st.integers())
def test_any_life_of_a_journal_is_remembered(steps: list[str], seed: int) -> None:  # K8
    chance, disk = random.Random(seed), MemoryDisk()
    journal = opened(disk)
    for step in steps:
        if step in ("add", "config"):
            payload = CONFIG + b"%d" % chance.randint(0, 99) if step == "config" else b"x" * chance.randint(1, 400)
            add(journal, 1, payload)
        elif step == "cut" and journal.last > journal.commit:
            journal.deleteEntriesFrom(chance.randint(journal.commit + 1, journal.last) - journal.base)
        elif step == "trim":
            journal.sync()
            journal.setRaftCommitIndex(chance.randint(journal.commit, journal.last))
            journal.trim(chance.randint(journal.snapshot.index, journal.commit), b"m")
        elif step == "vote":
            journal.set_vote(journal.term + 1, "b.1")
        elif step == "sync":
            journal.sync()
        elif step == "kill":
            journal.sync()
            before, journal = journal, opened(disk)
            assert (entries(journal), journal.members) == (entries(before), before.members)
            assert (journal.base, journal.snapshot) == (before.base, before.snapshot)
            assert (journal.term, journal.vote) == (before.term, before.vote)


def test_real_files_hold_the_same(tmp_path: Path) -> None:  # K8
    journal = Journal(SystemDisk(), tmp_path / "raft", ME, SMALL, CONFIG, b"abc")
    for _ in range(100):
        add(journal, 2)
    journal.sync()
    for _ in range(100):
        add(journal, 2)
        journal.sync()
    found = entries(journal)
    journal.close()
    assert entries(Journal(SystemDisk(), tmp_path / "raft", ME, SMALL, CONFIG, b"abc")) == found
