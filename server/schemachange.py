"""A contract that a project is going to follow, tried on its rows before the schema commit is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
from msgspec import Struct

from .errors import Refused
from .model import Fault
from .schema.contract import Contract
from .sql.guard import Watchdog
from .sql.statements import Statements
from .storage.databases import Databases
from .sync import texts, wire
from .sync.apply import Mismatch, run_steps
from .sync.rules import Rules
from .sync.shape import quoted, shapes

TRIGGERED = "SELECT DISTINCT tbl_name FROM main.sqlite_schema WHERE type='trigger'"


class SchemaChange(Struct, frozen=True):
    """A new contract and the literal steps that lead to it. `tightened`: tables whose rows must be checked again."""

    rules: Rules
    document: dict[str, object]
    steps: tuple[str, ...]
    tightened: tuple[str, ...]


def schema_change(contract: Contract, steps: Sequence[str], tightened: Sequence[str]) -> SchemaChange:
    return SchemaChange(contract, contract.document, tuple(steps), tuple(tightened))


def try_steps(databases: Databases, watch: Watchdog, change: SchemaChange) -> None:
    """Run the steps in a transaction that is rolled back; raises Refused where existing rows do not fit."""
    statements = Statements(databases.data("rehearse"), watch)
    connection = statements.connection
    try:
        connection.execute("PRAGMA foreign_keys=OFF").fetchall()
        connection.execute("BEGIN IMMEDIATE")
        run_steps(connection, change.steps)
        _check_triggers(statements)
        _check_tightened(connection, change)
        connection.execute("ROLLBACK")
    except (apsw.SQLError, apsw.ConstraintError, Mismatch) as problem:
        raise Refused("invalid", f"the contract's tables cannot be made: {problem}") from problem
    finally:
        statements.close()


def _check_triggers(statements: Statements) -> None:
    """Stored triggers do nothing that SQL of others may not do. They run with every mutation, so it is found out here:
    a statement is planned together with the triggers that it would run. Raises Refused."""
    named: list[Any] = statements.connection.execute(TRIGGERED).fetchall()
    known = shapes(statements.connection)
    for (table,) in named:
        if table not in known:
            raise Refused("invalid", f"a trigger is about {table}, which is no table")
        name, columns = quoted(table), (*known[table].key, *known[table].columns)
        sets = ", ".join(f"{quoted(column)}={quoted(column)}" for column in columns)
        for text in (f"INSERT INTO {name} DEFAULT VALUES", f"UPDATE {name} SET {sets}", f"DELETE FROM {name}"):
            statements.describe(text)


def _check_tightened(connection: apsw.Connection, change: SchemaChange) -> None:
    faults: list[Fault] = []
    for name in change.tightened:
        table = change.rules.tables[name]
        columns = texts.listed(tuple(table.types))
        for row in connection.execute(f"SELECT {columns} FROM main.{quoted(name)}"):
            cells = dict(zip(table.types, row, strict=True))
            key = [cells[column] for column in table.key]
            faults += [
                Fault(fault.message, name, wire.encode_key(tuple(key)), fault.pointer)
                for fault in table.check(cells, None)
            ]
            if len(faults) >= 20:
                break
    broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    faults += [
        Fault(f"{table}: a reference to {parent} has no target", str(table)) for table, _, parent, _ in broken[:20]
    ]
    if faults:
        raise Refused("invalid", f"existing rows do not fit the new contract: {faults[0].message}", tuple(faults))
