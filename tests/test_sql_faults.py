"""SQL that means harm, or meets it: names that are text of SQL, values that do not fit, cascades, swaps, full disks."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator
from typing import Any

import apsw
import pytest
from click.testing import CliRunner

import sharelite
from sharelite.__main__ import sharelite as command
from sharelite.cluster.alone import Alone
from sharelite.errors import Unavailable
from sharelite.schema.inference import nothing
from sharelite.sql.lease import Terms
from sharelite.sql.spool import MEMORY, Spool
from tests.desks import Refusal, desk
from tests.serving import PATIENCE, Serving
from tests.test_sql import CLIENT, Sql

#: Names that end a quoted one, a text, a comment, a statement, or a path.
EVIL = [
    'x"; DROP TABLE note; --',
    "x'); DELETE FROM note; --",
    "a`b",
    "[a]",
    "a b",
    "é中",
    "select",
    "%s %d",
    "$x",
    "a/b",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("faults") / "data") as serving:
        yield serving


@pytest.fixture
def sql(server: Serving) -> Sql:
    return Sql(server)


@pytest.fixture
def own(server: Serving) -> Sql:
    """A project whose tables are made by SQL."""
    return Sql(server, nothing())


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def shell(server: Serving, *words: str, script: str = "") -> str:
    done = CliRunner().invoke(command, ["sql", "--url", server.url, *words], input=script)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("name", EVIL)
def test_a_name_that_is_a_text_of_sql_is_a_name(own: Sql, name: str) -> None:  # Q7 Q17 D11
    own.run("CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT)")
    own.run("INSERT INTO note(text) VALUES ('stays')")
    table, column = quoted(name), quoted(name + "c")
    own.run(f"CREATE TABLE {table}({column} INTEGER PRIMARY KEY, b TEXT NOT NULL, UNIQUE(b))")
    assert own.run({"sql": f"INSERT INTO {table}(b) VALUES (?) RETURNING {column}", "params": [name]})[0]["rows"] == [
        [1]
    ]
    own.run(f"UPDATE {table} SET b = 'x' WHERE {column} = 1", f"REPLACE INTO {table}(b) VALUES ('x')")
    told = shell(own.server, own.project, "--mode", "csv", script=f".schema {table}\n.tables\nSELECT * FROM {table};\n")
    assert f"CREATE TABLE {table}" in told and "NOT NULL" in told
    with sharelite.connect(f"sharelite://127.0.0.1:{own.server.port}/{own.project}", timeout=PATIENCE) as ours:
        assert any(line.startswith(f"INSERT INTO {table} VALUES(") for line in ours.iterdump())
        assert ours.execute(f"SELECT {column} FROM {table}").description[0][0] == name + "c"  # type: ignore[index]
    ours.close()
    exported = own.server.http.get(f"/v1/projects/{own.project}/export", params={"format": "csv"})
    assert exported.status_code == 200, exported.text
    own.run(f"DROP TABLE {table}")
    assert own.rows("SELECT text FROM note") == [["stays"]]


@pytest.mark.parametrize("name", EVIL)
def test_a_project_of_any_name_is_made_and_used_or_its_name_is_refused(server: Serving, name: str) -> None:  # D18
    name = f"{secrets.token_hex(4)} {name}"
    with sharelite.connect(f"sharelite://127.0.0.1:{server.port}/{Sql(server).project}", timeout=PATIENCE) as ours:
        if set(name) & set('/\\"*<>?|`'):
            with pytest.raises(sharelite.IntegrityError, match="the name"):
                ours.execute("HA CREATE DB ?", (name,))
        else:
            (made,) = ours.execute("HA CREATE DB ?", (name,)).fetchone()
            assert len(made) == 32 and set(made) <= set("0123456789abcdef")
            ours.execute("HA USE ?; CREATE TABLE t(id INTEGER PRIMARY KEY)", (name,))
            assert ours.execute("HA USE ?; SELECT count(*) FROM t", (name,)).fetchall() == [(0,)]
        assert ours.execute("SELECT count(*) FROM note").fetchall() == [(0,)]
    ours.close()


@pytest.mark.parametrize("name", ["..", ".", "", " ", "../../etc", "a" * 300, "a\0b", "a\nb"])
def test_a_name_that_could_be_a_path_makes_no_project(server: Serving, name: str) -> None:  # D18
    before = server.http.get("/v1/projects").json()
    with sharelite.connect(f"sharelite://127.0.0.1:{server.port}/{Sql(server).project}", timeout=PATIENCE) as ours:
        with pytest.raises(sharelite.DatabaseError, match="name"):
            ours.execute("HA CREATE DB ?", (name,))
        assert ours.execute("SELECT 1").fetchall() == [(1,)]
    ours.close()
    assert len(server.http.get("/v1/projects").json()["projects"]) == len(before["projects"]) + 1


@pytest.mark.parametrize("value", [{"$b": "AP8="}, {"$r": "inf"}])
def test_a_value_that_no_contract_takes_is_refused_and_the_project_goes_on(sql: Sql, value: Any) -> None:  # Q3 Q4
    answer = sql.post({"sql": "INSERT INTO note(id, any) VALUES ('a', ?)", "params": [value]})
    assert answer.json()["error"]["code"] == "invalid"
    assert answer.json()["error"]["errors"][0]["pointer"] == "/any"
    assert sql.run("INSERT INTO note(id, any) VALUES ('a', 1)")[0]["affected"] == 1


def test_rows_that_refer_to_rows_of_their_own_table_go_and_move_together(own: Sql) -> None:  # Q4
    own.run("CREATE TABLE part(id INTEGER PRIMARY KEY, of INTEGER REFERENCES part(id) ON DELETE CASCADE)")
    own.run({"sql": "INSERT INTO part(id, of) VALUES (?, ?)", "many": [[n, n - 1 or None] for n in range(1, 150)]})
    own.run("INSERT INTO part(id, of) VALUES (500, 500), (501, 502), (502, 501)")
    assert own.refused("UPDATE part SET of = 999 WHERE id = 3")[:2] == (422, "reference")
    version = own.version()
    own.run("DELETE FROM part WHERE id = 10", "DELETE FROM part WHERE id = 501")
    assert own.rows("SELECT max(id), count(*) FROM part WHERE id < 500") == [[9, 9]]
    assert own.rows("SELECT id FROM part WHERE id >= 500") == [[500]]
    (commit,) = own.commits(version)
    assert len(commit["changes"]) == 142 and {change[0] for change in commit["changes"]} == {"d"}


def test_values_that_are_unique_change_places(own: Sql) -> None:  # Q4
    own.run("CREATE TABLE seat(id INTEGER PRIMARY KEY, place INTEGER UNIQUE)")
    own.run("INSERT INTO seat VALUES (1, 1), (2, 2), (3, 3)")
    assert own.refused("UPDATE seat SET place = 3 - place WHERE id < 3")[:2] == (409, "unique")
    version = own.version()
    with own.server.open(own.project) as talk:
        own.run("UPDATE seat SET place = -place", "UPDATE seat SET place = (-place) % 3 + 1")
        (heard,) = talk.hear()["commits"]
    assert own.rows("SELECT place FROM seat ORDER BY id") == [[2], [3], [1]]
    assert [heard] == own.commits(version)
    own.run("REPLACE INTO seat VALUES (9, 2)", "INSERT OR IGNORE INTO seat VALUES (10, 2)")
    assert own.rows("SELECT id FROM seat ORDER BY id") == [[2], [3], [9]]


def test_a_full_disk_is_told_and_the_same_write_happens_later(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:  # Q3
    body = {"statements": ["INSERT INTO note(id) VALUES ('a')"], "id": [CLIENT, 1]}
    monkeypatch.setattr("sharelite.transactions.WRITING", Terms(PATIENCE, PATIENCE))
    with monkeypatch.context() as full, desk(sql.server, sql.project) as ann:
        ann.ask("begin")
        ann.run("INSERT INTO note(id) VALUES ('b')")
        full.setattr(Alone, "replicate", lambda *_: (_ for _ in ()).throw(apsw.FullError("disk full")))
        with pytest.raises(Refusal, match="disk is full"):
            ann.ask("commit")
        answer = sql.server.http.post(sql.address, json=body)
        assert answer.status_code == 503 and "disk is full" in answer.json()["error"]["message"]
        assert sql.rows("SELECT count(*) FROM note") == [[0]]
    assert sql.server.http.post(sql.address, json=body).status_code == 200
    assert sql.rows("SELECT id FROM note") == [["a"]]


def test_rows_that_have_no_room_on_the_disk_are_told(monkeypatch: pytest.MonkeyPatch) -> None:  # Q8
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    spool = Spool(lambda: None)
    spool.put(b"x" * MEMORY)
    with pytest.raises(Unavailable, match="no room"):
        spool.put(b"x")
    spool.abandon()


def test_an_answer_says_all_of_each_statement(sql: Sql) -> None:  # Q1 Q2 HA-13 HA-14
    answer = sql.post(
        {"sql": "INSERT INTO note(id, size, any) VALUES (?, ?, ?) RETURNING *", "params": ["a", 2.5, 2**53 + 1]},
        {"sql": "INSERT INTO note(id) VALUES (:id)", "params": {"id": "b"}},
        {"sql": "INSERT INTO nowhere VALUES (1)"},
        {"sql": "SELECT any, size, done, x'00ff' AS b, 1e999 AS i, NULL AS n, 0.0 / 0 AS nan FROM note WHERE id = 'a'"},
        transaction=False,
    )
    one, two, three, four = answer.json()["results"]
    assert one["columns"][0] == "id" and one["types"][:1] == ["TEXT"] and one["rows"][0][0] == "a"
    assert (one["affected"], two["affected"], two["last_id"]) == (1, 1, 2)
    assert three["error"]["code"] == "failed" and "no such table" in three["error"]["message"]
    assert four["types"][:3] == ["ANY", "REAL", "INTEGER"]
    assert four["rows"] == [[{"$i": "9007199254740993"}, 2.5, None, {"$b": "AP8="}, {"$r": "inf"}, None, None]]
    assert all(each["ms"] >= 0 for each in (one, two, four))
    assert "NaN" not in answer.text and "Infinity" not in answer.text
    raw = '{"statements":[{"sql":"SELECT ?","params":[NaN]}]}'
    assert sql.server.http.post(sql.address, content=raw).status_code == 400
    assert json.loads(sql.server.http.post(sql.address, content=raw).text)["error"]["code"] == "bad_request"
