"""Trees become rows and rows the same trees; the vectors are shared with the client's tests (SPEC C20)."""

from __future__ import annotations

import base64
import json
from itertools import count
from typing import Any

import pytest

from sharelite.errors import Refused
from sharelite.model import Row
from sharelite.schema.tree import first_orders, flatten, nested
from tests.contract_files import VECTORS, contract, database, everything, insert, rows

TREES: list[dict[str, Any]] = json.loads((VECTORS / "contract_trees.json").read_text())
CHECKS: list[dict[str, Any]] = json.loads((VECTORS / "contract_checks.json").read_text())


def flat(case: dict[str, Any]) -> dict[str, list[Row]]:
    tables = contract(case["contract"]).tables
    return flatten(tables, case["table"], case["tree"], map("i{}".format, count()).__next__)


def on_the_wire(row: Row) -> dict[str, Any]:
    """Bytes as the vectors and the wire have them; booleans and numbers of one value are told apart by their text."""
    return {
        name: {"$b": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for name, value in row.items()
    }


@pytest.mark.parametrize("case", TREES, ids=lambda case: case["name"])
def test_a_tree_becomes_these_rows(case: dict[str, Any]) -> None:  # C7, C8, C10, C20
    found = {name: [on_the_wire(row) for row in rows] for name, rows in flat(case).items()}
    assert found == case["rows"]


@pytest.mark.parametrize("case", TREES, ids=lambda case: case["name"])
def test_stored_rows_show_the_tree_with_its_defaults(case: dict[str, Any]) -> None:  # C8, C10, C11, C20
    made = contract(case["contract"])
    connection = database(made)
    for name, found in flat(case).items():
        if made.tables[name].singleton:
            connection.execute(f'DELETE FROM "{name}"').fetchall()
        for row in found:
            insert(connection, name, row)
    stored = {name: rows(connection, name) for name in made.tables}
    (top,) = stored[case["table"]]
    assert nested(made.tables, case["table"], top, stored) == case["shown"]


@pytest.mark.parametrize("case", CHECKS, ids=lambda case: case["name"])
def test_a_row_has_these_faults(case: dict[str, Any]) -> None:  # C15, C17
    table = contract(case["contract"]).tables[case["table"]]
    assert sorted({str(fault.pointer) for fault in table.check(case["row"], None)}) == case["pointers"]


def test_every_value_of_a_tree_that_does_not_fit_is_told_with_its_pointer() -> None:  # C20
    tree = {
        "country": "FR", "number": 1, "name": 3, "nothing": 1, "address": "x", "photo": "?",
        "children": [{"code": "a", "toys": [{"what": "x"}, 3, {"what": 5}]}, {"place": "a"}],
    }  # fmt: skip
    with pytest.raises(Refused) as refused:
        flatten(everything().tables, "person", tree, iter("abcdef").__next__)
    row, items = ["/name", "/nothing", "/address", "/photo"], ["/children/0/toys/1", "/children/0/toys/2/what"]
    assert [fault.pointer for fault in refused.value.errors] == [*row, *items, "/children/1/code"]


def test_items_keep_an_id_that_they_bring_and_get_one_otherwise() -> None:  # C8, C20
    tree = {"motto": None, "recent": [{"path": "a"}, {"_id": "mine", "path": "b"}]}
    found = flatten(everything().tables, "settings", tree, iter(["new"]).__next__)["settings.recent"]
    assert [(row["_id"], row["_order"]) for row in found] == [("new", "a0"), ("mine", "a1")]


def test_the_order_of_a_new_list_is_that_of_the_npm_package() -> None:  # C20
    orders = first_orders(4000)
    assert [orders[at] for at in (0, 1, 61, 62, 63, 3905, 3906)] == ["a0", "a1", "az", "b00", "b01", "bzz", "c000"]
    assert orders == sorted(orders)
