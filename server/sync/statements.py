"""SQL and server functions inside a rehearsal, and the guards around them.

Whatever they do is captured, checked and replicated as row values; the text itself goes nowhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import apsw

from ..errors import Refused
from ..model import Call, Key, Operation, Row, Sql, Statement, Value
from .operations import Operations, constraint_code

#: A server function: gets the transaction and the arguments of the call.
Function = Callable[["Transaction", Mapping[str, Any]], None]

BUDGET_S = 5.0
PROGRESS_OPS = 10_000
ALLOWED = frozenset(
    {
        apsw.SQLITE_SELECT,
        apsw.SQLITE_READ,
        apsw.SQLITE_INSERT,
        apsw.SQLITE_UPDATE,
        apsw.SQLITE_DELETE,
        apsw.SQLITE_FUNCTION,
        apsw.SQLITE_RECURSIVE,
    }
)
WRITES = frozenset({apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE})


class Guard(AbstractContextManager["Guard"]):
    """Lets only plain reads and writes of the project's own tables through, within a budget of time."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._deadline = 0.0

    def __enter__(self) -> Guard:
        self._deadline = time.monotonic() + BUDGET_S
        self._connection.authorizer = self._authorize
        self._connection.set_progress_handler(lambda: time.monotonic() > self._deadline, PROGRESS_OPS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.authorizer = None
        self._connection.set_progress_handler(None)

    def _authorize(
        self, action: int, one: str | None, two: str | None, database: str | None, source: str | None
    ) -> int:
        if source is not None and source.startswith("_cap_"):
            return apsw.SQLITE_OK
        if action not in ALLOWED or (action in WRITES and (database != "main" or _reserved(one))):
            return apsw.SQLITE_DENY
        if action == apsw.SQLITE_FUNCTION and two in ("load_extension", "fts3_tokenizer"):
            return apsw.SQLITE_DENY
        return apsw.SQLITE_OK


def _reserved(table: str | None) -> bool:
    return table is None or table == "_sharelite" or table.startswith("sqlite_")


class Transaction:
    """What a server function sees: SQL and row operations inside the rehearsal. Reads see what was written before."""

    def __init__(self, connection: apsw.Connection, operations: Operations, captured: Callable[[], None]) -> None:
        self._connection = connection
        self._operations = operations
        self._captured = captured

    def execute(self, sql: str, params: Sequence[Value] | Mapping[str, Value] = ()) -> list[tuple[Value, ...]]:
        """Run one statement; returns its rows. Raises Refused."""
        _still_there(self._connection)
        rows = run_statement(self._connection, Statement(sql, params if isinstance(params, dict) else tuple(params)))
        self._captured()
        return rows

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
        _still_there(self._connection)
        if not self._operations.one(operation):
            raise Refused("not_found", f"{operation.table} {operation.key!r}: the row is gone")
        self._captured()


def run_sql(connection: apsw.Connection, sql: Sql, captured: Callable[[], None]) -> None:
    """Run statements in order, each guarded."""
    with Guard(connection):
        for statement in sql.statements:
            run_statement(connection, statement)
            captured()


def run_call(
    connection: apsw.Connection, call: Call, functions: Mapping[str, Function], transaction: Transaction
) -> None:
    """Run a server function; what it raises is a refusal `failed`, with its words."""
    function = functions.get(call.name)
    if function is None:
        known = ", ".join(sorted(functions)) or "none"
        raise Refused("unknown_function", f"there is no function {call.name!r}; there are: {known}")
    with Guard(connection):
        try:
            function(transaction, call.args)
            _still_there(connection)
        except (Refused, apsw.IOError, apsw.FullError, apsw.CorruptError):
            raise
        except Exception as problem:
            raise Refused("failed", f"{call.name}: {type(problem).__name__}: {problem}") from problem


def _still_there(connection: apsw.Connection) -> None:
    """Outside of the rehearsal's transaction a write would be for good: a function may have caught the error of a
    statement that took it back (OR ROLLBACK, out of time), but may not go on after it. Raises Refused."""
    if not connection.in_transaction:
        raise Refused("failed", "an earlier statement took the whole transaction back")


def run_statement(connection: apsw.Connection, statement: Statement) -> list[tuple[Value, ...]]:
    """Run one text; several statements in it run one after the other. Raises Refused.

    Never from the statement cache: what is cached was authorized for somebody else.
    """
    try:
        return connection.execute(statement.sql, statement.params or None, can_cache=False).fetchall()
    except apsw.ConstraintError as problem:
        raise Refused(constraint_code(problem), str(problem)) from None
    except apsw.AuthError:
        raise Refused("forbidden", f"this statement is not allowed here: {statement.sql[:200]}") from None
    except apsw.InterruptError:
        raise Refused("failed", f"the statement took longer than {BUDGET_S:g} s") from None
    except (apsw.IOError, apsw.FullError, apsw.CorruptError):
        raise
    except (apsw.Error, apsw.BindingsError, TypeError, ValueError, OverflowError) as problem:
        raise Refused("failed", f"{problem}: {statement.sql[:200]}") from None
