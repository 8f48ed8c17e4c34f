"""Copies the rows of foreign tables into tables that we made. The target's statements come from whoever plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apsw

from ...errors import FileRefused
from ...model import Value
from ...survey import ColumnPlan, Left, TablePlan
from .surveying import LARGEST, quoted

#: Told after so many rows of a table.
ROWS_AT_ONCE = 20_000

Progress = Callable[[int], None]
_Row = Sequence[Value]


def copy(
    source: apsw.Connection, target: apsw.Connection, plan: TablePlan, insert: str, progress: Progress
) -> list[Left]:
    """Copy one table; what could not come along as it is. `insert` takes `_key` first where the plan hides a key.

    Raises FileRefused where rows that should differ do not, apsw errors.
    """
    try:
        return _copied(source, target, plan, insert, progress, _Plain(plan))
    except UnicodeDecodeError:
        target.execute(f"DELETE FROM main.{quoted(plan.name)}")
        return _copied(source, target, plan, insert, progress, _Tolerant(plan))


def _copied(
    source: apsw.Connection, target: apsw.Connection, plan: TablePlan, insert: str, progress: Progress, reader: _Plain
) -> list[Left]:
    rows = _told(source.execute(reader.select()), progress)
    numbered: Iterator[_Row] = reader.read(rows)
    if plan.hidden and plan.rowid is None:
        numbered = ((number, *row) for number, row in enumerate(numbered, 1))
    try:
        target.executemany(insert, numbered)
    except apsw.ConstraintError as problem:
        raise FileRefused(f"table {plan.source!r} has rows that contradict its own keys: {problem}") from None
    return reader.left()


def _told(rows: Any, progress: Progress) -> Iterator[_Row]:
    for number, row in enumerate(rows, 1):
        yield row
        if number % ROWS_AT_ONCE == 0:
            progress(ROWS_AT_ONCE)


class _Plain:
    """Reads rows as they are, numbers made such as a project holds them."""

    def __init__(self, plan: TablePlan) -> None:
        self._plan = plan

    def select(self) -> str:
        listed = [_value(column) for column in self._plan.columns]
        return f"SELECT {', '.join([*self._hidden(), *listed])} FROM main.{quoted(self._plan.source)}"

    def read(self, rows: Iterator[_Row]) -> Iterator[_Row]:
        return rows

    def left(self) -> list[Left]:
        return []

    def _hidden(self) -> list[str]:
        return [self._plan.rowid] if self._plan.hidden and self._plan.rowid is not None else []


class _Tolerant(_Plain):
    """Reads a table in which bytes pass for text: they are shown with U+FFFD where they are none."""

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        self._first = len(self._hidden())
        self._bad = [0] * len(plan.columns)

    def select(self) -> str:
        listed = []
        for column in self._plan.columns:
            name = quoted(column.source)
            bare = f"CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {_value(column)} END"
            listed += [f"typeof({name})", bare]
        return f"SELECT {', '.join([*self._hidden(), *listed])} FROM main.{quoted(self._plan.source)}"

    def read(self, rows: Iterator[_Row]) -> Iterator[_Row]:
        for row in rows:
            cells = row[self._first :]
            yield *row[: self._first], *map(self._cell, range(len(self._bad)), cells[::2], cells[1::2])

    def _cell(self, place: int, kind: Value, value: Value) -> Value:
        if kind != "text" or not isinstance(value, bytes):
            return value
        try:
            return value.decode()
        except UnicodeDecodeError:
            self._bad[place] += 1
            return value.decode(errors="replace")

    def left(self) -> list[Left]:
        return [
            Left("text", f"{self._plan.source}.{column.source}", f"{bad:,} texts are no UTF-8; shown with U+FFFD")
            for column, bad in zip(self._plan.columns, self._bad, strict=True)
            if bad
        ]


def _value(column: ColumnPlan) -> str:
    """A column as a project holds it: infinities are NULL, -0.0 is 0.0 (which adding 0.0 does)."""
    name = quoted(column.source)
    finite = f"CASE WHEN {name} BETWEEN -{LARGEST} AND {LARGEST} THEN CAST({name} AS REAL)+0.0 END"
    if column.form == "real":
        return finite
    return f"CASE typeof({name}) WHEN 'real' THEN {finite} ELSE {name} END" if column.form == "any" else name
