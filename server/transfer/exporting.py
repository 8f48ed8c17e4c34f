"""Exports: a copy of a project's database as other people's files. Runs in a process of its own (child.py).

Everything but the JSON tree is made from a clean database, which is also an export in itself: what SQLite holds under
the declared types is what SQL text and CSV say.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import apsw

from ..schema.contract import Contract
from ..schema.plain import PlainTable, create_plain, plain_name, plain_tables, shown_columns
from ..schema.table import Table
from ..schema.tables import quoted
from . import commas
from .trees import written

PIECE = 1 << 20
#: Rows in one INSERT statement of the SQL text.
ROWS = 50
CONTRACT = 'SELECT contract FROM "_sharelite" WHERE id=2'
TABLE_OF = "SELECT tbl_name FROM main.sqlite_schema WHERE type='trigger' AND name=?"
NAMES = "SELECT name, sql FROM sqlite_schema WHERE type=? AND sql IS NOT NULL ORDER BY rowid"


#: Triggers that an export does without, and why.
Left = dict[str, str]


def write(source: Path, form: str, out: IO[bytes], tell: Callable[[Left], None]) -> None:
    """Write a copy of data.db in one of the forms `db`, `sql`, `json`, `csv`; before its first byte `tell` what it
    does without. Works in the folder of the copy."""
    copy = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    row: Any = copy.execute(CONTRACT).fetchone()
    contract = Contract.parse(json.loads(row[0]))
    if form == "json":
        tell({})
        written(copy, contract, out)
        return
    copy.close()
    clean = source.with_name("clean.db")
    left = cleaned(source, clean, contract)
    tell(left if form != "csv" else {})
    if form == "db":
        with open(clean, "rb") as file:
            while piece := file.read(PIECE):
                out.write(piece)
        return
    connection = apsw.Connection(str(clean), flags=apsw.SQLITE_OPEN_READONLY)
    if form == "sql":
        _sql(connection, left, out)
    else:
        _csv(connection, contract, out)
    out.flush()


def cleaned(source: Path, target: Path, contract: Contract) -> Left:
    """The same rows without anything of the house, as a new file; what that does without."""
    target.unlink(missing_ok=True)
    connection = apsw.Connection(str(target), flags=_FLAGS)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-32000"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("ATTACH ? AS project", (f"file:{_uri(source)}?mode=ro&immutable=1",))
    connection.execute("BEGIN")
    tables = plain_tables(contract)
    for table in tables:
        connection.execute(create_plain(contract, contract.tables[table.source]))
        _fill(connection, table)
        lost = _altered(connection, table)
        if lost:
            connection.execute(f"DROP TABLE main.{quoted(table.name)}")
            connection.execute(create_plain(contract, contract.tables[table.source], lost))
            _fill(connection, table)
    for index in [index for table in tables for index in table.indexes]:
        connection.execute(index)
    left = _stored(connection, contract)
    connection.execute("COMMIT")
    connection.close()
    return left


def _stored(connection: apsw.Connection, contract: Contract) -> Left:
    """The triggers of the project, behind the rows, so that none runs. One that means names which are others here, or a
    part of the house, would spoil every write to its table: it stays out."""
    left: Left = {}
    for name, statement in contract.triggers.items():
        try:
            connection.execute(statement)
            _try(connection, connection.execute(TABLE_OF, (name,)).fetchone())
        except apsw.Error as problem:
            connection.execute(f"DROP TRIGGER IF EXISTS main.{quoted(name)}")
            left[name] = str(problem)
    return left


def _try(connection: apsw.Connection, found: Any) -> None:
    """Compile what fires the triggers of a table. Raises apsw errors."""
    table, columns = quoted(found[0]), [quoted(column) for column in _columns(connection, found[0])]
    listed, same = ", ".join(columns), ", ".join(f"{column}={column}" for column in columns)
    for statement in (
        f"INSERT INTO main.{table}({listed}) SELECT {listed} FROM main.{table}",
        f"UPDATE main.{table} SET {same}",
        f"DELETE FROM main.{table}",
    ):
        connection.execute(f"EXPLAIN {statement}").fetchall()


_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI


def _uri(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))


def _fill(connection: apsw.Connection, table: PlainTable) -> None:
    values = ", ".join(column.value for column in table.columns)
    connection.execute(
        f"INSERT INTO main.{quoted(table.name)} SELECT {values} FROM project.{quoted(table.source)} ORDER BY _rowid_"
    )


def _altered(connection: apsw.Connection, table: PlainTable) -> list[str]:
    """The columns whose declared type has turned a value into another one: they do without it."""
    doubtful = [column for column in table.columns if column.doubtful]
    if not doubtful:
        return []
    before = ", ".join(_counted(column.value) for column in doubtful)
    after = ", ".join(_counted(quoted(column.name)) for column in doubtful)
    one: Any = connection.execute(f"SELECT {before} FROM project.{quoted(table.source)}").fetchone()
    other: Any = connection.execute(f"SELECT {after} FROM main.{quoted(table.name)}").fetchone()
    pairs = list(zip(one, other, strict=True))
    return [column.name for place, column in enumerate(doubtful) if any(a != b for a, b in pairs[2 * place :][:2])]


def _counted(value: str) -> str:
    return f"total(typeof({value})='text'), total(typeof({value})='real')"


def _sql(connection: apsw.Connection, left: Left, out: IO[bytes]) -> None:
    """Text that the sqlite3 command line reads back to the same rows."""
    out.write(b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n")
    for name, sql in _schema(connection, "table"):
        out.write(f"{sql};\n".encode())
        values = " || ',' || ".join(_literal(quoted(column)) for column in _columns(connection, name))
        head = f"INSERT INTO {quoted(name)} VALUES".encode()
        rows: Iterator[Any] = connection.execute(f"SELECT '(' || {values} || ')' FROM {quoted(name)} ORDER BY rowid")
        for some in _several(rows):
            out.write(head + ",\n".join(row[0] for row in some).encode() + b";\n")
    for kind in ("index", "trigger"):
        for _, sql in _schema(connection, kind):
            out.write(f"{sql};\n".encode())
    for name, reason in left.items():
        out.write(f"-- left out: trigger {' '.join(f'{name}: {reason}'.split())}\n".encode())
    out.write(b"COMMIT;\n")


def _literal(column: str) -> str:
    """SQL text ends at the first U+0000, so such a text goes through its bytes."""
    zeros = f"'CAST(x''' || hex({column}) || ''' AS TEXT)'"
    return f"CASE WHEN typeof({column})='text' AND instr({column},char(0)) THEN {zeros} ELSE quote({column}) END"


def _csv(connection: apsw.Connection, contract: Contract, out: IO[bytes]) -> None:
    """One table as it is; several as files in a ZIP archive, which is packed while the next lines are made."""
    tables = list(contract.tables.values())
    if len(tables) == 1:
        for piece in _commas(connection, tables[0]):
            out.write(piece)
        return
    files = commas.file_names(map(plain_name, tables))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, ThreadPoolExecutor(1) as packer:
        for table, file in zip(tables, files, strict=True):
            with archive.open(file, "w", force_zip64=True) as entry:
                before: Future[int] | None = None
                for piece in _commas(connection, table):
                    if before is not None:
                        before.result()
                    before = packer.submit(entry.write, piece)
                if before is not None:
                    before.result()


def _commas(connection: apsw.Connection, table: Table) -> Iterator[bytes]:
    headings = [
        commas.Heading(column.origin, column.type == "ANY", column.form == "any") for column in shown_columns(table)
    ]
    return commas.written(connection, plain_name(table), headings)


def _schema(connection: apsw.Connection, kind: str) -> list[tuple[str, str]]:
    rows: list[Any] = connection.execute(NAMES, (kind,)).fetchall()
    return rows


def _columns(connection: apsw.Connection, table: str) -> list[str]:
    rows: list[Any] = connection.execute("SELECT name FROM pragma_table_info(?) ORDER BY cid", (table,)).fetchall()
    return [row[0] for row in rows]


def _several(rows: Iterator[Any]) -> Iterator[list[Any]]:
    some: list[Any] = []
    for row in rows:
        some.append(row)
        if len(some) == ROWS:
            yield some
            some = []
    if some:
        yield some


def spare(folder: Path) -> int:
    """Bytes that are free where an export works."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
