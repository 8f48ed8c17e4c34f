"""From the schema of a row to its columns: objects become columns with dotted names, arrays of objects child tables.

The rules are those of the design's section 7; every place that cannot be told in columns is refused with its pointer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .column import SCALARS, Column, WrongValue, column_type
from .document import Document
from .graph import Graph
from .places import Faults, Schema, join

#: Keywords of an object that look at several of its properties at once.
ACROSS = frozenset(
    "allOf anyOf oneOf not if then else dependentRequired dependentSchemas minProperties maxProperties propertyNames "
    "const enum".split()
)
LOOKS_IN = frozenset("allOf anyOf oneOf not if then else enum const".split())
CLOSED = "with `properties` of their own and no others, that do not contain themselves"


@dataclass(frozen=True, slots=True)
class Nested:
    """A list inside a row: the rows of a child table."""

    path: tuple[str, ...]
    table: str
    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """An object that is flattened; the row itself is the outermost one.

    `sparse`: it is absent as long as all its leaves are NULL, because one of them is required and has no default.
    """

    path: tuple[str, ...]
    schema: Schema
    place: str
    required: bool
    members: dict[str, Column | Group | Nested] = field(default_factory=dict)

    @property
    def leaves(self) -> list[Column]:
        return [leaf for member in self.members.values() for leaf in _leaves(member)]

    @property
    def lists(self) -> list[Nested]:
        return [found for member in self.members.values() for found in _lists(member)]

    @property
    def groups(self) -> list[Group]:
        """Every object at or below this one."""
        inner = [member for member in self.members.values() if isinstance(member, Group)]
        return [self, *(found for group in inner for found in group.groups)]

    @property
    def sparse(self) -> bool:
        needed = any(leaf.required and leaf.default is None for leaf in self.leaves)
        return bool(self.path) and not self.required and needed


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one table, before keys and references are read. `schema` is the list's (a singleton's own)."""

    name: str
    schema: Schema
    place: str
    root: Group
    sql: Schema
    parent: str | None
    singleton: bool
    path: tuple[str, ...] = ()


class Shaper:
    """Reads the parts of a document. `used` are the places whose x-sql has been taken into account."""

    def __init__(self, document: Document, graph: Graph, faults: Faults) -> None:
        self._document, self._graph, self._faults = document, graph, faults
        self.used: set[str] = set()

    def parts(self) -> Iterator[Rows]:
        """Every table of the contract, parents before children."""
        properties = self._document.value.get("properties", {})
        self._check_names(properties, "/properties", tables=True)
        for name, schema in properties.items():
            place = join("/properties", name)
            found, where = self._follow(schema, place)
            if found.get("type") == "array":
                yield from self._table(name, found, where, None, ())
            elif found.get("type") == "object":
                yield from self._singleton(name, found, where)
            else:
                self._faults.add(place, "a part is an array of objects (a table) or an object (a single row)")

    def _follow(self, schema: Any, place: str) -> tuple[Schema, str]:
        """What a place says with its references followed. The x-sql on the way counts as read."""
        current, here = schema, place
        while isinstance(current, dict):
            self.used.add(join(here, "x-sql"))
            if "$ref" not in current:
                break
            here = self._document.target(current["$ref"])
            current = self._document.at(here)
        return self._document.follow(schema, place, self._faults)

    def _singleton(self, name: str, schema: Schema, place: str) -> Iterator[Rows]:
        if not self._flattens(schema, place):
            self._faults.add(place, f"a single row is an object {CLOSED}")
            return
        children: list[Rows] = []
        root = self._group((), schema, place, True, name, children)
        yield Rows(name, schema, place, root, schema.get("x-sql", {}), None, True)
        yield from children

    def _table(
        self, name: str, schema: Schema, place: str, parent: str | None, path: tuple[str, ...]
    ) -> Iterator[Rows]:
        items, where = self._follow(schema.get("items", {}), join(place, "items"))
        if "prefixItems" in schema or not self._flattens(items, where):
            self._faults.add(where, f"the rows of a table are objects {CLOSED}")
            return
        if schema.get("default", []) != []:
            self._faults.add(join(place, "default"), "a list starts empty; it cannot have a default")
        for keyword in sorted(schema.keys() & LOOKS_IN):
            self._faults.add(join(place, keyword), f"`{keyword}` looks into a list, whose items are rows of their own")
        children: list[Rows] = []
        root = self._group((), items, where, True, name, children)
        sql = {**items.get("x-sql", {}), **schema.get("x-sql", {})}
        yield Rows(name, schema, place, root, sql, parent, False, path)
        yield from children

    def _flattens(self, schema: Schema, place: str) -> bool:
        if schema.get("type") != "object" or "properties" not in schema or "patternProperties" in schema:
            return False
        return schema.get("additionalProperties", False) is False and place not in self._graph.recursive

    def _group(
        self, path: tuple[str, ...], schema: Schema, place: str, required: bool, table: str, children: list[Rows]
    ) -> Group:
        group = Group(path, schema, place, required)
        self._check_names(schema["properties"], join(place, "properties"))
        if path and schema.get("default", {}) != {}:
            self._faults.add(join(place, "default"), "give the defaults to the properties of this object")
        wanted = set(schema.get("required", ()))
        for name, inner in schema["properties"].items():
            found, where = self._follow(inner, join(place, "properties", name))
            member = self._member((*path, name), found, where, name in wanted, table, children)
            group.members[name] = member
        for name in sorted(wanted - schema["properties"].keys()):
            self._faults.add(join(place, "required"), f"`{name}` is required, but it is none of the `properties`")
        if group.sparse and group.lists:
            message = "an object that may be absent cannot hold a list: require it, or give all it requires a default"
            self._faults.add(place, message)
        return group

    def _member(
        self, path: tuple[str, ...], schema: Schema, place: str, required: bool, table: str, children: list[Rows]
    ) -> Column | Group | Nested:
        if self._flattens(schema, place):
            return self._group(path, schema, place, required, table, children)
        if schema.get("type") == "array" and self._is_table(schema, place):
            name = f"{table}.{'.'.join(path)}"
            children.extend(self._table(name, schema, place, table, path))
            return Nested(path, name, schema.get("minItems", 0), schema.get("maxItems"))
        return self._column(path, schema, place, required)

    def _is_table(self, schema: Schema, place: str) -> bool:
        if "prefixItems" in schema or not isinstance(schema.get("items"), dict) or place in self._graph.recursive:
            return False
        return self._flattens(*self._document.follow(schema["items"], join(place, "items"), self._faults))

    def _column(self, path: tuple[str, ...], schema: Schema, place: str, required: bool) -> Column:
        said = schema.get("type", [])
        kinds = frozenset([said] if isinstance(said, str) else said)
        if "type" not in schema and schema.keys() & {"enum", "const"}:
            self._faults.add(place, "say the `type` of these values: it decides how the column keeps them")
        if "boolean" in kinds and kinds & {"integer", "number"}:
            self._faults.add(join(place, "type"), "a boolean and a number cannot share a column")
        form = column_type(kinds - {"null"}, schema)
        plain = kinds - {"null"} if kinds - {"null"} <= SCALARS else frozenset({"json"})
        bare = Column(".".join(path), path, *form, plain, schema, place, "null" in kinds, required)
        return self._with_default(bare)

    def _with_default(self, column: Column) -> Column:
        if "default" not in column.schema or column.schema["default"] is None and column.nullable:
            return column
        where, value = join(column.place, "default"), column.schema["default"]
        if column.nullable:
            self._faults.add(where, "a property that may be null cannot have another default")
            return column
        try:
            stored = column.from_tree(value)
        except WrongValue as problem:
            self._faults.add(where, str(problem))
            return column
        if stored is None:
            self._faults.add(where, "null is no value of this property")
        return Column(
            column.name, column.path, column.type, column.form, column.kinds, column.schema, column.place,
            column.nullable, column.required, stored,
        )  # fmt: skip

    def _check_names(self, properties: Schema, place: str, tables: bool = False) -> None:
        seen: dict[str, str] = {}
        for name, schema in properties.items():
            where = join(place, name)
            listed = tables or (isinstance(schema, dict) and schema.get("type") == "array")
            reason = _unfit(name, listed)
            if reason:
                self._faults.add(where, reason)
            twin = seen.setdefault(name.lower(), name)
            if twin != name:
                self._faults.add(where, f"{name!r} and {twin!r} are equal but for case, which SQL does not see")


def _unfit(name: str, table: bool) -> str | None:
    if not name or len(name.encode("utf-8", "replace")) > 128:
        return "a name has 1 to 128 bytes"
    if "." in name:
        return "a name cannot contain a dot: dots join the names of nested properties"
    if name.startswith("_"):
        return "names that begin with _ are kept for columns and tables of the house"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return "a name cannot contain control characters"
    if table and name.lower().startswith("sqlite_"):
        return "names that begin with sqlite_ are kept for SQLite"
    if table and name.lower().endswith("_full"):
        return "names that end in _full are kept for the views with defaults"
    return None


def _leaves(member: Column | Group | Nested) -> list[Column]:
    if isinstance(member, Column):
        return [member]
    return member.leaves if isinstance(member, Group) else []


def _lists(member: Column | Group | Nested) -> list[Nested]:
    if isinstance(member, Nested):
        return [member]
    return member.lists if isinstance(member, Group) else []
