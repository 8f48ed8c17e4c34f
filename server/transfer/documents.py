"""Documents of other programs as rows of a table: CSV, JSON, NDJSON, GeoJSON, or a whole project as its tree.

Plain: bytes in, row operations out, each fault with the line or place where it stands. Who sends them is commands/.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ..errors import Refused, ShareliteError
from ..model import Key, Row
from ..schema.column import Column, WrongValue
from ..schema.contract import Contract
from ..schema.plain import plain_name
from ..schema.table import Table
from ..schema.tree import flatten
from ..sync import wire
from . import commas

Form = Literal["csv", "json", "ndjson", "geojson", "zip"]
FORMS: dict[str, Form] = {
    ".csv": "csv",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".geojson": "geojson",
    ".zip": "zip",
}
MOST_FAULTS = 20
#: Bytes of all files of an archive.
MOST_UNPACKED = 4 << 30
#: Where a point's coordinates may go: the last names of two columns (and a third for the height).
POINTS = (("lon", "lat"), ("lng", "lat"), ("longitude", "latitude"), ("x", "y"))
HEIGHTS = ("altitude", "elevation", "height", "alt", "z")
GEOMETRIES = ("geometry", "geom", "shape", "the_geom")


class DocumentFault(Struct, frozen=True):
    """One thing that is wrong, and where: `line 7`, `/3/name`."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class DocumentInvalid(ShareliteError):
    """A document that does not fit; nothing of it has been sent."""

    code = "invalid"

    def __init__(self, faults: Sequence[DocumentFault]) -> None:
        self.places = tuple(faults)

    def __str__(self) -> str:
        more = len(self.places) - MOST_FAULTS
        shown = "\n  ".join(map(str, self.places[:MOST_FAULTS]))
        return f"the document does not fit:\n  {shown}" + (f"\n  ... and {more:,} more" if more > 0 else "")


class Item(Struct, frozen=True):
    """One row of a document with its nested lists: where it stood, and the operations that write it."""

    place: str
    changes: tuple[list[Any], ...]
    size: int


class NewIds(Struct, frozen=True):
    """Hidden keys for rows that bring none."""

    text: Callable[[], str]
    number: Callable[[], int]


def items(content: bytes, form: Form, contract: Contract, table: str | None, op: str, new: NewIds) -> list[Item]:
    """The rows of a document for one table, or (without a table) of a whole tree, parents first, every one of them
    checked. `op`: `i` inserts, `s` also updates. Raises DocumentInvalid."""
    faults: list[DocumentFault] = []
    if table is None:
        whole = _archive if form == "zip" else _tree
        found = list(whole(content, contract, op, new, faults))
    else:
        chosen = _chosen(contract, table, form)
        trees = READERS[form](content, chosen, faults)
        found = [item for place, tree in trees if (item := _item(contract, chosen, place, tree, op, new, faults))]
    if faults:
        raise DocumentInvalid(faults)
    return found


def _chosen(contract: Contract, name: str, form: Form) -> Table:
    """CSV has columns for the place of a row in a list; in the other forms lists stand inside of their rows."""
    table = contract.tables.get(name)
    if table is None or (table.parent is not None and form != "csv"):
        tops = ", ".join(each.name for each in contract.tables.values() if each.parent is None)
        raise DocumentInvalid([DocumentFault("--table", f"the contract has no table {name!r}; it has {tops}")])
    return table


def _item(
    contract: Contract, table: Table, place: str, tree: Any, op: str, new: NewIds, faults: list[DocumentFault]
) -> Item | None:
    """Flatten and check one tree."""
    start = _taken(table, tree)
    try:
        rows = flatten(contract.tables, table.name, tree, new.text, new.number, start)
    except Refused as refused:
        faults += [DocumentFault(_joined(place, fault.pointer), fault.message) for fault in refused.errors]
        return None
    before = len(faults)
    changes = []
    for name, mine in rows.items():
        for row in mine:
            faults += [
                DocumentFault(_joined(place, fault.pointer), fault.message)
                for fault in contract.tables[name].check(row, None)
            ]
            changes.append(_change(contract.tables[name], row, op))
    if len(faults) > before:
        return None
    return Item(place, tuple(changes), len(msgspec.json.encode(changes)))


def _taken(table: Table, tree: Any) -> Row:
    """What only CSV has: the columns that say in which list of which parent a row stands."""
    if table.parent is None or not isinstance(tree, dict):
        return {}
    hidden = [name for name, column in table.columns.items() if not column.path and name not in table.own]
    return {name: tree.pop(name) for name in hidden if name in tree}


def _joined(place: str, pointer: str | None) -> str:
    inner = "" if pointer in (None, "/") else str(pointer)
    return place + inner if place.startswith("/") else f"{place}, {inner}" if inner else place


def _change(table: Table, row: Row, op: str) -> list[Any]:
    key: Key = tuple(row[name] for name in table.key)
    rest = {name: value for name, value in row.items() if name not in table.key}
    how = "u" if table.singleton else op
    return [how, table.name, wire.encode_key(key), wire.encode_row(rest, table.types)]


# A whole tree.


def _tree(content: bytes, contract: Contract, op: str, new: NewIds, faults: list[DocumentFault]) -> Iterator[Item]:
    document = _json(content, faults)
    if not isinstance(document, dict):
        faults.append(DocumentFault("/", "a whole project is an object of its parts; for a list of rows say --table"))
        return
    for name in document:
        if name not in contract.tables or contract.tables[name].parent is not None:
            faults.append(DocumentFault(f"/{name}", "the contract has no such part"))
    for table in _parents_first(contract):
        value = document.get(table.name)
        if value is None:
            continue
        if table.singleton:
            item = _item(contract, table, f"/{table.name}", value, op, new, faults)
            if item is not None:
                yield item
        elif not isinstance(value, list):
            faults.append(DocumentFault(f"/{table.name}", "a table is a list of rows"))
        else:
            for number, row in enumerate(value):
                item = _item(contract, table, f"/{table.name}/{number}", row, op, new, faults)
                if item is not None:
                    yield item


def _archive(content: bytes, contract: Contract, op: str, new: NewIds, faults: list[DocumentFault]) -> Iterator[Item]:
    """The tables of a ZIP archive of CSV files, which are named as an export names them."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as problem:
        faults.append(DocumentFault("the archive", str(problem)))
        return
    files = dict(zip(contract.tables, commas.file_names(map(plain_name, contract.tables.values())), strict=True))
    there = {info.filename: info for info in archive.infolist()}
    faults += [DocumentFault(name, "the contract has no such table") for name in there.keys() - set(files.values())]
    if sum(info.file_size for info in there.values()) > MOST_UNPACKED:
        faults.append(DocumentFault("the archive", f"holds more than {MOST_UNPACKED >> 20:,} MiB"))
        return
    nested = [table for table in contract.tables.values() if table.parent is not None]
    for table in [*_parents_first(contract), *nested]:
        file = files[table.name]
        if file not in there:
            continue
        for place, tree in _from_csv(archive.read(file), table, faults):
            item = _item(contract, table, f"{file}, {place}", tree, op, new, faults)
            if item is not None:
                yield item


def _parents_first(contract: Contract) -> list[Table]:
    """The tables of the top in such an order that references lead backwards, as far as they form no circle."""
    done: dict[str, Table] = {}

    def visit(table: Table, above: tuple[str, ...]) -> None:
        if table.name in done or table.name in above:
            return
        nested = [each for each in contract.tables.values() if each.name.startswith(table.name + ".")]
        for link in [link for each in (table, *nested) for link in each.links]:
            top = contract.tables[link.table.split(".")[0]]
            visit(top, (*above, table.name))
        done[table.name] = table

    for table in contract.tables.values():
        if table.parent is None:
            visit(table, ())
    return list(done.values())


# Rows of one table.

_Trees = Iterator[tuple[str, Any]]


def _json(content: bytes, faults: list[DocumentFault]) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_no_number)
    except UnicodeDecodeError as problem:
        faults.append(DocumentFault(f"byte {problem.start}", "is not UTF-8 text"))
    except json.JSONDecodeError as problem:
        faults.append(DocumentFault(f"line {problem.lineno}, column {problem.colno}", problem.msg))
    except (ValueError, RecursionError) as problem:
        faults.append(DocumentFault("the document", str(problem)))
    return None


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _from_json(content: bytes, table: Table, faults: list[DocumentFault]) -> _Trees:
    document = _json(content, faults)
    if faults:
        return
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        yield from _features(document, table, faults)
    elif table.singleton:
        yield "/", document
    elif isinstance(document, list):
        yield from ((f"/{number}", row) for number, row in enumerate(document))
    else:
        faults.append(DocumentFault("/", "a list of rows is needed; a whole project goes without --table"))


def _from_lines(content: bytes, table: Table, faults: list[DocumentFault]) -> _Trees:
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", json.loads(line.decode(), parse_constant=_no_number)
        except (ValueError, RecursionError) as problem:
            faults.append(DocumentFault(f"line {number}", str(problem)))


def _from_csv(content: bytes, table: Table, faults: list[DocumentFault]) -> _Trees:
    """A line of names, which may be dotted; what is empty is absent."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        faults.append(DocumentFault(f"line {content.count(10, 0, problem.start) + 1}", "is not UTF-8 text"))
        return
    names: list[str] | None = None
    columns: list[Column | None] = []
    try:
        for number, cells in commas.read(text):
            if names is None:
                names = [cell.text for cell in cells]
                columns = _columns(table, names, faults)
                continue
            place = f"line {number}"
            if cells == [NOTHING] and not _says_something(columns):
                continue
            if len(cells) != len(names):
                faults.append(DocumentFault(place, f"has {len(cells)} values, the first line has {len(names)} names"))
                continue
            yield place, _from_cells(columns, cells, place, faults)
    except commas.NoCommas as problem:
        faults.append(DocumentFault(f"line {problem.line}", problem.message))
    if names is None:
        faults.append(DocumentFault("line 1", "the names of the columns are needed"))


NOTHING = commas.Cell("", False)


def _says_something(columns: Sequence[Column | None]) -> bool:
    """Whether an empty line is a row: one whose only value is NULL."""
    return len(columns) == 1 and columns[0] is not None and not columns[0].required


def _columns(table: Table, names: Sequence[str], faults: list[DocumentFault]) -> list[Column | None]:
    known = {column.origin: column for column in table.columns.values()} | dict(table.columns)
    found = [known.get(name) or known.get(name.strip()) for name in names]
    for name, column in zip(names, found, strict=True):
        if column is None:
            faults.append(DocumentFault("line 1", f"{table.name} has no property {name!r}; it has {', '.join(known)}"))
    return found


def _from_cells(
    columns: Sequence[Column | None], cells: Sequence[commas.Cell], place: str, faults: list[DocumentFault]
) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=True):
        if column is None or (cell.text == "" and not (cell.in_quotes and _may_be_empty(column))):
            continue
        try:
            _put(tree, column.path or (column.name,), _from_cell(column, cell))
        except (ValueError, WrongValue) as problem:
            faults.append(DocumentFault(f"{place}, {column.pointer}", str(problem)))
    return tree


def _put(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for step in path[:-1]:
        tree = tree.setdefault(step, {})
    tree[path[-1]] = value


def _may_be_empty(column: Column) -> bool:
    return column.form == "base64" or _takes_text(column)


def _takes_text(column: Column) -> bool:
    if column.form == "plain":
        return column.type == "TEXT" or "string" in column.kinds
    return column.form == "any"


def _from_cell(column: Column, cell: commas.Cell) -> Any:
    """A cell of CSV as the value that the column takes. Raises ValueError."""
    text = cell.text
    if column.form == "base64" or (column.form == "plain" and column.type == "TEXT"):
        return text
    if column.form == "boolean":
        if text.lower() not in BOOLEANS:
            raise ValueError(f"true or false is needed, not {text[:80]!r}")
        return BOOLEANS[text.lower()]
    if column.form == "json":
        return json.loads(text, parse_constant=_no_number)
    if cell.in_quotes and _takes_text(column):
        return text
    if column.form == "any" and (found := commas.bytes_of(cell)) is not None:
        return found
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if _takes_text(column):
        return text
    raise ValueError(f"a number is needed, not {text[:80]!r}")


BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


# GeoJSON (RFC 7946).


def _from_geojson(content: bytes, table: Table, faults: list[DocumentFault]) -> _Trees:
    document = _json(content, faults)
    if faults:
        return
    if isinstance(document, dict) and document.get("type") == "Feature":
        document = {"features": [document]}
    yield from _features(document, table, faults)


def _features(document: Any, table: Table, faults: list[DocumentFault]) -> _Trees:
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
                _put(tree, column.path, value)
        if "id" in feature and self._id is not None and self._id.path[0] not in tree:
            known = feature["id"]
            _put(tree, self._id.path, str(known) if self._id.type == "TEXT" else known)
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
                _put(tree, column.path, value)
        elif self._geometry is not None:
            value = geometry if self._geometry.form == "json" else json.dumps(geometry, separators=(",", ":"))
            _put(tree, self._geometry.path, value)
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


READERS: dict[str, Callable[[bytes, Table, list[DocumentFault]], _Trees]] = {
    "csv": _from_csv,
    "json": _from_json,
    "ndjson": _from_lines,
    "geojson": _from_geojson,
}


def batches(found: Sequence[Item], most: int, most_bytes: int) -> Iterator[list[Item]]:
    """Items as mutations: at most so many changes and bytes in one, at least one item."""
    some: list[Item] = []
    changes = size = 0
    for item in found:
        if some and (changes + len(item.changes) > most or size + item.size > most_bytes):
            yield some
            some, changes, size = [], 0, 0
        some.append(item)
        changes, size = changes + len(item.changes), size + item.size
    if some:
        yield some


def places(some: Iterable[Item], faults: Sequence[Mapping[str, Any]]) -> list[DocumentFault]:
    """What a server refused, by the places of the document."""
    known = {(change[1], msgspec.json.encode(change[2])): item.place for item in some for change in item.changes}
    out = []
    for fault in faults:
        place = known.get((fault.get("table"), msgspec.json.encode(fault.get("key"))), "")
        out.append(DocumentFault(_joined(place, fault.get("pointer")) or "the server", str(fault.get("message"))))
    return out
