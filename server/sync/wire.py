"""The wire form of mutations and commits: JSON with typed values (design 8, SPEC W).

A value is JSON null, string or number; `{"$i": "..."}` an integer beyond 2^53, `{"$r": 3}` a REAL with an integral
value in an ANY column, `{"$b": "<base64>"}` a blob. Row values travel, never SQL text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ..errors import BadRequest, Refused
from ..model import (
    Base,
    Call,
    Change,
    Commit,
    Edit,
    EncodedCommit,
    Expectation,
    Fault,
    Key,
    Mutation,
    MutationId,
    Operation,
    Row,
)
from ..values import SAFE as SAFE
from ..values import decode_value as decode_value
from ..values import encode_value as encode_value

#: Operations in one mutation; more come as several mutations.
MOST_OPERATIONS = 200_000
CLIENT_DIGITS = frozenset("0123456789abcdef")

Types = Mapping[str, Mapping[str, str]]


class Push(Struct):
    """A push as it is read: the parts that are judged later stay raw (empty where absent), so that their hash is
    that of the bytes sent."""

    id: Any = None
    contract: str | None = None
    changes: Raw = Raw()
    expect: Raw = Raw()
    missing: str = "refuse"
    tag: str | None = None
    call: str | None = None
    args: Raw = Raw()


_decode_push = msgspec.json.Decoder(Push).decode
_decode = msgspec.json.Decoder().decode
encode_json = msgspec.json.Encoder().encode


def decode_push(raw: bytes | str, user: str) -> Mutation:
    """Read a push. Raises BadRequest where no mutation with an id can be made of it.

    Any fault behind the id is a judgement and travels along as `faulty`: recorded and answered like every refusal.
    """
    try:
        push = _decode_push(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise BadRequest(f"the message is not a push: {problem}") from None
    name = _decode_id(push.id)
    body_hash = _body_hash(push)
    try:
        if push.tag is not None and len(push.tag) > 256:
            raise Refused("invalid", "tag: at most 256 characters")
        body = _decode_body(push)
    except Refused as refused:
        return Mutation(user, Edit(()), name, push.contract, None, body_hash, refused.refusal())
    return Mutation(user, body, name, push.contract, push.tag, body_hash, size=len(raw))


def _decode_id(value: Any) -> MutationId | None:
    if value is None:
        return None
    match value:
        case [str(client), int(counter)] if (
            len(client) == 32 and CLIENT_DIGITS.issuperset(client) and 0 < counter < SAFE
        ):
            return MutationId(client, counter)
    raise BadRequest('id: needs ["<32 hexadecimal digits>", <counter from 1>]')


def _body_hash(push: Push) -> bytes:
    digest = hashlib.sha256()
    for part in (push.changes, push.expect, push.args):
        digest.update(part)
        digest.update(b"\x00")
    digest.update(encode_json([push.missing, push.tag, push.call]))
    return digest.digest()[:16]


def _decode_body(push: Push) -> Edit | Call:
    if push.call is not None:
        args = _part(push.args, "args", {})
        if not isinstance(args, dict):
            raise Refused("invalid", "args: needs an object")
        return Call(push.call, args)
    if push.missing not in ("refuse", "skip"):
        raise Refused("invalid", 'missing: is "refuse" or "skip"')
    changes = _part(push.changes, "changes", None)
    expect = _part(push.expect, "expect", [])
    if changes is None:
        raise Refused("invalid", "changes: is missing; a push has `changes` or `call`")
    if not isinstance(changes, list) or not isinstance(expect, list):
        raise Refused("invalid", "changes and expect are arrays")
    if len(changes) + len(expect) > MOST_OPERATIONS:
        raise Refused("too_large", f"{len(changes):,} changes in one mutation, the limit is {MOST_OPERATIONS:,}")
    operations = tuple([_operation(change, i) for i, change in enumerate(changes)])
    expectations = tuple([_expectation(item, i) for i, item in enumerate(expect)])
    return Edit(operations, expectations, "skip" if push.missing == "skip" else "refuse")


def _part(raw: Raw, name: str, absent: Any) -> Any:
    """One part as Python values; numbers that no double or int64 can hold are refused here."""
    try:
        return _decode(raw) if bytes(raw) else absent
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as problem:
        raise Refused("invalid", f"{name}: {problem}") from None


def _operation(change: Any, place: int) -> Operation:
    match change:
        case ["i" | "u" | "s" as op, str(table), list(key), dict(values), *_] if len(change) <= 5:
            return Operation(op, table, decode_key(key, table), decode_row(values, table, key))
        case ["d", str(table), list(key), *_] if len(change) <= 5:
            return Operation("d", table, decode_key(key, table), {})
    raise Refused(
        "invalid",
        f'changes/{place}: needs ["i" | "u" | "s", table, key, {{columns}}] or ["d", table, key]',
        (Fault("is not an operation", pointer=f"/changes/{place}"),),
    )


def _expectation(item: Any, place: int) -> Expectation:
    match item:
        case ["=", str(table), list(key), dict(cells)]:
            return Expectation("=", table, decode_key(key, table), decode_row(cells, table, key))
        case ["absent", str(table), list(key)]:
            return Expectation("absent", table, decode_key(key, table), {})
        case ["since", str(table), list(key), int(version)] if not isinstance(version, bool):
            return Expectation("since", table, decode_key(key, table), {}, version)
    raise Refused(
        "invalid",
        f'expect/{place}: needs ["=", table, key, {{cells}}], ["absent", table, key] or ["since", table, key, version]',
        (Fault("is not an expectation", pointer=f"/expect/{place}"),),
    )


def decode_key(values: list[Any], table: str) -> Key:
    try:
        return tuple([decode_value(value) for value in values])
    except ValueError as problem:
        raise Refused("invalid", f"{table}: key: {problem}", (Fault(str(problem), table, values),)) from None


def decode_row(values: dict[str, Any], table: str, key: list[Any]) -> dict[str, Any]:
    """A row with its values decoded; booleans stay, the contract stores them."""
    out: dict[str, Any] = {}
    for column, value in values.items():
        try:
            out[column] = decode_value(value)
        except ValueError as problem:
            fault = Fault(str(problem), table, key, "/" + column.replace(".", "/"))
            raise Refused("invalid", f"{table}: {column}: {problem}", (fault,)) from None
    return out


def encode_key(key: Key) -> list[Any]:
    return [encode_value(value) for value in key]


def encode_row(row: Row, types: Mapping[str, str]) -> dict[str, Any]:
    return {
        column: value
        if type(value) is str or (type(value) is int and -SAFE < value < SAFE)
        else encode_value(value, types.get(column) == "ANY")
        for column, value in row.items()
    }


def encode_change(change: Change, types: Types) -> list[Any]:
    table = types[change.table]
    key = encode_key(change.key)
    if change.op == "u":
        return ["u", change.table, key, encode_row(change.new or {}, table), encode_row(change.old or {}, table)]
    if change.op == "i":
        return ["i", change.table, key, encode_row(change.new or {}, table)]
    return ["d", change.table, key, None, encode_row(change.old or {}, table)]


def encode_commit(commit: Commit, types: Types) -> EncodedCommit:
    """The bytes that the log keeps and every subscriber gets. `types`: column types of each table, by name."""
    out: dict[str, Any] = {"v": commit.version}
    if commit.id is not None:
        out["id"] = commit.id
    out |= {"at": commit.at, "by": commit.by, "kind": commit.kind}
    if commit.tag is not None:
        out["tag"] = commit.tag
    if commit.skipped:
        out["skipped"] = [[table, encode_key(key)] for table, key in commit.skipped]
    if commit.kind == "schema":
        out |= {"contract": commit.contract, "contract_hash": commit.contract_hash, "steps": commit.steps}
    if commit.base is not None:
        base = {"hash": commit.base.hash, "size": commit.base.size, "row_digest": f"{commit.base.row_digest:032x}"}
        out |= {"contract": commit.contract, "contract_hash": commit.contract_hash, "base": base}
    out["changes"] = [encode_change(change, types) for change in commit.changes]
    return EncodedCommit(commit.version, encode_json(out))


def decode_commit(encoded: bytes) -> Commit:
    """A commit read back from the log; exactly the values that were encoded."""
    raw = _decode(encoded)
    return Commit(
        version=raw["v"],
        at=raw["at"],
        by=raw["by"],
        kind=raw["kind"],
        changes=tuple([_decode_change(change) for change in raw["changes"]]),
        id=MutationId(*raw["id"]) if "id" in raw else None,
        tag=raw.get("tag"),
        skipped=tuple((table, tuple(map(decode_value, key))) for table, key in raw.get("skipped", ())),
        contract=raw.get("contract"),
        contract_hash=raw.get("contract_hash"),
        steps=tuple(raw.get("steps", ())),
        base=_decode_base(raw["base"]) if "base" in raw else None,
    )


def _decode_base(raw: dict[str, Any]) -> Base:
    return Base(raw["hash"], raw["size"], int(raw["row_digest"], 16))


def _decode_change(change: list[Any]) -> Change:
    op, table, key, *rows = change
    new, old = (*rows, None)[:2]
    return Change(op, table, tuple(map(decode_value, key)), _decode_cells(new), _decode_cells(old))


def _decode_cells(cells: dict[str, Any] | None) -> Row | None:
    return None if cells is None else {column: decode_value(value) for column, value in cells.items()}
