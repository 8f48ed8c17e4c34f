"""A project as a script of SQL, as `sqlite3` makes it: what `Connection.iterdump` gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import Connection

#: Ours, SQLite's, and the views that come with the contract are left out.
MADE = """SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND tbl_name <> '_sharelite'
    AND tbl_name NOT GLOB 'sqlite_*' AND NOT (type = 'view' AND name GLOB '*_full')
    AND (:filter IS NULL OR tbl_name LIKE :filter) ORDER BY type <> 'table', rowid"""
COLUMNS = "SELECT name FROM pragma_table_info(?) ORDER BY cid"


def dump(connection: Connection, filter: str | None) -> Iterator[str]:
    """Each statement. All is read in one transaction that only reads, unless one is open already."""
    mine = not connection.in_transaction
    if mine:
        connection.begin("read_only")
    try:
        yield "BEGIN TRANSACTION;"
        after: list[str] = []
        for kind, name, sql in connection.cursor().execute(MADE, {"filter": filter}).all():
            if kind == "table":
                yield f"{sql};"
                yield from _rows(connection, name)
            else:
                after.append(f"{sql};")
        yield from after
        yield "COMMIT;"
    finally:
        if mine and connection.in_transaction:
            connection.rollback()


def _rows(connection: Connection, table: str) -> Iterator[str]:
    target = _quoted(table)
    names = [name for (name,) in connection.cursor().execute(COLUMNS, (table,)).all()]
    cells = " || ',' || ".join(f"quote({_quoted(name)})" for name in names)
    for (values,) in connection.cursor().execute(f"SELECT {cells} FROM {target}").all():
        yield f"INSERT INTO {target} VALUES({values});"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
