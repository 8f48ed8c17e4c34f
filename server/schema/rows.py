"""Rows against the contract: what the wire says as stored values, and whether a stored row is valid.

A row is valid iff each of its cells is, nothing required is missing, and every condition between properties holds.
So an update that touches no condition costs as much as the cells it changes, however wide the table is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from ..errors import Refused
from ..model import Fault, Key, Row, Value
from .column import Column, WrongValue, described
from .engine import Judge
from .places import Schema, join
from .shape import ACROSS, Group
from .tree import shown

Test = Callable[[Value], bool]


class RowRules:
    """How rows of one table are stored and checked."""

    def __init__(
        self, table: str, key: tuple[str, ...], columns: Mapping[str, Column], root: Group, document: Schema
    ) -> None:
        self._table, self._key, self._columns, self._root, self._document = table, key, columns, root, document
        self._converters = {name: _converter(column) for name, column in columns.items() if name not in key}
        judged = [column for column in columns.values() if column.path or column.schema]
        self._judges = {column.name: Judge(column.schema, document) for column in judged}
        tests = {name: _test(column, self._judges.get(name)) for name, column in columns.items()}
        tests |= {name: _key_test(tests[name]) for name in key}
        self._across = [_Across(group, document) for group in root.groups if group.schema.keys() & ACROSS]
        self._needed = [found for found in _needed(root, None) if not self._takes_null(found[0])]
        self._tests = {name: _or_null(test) for name, test in tests.items()}
        #: The columns that can be judged alone.
        self._alone = {name: test for name, test in self._tests.items() if self._stands_alone(name)}
        for name, leaves in self._needed:
            if leaves is None and name in self._alone:
                self._alone[name] = tests[name]

    def _takes_null(self, name: str) -> bool:
        return self._columns[name].nullable and self._judges[name].is_valid(None)

    def store_key(self, key: Sequence[Any]) -> Key:
        if len(key) != len(self._key):
            text = f"the key of {self._table} has {len(self._key)} values ({', '.join(self._key)}), not {len(key)}"
            raise self._refused((Fault(text, self._table, _wire(key)),))
        stored, faults = [], []
        for name, value in zip(self._key, key, strict=True):
            try:
                stored.append(_key_value(self._columns[name], value))
            except WrongValue as problem:
                faults.append(Fault(str(problem), self._table, _wire(key), self._columns[name].pointer))
        if faults:
            raise self._refused(tuple(faults))
        return tuple(stored)

    def store(self, key: Key, values: Mapping[str, Any]) -> Row:
        row: Row = {}
        try:
            for name, value in values.items():
                row[name] = self._converters[name](value)
        except (KeyError, WrongValue):
            return self._store_slowly(key, values)
        return row

    def _store_slowly(self, key: Key, values: Mapping[str, Any]) -> Row:
        """The same once more, gathering every fault. Key columns come here too."""
        row: Row = {}
        faults = []
        for name, value in values.items():
            try:
                if name in self._converters:
                    row[name] = self._converters[name](value)
                else:
                    self._same_key(name, value, key)
            except WrongValue as problem:
                pointer = self._columns[name].pointer if name in self._columns else "/" + name.replace(".", "/")
                faults.append(Fault(str(problem), self._table, _wire(key), pointer))
        if faults:
            raise self._refused(tuple(faults))
        return row

    def _same_key(self, name: str, value: Any, key: Key) -> None:
        if name not in self._key:
            raise WrongValue(f"{self._table} has no column {name!r}")
        if _key_value(self._columns[name], value) != key[self._key.index(name)]:
            raise WrongValue("a key does not change in an update; delete the row and insert it under its new key")

    def _refused(self, faults: tuple[Fault, ...]) -> Refused:
        first = faults[0]
        where = f"{first.pointer}: " if first.pointer else ""
        return Refused("invalid", f"{self._table} {first.key}: {where}{first.message}", faults)

    def needs(self, changed: Collection[str]) -> Collection[str] | None:
        alone = self._alone
        for name in changed:
            if name not in alone:
                return None
        return changed

    def check(self, row: Row, changed: Collection[str] | None) -> tuple[Fault, ...]:
        if changed is None:
            return self._whole(row)
        alone, get = self._alone, row.get
        for name in changed:
            test = alone.get(name)
            if test is None:
                return self._whole(row)
            if not test(get(name)):
                return self._some(row, changed)
        return ()

    def check_cell(self, name: str, value: Value) -> tuple[Fault, ...]:
        return tuple(self._cell(name, value, False))

    def _whole(self, row: Row) -> tuple[Fault, ...]:
        tests = self._tests
        for name, value in row.items():
            if value is not None and not tests[name](value):
                return tuple(self._explain(row))
        for name, leaves in self._needed:
            if row.get(name) is None and (leaves is None or any(row.get(leaf) is not None for leaf in leaves)):
                return tuple(self._explain(row))
        if self._across:
            tree = self.nest(row)
            if not all(across.holds(tree) for across in self._across):
                return tuple(self._explain(row))
        return ()

    def _some(self, row: Row, changed: Collection[str]) -> tuple[Fault, ...]:
        if self.needs(changed) is None:
            return self._whole(row)
        return tuple(fault for name in changed for fault in self._cell(name, row.get(name), None))

    def _explain(self, row: Row) -> Iterator[Fault]:
        wrong = False
        for name in self._columns:
            leaves = next((leaves for needed, leaves in self._needed if needed == name), ())
            present = leaves is None or any(row.get(leaf) is not None for leaf in leaves)
            for fault in self._cell(name, row.get(name), present):
                wrong = wrong or row.get(name) is not None
                yield fault
        if not wrong:  # conditions are asked of cells that are right in themselves
            tree = self.nest(row)
            for across in self._across:
                yield from across.faults(tree)

    def _cell(self, name: str, value: Value, needed: bool | None) -> Iterator[Fault]:
        column = self._columns[name]
        if value is None:
            if needed or (needed is None and not self._alone[name](None)):
                yield Fault(f"{column.path[-1] if column.path else name!r} is required", pointer=column.pointer)
            return
        if self._tests[name](value):
            return
        try:
            shown_value = column.to_tree(_key_value(column, value) if name in self._key else value)
        except WrongValue as problem:
            yield Fault(str(problem), pointer=column.pointer)
            return
        yield from self._judges[name].faults(shown_value, column.pointer)

    def _stands_alone(self, name: str) -> bool:
        """No condition and no absent object can turn on this column."""
        path = self._columns[name].path
        above = [group for group in self._root.groups if path[: len(group.path)] == group.path]
        return not path or not any(group.sparse or group.schema.keys() & ACROSS for group in above)

    def nest(self, row: Row) -> dict[str, Any]:
        return shown(self._root, row) or {}


class _Across:
    """The conditions between the properties of one object."""

    def __init__(self, group: Group, document: Schema) -> None:
        self._path = group.path
        self._judge = Judge({name: group.schema[name] for name in group.schema if name in ACROSS}, document)

    def _found(self, tree: Any) -> Any:
        for step in self._path:
            tree = tree.get(step) if tree is not None else None
        return tree

    def holds(self, tree: Any) -> bool:
        found = self._found(tree)
        return found is None or self._judge.is_valid(found)

    def faults(self, tree: Any) -> Iterator[Fault]:
        found = self._found(tree)
        if found is not None:
            yield from self._judge.faults(found, join("", *self._path))


def _needed(group: Group, leaves: tuple[str, ...] | None) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    """Columns that may not be NULL: always (None), or where one of these leaves of their object is not."""
    if group.sparse:
        leaves = tuple(leaf.name for leaf in group.leaves)
    for member in group.members.values():
        if isinstance(member, Group):
            yield from _needed(member, leaves)
        elif isinstance(member, Column) and member.required and member.default is None:
            yield member.name, leaves


def _converter(column: Column) -> Callable[[Any], Value]:
    """`Column.stored`, with the default stored as NULL."""
    default, kind, stored = column.default, type(column.default), column.stored

    def convert(value: Any) -> Value:
        cell = stored(value)
        return None if cell == default and type(cell) is kind else cell

    return convert


def _test(column: Column, judge: Judge | None) -> Test:
    """Whether a cell that is not NULL is valid by itself; NULL is not."""
    if judge is None:
        return lambda value: value is not None
    is_valid = judge.is_valid
    if column.form == "plain" and column.type != "ANY":
        return lambda value: value is not None and is_valid(value)

    def test(value: Value) -> bool:
        try:
            return value is not None and is_valid(column.to_tree(value))
        except WrongValue:
            return False

    return test


def _key_test(test: Test) -> Test:
    return lambda value: test(value) and not (isinstance(value, str) and "\0" in value)


def _or_null(test: Test) -> Test:
    return lambda value: value is None or test(value)


def _key_value(column: Column, value: Any) -> Value:
    if value is None:
        raise WrongValue("a key cannot be null")
    stored = column.stored(value)
    if isinstance(stored, str) and "\0" in stored:
        raise WrongValue("a key cannot contain the character U+0000")
    return stored


def _wire(key: Sequence[Any]) -> list[Any]:
    """A key for an answer: short, whatever somebody sent."""
    return [value if isinstance(value, str) and len(value) <= 80 else _short(value) for value in key]


def _short(value: Any) -> Any:
    return value if isinstance(value, int | float) and abs(value) <= 2**53 else described(value)
