"""What goes out comes in again the same: random files as databases and SQL text, random projects as trees (SPEC J)."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import tempfile
import zipfile
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
from sharelite.transfer import commas
from sharelite.transfer.building import build
from sharelite.transfer.documents import Item, NewIds, items
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
                write(folder / "base.db", form, out, lambda left: None)
        assert content(folder / "out.db") == content(folder / "in.db")
        back = sqlite3.connect(folder / "back.db")
        back.executescript((folder / "out.sql").read_bytes().decode())
        back.close()
        assert content(folder / "back.db") == content(folder / "in.db")


def values(connection: apsw.Connection, contract: Contract) -> dict[str, list[str]]:
    """What every table holds, but for keys that only we know."""
    found = {}
    for table in contract.tables.values():
        names = ", ".join(quoted(name) for name in table.columns if name != "_key")
        rows = connection.execute(f"SELECT {names} FROM {quoted(table.name)}")
        found[table.name] = sorted(repr([(type(cell), cell) for cell in row]) for row in rows)
    return found


def from_csv(contract: Contract, exported: bytes) -> apsw.Connection:
    """A new project, each of its tables filled from its CSV."""
    numbers = count(1)
    new = NewIds(lambda: f"n{next(numbers)}", lambda: next(numbers))
    texts = [exported]
    if len(contract.tables) > 1:
        archive = zipfile.ZipFile(io.BytesIO(exported))
        texts = [archive.read(name) for name in archive.namelist()]
    connection = database(contract)
    for table, text in zip(contract.tables.values(), texts, strict=True):
        written_in(connection, contract, items(text, "csv", contract, table.name, "i", new))
    return connection


@settings(suppress_health_check=list(HealthCheck), max_examples=40)
@given(FILES)
def test_a_random_file_comes_back_from_its_csv(given: list[Any]) -> None:  # J11, J15
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        foreign(folder / "in.db", given)
        made = build(folder / "in.db", folder / "base.db", 60.0, lambda phase, done, of: None)
        contract = Contract.parse(made.contract)
        with open(folder / "out", "wb") as out:
            write(folder / "base.db", "csv", out, lambda left: None)
        before = apsw.Connection(str(folder / "base.db"))
        after = from_csv(contract, (folder / "out").read_bytes())
        assert values(after, contract) == values(before, contract)
        before.close()


@given(st.lists(st.lists(st.text('a",\r\n ', max_size=4), min_size=1, max_size=3), max_size=4))
def test_csv_of_other_programs_is_read_as_they_mean_it(rows: list[list[str]]) -> None:  # J11
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    assert [[cell.text for cell in cells] for _, cells in commas.read(out.getvalue())] == rows


def tree_of(connection: apsw.Connection, contract: Contract) -> bytes:
    out = io.BytesIO()
    written(connection, contract, out)
    return out.getvalue()


def filled(contract: Contract, tree: bytes) -> apsw.Connection:
    """A new project with what a tree says; rows may be written in any order, references are looked at in the end."""
    numbers = count(1)
    new = NewIds(lambda: f"n{next(numbers)}", lambda: next(numbers))
    connection = database(contract)
    written_in(connection, contract, items(tree, "json", contract, None, "i", new))
    return connection


def written_in(connection: apsw.Connection, contract: Contract, found: list[Item]) -> None:
    for item in found:
        for how, table, key, cells in item.changes:
            row = dict(zip(contract.tables[table].key, map(wire.decode_value, key), strict=True))
            row |= {name: wire.decode_value(value) for name, value in cells.items()}
            if how == "u":
                connection.execute(f"DELETE FROM {quoted(table)}")
            insert(connection, table, row)


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
