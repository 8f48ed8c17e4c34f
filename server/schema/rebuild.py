"""Writing a table anew: what ALTER TABLE cannot do (keys, references, types, defaults) is done by copying its rows.

A value that does not fit its new type becomes NULL; a default that goes or changes is written out where it counted.
"""

from __future__ import annotations

from .column import Column
from .table import Table
from .tables import create_table, literal, quoted, shown_value

_BESIDE = "_new."


def can_rebuild(old: Table, new: Table) -> bool:
    """Whether each row of the old table makes one of the new one: its key can be found in the old columns."""
    same_kind = old.singleton == new.singleton and (old.parent is None) == (new.parent is None)
    return same_kind and all(name in old.columns for name in new.key)


def rebuild(old: Table, new: Table) -> list[str]:
    beside, name = quoted(_BESIDE + new.name), quoted(new.name)
    kept = [column for column in new.columns.values() if column.name in old.columns]
    columns = ", ".join(quoted(column.name) for column in kept)
    values = ", ".join(_value(old, old.columns[column.name], column) for column in kept)
    order = ", ".join(map(quoted, old.key))
    return [
        create_table(new, _BESIDE + new.name),
        f"INSERT INTO {beside}({columns}) SELECT {values} FROM {name} ORDER BY {order}",
        f"DROP TABLE {name}",
        f"ALTER TABLE {beside} RENAME TO {name}",
    ]


def _value(table: Table, old: Column, new: Column) -> str:
    same_default = (old.default, type(old.default)) == (new.default, type(new.default))
    value = quoted(old.name) if same_default else shown_value(table, old)
    value = _converted(value, old, new)
    return value if same_default or new.default is None else f"nullif({value},{literal(new.default)})"


def _converted(value: str, old: Column, new: Column) -> str:
    """The old value as the new type holds it; every node and browser must print a REAL alike (SQLite 3.54 here)."""
    if (old.type, old.form) == (new.type, new.form):
        return value
    if "json" in (old.form, new.form) or "base64" in (old.form, new.form):
        return "NULL"
    if new.form == "boolean":
        return f"CASE WHEN {value} IN (0,1) THEN CAST({value} AS INTEGER) END"
    if new.type == "ANY":
        return value
    if new.type == "TEXT":
        return value if old.type == "TEXT" else f"CAST({value} AS TEXT)"
    if new.type == "INTEGER":
        return value if old.type == "INTEGER" else _integer(value)
    return f"CASE WHEN typeof({value}) IN ('integer','real') THEN CAST({value} AS REAL) END"


def _integer(value: str) -> str:
    """A real without a fraction, or a text that is exactly an integer."""
    whole = f"CAST({value} AS INTEGER)"
    return f"CASE WHEN {whole}={value} OR CAST({whole} AS TEXT)={value} THEN {whole} END"
