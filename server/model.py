"""The domain's words as plain values: changes, commits, mutations, outcomes (design: Words).

Nothing here knows SQLite, JSON, sockets or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from msgspec import Struct

#: One cell as SQLite holds it.
Value = None | int | float | str | bytes
#: The key columns of a row, in the order of the table's key.
Key = tuple[Value, ...]
Row = dict[str, Value]
ColumnType = Literal["TEXT", "INTEGER", "REAL", "BLOB", "ANY"]


class Reference(NamedTuple):
    """Columns of a table that name a row of another one (or of the same)."""

    columns: tuple[str, ...]
    table: str
    target: tuple[str, ...]


class ListLimit(NamedTuple):
    """minItems and maxItems of a nested list: rows of `table` whose `columns` hold the parent's key."""

    table: str
    columns: tuple[str, ...]
    minimum: int
    maximum: int | None


class Change(Struct, frozen=True, gc=False):
    """One row inserted (`i`: new), updated (`u`: new and old of the properties that changed) or deleted (`d`: old).

    In `i` and `d` NULL cells are left out, and so are the key columns: `key` has them.
    """

    op: Literal["i", "u", "d"]
    table: str
    key: Key
    new: Row | None
    old: Row | None


class MutationId(NamedTuple):
    """Who sent it (32 hexadecimal digits) and that sender's own count: 1, 2, 3 ..."""

    client: str
    counter: int


class Operation(Struct, frozen=True, gc=False):
    """A row operation that somebody asks for: insert, update, delete, or `s`: insert, or update only these columns."""

    op: Literal["i", "u", "d", "s"]
    table: str
    key: Key
    values: Mapping[str, Any]


class Expectation(Struct, frozen=True, gc=False):
    """What must hold before the mutation: `=` these cells, `absent` this row, `since` no commit after v touched it."""

    kind: Literal["=", "absent", "since"]
    table: str
    key: Key
    cells: Mapping[str, Any]
    version: int = 0


class Edit(Struct, frozen=True):
    """Row operations, in order. `missing`: what to do with an update of a row that is gone."""

    operations: tuple[Operation, ...]
    expect: tuple[Expectation, ...] = ()
    missing: Literal["refuse", "skip"] = "refuse"


#: Values for the parameters of a statement: by position, or by name without the sign in front.
Params = tuple[Value, ...] | dict[str, Value]


class Statement(Struct, frozen=True):
    """One SQL statement. `many`: it runs once for each of these, instead of once with `params`."""

    sql: str
    params: Params = ()
    many: tuple[Params, ...] | None = None


class Result(Struct, frozen=True):
    """What one statement gave. `types`: the declared types of its columns, None for an expression.

    `rows`: cells as SQLite holds them. `affected`: rows that it wrote itself, -1 for one that cannot write. `last_id`:
    the rowid of the last row that it inserted.
    """

    columns: tuple[str, ...]
    types: tuple[str | None, ...]
    rows: list[tuple[Any, ...]]
    affected: int
    last_id: int | None
    seconds: float


class Sql(Struct, frozen=True):
    """SQL statements that run as one mutation. `answered`: somebody wants to know what each of them gave."""

    statements: tuple[Statement, ...]
    answered: bool = False


class Call(Struct, frozen=True):
    """A named server function with its arguments (parsed JSON)."""

    name: str
    args: Mapping[str, Any]


class Done(Struct, frozen=True):
    """What an interactive transaction did, or why it is refused. Its changes hold at no other version than `base`."""

    base: int
    changes: tuple[Change, ...] = ()
    refusal: Refusal | None = None


class Fault(Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong, and where: table, key (wire values), JSON pointer into the row."""

    message: str
    table: str | None = None
    key: list[Any] | None = None
    pointer: str | None = None


class Mutation(Struct, frozen=True):
    """What somebody asks for. `body_hash` tells a repeat from another body under the same id.

    `faulty` is a refusal already found while decoding: it is recorded like any other judgement.
    """

    user: str
    body: Edit | Sql | Call | Done
    id: MutationId | None = None
    contract: str | None = None
    tag: str | None = None
    body_hash: bytes = b""
    faulty: Refusal | None = None
    #: Bytes of the push.
    size: int = 0


class Refusal(Struct, frozen=True):
    """Why a mutation was refused: a code of SPEC M, a sentence, and the places."""

    code: str
    message: str
    errors: tuple[Fault, ...] = ()


class Outcome(Struct, frozen=True):
    """The one answer a mutation gets. `version`: the commit's, or the version it was judged at.

    `results`: what its statements gave, if somebody wanted to know. They are not kept: a repeat has none.
    """

    kind: Literal["committed", "settled", "refused"]
    version: int
    refusal: Refusal | None = None
    results: tuple[Result, ...] | None = None


CommitKind = Literal["edit", "sql", "call", "schema", "rollback", "merge", "import"]


class Base(Struct, frozen=True):
    """The database that a log goes on from: an imported file as we copied it, by the SHA-256 of its bytes.

    `row_digest`: of its rows. It lies at seq and version 0; its `_sharelite` says so, and has the contract.
    """

    hash: str
    size: int
    row_digest: int


class Commit(Struct, frozen=True):
    """The ordered changes of one accepted mutation. `skipped`: rows that were gone, which the mutation said to skip.

    `contract` and `contract_hash` only in a schema commit and in an import, `steps` only in the former, `base` only in
    the latter.
    """

    version: int
    at: int
    by: str
    kind: CommitKind
    changes: tuple[Change, ...]
    id: MutationId | None = None
    tag: str | None = None
    skipped: tuple[tuple[str, Key], ...] = ()
    contract: dict[str, Any] | None = None
    contract_hash: str | None = None
    steps: tuple[str, ...] = ()
    base: Base | None = None


class EncodedCommit(Struct, frozen=True, gc=False):
    """A commit as it goes into the log and to every subscriber: encoded once (SPEC W: commit)."""

    version: int
    json: bytes
