"""GeoJSON (RFC 7946) as the rows of a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..schema.column import Column
from ..schema.table import Table
from .faults import DocumentFault, Trees
from .jsontext import put, read

#: Where a point's coordinates may go: the last names of two columns (and a third for the height).
POINTS = (("lon", "lat"), ("lng", "lat"), ("longitude", "latitude"), ("x", "y"))
HEIGHTS = ("altitude", "elevation", "height", "alt", "z")
GEOMETRIES = ("geometry", "geom", "shape", "the_geom")


def rows(content: bytes, table: Table, faults: list[DocumentFault]) -> Trees:
    document = read(content, faults)
    if faults:
        return
    if isinstance(document, dict) and document.get("type") == "Feature":
        document = {"features": [document]}
    yield from features(document, table, faults)


def features(document: Any, table: Table, faults: list[DocumentFault]) -> Trees:
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list):
        faults.append(DocumentFault("/", "GeoJSON is needed: a FeatureCollection, or a Feature"))
        return
    home = _Home(table)
    for number, feature in enumerate(features):
        place = f"/features/{number}"
        if not isinstance(feature, dict):
            faults.append(DocumentFault(place, "a feature is an object"))
            continue
        try:
            yield place, home.tree(feature)
        except ValueError as problem:
            faults.append(DocumentFault(place, str(problem)))


class _Home:
    """Where a table keeps what a feature says: properties by their names, a point in two columns, any other geometry
    as its JSON value."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._names = {column.origin.lower(): column for column in table.properties}
        self._names |= {column.name.lower(): column for column in table.properties}
        self._point = self._found_point()
        self._geometry = next((self._names[name] for name in GEOMETRIES if name in self._names), None)
        key = [table.columns[name] for name in table.own]
        self._id = key[0] if len(key) == 1 and key[0].path else None

    def tree(self, feature: Mapping[str, Any]) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise ValueError("`properties` is an object")
        for name, value in properties.items():
            column = self._names.get(name.lower())
            if column is not None and value is not None:
                put(tree, column.path, value)
        if "id" in feature and self._id is not None and self._id.path[0] not in tree:
            known = feature["id"]
            put(tree, self._id.path, str(known) if self._id.type == "TEXT" else known)
        if feature.get("geometry") is not None:
            self._place(tree, feature["geometry"])
        return tree

    def _place(self, tree: dict[str, Any], geometry: Any) -> None:
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        if kind == "Point" and self._point is not None:
            at = geometry.get("coordinates")
            if not isinstance(at, list) or len(at) < 2:
                raise ValueError("a point has two or three coordinates")
            for column, value in zip(self._point, at, strict=False):
                put(tree, column.path, value)
        elif self._geometry is not None:
            value = geometry if self._geometry.form == "json" else json.dumps(geometry, separators=(",", ":"))
            put(tree, self._geometry.path, value)
        else:
            needed = "two numbers such as lon and lat" if kind == "Point" else "a property `geometry` of any JSON value"
            raise ValueError(f"{self._table.name} has no place for a {kind}: {needed}")

    def _found_point(self) -> tuple[Column, ...] | None:
        numbers = {column.name.lower(): column for column in self._table.properties if column.type == "REAL"}
        for first, second in POINTS:
            for name, column in numbers.items():
                above = name.removesuffix(first)
                if name == above + first and above + second in numbers and above[-1:] in ("", "."):
                    heights = [numbers[above + word] for word in HEIGHTS if above + word in numbers]
                    return (column, numbers[above + second], *heights[:1])
        return None
