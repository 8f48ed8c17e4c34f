"""jsonschema-rs as the road uses it: linear-time patterns, formats as annotations, and nothing ever fetched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import jsonschema_rs

from .keywords import MANY, NAMED, ONE
from .patterns import engine_pattern
from .places import Schema

_URN = "urn:contract"


class Validator(Protocol):
    def is_valid(self, instance: Any) -> bool: ...
    def iter_errors(self, instance: Any) -> Iterable[jsonschema_rs.ValidationError]: ...


def validator(schema: Schema, document: Schema) -> Validator:
    """A validator for a schema that stands somewhere in the document, whose references lead into the document."""
    ready = _ready(schema, _URN)
    registry = jsonschema_rs.Registry([(_URN, _ready(document, ""))]) if _refers(ready) else None
    return jsonschema_rs.Draft202012Validator(
        ready, registry=registry, offline=True, validate_formats=False, pattern_options=jsonschema_rs.RegexOptions()
    )


def _ready(schema: Any, base: str) -> Any:
    """A copy with references made absolute and patterns as the engine reads them; x- keywords left out."""
    if not isinstance(schema, dict):
        return schema
    copy: Schema = {}
    for name, value in schema.items():
        if name == "$ref":
            copy[name] = base + value
        elif name == "pattern":
            copy[name] = engine_pattern(value)
        elif name == "patternProperties":
            copy[name] = {engine_pattern(pattern): _ready(inner, base) for pattern, inner in value.items()}
        elif name in ONE:
            copy[name] = _ready(value, base)
        elif name in MANY:
            copy[name] = [_ready(inner, base) for inner in value]
        elif name in NAMED:
            copy[name] = {key: _ready(inner, base) for key, inner in value.items()}
        elif name != "$id" and not name.startswith("x-"):
            copy[name] = value
    return copy


def _refers(schema: Any) -> bool:
    if isinstance(schema, dict):
        return isinstance(schema.get("$ref"), str) or any(map(_refers, schema.values()))
    return isinstance(schema, list) and any(map(_refers, schema))
