"""The tables of a contract as anybody else would make them: original names and declared types, nothing of the house.

What a reader sees is written: defaults in the place of NULL. `_key` and a single part's `_id` are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from ..survey import affinity
from .column import Column
from .contract import Contract
from .table import Link, Table
from .tables import quoted, shown_value

HIDDEN = frozenset({"_key"})
#: Types of ours that an affinity leaves as they are; REAL in a NUMERIC column becomes an integer again, as it was.
KEPT = {
    "TEXT": ("TEXT", "BLOB"),
    "INTEGER": ("INTEGER", "NUMERIC", "BLOB"),
    "REAL": ("REAL", "INTEGER", "NUMERIC", "BLOB"),
    "BLOB": ("TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB"),
    "ANY": ("BLOB",),
}


class PlainColumn(Struct, frozen=True):
    """`value`: an expression over our table. `doubtful`: the declared type may turn a value into another one."""

    name: str
    value: str
    doubtful: bool


class PlainTable(Struct, frozen=True):
    """One table of an export. `source`: its name in the project."""

    source: str
    name: str
    columns: tuple[PlainColumn, ...]
    indexes: tuple[str, ...]


def plain_name(table: Table) -> str:
    return table.name if table.origin is None else table.origin


def plain_tables(contract: Contract) -> list[PlainTable]:
    return [_plain(table, number) for number, table in enumerate(contract.tables.values(), 1)]


def shown_columns(table: Table) -> list[Column]:
    return [column for column in table.columns.values() if not _is_hidden(table, column)]


def create_plain(contract: Contract, table: Table, undeclared: Collection[str] = ()) -> str:
    """The CREATE TABLE. `undeclared`: columns (by their names there) that do without the type they were declared as."""
    parts = [_column(table, column, column.origin in undeclared) for column in shown_columns(table)]
    if not table.singleton and not HIDDEN & set(table.key):
        parts.append(f"PRIMARY KEY({_listed(table, table.key)})")
    parts += [f"UNIQUE({_listed(table, columns)})" for columns in table.unique]
    parts += [_foreign_key(contract, table, link) for link in table.links]
    return f"CREATE TABLE {quoted(plain_name(table))}({', '.join(parts)})"


def _plain(table: Table, number: int) -> PlainTable:
    columns = tuple(
        PlainColumn(column.origin, shown_value(table, column), _is_doubtful(column)) for column in shown_columns(table)
    )
    name = plain_name(table)
    indexes = tuple(
        f"CREATE INDEX {quoted(f'index_{number}_{place}')} ON {quoted(name)}({_listed(table, index.columns)})"
        for place, index in enumerate((index for index in table.indexes if not index.unique), 1)
    )
    return PlainTable(table.name, name, columns, indexes)


def _is_hidden(table: Table, column: Column) -> bool:
    return column.name in HIDDEN or (table.singleton and column.name == "_id")


def _is_doubtful(column: Column) -> bool:
    return column.declared is not None and affinity(column.declared) not in KEPT[column.type]


def _column(table: Table, column: Column, undeclared: bool) -> str:
    own = "" if column.type == "ANY" else column.type
    declared = own if column.declared is None or undeclared else column.declared
    always = column.name in table.key or (column.required and not column.nullable and len(column.path) == 1)
    return " ".join(filter(None, [quoted(column.origin), declared, "NOT NULL" if always else ""]))


def _foreign_key(contract: Contract, table: Table, link: Link) -> str:
    target = contract.tables[link.table]
    actions = "".join(
        f" ON {event} {action}"
        for event, action in (("DELETE", link.on_delete), ("UPDATE", link.on_update))
        if action != "NO ACTION"
    )
    names = f"{quoted(plain_name(target))}({_listed(target, link.target)})"
    return f"FOREIGN KEY({_listed(table, link.columns)}) REFERENCES {names}{actions}"


def _listed(table: Table, names: Sequence[str]) -> str:
    return ", ".join(quoted(table.columns[name].origin) for name in names)
