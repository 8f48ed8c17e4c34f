"""Capture, rehearsal and apply against plain SQLite: whatever SQL does to one file, the log does to another."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import apsw
import pytest

from sharelite.cluster.alone import Alone
from sharelite.founding import misread
from sharelite.model import Fault, Key, Mutation, Outcome, Row, Sql, Statement
from sharelite.road import Road
from sharelite.schemachange import SchemaChange
from sharelite.sync import apply, capture
from sharelite.sync.shape import quoted
from tests.roads import databases, row_digest

TABLES = (
    'CREATE TABLE "t1"("id" INTEGER PRIMARY KEY, "name" TEXT UNIQUE COLLATE NOCASE, "v", "w" REAL)',
    'CREATE TABLE "t2"("a" INTEGER NOT NULL, "b" TEXT NOT NULL, "v", "w", PRIMARY KEY("a", "b")) WITHOUT ROWID',
    'CREATE TABLE "t3"("a" TEXT NOT NULL, "b" BLOB NOT NULL, "v" INTEGER, UNIQUE("a", "v"), PRIMARY KEY("a", "b"))',
    'CREATE TABLE "t4"("k" TEXT NOT NULL PRIMARY KEY, "odd "" name" ANY, "n" INTEGER, '
    '"twice" INTEGER GENERATED ALWAYS AS ("n" * 2) VIRTUAL, '
    '"thrice" INTEGER GENERATED ALWAYS AS ("n" * 3) STORED) STRICT',
    'CREATE TABLE "t5"("id" INTEGER PRIMARY KEY, '
    '"owner" INTEGER REFERENCES "t1"("id") ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED)',
    'CREATE TABLE "t6"("id" TEXT NOT NULL PRIMARY KEY, '
    '"up" TEXT REFERENCES "t6"("id") ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED, '
    '"n" ANY) STRICT',
    'CREATE TRIGGER "log5" AFTER INSERT ON "t5" BEGIN '
    'UPDATE "t1" SET "v" = coalesce("v", 0) + 1 WHERE "id" = NEW."owner"; END',
    'CREATE TRIGGER "bump" AFTER UPDATE OF "n" ON "t6" WHEN NEW."n" = 7 BEGIN '
    'UPDATE "t6" SET "n" = 8 WHERE "id" = NEW."id"; END',
)
VALUES = [
    "NULL", "0", "1", "1.0", "-0.0", "2.5", "9223372036854775807", "-9223372036854775808", "9007199254740993", "1e300",
    "'abc'", "'ABC'", "'żółw'", "''", "x''", "x'00ff'", "'a' || char(0) || 'b'", "7",
]  # fmt: skip


class Anything:
    """A table that holds whatever SQLite lets in."""

    singleton, unique, references, tree, length, lists = False, (), (), None, (0, None), ()

    def __init__(self, name: str, types: Mapping[str, Any]) -> None:
        self.name, self.types, self.key = name, types, ()

    def store_key(self, key: Any) -> Key:
        return tuple(key)

    def store(self, key: Key, values: Mapping[str, Any]) -> Row:
        return dict(values)

    def needs(self, changed: Any) -> None:
        return None

    def check(self, row: Row, changed: Any) -> tuple[Fault, ...]:
        return ()


class AnyRules:
    """Every column is ANY on the wire, so that no type helps the codec; references are those of TABLES."""

    hash = "0" * 64

    def __init__(self) -> None:
        connection = apsw.Connection(":memory:")
        for statement in TABLES:
            connection.execute(statement)
        self.tables: dict[str, Any] = {}
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'").fetchall():
            columns = connection.execute("SELECT name FROM pragma_table_info(?)", (name,)).fetchall()
            self.tables[str(name)] = Anything(str(name), {str(column): "ANY" for (column,) in columns})


class Statements:
    """Random statements in all the shapes that have fooled change capture."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def one(self) -> str:
        pick = self._random.choice

        def value() -> str:
            return pick(VALUES)

        def small() -> str:
            return str(self._random.randint(0, 5))

        def text() -> str:
            return pick(["'a'", "'b'", "'c'", "'A'", "'a' || char(0)", "'a' || char(0) || 'x'"])

        def real() -> str:
            return pick(["1", "2.5", "NULL"])

        def blob() -> str:
            return pick(["x'00'", "x'0000'", text()])

        orr = pick(["", "", "OR REPLACE", "OR IGNORE", "OR FAIL", "OR ABORT"])
        return pick(
            [
                f"INSERT {orr} INTO t1(id, name, v, w) VALUES({small()}, {text()}, {value()}, {real()})",
                f"INSERT INTO t1(id, name, v) VALUES({small()}, {text()}, {value()}) "
                f"ON CONFLICT(name) DO UPDATE SET v=excluded.v",
                f"UPDATE {orr} t1 SET name={text()}, v={value()} WHERE id={small()}",
                f"UPDATE {orr} t1 SET id=id+{small()}",
                f"UPDATE t1 SET rowid=rowid+10 WHERE id={small()}",
                "UPDATE t1 SET name=upper(name)",
                "UPDATE t1 SET v=typeof(v)='integer'",
                f"DELETE FROM t1 WHERE id<={small()}",
                f"INSERT {orr} INTO t2 VALUES({small()}, {text()}, {value()}, {value()})",
                f"UPDATE {orr} t2 SET a={small()}, w={value()} WHERE b={text()}",
                f"UPDATE t2 SET v=(SELECT count(*) FROM t1), w=t1.v FROM t1 WHERE t1.id=t2.a AND t2.b={text()}",
                "DELETE FROM t2",
                f"INSERT {orr} INTO t3 VALUES({text()}, {blob()}, {small()})",
                f"UPDATE {orr} t3 SET v=v+1, b={text()} WHERE a={text()}",
                f"UPDATE t3 SET a={text()} WHERE v={small()}",
                f'INSERT {orr} INTO t4(k, "odd "" name", n) VALUES({text()}, {value()}, {small()})',
                f'UPDATE {orr} t4 SET "odd "" name"={value()}, n={small()} WHERE k={text()}',
                f'UPDATE t4 SET "odd "" name"=CAST("odd "" name" AS REAL) WHERE k={text()}',
                f"INSERT {orr} INTO t5 VALUES({small()}, {pick([small(), 'NULL'])})",
                f"INSERT {orr} INTO t6 VALUES({text()}, {pick([text(), 'NULL'])}, {value()})",
                f"UPDATE {orr} t6 SET id=id || {text()} WHERE id={text()}",
                f"UPDATE t6 SET up={text()}, n={value()} WHERE id={text()}",
                f"DELETE FROM t6 WHERE id={text()}",
            ]
        )


def _dump(connection: apsw.Connection) -> dict[str, list[Any]]:
    out = {}
    for name in ("t1", "t2", "t3", "t4", "t5", "t6"):
        info = connection.execute("SELECT name FROM pragma_table_info(?)", (name,)).fetchall()
        columns = [quoted(str(column)) for (column,) in info]
        typed = ", ".join(f"typeof({column}), {column}" for column in columns)
        out[name] = sorted(
            repr(row).replace("-0.0", "0.0") for row in connection.execute(f"SELECT {typed} FROM {name}").fetchall()
        )
    return out


class Pair:
    """The same statements on a road and on plain SQLite."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.road = Road(databases(folder), Alone(), {}, "e" * 32, misread)
        rules: Any = AnyRules()
        self.road.change_schema(SchemaChange(rules, {}, TABLES, ()), "ann")
        self.reader = databases(folder).data("read")
        self.plain = apsw.Connection(":memory:")
        self.plain.execute("PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON")

    def do(self, statements: list[str]) -> None:
        """One mutation on the road and on a copy of the file as it is; refused exactly where plain SQLite raises.

        A copy each time: which rowids rows have is not part of the log, and statements may depend on their order.
        """
        content = bytearray(self.reader.serialize("main"))
        content[18:20] = b"\x01\x01"
        self.plain.deserialize("main", bytes(content))
        self._both(statements)
        assert _dump(self.reader) == _dump(self.plain), statements

    def _both(self, statements: list[str]) -> None:
        mutation = Mutation("ann", Sql(tuple(Statement(text) for text in statements)))
        (answer,) = self.road.travel([mutation]).answers
        assert isinstance(answer, Outcome)
        try:
            with self.plain:
                self.plain.execute("PRAGMA defer_foreign_keys=ON")
                for text in statements:
                    self.plain.execute(text)
                # SQLite itself overlooks a dangling self-reference of INSERT OR REPLACE; the road does not.
                if self.plain.execute("PRAGMA foreign_key_check").fetchall():
                    raise apsw.ConstraintError("deferred")
        except apsw.Error:
            assert answer.kind == "refused", (statements, answer)
            return
        assert answer.kind != "refused", (statements, answer)

    def check(self) -> None:
        assert self.road.row_digest == row_digest(self.folder)

    def close(self) -> None:
        self.road.close()
        self.reader.close()
        self.plain.close()


@pytest.fixture(autouse=True)
def _any_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tables are beyond what a contract makes, and what a schema step may say: that is what is tried here."""
    monkeypatch.setattr(apply, "is_step", lambda sql: True)


@pytest.fixture
def pair(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Pair]:
    pair = Pair(tmp_path / "p")
    yield pair
    pair.close()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def play(pair: Pair, seed: int, rounds: int = 60) -> None:
    statements = Statements(seed)
    count = random.Random(seed)
    for _ in range(rounds):
        pair.do([statements.one() for _ in range(count.choice([1, 1, 1, 2, 4]))])
    pair.check()


@pytest.mark.parametrize("seed", range(40))
def test_the_log_does_what_sql_did(pair: Pair, seed: int) -> None:  # M1
    play(pair, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 3000))
def test_the_log_does_what_sql_did_in_many_more_ways(pair: Pair, seed: int) -> None:  # M1
    play(pair, seed)


def test_a_cascade_that_changes_keys_of_its_own_table_is_restated(pair: Pair) -> None:  # M15
    pair.do(
        [
            "INSERT INTO t6 VALUES('a', NULL, 1), ('b', 'a', 2), ('c', 'b', 3)",
            "INSERT INTO t6 VALUES('self', 'self', 4)",
        ]
    )
    pair.do(["UPDATE t6 SET id = id || '!'"])
    pair.check()


def test_minus_zero_on_the_way_leaves_the_row_digest_right(pair: Pair) -> None:  # L6
    pair.do(["INSERT INTO t1(id, name, v) VALUES(0, 'a', 1)"])
    pair.do(["UPDATE t1 SET v=-0.0", "UPDATE t1 SET v=7"])
    pair.check()


def test_a_key_with_a_nul_is_not_its_prefix(pair: Pair) -> None:  # M1
    pair.do(["INSERT INTO t2 VALUES(1, 'a' || char(0), 1, 1), (1, 'a', 2, 2)", "UPDATE t2 SET v=3 WHERE b='a'"])
    pair.check()


def test_a_log_replayed_from_nothing_gives_the_same_rows(pair: Pair) -> None:  # L7
    play(pair, 4711)
    digest, position = pair.road.row_digest, pair.road.position
    pair.road.close()
    for ending in ("", "-wal", "-shm"):
        (pair.folder / f"data.db{ending}").unlink(missing_ok=True)
    pair.road = Road(databases(pair.folder), Alone(), {}, "", misread)
    assert (pair.road.row_digest, pair.road.position) == (digest, position)


MUTANTS = {
    "no COLLATE BINARY": lambda sql: sql.replace(" COLLATE BINARY", ""),
    "no typeof": lambda sql: sql.replace("<>typeof", "=1 AND NULL<>typeof").replace("typeof(OLD", "length(OLD"),
    "UPDATE OF a column": lambda sql: sql.replace('AFTER UPDATE ON main."t1"', 'AFTER UPDATE OF "name" ON main."t1"'),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_broken_capture_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: str) -> None:  # M1
    """The fuzz would notice: with a broken trigger text some seed differs."""
    original = capture.triggers
    monkeypatch.setattr(capture, "triggers", lambda shape: [MUTANTS[mutant](sql) for sql in original(shape)])
    for seed in range(40):
        pair = Pair(tmp_path / str(seed))
        try:
            play(pair, seed)
        except (AssertionError, apsw.Error):
            return
        finally:
            pair.close()
    pytest.fail(f"40 seeds did not notice: {mutant}")
