"""Programs made up at random, run with `sqlite3` and with the driver: the same rows, counts and errors (SPEC D9)."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import pytest

import sharelite
from sharelite.driver import Connection, connect
from sharelite.sql.lease import Terms
from tests.serving import PATIENCE, Serving

STEPS = 60
TABLES = [
    "CREATE TABLE a(id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT UNIQUE, b BLOB, x ANY) STRICT",
    "CREATE TABLE c(id INTEGER PRIMARY KEY, a INTEGER REFERENCES a(id) ON DELETE CASCADE, n TEXT NOT NULL,"
    " UNIQUE(a, n)) STRICT",
    'CREATE TABLE "ö d"(k TEXT, "the value" ANY, PRIMARY KEY(k, "the value")) STRICT',
    "CREATE TABLE heard(id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT) STRICT",
    "CREATE INDEX by_i ON a(i, r)",
    "CREATE TRIGGER hears AFTER UPDATE OF i ON a WHEN new.i > 0 "
    "BEGIN INSERT INTO heard(what) VALUES (new.i || '!'); END",
]
#: Errors that are another one of PEP 249 here, because the server says more (server/driver/README.md).
OTHERWISE = {
    ("OperationalError", "ProgrammingError"), ("InterfaceError", "ProgrammingError"), ("IntegrityError", "DataError"),
}  # fmt: skip
INTEGERS = (0, 1, -1, 7, 2**31, 2**53 - 1, 2**53 + 1, 2**63 - 1, -(2**63))
REALS = (0.0, 1.0, -2.5, 0.1, 1e308, 5e-324, 2.0**53, 1e22)
TEXTS = ("", "a", "A", "ä", "it's", 'q"q', "a\0b", "\U0001f600", "1", "1.0", "\n", "%", "x" * 99, "e\u0301", "\u202eb")
BLOBS = (b"", b"\0", b"a", bytes(range(256)))


def listed(text: str) -> list[str]:
    return text.strip().replace("\n    ", " ").split("; ")


EXPRESSIONS = listed("""
    i; r; t; b; x; id; i + r; t || x; length(t); length(b); typeof(x); hex(b); quote(x); i / 2; i % 3;
    CAST(x AS TEXT); CAST(t AS INTEGER); CAST(r AS INTEGER); upper(t); substr(t, 2); instr(t, 'a');
    coalesce(t, x, 'none'); nullif(i, 1); CASE WHEN i > 0 THEN t ELSE b END; abs(i); unicode(t); min(i, 3);
    x IS NULL; t LIKE 'A%'; t GLOB 'a*'; i BETWEEN -1 AND 7; x IN (1, '1', 1.0); printf('%d|%s', i, t);
    json_array(i, t); ~i; i << 3; i = x; t < x; iif(i, t, x); zeroblob(3); replace(t, 'a', 'bb'); trim(t);
    'lit' COLLATE NOCASE = t; x'00ff'; 9223372036854775807; -9223372036854775808; 1e999; NULL; ?1
""")
AGGREGATES = listed("""
    count(*); count(x); sum(i / 1000); max(r); min(t); max(x); group_concat(t, '|'); min(i); count(DISTINCT t);
    json_group_array(id)
""")
CONDITIONS = listed("""
    1; i > 0; t IS NOT NULL; id % 2; x = ?1; t = ?1; id IN (SELECT a FROM c); r < 1; length(b)
""")


#: What is said of it, and what it does with a connection.
Step = tuple[str, Callable[[Any], Any]]


class Play:
    """One program: each step is a function of the connection, with the same values for both."""

    def __init__(self, seed: int) -> None:
        self._pick = Random(seed)

    def one(self, choices: Sequence[Any]) -> Any:
        return self._pick.choice(choices)

    def value(self) -> Any:
        kinds = (INTEGERS, REALS, TEXTS, BLOBS, (None,), (True, False), range(-3, 12))
        return self.one(self.one(kinds))

    def row(self, wrong: float = 0.1) -> list[Any]:
        """Mostly of the declared types."""
        if self._pick.random() < wrong:
            return [*(self.value() for _ in range(4)), self.one((*INTEGERS, *TEXTS))]
        nothing = (None,)
        return [
            self.one((*INTEGERS, *nothing)), self.one((*REALS, *nothing)), self.one((*TEXTS, *nothing)),
            self.one((*BLOBS, *nothing)), self.one((*INTEGERS, *REALS, *TEXTS, *nothing)),
        ]  # fmt: skip

    def step(self) -> Step:
        kinds: tuple[Callable[[], Step], ...] = (
            (self.insert,) * 5 + (self.select,) * 6 + (self.update, self.delete, self.child, self.other) * 2
        )
        kinds += (self.control,) * 2 + (self.many, self.catalog)
        step: Step = self.one(kinds)()
        return step

    def _run(self, sql: str, values: Sequence[Any] = ()) -> Step:
        return f"{sql} {values!r}", lambda connection: seen(connection.execute(sql, values))

    def insert(self) -> Step:
        verb = self.one(("INSERT", "INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE", "REPLACE"))
        tail = self.one(("", "", " RETURNING id, t, typeof(x)"))
        if verb == "INSERT" and self._pick.random() < 0.4:
            tail = f" ON CONFLICT(t) DO UPDATE SET i = coalesce(excluded.i, 0) % 5, x = a.x{tail}"
        return self._run(f"{verb} INTO a(i, r, t, b, x) VALUES (?, ?, ?, ?, ?){tail}", self.row())

    def child(self) -> Step:
        if self._pick.random() < 0.3:
            return self._run(
                "INSERT OR IGNORE INTO c(a, n) SELECT id, 'of ' || id FROM a WHERE id % ? = 0", [self.one((1, 2, 3))]
            )
        return self._run("INSERT INTO c(a, n) VALUES (?, ?)", [self.one((None, 1, 2, 3, 99)), self.one(TEXTS)])

    def other(self) -> Step:
        key, value = self.one(("k", "K", "ü", "")), self.one((1, "1", 2**62, "é"))
        found: Step = self.one((
            self._run('INSERT INTO "ö d" VALUES (?, ?)', [key, value]),
            self._run('SELECT "the value", typeof("the value") FROM "ö d" WHERE k = ? ORDER BY 2, 1', [key]),
            self._run('DELETE FROM "ö d" WHERE "the value" = ? RETURNING k', [value]),
            self._run("SELECT what FROM heard ORDER BY id"),
        ))  # fmt: skip
        return found

    def update(self) -> Step:
        what = self.one(
            (
                "i = i % 9 + 1",
                "x = t",
                "t = t || '.'",
                "r = r / 3, x = r",
                "x = typeof(?1)",
                "b = x'01', i = NULL",
                "id = id",
            )
        )
        verb, where = self.one(("UPDATE", "UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE")), self.one(CONDITIONS)
        tail = self.one(("", "", " RETURNING id"))
        sql = f"{verb} a SET {what} WHERE {where}{tail}"
        return self._run(sql, [self.value()] if "?1" in sql else [])

    def delete(self) -> Step:
        sql = f"DELETE FROM {self.one(('a', 'a', 'c'))} WHERE id % 5 = {self.one(range(5))}"
        return self._run(sql + self.one(("", " RETURNING id")))

    def select(self) -> Step:
        where, wanted = self.one(CONDITIONS), ", ".join(self.one(EXPRESSIONS) for _ in range(self.one((1, 2, 3))))
        sql = self.one((
            f"SELECT {wanted} FROM a WHERE {where} ORDER BY id",
            "SELECT a.id, c.n FROM a LEFT JOIN c ON c.a = a.id ORDER BY a.id, c.id",
            f"SELECT {self.one(AGGREGATES)}, {self.one(AGGREGATES)} FROM (SELECT * FROM a ORDER BY id) WHERE {where}",
            f"SELECT typeof(x) AS k, {self.one(AGGREGATES)} FROM (SELECT * FROM a ORDER BY id) GROUP BY 1 ORDER BY 1",
            f"SELECT id, row_number() OVER (ORDER BY id), lag(t) OVER (ORDER BY id) FROM a WHERE {where}",
            "WITH RECURSIVE n(k) AS (VALUES (1) UNION ALL SELECT k + 1 FROM n WHERE k < 9) SELECT k, i FROM n "
            "LEFT JOIN a ON a.id = k ORDER BY k",
            f"SELECT DISTINCT typeof(x) FROM a WHERE {where} ORDER BY 1 LIMIT 3 OFFSET 1",
            "SELECT t FROM a UNION SELECT n FROM c ORDER BY 1",
            f"SELECT x FROM a WHERE {where} ORDER BY x, id",
        ))  # fmt: skip
        return self._run(sql, [self.value()] if "?1" in sql else [])

    def many(self) -> Step:
        rows = [self.row(0) for _ in range(self.one((1, 5, 40)))]
        sql = "INSERT OR IGNORE INTO a(i, r, t, b, x) VALUES (?, ?, ?, ?, ?)"
        return f"many {sql} {rows!r}", lambda connection: connection.executemany(sql, rows).rowcount

    def control(self) -> Step:
        word = self.one(("commit", "commit", "rollback", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s"))
        if word in ("commit", "rollback"):
            return word, lambda connection: getattr(connection, word)()
        return word, lambda connection: connection.in_transaction and seen(connection.execute(word))

    def catalog(self) -> Step:
        sql = self.one((
            "SELECT name FROM pragma_table_info('a') ORDER BY cid", "SELECT 1; -- and words", "-- only words",
            "SELECT 1; SELECT 2", "SELEC 1", "SELECT * FROM nowhere", "SELECT nope FROM a",
            "INSERT INTO a(id) VALUES ('x')",
            "SELECT ?, ?", "SELECT changes() >= 0", "VALUES (1, 'a'), (2, x'')", "", " ; ",
        ))  # fmt: skip
        return self._run(sql)


def seen(cursor: Any) -> Any:
    """Rows with their types, the names of their columns; without rows how many were touched."""
    if cursor.description is None:
        return cursor.rowcount
    names = [column[0] for column in cursor.description]
    return names, [[(type(cell).__name__, cell) for cell in row] for row in cursor.fetchall()]


def done(step: Callable[[Any], Any], connection: Any) -> Any:
    try:
        return step(connection)
    except (sqlite3.Error, sqlite3.Warning, sharelite.Error, sharelite.Warning) as problem:
        return problem


def same(theirs: Any, ours: Any) -> bool:
    if not isinstance(theirs, Exception) or not isinstance(ours, Exception):
        return bool(theirs == ours)
    kinds = {kind.__name__ for kind in type(ours).__mro__}
    return type(theirs).__name__ in kinds or bool({(type(theirs).__name__, kind) for kind in kinds} & OTHERWISE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sharelite.transactions.WRITING", Terms(PATIENCE, 10 * PATIENCE))
        with Serving(tmp_path_factory.mktemp("differential") / "data") as serving:
            yield serving


def both(server: Serving) -> tuple[sqlite3.Connection, Connection]:
    made = server.http.post("/v1/projects", json={"name": secrets.token_hex(8)}).json()["id"]
    theirs, ours = sqlite3.connect(":memory:"), connect(f"sharelite://127.0.0.1:{server.port}/{made}", timeout=PATIENCE)
    theirs.execute("PRAGMA foreign_keys = ON")
    theirs.execute("PRAGMA recursive_triggers = ON")
    for sql in TABLES:
        theirs.execute(sql.replace("ON DELETE CASCADE", "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"))
        ours.execute(sql)
    return theirs, ours


def play(server: Serving, seed: int, steps: int = STEPS) -> None:
    theirs, ours = both(server)
    program = Play(seed)
    for number in range(steps):
        sql, step = program.step()
        found = done(step, theirs), done(step, ours)
        assert same(*found), f"seed {seed}, step {number}: {sql[:300]}\nsqlite3: {found[0]!r}\nhere:    {found[1]!r}"
        if sql == "commit" and isinstance(found[0], Exception):
            theirs.rollback()
        assert theirs.in_transaction == ours.in_transaction, (seed, number, sql[:300], found)
    for connection in (theirs, ours):
        if isinstance(done(lambda each: each.commit(), connection), Exception):
            connection.rollback()
    for table in ("a", "c", '"ö d"', "heard"):
        wanted = f"SELECT * FROM {table} ORDER BY 1, 2"
        assert seen(theirs.execute(wanted)) == seen(ours.execute(wanted)), f"seed {seed}: {table}"
    theirs.close()
    ours.close()


@pytest.mark.parametrize("seed", range(12))
def test_a_program_made_up_at_random_does_the_same(server: Serving, seed: int) -> None:  # D9
    play(server, seed)


@pytest.mark.long
def test_many_programs_made_up_at_random_do_the_same(server: Serving) -> None:  # D9
    for seed in range(1_000, 1_400):
        play(server, seed)
