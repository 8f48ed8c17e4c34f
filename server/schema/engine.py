"""jsonschema-rs as the road uses it: linear-time patterns, formats as annotations, and nothing ever fetched."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import jsonschema_rs

from ..model import Fault
from .keywords import MANY, NAMED, ONE
from .patterns import engine_pattern
from .places import Schema, join

_URN = "urn:contract"
MOST_ERRORS = 20
LONGEST = 300


class Judge:
    """Decides on values by one schema of a document, whose references lead into the document."""

    def __init__(self, schema: Schema, document: Schema) -> None:
        self._patterns: dict[str, str] = {}
        ready = self._ready(schema, _URN)
        registry = jsonschema_rs.Registry([(_URN, self._ready(document, ""))]) if _refers(ready) else None
        self._validator = jsonschema_rs.Draft202012Validator(
            ready, registry=registry, offline=True, validate_formats=False, pattern_options=jsonschema_rs.RegexOptions()
        )
        self.is_valid = self._validator.is_valid

    def faults(self, value: Any, pointer: str) -> Iterator[Fault]:
        """What is wrong with a value that stands at this pointer in its row, at most MOST_ERRORS faults."""
        for error in islice(self._validator.iter_errors(value), MOST_ERRORS):
            where = join(pointer, *error.instance_path)
            if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required):
                where = join(where, error.kind.property)
            yield Fault(self._message(error), pointer=where)

    def _message(self, error: jsonschema_rs.ValidationError) -> str:
        if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Pattern):
            return f"it does not match the pattern {self._patterns[error.kind.pattern]}"
        return error.message if len(error.message) <= LONGEST else error.message[: LONGEST - 3] + "..."

    def _ready(self, schema: Any, base: str) -> Any:
        """A copy with references made absolute and patterns in the engine's words; x- keywords left out."""
        if not isinstance(schema, dict):
            return schema
        copy: Schema = {}
        for name, value in schema.items():
            if name == "$ref":
                copy[name] = base + value
            elif name == "pattern":
                copy[name] = self._pattern(value)
            elif name == "patternProperties":
                copy[name] = {self._pattern(pattern): self._ready(inner, base) for pattern, inner in value.items()}
            elif name in ONE:
                copy[name] = self._ready(value, base)
            elif name in MANY:
                copy[name] = [self._ready(inner, base) for inner in value]
            elif name in NAMED:
                copy[name] = {key: self._ready(inner, base) for key, inner in value.items()}
            elif name not in ("$id", "$schema") and not name.startswith("x-"):
                copy[name] = value
        return copy

    def _pattern(self, pattern: str) -> str:
        text = engine_pattern(pattern)
        self._patterns[text] = pattern
        return text


def _refers(schema: Any) -> bool:
    if isinstance(schema, dict):
        return isinstance(schema.get("$ref"), str) or any(map(_refers, schema.values()))
    return isinstance(schema, list) and any(map(_refers, schema))
