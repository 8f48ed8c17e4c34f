"""CSV (RFC 4180) that says the same both ways: what is absent is nothing, a text in quotes is a text.

So an empty text is `""`, and where a column takes texts and numbers alike its texts always stand in quotes. SQLite
makes the lines, three times as fast as Python does from rows (measured).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apsw

from ..errors import ShareliteError
from ..schema.tables import quoted

#: Characters of text that are put together before they are written.
PIECE = 1 << 20
CELL = re.compile(r'(?:"((?:[^"]++|"")*+)"|([^",\r\n][^,\r\n]*+|))(,|\r\n|\r|\n|\Z)')
#: What a text has to stand in quotes for, as SQL says it.
SPECIAL = ("'\"'", "','", "char(10)", "char(13)")
BREAK = re.compile(r"\r\n|\r|\n")
BYTES = re.compile(r"x'((?:[0-9a-f]{2})*)'\Z")


class Cell(NamedTuple):
    """What stands between two commas, without its quotes."""

    text: str
    in_quotes: bool


class NoCommas(ShareliteError):
    """A text that is no CSV: from this line on nothing can be told apart."""

    def __init__(self, line: int, message: str) -> None:
        self.line, self.message = line, message

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class Heading(NamedTuple):
    """A column of an export. `mixed`: it takes texts and other values; `any_bytes`: bytes among them."""

    name: str
    mixed: bool
    any_bytes: bool


def written(connection: apsw.Connection, table: str, headings: Sequence[Heading]) -> Iterator[bytes]:
    """A table as CSV, in large pieces: a line of names, then its rows as they lie."""
    connection.create_scalar_function("base64", _base64, 1, deterministic=True)
    yield (",".join(map(_named, headings)) + "\r\n").encode()
    line = " || ',' || ".join(map(_cell, headings))
    rows: Iterator[Any] = connection.execute(f"SELECT '' || {line} FROM {quoted(table)} ORDER BY rowid")
    some: list[str] = []
    size = 0
    for (text,) in rows:
        some.append(text)
        size += len(text)
        if size > PIECE:
            some.append("")
            yield "\r\n".join(some).encode()
            some, size = [], 0
    if some:
        yield "\r\n".join([*some, ""]).encode()


def read(text: str) -> Iterator[tuple[int, list[Cell]]]:
    """The rows of a CSV text with the lines where they begin; a line without anything is a row of one empty cell.

    Raises NoCommas.
    """
    place, line = 0, 1
    row: list[Cell] = []
    start = 1
    while place < len(text) or row:
        match = CELL.match(text, place)
        if match is None:
            raise NoCommas(line, _wrong(text, place))
        inside, bare, end = match.groups()
        row.append(Cell(bare, False) if inside is None else Cell(inside.replace('""', '"'), True))
        line += len(BREAK.findall(inside)) if inside else 0
        place = match.end()
        if end != ",":
            yield start, row
            row, line = [], line + 1
            start = line


def file_names(names: Iterable[str]) -> list[str]:
    """Names of tables as names of CSV files: nothing that leads elsewhere, none twice."""
    taken: set[str] = set()
    out = []
    for name in names:
        plain = "".join(letter if letter.isalnum() or letter in " -_." else "_" for letter in name).strip(". ") or "_"
        chosen, number = plain, 2
        while chosen.casefold() in taken:
            chosen, number = f"{plain}_{number}", number + 1
        taken.add(chosen.casefold())
        out.append(f"{chosen}.csv")
    return out


def bytes_of(cell: Cell) -> bytes | None:
    """The bytes of a cell that is an SQL literal for them, as exports write them where texts may stand too."""
    match = None if cell.in_quotes else BYTES.match(cell.text)
    return None if match is None else bytes.fromhex(match[1])


def _wrong(text: str, place: int) -> str:
    """Only cells that begin with a quote can go wrong."""
    closed = re.compile(r'"(?:[^"]++|"")*+"').match(text, place)
    if closed is None:
        return "a quote is opened here and never closed"
    return f"a comma or the end of the line is needed behind a closing quote, not {text[closed.end()]!r}"


def _named(heading: Heading) -> str:
    special = not heading.name or any(letter in heading.name for letter in '",\r\n')
    return '"' + heading.name.replace('"', '""') + '"' if special else heading.name


def _cell(heading: Heading) -> str:
    """An expression for a cell as it stands in its line."""
    name = quoted(heading.name)
    in_quotes = f"""'"' || replace({name},'"','""') || '"'"""
    special = " OR ".join([f"{name}=''", *(f"instr({name},{letter})" for letter in SPECIAL)])
    text = in_quotes if heading.mixed else f"CASE WHEN {special} THEN {in_quotes} ELSE {name} END"
    blob = f"'x''' || lower(hex({name})) || ''''" if heading.any_bytes else f"base64({name})"
    return (
        f"CASE typeof({name}) WHEN 'text' THEN {text} WHEN 'integer' THEN {name} "
        f"WHEN 'real' THEN quote({name}) WHEN 'blob' THEN {blob} ELSE '' END"
    )


def _base64(*given: Any) -> str:
    return base64.b64encode(given[0]).decode() or '""'
