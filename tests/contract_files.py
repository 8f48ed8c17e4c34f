"""The contracts that tests are made of: files of tests/contracts, and small ones made on the spot."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import apsw

from sharelite.schema.bundle import read
from sharelite.schema.contract import Contract
from sharelite.schema.tables import create_steps, quoted, singletons

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
BAD = ROOT / "tests/contracts/bad"
VECTORS = ROOT / "tests/vectors"


def bad(name: str) -> dict[str, Any]:
    """A contract with a fault: `contract`, and the `pointer` and part of the `message` that are due."""
    case: dict[str, Any] = json.loads((BAD / f"{name}.json").read_text())
    return case


@lru_cache
def contract(path: str) -> Contract:
    """A good contract, by its path in the repository."""
    return read(ROOT / path)


def everything() -> Contract:
    return contract("tests/contracts/good/everything.schema.json")


def one_table(properties: dict[str, Any], sql: dict[str, Any] | None = None, **items: Any) -> dict[str, Any]:
    """A contract with one table `t`, whose rows have these properties beside their `id`."""
    rows = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, **properties}, **items}
    table = {"type": "array", "items": rows, **({"x-sql": sql} if sql else {})}
    return {"type": "object", "properties": {"t": table}}


def database(made: Contract) -> apsw.Connection:
    """An empty project of this contract, foreign keys off as where steps run."""
    connection = apsw.Connection(":memory:")
    for step in create_steps(made):
        connection.execute(step).fetchall()
    for change in singletons(made):
        connection.execute(f'INSERT INTO "{change.table}"("_id") VALUES(1)').fetchall()
    return connection


def insert(connection: apsw.Connection, table: str, row: dict[str, Any]) -> None:
    columns = ",".join(map(quoted, row))
    marks = ",".join("?" * len(row))
    connection.execute(f"INSERT INTO {quoted(table)}({columns}) VALUES({marks})", tuple(row.values())).fetchall()


def rows(connection: apsw.Connection, name: str, *columns: str) -> list[dict[str, Any]]:
    """All rows of a table or view, by name of column; in the order of these columns."""
    order = ",".join(f'"{column}"' for column in columns) or "1"
    cursor = connection.execute(f'SELECT * FROM "{name}" ORDER BY {order}')
    found = cursor.fetchall()
    names = [column[1] for column in connection.execute(f'PRAGMA table_info("{name}")')]
    return [dict(zip(names, row, strict=True)) for row in found]
