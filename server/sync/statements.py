"""SQL and server functions inside a rehearsal.

Whatever they do is captured, checked and replicated as row values; the text itself goes nowhere. What a text may do,
and for how long, is decided in `sql/`, which runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import apsw

from ..errors import Refused
from ..model import Call, Key, Operation, Result, Row, Sql, Statement, Value
from .operations import Operations

#: A server function: gets the transaction and the arguments of the call.
Function = Callable[["Transaction", Mapping[str, Any]], None]


class Runner(Protocol):
    """Runs statements on the rehearsal connection; `sql/statements.py` has the body."""

    @property
    def connection(self) -> apsw.Connection: ...

    @property
    def guard(self) -> AbstractContextManager[object]:
        """Within it, only what anybody may do is let through, and not for longer than one mutation may take."""

    def run(self, statement: Statement) -> Result:
        """Raises Refused."""

    def stop(self, why: str) -> None:
        """End what runs now, from any thread."""

    def close(self) -> None:
        """The connection with it."""


class Transaction:
    """What a server function sees: SQL and row operations inside the rehearsal. Reads see what was written before."""

    def __init__(self, runner: Runner, operations: Operations, captured: Callable[[], None]) -> None:
        self._runner = runner
        self._operations = operations
        self._captured = captured

    def execute(self, sql: str, params: Sequence[Value] | Mapping[str, Value] = ()) -> list[tuple[Value, ...]]:
        """Run one statement; returns its rows. Raises Refused."""
        still_there(self._runner.connection)
        result = self._runner.run(Statement(sql, params if isinstance(params, dict) else tuple(params)))
        self._captured()
        return result.rows

    def insert(self, table: str, key: Key, values: Row) -> None:
        self._run(Operation("i", table, key, values))

    def update(self, table: str, key: Key, values: Row) -> None:
        self._run(Operation("u", table, key, values))

    def put(self, table: str, key: Key, values: Row) -> None:
        """Insert the row, or update only these columns."""
        self._run(Operation("s", table, key, values))

    def delete(self, table: str, key: Key) -> None:
        self._run(Operation("d", table, key, {}))

    def _run(self, operation: Operation) -> None:
        still_there(self._runner.connection)
        if not self._operations.one(operation):
            raise Refused("not_found", f"{operation.table} {operation.key!r}: the row is gone")
        self._captured()


def run_sql(runner: Runner, sql: Sql, captured: Callable[[], None]) -> tuple[Result, ...]:
    """Run statements in order, each guarded; what each of them gave. A refusal says which of them it was."""
    results: list[Result] = []
    with runner.guard:
        for place, statement in enumerate(sql.statements):
            try:
                results.append(runner.run(statement))
            except Refused as refused:
                raise refused.at(f"/statements/{place}") if sql.answered else refused from None
            captured()
    return tuple(results)


def run_call(runner: Runner, call: Call, functions: Mapping[str, Function], transaction: Transaction) -> None:
    """Run a server function; what it raises is a refusal `failed`, with its words."""
    function = functions.get(call.name)
    if function is None:
        known = ", ".join(sorted(functions)) or "none"
        raise Refused("unknown_function", f"there is no function {call.name!r}; there are: {known}")
    with runner.guard:
        try:
            function(transaction, call.args)
            still_there(runner.connection)
        except (Refused, apsw.IOError, apsw.FullError, apsw.CorruptError):
            raise
        except Exception as problem:
            raise Refused("failed", f"{call.name}: {type(problem).__name__}: {problem}") from problem


def still_there(connection: apsw.Connection) -> None:
    """Outside of the rehearsal's transaction a write would be for good: a function may have caught the error of a
    statement that took it back (OR ROLLBACK, out of time), but may not go on after it. Raises Refused."""
    if not connection.in_transaction:
        raise Refused("failed", "an earlier statement took the whole transaction back")
