"""Random contracts within the grammar, and random stored rows for their tables: for tests against an oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from sharelite.model import Row
from sharelite.schema.canonical import canonical
from sharelite.schema.column import Column
from sharelite.schema.table import Table

NAMES = ["a", "b", "c", "d"]
WORDS = ["", "a", "ab", "abc", "bbbbb", "zz", "é"]
NUMBERS = [-2, -1, 0, 1, 2, 3, 7, 100]
JSON = [[], ["a"], ["a", "b", "c"], [1], {}, {"x": 1}, {"x": "1"}, {"y": True}, [[1]], "a", 3, True]


def limits(low: str, high: str, values: Sequence[int]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={low: st.sampled_from(values[:5]), high: st.sampled_from(values[3:])})


TEXT = st.one_of(
    limits("minLength", "maxLength", [0, 0, 1, 2, 3, 4]),
    st.just({"enum": ["a", "ab", "zz"]}),
    st.sampled_from([{"pattern": "^[a-c]+$"}, {"pattern": "b"}, {"not": {"const": "ab"}}]),
)
NUMBER = st.one_of(
    limits("minimum", "maximum", NUMBERS),
    limits("exclusiveMinimum", "exclusiveMaximum", NUMBERS),
    st.sampled_from([{"enum": [0, 1, 7]}, {"multipleOf": 2}, {"const": 3}]),
)
SCALAR: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda more: {"type": "string", **more}, TEXT),
    st.builds(lambda more: {"type": "integer", **more}, NUMBER),
    st.builds(lambda more: {"type": "number", **more}, NUMBER),
    st.sampled_from([{"type": "boolean"}, {"type": "boolean", "const": True}]),
    st.sampled_from([{"type": ["string", "integer"]}, {"type": ["boolean", "string"]}, {"type": ["number", "string"]}]),
    st.sampled_from([{"type": ["string", "null"], "minLength": 1}, {"type": ["integer", "null"], "enum": [1, 2]}]),
)
VALUE: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": ["object", "null"], "properties": {"x": {"type": "integer"}}},
        {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}]},
        {"type": "string", "contentEncoding": "base64", "maxLength": 4},
        {},
    ]
)


@st.composite
def leaves(draw: st.DrawFn) -> dict[str, Any]:
    schema = dict(draw(st.one_of(SCALAR, SCALAR, SCALAR, VALUE)))
    fitting = defaults(schema)
    if fitting:
        schema |= draw(st.fixed_dictionaries({}, optional={"default": st.sampled_from(fitting)}))
    return schema


def defaults(schema: dict[str, Any]) -> list[Any]:
    """A few values that surely fit, so that many contracts have defaults."""
    match schema:
        case {"type": [_, "null"]}:
            return []
        case {"enum": values}:
            return list(values)
        case {"const": value}:
            return [value]
        case {"pattern": _}:
            return ["b"]
        case {"type": "boolean"}:
            return [True, False]
        case {"type": "string", "contentEncoding": _} | {"multipleOf": _}:
            return []
        case {"type": "string"}:
            low, high = schema.get("minLength", 0), schema.get("maxLength", 9)
            return [word for word in WORDS if low <= len(word) <= high and word != "ab"]
        case {"type": "integer" | "number"}:
            return [number for number in NUMBERS if _within(number, schema)]
        case {"type": ["boolean" | "number", "string"] | ["string", "integer"]}:
            return ["a"]
    return []


def _within(number: int, schema: dict[str, Any]) -> bool:
    least: int = max(schema.get("minimum", -999), schema.get("exclusiveMinimum", -1000) + 1)
    most: int = min(schema.get("maximum", 999), schema.get("exclusiveMaximum", 1000) - 1)
    return least <= number <= most


@st.composite
def objects(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """An object that is flattened, perhaps with others in it and conditions between its properties."""
    inner = st.one_of(leaves(), leaves(), objects(depth - 1)) if depth else leaves()
    properties = draw(st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=4))
    names = sorted(properties)
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if draw(st.booleans()):
        schema["required"] = draw(st.lists(st.sampled_from(names), unique=True))
    if draw(st.integers(0, 3)) == 0:
        schema |= draw(conditions(names))
    return schema


def conditions(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    name = st.sampled_from(names)
    one = st.builds(lambda name: {"required": [name]}, name)
    kind = st.sampled_from(["string", "integer"])
    typed = st.builds(lambda name, kind: {"properties": {name: {"type": kind}}}, name, kind)
    return st.one_of(
        st.builds(lambda a, b: {"dependentRequired": {a: [b]}}, name, name),
        st.builds(lambda a, b, c: {"if": a, "then": b, "else": c}, one, one, typed),
        st.builds(lambda a, b: {"anyOf": [a, b]}, one, typed),
        st.builds(lambda a, b: {"oneOf": [a, b]}, one, typed),
        st.builds(lambda a: {"not": a}, one),
        st.builds(lambda a, b: {"dependentSchemas": {a: b}}, name, typed),
        st.sampled_from([{"minProperties": 2}, {"maxProperties": 2}]),
    )


def documents() -> st.SearchStrategy[dict[str, Any]]:
    """Contracts with one table `t`, key `id`."""

    def made(items: dict[str, Any]) -> dict[str, Any]:
        properties = {"id": {"type": "string"}, **items["properties"]}
        rows = {**items, "required": ["id", *items.get("required", [])], "properties": properties}
        return {"type": "object", "properties": {"t": {"type": "array", "items": rows}}}

    return st.builds(made, objects())


def cells(column: Column) -> st.SearchStrategy[Any]:
    """What SQL could have stored in a column, fitting or not."""
    words, numbers = st.sampled_from(WORDS), st.sampled_from(NUMBERS)
    values: st.SearchStrategy[Any] = {
        "TEXT": words,
        "INTEGER": st.one_of(st.sampled_from([0, 1]), numbers),
        "REAL": st.one_of(numbers.map(float), st.just(0.5)),
        "BLOB": st.binary(max_size=6),
        "ANY": st.one_of(words, numbers),
    }[column.type]
    if column.form == "json":
        values = st.sampled_from(JSON).map(canonical)
    return st.one_of(st.none(), values)


def rows_of(table: Table) -> st.SearchStrategy[Row]:
    found = {column.name: cells(column) for column in table.properties if column.name != "id"}
    return st.fixed_dictionaries({"id": st.sampled_from(["k", "l", "m"]), **found})
