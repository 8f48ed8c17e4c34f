"""From a foreign file to a base: a database of ours with the same rows. Runs in a process of its own (child.py)."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
from msgspec import Struct

from ..errors import FileRefused
from ..model import Base
from ..schema.inference import Inferred, infer
from ..schema.tables import create_index, create_table, create_view, quoted
from ..storage.files import LIMITS, PAGE_SIZE
from ..storage.foreign.copying import copy
from ..storage.foreign.opening import Clock, check, guarded, opened
from ..storage.foreign.surveying import survey
from ..survey import Left, TablePlan
from ..sync import digest
from ..sync.apply import seal
from ..sync.shape import Shape, shapes

#: Told as (phase, done, of): what is being done, in units that mean nothing else.
Tell = Callable[[str, int, int], None]

#: Rows that one worker sums at a time, so that all of them have something to do until the end.
ROWS_OF_A_PIECE = 50_000
WORKERS = 2
PIECE = 1 << 20


class Built(Struct, frozen=True):
    """A base and what it holds: `rows` by table, `left` of the file."""

    base: Base
    contract: dict[str, Any]
    rows: dict[str, int]
    left: tuple[Left, ...]


def look(path: Path, seconds: float) -> Inferred:
    """Only look through a foreign file: the contract it would get. Raises FileRefused, OSError."""
    clock = Clock(seconds)
    found: list[Inferred] = []

    def work() -> None:
        source = opened(path, clock)
        try:
            check(source)
            found.append(infer(survey(source, clock)))
        finally:
            source.close()

    guarded(work)
    return found[0]


def build(path: Path, target: Path, seconds: float, tell: Tell) -> Built:
    """Copy a foreign file into a new database of ours at `target`, synced. Raises FileRefused, OSError."""
    clock = Clock(seconds)
    made: list[tuple[Inferred, list[Left]]] = []

    def work() -> None:
        tell("checking", 0, 0)
        source = opened(path, clock)
        try:
            check(source)
            tell("looking", 0, 0)
            inferred = infer(survey(source, clock))
            made.append((inferred, _copied(source, target, inferred, tell)))
        finally:
            source.close()

    guarded(work)
    inferred, left = made[0]
    contract = inferred.contract
    total = _summed(target, tell)
    connection = _target(target)
    seal(connection, contract.document, contract.hash, total)
    connection.close()
    rows = {plan.name: plan.rows for plan in inferred.plans}
    found, size = _hashed(target)
    return Built(Base(found, size, total), contract.document, rows, (*inferred.left, *left))


def _target(path: Path) -> apsw.Connection:
    """A database that only this process knows: if anything goes wrong it is thrown away, so it keeps no journal."""
    connection = apsw.Connection(str(path))
    for limit, value in LIMITS.items():
        connection.limit(limit, value)
    for pragma in (
        f"page_size={PAGE_SIZE}", "auto_vacuum=NONE", "journal_mode=OFF", "synchronous=OFF", "cache_size=-32000",
        "temp_store=FILE", "locking_mode=EXCLUSIVE",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def _copied(source: apsw.Connection, path: Path, inferred: Inferred, tell: Tell) -> list[Left]:
    """Tables, rows, then indexes and views, in the order of the contract."""
    target = _target(path)
    try:
        target.execute("BEGIN")
        tables = inferred.contract.tables
        for table in tables.values():
            target.execute(create_table(table))
        left = [one for plan in inferred.plans for one in _rows(source, target, plan, inferred, tell)]
        tell("indexing", 0, 0)
        for table in tables.values():
            for index in table.indexes:
                _index(target, create_index(table, index), table.name)
        for table in tables.values():
            target.execute(create_view(table))
        target.execute("COMMIT")
    finally:
        target.close()
    return left


def _rows(
    source: apsw.Connection, target: apsw.Connection, plan: TablePlan, inferred: Inferred, tell: Tell
) -> list[Left]:
    whole = sum(each.rows for each in inferred.plans)
    before = sum(each.rows for each in inferred.plans[: inferred.plans.index(plan)])
    done = 0

    def progress(rows: int) -> None:
        nonlocal done
        done = min(done + rows, plan.rows)
        tell("copying", before + done, whole)

    tell("copying", before, whole)
    return copy(source, target, plan, _insert(plan), progress)


def _insert(plan: TablePlan) -> str:
    names = [*(["_key"] if plan.hidden else []), *(column.name for column in plan.columns)]
    listed = ", ".join(map(quoted, names))
    return f"INSERT INTO main.{quoted(plan.name)}({listed}) VALUES({','.join('?' * len(names))})"


def _index(target: apsw.Connection, sql: str, table: str) -> None:
    try:
        target.execute(sql)
    except apsw.ConstraintError as problem:
        raise FileRefused(f"table {table!r} has rows that contradict its own unique sets: {problem}") from None


def _summed(path: Path, tell: Tell) -> int:
    """The row digest, by several processes: its hashes are most of the work."""
    connection = _target(path)
    pieces = list(_pieces(connection, path))
    connection.close()
    if len(pieces) <= 1 or (os.cpu_count() or 1) == 1:
        return sum(map(_sum, pieces)) % digest.MODULUS
    total = 0
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        for number, part in enumerate(pool.imap_unordered(_sum, pieces)):
            tell("summing", number, len(pieces))
            total += part
    return total % digest.MODULUS


class _Piece(Struct, frozen=True):
    path: Path
    shape: Shape
    first: int
    last: int


def _pieces(connection: apsw.Connection, path: Path) -> Iterator[_Piece]:
    """The tables in ranges of rowids; small ones whole. No column of ours is called `_rowid_`."""
    for shape in shapes(connection).values():
        row: Any = connection.execute(
            f"SELECT min(_rowid_), max(_rowid_), count(*) FROM main.{quoted(shape.table)}"
        ).fetchone()
        first, last, count = row
        if not count:
            continue
        width = max(1, (last - first + 1) * ROWS_OF_A_PIECE // count)
        for start in range(first, last + 1, width):
            yield _Piece(path, shape, start, min(start + width - 1, last))


def _sum(piece: _Piece) -> int:
    connection = apsw.Connection(str(piece.path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return digest.part(connection, piece.shape, "WHERE _rowid_ BETWEEN ? AND ?", (piece.first, piece.last))
    finally:
        connection.close()


def _hashed(path: Path) -> tuple[str, int]:
    """Sync the finished file and hash it."""
    found = hashlib.sha256()
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
        while piece := file.read(PIECE):
            found.update(piece)
        return found.hexdigest(), file.tell()
