"""TypeScript types of the trees that a contract describes, as the client reads them: defaults resolved.

`npx sharelite types` writes the very same text without Python (client-js/src/tools/typescript.ts); tests compare both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .canonical import canonical
from .column import Column, takes_any
from .contract import Contract
from .document import Document
from .places import Faults, Schema
from .shape import Group, Nested
from .table import Table

_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_SCALARS = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_DEEPEST = 8


def types(contract: Contract) -> str:
    """The text of a module: an interface for each part and each item of a nested list, and one for the whole."""
    return "\n".join(_Writer(contract).lines()) + "\n"


class _Writer:
    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._document = Document(contract.document, "")
        self._names: dict[str, str] = {}
        for name in contract.tables:
            self._names[name] = self._fresh(name)

    def lines(self) -> Iterator[str]:
        name = canonical(self._contract.name or self._contract.document.get("title", "a contract"))
        yield f"// Made by sharelite from {name} ({self._contract.hash[:12]}). Do not edit."
        for table in self._contract.tables.values():
            yield ""
            yield from _comment(table.root.schema, "")
            yield f"export interface {self._names[table.name]} {{"
            if table.hidden_key:
                yield "  /** Chosen by whoever writes the item. */"
                yield f"  {'_id: string' if table.own == ('_id',) else '_key: number | bigint'};"
            yield from self._members(table, table.root, "  ")
            yield "}"
        yield ""
        yield "/** The whole project. */"
        yield "export interface Project {"
        for table in self._contract.tables.values():
            if table.parent is None:
                yield f"  {_property(table.name)}: {self._names[table.name]}{'' if table.singleton else '[]'};"
        yield "}"

    def _fresh(self, name: str) -> str:
        words = re.findall(r"[^\W_]+", name) or ["Part"]
        pascal = "".join(word[0].upper() + word[1:] for word in words)
        pascal = pascal if _WORD.fullmatch(pascal) and pascal != "Project" else f"Part{pascal}"
        taken = {*self._names.values()}
        return next(one for one in (pascal, *(f"{pascal}{n}" for n in range(2, 9_999))) if one not in taken)

    def _members(self, table: Table, group: Group, indent: str) -> Iterator[str]:
        for name, member in group.members.items():
            if isinstance(member, Column):
                yield from _comment(member.schema, indent)
                always = member.required or member.default is not None or member.name in table.own
                yield f"{indent}{_property(name)}{'' if always else '?'}: {self._column(member)};"
            elif isinstance(member, Nested):
                yield f"{indent}{_property(name)}: {self._names[member.table]}[];"
            else:
                yield from _comment(member.schema, indent)
                yield f"{indent}{_property(name)}{'?' if member.sparse else ''}: {{"
                yield from self._members(table, member, indent + "  ")
                yield f"{indent}}};"

    def _column(self, column: Column) -> str:
        """NULL reads as null only where the property is required; elsewhere it is absent."""
        schema = column.schema
        if column.nullable and not column.required:
            schema = {**schema, "type": [kind for kind in schema["type"] if kind != "null"]}
        return self._type(schema, 0)

    def _type(self, schema: Any, depth: int) -> str:
        """A JSON Schema as a type; `unknown` where a type cannot say it."""
        found, _ = self._document.follow(schema, "", Faults())
        if depth > _DEEPEST:
            return "unknown"
        if takes_any(found):
            return "string | number | bigint | Uint8Array"
        if "const" in found or "enum" in found:
            values = found.get("enum", [found.get("const")])
            return " | ".join(map(canonical, values))
        for word in ("oneOf", "anyOf"):
            if "type" not in found and word in found:
                return " | ".join(dict.fromkeys(self._type(one, depth + 1) for one in found[word]))
        said = found.get("type", [])
        kinds = [said] if isinstance(said, str) else said
        return " | ".join(dict.fromkeys(self._kind(kind, found, depth) for kind in kinds)) or "unknown"

    def _kind(self, kind: str, schema: Schema, depth: int) -> str:
        if kind == "array":
            return self._array(schema, depth)
        return self._object(schema, depth) if kind == "object" else _SCALARS[kind]

    def _array(self, schema: Schema, depth: int) -> str:
        first = [self._type(item, depth + 1) for item in schema.get("prefixItems", [])]
        rest = schema.get("items", True)
        if not first:
            return f"({self._type(rest, depth + 1)})[]" if rest is not False else "[]"
        optional = [text + "?" if number >= schema.get("minItems", 0) else text for number, text in enumerate(first)]
        return f"[{', '.join([*optional, *([] if rest is False else [f'...({self._type(rest, depth + 1)})[]'])])}]"

    def _object(self, schema: Schema, depth: int) -> str:
        wanted = set(schema.get("required", ()))
        members = [
            f"{_property(name)}{'' if name in wanted else '?'}: {self._type(inner, depth + 1)}"
            for name, inner in schema.get("properties", {}).items()
        ]
        if not members:
            more = schema.get("additionalProperties", True)
            return f"{{ [property: string]: {self._type(more, depth + 1) if isinstance(more, dict) else 'unknown'} }}"
        if schema.get("additionalProperties", True) is not False or "patternProperties" in schema:
            members.append("[property: string]: unknown")
        return f"{{ {'; '.join(members)} }}"


def _property(name: str) -> str:
    return name if _WORD.fullmatch(name) and name.isascii() else canonical(name)


def _comment(schema: Schema, indent: str) -> Iterator[str]:
    said = [schema[word] for word in ("title", "description") if isinstance(schema.get(word), str)]
    text = " ".join(": ".join(said).split()).replace("*/", "* /")
    default = canonical(schema["default"]) if "default" in schema else ""
    sentence = f"{text}." if text and default and text[-1] not in ".!?" else text
    shown = " ".join(filter(None, [sentence, f"Default: {default}." if default else ""])).replace("*/", "* /")
    if shown:
        yield f"{indent}/** {shown} */"
