"""Row operations as SQL: what a push asks for, run on the rehearsal connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import apsw

from ..constraints import constraint_code
from ..errors import Refused
from ..model import Edit, Expectation, Fault, Key, Operation, Row, Value
from . import texts
from .apply import same
from .rules import Rules, TableRules
from .shape import quoted
from .wire import encode_key

#: Whether a commit after this version touched this row.
TouchedSince = Callable[[str, Key, int], bool]


class Operations:
    """Runs the operations of edits. `skipped` gathers the rows that were gone and that the push said to skip."""

    def __init__(self, connection: apsw.Connection, rules: Rules, touched_since: TouchedSince) -> None:
        self._connection = connection
        self._rules = rules
        self._touched_since = touched_since

    def run(self, edit: Edit, captured: Callable[[], None]) -> list[tuple[str, Key]]:
        """Run an edit; `captured` is called after each statement. Returns the skipped rows; raises Refused.

        Operations that collide only with each other (two rows swapping a unique value) are retried after the others;
        cycles are broken by a temporary NULL (design: section 4), and so are long chains, whose retries would cost the
        square of their length.
        """
        for expectation in edit.expect:
            self._expect(expectation)
        skipped: list[tuple[str, Key]] = []
        collided = self._pass(edit.operations, edit.missing, skipped, captured)
        while collided:
            left = self._pass([operation for operation, _ in collided], edit.missing, skipped, captured)
            if 2 * len(left) > len(collided):
                cleared = [self._clear_unique(operation) for operation, _ in left]
                if len(left) == len(collided) and not any(cleared):
                    raise left[0][1]
                captured()
                before, left = left, self._pass([each for each, _ in left], edit.missing, skipped, captured)
                if len(left) == len(before) == len(collided):
                    raise left[0][1]
            collided = left
        return skipped

    def _pass(
        self,
        operations: Iterable[Operation],
        missing: str,
        skipped: list[tuple[str, Key]],
        captured: Callable[[], None],
    ) -> list[tuple[Operation, Refused]]:
        collided: list[tuple[Operation, Refused]] = []
        late: dict[tuple[str, Key], Refused] = {}
        for operation in operations:
            row = (operation.table, operation.key)
            try:
                if row in late:  # what comes after one that waits, on the same row, waits too
                    raise late[row]
                hit = self.one(operation)
            except Refused as refused:
                if refused.code != "unique":
                    raise
                late[row] = refused
                collided.append((operation, refused))
                continue
            if not hit:
                if missing == "refuse":
                    raise _fail("not_found", operation, "the row is gone")
                skipped.append((operation.table, operation.key))
            captured()
        return collided

    def one(self, operation: Operation) -> bool:
        """Run one operation; False where an update found no row. Raises Refused."""
        table = self.table(operation.table)
        key = table.store_key(operation.key)
        if operation.op == "d":
            if table.singleton:
                raise _fail("invalid", operation, "a singleton is never deleted")
            self._connection.execute(texts.delete(table.name, table.key), key)
            return True
        row = table.store(key, operation.values)
        try:
            if operation.op == "u" or table.singleton:
                if operation.op == "i":
                    raise _fail("exists", operation, "a singleton is there from the start; update it")
                return self._update(table, key, row)
            self._insert(table, key, row, operation)
        except apsw.ConstraintError as problem:
            raise _constraint(problem, operation) from None
        except apsw.TooBigError:
            raise _fail("too_large", operation, "the row would have more than 64 MiB") from None
        return True

    def table(self, name: str) -> TableRules:
        table = self._rules.tables.get(name)
        if table is None:
            raise Refused("invalid", f"there is no table {name!r} in the contract", (Fault("unknown table", name),))
        return table

    def _update(self, table: TableRules, key: Key, row: Row) -> bool:
        if not row:
            return self.read(table, key, ()) is not None
        self._connection.execute(texts.update(table.name, table.key, tuple(row)), (*row.values(), *key))
        return bool(self._connection.changes())

    def _insert(self, table: TableRules, key: Key, row: Row, operation: Operation) -> None:
        """Every column is listed, so that all inserts of a table share one prepared statement."""
        columns = tuple(table.types)
        cells = dict(zip(table.key, key, strict=True)) | row
        if operation.op == "s":
            sql = texts.upsert(table.name, table.key, columns, tuple(row))
        else:
            sql = texts.insert(table.name, columns)
        self._connection.execute(sql, [cells.get(column) for column in columns])

    def _clear_unique(self, operation: Operation) -> bool:
        """Set the unique columns that an operation is about to write to NULL; False if there is nothing to clear."""
        table = self.table(operation.table)
        columns = sorted({c for group in table.unique for c in group if c in operation.values and c not in table.key})
        if not columns or operation.op not in ("u", "s"):
            return False
        sets = ", ".join(f"{quoted(column)}=NULL" for column in columns)
        key = table.store_key(operation.key)
        self._connection.execute(f"UPDATE main.{quoted(table.name)} SET {sets} WHERE {texts.where(table.key)}", key)
        return bool(self._connection.changes())

    def _expect(self, expectation: Expectation) -> None:
        table = self.table(expectation.table)
        key = table.store_key(expectation.key)
        if expectation.kind == "since":
            met = not self._touched_since(table.name, key, expectation.version)
        elif expectation.kind == "absent":
            met = self.read(table, key, table.key) is None
        else:
            wanted = table.store(key, expectation.cells)
            found = self.read(table, key, tuple(wanted))
            met = found is not None and all(map(same, found, wanted.values()))
        if not met:
            fault = Fault(f"the expectation {expectation.kind!r} is not met", table.name, encode_key(key))
            raise Refused("conflict", f"{table.name} {_shown(key)}: somebody changed it first", (fault,))

    def read(self, table: TableRules, key: Key, columns: tuple[str, ...]) -> tuple[Value, ...] | None:
        sql = texts.select(table.name, table.key, columns)
        row: tuple[Value, ...] | None = self._connection.execute(sql, key).fetchone()
        return row if row is None or columns else ()


def _constraint(problem: apsw.ConstraintError, operation: Operation) -> Refused:
    code = constraint_code(problem)
    why = {
        "exists": "a row with this key is there already",
        "unique": f"the value is taken by another row ({problem})",
        "reference": f"another row refers to it ({problem})",
    }.get(code, str(problem))
    return _fail(code, operation, why)


def _fail(code: str, operation: Operation, why: str) -> Refused:
    fault = Fault(why, operation.table, encode_key(operation.key))
    return Refused(code, f"{operation.table} {_shown(operation.key)}: {why}", (fault,))


def _shown(key: Key) -> str:
    text = ", ".join(map(repr, key))
    return text if len(text) <= 80 else text[:77] + "..."
