"""Cursors and rows of PEP 249, as those of `sqlite3` are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from .errors import ProgrammingError, ResultLost
from .texts import first_word, statements
from .values import Params

if TYPE_CHECKING:
    from .connection import Connection

#: name, declared type, and five that no column has.
Column = tuple[str, str | None, None, None, None, None, None]


class Cursor:
    """What a statement gave. The rows are here when `execute` returns."""

    def __init__(self, connection: Connection, /) -> None:
        self._connection = connection
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self._closed = False
        self.description: tuple[Column, ...] | None = None
        #: Rows that were written; -1 where nothing was, or where it is not known.
        self.rowcount = -1
        self.lastrowid: int | None = None
        #: How many rows `fetchmany` gives.
        self.arraysize = 1
        self.row_factory: Callable[[Cursor, tuple[Any, ...]], Any] | None = connection.row_factory

    @property
    def connection(self) -> Connection:
        return self._connection

    def execute(self, sql: str, parameters: Params = (), /) -> Self:
        """Run one statement: parameters by position for `?`, by name for `:name`."""
        self._forget()
        done = self._connection.run(sql, parameters)
        if done is None:
            return self
        result, reads = done
        self._show(result)
        if not reads:
            self.rowcount = result["affected"] if first_word(sql) not in ("CREATE", "ALTER", "DROP") else -1
            self._note(result)
        if result.get("repeated") and "RETURNING" in sql.upper():
            raise ResultLost("it is committed; the rows that it returned were lost with the connection")
        return self

    def executemany(self, sql: str, parameters: Iterable[Params], /) -> Self:
        """Run one statement for each set of parameters, some 1,000 of them in a message.

        Outside of a transaction each message is a commit of its own; `rowcount` says how many rows were written, also
        after an error.
        """
        self._forget()
        self.rowcount = 0
        self._connection.run_many(sql, parameters, self._count)
        return self

    def executescript(self, sql_script: str, /) -> Self:
        """Run the statements of a script, after a commit of what is open."""
        self._forget()
        self._connection.finish()
        for each in statements(sql_script):
            self._connection.run(each, (), begins=False)
        return self

    def fetchone(self) -> Any:
        """The next row, or None."""
        self._check()
        return next(self, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        self._check()
        wanted = self.arraysize if size is None else size
        return list(islice(self, max(0, wanted)))

    def fetchall(self) -> list[Any]:
        self._check()
        return list(self)

    def setinputsizes(self, sizes: Any, /) -> None:
        """Nothing to do."""

    def setoutputsize(self, size: Any, column: Any = None, /) -> None:
        """Nothing to do."""

    def close(self) -> None:
        self._closed = True
        self._rows = iter(())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        self._check()
        row = next(self._rows)
        if (made := self._connection.text_factory) is not str:
            row = tuple([made(cell.encode()) if isinstance(cell, str) else cell for cell in row])
        return row if self.row_factory is None else self.row_factory(self, row)

    def all(self) -> list[tuple[Any, ...]]:
        """The rows that are left, whatever the factories of the connection would make of them."""
        return list(self._rows)

    def _forget(self) -> None:
        self._check()
        self._rows, self.description, self.rowcount = iter(()), None, -1

    def _show(self, result: dict[str, Any]) -> None:
        if result["columns"]:
            pairs = zip(result["columns"], result["types"], strict=True)
            self.description = tuple([(name, kind, None, None, None, None, None) for name, kind in pairs])
        self._rows = iter(result["rows"])

    def _count(self, result: dict[str, Any]) -> None:
        self.rowcount = -1 if result["affected"] < 0 or self.rowcount < 0 else self.rowcount + result["affected"]

    def _note(self, result: dict[str, Any]) -> None:
        if result["last_id"] is not None:
            self.lastrowid = result["last_id"]

    def _check(self) -> None:
        if self._closed:
            raise ProgrammingError("the cursor is closed")


class Row:
    """A row whose cells are reached by place and by name, in either case: for `row_factory`."""

    __slots__ = ("_names", "_cells")

    def __init__(self, cursor: Cursor, cells: tuple[Any, ...], /) -> None:
        self._names = tuple([column[0] for column in cursor.description or ()])
        self._cells = cells

    def keys(self) -> list[str]:
        return list(self._names)

    def __getitem__(self, key: int | slice | str, /) -> Any:
        """Raises IndexError."""
        if not isinstance(key, str):
            return self._cells[key]
        for name, cell in zip(self._names, self._cells, strict=True):
            if name.casefold() == key.casefold():
                return cell
        raise IndexError(f"there is no column {key!r}")

    def __len__(self) -> int:
        return len(self._cells)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cells)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return (self._names, self._cells) == (other._names, other._cells)

    def __hash__(self) -> int:
        return hash((self._names, self._cells))

    def __repr__(self) -> str:
        return f"Row({dict(zip(self._names, self._cells, strict=True))!r})"


class Kind:
    """Declared types that are of one kind (PEP 249): `description[0][1] == STRING`."""

    def __init__(self, *types: str) -> None:
        self._types = frozenset(types)

    def __eq__(self, other: object) -> bool:
        return other is self or (isinstance(other, str) and other.upper() in self._types)

    def __hash__(self) -> int:
        return hash(self._types)
