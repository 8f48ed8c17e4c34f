"""Looks through a foreign file: which plain tables it has, what their columns hold, which references are true.

Only `sqlite_schema`, pragmas about plain tables and SELECTs of their columns are run; no module of a virtual table is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import apsw

from ...errors import FileRefused
from ...survey import Left, Storage, Survey, SurveyedColumn, SurveyedReference, SurveyedTable, affinity
from .opening import Clock

SCHEMA = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema ORDER BY rowid"
COLUMNS = "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid"
REFERENCES = (
    'SELECT id, "table", "from", "to", upper(on_update), upper(on_delete) FROM pragma_foreign_key_list(?, \'main\') '
    "ORDER BY id, seq"
)
INDEXES = "SELECT name, \"unique\", origin, partial FROM pragma_index_list(?, 'main') ORDER BY seq DESC"
INDEXED = "SELECT cid, name FROM pragma_index_xinfo(?, 'main') WHERE key=1 ORDER BY seqno"
VIRTUAL = re.compile(r"\s*CREATE\s+VIRTUAL\s+TABLE\b.*?\bUSING\s+[\"\[`]?(\w+)", re.IGNORECASE | re.DOTALL)
#: The plain tables in which the modules that SQLite brings along keep their own data.
SHADOWS = {
    "fts3": "content segments segdir docsize stat",
    "fts4": "content segments segdir docsize stat",
    "fts5": "data idx content docsize config",
    "rtree": "node parent rowid",
    "rtree_i32": "node parent rowid",
    "geopoly": "node parent rowid",
}
KINDS: tuple[Storage, ...] = ("integer", "real", "text", "blob")
AFFINE: dict[str, Storage] = {"TEXT": "text", "INTEGER": "integer", "REAL": "real", "BLOB": "blob", "NUMERIC": "real"}
REASONS = {
    "view": "a project has the views of its contract and no others; what a view did, a query does",
    "trigger": "nothing of a file runs unasked; `sharelite import --triggers` takes those that a project can have",
}
EXACT = 2**53
LARGEST = "1.7976931348623157e308"
#: Seconds of work that a single reference may take: what has an index takes far less.
REFERENCE_SECONDS = 10.0
MOST_TABLES = 10_000
ASKED_AT_ONCE = 150


class _Listed(NamedTuple):
    tables: list[str]
    left: list[Left]


def survey(connection: apsw.Connection, clock: Clock) -> Survey:
    """Everything that inference asks of the file. Raises FileRefused, apsw errors."""
    tables, left = _listed(connection)
    if len(tables) > MOST_TABLES:
        raise FileRefused(f"it has {len(tables):,} tables, more than {MOST_TABLES:,}")
    found = [_table(connection, clock, name, left) for name in tables]
    return Survey(tuple(table for table in found if table is not None), tuple(left))


def _listed(connection: apsw.Connection) -> _Listed:
    rows: list[Any] = connection.execute(SCHEMA).fetchall()
    virtual = {name: match[1].lower() for kind, name, _, sql in rows if (match := VIRTUAL.match(sql or ""))}
    shadows = {f"{name}_{end}".lower() for name, module in virtual.items() for end in SHADOWS.get(module, "").split()}
    tables, left = [], []
    for kind, name, *_ in rows:
        if name in virtual:
            left.append(Left("virtual table", name, f"tables of the module {virtual[name]} are not copied"))
        elif kind in ("view", "trigger"):
            left.append(Left(kind, name, REASONS[kind]))
        elif kind == "table" and name.lower() in shadows:
            left.append(Left("shadow table", name, "it belongs to a virtual table"))
        elif kind == "table" and not name.lower().startswith("sqlite_") and name != "_sharelite":
            tables.append(name)
    return _Listed(tables, left)


class _Declared(NamedTuple):
    name: str
    declared: str
    required: bool
    constant: bool
    place: int
    generated: bool


def _table(connection: apsw.Connection, clock: Clock, name: str, left: list[Left]) -> SurveyedTable | None:
    rows: list[Any] = connection.execute(COLUMNS, (name,)).fetchall()
    columns = [
        _Declared(column, kind or "", bool(required), default is not None, place, hidden > 1)
        for column, kind, required, default, place, hidden in rows
        if hidden != 1
    ]
    if not columns:
        left.append(Left("table", name, "SQLite cannot tell its columns"))
        return None
    columns = [column for column in columns if _readable(connection, clock, name, column, left)]
    count, held = _held(connection, name, columns)
    key = tuple(column.name for column in sorted(columns, key=lambda column: column.place) if column.place)
    unique, indexes = _indexes(connection, name, left)
    return SurveyedTable(
        name, held, count, key, _rowid(connection, name, columns), unique, indexes,
        tuple(_references(connection, clock, name)),
    )  # fmt: skip


def _readable(connection: apsw.Connection, clock: Clock, name: str, column: _Declared, left: list[Left]) -> bool:
    """A generated column is an expression of somebody else's: it comes along as values, where it gives any."""
    if not column.generated:
        return True
    try:
        connection.execute(f"SELECT max(typeof({quoted(column.name)})) FROM main.{quoted(name)}").fetchall()
    except (apsw.SQLError, apsw.ConstraintError, apsw.TooBigError) as problem:
        if clock.passed():
            raise
        left.append(Left("generated column", f"{name}.{column.name}", f"its expression cannot be run here: {problem}"))
        return False
    left.append(Left("generated column", f"{name}.{column.name}", "its values come along, its expression does not"))
    return True


def _held(
    connection: apsw.Connection, name: str, columns: Sequence[_Declared]
) -> tuple[int, tuple[SurveyedColumn, ...]]:
    """Which kinds of values are there: one pass with few questions, then one with all for those that mix kinds."""
    row: Any = connection.execute(f"SELECT count(*) FROM main.{quoted(name)}").fetchone()
    held = _asked(connection, name, [column for column in columns if _has_one_kind(column)], _few, _of_one_kind)
    held |= _asked(connection, name, [column for column in columns if column.name not in held], _all, _of_any_kind)
    return int(row[0]), tuple(held[column.name] for column in columns)


_Found = dict[str, SurveyedColumn]


def _asked(
    connection: apsw.Connection,
    table: str,
    columns: Sequence[_Declared],
    questions: Callable[[_Declared], list[str]],
    read: Callable[[_Declared, Sequence[Any]], SurveyedColumn | None],
) -> _Found:
    """The answers of all columns to their questions, as many columns in one pass as one SELECT may ask."""
    found: _Found = {}
    for start in range(0, len(columns), ASKED_AT_ONCE):
        some = columns[start : start + ASKED_AT_ONCE]
        asked = [question for column in some for question in questions(column)]
        answers: Any = connection.execute(f"SELECT {', '.join(asked)} FROM main.{quoted(table)}").fetchone()
        each = len(asked) // len(some)
        for number, column in enumerate(some):
            told = read(column, answers[number * each : (number + 1) * each])
            if told is not None:
                found[column.name] = told
    return found


def _has_one_kind(column: _Declared) -> bool:
    """Keys are asked for U+0000 as well."""
    return not column.place and affinity(column.declared) in ("TEXT", "INTEGER", "REAL") and not column.generated


def _few(column: _Declared) -> list[str]:
    name, kind = quoted(column.name), AFFINE[affinity(column.declared)]
    infinite = _infinities(name) if kind == "real" else "0"
    other = f"max(typeof({name}) NOT IN ('{kind}','null'))"
    return [other, f"max(typeof({name})='{kind}')", f"max({name} IS NULL)", infinite]


def _of_one_kind(column: _Declared, answers: Sequence[Any]) -> SurveyedColumn | None:
    other, this, nulls, infinite = answers
    kind = AFFINE[affinity(column.declared)]
    if other:
        return None
    return _surveyed(column, frozenset({kind} if this else ()), nulls=bool(nulls), infinite=int(infinite or 0))


def _infinities(name: str) -> str:
    return f"total({name} NOT BETWEEN -{LARGEST} AND {LARGEST})"


def _all(column: _Declared) -> list[str]:
    name = quoted(column.name)
    return [
        *(f"max(typeof({name})='{kind}')" for kind in KINDS),
        f"max({name} IS NULL)",
        f"max(typeof({name})='integer' AND {name} NOT BETWEEN -{EXACT} AND {EXACT})",
        f"total(typeof({name})='real' AND {name} NOT BETWEEN -{LARGEST} AND {LARGEST})",
        f"max(typeof({name})='text' AND instr({name}, char(0))>0)" if column.place else "0",
    ]


def _of_any_kind(column: _Declared, answers: Sequence[Any]) -> SurveyedColumn:
    held = frozenset(kind for kind, there in zip(KINDS, answers, strict=False) if there)
    nulls, precise, infinite, zeros = answers[4:]
    return _surveyed(
        column, held, nulls=bool(nulls), precise=bool(precise), infinite=int(infinite or 0), zeros=bool(zeros)
    )


def _surveyed(column: _Declared, held: frozenset[Storage], **more: Any) -> SurveyedColumn:
    return SurveyedColumn(
        column.name,
        column.declared,
        column.required or bool(column.place),
        held,
        generated=column.generated,
        constant=column.constant,
        **more,
    )


def _rowid(connection: apsw.Connection, table: str, columns: Sequence[_Declared]) -> str | None:
    """A name that means the rowid; none where the table has none, or where columns have taken all three names."""
    taken = {column.name.lower() for column in columns}
    for name in ("rowid", "_rowid_", "oid"):
        if name not in taken:
            try:
                connection.execute(f"SELECT {name} FROM main.{quoted(table)} LIMIT 0").fetchall()
            except apsw.SQLError:
                return None
            return name
    return None


def _indexes(
    connection: apsw.Connection, table: str, left: list[Left]
) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    unique: list[tuple[str, ...]] = []
    plain: list[tuple[str, ...]] = []
    rows: list[Any] = connection.execute(INDEXES, (table,)).fetchall()
    for name, is_unique, origin, partial in rows:
        indexed: list[Any] = connection.execute(INDEXED, (name,)).fetchall()
        if partial or any(cid < 0 for cid, _ in indexed):
            reason = "it is partial" if partial else "it is over an expression"
            left.append(Left("index", name, f"{reason}; a contract has indexes over whole columns"))
        elif origin != "pk":
            (unique if is_unique else plain).append(tuple(column for _, column in indexed))
    return tuple(dict.fromkeys(unique)), tuple(dict.fromkeys(plain))


def _references(connection: apsw.Connection, clock: Clock, table: str) -> Iterator[SurveyedReference]:
    rows: list[Any] = connection.execute(REFERENCES, (table,)).fetchall()
    for number in dict.fromkeys(row[0] for row in rows):
        mine = [row for row in rows if row[0] == number]
        parent = _real_name(connection, mine[0][1])
        columns = tuple(row[2] for row in mine)
        target = tuple(row[3] for row in mine) if mine[0][3] is not None else _key(connection, parent)
        broken = _broken(connection, clock, table, columns, parent, target) if len(target) == len(columns) else None
        yield SurveyedReference(columns, parent, target, mine[0][5], mine[0][4], broken)


def _real_name(connection: apsw.Connection, name: str) -> str:
    """A foreign key may write its table in another case."""
    row: Any = connection.execute(
        "SELECT name FROM main.sqlite_schema WHERE type='table' AND name=? COLLATE NOCASE", (name,)
    ).fetchone()
    return str(row[0]) if row else name


def _key(connection: apsw.Connection, table: str) -> tuple[str, ...]:
    rows: list[Any] = connection.execute(COLUMNS, (table,)).fetchall()
    return tuple(row[0] for row in sorted(rows, key=lambda row: row[4]) if row[4])


def _broken(
    connection: apsw.Connection, clock: Clock, table: str, columns: Sequence[str], parent: str, target: Sequence[str]
) -> int | None:
    """Rows whose target is not there, compared as a project compares: typed, and byte by byte."""
    given = " AND ".join(f"c.{quoted(column)} IS NOT NULL" for column in columns)
    met = " AND ".join(
        f"p.{quoted(there)} = c.{quoted(here)} COLLATE BINARY AND typeof(p.{quoted(there)}) = typeof(c.{quoted(here)})"
        for here, there in zip(columns, target, strict=True)
    )
    part = Clock(min(REFERENCE_SECONDS, max(0.1, clock.deadline - Clock(0).deadline)))
    connection.set_progress_handler(part.passed, 20_000)
    try:
        row: Any = connection.execute(
            f"SELECT count(*) FROM main.{quoted(table)} c WHERE {given} "
            f"AND NOT EXISTS(SELECT 1 FROM main.{quoted(parent)} p WHERE {met})"
        ).fetchone()
    except (apsw.SQLError, apsw.InterruptError):
        return None
    finally:
        connection.set_progress_handler(clock.passed, 20_000)
    return int(row[0])


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
