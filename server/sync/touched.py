"""Folding captured changes: which rows a mutation touched, and whether its changes say exactly what is there now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..model import Change, Key, Row, Value
from .apply import same


class Touch:
    """What the changes say of one row. `row`: its cells as far as they are known; None once it is deleted.

    `whole`: every cell is known (it was inserted here). `columns`: those that changed; None stands for all.
    """

    __slots__ = ("columns", "existed", "row", "sound", "whole")

    def __init__(self, existed: bool) -> None:
        self.row: Row | None = {} if existed else None
        self.existed = existed
        self.whole = False
        self.columns: set[str] | None = set()
        self.sound = True

    def take(self, change: Change) -> None:
        """Fold one more change in; `sound` turns False where it contradicts what came before."""
        if change.op == "i":
            self.sound = self.sound and self.row is None
            self.row, self.whole, self.columns = dict(change.new or {}), True, None
        elif change.op == "d":
            self.sound = self.sound and self._matches(change.old or {}, exact=True)
            self.row, self.whole, self.columns = None, False, None
        else:
            self.sound = self.sound and self._matches(change.old or {}, exact=False)
            if self.row is not None:
                self.row.update(change.new or {})
                if self.columns is not None:
                    self.columns.update(change.new or {})

    def _matches(self, stated: Row, *, exact: bool) -> bool:
        """Whether the cells that are known are as stated; `exact`: NULLs are left out of what is stated."""
        if self.row is None:
            return False
        if not exact:
            names: Iterable[str] = stated if self.whole else self.row.keys() & stated.keys()
        else:
            names = self.row.keys() | stated.keys() if self.whole else self.row
        return all(same(self.row.get(name), stated.get(name)) for name in names)

    def agrees(self, found: Row | None, columns: Iterable[str]) -> bool:
        """Whether the row as read back is what the changes say. `columns`: all but the key columns."""
        if not self.sound or (found is None) != (self.row is None):
            return False
        if found is None or self.row is None:
            return True
        names: Iterable[str] = columns if self.whole else self.row
        there, said = list(map(found.get, names)), list(map(self.row.get, names))
        return there == said and list(map(type, there)) == list(map(type, said))


class Touched:
    """Every row that a mutation touched, in the order of first touch."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self._rows: dict[tuple[str, Key], Touch] = {}
        for change in changes:
            name = (change.table, change.key)
            touch = self._rows.get(name)
            if touch is None:
                touch = self._rows[name] = Touch(change.op != "i")
            touch.take(change)

    def __iter__(self) -> Iterator[tuple[str, Key, Touch]]:
        for (table, key), touch in self._rows.items():
            yield table, key, touch


def restated(before: dict[tuple[str, Key], Row | None], after: dict[tuple[str, Key], Row | None]) -> list[Change]:
    """The way from some rows to others: all deletes, then all inserts; rows that are equal are left out."""
    moved = [name for name in after if not _equal(before.get(name), after[name])]
    gone = [
        Change("d", table, key, None, _cells(before[table, key]))
        for table, key in moved
        if before[table, key] is not None
    ]
    come = [
        Change("i", table, key, _cells(after[table, key]), None)
        for table, key in moved
        if after[table, key] is not None
    ]
    return gone + come


def _equal(one: Row | None, other: Row | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(same(one.get(name), other.get(name)) for name in one.keys() | other.keys())


def _cells(row: Row | None) -> dict[str, Value]:
    return {name: value for name, value in (row or {}).items() if value is not None}
