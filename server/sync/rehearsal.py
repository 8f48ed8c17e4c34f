"""Rehearsal: running mutations in a transaction that is always rolled back, to find their changes (SPEC M).

Each mutation runs in a savepoint; capture records what really happened; deferred foreign keys, the contract and list
lengths are checked on the resulting rows. A bad one is rolled back to its savepoint and refused, the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import apsw
from msgspec import Struct

from ..errors import Refused
from ..model import Call, Change, Edit, Fault, Key, Mutation, Refusal, Result, Row, Sql, Statement
from . import texts
from .apply import ChangeWriter
from .capture import Capture
from .checks import Checks
from .operations import Operations
from .rules import Rules
from .shape import Shape, quoted, shapes
from .statements import Function, Runner, Transaction, run_call, run_sql
from .touched import Touched, restated
from .wire import encode_key

#: What the changes of one mutation may hold, old values included; and what a cell takes beside its text.
MOST_BYTES = 64 << 20
OVERHEAD = 16


TRIGGERS = "SELECT 1 FROM main.sqlite_schema WHERE type='trigger' LIMIT 1"
#: References that say RESTRICT. All others are declared DEFERRABLE INITIALLY DEFERRED (grammar.py).
RESTRICTING = """
SELECT 1 FROM main.sqlite_schema AS t, pragma_foreign_key_list(t.name, 'main') AS f
WHERE t.type='table' AND 'RESTRICT' IN (f.on_delete, f.on_update) LIMIT 1
"""


class Judged(Struct, frozen=True):
    """What the rehearsal found of one mutation: its changes (none: no effect), or why it is refused."""

    changes: tuple[Change, ...] = ()
    skipped: tuple[tuple[str, Key], ...] = ()
    refusal: Refusal | None = None
    results: tuple[Result, ...] | None = None


class Rehearsal:
    """The rehearsal connection of one project. One thread at a time; nothing it does outlives `run`.

    `touched_since(table, key, version)`: whether a logged commit after the version touched the row.
    `misread(hash, tables)`: why a push made under that contract would mean something else, or nothing, under this one.
    """

    def __init__(
        self,
        runner: Runner,
        rules: Rules,
        functions: Mapping[str, Function],
        touched_since: Callable[[str, Key, int], bool],
        misread: Callable[[str, frozenset[str]], tuple[Fault, ...]],
    ) -> None:
        self._runner = runner
        self._connection = connection = runner.connection
        self._rules = rules
        self._functions = functions
        self._shapes = shapes(connection)
        #: Stored triggers may write to any table, and take long.
        self._triggers = connection.execute(TRIGGERS).fetchone() is not None
        #: The pragma that has even RESTRICT wait makes SQLite prepare all statements again: only who needs it says it.
        self._restricting = connection.execute(RESTRICTING).fetchone() is not None
        self._capture = Capture(connection, max((len(shape.key) for shape in self._shapes.values()), default=1))
        self._logged_since = touched_since
        self._misread = misread
        self._fresh: set[tuple[str, Key]] = set()
        self._operations = Operations(connection, rules, self._touched_since)
        self._checks = Checks(connection, rules, self._shapes)
        self._affected = _affected(self._shapes, rules)
        self._seq = 0
        self._changes: list[Change] = []

    def run(self, mutations: Sequence[Mutation]) -> list[Judged]:
        """Judge a batch in order; each mutation sees the effects of those before it that were not refused.

        A mutation that took the whole transaction back with it (OR ROLLBACK, a statement out of time) is refused and
        the batch is judged again without it.
        """
        for mutation in mutations:
            self._watch(mutation)
        doomed: dict[int, Refusal] = {}
        while True:
            try:
                return self._once(mutations, doomed)
            except _TookAllBack as lost:
                doomed[lost.place] = lost.refusal

    def _once(self, mutations: Sequence[Mutation], doomed: Mapping[int, Refusal]) -> list[Judged]:
        self._begin()
        try:
            return [
                Judged(refusal=doomed[place]) if place in doomed else self._judge(place, mutation)
                for place, mutation in enumerate(mutations)
            ]
        finally:
            self.end()

    def hold(self) -> None:
        """Begin what `statement` goes on with, `judged` looks at and `end` takes back. No `run` in between."""
        for shape in self._shapes.values():
            self._capture.watch(shape)
        self._begin()
        self._connection.execute("SAVEPOINT mutation")
        self._changes = []

    def statement(self, statement: Statement) -> Result:
        """Run one more statement of what is held. Raises Refused; then it is as it was before, but for what SQLite
        leaves of a single statement that says so (OR FAIL)."""
        mark = self.savepoint("statement")
        try:
            with self._runner.guard:
                return self._runner.run(statement)
        except Refused as refused:
            if self.holds and (statement.many is not None or refused.code == "over_budget"):
                self.rollback_to("statement", mark)
            raise
        finally:
            if self.holds:
                self.release("statement")
                self._captured()

    def savepoint(self, name: str) -> Mark:
        self._connection.execute(f"SAVEPOINT {quoted(name)}")
        return Mark(len(self._changes), self._seq)

    def rollback_to(self, name: str, mark: Mark) -> None:
        self._connection.execute(f"ROLLBACK TO {quoted(name)}")
        del self._changes[mark.changes :]
        self._seq = mark.seq

    def release(self, name: str) -> None:
        self._connection.execute(f"RELEASE {quoted(name)}")

    def judged(self) -> Judged:
        """What was held as one mutation: its changes, or why it is refused."""
        try:
            return Judged(tuple(self._found(0)))
        except (Refused, UnicodeDecodeError) as problem:
            return Judged(refusal=_as_refused(problem).refusal())

    @property
    def holds(self) -> bool:
        """Whether what was begun is still there: some errors take it back."""
        return bool(self._connection.in_transaction)

    def stop(self, why: str) -> None:
        """End the statement that runs now. From any thread."""
        self._runner.stop(why)

    def _begin(self) -> None:
        self._seq = 0
        self._fresh.clear()
        self._connection.execute("BEGIN IMMEDIATE")
        if self._restricting:
            self._connection.execute("PRAGMA defer_foreign_keys=ON").fetchall()

    def end(self) -> None:
        """Take everything back."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._runner.close()

    def _watch(self, mutation: Mutation) -> None:
        """Create capture where the mutation may write, before the transaction that takes everything back."""
        if isinstance(mutation.body, Edit) and not self._triggers:
            for operation in mutation.body.operations:
                for table in self._affected.get(operation.table, ()):
                    self._capture.watch(self._shapes[table])
        else:
            for shape in self._shapes.values():
                self._capture.watch(shape)

    def _judge(self, place: int, mutation: Mutation) -> Judged:
        if mutation.faulty is not None:
            return Judged(refusal=mutation.faulty)
        self._connection.execute("SAVEPOINT mutation")
        start, self._changes = self._seq, []
        try:
            self._understood(mutation)
            skipped, results = self._execute(mutation)
            changes = self._found(start)
        except (Refused, UnicodeDecodeError) as problem:
            refused = _as_refused(problem)
            if not self._connection.in_transaction:
                raise _TookAllBack(place, refused.refusal()) from None
            self._connection.execute("ROLLBACK TO mutation")
            self._connection.execute("RELEASE mutation")
            self._seq = start
            return Judged(refusal=_explained(refused.refusal(), mutation, self._rules))
        self._connection.execute("RELEASE mutation")
        self._fresh.update((change.table, change.key) for change in changes)
        return Judged(tuple(changes), tuple(skipped), results=results)

    def _found(self, start: int) -> list[Change]:
        """The changes of what ran, judged at its end. Raises Refused, UnicodeDecodeError."""
        self._checks.foreign_keys(self._changes)
        changes = self._faithful(start)
        _storable(changes)
        self._checks.rows(changes)
        return changes

    def _understood(self, mutation: Mutation) -> None:
        if mutation.contract in (None, self._rules.hash) or not isinstance(mutation.body, Edit):
            return
        faults = self._misread(str(mutation.contract), frozenset(each.table for each in mutation.body.operations))
        if faults:
            raise Refused("contract_changed", f"the contract has changed: {faults[0].message}", faults)

    def _execute(self, mutation: Mutation) -> tuple[list[tuple[str, Key]], tuple[Result, ...] | None]:
        """The rows that were skipped, and what statements gave."""
        body = mutation.body
        if isinstance(body, Edit):
            return self._edit(body), None
        if isinstance(body, Sql):
            results = run_sql(self._runner, body, self._captured)
            return [], results if body.answered else None
        assert isinstance(body, Call), "what is done already is not rehearsed"
        transaction = Transaction(self._runner, self._operations, self._captured)
        run_call(self._runner, body, self._functions, transaction)
        return [], None

    def _edit(self, edit: Edit) -> list[tuple[str, Key]]:
        with self._runner.guard if self._triggers else nullcontext():
            try:
                skipped = self._operations.run(edit, _later if len(edit.operations) == 1 else self._captured)
            except apsw.InterruptError:
                raise Refused("over_budget", "the stored triggers of this mutation take too long") from None
            if len(edit.operations) == 1:
                self._captured()
            return skipped

    def _captured(self) -> None:
        changes, self._seq = self._capture.since(self._seq)
        self._changes += changes

    def _faithful(self, start: int) -> list[Change]:
        """The captured changes if they say exactly what is there now; else all touched rows re-stated.

        SQLite reports some things out of order (a cascade that changes a key of its own table).
        """
        touched = Touched(self._changes)
        if self._checks.agree(touched):
            return self._changes
        return self._restate([(table, key) for table, key, _ in touched], start)

    def _restate(self, names: list[tuple[str, Key]], start: int) -> list[Change]:
        after = {name: self._row(*name) for name in names}
        self._connection.execute("ROLLBACK TO mutation")
        before = {name: self._row(*name) for name in names}
        changes = restated(before, after)
        with _Plain(self._connection, self._capture):
            writer = ChangeWriter(self._connection)
            for change in changes:
                writer.write(change)
        self._seq = start
        self._checks.agree(Touched(changes))
        return changes

    def _row(self, table: str, key: Key) -> Row | None:
        shape = self._shapes[table]
        names = (*shape.key, *shape.columns)
        row = self._connection.execute(texts.select(table, shape.key, names), key).fetchone()
        return None if row is None else dict(zip(shape.columns, row[len(shape.key) :], strict=True))

    def _touched_since(self, table: str, key: Key, version: int) -> bool:
        return (table, key) in self._fresh or self._logged_since(table, key, version)


class Mark(NamedTuple):
    """How far a held mutation was."""

    changes: int
    seq: int


def _as_refused(problem: Refused | UnicodeDecodeError) -> Refused:
    return problem if isinstance(problem, Refused) else Refused("invalid", f"text is not UTF-8: {problem}")


class _TookAllBack(Exception):
    def __init__(self, place: int, refusal: Refusal) -> None:
        self.place, self.refusal = place, refusal


class _Plain:
    """Capture, stored triggers and foreign keys off: exactly the given changes run."""

    def __init__(self, connection: apsw.Connection, capture: Capture) -> None:
        self._connection, self._capture = connection, capture

    def __enter__(self) -> None:
        self._set(0)

    def __exit__(self, *_: object) -> None:
        self._set(1)

    def _set(self, on: int) -> None:
        self._capture.switch(bool(on))
        self._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, on)
        self._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, on)


def _storable(changes: Sequence[Change]) -> None:
    """What a commit can hold: no infinities, which SQL can make and JSON cannot say; no -0.0, which becomes 0.0
    (design 7); and not more than a mutation may have (design 4), whatever its cascades did."""
    size = 0
    for change in changes:
        size += OVERHEAD
        for column, value in (*(change.new or {}).items(), *(change.old or {}).items()):
            size += OVERHEAD
            if type(value) is not float:
                size += len(value) if type(value) is str or type(value) is bytes else 0
            elif value == 0.0:
                _unsign(change, column)
            elif value - value != 0.0:
                fault = Fault(
                    "is not a finite number", change.table, encode_key(change.key), "/" + column.replace(".", "/")
                )
                raise Refused("invalid", f"{change.table}: {column}: is not a finite number", (fault,))
    if size > MOST_BYTES:
        raise Refused("too_large", f"the mutation changes some {size >> 20} MiB, the limit is {MOST_BYTES >> 20} MiB")


def _unsign(change: Change, column: str) -> None:
    for cells in (change.new, change.old):
        if cells is not None and cells.get(column) == 0.0 and type(cells[column]) is float:
            cells[column] = 0.0


def _later() -> None:
    """One statement, so what it did is read once, after it."""


def _affected(known: Mapping[str, Shape], rules: Rules) -> dict[str, tuple[str, ...]]:
    """For each table: itself and every table that a write to it may reach through references."""
    referring: dict[str, set[str]] = {name: set() for name in known}
    for name, table in rules.tables.items():
        for reference in table.references:
            referring.setdefault(reference.table, set()).add(name)
    return {name: tuple(_closure(name, referring)) for name in known}


def _closure(start: str, edges: Mapping[str, Iterable[str]]) -> list[str]:
    found, waiting = [start], [start]
    while waiting:
        for name in edges.get(waiting.pop(), ()):
            if name not in found:
                found.append(name)
                waiting.append(name)
    return found


def _explained(refusal: Refusal, mutation: Mutation, rules: Rules) -> Refusal:
    """A push made against another contract that does not fit this one is told so, with table and column."""
    if refusal.code != "invalid" or mutation.contract in (None, rules.hash):
        return refusal
    where = Fault("the contract has changed", pointer=None)
    return Refusal("contract_changed", f"the contract has changed: {refusal.message}", refusal.errors or (where,))
