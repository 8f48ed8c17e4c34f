"""SQL that changes tables: an inferred contract stays true, a given one is not touched; stored triggers (SPEC Q)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sharelite.definitions import redefined
from sharelite.errors import Refused
from sharelite.schema.contract import Contract
from sharelite.schema.inference import nothing
from sharelite.schema.tables import create_steps
from sharelite.sync.grammar import is_step
from tests.desks import Refusal, desk
from tests.roads import SCENE
from tests.serving import Serving
from tests.test_sql import Sql

PERSON = "CREATE TABLE person(id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, born DATE, score REAL DEFAULT 1.5)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("definitions") / "data") as serving:
        yield serving


@pytest.fixture
def sql(server: Serving) -> Sql:
    return Sql(server, nothing())


def after(*statements: str, contract: Contract | None = None) -> Contract:
    found = contract or Contract.parse(nothing())
    for statement in statements:
        found = redefined(found, statement)
    return found


def test_a_project_made_without_a_contract_gets_tables_by_sql(server: Serving) -> None:  # Q17
    made = server.http.post("/v1/projects", json={"name": "by sql"}).json()
    sql = Sql.__new__(Sql)
    sql.server, sql.project, sql.address = server, made["id"], f"/v1/projects/{made['id']}/sql"
    sql.run(PERSON, "CREATE INDEX by_name ON person(name)")
    sql.run({"sql": "INSERT INTO person(name, born) VALUES (?, ?)", "params": ["Ada", "1815-12-10"]})
    assert sql.rows("SELECT id, name, born, score FROM person") == [[1, "Ada", "1815-12-10", 1.5]]
    assert [commit["kind"] for commit in sql.commits()] == ["schema", "schema", "schema", "sql"]
    contract = server.http.get(f"/v1/projects/{sql.project}/contract").json()
    (person,) = contract["document"]["properties"].values()
    assert person["items"]["properties"]["name"] == {"type": "string", "x-sql": {"declared": "VARCHAR(20)"}}
    assert sql.refused("INSERT INTO person(id) VALUES (2)")[:2] == (422, "invalid")


def test_columns_come_and_go_and_tables_go(sql: Sql) -> None:  # Q17
    sql.run(PERSON)
    sql.run("INSERT INTO person(name) VALUES ('Ada')")
    sql.run("ALTER TABLE person ADD COLUMN city TEXT NOT NULL DEFAULT 'London'", "ALTER TABLE person DROP COLUMN born")
    assert sql.rows("SELECT * FROM person") == [[1, "Ada", 1.5, "London"]]
    sql.run("DROP TABLE person", "DROP TABLE IF EXISTS person")
    assert sql.refused("SELECT * FROM person")[:2] == (422, "failed")


def test_what_is_there_or_gone_already_makes_no_commit(sql: Sql) -> None:  # Q17
    sql.run(PERSON)
    before = sql.version()
    sql.run(PERSON.replace("TABLE", "TABLE IF NOT EXISTS"), "DROP INDEX IF EXISTS nowhere", "DROP TRIGGER IF EXISTS t")
    assert sql.version() == before
    assert sql.refused(PERSON)[:2] == (422, "failed")


def test_a_contract_that_somebody_wrote_is_not_touched(server: Serving) -> None:  # Q17
    sql = Sql(server, SCENE)
    status, code, message = sql.refused("ALTER TABLE note ADD COLUMN colour TEXT")
    assert (status, code) == (409, "contract_given")
    assert "/properties/note" in message and '"colour": {"type": "string"}' in message
    assert sql.refused("DROP TABLE layer")[1] in ("contract_given", "invalid")
    sql.run("CREATE TABLE IF NOT EXISTS note(id TEXT)", "DROP TABLE IF EXISTS nowhere")


@pytest.mark.parametrize(
    ("statement", "word"),
    [("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT CHECK(a > 1))", "CHECK"),
     ("CREATE TABLE t AS SELECT 1 AS a", "AS SELECT"),
     ("CREATE TABLE t(id TEXT PRIMARY KEY COLLATE NOCASE)", "collation"),
     ("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT DEFAULT (random()))", "literal"),
     ("CREATE TABLE _t(id INTEGER PRIMARY KEY)", "name"), ("CREATE TABLE t(id INTEGER PRIMARY KEY, _a TEXT)", "name"),
     ("ALTER TABLE person RENAME TO people", "renaming"), ("ALTER TABLE person RENAME COLUMN name TO n", "renaming"),
     ("CREATE INDEX i ON person(name) WHERE name > 'a'", "whole columns"),
     ("CREATE INDEX i ON person(lower(name))", "whole"),
     ("CREATE INDEX i ON person(name DESC)", "whole columns"), ("CREATE UNIQUE INDEX i ON person(id)", "key"),
     ("CREATE VIEW v AS SELECT 1", "views"), ("CREATE TEMP TABLE t(a)", "temporary"),
     ("DROP TABLE nowhere", "no such table"), ("CREATE TABLE t_full(id INTEGER PRIMARY KEY)", "_full"),
     ("CREATE TABLE t(id INTEGER PRIMARY KEY, p INT REFERENCES nowhere(id))", "make the table"),
     ("CREATE TABLE t(id INTEGER PRIMARY KEY, p TEXT REFERENCES person(name))", "neither a key nor unique"),
     ("ALTER TABLE person ADD COLUMN p TEXT REFERENCES nowhere(id)", "make the table"),
     ("CREATE TABLE t(id INTEGER PRIMARY KEY, p INT REFERENCES person ON DELETE SET DEFAULT)", "cannot be said"),
     ("CREATE TABLE t(id INTEGER PRIMARY KEY, p INT NOT NULL REFERENCES person ON DELETE SET NULL)", "is required"),
     ("ALTER TABLE person ADD COLUMN p TEXT UNIQUE", "CREATE UNIQUE INDEX"),
     ("CREATE VIRTUAL TABLE t USING fts5(a)", "virtual"),
     ("CREATE TABLE t(id INTEGER PRIMARY KEY); DROP TABLE t", "one"),
     ("CREATE TABLE sqlite_x(a)", "reserved"), ('DROP TABLE "_sharelite"', "no such table"),
     ('CREATE TABLE "t; DROP TABLE person"(id INTEGER PRIMARY KEY, "a"" TEXT); --" TEXT UNIQUE)', "")],
)  # fmt: skip
def test_what_no_contract_can_say_is_told_and_nothing_happens(statement: str, word: str) -> None:  # Q17
    person = after(PERSON)
    if not word:
        assert all(is_step(step) for step in create_steps(after(statement, contract=person)))
        return
    with pytest.raises(Refused, match=word):
        after(statement, contract=person)


def test_a_table_with_rows_that_do_not_fit_is_not_changed(sql: Sql) -> None:  # Q17
    sql.run(PERSON)
    sql.run("INSERT INTO person(name) VALUES ('Ada'), ('Ada')")
    assert sql.refused("CREATE UNIQUE INDEX by_name ON person(name)")[:2] == (422, "invalid")
    assert sql.refused("ALTER TABLE person ADD COLUMN city TEXT NOT NULL")[:2] == (422, "invalid")


def test_tables_are_changed_by_requests_of_their_own(sql: Sql) -> None:  # Q17
    assert sql.refused(PERSON, "INSERT INTO person(name) VALUES ('Ada')")[:2] == (400, "bad_request")
    assert sql.refused(PERSON, id=["c" * 32, 1])[:2] == (400, "bad_request")
    one, two = sql.run("CREATE TABLE t(a CHECK(1))", PERSON, transaction=False)
    assert one["error"]["code"] == "invalid" and two["affected"] == 0


def test_references_keys_defaults_and_names_of_indexes_are_kept(sql: Sql) -> None:  # Q18
    sql.run(
        "CREATE TABLE a(x TEXT, y INT, n NUMERIC(10, 2) DEFAULT -1, t TIMESTAMP DEFAULT CURRENT_TIMESTAMP, "
        "PRIMARY KEY(x, y))",
        "CREATE TABLE b(id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT, y INT, ok BOOLEAN DEFAULT TRUE, "
        "s TEXT DEFAULT 'it''s', FOREIGN KEY(x, y) REFERENCES a(x, y) ON DELETE CASCADE, UNIQUE(s, ok))",
        "CREATE UNIQUE INDEX once ON b(s)",
    )
    sql.run("INSERT INTO a(x, y) VALUES ('k', 1)", "INSERT INTO b(x, y) VALUES ('k', 1)")
    ((n, kind, t),) = sql.rows("SELECT n, typeof(n), t FROM a")
    assert (n, kind) == (-1, "integer") and len(t) == 19
    assert sql.rows("SELECT id, ok, s FROM b") == [[1, 1, "it's"]]
    assert ["once", 1] in sql.rows("SELECT name, \"unique\" FROM pragma_index_list('b')")
    sql.run("DELETE FROM a")
    assert sql.rows("SELECT count(*) FROM b") == [[0]]
    sql.run("DROP INDEX once")
    assert sql.refused("DROP INDEX once")[:2] == (422, "failed")


def test_a_number_that_was_given_out_is_never_given_out_again(tmp_path: Path) -> None:  # Q18
    insert = {"sql": "INSERT INTO c(a) VALUES (?) RETURNING id", "many": [["x"], ["y"]]}
    with Serving(tmp_path / "data") as server:
        sql = Sql(server, nothing())
        sql.run("CREATE TABLE c(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT)")
        assert sql.run(insert)[0]["last_id"] == 2
        sql.run("DELETE FROM c")
        sql.refused("INSERT INTO c(a) VALUES ('z'), (x'00')")
        assert sql.run(insert)[0]["rows"] == [[3], [4]]
        sql.run("DELETE FROM c")
        version = sql.version()
    with Serving(tmp_path / "data") as server:
        sql.server = server
        assert sql.run(insert)[0]["rows"] == [[5], [6]]
        (commit,) = sql.commits(version)
        assert commit["changes"] == [["i", "c", [5], {"a": "x"}], ["i", "c", [6], {"a": "y"}]]
        assert sql.refused("UPDATE sqlite_sequence SET seq = 0")[:2] == (403, "forbidden")
        sql.run("INSERT INTO c(id, a) VALUES (9223372036854775807, 'last')")
        assert "full" in sql.refused("INSERT INTO c(a) VALUES ('none is left')")[2]


def test_two_definitions_at_once_both_happen(sql: Sql) -> None:  # Q17
    with desk(sql.server, sql.project) as ann, desk(sql.server, sql.project) as bob:
        for each, name in ((ann, "a"), (bob, "b")):
            each.send("sql", statements=[f"CREATE TABLE {name}(id INTEGER PRIMARY KEY)"])
        assert {ann.hear()["type"], bob.hear()["type"]} == {"answer"}
        assert ann.run("SELECT count(*) FROM a, b") == [[0]]


AUDIT = [
    "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT)",
    "CREATE TABLE audit(id INTEGER PRIMARY KEY, what TEXT, at TEXT)",
    "CREATE TRIGGER told AFTER INSERT ON item BEGIN "
    "INSERT INTO audit(what, at) VALUES (CASE WHEN NEW.name IS NULL THEN 'none' ELSE NEW.name END, "
    "hex(randomblob(4))); END",
]


def test_a_stored_trigger_runs_once_whoever_writes(sql: Sql) -> None:  # Q19
    sql.run(*AUDIT)
    with sql.server.open(sql.project) as talk:
        sql.run("INSERT INTO item(name) VALUES ('by sql')")
        by_sql = talk.hear()["commits"][0]["changes"]
        talk.say("push", id=[talk.client, 1], changes=[["i", "item", [7], {"name": "by a browser"}]])
        by_push = talk.hear()["commits"][0]["changes"]
    assert [change[1] for change in by_sql] == [change[1] for change in by_push] == ["item", "audit"]
    found = sql.rows("SELECT what, at FROM audit ORDER BY id")
    assert found == [[change[3]["what"], change[3]["at"]] for change in (by_sql[1], by_push[1])]
    sql.run("DROP TRIGGER told")
    sql.run("INSERT INTO item(name) VALUES ('untold')")
    assert sql.rows("SELECT count(*) FROM audit") == [[2]]


def test_triggers_come_along_when_tables_change(sql: Sql) -> None:  # Q19
    sql.run(*AUDIT)
    sql.run("ALTER TABLE audit ADD COLUMN by TEXT DEFAULT 'x'", "ALTER TABLE item ADD COLUMN size INT")
    sql.run("INSERT INTO item(name) VALUES ('a')")
    assert sql.rows("SELECT what, by FROM audit") == [["a", "x"]]
    assert sql.refused("DROP TABLE audit")[1] in ("invalid", "failed")
    sql.run("DROP TABLE item")
    assert sql.rows("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'") == [[0]]


@pytest.mark.parametrize(
    "body",
    ["DELETE FROM _sharelite", "UPDATE sqlite_sequence SET seq = 1",
     "INSERT INTO audit(what) SELECT pgno FROM sqlite_dbpage",
     "SELECT load_extension('x')"],
)  # fmt: skip
def test_a_trigger_may_do_what_sql_may_do(sql: Sql, body: str) -> None:  # Q19
    sql.run(*AUDIT[:2])
    status, code, _ = sql.refused(f"CREATE TRIGGER bad AFTER INSERT ON item BEGIN {body}; END")
    assert (status, code) in [(403, "forbidden"), (422, "failed"), (422, "invalid")]
    assert sql.run("INSERT INTO item(name) VALUES ('a')")


def test_a_trigger_without_end_ends(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:  # Q19
    monkeypatch.setattr("sharelite.sql.guard.WRITE_SECONDS", 0.5)
    sql.run(*AUDIT[:2])
    sql.run("CREATE TRIGGER again AFTER INSERT ON item BEGIN INSERT INTO item(name) VALUES ('x'); END")
    assert sql.refused("INSERT INTO item(name) VALUES ('a')")[1] in ("over_budget", "failed")
    sql.run("DROP TRIGGER again")
    sql.run("CREATE TRIGGER long AFTER INSERT ON item BEGIN INSERT INTO audit(what) WITH RECURSIVE c(n) AS "
            "(SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c WHERE n < 0; END")  # fmt: skip
    body = {"changes": [["i", "item", [1], {"name": "by push"}]]}
    answer = sql.server.http.post(f"/v1/projects/{sql.project}/mutations", json=body)
    assert answer.json()["error"]["code"] == "over_budget"
    assert sql.rows("SELECT count(*) FROM item") == [[0]]


def test_a_trigger_that_raises_refuses_with_its_words(sql: Sql) -> None:  # Q19
    sql.run(*AUDIT[:2])
    sql.run("CREATE TRIGGER no BEFORE DELETE ON item BEGIN SELECT raise(ABORT, 'items stay'); END")
    sql.run("INSERT INTO item(name) VALUES ('a')")
    status, code, message = sql.refused("DELETE FROM item")
    assert (status, code) == (422, "invalid") and "items stay" in message


def test_a_restart_keeps_tables_and_triggers(tmp_path: Path) -> None:  # Q19
    with Serving(tmp_path / "data") as server:
        sql = Sql(server, nothing())
        sql.run(*AUDIT)
        project = sql.project
    with Serving(tmp_path / "data") as server, desk(server, project) as ann:
        ann.run("INSERT INTO item(name) VALUES ('a')")
        assert ann.run("SELECT what FROM audit") == [["a"]]
        with pytest.raises(Refusal, match="no such table"):
            ann.run("SELECT * FROM nowhere")


def kinds(contract: Contract) -> dict[str, Any]:
    return {name: column.type for table in contract.tables.values() for name, column in table.columns.items()}


def test_declared_types_become_types_of_ours() -> None:  # Q18
    contract = after(
        "CREATE TABLE t(id BIGINT PRIMARY KEY, a NVARCHAR(5), b DOUBLE, c BLOB, d DATETIME, e INT, f BOOLEAN)"
    )
    assert kinds(contract) == {
        "id": "INTEGER", "a": "TEXT", "b": "REAL", "c": "BLOB", "d": "ANY", "e": "INTEGER", "f": "ANY",
    }  # fmt: skip
