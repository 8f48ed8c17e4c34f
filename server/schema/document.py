"""The JSON document of a contract: limits of size and depth, and local references. Nothing is ever fetched."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from .canonical import NotJson, canonical
from .places import Faults, Schema, join, steps

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32

#: What stands beside a `$ref` and may differ from what it names: the outer one wins.
ANNOTATIONS = frozenset(
    "title description default examples deprecated readOnly writeOnly $comment format x-sql".split()
)
#: What decides the shape of a table; saying it twice differently has no meaning as columns.
STRUCTURE = frozenset(
    {"type", "properties", "additionalProperties", "patternProperties", "items", "prefixItems", "contentEncoding"}
)


class Document:
    """A contract's document whose size and depth are known to be within the limits."""

    def __init__(self, value: Schema, text: str) -> None:
        self.value, self.text = value, text

    @classmethod
    def admit(cls, value: Any) -> Document:
        """Raises ContractInvalid if it is too large, too deep or not a JSON object."""
        faults = Faults()
        if not isinstance(value, dict):
            faults.add("", f"a contract is a JSON object, not {type(value).__name__}")
            faults.raise_any()
        _measure(value, faults)
        faults.raise_any()
        try:
            text = canonical(value)
        except NotJson as problem:
            faults.add("", str(problem))
            faults.raise_any()
        if len(text.encode()) > MAX_BYTES:
            faults.add("", f"the contract has {len(text.encode()):,} bytes, the limit is {MAX_BYTES:,}")
            faults.raise_any()
        return cls(value, text)

    def at(self, pointer: str) -> Any:
        """What is at a JSON pointer. Raises KeyError."""
        value: Any = self.value
        for step in steps(pointer):
            if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
                value = value[int(step)]
            elif isinstance(value, dict) and step in value:
                value = value[step]
            else:
                raise KeyError(pointer)
        return value

    def target(self, ref: str) -> str:
        """The pointer that a `$ref` names. Raises ValueError with the reason."""
        if not ref.startswith("#"):
            raise ValueError(f"{ref!r} is not in this document; references to other places are never fetched")
        pointer = unquote(ref[1:])
        if pointer and not pointer.startswith("/"):
            raise ValueError(f"{ref!r} names an anchor; write a JSON pointer such as #/$defs/name")
        try:
            found = self.at(pointer)
        except KeyError:
            raise ValueError(f"{ref!r} names nothing in this document") from None
        if not isinstance(found, dict | bool):
            raise ValueError(f"{ref!r} does not name a schema")
        return pointer

    def follow(self, schema: Any, pointer: str, faults: Faults) -> tuple[Schema, str]:
        """A schema with its `$ref`s followed, and the pointer of the last one. What stands beside a `$ref` is added.

        References are known to lead somewhere and not in a circle (graph.py).
        """
        beside: Schema = {}
        here = pointer
        while isinstance(schema, dict) and "$ref" in schema:
            own = {name: value for name, value in schema.items() if name != "$ref"}
            beside = _both(own, beside, here, faults)
            here = self.target(schema["$ref"])
            schema = self.at(here)
        base = schema if isinstance(schema, dict) else ({} if schema else {"not": {}})
        return _both(base, beside, here, faults) if beside else base, here


def _both(inner: Schema, outer: Schema, pointer: str, faults: Faults) -> Schema:
    """A schema that asks for what both ask for; annotations of the outer one win."""
    merged, also = dict(inner), {}
    for name, value in outer.items():
        if name == "x-sql" and name in inner:
            merged[name] = {**inner[name], **value}
        elif name == "required":
            merged[name] = list(dict.fromkeys([*inner.get(name, []), *value]))
        elif name not in inner or name in ANNOTATIONS or name.startswith("x-") or inner[name] == value:
            merged[name] = value
        elif name in STRUCTURE:
            faults.add(join(pointer, name), f"`{name}` is said both here and beside a $ref to it, and differs")
        else:
            also[name] = value
    if also:
        merged["allOf"] = [*merged.get("allOf", []), also]
    return merged


def _measure(root: Schema, faults: Faults) -> None:
    """Depth and rough size without recursion, so that neither 10,000 levels nor 50 MB cost more than a look."""
    size = 0
    waiting: list[tuple[Any, str, int]] = [(root, "", 1)]
    while waiting:
        value, pointer, depth = waiting.pop()
        if depth > MAX_DEPTH:
            faults.add(pointer, f"more than {MAX_DEPTH} objects and arrays inside each other")
            return
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            size += sum(len(text) if isinstance(text, str) else 1 for text in (name, item))
            if size > MAX_BYTES:
                faults.add("", f"the contract has more than {MAX_BYTES:,} bytes")
                return
            if isinstance(item, dict | list):
                waiting.append((item, join(pointer, name), depth + 1))
