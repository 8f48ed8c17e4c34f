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

from ..errors import Refused
from ..model import Key, Row
from ..schema.contract import Contract
from ..schema.plain import plain_name
from ..schema.table import Table
from ..schema.tree import flatten
from ..sync import wire
from . import commas, csvrows, geojson, jsontext
from .faults import DocumentFault, DocumentInvalid, Trees

Form = Literal["csv", "json", "ndjson", "geojson", "zip"]
FORMS: dict[str, Form] = {
    ".csv": "csv",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".geojson": "geojson",
    ".zip": "zip",
}
#: Bytes of all files of an archive.
MOST_UNPACKED = 4 << 30


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
    document = jsontext.read(content, faults)
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
        for place, tree in csvrows.rows(archive.read(file), table, faults):
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


def _rows(content: bytes, table: Table, faults: list[DocumentFault]) -> Trees:
    document = jsontext.read(content, faults)
    if faults:
        return
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        yield from geojson.features(document, table, faults)
    elif table.singleton:
        yield "/", document
    elif isinstance(document, list):
        yield from ((f"/{number}", row) for number, row in enumerate(document))
    else:
        faults.append(DocumentFault("/", "a list of rows is needed; a whole project goes without --table"))


def _lines(content: bytes, table: Table, faults: list[DocumentFault]) -> Trees:
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", json.loads(line.decode(), parse_constant=jsontext.no_number)
        except (ValueError, RecursionError) as problem:
            faults.append(DocumentFault(f"line {number}", str(problem)))


READERS: dict[str, Callable[[bytes, Table, list[DocumentFault]], Trees]] = {
    "csv": csvrows.rows,
    "json": _rows,
    "ndjson": _lines,
    "geojson": geojson.rows,
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
