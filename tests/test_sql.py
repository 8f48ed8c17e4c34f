"""SQL over HTTP on a real server: statements, values, what each of them gave, and what it may not do (SPEC Q)."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest
from starlette.requests import HTTPConnection

from sharelite.app import create_app
from sharelite.auth import Identity
from sharelite.sql import reading
from sharelite.sql.guard import MEMORY, Guard, Watchdog
from tests.roads import SCENE
from tests.serving import Serving
from tests.test_routes import error

CLIENT = "c" * 32
COUNT = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("sql") / "data") as serving:
        yield serving


class Sql:
    """Somebody who sends statements to one project."""

    def __init__(self, server: Serving, contract: dict[str, Any] = SCENE) -> None:
        answer = server.http.post("/v1/projects", json={"name": secrets.token_hex(8), "contract": contract})
        assert answer.status_code == 201, answer.text
        self.server, self.project = server, answer.json()["id"]
        self.address = f"/v1/projects/{self.project}/sql"

    def post(self, *statements: Any, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        return self.server.http.post(self.address, json={"statements": statements, **more}, headers=headers)

    def run(self, *statements: Any, **more: Any) -> list[dict[str, Any]]:
        """The results."""
        answer = self.post(*statements, **more)
        assert answer.status_code == 200, answer.text
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    def rows(self, sql: str, *params: Any) -> list[Any]:
        rows: list[Any] = self.run({"sql": sql, "params": list(params)})[0]["rows"]
        return rows

    def refused(self, *statements: Any, **more: Any) -> tuple[int, str, str]:
        answer = self.post(*statements, **more)
        status, code = error(answer)
        return status, code, answer.json()["error"]["message"]

    def version(self) -> int:
        return int(self.server.http.get(f"/v1/projects/{self.project}").json()["version"])

    def publish(self) -> int:
        """The version of an image of now."""
        answer = self.server.http.get(f"/v1/projects/{self.project}/db")
        return int(answer.headers["sharelite-version"])

    def commits(self, after: int = 0) -> list[Any]:
        found: list[Any] = self.server.http.get(f"/v1/projects/{self.project}/commits", params={"after": after}).json()[
            "commits"
        ]
        return found

    def lines(self, *statements: Any, **more: Any) -> list[Any]:
        answer = self.post(*statements, headers={"accept": "application/x-ndjson"}, **more)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]


@pytest.fixture
def sql(server: Serving) -> Sql:
    return Sql(server)


@pytest.mark.parametrize(
    "value",
    [None, 0, -1, 2**53 - 1, {"$i": str(2**63 - 1)}, {"$i": str(-(2**63))}, 0.1, {"$r": 3.0}, {"$r": 1e300}, 1e-300,
     {"$r": "inf"}, {"$r": "-inf"}, "", "ä\0b", "x" * 100_000, {"$b": ""}, {"$b": "AP8="}],
)  # fmt: skip
def test_values_come_out_as_they_went_in(sql: Sql, value: Any) -> None:  # Q1
    assert sql.rows("SELECT ?", value) == [[value]]
    assert sql.run({"sql": "SELECT :a AS x, typeof(:a)", "params": {"a": value}})[0]["rows"][0][0] == value


def test_a_large_integer_is_the_same_written_either_way(sql: Sql) -> None:  # Q1
    assert sql.rows("SELECT ?, typeof(?)", 2**62, {"$r": 2}) == [[{"$i": str(2**62)}, "real"]]


def test_a_read_has_columns_types_rows_and_time(sql: Sql) -> None:  # Q2
    (result,) = sql.run("SELECT id, size, size + 1 AS more FROM note")
    assert (result["columns"], result["types"]) == (["id", "size", "more"], ["TEXT", "REAL", None])
    assert (result["rows"], result["affected"], result["last_id"]) == ([], -1, None) and result["ms"] >= 0


def test_a_write_says_how_many_rows_and_which_rowid(sql: Sql) -> None:  # Q2
    one, two, three = sql.run(
        "INSERT INTO note(id, size) VALUES ('a', 1), ('b', 2) RETURNING id, size",
        "UPDATE note SET size = size + 1",
        {"sql": "INSERT INTO note(id) VALUES (?)", "many": [["c"], ["d"], ["e"]]},
    )
    assert (one["rows"], one["affected"], one["last_id"]) == ([["a", {"$r": 1.0}], ["b", {"$r": 2.0}]], 2, 2)
    assert (two["affected"], three["affected"], three["last_id"]) == (2, 3, 5)


def test_the_statements_of_a_request_are_one_commit(sql: Sql) -> None:  # Q3 Q4
    before = sql.version()
    sql.run("INSERT INTO note(id) VALUES ('a')", "INSERT INTO note(id) VALUES ('b')", tag="two")
    (commit,) = sql.commits(before)
    assert (commit["kind"], commit["tag"], commit["by"]) == ("sql", "two", "local")
    assert commit["changes"] == [["i", "note", ["a"], {}], ["i", "note", ["b"], {}]]


def test_a_later_statement_sees_the_earlier_ones(sql: Sql) -> None:  # Q3
    results = sql.run("INSERT INTO note(id) VALUES ('a')", "SELECT count(*) FROM note")
    assert results[1]["rows"] == [[1]]


def test_the_thousandth_set_of_parameters_takes_all_back_and_is_named(sql: Sql) -> None:  # Q3
    many = [[f"n{place}", "x" * (21 if place == 999 else 1)] for place in range(1000)]
    answer = sql.post({"sql": "INSERT INTO note(id, text) VALUES (?, ?)", "many": many})
    assert error(answer) == (422, "invalid")
    (fault,) = answer.json()["error"]["errors"]
    assert (fault["table"], fault["key"], fault["pointer"]) == ("note", ["n999"], "/text")
    assert sql.rows("SELECT count(*) FROM note") == [[0]]


def test_a_statement_that_fails_is_named_with_its_set_of_parameters(sql: Sql) -> None:  # Q3
    answer = sql.post("SELECT 1", {"sql": "INSERT INTO note(id) VALUES (?)", "many": [["a"], ["b"], ["a"]]})
    assert error(answer) == (409, "exists")
    assert answer.json()["error"]["errors"][0]["pointer"] == "/statements/1/many/2"
    assert answer.json()["version"] == sql.version()


def test_each_alone_is_answered_alone(sql: Sql) -> None:  # Q3
    one, two, three, four = sql.run(
        "INSERT INTO note(id) VALUES ('a')", "INSERT INTO nowhere VALUES (1)", "SELECT id FROM note",
        {"sql": "INSERT INTO note(id) VALUES (?)", "many": [[f"m{n}"] for n in range(2500)]}, transaction=False,
    )  # fmt: skip
    assert (one["affected"], two["error"]["code"], three["rows"]) == (1, "failed", [["a"]])
    assert two["error"]["errors"][0]["pointer"] == "/statements/0"
    assert four["affected"] == 2500 and sql.rows("SELECT count(*) FROM note") == [[2501]]


def test_an_id_has_one_effect_and_one_answer(sql: Sql) -> None:  # Q4
    body = {"statements": ["INSERT INTO note(id) VALUES (hex(randomblob(8)))"], "id": [CLIENT, 1]}
    first = sql.server.http.post(sql.address, json=body).json()
    again = sql.server.http.post(sql.address, json=body).json()
    assert again == {"version": first["version"], "repeated": True, "results": []}
    assert sql.rows("SELECT count(*) FROM note") == [[1]]
    assert sql.refused("INSERT INTO note(id) VALUES ('b')", id=[CLIENT, 1])[:2] == (409, "id_reused")


def test_what_sql_did_is_in_the_feed_as_row_values(sql: Sql) -> None:  # Q4
    with sql.server.open(sql.project) as talk:
        sql.run("INSERT INTO note(id, text, size) VALUES ('a', datetime('now'), abs(random() % 100))")
        ((_, table, key, row),) = talk.hear()["commits"][0]["changes"]
    assert (table, key) == ("note", ["a"])
    assert sql.rows("SELECT text, size FROM note") == [[row["text"], {"$r": row["size"]}]]


def test_statements_of_one_read_see_one_state(sql: Sql) -> None:  # Q5
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            sql.run("INSERT INTO note(id) VALUES (hex(randomblob(8)))")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            answer = sql.post(*["SELECT count(*) FROM note"] * 3).json()
            (count,) = {result["rows"][0][0] for result in answer["results"]}
            assert answer["version"] == count + 1
    finally:
        stop.set()
        writer.join()


def test_a_read_waits_for_the_version_it_needs_and_knows_no_other(sql: Sql) -> None:  # Q5
    version = sql.version()
    assert sql.post("SELECT 1", level="linearizable").json()["version"] == version
    assert sql.post("SELECT 1", at=version).status_code == 200
    status, code, message = sql.refused("SELECT 1", at=version - 1)
    assert (status, code) == (410, "version_gone") and "has no image of it" in message
    later = threading.Timer(0.1, lambda: sql.run("INSERT INTO note(id) VALUES ('a')"))
    later.start()
    assert sql.post("SELECT count(*) FROM note", level="session", version=version + 1).json()["results"][0]["rows"] == [
        [1]
    ]


def test_a_version_that_has_an_image_is_read_as_it_was(sql: Sql) -> None:  # Q5
    sql.run("INSERT INTO note(id, text, any) VALUES ('a', 'before', 1.5)")
    shown = sql.publish()
    sql.run("UPDATE note SET text = 'after'", "INSERT INTO note(id) VALUES ('b')")
    answer = sql.post("SELECT id, text, any FROM note", "SELECT count(*) FROM note", at=shown).json()
    assert answer["version"] == shown
    assert [each["rows"] for each in answer["results"]] == [[["a", "before", 1.5]], [[1]]]
    head, row, _ = sql.lines("SELECT text FROM note", at=shown)
    assert (head["version"], row) == (shown, ["before"])
    assert sql.rows("SELECT count(*) FROM note") == [[2]]
    assert sql.refused("SELECT * FROM _sharelite", at=shown)[:2] == (403, "forbidden")
    message = sql.refused("SELECT 1", at=shown - 1)[2]
    assert f"the nearest that can: {shown}." in message


def test_a_version_that_is_still_to_come_is_waited_for(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:  # Q5
    monkeypatch.setattr("sharelite.statements.PATIENCE", 60.0)
    version = sql.version()
    later = threading.Timer(0.1, lambda: sql.run("INSERT INTO note(id) VALUES ('a')"))
    later.start()
    assert sql.post("SELECT count(*) FROM note", at=version + 1).json()["results"][0]["rows"] == [[1]]
    monkeypatch.setattr("sharelite.statements.PATIENCE", 0.05)
    status, code, message = sql.refused("SELECT 1", at=version + 99)
    assert (status, code) == (503, "unavailable") and f"the project is at {version + 1}" in message


@pytest.mark.parametrize("of_image", [True, False])
def test_whoever_reads_slowly_holds_up_no_image_and_no_write(sql: Sql, of_image: bool) -> None:  # Q5
    sql.run("INSERT INTO note(id, text) " + COUNT + "SELECT 'n' || n, 'before' FROM c LIMIT 5000")
    at = {"at": sql.publish()} if of_image else {}
    body = {"statements": ["SELECT a.id, b.text, hex(zeroblob(200)) FROM note a, note b LIMIT 30000"], **at}
    with sql.server.http.stream("POST", sql.address, json=body, headers={"accept": "application/x-ndjson"}) as answer:
        lines = answer.iter_lines()
        version = json.loads(next(lines))["version"]
        for text in ("x", "y"):
            sql.run({"sql": "UPDATE note SET text = ?", "params": [text]})
            assert sql.publish() == sql.version()
        *rows, tail = map(json.loads, lines)
    assert sql.version() == version + 2 and tail["rows"] == len(rows) == 30_000
    assert {row[1] for row in rows} == {"before"}


def test_an_image_that_is_damaged_is_said_to_be_and_made_anew(tmp_path: Path) -> None:  # Q5
    with Serving(tmp_path / "data") as server:
        sql = Sql(server)
        sql.run("INSERT INTO note(id, text) " + COUNT + "SELECT 'n' || n, hex(randomblob(9)) FROM c LIMIT 9999")
        shown = sql.publish()
        for chunk in (tmp_path / "data" / "chunks").iterdir():
            chunk.write_bytes(chunk.read_bytes()[::-1])
        assert sql.refused("SELECT count(*) FROM note", at=shown)[:2] == (500, "damaged")
        sql.run("INSERT INTO note(id) VALUES ('a')")
        again = sql.publish()
        assert sql.post("SELECT count(*) FROM note", at=again).json()["results"][0]["rows"] == [[10_000]]


def test_rows_come_line_by_line(sql: Sql) -> None:  # Q5
    head, *rows, tail = sql.lines(COUNT + "SELECT n, hex(zeroblob(400)) AS h FROM c LIMIT 30000")
    assert head == {"statement": 0, "version": sql.version(), "columns": ["n", "h"], "types": [None, None]}
    assert [row[0] for row in rows] == list(range(1, 30001)) and tail["rows"] == 30000


def test_an_error_behind_the_first_line_is_the_last_line(sql: Sql) -> None:  # Q5
    *_, last = sql.lines("SELECT 1", "SELECT abs(-9223372036854775808)")
    assert last["error"]["code"] == "failed" and last["error"]["errors"][0]["pointer"] == "/statements/1"
    answer = sql.post("SELEC", headers={"accept": "application/x-ndjson"})
    assert error(answer) == (400, "bad_request")


def test_readers_read_and_editors_write(tmp_path: Path) -> None:  # Q6
    async def by_name(token: str | None, connection: HTTPConnection) -> Identity | None:
        return Identity(str(token), (("*", "reader" if token == "rita" else "owner"),))

    with Serving(tmp_path / "data", create_app(tmp_path / "data", authenticate=by_name), token="olga") as server:
        sql = Sql(server)
        sql.run("INSERT INTO note(id) VALUES ('a')")
        server.http.headers["authorization"] = "Bearer rita"
        assert sql.rows("SELECT id FROM note") == [["a"]]
        assert sql.refused("DELETE FROM note")[:2] == (403, "forbidden")
        assert sql.refused("WITH x AS (SELECT 1) DELETE FROM note")[:2] == (403, "forbidden")


@pytest.mark.parametrize(
    "text",
    ["ATTACH ':memory:' AS x", "DETACH main", "PRAGMA journal_mode=DELETE", "PRAGMA writable_schema=1", "VACUUM",
     "VACUUM INTO 'x'", "ANALYZE", "REINDEX", "SELECT load_extension('x')", "SELECT * FROM _sharelite",
     "DELETE FROM _sharelite", "UPDATE sqlite_schema SET sql=''", "INSERT INTO sqlite_sequence VALUES('a', 1)",
     "SELECT * FROM temp._chg", "DELETE FROM temp._cap", "CREATE TEMP TABLE x(a)",
     "CREATE VIRTUAL TABLE x USING fts5(a)", "SELECT * FROM sqlite_dbpage",
     "PRAGMA temp_store_directory='x'", "PRAGMA foreign_keys=OFF",
     "PRAGMA database_list", "SELECT file FROM pragma_database_list"],
)  # fmt: skip
def test_what_is_not_allowed_is_said(sql: Sql, text: str) -> None:  # Q7
    before = sql.version()
    status, code, message = sql.refused(text)
    assert (status, code) in [(403, "forbidden"), (422, "failed")] and message
    assert sql.version() == before and sql.run("INSERT INTO note(id) VALUES ('a')")


@pytest.mark.parametrize("text", ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT mutation", " /* x */ ; RELEASE mutation"])
def test_transaction_statements_are_sent_elsewhere(sql: Sql, text: str) -> None:  # Q7
    status, code, message = sql.refused(text)
    assert (status, code) == (400, "bad_request") and "/transactions" in message
    assert sql.refused("INSERT INTO note(id) VALUES ('a'); ROLLBACK")[:2] == (422, "failed")
    assert sql.rows("SELECT count(*) FROM note") == [[0]]


def test_what_reflection_needs_can_be_read(sql: Sql) -> None:  # Q7
    assert ["note"] in sql.rows("SELECT name FROM sqlite_schema WHERE type='table'")
    assert sql.rows('PRAGMA main.table_xinfo("note")')[0][1:3] == ["id", "TEXT"]
    assert sql.rows("SELECT name FROM pragma_table_info('note')")[0] == ["id"]
    assert sql.rows("PRAGMA foreign_key_list(note)") and sql.rows("PRAGMA foreign_keys") is not None


def test_one_text_is_one_statement(sql: Sql) -> None:  # Q7
    assert sql.refused("SELECT 1; SELECT 2")[:2] == (422, "failed")
    assert sql.rows("SELECT 1 ; -- nothing more") == [[1]]


@pytest.mark.parametrize(
    ("text", "limit"),
    [("SELECT printf('%.*c', 900000000, 'x')", "64 MiB"), ("SELECT zeroblob(900000000)", "64 MiB"),
     ("SELECT " + " OR ".join(["1"] * 10_000), "1000"),
     ("SELECT " + "(" * 9999 + "1" + ")" * 9999, "limit"), ("SELECT '" + "x" * 2_000_000 + "'", "1 MiB"),
     (COUNT + "SELECT n, hex(zeroblob(5000)) FROM c", "16 MiB"),
     (COUNT + "SELECT count(*) FROM (SELECT hex(randomblob(1000000)) a FROM c ORDER BY a)", "256 MiB")],
)  # fmt: skip
def test_what_is_too_large_names_the_limit(sql: Sql, text: str, limit: str) -> None:  # Q8
    status, code, message = sql.refused(text)
    assert (status, code) == (422, "over_budget") and limit in message
    assert sql.rows("SELECT 1") == [[1]]


def test_heavy_statements_at_once_have_a_budget_each_and_the_hungriest_is_stopped() -> None:  # Q8
    watch = Watchdog()
    watch._thread = threading.current_thread()  # nobody looks but this test
    first, second, third = [Guard(apsw.Connection(":memory:"), watch) for _ in range(3)]
    used, now = apsw.memory_used(), time.monotonic()
    with first.within(60), second.within(60):
        watch.look(now, used + MEMORY * 3 // 2)
        assert (first.over, second.over) == (None, None)
    with first.within(60):
        used = watch._used
        watch.look(now, used + MEMORY // 2)
        with third.within(60):
            watch.look(now, used + MEMORY // 2 + MEMORY)
            assert (first.over, third.over) == (None, None)
            watch.look(now, used + MEMORY // 2 + MEMORY + 2)
            assert first.over and "256 MiB" in first.over and third.over is None


@pytest.mark.parametrize(
    "text",
    ["INSERT INTO note(id, any) " + COUNT + "SELECT 'x' || n, n FROM c WHERE n < 0",
     "DELETE FROM note WHERE (" + COUNT + "SELECT sum(length(hex(randomblob(3000000)))) FROM c) = 0"],
)  # fmt: skip
def test_a_write_without_end_gives_the_turn_back(sql: Sql, text: str, monkeypatch: pytest.MonkeyPatch) -> None:  # Q8
    monkeypatch.setattr("sharelite.sql.guard.WRITE_SECONDS", 0.3)
    sql.run("INSERT INTO note(id) VALUES ('a')")
    status, code, message = sql.refused(text)
    assert (status, code) == (422, "over_budget") and "0.3 s" in message
    assert sql.run("INSERT INTO note(id) VALUES ('b')")[0]["affected"] == 1


@pytest.mark.parametrize("text", [COUNT + "SELECT max(n) FROM c", COUNT + "SELECT count(*) FROM c a, c b"])
def test_a_read_without_end_is_ended(sql: Sql, text: str, monkeypatch: pytest.MonkeyPatch) -> None:  # Q8
    monkeypatch.setattr("sharelite.statements.READ_SECONDS", 0.3)
    status, code, message = sql.refused(text)
    assert (status, code) == (422, "over_budget") and "0.3 s" in message


@pytest.mark.parametrize(
    ("sql_", "params"),
    [("SELECT ?, ?", [1]), ("SELECT ?", [1, 2]), ("SELECT :a, :b", {"a": 1}), ("SELECT ?", {"a": 1}), ("SELECT 1", [1]),
     ("SELECT ?", [2**70])],
)  # fmt: skip
def test_wrong_parameters_are_told(sql: Sql, sql_: str, params: Any) -> None:  # Q1
    status, code, message = sql.refused({"sql": sql_, "params": params})
    assert (status, code) in [(422, "failed"), (400, "bad_request")] and message


@pytest.mark.parametrize(
    ("text", "kind"),
    [("select 1", "read"), ("  -- x\n/* y */ SELECT 1", "read"), ("", "empty"), (" ; -- x", "empty"),
     ("WITH a AS (SELECT 'INSERT') SELECT * FROM a", "read"),
     ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", "write"),
     ('WITH "insert" AS (VALUES(1)) DELETE FROM t', "write"), ("CREATE TABLE t(a)", "schema"), ("end", "transaction"),
     ("REPLACE INTO t VALUES(1)", "write"), ("(SELECT 1)", "write"), ("EXPLAIN DELETE FROM t", "read")],
)  # fmt: skip
def test_the_first_word_says_what_kind_a_statement_is(text: str, kind: str) -> None:  # Q3
    assert reading.kind(text) == kind


@pytest.mark.parametrize(
    "body",
    [{}, {"statements": 1}, {"statements": [1]}, {"statements": [{}]}, {"statements": [{"sql": "x", "many": 1}]},
     {"statements": [{"sql": "x", "params": [], "many": []}]}, {"statements": [{"prepared": 1}]},
     {"statements": [], "x": 1}, {"statements": [], "level": "strong"}, {"statements": [], "at": -1},
     {"statements": [], "id": [1, 2]},
     {"statements": [{"sql": "x", "params": [[1]]}]}, {"statements": [], "id": [CLIENT, 1], "transaction": False}],
)  # fmt: skip
def test_what_is_no_request_is_told(sql: Sql, body: Any) -> None:  # Q3
    assert error(sql.server.http.post(sql.address, json=body)) == (400, "bad_request")
