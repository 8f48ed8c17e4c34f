"""Storing and checking rows: what the wire may say, what is stored, and how faults point (SPEC C)."""

from __future__ import annotations

from typing import Any

import pytest

from sharelite.errors import Refused
from sharelite.model import Row
from sharelite.schema.contract import Contract
from sharelite.schema.table import Table
from tests.contract_files import contract, everything, one_table

KEY = ("FR", 1)


def person() -> Table:
    return everything().tables["person"]


STORED: list[tuple[str, Any, Any]] = [
    ("name", "é", "é"),
    ("age", 3.0, 3),
    ("age", 2**63 - 1, 2**63 - 1),
    ("height", 2, 2.0),
    ("height", -0.0, 0.0),
    ("height", 1.75, None),
    ("height", 10**20, 1e20),
    ("active", True, None),
    ("active", 1, None),
    ("active", False, 0),
    ("mark", True, 1),
    ("mark", "none", None),
    ("size", 3, 3),
    ("size", 3.0, 3.0),
    ("size", "3", "3"),
    ("photo", b"\0\xff", b"\0\xff"),
    ("meta", '{"b":1.0,\n "a":"\\u00e9"}', '{"a":"é","b":1}'),
    ("meta", "null", None),
    ("anything", " [1e2] ", "[100]"),
    ("age", None, None),
    ("name", "a\0b", "a\0b"),
]


@pytest.mark.parametrize(("column", "value", "stored"), STORED)
def test_a_value_is_stored_in_its_one_form(column: str, value: Any, stored: Any) -> None:  # C7, C10, C14
    (found,) = person().store(KEY, {column: value}).values()
    assert (found, type(found)) == (stored, type(stored))
    assert str(found) == str(stored)  # 0.0 is not -0.0


REFUSED: list[tuple[str, Any, str]] = [
    ("name", 3, "a text is needed, not 3"),
    ("name", "\ud800", "surrogate"),
    ("age", "3", "an integer is needed"),
    ("age", True, "an integer is needed, not true"),
    ("age", 2**63, "at most 64 bits"),
    ("age", 10**5000, "at most 64 bits"),
    ("age", 1.5, "an integer is needed, not 1.5"),
    ("height", float("nan"), "finite"),
    ("height", float("inf"), "finite"),
    ("height", 10**400, "finite"),
    ("height", True, "a number is needed"),
    ("active", 2, "true or false is needed"),
    ("active", "yes", "true or false is needed"),
    ("mark", 3, "boolean or string is needed"),
    ("size", True, "number or string is needed"),
    ("photo", "AAAA", "bytes are needed"),
    ("meta", {"a": 1}, "a JSON text is needed"),
    ("meta", "{", "not a JSON text"),
    ("meta", '{"a":NaN}', "not a JSON text"),
    ("meta", '{"a":9007199254740993}', "lose digits"),
    ("meta", "[" * 70 + "]" * 70, "inside each other"),
    ("meta", "[" * 100_000, "not a JSON text"),
    ("nothing", 1, "has no column"),
    ("__proto__", 1, "has no column"),
    ("number", 2, "a key does not change"),
    ("number", None, "a key cannot be null"),
]


@pytest.mark.parametrize(("column", "value", "why"), REFUSED, ids=range(len(REFUSED)))
def test_a_value_of_another_type_is_refused_where_it_stands(column: str, value: Any, why: str) -> None:  # C12, C14, C17
    with pytest.raises(Refused) as refused:
        person().store(KEY, {"country": "FR", "name": "x", column: value})
    (fault,) = refused.value.errors
    assert refused.value.code == "invalid" and why in fault.message
    assert (fault.table, fault.key, fault.pointer) == ("person", ["FR", 1], f"/{column}")
    assert len(str(refused.value)) < 500


def test_every_value_that_cannot_be_stored_is_told() -> None:  # C17
    with pytest.raises(Refused) as refused:
        person().store(KEY, {"age": "x", "address.street": 1, "name": "fine", "height": None})
    assert [fault.pointer for fault in refused.value.errors] == ["/age", "/address/street"]


WRONG_KEYS = [(), ("FR",), ("FR", 1, 2), ("FR", None), ("FR", "1"), ("F\0", 1), ("FR", 1.5), (b"FR", 1)]


@pytest.mark.parametrize("key", WRONG_KEYS)
def test_a_key_has_its_number_of_values_and_their_types(key: tuple[Any, ...]) -> None:  # C12
    with pytest.raises(Refused) as refused:
        person().store_key(key)
    assert refused.value.code == "invalid"


def test_a_key_is_stored_as_its_columns_are() -> None:  # C12
    assert person().store_key(["FR", 1.0]) == ("FR", 1)
    assert everything().tables["settings"].store_key([1]) == (1,)


def test_a_missing_property_is_pointed_at_where_it_is_missing() -> None:  # C17
    faults = person().check({"country": "FR", "number": 1, "name": "x", "address.city": "Rome"}, None)
    assert [fault.pointer for fault in faults] == ["/address/street"]
    faults = person().check({"country": "FR", "number": 1, "name": "x", "kind": "b"}, None)
    assert [fault.pointer for fault in faults] == ["/age"]
    faults = person().check({"country": "FR", "number": 1, "address.street": "s", "address.geo.lat": 1.0}, None)
    assert [fault.pointer for fault in faults] == ["/name", "/address/geo/lon"]


def test_a_fault_inside_of_a_json_value_is_pointed_at() -> None:  # C17
    row: Row = {"country": "FR", "number": 1, "name": "x", "meta": '{"a/b":[]}'}
    assert [fault.pointer for fault in person().check(row, None)] == ["/meta/a~1b"]


def test_a_fault_names_the_pattern_as_its_author_wrote_it() -> None:  # C5, C17
    (fault,) = person().check({"country": "fr", "number": 1, "name": "x"}, None)
    assert fault.message == "it does not match the pattern ^[A-Z]{2}$"


def test_sql_may_store_what_no_row_operation_would_and_is_judged_by_it() -> None:  # C15
    row: Row = {"country": "FR", "number": 1, "name": "x"}
    assert person().check(row | {"height": 1.75, "active": 1}, None) == ()
    assert [fault.pointer for fault in person().check(row | {"active": 2}, None)] == ["/active"]
    for name in ("meta", "anything", "notes"):
        assert [fault.pointer for fault in person().check(row | {name: "{"}, None)] == [f"/{name}"]
    assert [fault.message for fault in person().check(row | {"name": "x" * 100_000}, None)][0].endswith("...")


def test_what_sql_writes_into_keys_is_judged_too() -> None:  # C9, C12
    assert [fault.pointer for fault in everything().tables["settings"].check({"_id": 2}, None)] == ["/_id"]
    row: Row = {"country": "FR", "number": 1, "name": "x"}
    assert [fault.pointer for fault in person().check(row | {"number": 0}, None)] == ["/number"]
    child: Row = {"_parent.country": "F\0", "_parent.number": 1, "code": "a\0"}
    faults = everything().tables["person.children"].check(child, None)
    assert [fault.pointer for fault in faults] == ["/_parent.country", "/code"]


def test_one_changed_property_of_many_needs_that_column_only() -> None:  # C16
    table = contract("contracts/annotation.schema.json").tables["annotation"]
    changed = frozenset({"text.font.size"})
    assert table.needs(changed) == changed
    assert table.check({"id": "a", "text.font.size": 15.5}, changed) == ()
    assert [fault.pointer for fault in table.check({"text.font.size": 1.0}, changed)] == ["/text/font/size"]
    assert [fault.pointer for fault in table.check({"name": None}, {"name"})] == ["/name"]


def test_a_property_under_a_condition_needs_the_whole_row() -> None:  # C16
    assert person().needs({"age"}) is None
    assert everything().tables["person.children"].needs({"age"}) == {"age"}
    counted = {"type": "object", "properties": {"a": {"type": "string"}}, "minProperties": 0}
    table = Contract.parse(one_table({"o": counted}))
    assert table.tables["t"].needs({"o.a"}) is None


def test_a_pattern_means_here_what_it_means_in_a_browser() -> None:  # C5
    pattern = "^\\d\\w.\\s\\u{e9}$"
    table = Contract.parse(one_table({"a": {"type": "string", "pattern": pattern}})).tables["t"]
    good, bad = ["1a\t\ufeffé", "0_x\u2028é"], ["٣ax é", "1éx é", "1a\u2028 é", "1ax é\n", "1ax\u200bé"]
    assert [table.check_cell("a", text) for text in good] == [(), ()]
    assert all(table.check_cell("a", text) for text in bad)
