"""The refusal codes of what SQLite itself finds wrong with a row."""

from __future__ import annotations

import apsw


def constraint_code(problem: apsw.ConstraintError) -> str:
    extended = getattr(problem, "extendedresult", 0)
    if extended in (apsw.SQLITE_CONSTRAINT_PRIMARYKEY, apsw.SQLITE_CONSTRAINT_ROWID):
        return "exists"
    if extended == apsw.SQLITE_CONSTRAINT_UNIQUE:
        return "unique"
    return "reference" if extended == apsw.SQLITE_CONSTRAINT_FOREIGNKEY else "invalid"
