"""How pushes and commits travel; the vectors are shared with TypeScript (SPEC M25, W30, W31)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharelite.errors import BadRequest, Refused
from sharelite.model import Change, Commit, Edit, MutationId
from sharelite.sync.capture import Capture
from sharelite.sync.shape import shapes
from sharelite.sync.wire import (
    MOST_OPERATIONS,
    decode_commit,
    decode_push,
    decode_value,
    encode_change,
    encode_commit,
    encode_value,
)

VECTORS = Path(__file__).parent / "vectors"
VALUES = json.loads((VECTORS / "values.json").read_text())
CAPTURE = json.loads((VECTORS / "capture.json").read_text())["cases"]
CLIENT = "a" * 32


def _stored(column: str, sql: str) -> Any:
    connection = apsw.Connection(":memory:")
    connection.execute(f"CREATE TABLE t(x {column}) STRICT; INSERT INTO t VALUES({sql})")
    row: Any = connection.execute("SELECT x FROM t").fetchone()
    return row[0]


@pytest.mark.parametrize("vector", VALUES["values"], ids=lambda vector: vector["name"])
def test_values_travel_as_the_vectors_say(vector: dict[str, Any]) -> None:  # W30
    stored = _stored(vector["column"], vector["sql"])
    wire = encode_value(stored, vector["column"] == "ANY")
    assert json.loads(msgspec.json.encode(wire)) == vector["wire"]
    connection = apsw.Connection(":memory:")
    connection.execute(f"CREATE TABLE t(x {vector['column']}) STRICT")
    for form in (vector["wire"], *vector.get("also", [])):
        connection.execute("DELETE FROM t").fetchall()
        connection.execute("INSERT INTO t VALUES(?)", (decode_value(form),))
        row: Any = connection.execute("SELECT x FROM t").fetchone()
        assert row[0] == stored and type(row[0]) is type(stored)


@pytest.mark.parametrize("wire", VALUES["refused"], ids=repr)
def test_values_that_nobody_accepts_are_refused(wire: Any) -> None:  # W30
    with pytest.raises(ValueError):
        decode_value(wire["wire"] if isinstance(wire, dict) and "wire" in wire else wire)


@pytest.mark.parametrize("case", CAPTURE, ids=lambda case: case["name"])
def test_capture_tells_what_the_vectors_say(case: dict[str, Any]) -> None:  # M1
    connection = apsw.Connection(":memory:")
    connection.execute("PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON")
    for sql in (*case["schema"], *case["setup"]):
        connection.execute(sql)
    known = shapes(connection)
    capture = Capture(connection, max(len(shape.key) for shape in known.values()))
    for shape in known.values():
        capture.watch(shape)
    types = {name: shape.types for name, shape in known.items()}
    seq = 0
    for sql, expected in zip(case["statements"], case["changes"], strict=True):
        try:
            connection.execute(sql)
        except apsw.Error:
            assert expected == []
        changes, seq = capture.since(seq)
        assert json.loads(msgspec.json.encode([encode_change(change, types) for change in changes])) == expected


values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(max_size=20),
)


@given(values)
def test_every_value_comes_back_with_its_type(value: Any) -> None:  # W30
    back = decode_value(msgspec.json.decode(msgspec.json.encode(encode_value(value))))
    assert back == value and type(back) is type(value)


@given(st.dictionaries(st.text(max_size=5), values, max_size=4), st.lists(values, min_size=1, max_size=3))
def test_a_commit_comes_back_from_its_bytes(row: dict[str, Any], key: list[Any]) -> None:  # L7
    changes = (Change("i", "t", tuple(key), row, None), Change("u", "t", tuple(key), row, row))
    commit = Commit(7, 123, "ann", "edit", changes, MutationId(CLIENT, 3), "drag")
    assert decode_commit(encode_commit(commit, {"t": dict.fromkeys(row, "ANY")}).json) == commit


def push(changes: str, **more: Any) -> Any:
    rest = "".join(f', "{name}": {json.dumps(value)}' for name, value in more.items())
    return decode_push(f'{{"type": "push", "id": ["{CLIENT}", 1], "changes": {changes}{rest}}}', "ann")


@pytest.mark.parametrize(
    "changes",
    [
        '[["u", "t", ["a"], {"x": ' + "1" * 5000 + "}]]",
        '[["u", "t", ["a"], {"x": 1e400}]]',
        '[["u", "t", ["a"], {"x": [1]}]]',
        '[["u", "t", ["a"], {"x": {"$z": 1}}]]',
        '[["u", "t", "a", {"x": 1}]]',
        '[["x", "t", ["a"], {"x": 1}]]',
        '[["u", "t", ["a"]]]',
        '{"a": 1}',
        "[1]",
        "null",
    ],
)
def test_a_push_with_a_bad_body_is_judged_under_its_id(changes: str) -> None:  # M21
    mutation = push(changes)
    assert mutation.id == (CLIENT, 1)
    assert mutation.faulty is not None and mutation.faulty.code == "invalid" and mutation.faulty.message


def test_a_push_with_too_many_operations_is_refused() -> None:  # M28
    mutation = push("[" + ",".join(['["d","t",["a"]]'] * (MOST_OPERATIONS + 1)) + "]")
    assert mutation.faulty is not None and mutation.faulty.code == "too_large"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"changes": NaN}',
        b'{"changes": [["u","t",["\\ud800"],{}]]}',
        b'{"id": 7, "changes": []}',
        b'{"id": ["short", 1], "changes": []}',
        b'{"id": ["' + b"a" * 32 + b'", 0], "changes": []}',
        b'{"id": ["' + b"a" * 32 + b'", 1e30], "changes": []}',
        b"\xff\xfe",
    ],
)
def test_a_message_without_a_readable_id_is_a_bad_request(raw: bytes) -> None:  # W31
    with pytest.raises(BadRequest) as caught:
        decode_push(raw, "ann")
    assert str(caught.value)


def test_the_hash_of_a_push_is_that_of_what_was_asked() -> None:  # M19
    one, two = push('[["d","t",["a"]]]'), push('[["d","t",["b"]]]')
    assert one.body_hash == push('[["d","t",["a"]]]').body_hash != two.body_hash
    assert push('[["d","t",["a"]]]', tag="drag").body_hash != one.body_hash


def test_a_column_called_proto_is_only_a_column() -> None:  # W30
    mutation = push('[["u", "t", ["a"], {"__proto__": 1}]]')
    assert isinstance(mutation.body, Edit) and dict(mutation.body.operations[0].values) == {"__proto__": 1}


def test_refused_is_an_error_of_the_house() -> None:  # W31
    assert Refused("invalid", "why").refusal().code == "invalid"
