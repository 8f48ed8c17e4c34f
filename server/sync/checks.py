"""What must hold of the touched rows at the end of a mutation: references, contract, lengths, trees (SPEC M, C)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw

from ..errors import Refused
from ..model import Change, Fault, Key, Row, Value
from . import texts
from .rules import ListLimit, Reference, Rules, TableRules
from .shape import Shape, quoted
from .touched import Touch, Touched
from .trees import Climb
from .wire import encode_key

MOST_FAULTS = 20
#: Rows that are read at once.
BLOCK = 100


class Checks:
    """Looks at the rehearsal's rows; every failed check is a Refused with the places."""

    def __init__(self, connection: apsw.Connection, rules: Rules, shapes: Mapping[str, Shape]) -> None:
        self._connection = connection
        self._rules = rules
        self._shapes = shapes
        self._referring: list[tuple[str, Reference]] = [
            (name, reference) for name, table in rules.tables.items() for reference in table.references
        ]
        self._parents = {limit.table: (name, limit) for name, table in rules.tables.items() for limit in table.lists}
        self._checked: list[tuple[str, Key, Touch, Row | None]] = []

    def foreign_keys(self, changes: Sequence[Change]) -> None:
        """Savepoints do not check deferred foreign keys (design 13), so their count is asked for."""
        if self._connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
            faults = tuple(self._dangling(changes)) or (Fault("a reference has no target"),)
            raise Refused("reference", faults[0].message, faults)

    def agree(self, touched: Touched) -> bool:
        """Read every touched row back; whether the changes say exactly what is there. The rows stay for `rows`."""
        whole = self._read_whole(touched)
        self._checked = [
            (name, key, touch, whole[name].get(key))
            if touch.columns is None and name in whole
            else (name, key, touch, self._read(name, key, touch))
            for name, key, touch in touched
        ]
        return all(touch.agrees(found, self._shapes[name].columns) for name, _, touch, found in self._checked)

    def rows(self, changes: Sequence[Change]) -> None:
        """Check the rows that `agree` read last against the contract, then lengths and trees."""
        faults: list[Fault] = []
        for name, key, touch, found in self._checked:
            table = self._rules.tables.get(name)
            if table is None:
                raise Refused("invalid", f"there is no table {name!r} in the contract", (Fault("unknown table", name),))
            if found is not None:
                wire = None
                for fault in table.check(found, touch.columns):
                    wire = wire or encode_key(key)
                    faults.append(Fault(fault.message, name, wire, fault.pointer))
            if len(faults) >= MOST_FAULTS:
                break
        if faults:
            first = faults[0]
            raise Refused("invalid", f"{first.table} {first.key}: {first.pointer}: {first.message}", tuple(faults))
        if any(change.op != "u" for change in changes):
            self._lengths()
        self._trees()

    def _read_whole(self, touched: Touched) -> dict[str, dict[Key, Row]]:
        """Rows of which every cell is looked at, by table and key: many at once costs a quarter of one by one. Tables
        with few of them, or with keys of several columns, are left out."""
        keys: dict[str, list[Value]] = {}
        for name, key, touch in touched:
            if touch.columns is None and len(key) == 1:
                keys.setdefault(name, []).append(key[0])
        return {name: self._rows(self._shapes[name], found) for name, found in keys.items() if len(found) >= BLOCK}

    def _rows(self, shape: Shape, keys: list[Value]) -> dict[Key, Row]:
        found: dict[Key, Row] = {}
        sql = texts.select_several(shape.table, shape.key[0], shape.all, BLOCK)
        for start in range(0, len(keys), BLOCK):
            block = keys[start : start + BLOCK]
            block += block[-1:] * (BLOCK - len(block))
            rows: Any = self._connection.execute(sql, block)
            for cells in rows:
                found[cells[:1]] = dict(zip(shape.all, cells, strict=True))
        return found

    def _read(self, name: str, key: Key, touch: Touch) -> Row | None:
        shape = self._shapes[name]
        table = self._rules.tables.get(name)
        needed = table.needs(touch.columns) if table is not None and touch.columns is not None else None
        columns = shape.columns if needed is None else tuple(sorted({*needed, *(touch.columns or ())} - set(shape.key)))
        found = self._connection.execute(texts.select(name, shape.key, columns), key).fetchone()
        if found is None:
            return None
        row: Row = dict(zip(shape.key, key, strict=True))
        row.update(zip(columns, found, strict=bool(columns)))
        return row

    def _dangling(self, changes: Sequence[Change]) -> list[Fault]:
        """The rows among those touched whose reference has no target, found row by row, never by a whole scan."""
        faults: list[Fault] = []
        for change in changes:
            for name, reference in self._referring:
                if change.op != "d" and name == change.table:
                    faults += self._no_target(name, change.key, reference)
                if change.op == "d" and reference.table == change.table:
                    faults += self._orphans(name, reference, change)
        return faults[:MOST_FAULTS]

    def _no_target(self, name: str, key: Key, reference: Reference) -> list[Fault]:
        own = " AND ".join(f"a.{quoted(column)}=?" for column in self._shapes[name].key)
        if not self._connection.execute(
            f"SELECT 1 FROM main.{quoted(name)} a WHERE {own} AND {_unmet(reference)}", key
        ).fetchone():
            return []
        columns = ", ".join(reference.columns)
        message = f"{name}: {columns} refers to a row of {reference.table} that is not there"
        return [Fault(message, name, encode_key(key), "/" + reference.columns[-1].replace(".", "/"))]

    def _orphans(self, name: str, reference: Reference, change: Change) -> list[Fault]:
        key_of = dict(zip(self._shapes[change.table].key, change.key, strict=True)) | (change.old or {})
        values = [key_of.get(column) for column in reference.target]
        held = " AND ".join(f"a.{quoted(column)}=?" for column in reference.columns)
        listed = ", ".join(f"a.{quoted(column)}" for column in self._shapes[name].key)
        rows = self._connection.execute(
            f"SELECT {listed} FROM main.{quoted(name)} a WHERE {held} AND {_unmet(reference)} LIMIT 5", values
        ).fetchall()
        message = f"{change.table} is still referred to by {name} ({', '.join(reference.columns)})"
        return [Fault(message, name, encode_key(row), "/" + reference.columns[-1].replace(".", "/")) for row in rows]

    def _lengths(self) -> None:
        """minItems and maxItems of tables and of the nested lists of touched parents, by count."""
        parents: dict[tuple[str, tuple[Value, ...]], tuple[str, ListLimit]] = {}
        tables: dict[str, TableRules] = {}
        for name, key, touch, found in self._checked:
            table = self._rules.tables[name]
            if table.length != (0, None):
                tables[name] = table
            if found is not None:
                for limit in table.lists:
                    parents[limit.table, key] = name, limit
            if name in self._parents and touch.columns is None:
                parent, limit = self._parents[name]
                parents[name, self._parent_key(name, key, limit)] = parent, limit
        for name, table in tables.items():
            count = self._count(f"SELECT count(*) FROM main.{quoted(name)}")
            _within(count, *table.length, name, None)
        for (_, key), (parent, limit) in parents.items():
            self._list_length(parent, key, limit)

    def _count(self, sql: str, values: Sequence[Value] = ()) -> int:
        row: Any = self._connection.execute(sql, values).fetchone()
        return int(row[0])

    def _parent_key(self, name: str, key: Key, limit: ListLimit) -> Key:
        own = dict(zip(self._shapes[name].key, key, strict=True))
        return tuple(own[column] for column in limit.columns)

    def _list_length(self, parent: str, key: Key, limit: ListLimit) -> None:
        where = " AND ".join(f"{quoted(column)}=?" for column in limit.columns)
        shape = self._shapes[parent]
        own = " AND ".join(f"{quoted(column)}=?" for column in shape.key)
        if self._connection.execute(f"SELECT 1 FROM main.{quoted(parent)} WHERE {own}", key).fetchone() is None:
            return
        count = self._count(f"SELECT count(*) FROM main.{quoted(limit.table)} WHERE {where}", key)
        _within(count, limit.minimum, limit.maximum, limit.table, key)

    def _trees(self) -> None:
        moved: dict[str, list[Value]] = {}
        for name, key, touch, found in self._checked:
            column = self._rules.tables[name].tree
            if column is not None and found is not None and (touch.columns is None or column in touch.columns):
                moved.setdefault(name, []).append(key[0])
        for name, keys in moved.items():
            column = self._rules.tables[name].tree
            assert column is not None
            Climb(self._connection, name, self._shapes[name].key[0], column).check(keys)


def _unmet(reference: Reference) -> str:
    some = " AND ".join(f"a.{quoted(column)} IS NOT NULL" for column in reference.columns)
    pairs = zip(reference.target, reference.columns, strict=True)
    match = " AND ".join(f"b.{quoted(target)}=a.{quoted(column)}" for target, column in pairs)
    return f"{some} AND NOT EXISTS(SELECT 1 FROM main.{quoted(reference.table)} b WHERE {match})"


def _within(count: int, minimum: int, maximum: int | None, table: str, key: Key | None) -> None:
    if count >= minimum and (maximum is None or count <= maximum):
        return
    limit = f"at least {minimum}" if count < minimum else f"at most {maximum}"
    where = None if key is None else encode_key(key)
    message = f"{table} would have {count} items, it needs {limit}"
    raise Refused("invalid", message, (Fault(message, table, where, "/" + table.rsplit(".", 1)[-1]),))
