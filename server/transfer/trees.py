"""A whole project as the tree that its contract describes, written row by row: memory does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import apsw
import msgspec

from ..model import Row
from ..schema.column import Column
from ..schema.contract import Contract
from ..schema.shape import Nested
from ..schema.table import Table
from ..schema.tables import quoted
from ..schema.tree import place, shown

_encode = msgspec.json.Encoder().encode
BUFFER = 1 << 20


def written(connection: apsw.Connection, contract: Contract, out: IO[bytes]) -> None:
    """Write `{part: [rows] | {single row}}`; what reads the same contract reads it back to the same rows."""
    buffer = bytearray(b"{")
    tops = [table for table in contract.tables.values() if table.parent is None]
    for number, table in enumerate(tops):
        buffer += b",\n" * bool(number) + _encode(table.name) + b":"
        if table.singleton:
            for tree in _Reading(connection, contract, table).trees():
                buffer += _encode(tree)
            continue
        buffer += b"["
        for row, tree in enumerate(_Reading(connection, contract, table).trees()):
            buffer += b",\n" if row else b"\n"
            buffer += _encode(tree)
            if len(buffer) > BUFFER:
                out.write(buffer)
                buffer.clear()
        buffer += b"]"
    out.write(buffer + b"}\n")
    out.flush()


class _Reading:
    """The rows of a table as trees, with their lists."""

    def __init__(self, connection: apsw.Connection, contract: Contract, table: Table) -> None:
        self._table = table
        self._above = len(table.key) - len(table.own)
        self._lists = {
            nest.table: _Reading(connection, contract, contract.tables[nest.table]) for nest in table.root.lists
        }
        names = list(table.columns)
        listed = ", ".join(map(quoted, names))
        self._names = names
        self._rows: Iterator[Any] = iter(
            connection.execute(f"SELECT {listed} FROM {quoted(table.name)}{_order(table)}")
        )
        self._next: tuple[tuple[Any, ...], Row] | None = None
        self._tree = self._plainly() or self._wholly

    def trees(self) -> Iterator[dict[str, Any]]:
        """All of them, of a table that stands at the top."""
        if not self._lists:
            names, tree = self._names, self._tree
            for row in self._rows:
                yield tree(dict(zip(names, row, strict=True)))
            return
        while (row := self._take()) is not None:
            yield self._tree(row)

    def of(self, parent: tuple[Any, ...]) -> list[dict[str, Any]]:
        """The items of one parent, in their order; parents are asked for in the order of their keys."""
        items = []
        while (row := self._peek()) is not None and row[0] == parent:
            self._next = None
            items.append((row[1], self._tree(row[1])))
        items.sort(key=lambda item: place(self._table, item[0]))
        return [tree for _, tree in items]

    def _take(self) -> Row | None:
        found = self._peek()
        self._next = None
        return None if found is None else found[1]

    def _peek(self) -> tuple[tuple[Any, ...], Row] | None:
        if self._next is None:
            row = next(self._rows, None)
            if row is None:
                return None
            cells = dict(zip(self._names, row, strict=True))
            self._next = tuple(cells[name] for name in self._table.key[: self._above]), cells
        return self._next

    def _plainly(self) -> Callable[[Row], dict[str, Any]] | None:
        """For rows whose cells are shown as they are; the usual case, and several times as fast."""
        members = self._table.root.members.values()
        if self._lists or self._table.hidden_key or not all(map(_is_bare, members)):
            return None
        if self._table.parent is None and not self._table.singleton:
            return lambda row: {name: cell for name, cell in row.items() if cell is not None}
        return None

    def _wholly(self, row: Row) -> dict[str, Any]:
        table = self._table
        key = tuple(row[name] for name in table.key)
        tree = shown(table.root, row, lambda nest: self._items(nest, key)) or {}
        return {"_id": row["_id"], **tree} if table.own == ("_id",) and not table.singleton else tree

    def _items(self, nest: Nested, key: tuple[Any, ...]) -> Sequence[Any]:
        return self._lists[nest.table].of(key)


def _is_bare(member: object) -> bool:
    if not isinstance(member, Column):
        return False
    plain = member.form == "plain" and "boolean" not in member.kinds
    return plain and member.default is None and not (member.nullable and member.required)


def _order(table: Table) -> str:
    """Rows with lists come in the order of their keys, so that the lists of all of them are read in one pass."""
    if table.parent is None and not table.root.lists:
        return " ORDER BY _rowid_"
    return f" ORDER BY {', '.join(map(quoted, table.key))}"
