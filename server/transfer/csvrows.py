"""CSV as the rows of a table: a line of names, which may be dotted, and the values below it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..schema.column import Column, WrongValue
from ..schema.table import Table
from . import commas
from .faults import DocumentFault, Trees
from .jsontext import no_number, put

NOTHING = commas.Cell("", False)
BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def rows(content: bytes, table: Table, faults: list[DocumentFault]) -> Trees:
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
            put(tree, column.path or (column.name,), _from_cell(column, cell))
        except (ValueError, WrongValue) as problem:
            faults.append(DocumentFault(f"{place}, {column.pointer}", str(problem)))
    return tree


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
        return json.loads(text, parse_constant=no_number)
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
