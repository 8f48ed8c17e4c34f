"""The stored shape of a table as SQLite reports it: what capture and apply need, contract or not."""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw

TABLES = "SELECT name FROM main.sqlite_schema WHERE type='table' AND name NOT GLOB 'sqlite_*' AND name<>'_sharelite'"
COLUMNS = "SELECT name, upper(type), pk FROM pragma_table_xinfo(?, 'main') WHERE hidden=0 ORDER BY cid"


class Shape(NamedTuple):
    """A table: `key` in key order, `columns` the others in table order, `types` of all, `untyped` the ANY ones,
    `all` names: those of the key first."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    types: dict[str, str]
    untyped: frozenset[str]
    all: tuple[str, ...]


def quoted(name: str) -> str:
    """An identifier as SQL text."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string as SQL text."""
    return "'" + text.replace("'", "''") + "'"


def shapes(connection: apsw.Connection) -> dict[str, Shape]:
    """Every table of the project; generated columns are left out."""
    names: list[Any] = connection.execute(TABLES).fetchall()
    return {name: _shape(connection, name) for (name,) in names}


def _shape(connection: apsw.Connection, table: str) -> Shape:
    rows: list[Any] = connection.execute(COLUMNS, (table,)).fetchall()
    key = tuple(name for name, _, pk in sorted(rows, key=lambda row: row[2]) if pk)
    types = {name: kind for name, kind, _ in rows}
    untyped = frozenset(name for name, kind in types.items() if kind in ("ANY", ""))
    columns = tuple(name for name, _, pk in rows if not pk)
    return Shape(table, key, columns, types, untyped, (*key, *columns))
