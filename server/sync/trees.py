"""Trees: a column that refers to a parent row of its own table may not lead back to the row (design 7, SPEC M12)."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from ..errors import Refused
from ..model import Fault, Value
from . import texts
from .wire import encode_key

#: Rows from a row up to the root; deeper is refused like a cycle.
DEEPEST = 10_000


class Climb:
    """Climbs from touched rows to their roots. Each row is looked at once, so many rows of one tree cost no more."""

    def __init__(self, connection: apsw.Connection, table: str, key: str, parent: str) -> None:
        self._connection = connection
        self._table, self._parent = table, parent
        self._select = texts.select(table, (key,), (parent,))
        self._depths: dict[Value, int] = {None: 0}

    def check(self, starts: Iterable[Value]) -> None:
        """Raises Refused `cycle` for a row that is its own ancestor, or too far from its root."""
        for start in starts:
            self._climb(start)

    def _climb(self, start: Value) -> None:
        path: dict[Value, None] = {}
        at = start
        while at not in self._depths:
            if at in path:
                raise self._refused(at, "the row would be its own ancestor")
            path[at] = None
            row: tuple[Value, ...] | None = self._connection.execute(self._select, (at,)).fetchone()
            at = row[0] if row is not None else None
        depth = self._depths[at]
        for row_key in reversed(path):
            depth += 1
            if depth > DEEPEST:
                raise self._refused(row_key, f"the row would be more than {DEEPEST:,} rows away from its root")
            self._depths[row_key] = depth

    def _refused(self, key: Value, why: str) -> Refused:
        fault = Fault(why, self._table, encode_key((key,)), "/" + self._parent.replace(".", "/"))
        return Refused("cycle", f"{self._table} {[key]}: {why}", (fault,))
