"""SQL that changes tables, as the next contract of a project: CREATE, ALTER and DROP keep a contract true that nobody
wrote by hand (SPEC Q17). The statement runs on an empty database with the same tables; what it made of them is read.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any, NamedTuple

import apsw

from .errors import ContractInvalid, FileRefused, Refused
from .schema.contract import Contract
from .schema.definitions import definition
from .schema.inference import infer
from .schema.tables import create_steps
from .sql import reading
from .storage.files import LIMITS
from .storage.foreign.opening import Clock
from .storage.foreign.surveying import survey

Document = dict[str, Any]
SECONDS = 5.0
SCHEMA = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE name NOT GLOB 'sqlite_*' AND sql IS NOT NULL"
COLUMNS = "SELECT name, \"notnull\", dflt_value FROM pragma_table_xinfo(?, 'main') ORDER BY cid"
INDEX = "SELECT cid, name, \"desc\", coll FROM pragma_index_xinfo(?, 'main') WHERE key=1 ORDER BY seqno"
KINDS = "SELECT \"unique\", partial FROM pragma_index_list(?, 'main') WHERE name=?"
#: What a contract cannot say, and what to do instead.
CANNOT = {
    "CHECK": "a CHECK; say it as JSON Schema (minimum, maxLength, enum, pattern ...) in a contract of your own",
    "GENERATED": "a generated column; compute it where it is read",
    "COLLATE": "a collation; compare with COLLATE where you read",
    "AS": "a table AS SELECT, or a computed column; make the table, then INSERT ... SELECT",
}
_REFUSED = {
    apsw.SQLITE_ATTACH, apsw.SQLITE_DETACH, apsw.SQLITE_PRAGMA, apsw.SQLITE_CREATE_TEMP_TABLE,
    apsw.SQLITE_CREATE_TEMP_INDEX, apsw.SQLITE_CREATE_TEMP_TRIGGER, apsw.SQLITE_CREATE_TEMP_VIEW,
    apsw.SQLITE_CREATE_VTABLE, apsw.SQLITE_CREATE_VIEW, apsw.SQLITE_DROP_VIEW, apsw.SQLITE_ANALYZE,
    apsw.SQLITE_TRANSACTION, apsw.SQLITE_SAVEPOINT,
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?|[+-]?\.\d+([eE][+-]?\d+)?")
_NAME = re.compile(r"""[^\W\d][\w$]*|"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]""")
_UNIQUE = re.compile(
    rf"CONSTRAINT\s+(?P<name>{_NAME.pattern})\s+UNIQUE\s*\((?P<columns>\s*(?:{_NAME.pattern})(?:\s*,\s*(?:{_NAME.pattern}))*\s*)\)",
    re.IGNORECASE,
)
_NOW = {"CURRENT_DATE": "date", "CURRENT_TIME": "time", "CURRENT_TIMESTAMP": "timestamp"}


class Item(NamedTuple):
    """One line of sqlite_schema."""

    kind: str
    name: str
    table: str
    sql: str


def redefined(contract: Contract, sql: str) -> Contract:
    """The contract as it is after a statement that changes tables; the same one where there is nothing to do. Blocks.

    Raises Refused: `failed` with SQLite's words, `invalid` for what no contract can say, `contract_given` where
    somebody wrote the contract, which then has to be changed in his file.
    """
    scratch = _scratch(contract)
    try:
        before, columns = _items(scratch), _all_columns(scratch)
        _run(scratch, sql)
        document = _Changed(contract, scratch, before, columns, sql).document()
    finally:
        scratch.close()
    if document == contract.document:
        return contract
    if not contract.inferred:
        raise Refused("contract_given", _instead(contract.document, document))
    try:
        return Contract.parse(document)
    except ContractInvalid as invalid:
        raise Refused("invalid", f"no contract can say that: {invalid}", invalid.errors) from None


def _scratch(contract: Contract) -> apsw.Connection:
    scratch = apsw.Connection(":memory:")
    for limit, value in LIMITS.items():
        scratch.limit(limit, value)
    scratch.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    scratch.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    for step in create_steps(contract):
        scratch.execute(step)
    return scratch


def _run(scratch: apsw.Connection, sql: str) -> None:
    clock = Clock(SECONDS)
    scratch.authorizer = _authorize
    scratch.set_progress_handler(clock.passed, 10_000)
    cursor = scratch.cursor()
    cursor.exec_trace = lambda _, first, __: _only(first, sql)
    try:
        cursor.execute(sql, can_cache=False).fetchall()
    except apsw.AuthError:
        message = "only tables, indexes and triggers are made, changed and dropped here; views, temporary tables and "
        raise Refused("forbidden", message + f"virtual tables are not: {sql[:200]}") from None
    except apsw.Error as problem:
        more = "; add it without, then CREATE UNIQUE INDEX" if "add a UNIQUE column" in str(problem) else ""
        raise Refused("failed", f"{problem}{more}: {sql[:200]}") from None
    finally:
        scratch.authorizer = None
        scratch.set_progress_handler(None)


def _authorize(action: int, one: str | None, two: str | None, database: str | None, source: str | None) -> int:
    """SQLite itself asks for a check of the rows when it alters a table."""
    if action == apsw.SQLITE_PRAGMA and one == "quick_check":
        return apsw.SQLITE_OK
    return apsw.SQLITE_DENY if action in _REFUSED else apsw.SQLITE_OK


def _only(first: str, sql: str) -> bool:
    if not reading.is_blank(sql[len(first) :]):
        raise Refused("failed", "one statement at a time: there is more behind the first semicolon")
    return True


def _items(scratch: apsw.Connection) -> dict[tuple[str, str], Item]:
    rows: list[Any] = scratch.execute(SCHEMA).fetchall()
    return {(kind, name): Item(kind, name, table, sql) for kind, name, table, sql in rows}


def _all_columns(scratch: apsw.Connection) -> dict[str, list[str]]:
    return {item.name: _columns(scratch, item.name) for item in _items(scratch).values() if item.kind == "table"}


def _columns(scratch: apsw.Connection, table: str) -> list[str]:
    rows: list[Any] = scratch.execute(COLUMNS, (table,)).fetchall()
    return [row[0] for row in rows]


class _Changed:
    """A document, changed as a statement has changed the tables."""

    def __init__(
        self,
        contract: Contract,
        scratch: apsw.Connection,
        before: dict[tuple[str, str], Item],
        columns: dict[str, list[str]],
        sql: str,
    ) -> None:
        self._contract, self._scratch, self._before, self._columns, self._sql = contract, scratch, before, columns, sql
        self._new: Document = copy.deepcopy(contract.document)
        self._parts: Document = self._new["properties"]

    def document(self) -> Document:
        after = _items(self._scratch)
        gone = [item for name, item in self._before.items() if name not in after]
        come = [item for name, item in after.items() if name not in self._before]
        if any(item.kind == "table" for item in gone) and any(item.kind == "table" for item in come):
            raise Refused("invalid", "a contract knows no renaming: make the new table, copy, and drop the old one")
        for item in gone:
            self._drop(item)
        for item in come:
            self._create(item)
        for name, columns in self._columns.items():
            if ("table", name) in after:
                self._alter(name, columns, _columns(self._scratch, name))
        return self._new

    def _drop(self, item: Item) -> None:
        if item.kind == "table":
            self._part(item.name)
            del self._parts[item.name]
        elif item.kind == "trigger":
            del self._new["x-sql"]["triggers"][item.name]
        elif item.kind == "index" and ("table", item.table) in _items(self._scratch):
            self._drop_index(item)

    def _drop_index(self, item: Item) -> None:
        said = self._part(item.table).setdefault("x-sql", {})
        for word in ("unique", "index"):
            kept = [each for each in said.get(word, []) if not (isinstance(each, dict) and each["name"] == item.name)]
            if len(kept) < len(said.get(word, [])):
                said[word] = kept
                if not kept:
                    del said[word]
                return
        raise Refused("invalid", f"the index {item.name} comes with what its columns are: a unique set or a reference")

    def _create(self, item: Item) -> None:
        if item.kind == "table":
            self._create_table(item)
        elif item.kind == "trigger":
            sql = self._new.setdefault("x-sql", {})
            sql.setdefault("triggers", {})[item.name] = definition(item.name, item.sql)
        elif item.kind == "index":
            self._create_index(item)

    def _create_table(self, item: Item) -> None:
        words = reading.words(self._sql)
        for word, what in CANNOT.items():
            if word in words:
                raise Refused("invalid", f"a contract cannot say {what}")
        part = self._inferred(item.name)
        self._name_unique(part["x-sql"])
        if "AUTOINCREMENT" in words:
            part["x-sql"]["autoincrement"] = True
        required = part["items"].get("required", [])
        for name, always, default in self._described(item.name):
            self._complete(part, required, name, bool(always), default)
        if required:
            part["items"] = {"type": "object", "required": required, "properties": part["items"]["properties"]}
        self._parts[item.name] = part

    def _name_unique(self, said: Document) -> None:
        """`CONSTRAINT name UNIQUE (...)` names the index that it is, unless something else has the name."""
        taken = {item.name.lower() for item in _items(self._scratch).values()}
        for found in _UNIQUE.finditer(self._sql):
            name, columns = _bare(found["name"]), [_bare(each) for each in _NAME.findall(found["columns"])]
            fits = not name.startswith("_") and not name.lower().startswith("sqlite_") and name.lower() not in taken
            for place, group in enumerate(said.get("unique", [])):
                if fits and isinstance(group, list) and [each.lower() for each in columns] == [*map(str.lower, group)]:
                    said["unique"][place] = {"columns": group, "name": name}
                    taken.add(name.lower())
                    break

    def _complete(self, part: Document, required: list[str], name: str, always: bool, default: str | None) -> None:
        """What inference, which looks at values, leaves out."""
        column = part["items"]["properties"].get(name)
        if column is None:
            raise Refused("invalid", f"{name!r} is a name that a column cannot have: no dots, no _ in front")
        if always and name not in required:
            required.append(name)
        if default is not None and default.upper() != "NULL":
            column["x-sql"] = {**column.get("x-sql", {}), "initial": _fitting(_initial(default), column)}

    def _alter(self, table: str, before: list[str], after: list[str]) -> None:
        gone, come = set(before) - set(after), [name for name in after if name not in before]
        if not gone and not come:
            return
        if gone and come:
            raise Refused("invalid", "a contract knows no renaming: add the new column, UPDATE, and drop the old one")
        part = self._part(table)
        items = part["items"]
        for name in gone:
            if name not in items["properties"]:
                raise Refused("invalid", f"{name} is inside of an object of {table}; change the contract")
            del items["properties"][name]
            items["required"] = [each for each in items.get("required", []) if each != name]
        described = {name: (always, default) for name, always, default in self._described(table)}
        for name in come:
            self._add_column(table, part, name, *described[name])
        if not items.get("required", [""]):
            del items["required"]

    def _add_column(self, table: str, part: Document, name: str, always: int, default: str | None) -> None:
        found = self._inferred(table)
        items = part["items"]
        items["properties"] |= {name: found["items"]["properties"].get(name)}
        required = items.setdefault("required", [])
        self._complete(part, required, name, bool(always), default)
        links = [link for link in found["x-sql"].get("references", []) if link["columns"] == [name]]
        if links:
            said = part.setdefault("x-sql", {})
            present = said.get("references", [])
            said["references"] = [*(present if isinstance(present, list) else [present]), *links]

    def _create_index(self, item: Item) -> None:
        rows: list[Any] = self._scratch.execute(INDEX, (item.name,)).fetchall()
        ((unique, partial),) = self._scratch.execute(KINDS, (item.table, item.name)).fetchall()
        if partial or any(cid < 0 or desc or coll != "BINARY" for cid, _, desc, coll in rows):
            raise Refused("invalid", "a contract has indexes over whole columns, ascending, and no others")
        columns = [name for _, name, _, _ in rows]
        table = self._contract.tables[item.table]
        twin = next((index.name for index in table.indexes if list(index.columns) == columns), None)
        if twin is not None or tuple(columns) == table.key:
            raise Refused("invalid", f"these columns have an index already: {twin or 'they are the key'}")
        said = self._part(item.table).setdefault("x-sql", {})
        word = "unique" if unique else "index"
        present = said.get(word, [])
        entry = {"columns": columns, "name": item.name}
        said[word] = [*(present if isinstance(present, list) else [present]), entry]

    def _part(self, table: str) -> Document:
        part = self._parts.get(table)
        if not isinstance(part, dict) or "items" not in part or "$ref" in part["items"]:
            raise Refused("invalid", f"{table} is no plain table of the contract; change it there")
        return part

    def _inferred(self, table: str) -> Document:
        """The part that a file with these tables would get."""
        try:
            found = infer(survey(self._scratch, Clock(SECONDS)))
        except FileRefused as refused:
            raise Refused("invalid", str(refused)) from None
        part: Document | None = found.contract.document["properties"].get(table)
        if part is None:
            raise Refused(
                "invalid", f"{table!r} is a name that a table cannot have: no dots, no _ in front, no _full at the end"
            )
        for left in found.left:
            if left.kind == "action" and left.name.startswith(f"{table} ("):
                raise Refused("invalid", f"REFERENCES of {left.name}: {left.reason}")
            if left.kind == "reference" and left.name.startswith(f"{table} ("):
                raise Refused(
                    "invalid",
                    f"REFERENCES of {left.name}: {left.reason}; make the table that it names first, and what it names "
                    "there the key or UNIQUE",
                )
        return part

    def _described(self, table: str) -> list[tuple[str, int, str | None]]:
        rows: list[Any] = self._scratch.execute(COLUMNS, (table,)).fetchall()
        return rows


def _initial(default: str) -> Any:
    """A DEFAULT as a contract has it. Raises Refused."""
    said = default.strip()
    while said.startswith("(") and said.endswith(")"):
        said = said[1:-1].strip()
    if said.upper() in _NOW:
        return {"now": _NOW[said.upper()]}
    if said.upper() in ("TRUE", "FALSE"):
        return int(said.upper() == "TRUE")
    if len(said) >= 2 and said[0] == said[-1] == "'":
        return said[1:-1].replace("''", "'")
    if _NUMBER.fullmatch(said):
        return float(said) if set(said) & set(".eE") else int(said)
    raise Refused("invalid", f"DEFAULT {default}: a contract has literal values, CURRENT_DATE, _TIME and _TIMESTAMP")


def _bare(name: str) -> str:
    """A name without its quotes."""
    quote = name[0]
    return name if quote not in '"`[' else name[1:-1] if quote == "[" else name[1:-1].replace(quote * 2, quote)


def _fitting(value: Any, column: Document) -> Any:
    """A literal as a column of its declared type would keep it: `DEFAULT '10'` of an INTEGER is a number."""
    if isinstance(value, str) and column.get("type") in ("integer", "number") and _NUMBER.fullmatch(value.strip()):
        number = float(value)
        return int(number) if column["type"] == "integer" and number.is_integer() else number
    if isinstance(value, int | float) and column.get("type") == "string" and "contentEncoding" not in column:
        return str(value)
    return value


def _instead(old: Document, new: Document) -> str:
    """What somebody has to change in his own contract."""
    said = []
    for name in {**old["properties"], **new["properties"]}:
        if old["properties"].get(name) != new["properties"].get(name):
            part = new["properties"].get(name)
            what = "take it out" if part is None else json.dumps(part, ensure_ascii=False)[:600]
            said.append(f"/properties/{name}: {what}")
    if old.get("x-sql") != new.get("x-sql"):
        said.append(f"/x-sql: {json.dumps(new.get('x-sql'), ensure_ascii=False)[:600]}")
    return (
        "the contract of this project was written by somebody, so SQL does not change it; "
        f"change the contract and migrate: {'; '.join(said)}"
    )
