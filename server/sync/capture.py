"""What SQL really did, seen by TEMP triggers: the same text as in the browser.

The triggers write typed values into a TEMP table, one row per changed property. TEMP, so a project file never holds
anything of ours; and all of it vanishes with the rehearsal's ROLLBACK.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apsw

from ..model import Change, Key, Row
from .shape import Shape, literal, quoted

TRIGGERS = "SELECT name FROM temp.sqlite_schema WHERE type='trigger' AND tbl_name=?"
ON = "(SELECT v FROM temp._cap WHERE k=1)"
#: The cells of inserted and deleted rows that are NULL say nothing.
SAID = "AND (op NOT IN ('i', 'd') OR new IS NOT NULL OR old IS NOT NULL)"


class Capture:
    """The capture of one connection. `widest`: the most key columns any table has."""

    def __init__(self, connection: apsw.Connection, widest: int) -> None:
        self._connection = connection
        self._keys = [f"k{i}" for i in range(max(widest, 1))]
        self._watched: set[str] = set()
        columns = ", ".join(self._keys)
        connection.execute(
            f"CREATE TEMP TABLE _chg(seq INTEGER PRIMARY KEY, tbl TEXT NOT NULL, op TEXT NOT NULL, {columns}, "
            "col TEXT, old, new);"
            "CREATE TEMP TABLE _cap(k INTEGER PRIMARY KEY, v); INSERT INTO _cap VALUES(1,1)"
        )
        self._select = f"SELECT seq, tbl, op, col, old, new, {columns} FROM temp._chg WHERE seq>? {SAID} ORDER BY seq"

    def watch(self, shape: Shape) -> None:
        """Create the triggers of a table, once. Outside of a transaction that will be rolled back."""
        if shape.table not in self._watched:
            for trigger in triggers(shape):
                self._connection.execute(trigger)
            self._watched.add(shape.table)

    def switch(self, on: bool) -> None:
        self._connection.execute("UPDATE temp._cap SET v=? WHERE k=1", (int(on),))

    def since(self, seq: int) -> tuple[list[Change], int]:
        """The changes captured after `seq`, in the order in which they happened, and the last seq."""
        rows: list[Any] = self._connection.execute(self._select, (seq,)).fetchall()
        return grouped(rows), rows[-1][0] if rows else seq

    def drop(self) -> None:
        """Take everything away again, before a schema step changes the tables."""
        for table in self._watched:
            named: list[Any] = self._connection.execute(TRIGGERS, (table,)).fetchall()
            for (name,) in named:
                self._connection.execute(f"DROP TRIGGER temp.{quoted(name)}")
        self._connection.execute("DROP TABLE temp._chg; DROP TABLE temp._cap")


def grouped(rows: Iterable[tuple[Any, ...]]) -> list[Change]:
    """Property rows as changes. Properties of one row that follow each other form one change, none is ever netted."""
    changes: list[Change] = []
    cells: Row = {}
    before: Row = {}
    head: tuple[str, str, Key] | None = None
    for row in rows:
        op = row[2]
        if op == "i" or op == "d":
            cells[row[3]] = row[5] if op == "i" else row[4]
            continue
        _, table, _, column, old, new, *keys = row
        key = _key(keys)
        if op == "U" and head == ("U", table, key) and column not in cells:
            cells[column], before[column] = new, old
            continue
        if head is not None:
            changes.append(_change(head, cells, before))
        head = (op, table, key)
        cells, before = ({column: new}, {column: old}) if op == "U" else ({}, {})
    if head is not None:
        changes.append(_change(head, cells, before))
    return changes


def _key(values: list[Any]) -> Key:
    """Key columns are never NULL, so the first NULL ends the key."""
    while values and values[-1] is None:
        values.pop()
    return tuple(values)


def _change(head: tuple[str, str, Key], cells: Row, before: Row) -> Change:
    op, table, key = head
    if op == "I":
        return Change("i", table, key, cells, None)
    if op == "D":
        return Change("d", table, key, None, cells)
    return Change("u", table, key, cells, before)


def triggers(shape: Shape) -> list[str]:
    """The triggers of one table.

    `COLLATE BINARY` and `typeof`: 'abc' to 'ABC' under NOCASE and 1 to 1.0 are changes. The key trigger has no OF list:
    SET rowid must be seen too. `_chg` is unqualified: older SQLite refuses a qualified target inside a trigger.
    """
    named = [*shape.key]
    same = " AND ".join(f"OLD.{quoted(k)} IS NEW.{quoted(k)} COLLATE BINARY" for k in named)
    moved = " OR ".join(_differs(k) for k in named)
    out = [
        _head(shape, "i", "INSERT") + f"{ON} BEGIN {_whole(shape, 'NEW', 'I', 'new')} END",
        _head(shape, "d", "DELETE") + f"{ON} BEGIN {_whole(shape, 'OLD', 'D', 'old')} END",
        _head(shape, "pk", "UPDATE") + f"{ON} AND ({moved}) BEGIN "
        f"{_whole(shape, 'OLD', 'D', 'old')} {_whole(shape, 'NEW', 'I', 'new')} END",
    ]
    keys = ", ".join(f"k{i}" for i in range(len(named)))
    values = ", ".join(f"NEW.{quoted(k)}" for k in named)
    for column in shape.columns:
        name = quoted(column)
        out.append(
            _head(shape, "u_" + column, f"UPDATE OF {name}") + f"{_differs(column)} AND {same} AND {ON} BEGIN "
            f"INSERT INTO _chg(tbl, op, {keys}, col, old, new) "
            f"VALUES({literal(shape.table)}, 'U', {values}, {literal(column)}, OLD.{name}, NEW.{name}); END"
        )
    return out


def _head(shape: Shape, name: str, event: str) -> str:
    return (
        f"CREATE TEMP TRIGGER {quoted(f'_cap_{shape.table}_{name}')} AFTER {event} ON main.{quoted(shape.table)} WHEN "
    )


def _differs(column: str) -> str:
    name = quoted(column)
    return f"(OLD.{name} IS NOT NEW.{name} COLLATE BINARY OR typeof(OLD.{name})<>typeof(NEW.{name}))"


def _whole(shape: Shape, record: str, op: str, side: str) -> str:
    keys = ", ".join(f"k{i}" for i in range(len(shape.key)))
    key = ", ".join(f"{record}.{quoted(k)}" for k in shape.key)
    table = literal(shape.table)
    rows = [f"({table}, '{op}', {key}, NULL, NULL)"]
    rows += [f"({table}, '{op.lower()}', {key}, {literal(c)}, {record}.{quoted(c)})" for c in shape.columns]
    return f"INSERT INTO _chg(tbl, op, {keys}, col, {side}) VALUES {', '.join(rows)};"
