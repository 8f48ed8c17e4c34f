"""Files that somebody else made: SQLite databases of every kind that people have, and of those that attackers make."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw

#: Every trait in one small file: names, keys, types, references, generated columns, everything that is left out.
SAMPLE = """
CREATE TABLE layer(id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, parent INTEGER REFERENCES layer(id));
INSERT INTO layer VALUES(1,'ground',NULL),(2,'roads',1),(-3,'below',1);
CREATE TABLE "shape.v2"(auth TEXT, code INTEGER_OR_TEXT, _hidden BOOLEAN, "Total" REAL, total_2 NUMERIC, note,
  layer INTEGER REFERENCES layer(id) ON DELETE CASCADE, PRIMARY KEY(auth, code));
INSERT INTO "shape.v2" VALUES('a',1,1,2.5,7,x'00ff',1),('a','x',0,3.0,7.25,'text',2),(NULL,NULL,NULL,NULL,NULL,9,NULL);
CREATE TABLE pair(a TEXT NOT NULL, b INTEGER NOT NULL, v BLOB, PRIMARY KEY(a,b)) WITHOUT ROWID;
INSERT INTO pair VALUES('x',1,x'0102'),('x',2,NULL),('y',9007199254740993,zeroblob(3));
CREATE TABLE bare(x, y);
INSERT INTO bare VALUES(1,1.0),('one',NULL),(NULL,x'');
CREATE TABLE money_full(id TEXT PRIMARY KEY, price DECIMAL(10,2), twice AS (price*2), text STORED_TEXT);
INSERT INTO money_full(id, price, text) VALUES('m',1.5,'ü'),('n',3,'');
CREATE TABLE broken(id INTEGER PRIMARY KEY, layer INTEGER REFERENCES layer(id), kept INTEGER REFERENCES layer(id));
INSERT INTO broken VALUES(1,99,1);
CREATE INDEX by_name ON layer(name);
CREATE INDEX partial ON layer(name) WHERE parent IS NULL;
CREATE INDEX computed ON layer(lower(name));
CREATE VIEW names AS SELECT name FROM layer;
CREATE TRIGGER loud AFTER INSERT ON layer BEGIN INSERT INTO bare VALUES('fired', 1); END;
CREATE VIRTUAL TABLE search USING fts5(body);
INSERT INTO search VALUES('words');
"""


def made(path: Path, sql: str = SAMPLE, *, page_size: int = 4096, encoding: str = "UTF-8", reserved: int = 0) -> Path:
    """A database of these statements."""
    connection = apsw.Connection(str(path))
    for pragma in (f"page_size={page_size}", f"encoding='{encoding}'", "foreign_keys=OFF"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    if reserved:
        connection.reserve_bytes(reserve=reserved)
    connection.execute(sql)
    connection.close()
    return path


def small(path: Path, sql: str) -> bytes:
    return made(path, sql).read_bytes()


Change = Callable[[random.Random, bytearray], None]


def one_byte(chance: random.Random, content: bytearray) -> None:
    content[chance.randrange(len(content))] = chance.randrange(256)


def few_bits(chance: random.Random, content: bytearray) -> None:
    for _ in range(chance.randrange(1, 9)):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def header(chance: random.Random, content: bytearray) -> None:
    content[chance.randrange(16, 100)] = chance.randrange(256)


def pointer(chance: random.Random, content: bytearray) -> None:
    """A page number of some page, so that pages lead in circles or nowhere."""
    at = chance.randrange(100, len(content) - 4)
    content[at : at + 4] = chance.randrange(len(content) // 512 + 2).to_bytes(4, "big")


def cut(chance: random.Random, content: bytearray) -> None:
    del content[chance.randrange(1, len(content)) :]


def pages_swapped(chance: random.Random, content: bytearray) -> None:
    size = int.from_bytes(content[16:18], "big") or 1024
    size = 65536 if size == 1 else size
    one, other = (chance.randrange(max(1, len(content) // size)) * size for _ in "ab")
    content[one : one + size], content[other : other + size] = content[other : other + size], content[one : one + size]


CHANGES: Sequence[Change] = (one_byte, few_bits, header, pointer, cut, pages_swapped)


def mutants(content: bytes, count: int, seed: int = 1) -> Iterator[bytes]:
    """The file, damaged in so many ways; half of them in one byte."""
    chance = random.Random(seed)
    for number in range(count):
        changed = bytearray(content)
        change = one_byte if number % 2 else chance.choice(CHANGES)
        change(chance, changed)
        yield bytes(changed)


def rows(path: Path, sql: str) -> list[Any]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found: list[Any] = connection.execute(sql).fetchall()
    connection.close()
    return found
