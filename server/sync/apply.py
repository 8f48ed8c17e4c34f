"""Apply: writing ordered changes into the database; the same code on every node, leader and recovery included.

No triggers, no foreign-key actions, no CHECKs, no clock, no randomness. Every column is bound, each change must hit
exactly one row and find the old values it states. If not, this replica is wrong: Mismatch, and it is set aside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import apsw

from ..errors import Damaged, NotJudged
from ..model import Base, Change, Commit, Key, Row, Value
from . import digest, texts
from .entry import Entry
from .grammar import is_step
from .log import Position
from .shape import Shape, shapes
from .transaction import transaction

TABLE = """CREATE TABLE "_sharelite"(
  id INTEGER PRIMARY KEY, project TEXT, epoch TEXT, seq BLOB, version BLOB, log_digest BLOB, row_digest BLOB,
  contract_hash TEXT, contract TEXT) STRICT"""
FIRST = 'INSERT INTO "_sharelite" VALUES(1,?,?,?,?,?,?,NULL,NULL),(2,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL)'
POSITION = 'SELECT seq, version, log_digest, row_digest FROM "_sharelite" WHERE id=1'
ADOPT = 'UPDATE "_sharelite" SET project=?, epoch=? WHERE id=1 AND project IS NULL'
MOVE = 'UPDATE "_sharelite" SET seq=?, version=?, log_digest=?, row_digest=? WHERE id=1'
SET_CONTRACT = 'UPDATE "_sharelite" SET contract_hash=?, contract=? WHERE id=2'
CONTRACT_HASH = 'SELECT contract_hash FROM "_sharelite" WHERE id=2'
HAS_TABLE = "SELECT 1 FROM main.sqlite_schema WHERE name='_sharelite'"
#: Steps that leave every existing cell as it is, so that the row digest goes on.
#: A column that is added with a DEFAULT has that in every row.
HARMLESS = re.compile(
    r'CREATE |DROP (?:VIEW|INDEX|TRIGGER) |ALTER TABLE "(?:[^"]|"")+" ADD COLUMN (?!"(?:[^"]|"")+" .* DEFAULT )'
)


#: The disk or the machine is at fault. Whatever else goes wrong while an entry is taken, goes wrong for its data.
BROKEN = (
    OSError, MemoryError, apsw.IOError, apsw.FullError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.NoMemError,
    apsw.BusyError, apsw.LockedError, apsw.ProtocolError, apsw.PermissionsError, apsw.InterruptError,
)  # fmt: skip


class Mismatch(Exception):
    """A change did not find what it states: this replica differs from its log."""


#: Files that can be read and are not what they should be; other nodes of a cell may have them right.
WRONG = (Mismatch, Damaged, apsw.CorruptError, apsw.NotADBError)


@contextmanager
def data_at_fault(what: str) -> Iterator[None]:
    """Whatever the data make us raise is a Mismatch: one project is set aside for it, and no node ends."""
    try:
        yield
    except (Mismatch, NotJudged, *BROKEN):
        raise
    except Exception as problem:
        raise Mismatch(f"{what}: {type(problem).__name__}: {problem}") from problem


def create(connection: apsw.Connection, project: str, epoch: str) -> None:
    """Make the position row of a new database; one that is there stays."""
    if connection.execute(HAS_TABLE).fetchone() is None:
        with transaction(connection):
            connection.execute(TABLE)
            connection.execute(FIRST, (project, epoch, _u64(0), _u64(0), digest.START, bytes(16)))


def seal(connection: apsw.Connection, contract: dict[str, Any], contract_hash: str, row_digest: int) -> None:
    """Finish a database that is to be a base: it has its rows, and belongs to no project yet."""
    with transaction(connection):
        connection.execute(TABLE)
        connection.execute(FIRST, (None, None, _u64(0), _u64(0), digest.START, row_digest.to_bytes(16, "big")))
        connection.execute(SET_CONTRACT, (contract_hash, json.dumps(contract)))


class Apply:
    """The writer of one `data.db`. One thread at a time.

    Nobody else commits to the file: SQLite counts foreign commits, and `untouched` notices them.
    """

    def __init__(self, connection: apsw.Connection, project: str, epoch: str) -> None:
        self._connection = connection
        self._identity = project, epoch
        self._writer = ChangeWriter(connection)
        self._together = False
        row: Any = connection.execute(POSITION).fetchone()
        seq, version, chained, rows = row
        self.position = Position(int.from_bytes(seq, "big"), int.from_bytes(version, "big"), chained)
        self.row_digest = int.from_bytes(rows, "big")
        self._data_version = connection.pragma("data_version")

    def untouched(self) -> bool:
        """Whether no other connection has committed to the database since it was opened here."""
        return bool(self._connection.pragma("data_version") == self._data_version)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Whatever is applied within is one transaction. The file is the same as if each entry had one of its own."""
        reached, rows = self.position, self.row_digest
        try:
            with transaction(self._connection):
                self._together = True
                yield
        except BaseException:
            self.position, self.row_digest = reached, rows
            self._writer.forget()
            raise
        finally:
            self._together = False

    def _transaction(self) -> AbstractContextManager[None]:
        return nullcontext() if self._together else transaction(self._connection)

    def move(self, to: Position) -> None:
        """Take note of records that change no rows (parts before the last)."""
        with self._transaction():
            self._move(to, self.row_digest)
        self.position = to

    def apply(self, entry: Entry, commits: Iterable[Commit], to: Position) -> None:
        """Write one entry in one transaction. `commits`: those of the entry, decoded. Raises Mismatch; then nothing
        of it is in the database."""
        if to.seq <= self.position.seq:
            return
        if entry.base_version != self.position.version:
            raise Mismatch(
                f"entry {to.seq} follows version {entry.base_version}, this database is at {self.position.version}"
            )
        try:
            with data_at_fault(f"entry {to.seq} cannot be applied"), self._transaction():
                total = self.row_digest
                for commit in commits:
                    total = self._commit(commit, total)
                self._move(to, total % digest.MODULUS)
        except (Mismatch, apsw.Error):
            self._writer.forget()
            raise
        self.position, self.row_digest = to, total % digest.MODULUS

    def _commit(self, commit: Commit, total: int) -> int:
        if commit.base is not None:
            self._adopt(commit, commit.base)
        if commit.kind == "schema":
            self._connection.execute(SET_CONTRACT, (commit.contract_hash, json.dumps(commit.contract)))
            if run_steps(self._connection, commit.steps):
                self._writer.forget()
                total = digest.whole(self._connection, self._writer.shapes().values())
            self._writer.forget()
        for change in commit.changes:
            total += self._writer.write(change)
        return total

    def _adopt(self, commit: Commit, base: Base) -> None:
        """The database is a copy of the base already; now it becomes this project's."""
        held: Any = self._connection.execute(CONTRACT_HASH).fetchone()
        if self.row_digest != base.row_digest or held != (commit.contract_hash,):
            raise Mismatch(f"the database is not the base {base.hash}")
        self._connection.execute(ADOPT, self._identity)

    def _move(self, to: Position, rows: int) -> None:
        self._connection.execute(MOVE, (_u64(to.seq), _u64(to.version), to.digest, rows.to_bytes(16, "big")))


def run_steps(connection: apsw.Connection, steps: Iterable[str]) -> bool:
    """Run the literal statements of a schema commit; whether any of them may have changed existing cells.

    Raises Mismatch at one that is not of the grammar, before it runs.
    """
    rewrites = False
    for step in steps:
        if not is_step(step):
            raise Mismatch(f"a schema commit says {step[:80]!r}, which is no schema step")
        connection.execute(step).fetchall()
        rewrites = rewrites or HARMLESS.match(step) is None
    return rewrites


class ChangeWriter:
    """Writes single changes and says by how much the row digest moves."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._shapes: dict[str, Shape] = {}

    def shapes(self) -> dict[str, Shape]:
        if not self._shapes:
            self._shapes = shapes(self._connection)
        return self._shapes

    def forget(self) -> None:
        """The schema changed: look again."""
        self._shapes = {}

    def write(self, change: Change) -> int:
        """Write one change; returns the digest of the cells that came less those that went. Raises Mismatch."""
        shape = self.shapes().get(change.table)
        if shape is None:
            raise Mismatch(f"there is no table {change.table!r}")
        if change.op == "u":
            return self._update(shape, change.key, change.new or {}, change.old or {})
        if change.op == "i":
            return self._insert(shape, change.key, change.new or {})
        return self._delete(shape, change.key, change.old or {})

    def _insert(self, shape: Shape, key: Key, new: Row) -> int:
        values = (*key, *[new.get(column) for column in shape.columns])
        sql = texts.insert_returning(shape.table, shape.all)
        try:
            stored = self._connection.execute(sql, values).fetchall()
        except apsw.ConstraintError as problem:
            raise Mismatch(f"insert into {shape.table} {key!r}: {problem}") from problem
        return digest.cells(shape.table, stored[0][: len(key)], shape.all, stored[0])

    def _delete(self, shape: Shape, key: Key, old: Row) -> int:
        sql = texts.delete_returning(shape.table, shape.key, shape.all)
        stored = self._connection.execute(sql, key).fetchall()
        if len(stored) != 1:
            raise Mismatch(f"delete from {shape.table} {key!r} hit {len(stored)} rows")
        for column, value in zip(shape.columns, stored[0][len(shape.key) :], strict=True):
            if not same(value, old.get(column)):
                raise Mismatch(f"delete from {shape.table} {key!r}: {column} is {value!r}, not {old.get(column)!r}")
        return -digest.cells(shape.table, stored[0][: len(key)], shape.all, stored[0])

    def _update(self, shape: Shape, key: Key, new: Row, old: Row) -> int:
        names = tuple(new)
        sql = texts.update_from(shape.table, shape.key, names, shape.untyped)
        stated: list[Value] = []
        for name in names:
            stated += [old[name]] * (2 if name in shape.untyped else 1)
        try:
            stored = self._connection.execute(sql, (*new.values(), *key, *stated)).fetchall()
        except (apsw.ConstraintError, apsw.SQLError) as problem:
            raise Mismatch(f"update of {shape.table} {key!r}: {problem}") from problem
        if len(stored) != 1:
            raise Mismatch(f"update of {shape.table} {key!r} hit {len(stored)} rows with the old values {old!r}")
        gained = digest.cells(shape.table, key, names, stored[0])
        return gained - digest.cells(shape.table, key, old, old.values())


def same(one: Value, other: Value) -> bool:
    """Typed equality: 1 is not 1.0."""
    return type(one) is type(other) and one == other


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "big")
