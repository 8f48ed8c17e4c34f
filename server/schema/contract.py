"""A contract: the JSON Schema document that says which tables and columns a project has and what they may hold.

Parsing checks everything that can be checked before the first row; it reads no file (bundle.py) and fetches nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ContractInvalid
from .conditions import check_conditions
from .definitions import check_definitions
from .document import Document
from .graph import Graph
from .keywords import check_keywords, schemas
from .places import Faults, Schema, join
from .relations import Relations
from .shape import Shaper
from .table import Table

_TOP = frozenset(
    "$schema $id $comment $defs title description type properties required additionalProperties examples".split()
)


@dataclass(frozen=True, eq=False)
class Contract:
    """Satisfies `sync.rules.Rules`. `hash`: SHA-256 of the RFC 8785 text. `tables` has parents before children.

    `notices`: what the document asks for and does not get yet. `inferred`: nobody wrote it, so that SQL may change it.
    """

    name: str
    document: Schema
    hash: str
    tables: Mapping[str, Table]
    notices: tuple[str, ...] = ()

    @property
    def inferred(self) -> bool:
        return self._sql.get("inferred") is True

    @property
    def triggers(self) -> Mapping[str, str]:
        """Statements that make stored triggers, which run in the rehearsal and nowhere else."""
        triggers: Mapping[str, str] = self._sql.get("triggers", {})
        return triggers

    @property
    def _sql(self) -> Schema:
        sql: Schema = self.document.get("x-sql", {})
        return sql

    @classmethod
    def parse(cls, document: Any, name: str = "") -> Contract:
        """Raises ContractInvalid with every fault that can be told apart, each with its pointer."""
        admitted = Document.admit(document)
        faults = Faults()
        check_keywords(admitted, faults)
        graph = Graph(admitted, faults)
        faults.raise_any()
        graph.check(faults)
        faults.raise_any()
        tables, notices = _tables(admitted, graph, faults)
        faults.raise_any()
        for table in tables.values():
            _check_rows(table, faults)
        faults.raise_any()
        digest = hashlib.sha256(admitted.text.encode()).hexdigest()
        return cls(name, admitted.value, digest, tables, tuple(notices))


def _tables(document: Document, graph: Graph, faults: Faults) -> tuple[dict[str, Table], list[str]]:
    _check_top(document.value, faults)
    shaper = Shaper(document, graph, faults)
    relations = Relations(document.value, faults)
    shapes = list(shaper.parts())
    for rows in shapes:
        check_conditions(rows.root, document, faults)
    tables = relations.read(shapes) if not faults else {}
    for schema, pointer in schemas(document.value, ""):
        unread = "x-sql" in schema and join(pointer, "x-sql") not in shaper.used
        if unread and pointer and not pointer.startswith("/$defs/"):
            faults.add(join(pointer, "x-sql"), "x-sql has no effect here; put it on a table or on a column")
    return tables, relations.notices


def _check_top(document: Schema, faults: Faults) -> None:
    if document.get("type", "object") != "object" or not isinstance(document.get("properties"), dict):
        faults.add("", "a contract is an object whose `properties` are the parts of a project")
    if document.get("additionalProperties", False) is not False:
        faults.add("/additionalProperties", "a project has only the parts that its contract names")
    for word in sorted(document.keys() - _TOP):
        if not word.startswith("x-"):
            faults.add(join("", word), f"`{word}` at the top would look across parts, which are tables of their own")
    if "x-sql" in document:
        check_definitions(document["x-sql"], document.get("properties", {}), faults)
    for name in document.get("required", []):
        if name not in document.get("properties", {}):
            faults.add("/required", f"`{name}` is required, but it is none of the parts")


def _check_rows(table: Table, faults: Faults) -> None:
    """Defaults are valid by themselves, and the row of a single part with nothing but defaults is."""
    for column in table.properties:
        if column.default is not None:
            for fault in table.check_cell(column.name, column.default):
                faults.add(join(column.place, "default"), fault.message)
    if table.singleton:
        for fault in table.check({"_id": 1}, None):
            faults.add(table.place, f"this row starts empty, but {fault.pointer}: {fault.message}; give it a default")


__all__ = ["Contract", "ContractInvalid"]
