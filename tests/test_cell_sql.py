"""SQL at any node of a cell: what the leader has to do it does, wherever it was asked (SPEC K56, Q21)."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

import sharelite
from sharelite.driver import Connection, OperationalError, ProgrammingError, connect
from tests.company import Company, company
from tests.serving import PATIENCE

INSERT = "INSERT INTO note(id, text) VALUES (?, ?)"
ALL = "SELECT id, text FROM note ORDER BY id"


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company(tmp_path_factory.mktemp("cell")) as made:
        yield made


@pytest.fixture(autouse=True)
def led_by_a(cell: Company) -> Iterator[None]:
    yield
    if not cell.node("a").cell.leading:
        cell.memory.elect("a")
    until(lambda: cell.node("a").cell.leading)


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE * 100)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come to be")


def at(cell: Company, node: str, project: str, **options: Any) -> Connection:
    return connect(f"sharelite://127.0.0.1:{cell[node].port}/{project}", timeout=PATIENCE, **options)


def made_by_sql(cell: Company) -> str:
    """A project that has no contract but what SQL makes of it."""
    answer = cell["a"].http.post("/v1/projects", json={"name": secrets.token_hex(8)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize("node", "abc")
@pytest.mark.parametrize("mode", ["deferred", "immediate"])
def test_a_transaction_is_begun_and_committed_at_any_node_and_seen_there_at_once(
    cell: Company, node: str, mode: str
) -> None:  # Q21
    project = cell.project()
    with at(cell, node, project) as ann:
        ann.begin(mode)
        ann.execute("SAVEPOINT s")
        ann.execute(INSERT, ("x", "lost"))
        ann.execute("ROLLBACK TO s")
        ann.executemany(INSERT, [("a", "one"), ("b", None)])
        assert ann.execute(ALL).fetchall() == [("a", "one"), ("b", None)]
        ann.commit()
        assert ann.execute(ALL).fetchall() == [("a", "one"), ("b", None)]
    for other in "abc":
        ben = at(cell, other, project)
        assert ben._line.connected().ask("sql", statements=[ALL], level="linearizable")["results"][0]["rows"] == [
            ("a", "one"),
            ("b", None),
        ]
        ben.close()


def test_transactions_at_different_nodes_do_not_see_each_other_and_conflict(cell: Company) -> None:  # Q10, Q21
    project = cell.project()
    ann, ben = at(cell, "b", project), at(cell, "c", project)
    ann.begin()
    ben.begin()
    assert ann.execute(ALL).fetchall() == ben.execute(ALL).fetchall() == []
    ann.execute(INSERT, ("a", "ann"))
    ann.commit()
    assert ben.execute(ALL).fetchall() == []
    with pytest.raises(OperationalError) as caught:
        ben.execute(INSERT, ("b", "ben"))
    assert caught.value.code == "conflict"
    ben.rollback()
    with ben:
        ben.execute(INSERT, ("b", "ben"))
    cell.run("b", cell.node("b").fresh(project))
    assert ann.execute(ALL).fetchall() == [("a", "ann"), ("b", "ben")]


def test_a_refusal_at_a_follower_names_the_statement_and_leaves_the_transaction_open(cell: Company) -> None:  # Q11, Q21
    with at(cell, "b", cell.project()) as ann:
        ann.begin()
        ann.execute(INSERT, ("a", "one"))
        with pytest.raises(Exception, match="no such table") as caught:
            ann.execute("DELETE FROM nowhere")
        assert isinstance(caught.value, ProgrammingError | OperationalError) and ann.in_transaction
        ann.commit()
        assert ann.execute(ALL).fetchall() == [("a", "one")]


def test_prepared_statements_of_a_follower_run_in_its_transactions(cell: Company) -> None:  # Q16, Q21
    with at(cell, "c", cell.project(), autocommit=False) as ann:
        for number in range(5):
            ann.execute(INSERT, (str(number), "ä\0"))
            big, blob = 2**63 - 1, bytes(range(256))
            assert ann.execute("SELECT ?, ?, ?", (big, blob, 1.5)).fetchall() == [(big, blob, 1.5)]
        ann.commit()
        assert len(ann.execute(ALL).fetchall()) == 5


@pytest.mark.parametrize("node", "abc")
def test_tables_are_changed_at_any_node_and_used_there_at_once(cell: Company, node: str) -> None:  # K56, Q17
    project = made_by_sql(cell)
    with at(cell, node, project) as ann:
        ann.execute("CREATE TABLE city(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL)")
        ann.execute("INSERT INTO city(name) VALUES ('Ulm')")
        ann.commit()
        ann.execute("ALTER TABLE city ADD COLUMN size REAL")
        assert ann.execute("SELECT * FROM city").fetchall() == [(1, "Ulm", None)]
    body = {"statements": ["CREATE INDEX by_name ON city(name)"]}
    answer = cell[node].http.post(f"/v1/projects/{project}/sql", json=body)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("node", "bc")
def test_statements_over_http_run_where_they_are_asked(cell: Company, node: str) -> None:  # K56
    project = cell.project()
    write = {"statements": [{"sql": INSERT + " RETURNING id", "params": ["a", "one"]}]}
    answer = cell[node].http.post(f"/v1/projects/{project}/sql", json=write)
    assert answer.status_code == 200 and answer.json()["results"][0]["rows"] == [["a"]], answer.text
    for level in ("any", "linearizable"):
        read = {"statements": [ALL], "level": level}
        assert cell[node].http.post(f"/v1/projects/{project}/sql", json=read).json()["results"][0]["rows"] == [
            ["a", "one"]
        ]


def test_a_transaction_ends_with_the_leader_and_the_connection_goes_on(cell: Company) -> None:  # Q13, Q21
    project = cell.project()
    ann, ben = at(cell, "b", project), at(cell, "c", project, autocommit=True)
    ann.begin("immediate")
    ann.execute(INSERT, ("a", "lost"))
    cell.memory.elect("c")
    until(lambda: cell.node("b").cell.role.leader_node == "c")
    with pytest.raises(OperationalError) as caught:
        ann.execute(INSERT, ("b", "lost"))
    assert caught.value.code == "lease_expired"
    ann.rollback()
    ben.execute(INSERT, ("c", "kept"))
    with ann:
        ann.execute(INSERT, ("d", "kept"))
    assert ann.execute(ALL).fetchall() == [("c", "kept"), ("d", "kept")]


def test_a_commit_whose_leader_goes_is_done_once_or_never_and_can_be_asked_again(cell: Company) -> None:  # Q12, Q21
    project = cell.project()
    ann = at(cell, "b", project)
    ann.begin()
    ann.execute(INSERT, ("a", "one"))
    cell.memory.hold()
    told: list[str | None] = []
    committing = threading.Thread(target=caught_commit, args=(ann, told))
    committing.start()
    until(lambda: bool(cell.memory._held))
    cell.memory.elect("c")
    cell.memory.release()
    committing.join(PATIENCE)
    assert not committing.is_alive()
    code = told[0]
    rows = at(cell, "c", project).execute(ALL).fetchall()
    assert (code, rows) in ((None, [("a", "one")]), ("lease_expired", []))


def caught_commit(connection: Connection, told: list[str | None]) -> None:
    try:
        connection.commit()
        told.append(None)
    except OperationalError as problem:
        told.append(problem.code)


def test_a_follower_whose_client_goes_lets_go_of_the_turn_at_the_leader(cell: Company) -> None:  # Q13, Q21
    project = cell.project()
    ann = at(cell, "b", project)
    ann.begin("immediate")
    ann.close()
    with at(cell, "a", project, autocommit=True) as ben:
        ben.execute(INSERT, ("b", "ben"))
        assert ben.execute(ALL).fetchall() == [("b", "ben")]


def test_an_answer_too_large_for_the_links_is_refused_and_the_transaction_goes_on(cell: Company) -> None:  # Q21
    with at(cell, "b", cell.project()) as ann:
        ann.begin()
        with pytest.raises(Exception, match="more than 16 MiB"):
            ann.execute("SELECT hex(zeroblob(9000000)) UNION ALL SELECT hex(zeroblob(9000001))")
        ann.execute(INSERT, ("a", "one"))
        ann.commit()
        ann.begin("read_only")
        assert len(ann.execute("SELECT zeroblob(9000000) UNION ALL SELECT zeroblob(9000001)").fetchall()) == 2
        ann.rollback()


def moved(connection: Connection, host: str) -> None:
    """Its node is gone, and the next one is another."""
    wire = connection._line.wire
    assert wire is not None
    wire.close()
    connection._line._hosts = [host]


def test_who_comes_from_another_node_begins_and_prepares_on_what_he_has_seen(cell: Company) -> None:  # Q22
    project = made_by_sql(cell)
    for mode, table in (("read_only", "one"), ("deferred", "two")):
        with at(cell, "a", project, autocommit=True) as ann:
            cell.memory.cut("c")
            ann.execute(f"CREATE TABLE {table}(id INTEGER PRIMARY KEY)")
            ann.execute(f"INSERT INTO {table} VALUES (7)")
            threading.Timer(0.3, cell.memory.heal).start()
            moved(ann, f"127.0.0.1:{cell['c'].port}")
            ann.begin(mode)
            assert ann.execute(f"SELECT id FROM {table}").fetchall() == [(7,)]
        ann.close()


def test_a_feed_that_comes_from_another_node_waits_for_one_that_is_behind(cell: Company) -> None:  # W13
    project = cell.project()
    with at(cell, "a", project, autocommit=True) as ann:
        cell.memory.cut("c")
        ann.execute(INSERT, ("a", "one"))
        threading.Timer(0.3, cell.memory.heal).start()

        async def story() -> list[int]:
            url = f"sharelite://127.0.0.1:{cell['c'].port}/{project}"
            async with aclosing(sharelite.feed(url, after=ann.version)) as commits:
                coming = asyncio.ensure_future(anext(commits))
                await asyncio.to_thread(ann.execute, INSERT, ("b", "two"))
                first = await asyncio.wait_for(coming, PATIENCE)
            with pytest.raises(OperationalError) as ahead:
                await anext(sharelite.feed(url, after=ann.version + 1))
            return [first.version, ahead.value.code == "reset"]

        assert asyncio.run(story()) == [ann.version, True]


def test_a_node_has_as_many_transactions_as_sockets(cell: Company) -> None:  # Q15, Q21
    project = cell.project()
    several = [at(cell, "b", project) for _ in range(70)]
    for each in several:
        each.begin()
        each.execute(ALL).fetchall()
    for each in several:
        assert each.execute(ALL).fetchall() == []
        each.close()


def test_what_did_not_happen_is_done_when_there_is_a_leader_again(cell: Company) -> None:  # D6
    project = made_by_sql(cell)
    ann = at(cell, "b", project)
    cell.memory.cut("a", "b")
    threading.Timer(0.5, cell.memory.heal).start()
    ann.execute("CREATE TABLE later(id INTEGER PRIMARY KEY)")
    assert ann.execute("SELECT count(*) FROM later").fetchone() == (0,)
    name = secrets.token_hex(8)
    cell.memory.cut("a", "b")
    threading.Timer(0.5, cell.memory.heal).start()
    ann.execute("HA CREATE DB ?", (name,))
    ann.execute("HA USE ?; CREATE TABLE there(id INTEGER PRIMARY KEY)", (name,))
    with at(cell, "c", name) as ben:
        ben.execute("INSERT INTO there VALUES (1)")
    assert ann.execute("HA USE ?; SELECT * FROM there", (name,)).fetchall() == [(1,)]
    ann.close()
    ben.close()
