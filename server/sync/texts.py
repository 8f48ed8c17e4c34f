"""The SQL texts of row operations, each made once: their text costs more than their run."""

from __future__ import annotations

from functools import lru_cache

from .shape import quoted

Names = tuple[str, ...]
#: Texts kept of each kind; a wide table updated in ever other combinations makes new ones.
KEPT = 2000


def listed(names: Names) -> str:
    return ", ".join(map(quoted, names))


@lru_cache(KEPT)
def where(key: Names) -> str:
    """One row by its key."""
    return " AND ".join(f"{quoted(name)}=?" for name in key)


@lru_cache(KEPT)
def select(table: str, key: Names, columns: Names) -> str:
    """Some cells of one row; `1` where none are named."""
    return f"SELECT {listed(columns) or '1'} FROM main.{quoted(table)} WHERE {where(key)}"


@lru_cache(KEPT)
def select_several(table: str, key: str, columns: Names, count: int) -> str:
    """Some cells of so many rows of a table whose key is one column."""
    return f"SELECT {listed(columns)} FROM main.{quoted(table)} WHERE {quoted(key)} IN ({', '.join('?' * count)})"


@lru_cache(KEPT)
def insert(table: str, columns: Names) -> str:
    return f"INSERT INTO main.{quoted(table)}({listed(columns)}) VALUES({', '.join('?' * len(columns))})"


@lru_cache(KEPT)
def upsert(table: str, key: Names, columns: Names, updated: Names) -> str:
    """Insert the row, or update only the columns that are named."""
    sets = ", ".join(f"{quoted(column)}=excluded.{quoted(column)}" for column in updated)
    return f"{insert(table, columns)} ON CONFLICT({listed(key)}) DO " + (f"UPDATE SET {sets}" if updated else "NOTHING")


@lru_cache(KEPT)
def update(table: str, key: Names, columns: Names) -> str:
    sets = ", ".join(f"{quoted(column)}=?" for column in columns)
    return f"UPDATE main.{quoted(table)} SET {sets} WHERE {where(key)}"


@lru_cache(KEPT)
def delete(table: str, key: Names) -> str:
    return f"DELETE FROM main.{quoted(table)} WHERE {where(key)}"


@lru_cache(KEPT)
def insert_returning(table: str, columns: Names) -> str:
    """Insert a row and say what was stored."""
    return f"{insert(table, columns)} RETURNING {listed(columns)}"


@lru_cache(KEPT)
def delete_returning(table: str, key: Names, columns: Names) -> str:
    return f"{delete(table, key)} RETURNING {listed(columns)}"


@lru_cache(KEPT)
def update_from(table: str, key: Names, columns: Names, untyped: frozenset[str]) -> str:
    """Update cells that are as stated, and say what they became. `untyped`: ANY columns, whose type counts as well."""
    tests = " AND ".join(_is(column, column in untyped) for column in columns)
    return f"{update(table, key, columns)} AND {tests} RETURNING {listed(columns)}"


def _is(column: str, untyped: bool) -> str:
    test = f"{quoted(column)} IS ? COLLATE BINARY"
    return f"{test} AND typeof({quoted(column)})=typeof(?)" if untyped else test
