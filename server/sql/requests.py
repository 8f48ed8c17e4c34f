"""Requests of SQL as they are read from JSON (SPEC Q): statements with their parameters, and how they are to run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ..errors import BadRequest
from ..model import MutationId, Params, Statement
from ..values import SAFE, decode_value
from .reading import kind

Level = Literal["any", "session", "linearizable"]
Mode = Literal["deferred", "immediate", "read_only"]

#: Statements in one request, and sets of parameters in all of them.
MOST_STATEMENTS = 10_000
MOST_SETS = 200_000
_PLAIN = frozenset({str, int, float, bool, type(None)})


class Request(Struct, frozen=True):
    """Statements and how they are to run.

    `together`: as one transaction; else each alone. `version`: for the level `session`, the least that is read;
    `at`: exactly this version is read. `body_hash`: of what a repeat has to repeat.
    """

    statements: tuple[Statement, ...]
    together: bool = True
    id: MutationId | None = None
    tag: str | None = None
    level: Level = "any"
    version: int = 0
    at: int | None = None
    body_hash: bytes = b""
    #: Bytes of the statements as they came.
    size: int = 0

    @property
    def reads(self) -> bool:
        """Whether nothing of it can write."""
        return all(kind(statement.sql) in ("read", "empty") for statement in self.statements)

    @property
    def defines(self) -> bool:
        """Whether one of them changes tables."""
        return any(kind(statement.sql) == "schema" for statement in self.statements)

    def check_inside(self) -> None:
        """Inside of an open transaction there is nothing to say but statements. Raises BadRequest."""
        if (self.together, self.id, self.tag, self.level, self.version, self.at) != (True, None, None, "any", 0, None):
            raise BadRequest("in a transaction a request has `statements` only; id and tag go with its commit")


class Begin(Struct, frozen=True, forbid_unknown_fields=True):
    mode: Mode = "deferred"


class Finish(Struct, frozen=True, forbid_unknown_fields=True):
    """`id`: makes it safe to ask again whether a commit happened."""

    id: Any = None
    tag: str | None = None


class _Statement(Struct, forbid_unknown_fields=True):
    sql: str | UnsetType = UNSET
    prepared: int | UnsetType = UNSET
    params: list[Any] | dict[str, Any] | None = None
    many: list[list[Any] | dict[str, Any]] | UnsetType = UNSET


class _Body(Struct, forbid_unknown_fields=True):
    statements: Raw
    transaction: bool = True
    id: Any = None
    tag: str | None = None
    level: Level = "any"
    version: int | None = None
    at: int | None = None


class _Message(_Body):
    """A body as a message of a websocket, which says what it is."""

    type: str = ""
    n: int = 0


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_body = msgspec.json.Decoder(_Body).decode
_decode_statements = msgspec.json.Decoder(list[str | _Statement]).decode


def decode(raw: bytes | str, prepared: Mapping[int, str] | None = None) -> Request:
    """Read a request. `prepared`: it is a message, and may name these statements by number. Raises BadRequest."""
    try:
        body = _decode_body(raw) if prepared is None else _decode_message(raw)
        listed = _decode_statements(body.statements)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise BadRequest(f"the body: {problem}") from None
    if len(listed) > MOST_STATEMENTS:
        raise BadRequest(f"statements: at most {MOST_STATEMENTS:,} in one request")
    if sum(len(each.many) for each in listed if isinstance(each, _Statement) and each.many) > MOST_SETS:
        raise BadRequest(f"many: at most {MOST_SETS:,} sets of parameters in one request")
    statements = tuple([_statement(each, place, prepared or {}) for place, each in enumerate(listed)])
    name = mutation_id(body.id)
    if name is not None and not body.transaction:
        raise BadRequest("id: goes with one transaction; statements that run each alone have no common outcome")
    return Request(
        statements,
        body.transaction,
        name,
        short_tag(body.tag),
        body.level,
        _version(body.version, "version") or 0,
        _version(body.at, "at"),
        _hash(body, listed, statements),
        len(bytes(body.statements)),
    )


def unprepared(raw: str, prepared: Mapping[int, str]) -> bytes:
    """A message as the body of a request to another node: its statements by their texts. Raises BadRequest."""
    try:
        body = msgspec.json.decode(raw, type=dict[str, Raw])
        listed = msgspec.json.decode(body["statements"], type=list[str | dict[str, Raw]])
    except (msgspec.DecodeError, KeyError, UnicodeError, RecursionError) as problem:
        raise BadRequest(f"the body: {problem}") from None
    for place, each in enumerate(listed):
        if isinstance(each, dict) and "prepared" in each:
            number = each.pop("prepared")
            sql = prepared.get(msgspec.json.decode(number))
            if sql is None:
                raise BadRequest(f"statements/{place}: there is no prepared statement {bytes(number)[:20]!r}")
            each["sql"] = Raw(msgspec.json.encode(sql))
    rest = {name: value for name, value in body.items() if name not in ("type", "n", "statements")}
    return msgspec.json.encode({"statements": listed, **rest})


def mutation_id(value: Any) -> MutationId | None:
    """The id of a mutation. Raises BadRequest."""
    match value:
        case None:
            return None
        case [str(client), int(counter)] if (
            len(client) == 32 and set(client) <= set("0123456789abcdef") and 0 < counter < SAFE
        ):
            return MutationId(client, counter)
    raise BadRequest('id: needs ["<32 hexadecimal digits>", <counter from 1>]')


def short_tag(tag: str | None) -> str | None:
    if tag is not None and len(tag) > 256:
        raise BadRequest("tag: at most 256 characters")
    return tag


def _version(value: int | None, name: str) -> int | None:
    if value is not None and not 0 <= value < SAFE:
        raise BadRequest(f"{name}: needs a version, a whole number from 0")
    return value


def _hash(body: _Body, listed: Sequence[str | _Statement], statements: Sequence[Statement]) -> bytes:
    """Of what a repeat has to repeat. Prepared statements count by their texts: their numbers are a connection's."""
    digest = hashlib.sha256()
    if any(isinstance(each, _Statement) and each.prepared is not UNSET for each in listed):
        for given, statement in zip(listed, statements, strict=True):
            more = (given.params, given.many) if isinstance(given, _Statement) else (None, UNSET)
            digest.update(msgspec.json.encode([statement.sql, more[0], None if more[1] is UNSET else more[1]]))
    else:
        digest.update(body.statements)
    digest.update(msgspec.json.encode(["sql", body.tag]))
    return digest.digest()[:16]


def _statement(given: str | _Statement, place: int, prepared: Mapping[int, str]) -> Statement:
    if isinstance(given, str):
        return Statement(given)
    where = f"statements/{place}"
    if (given.sql is UNSET) == (given.prepared is UNSET):
        raise BadRequest(f"{where}: needs either `sql` or the number of a `prepared` statement")
    sql = given.sql if isinstance(given.sql, str) else prepared.get(int(given.prepared or 0))
    if sql is None:
        raise BadRequest(f"{where}: there is no prepared statement {given.prepared} on this connection")
    if given.many is UNSET:
        return Statement(sql, () if given.params is None else _params(given.params, where))
    if given.params is not None:
        raise BadRequest(f"{where}: either `params` or `many`")
    return Statement(sql, many=tuple([_params(each, where) for each in given.many]))


def _params(given: list[Any] | dict[str, Any], where: str) -> Params:
    """Values as SQLite takes them. What needs no look is not looked at: bulk is thousands of these."""
    try:
        if isinstance(given, dict):
            return {name.lstrip(":@$"): _value(value) for name, value in given.items()}
        if _PLAIN.issuperset(map(type, given)):
            return tuple(given)
        return tuple([_value(value) for value in given])
    except ValueError as problem:
        raise BadRequest(f"{where}: params: {problem}") from None


def _value(value: Any) -> Any:
    match value:
        case {"$r": "inf" | "-inf" as infinite}:
            return math.inf if infinite == "inf" else -math.inf
    return decode_value(value)
