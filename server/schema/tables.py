"""The tables of a contract as SQL: literal statements, the same for the same contract.

No CHECK and no stored trigger: apply must not judge, the rehearsal does.
"""

from __future__ import annotations

from ..model import Change, Value
from .column import Column
from .contract import Contract
from .table import Index, Link, Table


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(value: Value) -> str:
    """A value as SQL text. A text with U+0000 goes through its bytes: SQL text ends at the first one."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        if "\0" in value:
            return f"CAST(x'{value.encode().hex()}' AS TEXT)"
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def create_steps(contract: Contract) -> list[str]:
    """Everything a new project needs, in order: tables, indexes, views."""
    tables = list(contract.tables.values())
    return [
        *(create_table(table) for table in tables),
        *(create_index(table, index) for table in tables for index in table.indexes),
        *(create_view(table) for table in tables),
        *contract.triggers.values(),
    ]


def singletons(contract: Contract) -> list[Change]:
    """The single rows, which exist from a project's first version on."""
    return [Change("i", table.name, (1,), {}, None) for table in contract.tables.values() if table.singleton]


def create_table(table: Table, name: str | None = None) -> str:
    """`name`: another one, for rebuilding a table beside the old one."""
    if table.singleton or table.own == ("_key",) or table.autoincrement:
        key = f"{quoted(table.key[0])} INTEGER PRIMARY KEY{' AUTOINCREMENT' if table.autoincrement else ''}"
        others = [column for column in table.properties if column.name != table.key[0]]
        columns = [key, *(column_text(table, column) for column in others)]
    else:
        columns = [column_text(table, column) for column in table.columns.values()]
        columns.append(f"PRIMARY KEY({_listed(table.key)})")
    columns += [_foreign_key(link) for link in table.links]
    return f"CREATE TABLE {quoted(name or table.name)}({', '.join(columns)}) STRICT"


def column_text(table: Table, column: Column) -> str:
    required = " NOT NULL" if column.name in table.key else ""
    return f"{quoted(column.name)} {column.type}{required}{initial_text(column)}"


def initial_text(column: Column) -> str:
    """What SQL that does not name the column stores in it."""
    said = column.initial
    if isinstance(said, dict):
        return f" DEFAULT CURRENT_{said['now'].upper()}"
    return "" if said is None else f" DEFAULT {literal(said)}"


def _foreign_key(link: Link) -> str:
    return f"FOREIGN KEY({_listed(link.columns)}){reference_text(link)}"


def reference_text(link: Link) -> str:
    actions = "".join(
        f" ON {event} {action}"
        for event, action in (("DELETE", link.on_delete), ("UPDATE", link.on_update))
        if action != "NO ACTION"
    )
    target = f"{quoted(link.table)}({_listed(link.target)})"
    return f" REFERENCES {target}{actions} DEFERRABLE INITIALLY DEFERRED"


def create_index(table: Table, index: Index) -> str:
    unique = "UNIQUE " if index.unique else ""
    return f"CREATE {unique}INDEX {quoted(index.name)} ON {quoted(table.name)}({_listed(index.columns)})"


def create_view(table: Table) -> str:
    """The rows with their defaults; what an absent object would default to stays NULL."""
    shown = ", ".join(_shown(table, column) for column in table.columns.values())
    return f"CREATE VIEW {quoted(table.name + '_full')} AS SELECT {shown} FROM {quoted(table.name)}"


def _shown(table: Table, column: Column) -> str:
    value, name = shown_value(table, column), quoted(column.name)
    return name if value == name else f"{value} AS {name}"


def shown_value(table: Table, column: Column) -> str:
    """What a reader sees of a column, as an expression over its table."""
    name = quoted(column.name)
    if column.default is None:
        return name
    full = f"coalesce({name},{literal(column.default)})"
    inside = [group for group in table.root.groups if group.sparse and column.path[: len(group.path)] == group.path]
    if inside:  # the innermost one: whoever is in it is in the others
        full = f"CASE WHEN {_present([leaf.name for leaf in inside[-1].leaves])} THEN {full} END"
    return full


def _present(leaves: list[str]) -> str:
    """Whether one of them is not NULL; halved again and again, because SQLite limits how deep an expression is."""
    if len(leaves) == 1:
        return f"{quoted(leaves[0])} IS NOT NULL"
    half = len(leaves) // 2
    return f"({_present(leaves[:half])} OR {_present(leaves[half:])})"


def _listed(names: tuple[str, ...]) -> str:
    return ",".join(map(quoted, names))
