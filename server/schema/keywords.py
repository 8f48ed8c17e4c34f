"""Which JSON Schema keywords a contract may use, and where.

An allow-list: a word that nobody checks is a promise that nobody keeps, and a misspelt one is found at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jsonschema
import jsonschema_rs

from .document import Document
from .patterns import Refusal, check_pattern
from .places import Faults, Schema, join

DIALECT = "https://json-schema.org/draft/2020-12/schema"

ONE = ("items", "additionalProperties", "propertyNames", "not", "if", "then", "else")
MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED = ("$defs", "properties", "patternProperties", "dependentSchemas")
PLAIN = frozenset(
    "$ref $comment title description default examples deprecated readOnly writeOnly type enum const multipleOf maximum "
    "exclusiveMaximum minimum exclusiveMinimum maxLength minLength pattern format contentEncoding contentMediaType "
    "maxItems minItems required minProperties maxProperties dependentRequired".split()
)
KNOWN = PLAIN | {*ONE, *MANY, *NAMED}
WHY_NOT = {
    "uniqueItems": "is not supported: it compares every item with every other; use a nested list with a key",
    "contains": "is not supported: it looks into a list, whose items are rows of their own",
    "$dynamicRef": "is not supported; use $ref",
    "$id": "is allowed only at the top",
    "x-access": "is not enforced yet, so it is refused rather than ignored; leave it out",
    "definitions": "is of an older draft; use $defs",
    "dependencies": "is of an older draft; use dependentRequired or dependentSchemas",
    "unevaluatedProperties": "is not supported; use additionalProperties",
}
SMALLEST_STEP = 1e-6


def check_keywords(document: Document, faults: Faults) -> None:
    """Every schema of the document uses only known keywords, rightly; references lead to a schema."""
    dialect = document.value.get("$schema", DIALECT)
    if not isinstance(dialect, str) or dialect.rstrip("#") != DIALECT:
        faults.add("/$schema", f"contracts are JSON Schema 2020-12: {DIALECT}")
    for schema, pointer in schemas(document.value, ""):
        _check(schema, pointer, document, faults)
    _check_meta(document, faults)


def schemas(schema: Any, pointer: str) -> Iterator[tuple[Schema, str]]:
    """Each schema object at or below a place, with its pointer. What is not shaped like a schema is passed over."""
    if not isinstance(schema, dict):
        return
    yield schema, pointer
    for child, where in children(schema, pointer):
        yield from schemas(child, where)


def children(schema: Schema, pointer: str) -> Iterator[tuple[Any, str]]:
    for name in ONE:
        if name in schema:
            yield schema[name], join(pointer, name)
    for name in MANY:
        if isinstance(schema.get(name), list):
            yield from ((child, join(pointer, name, number)) for number, child in enumerate(schema[name]))
    for name in NAMED:
        if isinstance(schema.get(name), dict):
            yield from ((child, join(pointer, name, key)) for key, child in schema[name].items())


def _check(schema: Schema, pointer: str, document: Document, faults: Faults) -> None:
    top = {"$schema", "$id"} if pointer == "" else set()
    for name, value in schema.items():
        where = join(pointer, name)
        if name in WHY_NOT and name not in top:
            faults.add(where, f"`{name}` {WHY_NOT[name]}")
        elif name not in KNOWN and name not in top and not name.startswith("x-"):
            faults.add(where, f"`{name}` is no keyword that contracts know")
        elif name in ("pattern", "$ref", "multipleOf"):
            _check_value(name, value, where, document, faults)
        elif name == "patternProperties" and isinstance(value, dict):
            for pattern in value:
                _check_value("pattern", pattern, join(where, pattern), document, faults)


def _check_value(name: str, value: Any, pointer: str, document: Document, faults: Faults) -> None:
    try:
        if name == "pattern" and isinstance(value, str):
            check_pattern(value)
        elif name == "$ref" and isinstance(value, str):
            document.target(value)
        elif name == "multipleOf" and isinstance(value, float) and value < SMALLEST_STEP:
            faults.add(pointer, f"`multipleOf` must be at least {SMALLEST_STEP}: finer steps do not survive rounding")
    except (Refusal, ValueError) as problem:
        faults.add(pointer, str(problem))


@lru_cache(maxsize=1)
def _meta() -> jsonschema_rs.Draft202012Validator:
    """Not `jsonschema_rs.meta`: that fetches whatever `$schema` a document names."""
    return jsonschema_rs.Draft202012Validator({"$ref": DIALECT}, offline=True)


def _check_meta(document: Document, faults: Faults) -> None:
    """The document against the meta-schema of 2020-12. jsonschema explains; whether there is anything to explain,
    jsonschema-rs says fifty times faster: a contract is parsed whenever a project is opened."""
    if _meta().is_valid(document.value):
        return
    meta = jsonschema.Draft202012Validator(jsonschema.Draft202012Validator.META_SCHEMA)
    for error in meta.iter_errors(document.value):
        faults.add(join("", *error.absolute_path), error.message[:300])
