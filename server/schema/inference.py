"""From what a foreign file holds to a contract that all of it fits: permissive, every table has one.

Names that a contract cannot have are changed, and the contract keeps the old ones (`x-sql.name`), so that an export
gives them back. Whatever does not come along as it was is told.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from ..errors import FileRefused
from ..survey import (
    ColumnPlan,
    Left,
    Storage,
    Survey,
    SurveyedColumn,
    SurveyedReference,
    SurveyedTable,
    TablePlan,
    affinity,
)
from .contract import Contract, ContractInvalid
from .document import MAX_BYTES
from .places import Schema
from .relations import ACTIONS, DECLARED, HIDDEN, MAX_COLUMNS, MOST_NAME

Kind = Literal["string", "integer", "number", "bytes", "key", "scalar", "any"]

SCHEMAS: dict[Kind, Schema] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "bytes": {"type": "string", "contentEncoding": "base64"},
    "key": {"type": ["integer", "string"]},
    "scalar": {"type": ["integer", "number", "string"]},
    "any": {},
}
#: What a table of ours declares for each; another word in the file has to be kept.
DECLARES: dict[Kind, str] = {
    "string": "TEXT", "integer": "INTEGER", "number": "REAL", "bytes": "BLOB", "key": "", "scalar": "", "any": "",
}  # fmt: skip
LONGEST = 128


class Inferred(Struct, frozen=True):
    """A contract, how each table is copied into it, and what is left of the file."""

    contract: Contract
    plans: tuple[TablePlan, ...]
    left: tuple[Left, ...]


def infer(survey: Survey, title: str = "") -> Inferred:
    """The contract of a file. Raises FileRefused where a contract cannot hold it."""
    names = _renamed([table.name for table in survey.tables], _table_name)
    tables = {table.name: _Table(table, names[table.name]) for table in survey.tables}
    left = list(survey.left)
    links = {name: list(_kept(table, tables, left)) for name, table in tables.items()}
    _widen(tables, links, left)
    document = nothing()
    if title:
        document = {"title": title, **document}
    for name, table in tables.items():
        left += table.left()
        document["properties"][table.name] = table.schema(_references(table, links[name], tables))
    return Inferred(_parsed(document, survey), tuple(table.plan() for table in tables.values()), tuple(left))


def nothing() -> Schema:
    """A contract without tables, which SQL may change."""
    return {"type": "object", "x-sql": {"inferred": True}, "properties": {}}


def _parsed(document: Schema, survey: Survey) -> Contract:
    wide = next((table.name for table in survey.tables if len(table.columns) >= MAX_COLUMNS), None)
    if wide is not None:
        raise FileRefused(f"table {wide!r} has more than {MAX_COLUMNS:,} columns, which is the limit of a contract")
    size = len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())
    if size > MAX_BYTES:
        columns = sum(len(table.columns) for table in survey.tables)
        raise FileRefused(
            f"its contract would have {size:,} bytes ({len(survey.tables):,} tables, {columns:,} columns), and the "
            f"limit is {MAX_BYTES:,}: import fewer tables"
        )
    try:
        return Contract.parse(document)
    except ContractInvalid as invalid:
        raise FileRefused(f"no contract can be made for it: {invalid}") from invalid


class _Table:
    """One table on its way into the contract. `kinds`: of its columns, by the file's names."""

    def __init__(self, found: SurveyedTable, name: str) -> None:
        self.found, self.name = found, name
        self.columns = {column.name: column for column in found.columns}
        self.names = _renamed([column.name for column in found.columns], _column_name)
        self.hidden = not _usable(found, self.columns)
        key = () if self.hidden else found.key
        self.kinds: dict[str, Kind] = {
            column.name: _key_kind(column) if column.name in key else _kind(column) for column in found.columns
        }
        self.key = key
        unique = [found.key] if self.hidden and found.key else []
        self.unique = [group for group in [*unique, *found.unique] if set(group) <= self.columns.keys()]

    def renamed(self, columns: Iterable[str]) -> list[str]:
        return [self.names[column] for column in columns]

    def schema(self, references: list[Schema]) -> Schema:
        sql: Schema = {"key": HIDDEN if self.hidden else self.renamed(self.key)}
        indexes = [group for group in self.found.indexes if set(group) <= self.columns.keys()]
        said = {
            "unique": [self.renamed(group) for group in self.unique if group != self.key],
            "index": [self.renamed(group) for group in indexes],
            "references": references,
        }
        sql |= {word: value for word, value in said.items() if value}
        if self.name != self.found.name:
            sql["name"] = self.found.name
        properties = {self.names[column.name]: self._column(column) for column in self.found.columns}
        required = [self.names[column.name] for column in self.found.columns if self._required(column)]
        items: Schema = {"type": "object", **({"required": required} if required else {}), "properties": properties}
        return {"type": "array", "x-sql": sql, "items": items}

    def _required(self, column: SurveyedColumn) -> bool:
        kept = column.required and not (column.nulls or column.infinite or column.constant or column.generated)
        return column.name in self.key or (kept and column.name not in self.found.key)

    def _column(self, column: SurveyedColumn) -> Schema:
        kind = self.kinds[column.name]
        sql: Schema = {"any": True} if kind == "any" else {}
        if self.names[column.name] != column.name:
            sql["name"] = column.name
        if column.declared != DECLARES[kind] and DECLARED.fullmatch(column.declared):
            sql["declared"] = column.declared
        return {**SCHEMAS[kind], **({"x-sql": sql} if sql else {})}

    def plan(self) -> TablePlan:
        columns = tuple(
            ColumnPlan(column.name, self.names[column.name], _form(self.kinds[column.name], column.held))
            for column in self.found.columns
        )
        return TablePlan(self.found.name, self.name, columns, self.found.rows, self.hidden, self.found.rowid)

    def left(self) -> Iterable[Left]:
        if self.hidden and self.found.key:
            why = "it holds NULL, a real number, bytes or U+0000"
            yield Left("key", self.found.name, f"({', '.join(self.found.key)}) is unique, but no key: {why}")
        for column in self.found.columns:
            if column.infinite:
                yield Left("infinity", f"{self.found.name}.{column.name}", f"{column.infinite:,} infinities are NULL")


def _usable(table: SurveyedTable, columns: Mapping[str, SurveyedColumn]) -> bool:
    """Whether its key can be one: no NULL, no REAL, no bytes, no U+0000 in it, and nothing that is computed."""
    key = [columns[name] for name in table.key if name in columns]
    fits = all(
        column.held <= {"integer", "text"} and not (column.nulls or column.zeros or column.generated) for column in key
    )
    return bool(key) and len(key) == len(table.key) and fits


def _key_kind(column: SurveyedColumn) -> Kind:
    kind = _kind(column)
    return kind if kind in ("string", "integer") else "key"


def _kind(column: SurveyedColumn) -> Kind:
    """What the values need; where there are none, what the declared type promises."""
    held, declared = column.held, affinity(column.declared)
    if not held:
        return _promised(column.declared)
    if "blob" in held:
        return "bytes" if held == {"blob"} else "any"
    if held == {"text"}:
        return "string"
    if held == {"integer"}:
        return "integer"
    if held == {"real"}:
        return "number"
    same = held == {"integer", "real"} and declared != "BLOB" and not column.precise
    return "number" if same else "scalar"


def _promised(declared: str) -> Kind:
    match affinity(declared):
        case "TEXT":
            return "string"
        case "REAL":
            return "number"
        case "BLOB":
            return "bytes" if declared else "any"
    return "integer" if declared.upper() in ("INT", "INTEGER", "BIGINT") else "scalar"


def _form(kind: Kind, held: Collection[Storage]) -> Literal["plain", "real", "any"]:
    if kind == "number":
        return "real"
    return "any" if "real" in held else "plain"


class _Link(Struct, frozen=True):
    found: SurveyedReference
    #: Pairs of columns, in the order of the target's key or unique set.
    pairs: tuple[tuple[str, str], ...]
    on_delete: str
    on_update: str


def _kept(table: _Table, tables: Mapping[str, _Table], left: list[Left]) -> Iterable[_Link]:
    """The references that are true and that a contract can say."""
    for found in table.found.references:
        name = f"{table.found.name} ({', '.join(found.columns)}) to {found.table}"
        pairs = dict(zip(found.target, found.columns, strict=False))
        target = tables.get(found.table)
        ordered = _ordered(target, found.target) if target is not None else None
        reason = _unfit(table, target, found, ordered)
        if reason is not None or ordered is None or target is None:
            left.append(Left("reference", name, reason or "its target is no table of the file"))
            continue
        delete, update = (_action(action) for action in (found.on_delete, found.on_update))
        clears = any(table._required(table.columns[column]) for column in found.columns)
        for event, action, said in (("DELETE", delete, found.on_delete), ("UPDATE", update, found.on_update)):
            if action == "SET NULL" and clears:
                left.append(Left("action", name, f"ON {event} SET NULL cannot be: a column is required"))
            elif action != said:
                left.append(Left("action", name, f"ON {event} {said} cannot be said by a contract"))
        kept = ["NO ACTION" if action == "SET NULL" and clears else action for action in (delete, update)]
        yield _Link(found, tuple((pairs[column], column) for column in ordered), *kept)


def _action(action: str) -> str:
    """SET DEFAULT has no counterpart: columns that refer have no default."""
    return action if action in ACTIONS.values() else "NO ACTION"


def _ordered(target: _Table, columns: Sequence[str]) -> tuple[str, ...] | None:
    """The target's key or unique set that these columns are, in its own order."""
    groups = [target.key, *target.unique]
    return next((group for group in groups if group and sorted(group) == sorted(columns)), None)


def _unfit(
    table: _Table, target: _Table | None, found: SurveyedReference, ordered: tuple[str, ...] | None
) -> str | None:
    if target is None:
        return "its target is no table that comes along"
    if ordered is None or len(found.columns) != len(found.target):
        return "its target is neither a key nor unique"
    if not set(found.columns) <= table.columns.keys():
        return "one of its columns does not come along"
    if found.broken is None:
        return "whether it holds could not be found out in time"
    if found.broken:
        return f"{found.broken:,} rows name a row that is not there"
    return None


def _widen(tables: Mapping[str, _Table], links: Mapping[str, list[_Link]], left: list[Left]) -> None:
    """Both ends of a reference have one type: the wider one, as long as anything changes. What no type fits goes."""
    changed = True
    while changed:
        changed = False
        for name, mine in links.items():
            for link in tuple(mine):
                target = tables[link.found.table]
                met = [_level(tables[name], here, target, there) for here, there in link.pairs]
                changed = changed or "changed" in met
                if "never" in met:
                    mine.remove(link)
                    where = f"{name} ({', '.join(link.found.columns)}) to {link.found.table}"
                    left.append(Left("reference", where, "the values of its two ends are of different kinds"))


def _level(table: _Table, here: str, target: _Table, there: str) -> Literal["same", "changed", "never"]:
    one, other = table.kinds[here], target.kinds[there]
    if DECLARES[one] == DECLARES[other]:
        return "same"
    if not table.columns[here].held:
        one = _fitting(other, here in table.key)
    elif DECLARES[one] == "" or DECLARES[other] == "":
        one, other = (_wide(kind, place) for kind, place in ((one, here in table.key), (other, there in target.key)))
    elif {one, other} == {"integer", "number"} and here not in table.key and there not in target.key:
        one = other = "number"
    if DECLARES[one] != DECLARES[other]:
        return "never"
    table.kinds[here], target.kinds[there] = one, other
    return "changed"


def _fitting(kind: Kind, in_key: bool) -> Kind:
    return "key" if in_key and DECLARES[kind] == "" else kind


def _wide(kind: Kind, in_key: bool) -> Kind:
    if DECLARES[kind] == "":
        return kind
    return "key" if in_key else "any" if kind == "bytes" else "scalar"


def _references(table: _Table, links: Iterable[_Link], tables: Mapping[str, _Table]) -> list[Schema]:
    words = {action: word for word, action in ACTIONS.items()}
    said: list[Schema] = []
    for link in links:
        target = tables[link.found.table]
        entry: dict[str, Any] = {
            "columns": table.renamed(here for here, _ in link.pairs),
            "table": target.name,
            "target": target.renamed(there for _, there in link.pairs),
        }
        actions = (("onDelete", link.on_delete), ("onUpdate", link.on_update))
        entry |= {word: words[action] for word, action in actions if action != "NO ACTION"}
        if entry not in said:
            said.append(entry)
    return said


def _renamed(names: Sequence[str], fit: Any) -> dict[str, str]:
    """A name that a contract can have for each; those that can stay do."""
    wanted = {name: fit(name) for name in names}
    taken: set[str] = set()
    out: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (wanted[name] != name, names.index(name))):
        if len(name) > MOST_NAME:
            raise FileRefused(f"the name {name[:40]!r}... has more than {MOST_NAME} characters")
        chosen, number = wanted[name], 2
        while chosen.lower() in taken:
            chosen, number = f"{wanted[name]}_{number}", number + 1
        taken.add(chosen.lower())
        out[name] = chosen
    return {name: out[name] for name in names}


def _table_name(name: str) -> str:
    fitting = _column_name(name)
    return fitting + "_" if fitting.lower().endswith("_full") or fitting.lower().startswith("sqlite_") else fitting


def _column_name(name: str) -> str:
    """No dots (they join the names of nested properties), no _ in front (the house's own), no control characters."""
    plain = "".join("-" if letter == "." or ord(letter) < 32 or ord(letter) == 127 else letter for letter in name)
    plain = plain.lstrip("_") or "column"
    while len(plain.encode()) > LONGEST - 8:
        plain = plain[:-1]
    return plain
