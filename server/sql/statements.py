"""Running one statement of somebody else's on a connection: its rows, its columns, what it wrote, what was wrong."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import apsw
from apsw.ext import query_info

from ..constraints import constraint_code
from ..errors import Refused
from ..model import Params, Result, Statement, Value
from .guard import Guard, Watchdog
from .reading import is_blank

Rows = list[tuple[Value, ...]]
#: Takes some rows, of about so many bytes.
Take = Callable[[Rows, int], None]
#: Called with the names and declared types of the columns, before the first row.
Head = Callable[[tuple[str, ...], tuple[str | None, ...]], None]

#: Bytes of one statement's text.
LONGEST = 1 << 20
#: What the rows of one answer may hold; more is read line by line.
MOST_BYTES = 16 << 20
#: Rows are handed over in chunks of about so many bytes, and at most so many rows.
CHUNK = 128 << 10
MOST_ROWS = 1000
FEW = 8
#: More time for a statement that runs many times, each time.
BULK_SECONDS = 0.0005
#: Put before a text: statements of the house and of others never share a prepared one, whose rights were judged once.
MARK = "/**/"
#: How SQLite says that a statement is beyond one of its limits.
_LIMIT = re.compile(r"too (?:large|many|complex|big)|at most \d+|stack overflow|[Rr]ecursion limit")
_BINDINGS = re.compile(r"uses (\d+) and there are (?:only )?(\d+)")
BROKEN = (apsw.IOError, apsw.FullError, apsw.CorruptError)


class Description(NamedTuple):
    """A prepared statement: its columns with their declared types, how many parameters it has, their names if they
    have any, and whether it only reads."""

    columns: tuple[str, ...]
    types: tuple[str | None, ...]
    parameters: int
    names: tuple[str | None, ...] | None
    reads: bool


class Statements:
    """The statements of one connection. One thread at a time."""

    def __init__(self, connection: apsw.Connection, watch: Watchdog) -> None:
        self.connection = connection
        self.guard = Guard(connection, watch)
        self._cursor = self._new_cursor()
        self._text = ""
        self._began = False
        self._reads = True
        self._columns: tuple[str, ...] = ()
        self._types: tuple[str | None, ...] = ()

    def run(self, statement: Statement, take: Take | None = None, head: Head | None = None) -> Result:
        """Run a statement, inside of `with guard`. Its rows go to `take` as they come; without it they are in the
        result, as far as they may be in one answer. Raises Refused."""
        start = time.perf_counter()
        if len(statement.sql) > LONGEST:
            raise Refused("over_budget", f"the statement has more than {LONGEST >> 20} MiB, the limit for its text")
        self._text, self._began, self._reads = MARK + statement.sql, False, True
        self._columns = self._types = ()
        self.connection.set_last_insert_rowid(0)
        kept = _Kept()
        self.guard.strict = True
        try:
            affected = self._all(statement, take or kept.take, head)
        except BaseException:
            self._cursor.close(True)  # nothing of a statement may stay under way
            self._cursor = self._new_cursor()
            raise
        finally:
            self.guard.strict = False
        last = None if self._reads else self.connection.last_insert_rowid() or None
        seconds = time.perf_counter() - start
        return Result(self._columns, self._types, kept.rows, -1 if self._reads else affected, last, seconds)

    def _new_cursor(self) -> apsw.Cursor:
        cursor = self.connection.cursor()
        cursor.exec_trace = self._begins
        return cursor

    def describe(self, sql: str) -> Description:
        """What a statement is, without running it. Raises Refused."""
        self._text = MARK + sql
        self.guard.refused, self.guard.strict = None, True
        try:
            info = query_info(self.connection, self._text)
        except apsw.Error as problem:
            raise self._refused(problem) from None
        finally:
            self.guard.strict = False
        described = info.description
        names = info.bindings_names if any(info.bindings_names) else None
        return Description(
            tuple([name for name, _ in described]),
            tuple([kind for _, kind in described]),
            info.bindings_count,
            names,
            info.is_readonly,
        )

    def stop(self, why: str) -> None:
        """End what runs now, from any thread. Raises Refused there, with these words."""
        self.guard.stop(why)

    def close(self) -> None:
        self._cursor.close()
        self.connection.close()

    def _all(self, statement: Statement, take: Take, head: Head | None) -> int:
        if statement.many is None:
            return self._once(statement.params, take, head)
        self.guard.extend(BULK_SECONDS * len(statement.many))
        affected = 0
        for place, params in enumerate(statement.many):
            try:
                affected += self._once(params, take, head if place == 0 else None)
            except Refused as refused:
                raise refused.at(f"/many/{place}") from None
        return affected

    def _once(self, params: Params, take: Take, head: Head | None) -> int:
        """Run the text once; returns the rows that it wrote."""
        cursor = self._cursor
        try:
            cursor.execute(self._text, params or None)
            if head is not None:
                head(self._columns, self._types)
            count = FEW
            while chunk := list(islice(cursor, count)):
                size = _size(chunk)
                take(chunk, size)
                count = max(1, min(MOST_ROWS, 8 * count, CHUNK * len(chunk) // size))
        except apsw.Error as problem:
            if isinstance(problem, BROKEN):
                raise
            raise self._refused(problem) from None
        except KeyError as problem:
            raise Refused("failed", f"there is no value for the parameter :{problem.args[0]}") from None
        except UnicodeDecodeError:
            raise
        except (TypeError, ValueError, OverflowError) as problem:
            raise Refused("failed", f"{problem}: {self._shown()}") from None
        return 0 if self._reads else self.connection.changes()

    def _begins(self, cursor: Any, sql: str, bindings: Any) -> bool:
        """What SQLite knows of a statement before it runs; there must be only one of them."""
        if self._began:  # the same one with other parameters
            return True
        self._began = True
        if len(sql) < len(self._text) and not is_blank(self._text[len(sql) :]):
            raise Refused("failed", "one statement at a time: there is more behind the first semicolon")
        self._reads = cursor.is_readonly
        described = cursor.get_description()
        self._columns = tuple([name for name, _ in described])
        self._types = tuple([kind for _, kind in described])
        return True

    def _refused(self, problem: apsw.Error) -> Refused:
        if isinstance(problem, apsw.ConstraintError):
            return Refused(constraint_code(problem), str(problem))
        if isinstance(problem, apsw.MismatchError):
            return Refused("invalid", f"{problem}: {self._shown()}")
        if isinstance(problem, apsw.AuthError):
            what = self.guard.refused or "this statement"
            return Refused("forbidden", f"{what} is not allowed here: {self._shown()}")
        if isinstance(problem, apsw.InterruptError):
            return Refused("over_budget", f"{self.guard.over or 'it was interrupted'}: {self._shown()}")
        if isinstance(problem, apsw.TooBigError | apsw.NoMemError):
            return Refused("over_budget", f"{problem}, the limit for one value or row is 64 MiB: {self._shown()}")
        if isinstance(problem, apsw.SQLError) and _LIMIT.search(str(problem)):
            return Refused("over_budget", f"{problem}: {self._shown()}")
        if isinstance(problem, apsw.BindingsError) and (counts := _BINDINGS.search(str(problem))):
            wanted, given = counts.groups()
            return Refused("failed", f"the statement has {wanted} parameters, {given} were given: {self._shown()}")
        if isinstance(problem, apsw.ReadOnlyError):
            return Refused("forbidden", f"this is a read, and it would write: {self._shown()}")
        return Refused("failed", f"{problem}: {self._shown()}")

    def _shown(self) -> str:
        return self._text[len(MARK) : len(MARK) + 200]


class _Kept:
    """Rows that are kept for one answer. Raises Refused where they are too many."""

    def __init__(self) -> None:
        self.rows: Rows = []
        self._size = 0

    def take(self, chunk: Rows, size: int) -> None:
        self._size += size
        if self._size > MOST_BYTES:
            raise Refused(
                "over_budget",
                f"the rows have more than {MOST_BYTES >> 20} MiB, the limit for one answer; "
                "read them as application/x-ndjson, or fewer of them with LIMIT",
            )
        self.rows += chunk


def _size(rows: Rows) -> int:
    """About what some rows hold."""
    size = 0
    for column in zip(*rows, strict=True):
        size += 8 * len(column)
        if not {str, bytes}.isdisjoint(map(type, column)):
            size += sum([len(cell) for cell in column if type(cell) is str or type(cell) is bytes])
    return size
