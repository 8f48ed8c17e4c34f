"""What goes out comes in again the same: random files as databases and SQL text, random projects as trees (SPEC J)."""

from __future__ import annotations

import io
import json
import sqlite3
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import apsw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharelite.schema.contract import Contract
from sharelite.schema.tables import quoted
from sharelite.sync import wire
from sharelite.transfer.building import build
from sharelite.transfer.documents import NewIds, items
from sharelite.transfer.exporting import write
from sharelite.transfer.trees import written
from tests.carrying import content
from tests.contract_files import database, everything, insert
from tests.contract_random import documents, rows_of
from tests.roads import SCENE

DECLARED = (
    "",
    "TEXT",
    "INTEGER",
    "REAL",
    "BLOB",
    "NUMERIC",
    "VARCHAR(10)",
    "BOOLEAN",
    "DATETIME",
    "INTEGER_OR_TEXT",
    "DECIMAL(5,2)",
)
NAMES = st.text("aB._-\"' é1%/", min_size=1, max_size=6)
CELLS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0),
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.binary(max_size=4),
    st.sampled_from(["1", "2.0", "1e3", " 7", "0x1", "inf"]),
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[str], list[str], bool, list[list[Any]]]:
    """Name, columns, declared types, whether the first is the key, rows."""
    columns = draw(st.lists(NAMES, min_size=1, max_size=4, unique_by=str.lower))
    declared = [draw(st.sampled_from(DECLARED)) for _ in columns]
    rows = draw(st.lists(st.tuples(*[CELLS for _ in columns]).map(list), max_size=5))
    return draw(NAMES), columns, declared, draw(st.booleans()), rows


FILES = st.lists(tables(), min_size=1, max_size=3, unique_by=lambda table: table[0].lower())


def foreign(path: Path, given: list[tuple[str, list[str], list[str], bool, list[list[Any]]]]) -> None:
    connection = apsw.Connection(str(path))
    for name, columns, declared, keyed, rows in given:
        parts = [f"{quoted(column)} {kind}" for column, kind in zip(columns, declared, strict=True)]
        key = [f"PRIMARY KEY({quoted(columns[0])})"] if keyed else []
        connection.execute(f"CREATE TABLE {quoted(name)}({', '.join([*parts, *key])})")
        marks = ",".join("?" * len(columns))
        for row in rows:
            # An INTEGER PRIMARY KEY takes nothing else, whatever OR IGNORE says.
            with suppress(apsw.MismatchError):
                connection.execute(f"INSERT OR IGNORE INTO {quoted(name)} VALUES({marks})", row)
    connection.close()


@settings(suppress_health_check=list(HealthCheck), max_examples=40)
@given(FILES)
def test_a_random_file_comes_out_as_it_went_in(given: list[Any]) -> None:  # J1, J4, J12, J13
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        foreign(folder / "in.db", given)
        build(folder / "in.db", folder / "base.db", 60.0, lambda phase, done, of: None)
        for form in ("db", "sql"):
            with open(folder / f"out.{form}", "wb") as out:
                write(folder / "base.db", form, out)
        assert content(folder / "out.db") == content(folder / "in.db")
        back = sqlite3.connect(folder / "back.db")
        back.executescript((folder / "out.sql").read_bytes().decode())
        back.close()
        assert content(folder / "back.db") == content(folder / "in.db")


def tree_of(connection: apsw.Connection, contract: Contract) -> bytes:
    out = io.BytesIO()
    written(connection, contract, out)
    return out.getvalue()


def filled(contract: Contract, tree: bytes) -> apsw.Connection:
    """A new project with what a tree says; rows may be written in any order, references are looked at in the end."""
    numbers = count(1)
    new = NewIds(lambda: f"n{next(numbers)}", lambda: next(numbers))
    connection = database(contract)
    for item in items(tree, "json", contract, None, "i", new):
        for how, table, key, cells in item.changes:
            row = dict(zip(contract.tables[table].key, map(wire.decode_value, key), strict=True))
            row |= {name: wire.decode_value(value) for name, value in cells.items()}
            if how == "u":
                connection.execute(f"DELETE FROM {quoted(table)}")
            insert(connection, table, row)
    return connection


def comes_back(contract: Contract, connection: apsw.Connection) -> None:
    tree = tree_of(connection, contract)
    assert json.loads(tree_of(filled(contract, tree), contract)) == json.loads(tree)


@settings(suppress_health_check=list(HealthCheck), max_examples=100)
@given(documents(), st.data())
def test_a_random_project_comes_out_as_it_went_in(document: dict[str, Any], data: st.DataObject) -> None:  # J14
    contract = Contract.parse(document)
    connection = database(contract)
    for table in contract.tables.values():
        for number in range(data.draw(st.integers(0, 2))):
            row = {**data.draw(rows_of(table)), **({} if table.singleton else {"id": f"k{number}"})}
            if not table.singleton and not table.check(row, None):
                insert(connection, table.name, row)
    comes_back(contract, connection)


def test_lists_in_lists_single_parts_and_hidden_keys_come_back() -> None:  # J14
    scene = Contract.parse(SCENE)
    connection = database(scene)
    for number in range(4):
        insert(connection, "note", {"id": f"n{number}", "any": [3, 3.5, "3", None][number], "done": number % 2 or None})
        for place in range(3):
            key = {"_parent.id": f"n{number}", "id": f"p{2 - place}", "_order": f"a{place}"}
            insert(connection, "note.points", {**key, "x": place / 3})
    connection.execute("UPDATE scene SET title='Rome'")
    comes_back(scene, connection)
    comes_back(everything(), database(everything()))
