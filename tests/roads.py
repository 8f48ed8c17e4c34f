"""Roads on real files for tests: a contract, a folder, and the mutations of one client."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sharelite.cluster.alone import Alone
from sharelite.founding import begin, misread
from sharelite.model import Call, Change, Edit, Expectation, Mutation, MutationId, Operation, Outcome, Sql, Statement
from sharelite.ports import Replicator
from sharelite.publishing import Publisher
from sharelite.road import Arrival, Road
from sharelite.schema.contract import Contract
from sharelite.storage.chunks import Chunks
from sharelite.storage.darkroom import Developer, Here
from sharelite.storage.databases import Databases
from sharelite.storage.files import Files
from sharelite.storage.images import Cache, Images
from sharelite.sync import digest, shape, wire
from sharelite.sync.statements import Function

PROJECT = "a" * 32
EPOCH = "e" * 32

#: Tables of every kind: referring (cascade), tree, unique, nested list, singleton; REAL and ANY columns.
SCENE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "scene": {"type": "object", "properties": {"title": {"type": "string", "default": "untitled"}}},
        "layer": {
            "type": "array",
            "x-sql": {"tree": "parent"},
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"type": "string"},
                    "title": {"type": "string", "x-sql": {"unique": True}},
                    "parent": {"type": "string"},
                },
            },
        },
        "note": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"type": "string"},
                    "layer": {"type": "string", "x-sql": {"references": "layer", "onDelete": "cascade"}},
                    "text": {"type": "string", "maxLength": 20, "default": ""},
                    "size": {"type": "number", "minimum": 0, "maximum": 100, "default": 12},
                    "done": {"type": "boolean", "default": False},
                    "any": {"type": ["string", "number"]},
                    "points": {
                        "type": "array",
                        "maxItems": 3,
                        "items": {
                            "type": "object",
                            "required": ["id"],
                            "properties": {"id": {"type": "string"}, "x": {"type": "number"}},
                        },
                    },
                },
            },
        },
    },
}


class Client:
    """Somebody who sends mutations to a road and counts them."""

    def __init__(self, road: Road, name: str = "b" * 32, user: str = "ann", start: int = 1) -> None:
        self.road = road
        self.name, self.user = name, user
        self._counter = itertools.count(start)

    def mutation(
        self, *operations: Operation, missing: Any = "refuse", expect: tuple[Expectation, ...] = ()
    ) -> Mutation:
        body = Edit(operations, expect, missing)
        name = MutationId(self.name, next(self._counter))
        return Mutation(self.user, body, name, body_hash=repr(operations).encode()[-16:])

    def do(self, *operations: Operation, **more: Any) -> Outcome:
        return one(self.road.travel([self.mutation(*operations, **more)]))

    def sql(self, text: str, *params: Any) -> Outcome:
        return one(self.road.travel([Mutation(self.user, Sql((Statement(text, params),)))]))

    def call(self, name: str, **args: Any) -> Outcome:
        return one(self.road.travel([Mutation(self.user, Call(name, args))]))


def one(arrival: Arrival) -> Outcome:
    (answer,) = arrival.answers
    assert isinstance(answer, Outcome), answer
    return answer


def code(outcome: Outcome) -> str:
    assert outcome.refusal is not None, outcome
    return outcome.refusal.code


def insert(table: str, key: Any, **values: Any) -> Operation:
    return Operation("i", table, _key(key), values)


def update(table: str, key: Any, **values: Any) -> Operation:
    return Operation("u", table, _key(key), values)


def put(table: str, key: Any, **values: Any) -> Operation:
    return Operation("s", table, _key(key), values)


def delete(table: str, key: Any) -> Operation:
    return Operation("d", table, _key(key), {})


def _key(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def databases(folder: Path, vfs: str | None = None) -> Databases:
    return Databases(Files(vfs), folder, PROJECT)


def publisher(
    road: Road, files: Databases, folder: Path, developer: Developer | None = None, in_cell: bool = False
) -> Publisher:
    """What publishes the images of a project that is alone in a folder, beside its chunks."""
    seam = files._files
    images, chunks = Images(seam, folder, Cache()), Chunks(seam, folder / "chunks")
    return Publisher(road, files, images, chunks, developer or Here(), in_cell)


def new_road(
    folder: Path,
    contract: Mapping[str, Any] = SCENE,
    *,
    functions: Mapping[str, Function] | None = None,
    replicator: Replicator | None = None,
    files: Databases | None = None,
) -> Road:
    """A road on a new project with the contract, at version 1."""
    road = Road(files or databases(folder), replicator or Alone(), functions or {}, EPOCH, misread)
    begin(road, Contract.parse(dict(contract)), "ann")
    return road


def reopened(folder: Path, contract: Mapping[str, Any] = SCENE) -> Road:
    """A road on files that are there, as after a restart."""
    road = Road(databases(folder), Alone(), {}, "", misread)
    road.follow(Contract.parse(dict(contract)))
    return road


@contextmanager
def reading(folder: Path) -> Iterator[Any]:
    connection = databases(folder).data("read")
    try:
        yield connection
    finally:
        connection.close()


def rows(folder: Path, sql: str, *params: Any) -> list[Any]:
    with reading(folder) as connection:
        found: list[Any] = connection.execute(sql, params).fetchall()
        return found


def changes(arrival: Arrival) -> list[Change]:
    return [change for commit in arrival.commits for change in wire.decode_commit(commit.json).changes]


def row_digest(folder: Path) -> int:
    """The row digest from the rows themselves."""
    with reading(folder) as connection:
        return digest.whole(connection, shape.shapes(connection).values())


def traced(road: Road, ran: list[str]) -> None:
    """Note every statement that the rehearsal runs from now on."""
    assert road._rehearsal is not None

    def note(cursor: Any, sql: str, bindings: Any) -> bool:
        ran.append(sql)
        return True

    road._rehearsal._connection.exec_trace = note
