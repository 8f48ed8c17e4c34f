"""Conditions and combinators of a row: they may look at its properties, at nothing that is kept elsewhere.

A nested list is rows of another table, and a property that is not declared has no column, so a condition about either
could never be checked; it is refused with its pointer instead of being true for ever.
"""

from __future__ import annotations

from typing import Any

from .document import Document
from .keywords import MANY, ONE
from .places import Faults, Schema, join
from .shape import ACROSS, Group, Nested

_WHOLE = tuple("const enum minProperties maxProperties propertyNames patternProperties additionalProperties".split())
_INNER = frozenset({*MANY, *ONE, "dependentSchemas"}) & ACROSS


def check_conditions(root: Group, document: Document, faults: Faults) -> None:
    for group in root.groups:
        found = {word: value for word, value in group.schema.items() if word in ACROSS}
        _Walk(document, faults).look(found, group, group.place)


class _Walk:
    def __init__(self, document: Document, faults: Faults) -> None:
        self._document, self._faults = document, faults
        self._seen: set[tuple[str, tuple[str, ...]]] = set()

    def look(self, schema: Any, group: Group, place: str) -> None:
        """A schema that is asked about the object of a group."""
        if not isinstance(schema, dict) or (place, group.path) in self._seen:
            return
        self._seen.add((place, group.path))
        if "$ref" in schema:
            target = self._document.target(schema["$ref"])
            self.look(self._document.at(target), group, target)
        for word in _WHOLE:
            if word in schema and group.lists:
                self._faults.add(join(place, word), f"`{word}` looks into a list, whose items are rows of their own")
        self._names(schema, group, place)
        self._inner(schema, group, place)

    def _names(self, schema: Schema, group: Group, place: str) -> None:
        for number, name in enumerate(schema.get("required", ())):
            self._name(name, group, join(place, "required", number))
        for name, others in schema.get("dependentRequired", {}).items():
            for one in (name, *others):
                self._name(one, group, join(place, "dependentRequired", name))
        for name, inner in schema.get("properties", {}).items():
            where = join(place, "properties", name)
            member = self._name(name, group, where)
            if isinstance(member, Group):
                self.look(inner, member, where)

    def _inner(self, schema: Schema, group: Group, place: str) -> None:
        for word in _INNER & schema.keys():
            value, where = schema[word], join(place, word)
            if word == "dependentSchemas":
                for name, inner in value.items():
                    self._name(name, group, join(where, name))
                    self.look(inner, group, join(where, name))
            elif isinstance(value, list):
                for number, inner in enumerate(value):
                    self.look(inner, group, join(where, number))
            elif word != "propertyNames":
                self.look(value, group, where)

    def _name(self, name: str, group: Group, place: str) -> object:
        member = group.members.get(name)
        if member is None:
            self._faults.add(place, f"a condition about `{name}`, which is none of the `properties`")
        elif isinstance(member, Nested):
            self._faults.add(place, f"a condition about the list `{name}` looks into rows of their own")
        return member
