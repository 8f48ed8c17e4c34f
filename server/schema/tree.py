"""Rows and trees: from stored columns to the nested value that the contract describes, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import Refused
from ..model import Fault, Row
from .column import Column, WrongValue
from .shape import Group, Nested

if TYPE_CHECKING:
    from .table import Table

#: The rows of one nested list, in order, each with its own lists.
Lists = Callable[[Nested], Sequence[Any]]
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def shown(group: Group, row: Row, lists: Lists | None = None) -> dict[str, Any] | None:
    """The object with defaults resolved; None where it is absent. Without `lists` nested lists are left out."""
    if group.sparse and all(row.get(leaf.name) is None for leaf in group.leaves):
        return None
    tree: dict[str, Any] = {}
    for name, member in group.members.items():
        if isinstance(member, Column):
            _show_cell(tree, name, member, row)
        elif isinstance(member, Group):
            inner = shown(member, row, lists)
            if inner is not None:
                tree[name] = inner
        elif lists is not None:
            tree[name] = list(lists(member))
    return tree


def _show_cell(tree: dict[str, Any], name: str, column: Column, row: Row) -> None:
    value = row.get(column.name)
    if value is None:
        value = column.default
    if value is not None:
        tree[name] = column.to_tree(value)
    elif column.required and column.nullable:
        tree[name] = None


def nested(tables: Mapping[str, Table], name: str, row: Row, rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """A row with its nested lists, taken from `rows` by table name. Items without a key of their own show `_id`."""
    table = tables[name]

    def lists(found: Nested) -> Sequence[Any]:
        child = tables[found.table]
        parent = child.key[: len(table.key)]
        key = [row[name] for name in table.key]
        mine = [item for item in rows.get(found.table, ()) if [item[name] for name in parent] == key]
        return [nested(tables, found.table, item, rows) for item in sorted(mine, key=lambda item: place(child, item))]

    tree = shown(table.root, row, lists) or {}
    return {table.own[0]: row[table.own[0]], **tree} if table.hidden_key else tree


def place(table: Table, row: Row) -> tuple[Any, ...]:
    """Where a row stands in its list: by its order, then by its key."""
    order = row.get(table.order) if table.order else None
    return (order is not None, order or "", *((isinstance(row[k], str), row[k]) for k in table.own))


def flatten(
    tables: Mapping[str, Table],
    name: str,
    tree: Mapping[str, Any],
    new_id: Callable[[], str],
    new_key: Callable[[], int] | None = None,
    place: Row | None = None,
) -> dict[str, list[Row]]:
    """A tree as stored rows by table, parents first. Raises Refused with every value that cannot be stored.

    Defaults become NULL and NULLs are left out. `new_id` names the items that have no key of their own and no `_id`,
    `new_key` the rows that have no `_key`. `place`: where a row of a nested list stands (`_parent.<key>`, `_order`).
    """
    found: dict[str, list[Row]] = {}
    faults: list[Fault] = []
    start: Row = {"_id": 1} if tables[name].singleton else dict(place or {})
    _Flattener(tables, new_id, new_key, found, faults).row(tables[name], tree, start, "")
    if faults:
        raise Refused("invalid", f"{name}: {faults[0].pointer}: {faults[0].message}", tuple(faults))
    return found


class _Flattener:
    def __init__(
        self,
        tables: Mapping[str, Table],
        new_id: Callable[[], str],
        new_key: Callable[[], int] | None,
        found: dict[str, list[Row]],
        faults: list[Fault],
    ) -> None:
        self._tables, self._found, self._faults = tables, found, faults
        self._new = {"_id": new_id, "_key": new_key}

    def row(self, table: Table, tree: Any, start: Row, pointer: str) -> None:
        """One row with its lists. `start`: the parent's key, and the order in its list."""
        if not isinstance(tree, Mapping):
            self._faults.append(Fault("an object is needed", table.name, pointer=pointer or "/"))
            return
        row = dict(start)
        if table.hidden_key:
            hidden = table.own[0]
            given, new = tree.get(hidden), self._new[hidden]
            if type(given) is (str if hidden == "_id" else int) and given != "":
                row[hidden] = given
            elif new is not None:
                row[hidden] = new()
            tree = {name: value for name, value in tree.items() if name != hidden}
        lists = list(self._fill(table, table.root, tree, row, pointer))
        absent = [key for key in table.key if row.get(key) is None]
        if absent:
            self._faults += [Fault(f"{key} is required", table.name, pointer=f"{pointer}/{key}") for key in absent]
            return
        self._found.setdefault(table.name, []).append(row)
        for nest, items, where in lists:
            self._list(table, nest, items, row, where)

    def _fill(
        self, table: Table, group: Group, tree: Mapping[str, Any], row: Row, pointer: str
    ) -> Iterator[tuple[Nested, Any, str]]:
        for name, value in tree.items():
            where = f"{pointer}/{name}"
            member = group.members.get(name)
            if isinstance(member, Column):
                self._cell(table, member, value, row, where)
            elif isinstance(member, Group) and isinstance(value, Mapping):
                yield from self._fill(table, member, value, row, where)
            elif isinstance(member, Nested) and isinstance(value, list | tuple):
                yield member, value, where
            elif member is None or value is not None:
                needed = "an object" if isinstance(member, Group) else "a list"
                message = "the contract has no such property" if member is None else f"{needed} is needed"
                self._faults.append(Fault(message, table.name, pointer=where))

    def _cell(self, table: Table, column: Column, value: Any, row: Row, pointer: str) -> None:
        try:
            stored = column.from_tree(value)
        except WrongValue as problem:
            self._faults.append(Fault(str(problem), table.name, pointer=pointer))
            return
        same = stored == column.default and type(stored) is type(column.default)
        if stored is not None and not same:
            row[column.name] = stored

    def _list(self, parent: Table, nest: Nested, items: Sequence[Any], row: Row, pointer: str) -> None:
        table = self._tables[nest.table]
        above: Row = {f"_parent.{key}": row[key] for key in parent.key}
        orders = first_orders(len(items)) if table.order == "_order" else []
        for number, item in enumerate(items):
            start = above | ({"_order": orders[number]} if orders else {})
            self.row(table, item, start, f"{pointer}/{number}")


def first_orders(count: int) -> list[str]:
    """Fractional indexes for a new list: a0, a1 ... az, b00 ..., as the npm package fractional-indexing makes them."""
    orders = []
    width, number = 1, 0
    for _ in range(count):
        digits, rest = "", number
        for _ in range(width):
            rest, digit = divmod(rest, 62)
            digits = _DIGITS[digit] + digits
        orders.append(chr(ord("a") + width - 1) + digits)
        number += 1
        if number == 62**width:
            width, number = width + 1, 0
    return orders
