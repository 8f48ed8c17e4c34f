"""The driver beside the standard library's `sqlite3`: what is there, and what it does (SPEC D9)."""

from __future__ import annotations

import inspect
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sharelite
import sharelite.driver
from sharelite.driver import Connection, connect
from tests.roads import SCENE
from tests.serving import PATIENCE, Serving

LEFT_OUT = Path(__file__).resolve().parent.parent / "server" / "driver" / "README.md"
#: The public names of the `sqlite3` of Python 3.14, as its documentation has them.
NEWEST = {
    "": """connect complete_statement enable_callback_tracebacks register_adapter register_converter apilevel paramstyle
        sqlite_version sqlite_version_info threadsafety LEGACY_TRANSACTION_CONTROL PARSE_DECLTYPES PARSE_COLNAMES
        Connection Cursor Row Blob PrepareProtocol Warning Error InterfaceError DatabaseError DataError
        OperationalError IntegrityError InternalError ProgrammingError NotSupportedError Binary Date Time Timestamp
        DateFromTicks TimeFromTicks TimestampFromTicks adapters converters adapt""",
    "Connection": """cursor blobopen commit rollback close execute executemany executescript create_function
        create_aggregate create_window_function create_collation interrupt set_authorizer set_progress_handler
        set_trace_callback enable_load_extension load_extension iterdump backup getlimit setlimit getconfig setconfig
        serialize deserialize autocommit in_transaction isolation_level row_factory text_factory total_changes
        Warning Error InterfaceError DatabaseError DataError OperationalError IntegrityError InternalError
        ProgrammingError NotSupportedError""",
    "Cursor": """execute executemany executescript fetchone fetchmany fetchall close setinputsizes setoutputsize
        arraysize connection description lastrowid rowcount row_factory""",
    "Row": "keys",
    "connect": """database timeout detect_types isolation_level check_same_thread factory cached_statements uri
        autocommit""",
}  # fmt: skip
#: What `sqlite3` has without saying so in its documentation, or has no more in its newest form.
UNSAID = set(
    "collections datetime time dbapi2 version version_info enable_shared_cache sqlite_version_info annotations "
    "OptimizedUnicode".split()
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("parity") / "data") as serving:
        yield serving


@pytest.fixture
def url(server: Serving) -> str:
    answer = server.http.post("/v1/projects", json={"name": secrets.token_hex(8), "contract": SCENE})
    return f"sharelite://127.0.0.1:{server.port}/{answer.json()['id']}"


def left_out() -> set[str]:
    """The names in the table of the driver's README, `Connection.backup` and the like."""
    text = LEFT_OUT.read_text().split("## What `sqlite3` has and this driver has not")[1].split("\n## ")[0]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    assert all(row[2].strip() for row in rows), "each with its reason"
    return {name for row in rows for name in re.findall(r"`([\w.]+)`", row[1])}


def offered(place: str, connection: Connection) -> set[str]:
    if place == "connect":
        return set(inspect.signature(sharelite.connect).parameters)
    found: dict[str, Any] = {
        "": sharelite.driver, "Connection": connection, "Cursor": connection.cursor(), "Row": sharelite.Row,
    }  # fmt: skip
    return {name for name in dir(found[place]) if not name.startswith("_")}


@pytest.mark.parametrize("place", NEWEST)
def test_every_name_of_sqlite3_is_here_or_left_out_with_its_reason(url: str, place: str) -> None:  # D9
    connection = connect(url, timeout=PATIENCE)
    said = {name.removeprefix(f"{place}.") for name in left_out() if (f"{place}." in name) == bool(place)}
    ours, newest = offered(place, connection), set(NEWEST[place].split())
    assert newest - ours == said & newest and not said - newest
    connection.close()


def test_no_name_of_the_sqlite3_that_runs_here_is_forgotten() -> None:  # D9
    for place, theirs in {
        "": sqlite3, "Connection": sqlite3.Connection, "Cursor": sqlite3.Cursor, "Row": sqlite3.Row,
    }.items():  # fmt: skip
        names = {name for name in dir(theirs) if not name.startswith(("_", "SQLITE_"))}
        assert names - UNSAID <= set(NEWEST[place].split()), place


def note(connection: Any) -> Any:
    connection.execute("INSERT INTO note(id, text) VALUES ('a', 'x'), ('b', 'y'), ('c', NULL)")
    return connection


def level_of(connection: Any, level: str | None) -> str | None:
    connection.isolation_level = level
    found: str | None = connection.isolation_level
    return found


def with_error(module: Any, connection: Any) -> Any:
    try:
        with connection:
            connection.execute("INSERT INTO note(id) VALUES ('w')")
            raise KeyError
    except KeyError:
        return connection.in_transaction, connection.execute("SELECT count(*) FROM note").fetchall()


def rows(module: Any, connection: Any) -> Any:
    connection.row_factory = module.Row
    one, two = note(connection).execute("SELECT id, text AS Words FROM note ORDER BY id LIMIT 2").fetchall()
    return (
        one.keys(), one["WORDS"], one[-1], one[0:1], len(one), tuple(one), one == two, hash(one) == hash(one),
        "x" in one, dict(one), [cell for cell in two],
    )  # fmt: skip


def traced(module: Any, connection: Any) -> Any:
    heard: list[str] = []
    connection.set_trace_callback(heard.append)
    connection.execute("SELECT 1").fetchall()
    connection.set_trace_callback(None)
    connection.execute("SELECT 2").fetchall()
    return heard


def closed(module: Any, connection: Any) -> Any:
    connection.close()
    connection.close()
    return connection.execute("SELECT 1")


def closed_cursor(module: Any, connection: Any) -> Any:
    cursor = connection.cursor()
    cursor.close()
    return cursor.fetchone()


def texts(module: Any, connection: Any) -> Any:
    connection.text_factory = bytes
    found = connection.execute("SELECT 'ä', 1, x'00'").fetchall()
    connection.text_factory = lambda raw: raw.decode().upper()
    return found, connection.execute("SELECT 'ä', NULL").fetchall()


def script(module: Any, connection: Any) -> Any:
    cursor = connection.executescript(
        "INSERT INTO note(id) VALUES ('s;1'); -- one; two\nDELETE FROM note WHERE id = 'x'; SELECT 1"
    )
    return cursor.fetchall(), cursor.description, cursor.rowcount, connection.in_transaction


PLAYS: dict[str, Callable[[Any, Any], Any]] = {
    "rows": rows, "with": with_error, "trace": traced, "closed": closed, "closed cursor": closed_cursor,
    "text factory": texts, "script": script,
    "no row": lambda module, c: (c.execute("SELECT 1 WHERE 0").fetchone(), c.cursor().fetchall()),
    "no description": lambda module, c: (c.execute("DELETE FROM note").description, c.cursor().description),
    "fetchmany": lambda module, c: [len(note(c).execute("SELECT * FROM note").fetchmany(n)) for n in (2,)],
    "arraysize": lambda module, c: (c.cursor().arraysize, len(note(c).execute("SELECT 1 FROM note").fetchmany())),
    "iteration": lambda module, c: [row for row in note(c).execute("SELECT id FROM note ORDER BY 1")],
    "rowcount": lambda module, c: [
        note(c).execute(sql).rowcount for sql in ("UPDATE note SET text = 'z' WHERE id > 'a'",)
    ],
    "rowcounts": lambda module, c: [
        c.execute(sql).rowcount for sql in ("SELECT 1", "DELETE FROM note", "INSERT INTO note(id) VALUES ('q')")
    ],
    "many": lambda module, c: c.executemany("INSERT INTO note(id) VALUES (?)", [(str(n),) for n in range(7)]).rowcount,
    "many from a generator": lambda module, c: c.executemany(
        "INSERT INTO note(id, text) VALUES (:i, :t)", ({"i": str(n), "t": None} for n in range(3))
    ).rowcount,
    "many of nothing": lambda module, c: c.executemany("DELETE FROM note WHERE id = ?", []).rowcount,
    "many reads": lambda module, c: c.executemany("SELECT ?", [(1,)]),
    "changes": lambda module, c: (c.total_changes, note(c).total_changes, c.execute("SELECT 1") and c.total_changes),
    "returning": lambda module, c: c.execute("INSERT INTO note(id) VALUES ('r') RETURNING id, text").fetchall(),
    "levels": lambda module, c: [(level, level_of(c, level)) for level in ("", "IMMEDIATE", "EXCLUSIVE", None)],
    "no level": lambda module, c: (level_of(c, None), note(c).in_transaction),
    "wrong level": lambda module, c: level_of(c, "LOUD"),
    "begin twice": lambda module, c: (c.execute("BEGIN"), c.execute("BEGIN")),
    "nothing open": lambda module, c: (c.commit(), c.rollback(), c.in_transaction),
    "script in a transaction": lambda module, c: (note(c).executescript("SELECT 1") and c.in_transaction),
    "wrong types": lambda module, c: c.execute(1),
    "a value of no type": lambda module, c: c.execute("SELECT ?", (object(),)),
    "too large": lambda module, c: c.execute("SELECT ?", (2**63,)),
    "a text for a sequence": lambda module, c: c.execute("SELECT ?", "ab").fetchall(),
    "a set for a sequence": lambda module, c: c.execute("SELECT ?", {1}),
    "too few": lambda module, c: c.execute("SELECT ?, ?", (1,)),
    "a name too few": lambda module, c: c.execute("SELECT :a", {"b": 1}),
    "bool and subclass": lambda module, c: c.execute("SELECT ?, ?", (True, type("S", (str,), {})("s"))).fetchall(),
    "not a number": lambda module, c: c.execute("SELECT ?, typeof(?)", (float("nan"), float("nan"))).fetchall(),
    "infinite": lambda module, c: c.execute("SELECT ?, -?", (float("inf"), float("inf"))).fetchall(),
    "memoryview": lambda module, c: c.execute("SELECT ?, ?", (memoryview(b"a"), bytearray(b"b"))).fetchall(),
    "same key": lambda module, c: note(c).execute("INSERT INTO note(id) VALUES ('a')"),
    "no table": lambda module, c: c.execute("SELECT * FROM nowhere"),
    "attributes of errors": lambda module, c: [issubclass(getattr(c, n), c.Error) for n in ("DataError", "Error")],
    "last row": lambda module, c: (c.cursor().lastrowid, c.execute("INSERT INTO note(id) VALUES ('l')").lastrowid),
    "numbered": lambda module, c: [
        c.execute(sql, values).fetchall()
        for sql, values in [
            ("SELECT ?1, ?1", (5,)), ("SELECT ?2, ?1", ("a", b"b")), ("SELECT ?, ?3", (1, 2, 3)),
            ("SELECT ?1", {"1": 6}),
        ]
    ],
    "numbered, too few": lambda module, c: c.execute("SELECT ?2", (1,)),
    "nothing but words": lambda module, c: [
        (c.execute(text).description, c.execute(text).fetchall(), c.cursor().execute(text).rowcount)
        for text in ("", " ; ", "-- nothing", "/* nothing */;")
    ],
    "savepoints": lambda module, c: [
        c.execute(sql).rowcount for sql in ("DELETE FROM note", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s")
    ],
    "complete": lambda module, c: [module.complete_statement(text) for text in ("SELECT 1;", "SELECT ';", "")],
}  # fmt: skip
#: An error of `sqlite3` that is another one of PEP 249 here, because the server says more.
OTHERWISE = {("OperationalError", "ProgrammingError"), ("InterfaceError", "ProgrammingError")}


@pytest.mark.parametrize("play", PLAYS)
def test_what_is_done_with_sqlite3_gives_the_same_here(url: str, play: str) -> None:  # D9
    theirs, ours = sqlite3.connect(":memory:"), connect(url, timeout=PATIENCE)
    theirs.execute("CREATE TABLE note(id TEXT PRIMARY KEY, text TEXT)")
    try:
        expected = PLAYS[play](sqlite3, theirs)
    except Exception as problem:
        with pytest.raises(Exception) as raised:
            PLAYS[play](sharelite, ours)
        kinds = {kind.__name__ for kind in raised.type.__mro__}
        assert type(problem).__name__ in kinds or {(type(problem).__name__, kind) for kind in kinds} & OTHERWISE
    else:
        assert PLAYS[play](sharelite, ours) == expected
    theirs.close()
    ours.close()


def test_a_dump_makes_the_same_tables_and_rows_with_sqlite3(url: str) -> None:  # D9
    ours = connect(url, timeout=PATIENCE, autocommit=True)
    ours.row_factory = sharelite.Row
    note(ours).execute("UPDATE note SET text = ? WHERE id = 'a'", ('it\'s; \n"x"',))
    ours.execute("INSERT INTO note(id, any) VALUES ('d', 'x'), ('e', 1.5), ('f', 9007199254740993)")
    wanted = "SELECT id, text, any, typeof(any) FROM note ORDER BY id"
    with sqlite3.connect(":memory:") as theirs:
        theirs.executescript("\n".join(ours.iterdump()))
        assert theirs.execute(wanted).fetchall() == [tuple(row) for row in ours.execute(wanted)]
    theirs.close()
    assert not ours.in_transaction
    assert all("note" in line for line in list(ours.iterdump(filter="note"))[1:-1])
    ours.close()
