"""What a foreign SQLite file holds, as plain values: found by `storage/foreign`, judged by `schema/inference`.

Names are those of the file; nothing here is trusted, and nothing here opens anything.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

#: How SQLite stores a value, NULL left out.
Storage = Literal["integer", "real", "text", "blob"]


class SurveyedColumn(Struct, frozen=True):
    """`held`: the kinds of values that are there. `precise`: one of its integers has more digits than a double holds.

    `nulls`: one of its values is NULL; `infinite`: so many are infinities, which no project holds; `zeros`: a text in
    it contains U+0000. `constant`: it is declared with a default.
    """

    name: str
    declared: str
    required: bool
    held: frozenset[Storage]
    nulls: bool = False
    precise: bool = False
    infinite: int = 0
    zeros: bool = False
    generated: bool = False
    constant: bool = False


class SurveyedReference(Struct, frozen=True):
    """A foreign key. `broken`: rows whose target is not there; None where that could not be found out in time."""

    columns: tuple[str, ...]
    table: str
    target: tuple[str, ...]
    on_delete: str
    on_update: str
    broken: int | None


class SurveyedTable(Struct, frozen=True):
    """`key`: the columns of its PRIMARY KEY, none if it has none. `rowid`: a name by which the rowid can be read."""

    name: str
    columns: tuple[SurveyedColumn, ...]
    rows: int
    key: tuple[str, ...]
    rowid: str | None
    unique: tuple[tuple[str, ...], ...]
    indexes: tuple[tuple[str, ...], ...]
    references: tuple[SurveyedReference, ...]


class Left(Struct, frozen=True):
    """Something of the file that does not come along as it was, and why."""

    kind: str
    name: str
    reason: str


class Survey(Struct, frozen=True):
    """A whole file."""

    tables: tuple[SurveyedTable, ...]
    left: tuple[Left, ...]


class ColumnPlan(Struct, frozen=True):
    """Where a column's values come from. `real`: numbers are stored as REAL, `any`: each as it is."""

    source: str
    name: str
    form: Literal["plain", "real", "any"]


class TablePlan(Struct, frozen=True):
    """How one table is copied. `hidden`: its rows get a `_key`, the rowid where it can be read (`rowid`)."""

    source: str
    name: str
    columns: tuple[ColumnPlan, ...]
    rows: int
    hidden: bool
    rowid: str | None


def affinity(declared: str) -> Literal["INTEGER", "TEXT", "BLOB", "REAL", "NUMERIC"]:
    """SQLite's rules for what a declared type makes of values (its documentation, Datatypes 3.1)."""
    upper = declared.upper()
    if "INT" in upper:
        return "INTEGER"
    if any(word in upper for word in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if not upper or "BLOB" in upper:
        return "BLOB"
    return "REAL" if any(word in upper for word in ("REAL", "FLOA", "DOUB")) else "NUMERIC"
