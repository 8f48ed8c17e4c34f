"""The log, the ids and the way back after a crash (SPEC L, M18 to M25)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from sharelite.errors import Damaged, OutOfOrder, Unavailable
from sharelite.model import Outcome
from sharelite.road import Road
from sharelite.storage.databases import NEWEST
from sharelite.sync import digest
from sharelite.sync.entry import PART, decode, encode, join
from sharelite.sync.log import FIND_CLIENT, KEEP_MS, LAST, LAST_VERSION, VERSION_AT, Log, commits
from tests.roads import (
    PROJECT,
    SCENE,
    Client,
    code,
    databases,
    insert,
    new_road,
    one,
    put,
    reopened,
    row_digest,
    rows,
    update,
)


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    road = new_road(tmp_path)
    yield road
    road.close()


def _versions(folder: Path) -> list[int]:
    connection = databases(folder).log_reader()
    try:
        return [commit.version for commit in commits(connection, 0, 10_000, 1 << 30)]
    finally:
        connection.close()


def test_versions_follow_each_other_without_gaps(road: Road, tmp_path: Path) -> None:  # L3
    ann = Client(road)
    ann.do(insert("note", "a"))
    ann.do(insert("note", "a"))
    ann.do(update("note", "a", text="x"))
    road.travel([ann.mutation(put("note", f"k{i}", size=i)) for i in range(50)])
    assert _versions(tmp_path) == list(range(1, 54))


def test_a_database_behind_its_log_is_brought_forward(road: Road, tmp_path: Path) -> None:  # L2
    ann = Client(road)
    ann.do(insert("note", "a", text="one"))
    road.checkpoint()
    before = (tmp_path / "data.db").read_bytes()
    ann.do(update("note", "a", text="two"))
    wanted = road.row_digest, road.position
    road.close()
    (tmp_path / "data.db-wal").unlink()
    (tmp_path / "data.db").write_bytes(before)
    again = reopened(tmp_path)
    assert (again.row_digest, again.position) == wanted
    assert rows(tmp_path, "SELECT text FROM note") == [("two",)]
    again.close()


def test_a_database_that_its_log_does_not_lead_to_is_set_aside_and_made_anew(
    road: Road, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # L5
    Client(road).do(insert("note", "a", text="one"))
    road.close()
    connection = databases(tmp_path).data("apply")
    connection.execute('UPDATE "_sharelite" SET seq=? WHERE id=1', ((99).to_bytes(8, "big"),))
    connection.close()
    again = reopened(tmp_path)
    assert again.row_digest == row_digest(tmp_path)
    assert rows(tmp_path, "SELECT text FROM note") == [("one",)]
    assert list(tmp_path.glob("data.db.damaged-*")) and "rebuilding" in caplog.text
    again.close()


def test_a_row_written_behind_our_back_is_noticed_and_repaired(
    road: Road, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # L5
    ann = Client(road)
    ann.do(insert("note", "a", text="one", size=3))
    stranger = databases(tmp_path).data("apply")
    stranger.execute("UPDATE note SET text='forged' WHERE id='a'")
    stranger.close()
    with caplog.at_level(logging.ERROR):
        outcome = ann.do(update("note", "a", text="two"))
    assert outcome.kind == "committed"
    assert rows(tmp_path, "SELECT text, size FROM note") == [("two", 3.0)]
    assert road.row_digest == row_digest(tmp_path)


def test_a_batch_larger_than_the_cache_is_not_taken_for_somebody_elses_write(
    road: Road, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # L5
    """Its rehearsal used to spill into the write-ahead log, which it started over behind a checkpoint."""
    ann = Client(road)
    for turn in range(3):
        road.travel([ann.mutation(insert("note", f"{turn}-{n}", any="x" * 4000)) for n in range(900)])
        road.checkpoint()
    assert list(tmp_path.glob("data.db.damaged-*")) == [] and "rebuilding" not in caplog.text
    assert rows(tmp_path, "SELECT count(*) FROM note") == [(2700,)]


def test_a_damaged_database_file_is_made_anew(
    road: Road, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # L5
    Client(road).do(insert("note", "a", text="one"))
    road.close()
    for ending in ("-wal", "-shm"):
        (tmp_path / f"data.db{ending}").unlink()
    (tmp_path / "data.db").write_bytes(b"no database at all" * 1000)
    again = reopened(tmp_path)
    assert rows(tmp_path, "SELECT text FROM note") == [("one",)]
    again.close()


def test_the_log_of_another_project_is_refused(road: Road, tmp_path: Path) -> None:  # L9
    road.close()
    stranger = databases(tmp_path)
    stranger.project = "c" * 32
    with pytest.raises(Damaged, match=PROJECT):
        Log(stranger.log(), stranger.project, "", "log.db")
    stranger.close()


def test_a_large_entry_travels_in_parts_and_takes_effect_with_the_last(road: Road, tmp_path: Path) -> None:  # L4
    ann = Client(road)
    text = "x" * (PART // 4)
    free = {**SCENE["properties"]["note"]["items"]["properties"], "any": {"type": "string"}}
    assert "any" in free
    outcome = ann.do(*[insert("note", f"n{i}", any=text + str(i)) for i in range(12)])
    assert outcome.kind == "committed"
    kinds = databases(tmp_path).log_reader()
    records: Any = kinds.execute("SELECT kind, version FROM entries ORDER BY seq").fetchall()
    kinds.close()
    assert [kind for kind, _ in records].count("part") > 2
    assert [version for kind, version in records if kind == "part"][:-1] == [None] * (len(records) - 2)
    wanted = road.row_digest
    road.close()
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"data.db{ending}").unlink()
    again = reopened(tmp_path)
    assert again.row_digest == wanted and _versions(tmp_path) == [1, 2]
    again.close()


@pytest.mark.parametrize("kind", ["commits", "part"])
def test_a_commit_that_is_not_what_was_written_is_shown_to_nobody(road: Road, tmp_path: Path, kind: str) -> None:
    # L26
    many = 12 if kind == "part" else 1
    Client(road).do(*[insert("note", f"n{i}", any="x" * (PART // 4)) for i in range(many)])
    log = apsw.Connection(str(next(tmp_path.rglob("log.db"))))
    log.execute("UPDATE entries SET body=CAST(replace(body, 'xxx', 'yyy') AS BLOB) WHERE seq=2")
    assert log.execute("SELECT kind FROM entries WHERE seq=2").get == kind
    reader = databases(tmp_path).log_reader()
    assert [commit.version for commit in commits(reader, 0, 1, 1)] == [1]
    with pytest.raises(Damaged, match="entry 2 is not what was written"):
        commits(reader, 1, 10, 1 << 20)


def test_parts_out_of_order_are_refused() -> None:  # L4
    entry = msgspec.convert({"seq": 5, "base_version": 0, "at": 0, "commits": [], "outcomes": []}, type=_entry_type())
    big = msgspec.structs.replace(entry, commits=(_commit(b"x" * (2 * PART + 10)),))
    bodies = [record.body for record in encode(big)]
    assert decode(join(bodies)) == big
    with pytest.raises(ValueError, match="part"):
        join([bodies[1], bodies[0], *bodies[2:]])
    with pytest.raises(ValueError, match="part"):
        join(bodies[:-1])


def _entry_type() -> Any:
    from sharelite.sync.entry import Entry

    return Entry


def _commit(json: bytes) -> Any:
    from sharelite.model import EncodedCommit

    return EncodedCommit(1, json)


def test_the_log_digest_is_a_chain_over_the_entries(road: Road, tmp_path: Path) -> None:  # L7
    Client(road).do(insert("note", "a"))
    reader = databases(tmp_path).log_reader()
    chained = digest.START
    for body, kept in reader.execute("SELECT body, digest FROM entries ORDER BY seq").fetchall():
        chained = digest.chain(chained, bytes(body))  # type: ignore[arg-type]
        assert chained == kept
    reader.close()
    assert road.position.digest == chained


class _Full:
    """A replicator whose disk is full once."""

    def __init__(self) -> None:
        self.full = False

    def replicate(self, log: Log, records: Any, entry: Any) -> Any:
        if self.full:
            self.full = False
            raise apsw.FullError("disk full")
        log.append(records, entry)
        return "committed"


def test_on_a_full_disk_nothing_is_written_and_the_same_id_may_be_sent_again(tmp_path: Path) -> None:  # L8
    replicator = _Full()
    road = new_road(tmp_path, replicator=replicator)
    mutation = Client(road).mutation(insert("note", "a"))
    replicator.full = True
    with pytest.raises(Unavailable, match="disk is full"):
        road.travel([mutation])
    assert one(road.travel([mutation])) == Outcome("committed", 2)
    road.close()


class _Superseded:
    """A replicator whose base moves once under every entry."""

    def __init__(self) -> None:
        self.calls = 0

    def replicate(self, log: Log, records: Any, entry: Any) -> Any:
        self.calls += 1
        if self.calls == 2:
            return "superseded"
        log.append(records, entry)
        return "committed"


def test_a_superseded_batch_is_rehearsed_again_with_the_same_ids(tmp_path: Path) -> None:  # M18
    road = new_road(tmp_path, replicator=_Superseded())
    assert Client(road).do(insert("note", "a")) == Outcome("committed", 2)
    assert _versions(tmp_path) == [1, 2]
    road.close()


def test_a_mutation_sent_again_has_its_one_effect_and_answer(road: Road, tmp_path: Path) -> None:  # M18
    ann = Client(road)
    good, bad = ann.mutation(insert("note", "a")), ann.mutation(insert("note", "a"))
    first = road.travel([good, bad]).answers
    assert road.travel([good, bad]).answers == first
    road.close()
    again = reopened(tmp_path)
    assert again.travel([bad, good]).answers == (first[1], first[0])
    assert again.position.version == 2
    again.close()


def test_an_id_sent_again_with_another_body_is_refused_and_keeps_its_outcome(road: Road) -> None:  # M19
    ann = Client(road)
    good = ann.mutation(insert("note", "a"))
    road.travel([good])
    other = msgspec.structs.replace(good, body_hash=b"another")
    assert code(one(road.travel([other]))) == "id_reused"
    assert one(road.travel([good])) == Outcome("committed", 2)


def test_a_client_id_belongs_to_its_first_user(road: Road) -> None:  # M19
    Client(road, user="ann").do(insert("note", "a"))
    mallory = Client(road, user="mallory", start=2)
    assert code(mallory.do(insert("note", "b"))) == "foreign_client"


def test_a_gap_in_the_counters_is_not_judged(road: Road) -> None:  # M20
    ann = Client(road)
    first, second, third = (ann.mutation(insert("note", name)) for name in "abc")
    answers = road.travel([first, third]).answers
    assert isinstance(answers[1], OutOfOrder) and answers[1].expected == 2
    assert [one(road.travel([m])).version for m in (second, third)] == [3, 4]


def test_a_refusal_consumes_its_counter(road: Road) -> None:  # M21
    ann = Client(road)
    bad, good = ann.mutation(insert("note", "a", size=-1)), ann.mutation(insert("note", "a"))
    answers = road.travel([bad, good]).answers
    assert isinstance(answers[0], Outcome) and code(answers[0]) == "invalid"
    assert answers[1] == Outcome("committed", 2)


def test_outcomes_are_kept_thirty_days_and_the_last_thousand(road: Road, tmp_path: Path) -> None:  # M24
    ann = Client(road)
    early = [ann.mutation(put("note", "a", size=i % 50)) for i in range(1200)]
    road.travel(early)
    road.close()
    files = databases(tmp_path)
    connection = files.log()
    connection.execute("UPDATE outcomes SET at=at-?", (KEEP_MS + 1000,))
    files.close()
    again = reopened(tmp_path)
    bob = Client(again, name="d" * 32)
    for _ in range(4100):
        again.travel([bob.mutation(put("note", "b", size=1))])
    assert code(one(again.travel([early[0]]))) == "expired_id"
    assert one(again.travel([early[1100]])).kind in ("committed", "settled")
    again.close()


@pytest.mark.parametrize(
    "question", [LAST, LAST_VERSION, NEWEST, VERSION_AT.replace("?", "1"), FIND_CLIENT.replace("?", "'a'")]
)
def test_what_opening_asks_of_the_log_is_never_the_whole_of_it(road: Road, tmp_path: Path, question: str) -> None:  # L2
    connection = databases(tmp_path).log_reader()
    plan: Any = connection.execute(f"EXPLAIN QUERY PLAN {question}").fetchall()
    connection.close()
    told = " ".join(detail for *_, detail in plan)
    assert "TEMP B-TREE" not in told and ("SEARCH" in told or "LIMIT 1" in question), told


def test_every_connection_reads_its_pragmas_back(tmp_path: Path, road: Road) -> None:  # L10
    for role in ("rehearse", "apply", "read"):
        connection = databases(tmp_path).data(role)
        assert (connection.pragma("wal_autocheckpoint"), connection.pragma("secure_delete")) == (0, 1)
        assert connection.pragma("foreign_keys") == int(role == "rehearse")
        connection.close()


def test_a_file_with_another_page_size_is_refused(tmp_path: Path) -> None:  # L10
    connection = apsw.Connection(str(tmp_path / "data.db"))
    connection.execute("PRAGMA page_size=8192; CREATE TABLE t(x)")
    connection.close()
    with pytest.raises(Damaged, match="page_size"):
        databases(tmp_path).data("apply")


def test_reading_commits_costs_nothing_for_the_refusals_between_them(road: Road, tmp_path: Path) -> None:  # L16
    ann = Client(road)
    ann.do(insert("note", "a"))
    for _ in range(200):
        ann.do(insert("note", "a"))
    ann.do(insert("note", "b"))
    steps = 0
    reader = databases(tmp_path).log_reader()

    def note(_: Any, row: Any) -> Any:
        nonlocal steps
        steps += 1
        return row

    reader.row_trace = note
    assert [commit.version for commit in commits(reader, 0, 10, 1 << 20)] == [1, 2, 3]
    assert steps == 3
    reader.close()


def test_a_clean_close_leaves_nothing_to_read_again(road: Road, tmp_path: Path) -> None:  # L2
    ann = Client(road)
    road.travel([ann.mutation(put("note", f"n{i}", size=1)) for i in range(100)])
    assert (tmp_path / "log.db-wal").stat().st_size > 0
    road.close()
    assert [(tmp_path / f"{name}.db-wal").stat().st_size for name in ("data", "log")] == [0, 0]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/srv/secret/data/projects/ab/log.db", "projects/ab/log.db"),
        ("/srv/projects/data/chunks/ab", "chunks/ab"),
        ("C:\\data\\raft\\journal\\1.seg", "raft/journal/1.seg"),
        ("/srv/data/images.key", "images.key"),
        ("the journal", "the journal"),
    ],
)
def test_a_damaged_file_is_told_by_its_place_in_the_data_directory(path: str, told: str) -> None:  # L5
    assert str(Damaged(path, "is not itself")) == f"{told}: is not itself"
