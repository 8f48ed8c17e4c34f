"""Rows and tables of random contracts against oracles: jsonschema for validity, a new project for upgrades."""

from __future__ import annotations

import base64
import json
from typing import Any

import apsw
import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from sharelite.model import Row
from sharelite.schema.contract import Contract
from sharelite.schema.steps import compatible, plan
from sharelite.schema.tables import create_steps
from sharelite.sync.grammar import is_step
from tests.contract_files import database, insert, rows
from tests.contract_random import documents, rows_of

Case = tuple[Contract, Row]
Upgraded = tuple[Contract, Contract, list[Row]]


def told(schema: dict[str, Any], row: Row, prefix: str, required: bool) -> Any:
    """The tree that a row shows, as the design says it, told once more in other words. `...`: absent."""
    if schema.get("type") == "object" and "properties" in schema and "additionalProperties" not in schema:
        return _object(schema, row, prefix, required)
    cell = row.get(prefix)
    types = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if cell is None:
        return schema["default"] if "default" in schema else None if required and "null" in types else ...
    if "boolean" in types:
        return {0: False, 1: True}.get(cell, cell)  # type: ignore[arg-type]
    if isinstance(cell, bytes):
        return base64.b64encode(cell).decode()
    scalar = set(types) <= {"string", "integer", "number", "null"} and "type" in schema
    return cell if scalar else json.loads(str(cell))


def _object(schema: dict[str, Any], row: Row, prefix: str, required: bool) -> Any:
    inside = [name for name in row if name.startswith(f"{prefix}." if prefix else "")]
    if not required and _demanding(schema) and all(row[name] is None for name in inside):
        return ...
    wanted = schema.get("required", [])
    shown = {
        name: told(inner, row, f"{prefix}.{name}" if prefix else name, name in wanted)
        for name, inner in schema["properties"].items()
    }
    return {name: value for name, value in shown.items() if value is not ...}


def _demanding(schema: dict[str, Any]) -> bool:
    """Whether some leaf is required without a default."""
    for name, inner in schema["properties"].items():
        if inner.get("type") == "object" and "properties" in inner and "additionalProperties" not in inner:
            if _demanding(inner):
                return True
        elif name in schema.get("required", []) and "default" not in inner:
            return True
    return False


@st.composite
def judged(draw: st.DrawFn) -> Case:
    contract = Contract.parse(draw(documents()))
    return contract, draw(rows_of(contract.tables["t"]))


@given(judged())
def test_a_row_is_valid_iff_json_schema_accepts_its_tree(case: Case) -> None:  # C10, C11, C15
    contract, row = case
    table, schema = contract.tables["t"], contract.document["properties"]["t"]["items"]
    tree = told(schema, row, "", True)
    assert table.nest(row) == tree
    accepted = jsonschema.Draft202012Validator(schema).is_valid(tree)
    assert (table.check(row, None) == ()) is accepted


@given(judged(), st.data())
def test_checking_what_changed_says_the_same_as_checking_the_row(case: Case, data: st.DataObject) -> None:  # C16
    contract, row = case
    table = contract.tables["t"]
    after = row | data.draw(rows_of(table))
    changed = {name for name in row if row[name] != after[name] and name != "id"}
    after["id"] = row["id"]
    if table.check(row, None):
        return
    needed = table.needs(changed)
    seen = after if needed is None else {"id": after["id"], **{name: after[name] for name in needed}}
    whole = {(fault.pointer, fault.message) for fault in table.check(after, None)}
    assert {(fault.pointer, fault.message) for fault in table.check(seen, changed)} == whole


@given(judged())
def test_a_view_shows_what_the_tree_shows(case: Case) -> None:  # C10, C11
    contract, row = case
    table = contract.tables["t"]
    connection = database(contract)
    insert(connection, "t", row)
    (seen,) = rows(connection, "t_full")
    present = {name: value for name, value in seen.items() if value is not None}
    assert table.nest(present) == table.nest(row)
    values = [column for column in table.properties if column.default is not None]
    inside = {column.name for column in values if _at(table.nest(row), column.path) is not ...}
    assert inside <= present.keys()


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        tree = tree.get(step, ...) if isinstance(tree, dict) else ...
    return tree


def schema_of(connection: apsw.Connection) -> dict[str, Any]:
    """Tables with their columns, keys and references, indexes and views, the order of columns left out."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")]
    columns = {name: sorted(row[1:] for row in connection.execute(f'PRAGMA table_info("{name}")')) for name in names}
    links = {name: connection.execute(f'PRAGMA foreign_key_list("{name}")').fetchall() for name in names}
    others = connection.execute("SELECT name, tbl_name, sql FROM sqlite_schema WHERE type<>'table' AND sql NOT NULL")
    return {"columns": columns, "links": links, "others": sorted(others)}


@st.composite
def upgraded(draw: st.DrawFn) -> Upgraded:
    old, new = Contract.parse(draw(documents())), Contract.parse(draw(documents()))
    found = draw(st.lists(rows_of(old.tables["t"]), max_size=3, unique_by=lambda row: row["id"]))
    return old, new, found


@given(upgraded())
def test_an_upgrade_leads_to_the_tables_of_a_new_project(case: Upgraded) -> None:  # C23, C24
    old, new, before = case
    connection = database(old)
    for row in before:
        insert(connection, "t", row)
    seen = {row["id"]: row for row in rows(connection, "t_full")}
    for step in plan(old, new).steps:
        assert is_step(step), step
        connection.execute(step).fetchall()
    assert schema_of(connection) == schema_of(database(new))
    keep_their_values(old, new, seen, {row["id"]: row for row in rows(connection, "t_full")})


def keep_their_values(old: Contract, new: Contract, before: dict[Any, Row], after: dict[Any, Row]) -> None:
    """Properties that stay as they are show what they showed; objects that now come or go with their leaves may not."""
    one, other = old.tables["t"], new.tables["t"]
    steady = {group.path: group.sparse for group in one.root.groups}
    moved = [group.path for group in other.root.groups if steady.get(group.path, group.sparse) != group.sparse]
    assert before.keys() == after.keys()
    for name, column in one.columns.items():
        now = other.columns.get(name)
        same = now is not None and (now.type, now.form) == (column.type, column.form)
        if same and not any(column.path[: len(path)] == path for path in moved):
            for key, row in before.items():
                assert row[name] is None or after[key][name] == row[name]


@given(documents(), documents())
def test_new_properties_rewrite_nothing(one: dict[str, Any], other: dict[str, Any]) -> None:  # C21, C25
    merged = json.loads(json.dumps(one))
    extra = other["properties"]["t"]["items"]["properties"]
    for name, schema in extra.items():
        merged["properties"]["t"]["items"]["properties"].setdefault(f"new {name}", schema)
    old = Contract.parse(one)
    new = Contract.parse(merged)
    upgrade = plan(old, new)
    assert not any(step.startswith(("INSERT", "DROP TABLE")) for step in upgrade.steps)
    assert compatible(old, new) == ()


@given(documents())
def test_the_same_contract_needs_nothing_and_its_tables_are_steps(document: dict[str, Any]) -> None:  # C24
    contract = Contract.parse(document)
    assert plan(contract, Contract.parse(json.loads(json.dumps(document)))).kind == "none"
    assert all(is_step(step) for step in create_steps(contract))
