"""The driver on real servers: PEP 249, values, transactions, and what happens when a server goes (SPEC D)."""

from __future__ import annotations

import inspect
import json
import secrets
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

import sharelite
from sharelite.driver import Connection, Cursor, connect
from sharelite.driver.address import parse
from sharelite.driver.texts import control, statements
from sharelite.driver.wire import Lost, Wire
from tests.roads import SCENE
from tests.running import RunningServer
from tests.serving import PATIENCE, Serving

INSERT = "INSERT INTO note(id, text) VALUES (?, ?)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("driver") / "data") as serving:
        yield serving


@pytest.fixture
def url(server: Serving) -> str:
    answer = server.http.post("/v1/projects", json={"name": secrets.token_hex(8), "contract": SCENE})
    return f"sharelite://127.0.0.1:{server.port}/{answer.json()['id']}"


@pytest.fixture
def ann(url: str) -> Iterator[Connection]:
    connection = connect(url, timeout=PATIENCE)
    yield connection
    connection.close()


@pytest.fixture
def bob(url: str) -> Iterator[Connection]:
    connection = connect(url, timeout=PATIENCE, autocommit=True)
    yield connection
    connection.close()


def ids(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT id FROM note ORDER BY id")]


def test_the_module_is_what_pep_249_asks_for() -> None:  # D1
    assert (sharelite.apilevel, sharelite.threadsafety, sharelite.paramstyle) == ("2.0", 2, "qmark")
    assert sharelite.DRIVER == set(sharelite.driver.__all__)
    assert issubclass(sharelite.IntegrityError, sharelite.DatabaseError)
    assert issubclass(sharelite.InterfaceError, sharelite.Error) and sharelite.STRING == "text" != sharelite.NUMBER
    with pytest.raises(AttributeError, match="nothing"):
        _ = sharelite.nothing


def test_the_driver_loads_nothing_of_the_server() -> None:  # D1
    code = "import sys, sharelite; sharelite.connect; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"starlette", "uvicorn", "apsw", "boto3", "jsonschema", "cryptography", "httpx", "click"} & set(
        loaded
    ) == set()


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_connections_and_cursors_are_those_of_sqlite3(ann: Connection) -> None:  # D9
    own_functions = {"backup", "blobopen", "create_aggregate", "create_collation", "create_function", "deserialize"}
    own_functions |= {"create_window_function", "enable_load_extension", "load_extension", "serialize", "iterdump"}
    own_functions |= {
        "set_authorizer",
        "set_progress_handler",
        "set_trace_callback",
        "getlimit",
        "setlimit",
        "interrupt",
    }
    assert public(sqlite3.Connection) - own_functions - {"text_factory", "getconfig", "setconfig"} <= {*dir(ann)}
    assert public(sqlite3.Cursor) <= {*dir(ann.cursor())}
    assert public(sqlite3.Row) <= public(sharelite.Row)
    for name in ("execute", "executemany", "executescript"):
        theirs = getattr(sqlite3.Cursor, name).__doc__
        count = len(inspect.signature(getattr(Cursor, name)).parameters)
        assert theirs and count == (2 if name == "executescript" else 3)


STORY: list[tuple[str, Any]] = [
    ("SELECT 1 AS a, 'x' AS b", ()), ("SELECT :a, :b", {"a": 1, "b": b"\x00", "more": 3}),
    ("INSERT INTO note(id, text) VALUES (?, ?)", ("a", "x")), ("SELECT id, text FROM note", ()),
    ("INSERT INTO note(id) VALUES ('b'), ('c') RETURNING id", ()), ("UPDATE note SET text = 'y' WHERE id <> ?", ("a",)),
    ("COMMIT", ()), ("BEGIN", ()), ("DELETE FROM note", ()), ("ROLLBACK", ()), ("SELECT count(*) FROM note", ()),
    ("SELECT ?", ()), ("SELECT ?", (1, 2)), ("SELECT :a", {}), ("SELEC", ()), ("SELECT 1; SELECT 2", ()),
    ("SELECT ?", ({},)), ("INSERT INTO note(id) VALUES ('a')", ()), ("ROLLBACK", ()), ("COMMIT", ()),
]  # fmt: skip


def test_a_story_has_the_same_results_as_with_sqlite3(ann: Connection) -> None:  # D9
    theirs = sqlite3.connect(":memory:")
    theirs.execute("CREATE TABLE note(id TEXT PRIMARY KEY, text TEXT)")

    def told(connection: Any, module: Any, sql: str, params: Any) -> Any:
        cursor = connection.cursor()
        try:
            cursor.execute(sql, params)
            rows = cursor.fetchall()
        except module.Error as problem:
            return (
                "IntegrityError" if isinstance(problem, module.IntegrityError) else "error"
            ), connection.in_transaction
        return rows, cursor.rowcount, [each[0] for each in cursor.description or ()], connection.in_transaction

    for sql, params in STORY:
        assert told(ann, sharelite, sql, params) == told(theirs, sqlite3, sql, params), sql
    theirs.close()


@pytest.mark.parametrize(
    "value",
    [None, 0, -1, 2**53, 2**63 - 1, -(2**63), 3.0, 0.1, 1e300, float("inf"), "", "ä\0b", b"", b"\x00\xff", True],
)
def test_values_come_back_as_they_were(ann: Connection, value: Any) -> None:  # D2
    (back,) = ann.execute("SELECT ?", (value,)).fetchone()
    assert back == value and (type(back) is type(value) or value is True)


def test_what_sqlite_cannot_hold_is_told_before_it_is_sent(ann: Connection) -> None:  # D2
    for value in (2**63, "\ud800"):
        with pytest.raises(sharelite.DataError):
            ann.execute("SELECT ?", (value,))
    with pytest.raises(OverflowError):
        ann.execute("SELECT ?", (-(2**63) - 1,))
    with pytest.raises(sharelite.ProgrammingError, match="type 'object'"):
        ann.execute("SELECT ?", (object(),))
    with pytest.raises(sharelite.DataError, match="the limit is 1,048,576"):
        ann.execute("SELECT ?", (b"x" * 1_000_000,))
    assert ann.execute("SELECT ?, ?, ?", (float("nan"), date(2026, 1, 2), datetime(2026, 1, 2, 3, 4))).fetchone() == (
        None, "2026-01-02", "2026-01-02 03:04:00",
    )  # fmt: skip


def test_rows_are_fetched_one_some_or_all(ann: Connection) -> None:  # D1
    cursor = ann.execute("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 9) SELECT n FROM c")
    assert (cursor.fetchone(), cursor.fetchmany(), cursor.fetchmany(3)) == ((1,), [(2,)], [(3,), (4,), (5,)])
    assert (next(cursor), cursor.fetchall(), cursor.fetchone(), cursor.fetchall()) == (
        (6,),
        [(7,), (8,), (9,)],
        None,
        [],
    )
    assert [column[1] for column in ann.execute("SELECT id, size FROM note").description or ()] == ["TEXT", "REAL"]
    cursor.close()
    with pytest.raises(sharelite.ProgrammingError, match="closed"):
        cursor.fetchone()


def test_a_row_is_reached_by_place_and_by_name(ann: Connection) -> None:  # D1
    ann.row_factory = sharelite.Row
    row = ann.execute("SELECT 1 AS a, 2 AS b").fetchone()
    assert (row["A"], row[1], row[:], tuple(row), row.keys(), len(row)) == (1, 2, (1, 2), (1, 2), ["a", "b"], 2)
    assert row == ann.execute("SELECT 1 AS a, 2 AS b").fetchone() and "'b': 2" in repr(row)
    with pytest.raises(IndexError, match="'c'"):
        row["c"]


def test_the_first_write_begins_a_transaction_and_the_with_ends_it(ann: Connection, bob: Connection) -> None:  # D4
    assert ids(ann) == [] and not ann.in_transaction
    with ann:
        ann.execute(INSERT, ("a", "x"))
        assert ann.in_transaction and ids(bob) == []
    assert ids(bob) == ["a"] and not ann.in_transaction
    with pytest.raises(ZeroDivisionError), ann:
        ann.execute(INSERT, ("b", "x"))
        1 / 0  # noqa: B018
    assert ids(bob) == ids(ann) == ["a"]


def test_without_autocommit_everything_is_in_a_transaction(url: str, bob: Connection) -> None:  # D4
    ann = connect(url, autocommit=False)
    assert ids(ann) == [] and ann.in_transaction
    bob.execute(INSERT, ("a", "x"))
    assert ids(ann) == []
    ann.rollback()
    assert ids(ann) == ["a"]
    ann.rollback()
    ann.execute("SAVEPOINT s")
    ann.execute(INSERT, ("b", "x"))
    ann.execute("ROLLBACK TO s")
    ann.execute(INSERT, ("c", "x"))
    ann.autocommit = True
    assert ids(bob) == ["a", "c"] and not ann.in_transaction
    ann.close()


def test_who_read_what_was_changed_since_is_in_conflict(ann: Connection, bob: Connection) -> None:  # D4 D5
    ann.execute("BEGIN")
    assert ids(ann) == []
    bob.execute(INSERT, ("b", "x"))
    with pytest.raises(sharelite.Conflict):
        ann.execute(INSERT, ("a", "x"))
    with pytest.raises(sharelite.OperationalError, match="roll it back"):
        ids(ann)
    ann.rollback()
    ann.execute(INSERT, ("a", "x"))
    ann.commit()
    assert ids(bob) == ["a", "b"]


def test_an_error_says_which_row_and_which_class(ann: Connection, bob: Connection) -> None:  # D5
    with pytest.raises(sharelite.IntegrityError) as long:
        bob.execute(INSERT, ("a", "x" * 21))
    assert (long.value.code, long.value.table, long.value.key, long.value.pointer) == (
        "invalid",
        "note",
        ["a"],
        "/text",
    )
    bob.execute(INSERT, ("a", "x"))
    for sql, kind, code in [
        ("INSERT INTO note(id) VALUES ('a')", sharelite.IntegrityError, "exists"),
        ("SELECT * FROM nowhere", sharelite.ProgrammingError, "failed"),
        ("ATTACH 'x' AS y", sharelite.OperationalError, "forbidden"),
        ("SELECT zeroblob(900000000)", sharelite.DataError, "over_budget"),
        ("CREATE TABLE t(a)", sharelite.ProgrammingError, "contract_given"),
    ]:
        with pytest.raises(kind) as found:
            bob.execute(sql)
        assert found.value.code == code, sql
    assert ids(bob) == ["a"]


def test_many_sets_go_in_few_messages(ann: Connection, bob: Connection) -> None:  # D7
    before = bob.version
    cursor = bob.executemany(INSERT, ((f"n{place:05}", "x") for place in range(2500)))
    assert (cursor.rowcount, bob.version - before, bob.total_changes) == (2500, 3, 2500)
    cursor = ann.executemany(
        "INSERT INTO note(id, any) VALUES (:id, :any)", [{"id": f"b{n}", "any": "y" * 300_000} for n in range(9)]
    )
    assert cursor.rowcount == 9 and ann.in_transaction
    ann.commit()
    assert len(ids(bob)) == 2509


def test_a_bad_set_among_many_is_named_and_what_was_written_is_counted(bob: Connection) -> None:  # D7
    cursor = bob.cursor()
    with pytest.raises(sharelite.IntegrityError) as found:
        cursor.executemany(INSERT, [(f"n{place:05}", "x" * (21 if place == 1500 else 1)) for place in range(2500)])
    assert (found.value.key, cursor.rowcount, len(ids(bob))) == (["n01500"], 1000, 1000)
    for wrong in ([("a",)], [{"a": 1}], [("a", object())], [3]):
        with pytest.raises(sharelite.ProgrammingError):
            bob.executemany(INSERT, wrong)  # type: ignore[arg-type]
    with pytest.raises(sharelite.ProgrammingError):
        bob.executemany("SELECT ?", [(1,)])


def test_a_script_runs_statement_by_statement(ann: Connection, bob: Connection) -> None:  # D9
    ann.executescript("INSERT INTO note(id) VALUES ('a;b'); -- x;\nBEGIN; INSERT INTO note(id) VALUES ('c'); COMMIT; ;")
    assert ids(bob) == ["a;b", "c"]
    assert list(statements("SELECT ';'; -- ;\n ; SELECT 2")) == ["SELECT ';';", " SELECT 2"]


def test_a_statement_is_prepared_once_and_kept(url: str) -> None:  # D8
    with connect(url, cached_statements=2) as ann:
        numbers = [ann._prepared(f"SELECT {n}").number for n in (1, 1, 2, 1, 3, 1, 2)]
        assert numbers == [1, 1, 2, 1, 3, 1, 4]
    ann.close()
    with pytest.raises(sharelite.ProgrammingError, match="closed"):
        ann.execute("SELECT 1")


def test_threads_share_a_connection(bob: Connection) -> None:  # D1
    def write(name: str) -> None:
        for place in range(20):
            bob.execute(INSERT, (f"{name}{place}", "x"))

    threads = [threading.Thread(target=write, args=[name]) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids(bob)) == 60


@pytest.mark.parametrize(
    "wrong", ["", "x", "sqlite://a/b", "sharelite://", "sharelite:///p", "sharelite://a", "sharelite://a:b/p",
              "sharelite://a:99999/p", "sharelite://a,,b/p", "sharelite://a/p?ca=x", "sharelites://a/p?x=y"],
)  # fmt: skip
def test_a_wrong_address_is_told_without_its_token(wrong: str) -> None:  # D3
    with pytest.raises(sharelite.InterfaceError):
        parse(wrong)
    with pytest.raises(sharelite.InterfaceError) as found:
        parse("sharelite://secret@a")
    assert "secret" not in str(found.value)


def test_an_address_names_hosts_token_and_project() -> None:  # D3
    read = parse("sharelite://t%2Fk@a:1,[::1]:2,c/Plan%20A")
    assert read == (("a:1", "[::1]:2", "c:8080"), "Plan A", "t/k", False, None)
    assert parse("sharelites://a/p").desk("a:443", "p") == "wss://a:443/v1/projects/p/sql"
    assert parse("sharelites://a/p?ca=%2Fetc/my%20ca.pem").ca == "/etc/my ca.pem"


def test_a_host_that_lives_is_found_and_the_project_by_its_name(server: Serving) -> None:  # D3
    name = f"Plan {secrets.token_hex(4)}"
    server.http.post("/v1/projects", json={"name": name, "contract": SCENE})
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        hosts = f"127.0.0.1:{dead.getsockname()[1]},127.0.0.1:{server.port}"
        connection = connect(f"sharelite://{hosts}/{name.upper().replace(' ', '%20')}")
        assert ids(connection) == []
        connection.close()
        with pytest.raises(sharelite.OperationalError, match="no server answers within 0.1 s"):
            connect(f"sharelite://{hosts.split(',')[0]}/x", timeout=0.1)
    with pytest.raises(sharelite.ProgrammingError, match="no project 'nowhere'"):
        connect(f"sharelite://127.0.0.1:{server.port}/nowhere")


def made(server: RunningServer) -> str:
    body = json.dumps({"name": "plan", "contract": SCENE}).encode()
    request = urllib.request.Request(f"{server.url}/v1/projects", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request):
        return f"sharelite://127.0.0.1:{server.port}/plan"


def test_a_killed_server_takes_its_transaction_and_the_connection_goes_on(tmp_path: Path) -> None:  # D6
    with RunningServer(tmp_path / "data") as server:
        ann = connect(made(server), timeout=PATIENCE)
        ann.execute(INSERT, ("a", "x"))
        ann.commit()
        ann.execute(INSERT, ("b", "x"))
        server.kill()
        server.start()
        with pytest.raises(sharelite.ConnectionLost, match="rolled back"):
            ann.execute(INSERT, ("c", "x"))
        with pytest.raises(sharelite.OperationalError, match="roll it back"):
            ann.execute("SELECT 1")
        ann.rollback()
        assert ids(ann) == ["a"]
        ann.execute(INSERT, ("d", "x"))
        server.kill()
        server.start()
        with pytest.raises(sharelite.OperationalError) as lost:
            ann.commit()
        assert lost.value.code == "lease_expired" and ids(ann) == ["a"]
        ann.close()


def test_reads_and_single_writes_go_on_over_a_restart_and_unknown_is_said(tmp_path: Path) -> None:  # D6
    with RunningServer(tmp_path / "data") as server:
        ann = connect(made(server), timeout=PATIENCE, autocommit=True)
        ann.execute(INSERT, ("a", "x"))
        for name in "bc":
            server.kill()
            server.start()
            assert ann.execute(INSERT, (name, "x")).rowcount == 1
        server.kill()
        server.start()
        assert ids(ann) == ["a", "b", "c"]
        ann._line.timeout = 0.2

        def cut(wire: Wire) -> None:
            wire.ask("sql", statements=["INSERT INTO note(id) VALUES ('d')"])
            server.kill()
            wire.close()
            raise Lost("the answer did not come")

        with pytest.raises(sharelite.OutcomeUnknown, match="did not come"):
            ann._line.repeat(cut, writes=True)
        with pytest.raises(sharelite.ConnectionLost):
            ann.execute(INSERT, ("e", "x"))
        server.start()
        ann._line.timeout = PATIENCE
        assert ids(ann) == ["a", "b", "c", "d"]
        ann.close()


@pytest.mark.parametrize(
    "sql", ["BEGIN", " /* x */ begin immediate transaction;", "END", "COMMIT TRANSACTION", "rollback;"]
)
def test_transaction_statements_are_understood(sql: str) -> None:  # D4
    assert control(sql) is not None and control(sql + " TO x") is None


def lose_the_next_answer(connection: Connection) -> None:
    """The server does what it is asked for; its answer does not arrive."""
    wire = connection._line.connected()
    ask = wire.ask

    def cut(type: str, **members: Any) -> dict[str, Any]:
        ask(type, **members)
        wire.close()
        raise Lost("the answer did not come")

    wire.ask = cut  # type: ignore[method-assign]


def test_a_write_whose_answer_was_lost_happens_once(ann: Connection, bob: Connection) -> None:  # D6
    insert = "INSERT INTO note(id) VALUES (hex(randomblob(8))) RETURNING id"
    bob.execute(insert)
    lose_the_next_answer(bob)
    with pytest.raises(sharelite.ResultLost):
        bob.execute(insert)
    assert len(ids(bob)) == 2
    ann.execute(INSERT, ("z", "x"))
    lose_the_next_answer(ann)
    ann.commit()
    assert ids(bob)[-1] == "z" and len(ids(ann)) == 3
    bob.execute(insert)
    assert len(ids(ann)) == 4


def test_ha_statements_make_projects_and_run_in_them(ann: Connection, bob: Connection) -> None:  # D18
    name = f"other '{secrets.token_hex(4)}"
    ((made,),) = ann.execute("HA CREATE DB ?;", (name,)).fetchall()
    assert len(made) == 32
    with pytest.raises(sharelite.ProgrammingError, match="name"):
        ann.execute("HA CREATE DB ?", (name,))
    ann.execute("HA USE ?;CREATE TABLE t(id INTEGER PRIMARY KEY, a)", (name,))
    assert ann.execute("HA USE ?; INSERT INTO t(a) VALUES (?), (?)", (name, 1, 2)).rowcount == 2
    with pytest.raises(sharelite.OperationalError, match="another project"):
        ann.execute("HA USE ?; SELECT 1", ("elsewhere",))
    ann.commit()
    assert ann.execute(f"HA USE {made}; SELECT a FROM t ORDER BY id").fetchall() == [(1,), (2,)]
    ann.execute(INSERT, ("home", None))
    ann.commit()
    assert ids(bob) == ["home"]


def test_ha_use_alone_goes_on_with_the_other_project(ann: Connection, bob: Connection) -> None:  # D18
    name = secrets.token_hex(8)
    ann.execute("HA CREATE DB ?", (name,))
    ann.execute("ha use ?", (name,))
    ann.execute("CREATE TABLE only_there(id INTEGER PRIMARY KEY)")
    ann.execute("INSERT INTO only_there VALUES (1)")
    ann.rollback()
    assert ann.execute("SELECT count(*) FROM only_there").fetchone() == (0,) and ids(bob) == []


@pytest.mark.parametrize(
    ("sql", "parameters", "said"),
    [
        ("HA CREATE DB ?", (), "the first parameter"), ("HA USE ?; SELECT :a", {"a": 1}, "the first parameter"),
        ("HA CREATE DB ?; SELECT 1", ("x",), "nothing else"), ("HA CREATE DB a/b", (), "syntax"),
        ("HA USE ?; SELECT 1", ("nowhere",), "nowhere"), ("HA SNAPSHOT ? TO ?", ("a", "b"), "syntax"),
    ],
)  # fmt: skip
def test_what_is_no_ha_statement_is_told_and_the_connection_goes_on(
    ann: Connection, sql: str, parameters: Any, said: str
) -> None:  # D18
    with pytest.raises(sharelite.DatabaseError, match=said):
        ann.execute(sql, parameters)
    ann.rollback()
    assert ids(ann) == []


def test_a_prepared_write_sent_again_elsewhere_is_the_same_one(ann: Connection, bob: Connection) -> None:  # D6
    one, other = ann._line.connected(), bob._line.connected()
    one.prepare("SELECT 1")
    name = [secrets.token_hex(16), 1]
    numbers = [wire.prepare(INSERT).number for wire in (one, other)]
    assert numbers[0] != numbers[1]
    first, again = [
        wire.ask("sql", statements=[{"prepared": number, "params": ["a", "x"]}], id=name)
        for wire, number in zip((one, other), numbers, strict=True)
    ]
    assert again["repeated"] and again["version"] == first["version"]
    with pytest.raises(sharelite.driver.InternalError, match="used for another mutation"):
        one.ask("sql", statements=[{"prepared": numbers[0], "params": ["a", "y"]}], id=name)
