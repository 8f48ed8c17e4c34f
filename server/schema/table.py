"""One table of a contract: its columns, its key, and what binds it to other tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from ..model import ColumnType, Fault, Key, ListLimit, Reference, Row, Value
from .column import Column
from .places import Schema
from .rows import RowRules
from .shape import Group


class Link(NamedTuple):
    """A reference and what happens to the referring row when its target goes or changes its key."""

    columns: tuple[str, ...]
    table: str
    target: tuple[str, ...]
    on_delete: str
    on_update: str


class Index(NamedTuple):
    name: str
    columns: tuple[str, ...]
    unique: bool


@dataclass(frozen=True, eq=False)
class Table:
    """Satisfies `sync.rules.TableRules`.

    `own`: the part of the key behind the parent's. `order`: the column with the fractional index.
    `list_path`: where in its parent's tree a nested list is. `columns` has every one, in table order.
    """

    name: str
    singleton: bool
    parent: str | None
    list_path: tuple[str, ...]
    key: tuple[str, ...]
    own: tuple[str, ...]
    columns: Mapping[str, Column]
    root: Group
    order: str | None
    tree: str | None
    links: tuple[Link, ...]
    indexes: tuple[Index, ...]
    length: tuple[int, int | None]
    lists: tuple[ListLimit, ...]
    document: Schema
    place: str
    #: What the table was called in the file that it came from.
    origin: str | None = None
    #: Whether an integer key is never given out again.
    autoincrement: bool = False

    @cached_property
    def types(self) -> Mapping[str, ColumnType]:
        return {name: column.type for name, column in self.columns.items()}

    @cached_property
    def unique(self) -> tuple[tuple[str, ...], ...]:
        return tuple(index.columns for index in self.indexes if index.unique)

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        return tuple(Reference(link.columns, link.table, link.target) for link in self.links)

    @property
    def hidden_key(self) -> bool:
        """The writer chooses a text `_id` (or an integer `_key`) for each row, which is no property of it."""
        return self.own in (("_id",), ("_key",)) and not self.singleton

    @property
    def key_columns(self) -> tuple[Column, ...]:
        return tuple(self.columns[name] for name in self.key)

    @property
    def properties(self) -> tuple[Column, ...]:
        """The columns that are properties of the tree."""
        return tuple(column for column in self.columns.values() if column.path)

    @cached_property
    def _rules(self) -> RowRules:
        return RowRules(self.name, self.key, self.columns, self.root, self.document)

    def check_cell(self, name: str, value: Value) -> tuple[Fault, ...]:
        """What is wrong with a stored value of one column, whatever the rest of the row holds."""
        return self._rules.check_cell(name, value)

    def store_key(self, key: Sequence[Any]) -> Key:
        return self._rules.store_key(key)

    def store(self, key: Key, values: Mapping[str, Any]) -> Row:
        return self._rules.store(key, values)

    def needs(self, changed: Collection[str]) -> Collection[str] | None:
        return self._rules.needs(changed)

    def check(self, row: Row, changed: Collection[str] | None) -> tuple[Fault, ...]:
        return self._rules.check(row, changed)

    def nest(self, row: Row) -> dict[str, Any]:
        """The row as the tree that the contract describes, defaults resolved, nested lists left out."""
        return self._rules.nest(row)
