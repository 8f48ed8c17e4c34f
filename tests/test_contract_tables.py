"""The tables that a contract makes, in real SQLite (SPEC C)."""

from __future__ import annotations

import apsw
import pytest

from sharelite.errors import ContractInvalid
from sharelite.model import Change
from sharelite.schema.contract import Contract
from sharelite.schema.tables import create_steps, literal, singletons
from tests.contract_files import contract, database, everything, insert, one_table, rows


def test_the_steps_are_the_same_for_the_same_contract() -> None:  # C24
    assert create_steps(everything()) == create_steps(Contract.parse(everything().document))


def test_types_follow_the_contract() -> None:  # C7
    types = everything().tables["person"].types
    wanted = {
        "name": "TEXT", "age": "INTEGER", "height": "REAL", "active": "INTEGER", "mark": "ANY", "size": "ANY",
        "photo": "BLOB", "meta": "TEXT", "pair": "TEXT", "address.geo.lat": "REAL",
    }  # fmt: skip
    assert {name: types[name] for name in wanted} == wanted


def test_a_list_in_a_list_has_the_keys_of_both_parents() -> None:  # C8
    tables = everything().tables
    assert tables["person.children"].key == ("_parent.country", "_parent.number", "code")
    assert tables["person.children.toys"].key == (
        "_parent._parent.country", "_parent._parent.number", "_parent.code", "_id",
    )  # fmt: skip
    assert (tables["person.children"].order, tables["person.children.toys"].order) == ("place", "_order")
    names = list(tables)
    assert all(table.parent is None or names.index(table.parent) < names.index(name) for name, table in tables.items())


def test_nested_rows_go_with_their_parent() -> None:  # C8
    connection = database(everything())
    connection.execute("PRAGMA foreign_keys=ON").fetchall()
    insert(connection, "person", {"country": "FR", "number": 1, "name": "x"})
    insert(connection, "person.children", {"_parent.country": "FR", "_parent.number": 1, "code": "a"})
    toy = {"_parent._parent.country": "FR", "_parent._parent.number": 1, "_parent.code": "a", "_id": "t", "what": "car"}
    insert(connection, "person.children.toys", toy)
    connection.execute("DELETE FROM person").fetchall()
    assert rows(connection, "person.children.toys") == []


def test_a_single_part_has_its_row_from_the_beginning() -> None:  # C9
    assert singletons(everything()) == [Change("i", "settings", (1,), {}, None)]
    (row,) = rows(database(everything()), "settings_full")
    shown = (row["_id"], row["name"], row["theme.dark"], row["theme.scale"], row["tags"])
    assert shown == (1, "New", 0, 1.0, '["a","b"]')


def test_the_view_shows_defaults_and_leaves_absent_objects_absent() -> None:  # C10, C11
    connection = database(everything())
    insert(connection, "person", {"country": "FR", "number": 1, "name": "x"})
    insert(connection, "person", {"country": "FR", "number": 2, "name": "y", "address.street": "Rue", "kind": "c"})
    one, two = rows(connection, "person_full", "number")
    assert (one["height"], one["mark"], one["kind"], one["work.firm"]) == (1.75, "none", "a", "own")
    assert (one["address.city"], two["address.city"], two["kind"]) == (None, "Paris", "c")


def test_references_are_enforced_at_the_end_and_indexed() -> None:  # C13
    connection = database(everything())
    connection.execute("PRAGMA foreign_keys=ON").fetchall()
    with connection:
        insert(connection, "team", {"id": 1, "lead.country": "FR", "lead.number": 1})
        insert(connection, "person", {"country": "FR", "number": 1, "name": "x"})
    connection.execute("DELETE FROM person").fetchall()
    assert rows(connection, "team")[0]["lead.country"] is None
    with pytest.raises(apsw.ConstraintError):
        insert(connection, "team", {"id": 2, "above": 9})
    (plan,) = connection.execute("EXPLAIN QUERY PLAN SELECT 1 FROM team WHERE above=1").fetchall()
    assert "_index.team(above)" in str(plan)


def test_what_is_unique_is_so_over_its_columns_together() -> None:  # C13
    table = everything().tables["person"]
    assert set(table.unique) == {("email",), ("name", "address.street")}
    connection = database(everything())
    insert(connection, "person", {"country": "FR", "number": 1, "name": "x", "address.street": "a"})
    insert(connection, "person", {"country": "FR", "number": 2, "name": "x", "address.street": "b"})
    with pytest.raises(apsw.ConstraintError, match="UNIQUE"):
        insert(connection, "person", {"country": "FR", "number": 3, "name": "x", "address.street": "b"})


def test_limits_of_lists_and_tables_are_told_by_count() -> None:  # C8
    (limit,) = everything().tables["person"].lists
    assert (limit.table, limit.columns) == ("person.children", ("_parent.country", "_parent.number"))
    assert (limit.minimum, limit.maximum) == (0, 3)
    document = one_table({})
    document["properties"]["t"]["maxItems"] = 7
    assert Contract.parse(document).tables["t"].length == (0, 7)


def test_names_and_defaults_are_quoted_whatever_is_in_them() -> None:  # C6, C10
    name, default = 'select "x"; --', "it's \0 \"so\"\n"
    made = Contract.parse(one_table({name: {"type": "string", "default": default}}))
    connection = database(made)
    insert(connection, "t", {"id": "a"})
    assert rows(connection, "t_full") == [{"id": "a", name: default}]


@pytest.mark.parametrize("value", [None, 1, -(2**63), 1.5, 1e-7, 1e300, "", "'", "a\0b", "\0", b"", b"\0\xff'"])
def test_a_literal_is_the_value(value: object) -> None:  # C24
    found = apsw.Connection(":memory:").execute(f"SELECT {literal(value)}").get  # type: ignore[arg-type]
    assert (found, type(found)) == (value, type(value))


def test_a_thousand_properties_make_a_table_and_a_view() -> None:  # C7
    leaf = {"type": "string", "default": "x"}
    groups = {
        f"g{group}": {"type": "object", "required": ["r"], "properties": {"r": {"type": "string"}}
                      | {f"p{number}": leaf for number in range(99)}}
        for group in range(10)
    }  # fmt: skip
    made = Contract.parse(one_table(groups))
    connection = database(made)
    insert(connection, "t", {"id": "a", "g3.p7": "y"})
    (row,) = rows(connection, "t_full")
    assert (row["g3.p7"], row["g3.p8"], row["g4.p8"]) == ("y", "x", None)


def test_more_columns_than_sqlite_takes_are_refused_before_it_does() -> None:  # C1
    with pytest.raises(ContractInvalid, match="the limit is 1,900"):
        Contract.parse(one_table({f"p{number}": {"type": "string"} for number in range(1_900)}))


def test_the_demo_contract_has_more_than_a_hundred_properties_in_nested_objects() -> None:  # C7
    table = contract("contracts/annotation.schema.json").tables["annotation"]
    assert len(table.properties) > 100
    assert {len(column.path) for column in table.properties} >= {1, 2, 3}
