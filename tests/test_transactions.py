"""Interactive transactions on a real server: their turn, their end, what becomes of them (SPEC Q)."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from sharelite.sql.lease import READING, Lease, Terms
from tests.desks import Desk, Refusal, desk
from tests.roads import SCENE
from tests.serving import PATIENCE, Serving
from tests.test_routes import error

CLIENT = "c" * 32
INSERT = "INSERT INTO note(id) VALUES (?)"
COUNT = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT {}) "
ENDLESS = "INSERT INTO note(id) " + COUNT.format(-1) + "SELECT n FROM c WHERE n < 0"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("transactions") / "data") as serving:
        yield serving


@pytest.fixture
def project(server: Serving) -> str:
    return made(server)


def made(server: Serving) -> str:
    answer = server.http.post("/v1/projects", json={"name": secrets.token_hex(8), "contract": SCENE})
    return str(answer.json()["id"])


def ids(desk: Desk) -> list[str]:
    return [row[0] for row in desk.run("SELECT id FROM note ORDER BY id")]


def refused(desk: Desk, type: str, **members: Any) -> Refusal:
    with pytest.raises(Refusal) as found:
        desk.ask(type, **members)
    return found.value


def fails(desk: Desk, sql: str, *params: Any) -> Refusal:
    return refused(desk, "sql", statements=[{"sql": sql, "params": params}])


def test_what_a_transaction_wrote_is_one_commit(server: Serving, project: str) -> None:  # Q9
    with desk(server, project) as ann, desk(server, project) as bob, server.open(project) as talk:
        ann.begin()
        ann.run(INSERT, "a")
        ann.run("UPDATE note SET size = 3 WHERE id = 'a'")
        assert (ids(ann), ids(bob)) == (["a"], [])
        answer = ann.commit(tag="two steps")
        (commit,) = talk.hear()["commits"]
        assert answer["changed"] and (commit["v"], commit["tag"], commit["kind"]) == (
            answer["version"],
            "two steps",
            "sql",
        )
        assert [change[0] for change in commit["changes"]] == ["i", "u"]
        assert ids(bob) == ["a"]


def test_a_rollback_leaves_nothing_and_no_commit(server: Serving, project: str) -> None:  # Q9
    with desk(server, project) as ann:
        version = ann.begin("immediate")["version"]
        ann.run(INSERT, "a")
        ann.rollback()
        assert ids(ann) == [] and ann.begin()["version"] == version
        assert ann.commit() == {"type": "answer", "n": 6, "version": version, "changed": False}


def test_to_begin_stops_nobody(server: Serving, project: str) -> None:  # Q9
    with desk(server, project) as ann, desk(server, project) as bob:
        ann.begin()
        assert ids(ann) == []
        bob.run(INSERT, "b")
        assert ids(ann) == [] and ids(bob) == ["b"]


def test_a_transaction_that_only_reads_refuses_to_write(server: Serving, project: str) -> None:  # Q9
    with desk(server, project) as ann:
        ann.begin("read_only")
        assert (fails(ann, INSERT, "a").code, ids(ann)) == ("forbidden", [])


def test_savepoints_nest_and_take_back_what_came_after(server: Serving, project: str) -> None:  # Q11
    with desk(server, project) as ann:
        ann.begin()
        ann.run("SAVEPOINT before_the_turn")
        ann.run(INSERT, "a")
        ann.run('SAVEPOINT "an other"')
        ann.run(INSERT, "b")
        ann.run("savepoint S")
        ann.run(INSERT, "c")
        ann.run("RELEASE SAVEPOINT s")
        assert ids(ann) == ["a", "b", "c"]
        ann.run("ROLLBACK TO 'AN OTHER'")
        ann.run(INSERT, "d")
        assert ids(ann) == ["a", "d"] and fails(ann, "RELEASE s").code == "failed"
        ann.commit()
        assert ids(ann) == ["a", "d"]
        (commit,) = server.http.get(f"/v1/projects/{project}/commits", params={"after": 1}).json()["commits"]
        assert [change[2] for change in commit["changes"]] == [["a"], ["d"]]


def test_a_savepoint_before_the_first_write_takes_all_of_it_back(server: Serving, project: str) -> None:  # Q11
    with desk(server, project) as ann:
        ann.begin()
        ann.run("SAVEPOINT s")
        ann.run(INSERT, "a")
        ann.run("ROLLBACK TRANSACTION TO SAVEPOINT s")
        assert ids(ann) == [] and not ann.commit()["changed"]


@pytest.mark.parametrize(
    "text", ["COMMIT", "ROLLBACK", "BEGIN", "ROLLBACK TO mutation", "RELEASE mutation", "SAVEPOINT"]
)
def test_no_statement_ends_a_transaction(server: Serving, project: str, text: str) -> None:  # Q11
    with desk(server, project) as ann:
        ann.begin()
        ann.run(INSERT, "a")
        assert fails(ann, text).transaction == "open"
        assert fails(ann, "CREATE TABLE x(a)").transaction == "open"
        assert ann.commit()["changed"]


def test_a_statement_that_fails_leaves_the_rest(server: Serving, project: str) -> None:  # Q11
    with desk(server, project) as ann:
        ann.begin()
        ann.run(INSERT, "a")
        failed = fails(ann, "INSERT INTO note(id) VALUES ('b'), ('a')")
        assert (failed.code, failed.transaction) == ("exists", "open")
        assert fails(ann, "SELEC").code == "failed" and fails(ann, "SELECT ?").code == "failed"
        ann.run("INSERT OR FAIL INTO note(id) VALUES ('c')")
        assert fails(ann, "INSERT OR FAIL INTO note(id) VALUES ('d'), ('a')").transaction == "open"
        ann.commit()
        assert ids(ann) == ["a", "c", "d"]


def test_what_fails_on_the_way_takes_back_itself(server: Serving, project: str) -> None:  # Q11
    with desk(server, project) as ann:
        ann.begin()
        ann.run(INSERT, "a")
        failed = refused(ann, "sql", statements=[{"sql": INSERT, "many": [["b"], ["c"], ["a"]]}])
        assert (failed.transaction, failed.errors[0]["pointer"]) == ("open", "/statements/0/many/2")
        large = "INSERT INTO note(id) " + COUNT.format(500) + "SELECT 'n' || n FROM c RETURNING hex(zeroblob(30000))"
        assert (fails(ann, large).code, ids(ann)) == ("over_budget", ["a"])
        ann.run("SAVEPOINT s")
        assert fails(ann, large).transaction == "open"
        ann.run("RELEASE s")
        ann.commit()
        assert ids(ann) == ["a"]


def test_a_statement_that_takes_all_back_is_said_to(server: Serving, project: str) -> None:  # Q11
    with desk(server, project) as ann, desk(server, project) as bob:
        ann.begin()
        ann.run(INSERT, "a")
        failed = fails(ann, "INSERT OR ROLLBACK INTO note(id) VALUES ('a')")
        assert (failed.code, failed.transaction) == ("exists", "gone")
        assert fails(ann, INSERT, "b").code == "lease_expired"
        bob.run(INSERT, "c")
        assert refused(ann, "commit").code == "lease_expired"
        assert ids(ann) == ["c"]


def test_a_commit_that_breaks_the_contract_names_the_row(server: Serving, project: str) -> None:  # Q12
    with desk(server, project) as ann:
        ann.begin()
        ann.run(INSERT, "a")
        ann.run("INSERT INTO note(id, text) VALUES ('b', ?)", "x" * 21)
        refusal = refused(ann, "commit", id=[CLIENT, 1])
        assert (refusal.code, refusal.errors[0]["key"], refusal.errors[0]["pointer"]) == ("invalid", ["b"], "/text")
        assert ids(ann) == []
        ann.begin()
        ann.run("INSERT INTO note(id, layer) VALUES ('c', 'nowhere')")
        assert refused(ann, "commit", id=[CLIENT, 2]).code == "reference"


def test_a_commit_can_be_asked_again(server: Serving, project: str) -> None:  # Q12
    with desk(server, project) as ann:
        begun = ann.begin()["transaction"]
        ann.run(INSERT, "a")
        first = ann.commit(id=[CLIENT, 1])
    with desk(server, project) as again:
        second = again.commit(id=[CLIENT, 1], transaction=begun)
        assert (second["version"], second["changed"]) == (first["version"], True)
        assert refused(again, "commit", id=[CLIENT, 1], transaction="d" * 32).code == "id_reused"
        assert ids(again) == ["a"]


def test_what_became_of_a_commit_that_never_came_is_known_for_good(server: Serving, project: str) -> None:  # Q12
    with desk(server, project) as ann:
        begun = ann.begin()["transaction"]
        ann.run(INSERT, "a")
    with desk(server, project) as again:
        for _ in range(2):
            assert refused(again, "commit", id=[CLIENT, 1], transaction=begun).code == "lease_expired"
        assert ids(again) == []
        again.run(INSERT, "b")


def test_a_commit_without_effect_uses_its_id_all_the_same(server: Serving, project: str) -> None:  # Q12
    with desk(server, project) as ann:
        ann.begin()
        assert not ann.commit(id=[CLIENT, 1])["changed"]
        ann.begin()
        ann.run(INSERT, "a")
        assert ann.commit(id=[CLIENT, 2])["changed"]


def test_who_is_idle_loses_the_turn(server: Serving, project: str, monkeypatch: pytest.MonkeyPatch) -> None:  # Q13
    monkeypatch.setattr("sharelite.transactions.WRITING", Terms(0.2, 5.0))
    with desk(server, project) as ann, server.open(project) as talk:
        ann.begin()
        ann.run(INSERT, "a")
        talk.push("b", text="waits for the turn")
        assert talk.hear()["commits"][0]["v"] == 2
        failed = fails(ann, INSERT, "c")
        assert (failed.code, failed.transaction) == ("lease_expired", "gone") and "0.2 s" in failed.message
        ann.rollback()
        assert ids(ann) == ["b"]


def test_who_takes_long_loses_the_turn(server: Serving, project: str, monkeypatch: pytest.MonkeyPatch) -> None:  # Q13
    monkeypatch.setattr("sharelite.transactions.WRITING", Terms(0.3, 0.5))
    with desk(server, project) as ann:
        ann.begin("immediate")
        with pytest.raises(Refusal) as failed:
            for number in range(1000):
                ann.run(INSERT, f"n{number}")
                time.sleep(0.01)
        assert failed.value.code == "lease_expired" and "0.5 s" in failed.value.message


def test_a_commit_that_comes_too_late_is_told_why(
    server: Serving, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # Q13
    monkeypatch.setattr("sharelite.transactions.WRITING", Terms(0.2, 30.0))
    with desk(server, project) as ann, desk(server, project) as bob:
        ann.begin("immediate")
        bob.begin("immediate")
        bob.rollback()
        late = [refused(ann, "commit", id=[CLIENT, 1]), refused(ann, "commit", id=[CLIENT, 1])]
        assert [each.code for each in late] == ["lease_expired"] * 2
        assert "nothing was asked of it for 0.2 s" in late[0].message


def test_a_long_statement_ends_with_the_lease(
    server: Serving, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # Q13
    monkeypatch.setattr("sharelite.transactions.WRITING", Terms(0.3, 0.5))
    with desk(server, project) as ann:
        ann.begin("immediate")
        assert fails(ann, ENDLESS).transaction == "gone"
        assert refused(ann, "commit").code == "lease_expired"
        ann.run(INSERT, "a")


def test_who_reads_for_long_loses_the_state(
    server: Serving, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # Q13
    monkeypatch.setattr("sharelite.transactions.READING", Terms(0.2, 5.0))
    with desk(server, project) as ann:
        ann.begin()
        ids(ann)
        time.sleep(0.4)
        assert fails(ann, "SELECT 1").code == "lease_expired"


def test_the_time_of_a_lease_is_counted_from_its_statements() -> None:  # Q13
    lease = Lease(100.0, READING)
    lease.begin(100.0, Terms(2.0, 10.0))
    lease.touch(101.5)
    assert (lease.left(busy=False), lease.left(busy=True)) == (103.5, 110.0)
    assert lease.over(103.0, busy=False) is None and lease.over(105.0, busy=True) is None
    assert "2 s" in str(lease.over(103.5, busy=False)) and "10 s" in str(lease.over(110.0, busy=True))


def test_a_connection_that_ends_rolls_back_at_once(server: Serving, project: str) -> None:  # Q13
    with desk(server, project) as bob:
        with desk(server, project) as ann:
            ann.begin()
            ann.run(INSERT, "a")
        start = time.monotonic()
        bob.run(INSERT, "b")
        assert time.monotonic() - start < 1.5 and ids(bob) == ["b"]


def test_a_connection_that_ends_in_a_statement_ends_the_statement(server: Serving, project: str) -> None:  # Q13
    with desk(server, project) as bob:
        with desk(server, project) as ann:
            ann.begin("immediate")
            ann.send("sql", statements=[ENDLESS])
        start = time.monotonic()
        bob.run(INSERT, "b")
        assert time.monotonic() - start < 3


def test_writers_who_wait_for_each_other_both_come_to_an_end(server: Serving, project: str) -> None:  # Q13
    found: list[str] = []

    def write(name: str) -> None:
        with desk(server, project) as one:
            one.begin()
            ids(one)
            barrier.wait(PATIENCE)
            try:
                one.run(INSERT, name)
                one.commit()
                found.append("committed")
            except Refusal as refusal:
                found.append(refusal.code)

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(found) == ["committed", "conflict"]


def test_pushes_are_let_in_between_transactions(server: Serving, project: str) -> None:  # Q14
    stop = threading.Event()

    def write(name: str) -> None:
        with desk(server, project) as one:
            number = 0
            while not stop.is_set():
                one.begin("immediate")
                one.run(INSERT, f"{name}{(number := number + 1)}")
                one.commit()

    writers = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for writer in writers:
        writer.start()
    try:
        with server.open(project) as talk:
            for number in range(20):
                talk.push(f"push {number}")
                while not any(commit.get("id") == [talk.client, talk.counter] for commit in talk.hear()["commits"]):
                    pass
    finally:
        stop.set()
        for writer in writers:
            writer.join(PATIENCE)


def test_a_transaction_over_http_from_begin_to_commit(server: Serving, project: str) -> None:  # Q15
    made = server.http.post(f"/v1/projects/{project}/transactions", json={"mode": "deferred"})
    assert made.status_code == 201
    address = made.headers["location"]
    answer = server.http.post(
        f"{address}/sql", json={"statements": [{"sql": INSERT, "params": ["a"]}, "SELECT * FROM note"]}
    )
    assert answer.json()["writing"] and answer.json()["results"][1]["rows"][0][0] == "a"
    bad = server.http.post(f"{address}/sql", json={"statements": ["SELEC"]})
    assert error(bad) == (422, "failed") and bad.json()["transaction"] == "open"
    body = {"id": [CLIENT, 1], "tag": "t"}
    committed = server.http.post(f"{address}/commit", json=body).json()
    assert committed == {"version": 2, "changed": True} == server.http.post(f"{address}/commit", json=body).json()
    assert error(server.http.post(f"{address}/sql", json={"statements": ["SELECT 1"]})) == (410, "lease_expired")


def test_a_transaction_over_http_is_rolled_back_and_forgotten(server: Serving, project: str) -> None:  # Q15
    address = server.http.post(f"/v1/projects/{project}/transactions", json={}).headers["location"]
    assert server.http.delete(address).status_code == 204 == server.http.delete(address).status_code
    assert error(server.http.post(f"{address}/commit", json={})) == (410, "lease_expired")
    assert error(server.http.delete(f"/v1/projects/{project}/transactions/{'0' * 32}")) == (410, "lease_expired")
    assert error(server.http.delete(address.replace(project, made(server)))) == (410, "lease_expired")


def test_a_rollback_over_http_ends_the_statement_that_runs(server: Serving, project: str) -> None:  # Q13 Q15
    begun = server.http.post(f"/v1/projects/{project}/transactions", json={"mode": "immediate"})
    address = begun.headers["location"]
    answers: list[Any] = []
    body = {"statements": [ENDLESS]}
    running = threading.Thread(target=lambda: answers.append(server.http.post(f"{address}/sql", json=body)))
    running.start()
    transaction = server.app.state.house.transactions._open[begun.json()["transaction"]]
    while not transaction._busy:
        threading.Event().wait(0.01)
    assert server.http.delete(address).status_code == 204
    running.join(PATIENCE)
    (answer,) = answers
    assert answer.json()["transaction"] == "gone" and "rolled back" in answer.text


def test_there_are_only_so_many_transactions_over_http(
    server: Serving, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # Q15
    monkeypatch.setattr("sharelite.transactions.MOST_OF_USER", 2)
    opened = [server.http.post(f"/v1/projects/{project}/transactions", json={}) for _ in range(3)]
    assert [answer.status_code for answer in opened] == [201, 201, 429]
    for answer in opened[:2]:
        server.http.delete(answer.headers["location"])
    assert server.http.post(f"/v1/projects/{project}/transactions", json={}).status_code == 201


def test_a_project_that_is_deleted_ends_its_transactions(server: Serving) -> None:  # Q13
    project = made(server)
    with desk(server, project) as ann:
        ann.begin("immediate")
        ann.run(INSERT, "a")
        assert server.http.delete(f"/v1/projects/{project}").status_code == 204
        ann.send("ping")
        assert ann.hear()["type"] in ("goodbye", "error")


def test_a_server_that_goes_down_ends_its_transactions(tmp_path: Path) -> None:  # Q13
    with Serving(tmp_path / "data") as server:
        project = made(server)
        with desk(server, project) as ann:
            ann.begin("immediate")
            ann.run(INSERT, "a")
            server.stop()


def test_a_prepared_statement_is_run_by_its_number(server: Serving, project: str) -> None:  # Q16
    with desk(server, project) as ann:
        made = ann.ask("prepare", sql="SELECT id, size FROM note WHERE id = :id")
        assert (made["columns"], made["types"], made["names"], made["reads"]) == (
            ["id", "size"],
            ["TEXT", "REAL"],
            ["id"],
            True,
        )
        insert = ann.ask("prepare", sql=INSERT)
        assert (insert["parameters"], insert["names"], insert["reads"]) == (1, None, False)
        ann.ask("sql", statements=[{"prepared": insert["prepared"], "many": [["a"], ["b"]]}])
        (result,) = ann.ask("sql", statements=[{"prepared": made["prepared"], "params": {"id": "b"}}])["results"]
        assert result["rows"] == [["b", None]]
        ann.ask("forget", prepared=made["prepared"])
        assert refused(ann, "sql", statements=[{"prepared": made["prepared"]}]).code == "bad_request"
        assert refused(ann, "prepare", sql="SELECT * FROM nowhere").code == "failed"
        assert refused(ann, "prepare", sql="ATTACH 'x' AS y").code == "forbidden"


def test_many_rows_come_in_pieces_before_the_answer(server: Serving, project: str) -> None:  # Q16
    numbers = COUNT.format(200_000) + "SELECT n, n * 0.5 FROM c"
    with desk(server, project) as ann:
        assert [row[0] for row in ann.run(numbers)] == list(range(1, 200_001))
        ann.begin()
        assert len(ann.run(numbers)) == 200_000 and ann.run("SELECT 1") == [[1]]


@pytest.mark.parametrize("first", ["{}", "[", '{"type":"sql","n":1}', '{"type":"hello","protocol":2}', b"x"])
def test_whatever_is_no_greeting_ends_the_connection(server: Serving, project: str, first: Any) -> None:  # Q16
    with connect(f"ws://127.0.0.1:{server.port}/v1/projects/{project}/sql") as socket:
        socket.send(first)
        assert '"goodbye"' in str(socket.recv(PATIENCE))


def test_an_unknown_message_is_an_error_and_the_next_one_is_heard(server: Serving, project: str) -> None:  # Q16
    with desk(server, project) as ann:
        assert refused(ann, "dance").code == "bad_request"
        assert refused(ann, "sql", statements=1).code == "bad_request"
        assert ids(ann) == []
